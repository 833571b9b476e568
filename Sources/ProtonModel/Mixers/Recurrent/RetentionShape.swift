import Compute
import Support

/// A matrix of state a head that forgets at a fixed rate of its own, and a gate (Sun et al., 2023).
package struct RetentionShape: MixerShape {
    package static let kind = "retention"
    package static let letter = "r"
    package static let argument = ""
    package static func fields(of text: Substring?) -> [JSONObject.Field]? {
        text == nil ? [RotaryEncoding.newField] : nil
    }

    /// H.
    package var heads: Int
    /// dk, of queries and keys.
    package var keySize: Int
    /// dv.
    package var valueSize: Int
    package var normEpsilon: Double
    package var rope: RotaryEncoding?

    package init(heads: Int, keySize: Int, valueSize: Int, normEpsilon: Double = 1e-5, rope: RotaryEncoding? = nil) {
        self.heads = heads
        self.keySize = keySize
        self.valueSize = valueSize
        self.normEpsilon = normEpsilon
        self.rope = rope
    }

    package init(_ fields: inout JSONFields, in model: MixerSurroundings) throws {
        heads = try model.heads(&fields)
        keySize = try model.headSize("head_k_dim", &fields, of: model.hiddenSize, heads: heads)
        valueSize = try model.headSize("head_v_dim", &fields, of: 2 * model.hiddenSize, heads: heads)
        normEpsilon = try fields.number("norm_eps", in: MixerLimit.epsilon, default: 1e-5)
        rope = try RotaryEncoding.take(&fields)
    }

    package func impossibleField() -> (field: String, problem: String)? {
        MixerLimit.impossible(heads: heads, headSize: keySize, "head_k_dim")
            ?? MixerLimit.impossible(heads: heads, headSize: valueSize, "head_v_dim")
            ?? MixerLimit.impossible(epsilon: normEpsilon) ?? rope?.impossibleField(headSize: keySize, "head_k_dim")
    }

    package var json: String {
        var fields = [
            #""kind": "\#(Self.kind)""#, #""num_heads": \#(heads)"#, #""head_k_dim": \#(keySize)"#,
            #""head_v_dim": \#(valueSize)"#,
        ]
        // Stated always: to other readers it may be no default.
        fields.append(#""norm_eps": \#(normEpsilon)"#)
        if let rope { fields.append(rope.json) }
        return "{\(fields.joined(separator: ", "))}"
    }

    package func tensors(width D: Int) -> [TensorDescription] {
        let (keys, values, gain) = (heads * keySize, heads * valueSize, 0.25 * 0.5.squareRoot())
        return [
            TensorDescription(xavier: "q_proj.weight", [keys, D], gain: gain),
            TensorDescription(xavier: "k_proj.weight", [keys, D], gain: gain),
            TensorDescription(xavier: "v_proj.weight", [values, D], gain: gain),
            TensorDescription(xavier: "g_proj.weight", [values, D], gain: gain),
            TensorDescription("norm.weight", [valueSize], .ones, isOptional: true),
            TensorDescription(xavier: "o_proj.weight", [D, values], gain: 0.5),
        ]
    }

    package var view: MixerView { .all }
    package var isStreaming: Bool { true }

    package var summary: String {
        var words = [Self.kind, "\(heads) head\(heads == 1 ? "" : "s") of \(keySize) keys and \(valueSize) values"]
        if normEpsilon != 1e-5 { words.append("eps \(normEpsilon)") }
        if let rope { words.append(rope.summary) }
        return words.joined(separator: ", ")
    }
}

extension RetentionShape: RecurrentShape {
    var stateKeySize: Int { keySize }
    var stateValueSize: Int { valueSize }
    var outputSize: Int { valueSize }

    /// γ_h = 1 - 2^(-5-h).
    var decays: [Double] { (0..<heads).map { 1 - Double(sign: .plus, exponent: -5 - $0, significand: 1) } }

    var featureFunction: RowFunction? { nil }
    var isGated: Bool { true }
    var rotatedSize: Int? { rope == nil ? nil : keySize }

    func parts(_ tensor: TensorReader, width D: Int, on backend: any Backend) throws -> RecurrenceParts {
        let (make, keys, values) = (
            MatrixMaker(tensor: tensor, width: D, backend: backend), heads * keySize, heads * valueSize
        )
        return RecurrenceParts(
            query: try make.spaced(
                "mixer.q_proj.weight", outputs: keys, scale: 1 / Float(keySize).squareRoot()),
            key: try make.projection("mixer.k_proj.weight", outputs: keys),
            value: try make.projection("mixer.v_proj.weight", outputs: values),
            gate: try make.projection("mixer.g_proj.weight", outputs: values),
            output: try make.output(inputs: values), norm: try make.norm(size: valueSize),
            rotation: try rope?.tables(headSize: keySize))
    }

    func partBytes(width D: Int) -> Int {
        4 * valueSize + MatrixMaker.spacedBytes(rows: heads * keySize, width: D)
    }

    func read(_ outputs: Rows, gates: Rows?, norm: RowWeights?, room: Rows, on lane: any Lane) -> Rows {
        lane.gateHeads(
            outputs, heads: heads, weight: norm, epsilon: Float(normEpsilon), gate: gates.map { .silu($0) } ?? .none)
        return outputs
    }
}
