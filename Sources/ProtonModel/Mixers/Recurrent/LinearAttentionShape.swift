import Compute
import Support

/// Attention without soft-max: a matrix of state a head that forgets nothing (Katharopoulos et al., "Transformers are
/// RNNs", 2020; Model.md, "Mixers").
package struct LinearAttentionShape: MixerShape {
    /// φ, what queries and keys go through.
    package enum FeatureMap: String, Sendable, CaseIterable {
        case eluPlusOne = "elu+1"
        case identity
    }

    package static let kind = "linear-attention"
    package static let letter = "l"
    package static let argument = ""
    package static func fields(of text: Substring?) -> [JSONObject.Field]? {
        text == nil ? [("normalize", .bool(true))] : nil
    }

    /// H.
    package var heads: Int
    /// dk, of queries and keys.
    package var keySize: Int
    /// dv.
    package var valueSize: Int
    package var featureMap: FeatureMap
    /// Whether what a query reads is divided by how much there is for it.
    package var isNormalized: Bool
    package var normEpsilon: Double

    package init(
        heads: Int, keySize: Int, valueSize: Int, featureMap: FeatureMap = .eluPlusOne, isNormalized: Bool = false,
        normEpsilon: Double = 1e-5
    ) {
        self.heads = heads
        self.keySize = keySize
        self.valueSize = valueSize
        self.featureMap = featureMap
        self.isNormalized = isNormalized
        self.normEpsilon = normEpsilon
    }

    package init(_ fields: inout JSONFields, in model: MixerSurroundings) throws {
        heads = try model.heads(&fields)
        keySize = try model.headSize("head_k_dim", &fields, of: model.hiddenSize, heads: heads)
        valueSize = try model.headSize("head_v_dim", &fields, of: model.hiddenSize, heads: heads)
        featureMap = try fields.choice("feature_map", default: .eluPlusOne)
        isNormalized = try fields.bool("normalize", default: false)
        normEpsilon = try fields.number("norm_eps", in: MixerLimit.epsilon, default: 1e-5)
    }

    package func impossibleField() -> (field: String, problem: String)? {
        MixerLimit.impossible(heads: heads, headSize: keySize, "head_k_dim")
            ?? MixerLimit.impossible(heads: heads, headSize: valueSize, "head_v_dim")
            ?? MixerLimit.impossible(epsilon: normEpsilon)
    }

    package var json: String {
        let fields = [
            #""kind": "\#(Self.kind)""#, #""num_heads": \#(heads)"#, #""head_k_dim": \#(keySize)"#,
            #""head_v_dim": \#(valueSize)"#, #""feature_map": "\#(featureMap.rawValue)""#,
            #""normalize": \#(isNormalized)"#, #""norm_eps": \#(normEpsilon)"#,
        ]
        return "{\(fields.joined(separator: ", "))}"
    }

    /// Outputs of identical features that nothing divides have no scale of their own: they need the norm.
    private var needsNorm: Bool { featureMap == .identity && !isNormalized }

    package func tensors(width D: Int) -> [TensorDescription] {
        let (keys, values, gain) = (heads * keySize, heads * valueSize, 0.25 * 0.5.squareRoot())
        return [
            TensorDescription(xavier: "q_proj.weight", [keys, D], gain: gain),
            TensorDescription(xavier: "k_proj.weight", [keys, D], gain: gain),
            TensorDescription(xavier: "v_proj.weight", [values, D], gain: gain),
            TensorDescription("norm.weight", [valueSize], .ones, isOptional: !needsNorm),
            TensorDescription(xavier: "o_proj.weight", [D, values], gain: gain),
        ]
    }

    package var view: MixerView { .all }
    package var isStreaming: Bool { true }

    package var summary: String {
        var words = [Self.kind, "\(heads) head\(heads == 1 ? "" : "s") of \(keySize) keys and \(valueSize) values"]
        words.append(featureMap.rawValue)
        if isNormalized { words.append("normalized") }
        if normEpsilon != 1e-5 { words.append("eps \(normEpsilon)") }
        return words.joined(separator: ", ")
    }
}

extension LinearAttentionShape: RecurrentShape {
    var stateKeySize: Int { keySize }
    /// One more where outputs are divided: a value that is always 1, whose sums are those of the keys.
    var stateValueSize: Int { valueSize + (isNormalized ? 1 : 0) }
    var outputSize: Int { valueSize }
    var decays: [Double] { Array(repeating: 1, count: heads) }
    var featureFunction: RowFunction? { featureMap == .identity ? nil : .eluPlusOne }
    var isGated: Bool { false }
    var rotatedSize: Int? { nil }

    func parts(_ tensor: TensorReader, width D: Int, on backend: any Backend) throws -> RecurrenceParts {
        let (make, keys, values) = (
            MatrixMaker(tensor: tensor, width: D, backend: backend), heads * keySize, heads * valueSize
        )
        let value = "mixer.v_proj.weight"
        return RecurrenceParts(
            query: try make.projection("mixer.q_proj.weight", outputs: keys),
            key: try make.projection("mixer.k_proj.weight", outputs: keys),
            // 1/√dk of the queries is a factor of the outputs; where these are divided, of both sides.
            value: isNormalized
                ? try make.spaced(value, outputs: values, run: valueSize, gap: 1, filling: 1)
                : try make.spaced(value, outputs: values, scale: 1 / Float(keySize).squareRoot()),
            gate: nil, output: try make.output(inputs: values), norm: try make.norm(size: valueSize), rotation: nil)
    }

    func partBytes(width D: Int) -> Int {
        4 * valueSize + MatrixMaker.spacedBytes(rows: heads * stateValueSize, width: D)
    }

    func read(_ outputs: Rows, gates: Rows?, norm: RowWeights?, room: Rows, on lane: any Lane) -> Rows {
        var read = outputs
        if isNormalized {
            lane.divideHeads(outputs, heads: heads, epsilon: 1e-10 * Float(keySize).squareRoot(), into: room)
            read = room
        }
        if let norm {
            lane.gateHeads(read, heads: heads, weight: norm, epsilon: Float(normEpsilon), gate: .none)
        }
        return read
    }
}
