import Geometry
import StreamEngine

extension ReachLimit {
    /// In a few words, the cause first.
    func text(_ geometry: SequenceGeometry, token: Int) -> String {
        func number(_ value: Int) -> String { ExactCount(value).grouped }
        let (P, G) = (geometry.patchSize, geometry.patches)
        return switch self {
        case .notFollowed: "not followed further"
        case .allTokens: "n: all tokens are seen"
        case .allUpToToken: "causality: all \(number(token + 1)) tokens up to this one are seen"
        case .length:
            (G < P ? "G" : "n")
                + ": there are only \(number(geometry.tokens)) tokens, in \(number(G)) \(G == 1 ? "patch" : "patches")"
        case .tokensUpToToken: "causality: there are only \(number(token + 1)) tokens up to this one"
        case .masks(let tokens, let isExact):
            "causality: without its masks \(isExact ? "" : "more than ")\(number(tokens)) were seen"
        case .fewPatches(let patches):
            "few patches: \(number(patches)) visited, which show 2P = \(2 * P) rows each at most"
        case .hiddenRows(let rows, let patches):
            "causality: \(number(rows)) rows of the \(number(patches)) patches visited come later than all that look"
        case .overlaps: "gaps and overlaps: layers pass over some tokens, and show some more than once"
        case .padding(let rows): "n: \(number(rows)) of the rows seen are padding"
        case .repeated(let patches):
            (G < P ? "G: only \(number(G)) patches, which" : "repeats: the \(number(patches)) patches visited")
                + " show some tokens more than once"
        }
    }
}
