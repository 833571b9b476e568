import Support

/// Attention of every row over its own segment and a memory of rows before it, by content and by distance (Dai et al.,
/// 2019).
package struct TransformerXLShape: MixerShape {
    package static let kind = "transformer-xl"
    package static let letter = "x"
    package static let argument = "SEGMENT[+MEMORY]"

    /// H.
    package var heads: Int
    /// dh; H·dh need not be D.
    package var headSize: Int
    /// S: rows of a segment.
    package var segment: Int
    /// M: rows before a segment that its rows see.
    package var memory: Int
    /// Whether every row sees M rows, its own one among them, and no more.
    package var hasSameLength: Bool
    /// Rows further apart than so many count as so many rows apart; nil for no such limit.
    package var longestDistance: Int?

    package init(
        heads: Int, headSize: Int, segment: Int, memory: Int, hasSameLength: Bool = false,
        longestDistance: Int? = nil
    ) {
        self.heads = heads
        self.headSize = headSize
        self.segment = segment
        self.memory = memory
        self.hasSameLength = hasSameLength
        self.longestDistance = longestDistance
    }

    /// Rows before a row that it sees at most. With the same length for all, segments make no difference: M rows up to
    /// a row never begin before its memory.
    package var reach: Int { hasSameLength ? memory - 1 : segment - 1 + memory }

    /// The first row that `row` sees.
    func first(seenBy row: Int) -> Int {
        max(0, hasSameLength ? row - memory + 1 : row / segment * segment - memory)
    }

    package static func fields(of text: Substring?) -> [JSONObject.Field]? {
        let sizes = (text ?? "256").split(separator: "+", omittingEmptySubsequences: false).map { Int($0) }
        guard (1...2).contains(sizes.count), let segment = sizes[0], let memory = sizes[sizes.count - 1] else {
            return nil
        }
        return [("segment", .integer(segment)), ("memory", .integer(memory))]
    }

    package init(_ fields: inout JSONFields, in model: MixerSurroundings) throws {
        heads = try model.heads(&fields)
        headSize = try model.headSize("head_dim", &fields, of: model.hiddenSize, heads: heads)
        segment = try fields.integer("segment")
        memory = try fields.integer("memory")
        hasSameLength = try fields.bool("same_length", default: false)
        let longest = try fields.integer("clamp_length", default: -1)
        longestDistance = longest == -1 || longest == 0 ? nil : longest
        guard model.hiddenSize % 2 == 0 else {
            throw fields.fault("kind", "is '\(Self.kind)', which needs an even hidden_size; it is \(model.hiddenSize)")
        }
    }

    package func impossibleField() -> (field: String, problem: String)? {
        let most = ModelConfig.Limit.reach
        if let found = MixerLimit.impossible(heads: heads, headSize: headSize, "head_dim")
            ?? ModelConfig.outside(segment, 1...most, "segment") ?? ModelConfig.outside(memory, 0...most, "memory")
        {
            return found
        }
        if hasSameLength && memory == 0 { return ("memory", "is 0; with same_length no row would see any") }
        if segment + memory > most {
            return ("memory", "is \(memory), which with segment \(segment) makes more than \(most) rows")
        }
        return longestDistance.flatMap { longest in
            (1...most).contains(longest) ? nil : ("clamp_length", "is \(longest); must be -1 for none, or 0 to \(most)")
        }
    }

    package var json: String {
        let fields = [
            #""kind": "\#(Self.kind)""#, #""num_heads": \#(heads)"#, #""head_dim": \#(headSize)"#,
            #""segment": \#(segment)"#, #""memory": \#(memory)"#, #""same_length": \#(hasSameLength)"#,
            #""clamp_length": \#(longestDistance ?? -1)"#,
        ]
        return "{\(fields.joined(separator: ", "))}"
    }

    package func tensors(width D: Int) -> [TensorDescription] {
        let inner = heads * headSize
        return [
            ("q_proj.weight", [inner, D]), ("k_proj.weight", [inner, D]), ("v_proj.weight", [inner, D]),
            ("r_proj.weight", [inner, D]), ("u_bias", [heads, headSize]), ("v_bias", [heads, headSize]),
            ("o_proj.weight", [D, inner]),
        ].map { TensorDescription($0, $1, .normal(deviation: 0.02), isFactor: !$0.hasSuffix("_bias")) }
    }

    package var view: MixerView {
        hasSameLength ? .window(rows: reach, steps: [1]) : .segments(rows: segment, before: memory)
    }
    package var isStreaming: Bool { true }

    package var summary: String {
        var words = ["\(Self.kind) \(segment) + \(memory)", "\(heads) head\(heads == 1 ? "" : "s") of \(headSize)"]
        if hasSameLength { words.append("same length") }
        if let longestDistance { words.append("distances up to \(longestDistance)") }
        return words.joined(separator: ", ")
    }
}
