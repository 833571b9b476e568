import Support

/// What a layer's mixer is in config.json (Model.md, "Mixers"). One type a kind, in a file of its own, and a line in
/// `LayerMixer.kinds`.
package protocol MixerShape: Sendable {
    /// As config.json calls it.
    static var kind: String { get }
    /// The same in a letter or two.
    static var letter: String { get }
    /// What may follow kind or letter where a model is made: "WINDOW[xDILATION]"; empty for nothing.
    static var argument: String { get }
    /// The fields that config.json has of a mixer that `text` describes as `argument` says; nil where it does not. What
    /// nothing is said about takes what new models take, not what the format takes for absent fields.
    static func fields(of text: Substring?) -> [JSONObject.Field]?

    /// More of them, where it depends on the layer: layer `layer`, from 0, of a model whose first layer is of kind
    /// `first`.
    static func fields(inLayer layer: Int, first kind: String) -> [JSONObject.Field]

    /// Takes its fields, all but `kind`. Their ranges are checked by `impossibleField`.
    ///
    /// - Throws: `Fault` naming a field that is missing or of another type.
    init(_ fields: inout JSONFields, in model: MixerSurroundings) throws

    /// Names the first field that cannot work; nil when all do.
    func impossibleField() -> (field: String, problem: String)?

    /// The same, and what cannot work in a model of hidden size D.
    func impossibleField(width D: Int) -> (field: String, problem: String)?

    /// Names the first field that cannot work in a block, from 0, of a model with these mixers.
    func impossibleField(block: Int, of mixers: [LayerMixer], recurrence: Int) -> (field: String, problem: String)?

    /// Its object in config.json, in which every value that depends on the model is stated: the same text for the same
    /// mixer.
    var json: String { get }

    /// Its tensors in a model of hidden size D; names after "blocks.i.mixer.".
    func tensors(width D: Int) -> [TensorDescription]

    /// The same, with what they hold before training where that depends on the layer.
    ///
    /// - Parameters:
    ///   - layer: from 0, of `layers` that the model has; repeats do not count.
    func tensors(width D: Int, layer: Int, of layers: Int) -> [TensorDescription]

    /// How many values rows have that are multiplied by its matrices.
    func factorWidths(width D: Int) -> [Int]

    /// The rows that a row of the layer sees.
    var view: MixerView { get }

    /// Whether all that a row needs of earlier rows fits in memory, however long the sequence.
    var isStreaming: Bool { get }

    /// Whether it works in models whose rows see later ones, and whether it is one that does.
    var hasBidirectionalForm: Bool { get }
    var isLookingAhead: Bool { get }

    /// In one line, for people.
    var summary: String { get }
}

extension MixerShape {
    package static func fields(inLayer layer: Int, first kind: String) -> [JSONObject.Field] { [] }

    package func impossibleField(block: Int, of mixers: [LayerMixer], recurrence: Int) -> (
        field: String, problem: String
    )? { nil }

    package func impossibleField(width D: Int) -> (field: String, problem: String)? { impossibleField() }

    package var hasBidirectionalForm: Bool { false }
    package var isLookingAhead: Bool { false }

    package func tensors(width D: Int, layer: Int, of layers: Int) -> [TensorDescription] { tensors(width: D) }

    package func factorWidths(width D: Int) -> [Int] {
        tensors(width: D).filter { $0.isFactor && $0.shape.count == 2 }.map { $0.shape[1] }
    }
}

/// Which rows a mixer shows a row, beside the row itself.
package enum MixerView: Sendable, Equatable {
    /// Those of its patch and of the patch that its delegate visits, with the delegates there.
    case patches
    /// For each of `steps` so many rows before it, that many rows apart.
    case window(rows: Int, steps: [Int])
    /// The same before and after it.
    case around(rows: Int, steps: [Int])
    /// Those of its segment of so many rows that come before it, and `before` rows before the segment.
    case segments(rows: Int, before: Int)
    /// All before it.
    case all
}

/// What of a model bears on its mixers.
package struct MixerSurroundings: Sendable {
    /// D.
    package var hiddenSize: Int
    package var isCausal: Bool
    /// What stands for `num_heads` where a mixer does not say it; nil where it must.
    package var heads: Int?
    /// The mixer's layer, from 0, and how many there are, for fields that a mixer does not say; nil where it must.
    package var place: (layer: Int, layers: Int)?

    package init(hiddenSize: Int, isCausal: Bool, heads: Int? = nil) {
        self.hiddenSize = hiddenSize
        self.isCausal = isCausal
        self.heads = heads
    }

    /// The same for one of `layers` mixers. Models that are made have places for what is not said, their files say all.
    package func at(_ layer: Int, of layers: Int) -> MixerSurroundings {
        var model = self
        if heads != nil { model.place = (layer, layers) }
        return model
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
    /// Of a model whose layers know their places.
    static let layers = ModelConfig.Limit.layers.upperBound

    /// Of a map that goes through few values.
    static let rank = 1...65_536

    /// Names `num_heads` where the heads do not share all D features evenly.
    static func impossible(heads: Int, headSize: Int, dividing D: Int) -> (field: String, problem: String)? {
        if let found = ModelConfig.outside(heads, self.heads, "num_heads") { return found }
        let (width, overflow) = heads.multipliedReportingOverflow(by: headSize)
        return !overflow && width == D ? nil : ("num_heads", "is \(heads), which does not divide hidden_size \(D)")
    }

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

    /// Names `norm_eps` where it cannot work.
    static func impossible(epsilon value: Double) -> (field: String, problem: String)? {
        epsilon.contains(value)
            ? nil : ("norm_eps", "is \(value); must be \(epsilon.lowerBound) to \(epsilon.upperBound)")
    }
}
