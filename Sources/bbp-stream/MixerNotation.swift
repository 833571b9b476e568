import ArgumentParser
import ProtonModel
import Support

/// What `--mixers` says: a list of mixers in short notation, one a layer, or a file of them.
///
/// A list is entries between commas; an entry is KIND or KIND:ARGUMENT, or a list in brackets, and COUNT* before it
/// repeats it: "2*(m,3*w:256),r".
enum MixerNotation {
    case list([Entry])
    case file(String)

    /// One layer's.
    struct Entry {
        var text: String
        var kind: any MixerShape.Type
        /// As config.json has them, but those that models have defaults for, and that depend on the layer.
        var fields: [JSONObject.Field]
    }

    /// For help and errors.
    static var kinds: String {
        LayerMixer.kinds.map { kind in
            "\(kind.kind)\(kind.argument.isEmpty ? "" : "[:\(kind.argument)]") (\(kind.letter))"
        }.joined(separator: ", ")
    }

    init(_ text: String) throws {
        if text.hasPrefix("@") || text.hasSuffix(".json") {
            self = .file(text.hasPrefix("@") ? String(text.dropFirst()) : text)
        } else {
            var parser = MixerParser(text)
            self = .list(try parser.document())
        }
    }

    /// The mixers, one a layer.
    ///
    /// - Parameter layers: how many there are where a file has one for all.
    func mixers(layers: Int, in model: MixerSurroundings) throws -> [LayerMixer] {
        switch self {
        case .file(let file): return try LayerMixer.list(file: file, layers: layers, in: model)
        case .list(let entries):
            return try entries.enumerated().map { layer, entry in
                let more = entry.kind.fields(inLayer: layer, first: entries[0].kind.kind)
                do {
                    return try LayerMixer(
                        .object(JSONObject(entry.fields + more)), named: "mixers.\(layer)", file: "--mixers",
                        in: model.at(layer, of: entries.count))
                } catch let fault as Fault {
                    throw Fault(.usage, "\(fault.problem) (\(entry.text))", at: fault.place)
                }
            }
        }
    }
}

/// Reads the short notation from front to back.
private struct MixerParser {
    private static let deepest = 16
    private static let most = 10_000

    private let text: String
    private var rest: Substring

    init(_ text: String) {
        self.text = text
        rest = text[...]
    }

    private func error(_ problem: String) -> ValidationError {
        ValidationError("--mixers '\(text.shortened)': \(problem).")
    }

    mutating func document() throws -> [MixerNotation.Entry] {
        let entries = try list(depth: 0)
        if !rest.isEmpty { throw error("'\(rest.first ?? " ")' stands where ',' or the end is expected") }
        return entries
    }

    private mutating func list(depth: Int) throws -> [MixerNotation.Entry] {
        var entries: [MixerNotation.Entry] = []
        repeat {
            entries += try repeated(depth: depth)
            if entries.count > Self.most { throw error("more than \(Self.most) layers") }
        } while take(",")
        return entries
    }

    /// [COUNT*] (entry | "(" list ")")
    private mutating func repeated(depth: Int) throws -> [MixerNotation.Entry] {
        let start = rest
        let digits = rest.prefix { $0.isASCII && $0.isNumber }
        var count = 1
        rest = rest.dropFirst(digits.count)
        if !digits.isEmpty && take("*") {
            guard let number = Int(digits), (1...Self.most).contains(number) else {
                throw error("the count '\(String(digits).shortened)' must be 1 to \(Self.most)")
            }
            count = number
        } else {
            rest = start
        }
        guard take("(") else { return Array(repeating: try entry(), count: count) }
        if depth == Self.deepest { throw error("more than \(Self.deepest) brackets within one another") }
        let entries = try list(depth: depth + 1)
        if !take(")") { throw error("a bracket has no end") }
        if count * entries.count > Self.most { throw error("more than \(Self.most) layers") }
        return Array(repeatElement(entries, count: count).joined())
    }

    private mutating func entry() throws -> MixerNotation.Entry {
        let written = rest.prefix { !"(),".contains($0) }
        rest = rest.dropFirst(written.count)
        let text = String(written).shortened
        let parts = written.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let name = parts[0], argument = parts.count == 2 ? parts[1] : nil
        guard let kind = LayerMixer.kinds.first(where: { $0.kind == name || $0.letter == name }) else {
            throw error("'\(text)' is no mixer; there are \(MixerNotation.kinds)")
        }
        guard let fields = kind.fields(of: argument) else {
            throw error(
                kind.argument.isEmpty
                    ? "'\(text)': nothing follows \(kind.kind)" : "'\(text)': write \(kind.kind):\(kind.argument)")
        }
        return MixerNotation.Entry(text: text, kind: kind, fields: [("kind", .string(kind.kind))] + fields)
    }

    private mutating func take(_ character: Character) -> Bool {
        guard rest.first == character else { return false }
        rest.removeFirst()
        return true
    }
}
