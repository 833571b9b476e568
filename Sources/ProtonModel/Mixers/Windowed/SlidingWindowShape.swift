import Support

/// Attention of every row over itself and a fixed number of rows before it, or on both sides.
package struct SlidingWindowShape: MixerShape {
    package static let kind = "sliding-window"
    package static let letter = "w"
    package static let argument = "WINDOW[xDILATION]"

    /// H.
    package var heads: Int
    /// Hk, a divisor of H: H / Hk neighbouring heads share keys and values.
    package var keyValueHeads: Int
    /// dh; H·dh need not be D.
    package var headSize: Int
    /// w: rows before its own that a row sees, and as many after it where it is not causal, `dilation` rows apart.
    package var window: Int
    /// d: one for all heads, or one a head.
    package var dilations: [Int]
    /// Whether q, k, v and o are projected with a bias.
    package var hasBias: Bool
    package var rope: RotaryEncoding?
    /// Whether no later row is seen.
    package var isCausal: Bool

    package init(
        heads: Int, keyValueHeads: Int? = nil, headSize: Int, window: Int, dilations: [Int] = [1],
        hasBias: Bool = false, rope: RotaryEncoding? = nil, isCausal: Bool = true
    ) {
        self.heads = heads
        self.keyValueHeads = keyValueHeads ?? heads
        self.headSize = headSize
        self.window = window
        self.dilations = dilations
        self.hasBias = hasBias
        self.rope = rope
        self.isCausal = isCausal
    }

    package func dilation(ofHead head: Int) -> Int { dilations.count == 1 ? dilations[0] : dilations[head] }

    /// Rows before a row that it depends on, and after it where it is not causal.
    package var reach: Int { window * (dilations.max() ?? 1) }

    package static func fields(of text: Substring?) -> [JSONObject.Field]? {
        let sizes = (text ?? "256").split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
        guard (1...2).contains(sizes.count), let window = sizes[0], let dilation = sizes.count == 2 ? sizes[1] : 1
        else { return nil }
        return [("window", .integer(window)), ("dilation", .integer(dilation)), RotaryEncoding.newField]
    }

    package init(_ fields: inout JSONFields, in model: MixerSurroundings) throws {
        heads = try model.heads(&fields)
        keyValueHeads = try fields.integer("num_kv_heads", default: heads)
        headSize = try model.headSize("head_dim", &fields, of: model.hiddenSize, heads: heads)
        window = try fields.integer("window")
        dilations = try Self.dilations(&fields)
        hasBias = try fields.bool("qkv_bias", default: false)
        rope = try RotaryEncoding.take(&fields)
        // Models that are made have what becomes them, their files say it.
        isCausal = try fields.bool("causal", default: model.heads == nil || model.isCausal)
        switch fields.take("global_tokens") {
        case nil: break
        case .array(let tokens) where tokens.isEmpty: break
        case .array: throw fields.fault("global_tokens", "lists tokens; global tokens are not supported yet")
        default: throw fields.fault("global_tokens", "must be a list")
        }
    }

    private static func dilations(_ fields: inout JSONFields) throws -> [Int] {
        switch fields.take("dilation") {
        case nil: return [1]
        case .integer(let dilation): return [dilation]
        case .array(let entries):
            return try entries.map {
                guard case .integer(let dilation) = $0 else { throw fields.fault("dilation", "must list integers") }
                return dilation
            }
        default: throw fields.fault("dilation", "must be an integer, or a list of one a head")
        }
    }

    package func impossibleField() -> (field: String, problem: String)? {
        if let found = MixerLimit.impossible(heads: heads, headSize: headSize, "head_dim")
            ?? ModelConfig.outside(keyValueHeads, 1...heads, "num_kv_heads")
        {
            return found
        }
        if heads % keyValueHeads != 0 {
            return ("num_kv_heads", "is \(keyValueHeads), which does not divide num_heads \(heads)")
        }
        if let found = ModelConfig.outside(window, 1...ModelConfig.Limit.reach, "window") { return found }
        if dilations.count != 1 && dilations.count != heads {
            return ("dilation", "lists \(dilations.count) values; must list one, or one for each of num_heads \(heads)")
        }
        for dilation in dilations {
            if let found = ModelConfig.outside(dilation, ModelConfig.Limit.dilation, "dilation") { return found }
        }
        if reach > ModelConfig.Limit.reach {
            return ("window", "reaches over \(reach) rows; at most \(ModelConfig.Limit.reach) work")
        }
        return rope?.impossibleField(headSize: headSize, "head_dim")
    }

    /// What all dilations are; nil where they differ.
    private var commonDilation: Int? { dilations.allSatisfy { $0 == dilations[0] } ? dilations.first : nil }

    package var json: String {
        var fields = [#""kind": "\#(Self.kind)""#, #""num_heads": \#(heads)"#]
        if keyValueHeads != heads { fields.append(#""num_kv_heads": \#(keyValueHeads)"#) }
        fields += [#""head_dim": \#(headSize)"#, #""window": \#(window)"#]
        if commonDilation != 1 { fields.append(#""dilation": \#(commonDilation.map(String.init) ?? "\(dilations)")"#) }
        // Other readers may take an absent field for false.
        fields.append(#""causal": \#(isCausal)"#)
        if hasBias { fields.append(#""qkv_bias": true"#) }
        if let rope { fields.append(rope.json) }
        return "{\(fields.joined(separator: ", "))}"
    }

    package func tensors(width D: Int) -> [TensorDescription] {
        let (inner, keyValue) = (heads * headSize, keyValueHeads * headSize)
        return [("q_proj", inner, D), ("k_proj", keyValue, D), ("v_proj", keyValue, D), ("o_proj", D, inner)].flatMap {
            name, outputs, inputs in
            [TensorDescription("\(name).weight", [outputs, inputs], .normal(deviation: 0.02))]
                + (hasBias ? [TensorDescription("\(name).bias", [outputs], .zeros)] : [])
        }
    }

    package var view: MixerView {
        let steps = Set(dilations).sorted()
        return isCausal ? .window(rows: window, steps: steps) : .around(rows: window, steps: steps)
    }
    package var isStreaming: Bool { isCausal }
    package var hasBidirectionalForm: Bool { true }
    package var isLookingAhead: Bool { !isCausal }

    package var summary: String {
        var words = ["\(Self.kind) \(window)\(isCausal ? "" : " on both sides")"]
        if commonDilation == nil {
            words.append("dilation \(dilations.min() ?? 1) to \(dilations.max() ?? 1)")
        } else if let dilation = commonDilation, dilation != 1 {
            words.append("dilation \(dilation)")
        }
        words.append("\(heads) head\(heads == 1 ? "" : "s") of \(headSize)")
        if keyValueHeads != heads { words.append("\(keyValueHeads) of keys and values") }
        if hasBias { words.append("biases") }
        if let rope { words.append(rope.summary) }
        return words.joined(separator: ", ")
    }
}
