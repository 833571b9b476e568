import Support

/// What a layer's mixer is in config.json (Model.md, "Mixers"). One type a kind, in a file of its own, and a line in
/// `LayerMixer.kinds`.
public protocol MixerShape: Sendable {
    /// As config.json calls it.
    static var kind: String { get }
    /// The same in one letter.
    static var letter: String { get }
    /// What may follow kind or letter where a model is made: "WINDOW[xDILATION]"; empty for nothing.
    static var argument: String { get }
    /// The fields that config.json has of a mixer that `text` describes as `argument` says; nil where it does not. What
    /// nothing is said about takes what new models take, not what the format takes for absent fields.
    static func fields(of text: Substring?) -> [JSONObject.Field]?

    /// Takes its fields, all but `kind`. Their ranges are checked by `impossibleField`.
    ///
    /// - Throws: `Fault` naming a field that is missing or of another type.
    init(_ fields: inout JSONFields, in model: MixerSurroundings) throws

    /// Names the first field that cannot work; nil when all do.
    func impossibleField() -> (field: String, problem: String)?

    /// Its object in config.json, in which every value that depends on the model is stated: the same text for the same
    /// mixer.
    var json: String { get }

    /// Its tensors in a model of hidden size D; names after "blocks.i.mixer.".
    func tensors(width D: Int) -> [TensorDescription]

    /// How many values rows have that are multiplied by its matrices.
    func factorWidths(width D: Int) -> [Int]

    /// The rows that a row of the layer sees.
    var view: MixerView { get }

    /// Whether all that a row needs of earlier rows fits in memory, however long the sequence.
    var isStreaming: Bool { get }

    /// In one line, for people.
    var summary: String { get }
}

extension MixerShape {
    public func factorWidths(width D: Int) -> [Int] {
        tensors(width: D).filter { $0.shape.count == 2 }.map { $0.shape[1] }
    }
}

/// Which rows a mixer shows a row, beside the row itself.
public enum MixerView: Sendable, Equatable {
    /// Those of its patch and of the patch that its delegate visits, with the delegates there.
    case patches
    /// For each of `steps` so many rows before it, that many rows apart.
    case window(rows: Int, steps: [Int])
    /// Those of its segment of so many rows that come before it, and `before` rows before the segment.
    case segments(rows: Int, before: Int)
    /// All before it.
    case all
}

/// What of a model bears on its mixers.
public struct MixerSurroundings: Sendable {
    /// D.
    public var hiddenSize: Int
    public var isCausal: Bool
    /// What stands for `num_heads` where a mixer does not say it; nil where it must.
    public var heads: Int?

    public init(hiddenSize: Int, isCausal: Bool, heads: Int? = nil) {
        self.hiddenSize = hiddenSize
        self.isCausal = isCausal
        self.heads = heads
    }

    func heads(_ fields: inout JSONFields) throws -> Int {
        try fields.integer("num_heads", in: MixerLimit.heads, default: heads)
    }

    /// A field that says how many of `width` features one of `heads` heads has; all of them, shared evenly, where it
    /// is absent.
    func headSize(_ name: String, _ fields: inout JSONFields, of width: Int, heads: Int) throws -> Int {
        let isEven = width % heads == 0
        guard isEven || fields.has(name) else {
            throw fields.fault(name, "the field is missing, and num_heads \(heads) does not divide \(width)")
        }
        return try fields.integer(name, default: isEven ? width / heads : nil)
    }
}

enum MixerLimit {
    static let heads = 1...65_536
    static let headSize = 1...65_536
    /// Features of all heads together.
    static let width = ModelConfig.Limit.intermediateSize
    /// Of `norm_eps`.
    static let epsilon = 1e-12...1e-1

    /// Names the first of heads and head size that cannot work.
    static func impossible(heads: Int, headSize: Int, _ field: String) -> (field: String, problem: String)? {
        if let found = ModelConfig.outside(heads, self.heads, "num_heads")
            ?? ModelConfig.outside(headSize, self.headSize, field)
        {
            return found
        }
        guard heads * headSize > width.upperBound else { return nil }
        return (field, "is \(headSize), which makes \(heads * headSize) features; at most \(width.upperBound) work")
    }
}
