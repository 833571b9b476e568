import Compute
import Glibc
import Support

/// A matrix of state a head that fades at a rate of its own, the slower the later the layer, and a linear gate (Qin et
/// al., "TransNormerLLM", 2023; Model.md, "Mixers").
package struct TransNormerShape: MixerShape {
    package static let kind = "transnormer"
    package static let letter = "t"
    package static let argument = "lrpe"
    package static func fields(of text: Substring?) -> [JSONObject.Field]? {
        guard text == nil || text == "lrpe" else { return nil }
        return text == nil ? [] : [("lrpe", .bool(true))]
    }

    /// H.
    package var heads: Int
    /// dh, of queries, keys and values.
    package var headSize: Int
    /// Its place among how many layers, from 0: the decay follows from it.
    package var layer: Int
    package var layers: Int
    /// Whether queries and keys are turned by learned angles, for which they are twice as wide.
    package var hasAngles: Bool
    package var normEpsilon: Double

    package init(
        heads: Int, headSize: Int, layer: Int, layers: Int, hasAngles: Bool = false, normEpsilon: Double = 1e-6
    ) {
        self.heads = heads
        self.headSize = headSize
        self.layer = layer
        self.layers = layers
        self.hasAngles = hasAngles
        self.normEpsilon = normEpsilon
    }

    package init(_ fields: inout JSONFields, in model: MixerSurroundings) throws {
        heads = try model.heads(&fields)
        headSize = try model.headSize("head_dim", &fields, of: model.hiddenSize, heads: heads)
        layer = try fields.integer("layer", default: model.place?.layer)
        // Decays are of a model with two layers at least.
        layers = try fields.integer("layers", default: model.place.map { max(2, $0.layers) })
        hasAngles = try fields.bool("lrpe", default: false)
        normEpsilon = try fields.number("norm_eps", in: MixerLimit.epsilon, default: 1e-6)
    }

    package func impossibleField() -> (field: String, problem: String)? {
        if let found = MixerLimit.impossible(heads: heads, headSize: headSize, "head_dim")
            ?? ModelConfig.outside(layers, 2...MixerLimit.layers, "layers")
        {
            return found
        }
        guard (0..<layers).contains(layer) else {
            return ("layer", "is \(layer); must be 0 to \(layers - 1), where layers is \(layers)")
        }
        return MixerLimit.impossible(epsilon: normEpsilon)
    }

    package var json: String {
        let fields = [
            #""kind": "\#(Self.kind)""#, #""num_heads": \#(heads)"#, #""head_dim": \#(headSize)"#,
            #""layer": \#(layer)"#, #""layers": \#(layers)"#, #""lrpe": \#(hasAngles)"#,
            #""norm_eps": \#(normEpsilon)"#,
        ]
        return "{\(fields.joined(separator: ", "))}"
    }

    package func tensors(width D: Int) -> [TensorDescription] {
        let features = heads * headSize
        let projections = ["q_proj", "k_proj", "v_proj", "g_proj"].map {
            TensorDescription("\($0).weight", [features, D], .normal(deviation: 0.02))
        }
        let theta = TensorDescription(
            "theta", [heads, headSize], .geometric(base: 10_000), isFactor: false)
        return projections + (hasAngles ? [theta] : [])
            + [TensorDescription("o_proj.weight", [D, features], .normal(deviation: 0.02))]
    }

    package var view: MixerView { .all }
    package var isStreaming: Bool { true }

    package var summary: String {
        var words = [
            Self.kind, "\(heads) head\(heads == 1 ? "" : "s") of \(headSize)", "decays of layer \(layer) of \(layers)",
        ]
        if hasAngles { words.append("lrpe") }
        if normEpsilon != 1e-6 { words.append("eps \(normEpsilon)") }
        return words.joined(separator: ", ")
    }
}

extension TransNormerShape: RecurrentShape {
    /// With angles, a pair for every feature: the feature and 0 before they are turned.
    var stateKeySize: Int { hasAngles ? 2 * headSize : headSize }
    var stateValueSize: Int { headSize }
    var outputSize: Int { headSize }

    /// The slopes of ALiBi: of a power P of two heads 2^(-8 (h+1) / P); of others those of the next lower power, then
    /// every second one of the next higher power.
    var slopes: [Double] {
        let power = 1 << (Int.bitWidth - 1 - heads.leadingZeroBitCount)
        return (0..<heads).map { head in
            exp2(
                head < power
                    ? -8 * Double(head + 1) / Double(power) : -8 * Double(2 * (head - power) + 1) / Double(2 * power))
        }
    }

    var decays: [Double] {
        let share = 1 - Double(layer) / Double(layers - 1) + 1e-5
        return slopes.map { exp(-$0 * share) }
    }

    var featureFunction: RowFunction? { .silu }
    var isGated: Bool { true }
    /// All heads are turned as one, for each has angles of its own.
    var rotatedSize: Int? { hasAngles ? 2 * heads * headSize : nil }

    func parts(_ tensor: TensorReader, width D: Int, on backend: any Backend) throws -> RecurrenceParts {
        let (make, features) = (MatrixMaker(tensor: tensor, width: D, backend: backend), heads * headSize)
        func pairs(_ name: String) throws -> any Matrix {
            hasAngles
                ? try make.spaced(name, outputs: features, gap: 1) : try make.projection(name, outputs: features)
        }
        var rotation: RotationTables?
        if hasAngles {
            let theta = try tensor("mixer.theta")
            rotation = try RotationTables(
                headSize: 2 * features, frequencies: (0..<features).map { Double(theta[$0]) }, isInterleaved: true)
        }
        return RecurrenceParts(
            query: try pairs("mixer.q_proj.weight"), key: try pairs("mixer.k_proj.weight"),
            value: try make.projection("mixer.v_proj.weight", outputs: features),
            gate: try make.projection("mixer.g_proj.weight", outputs: features),
            output: try make.output(inputs: features), norm: nil, rotation: rotation)
    }

    func partBytes(width D: Int) -> Int {
        hasAngles ? MatrixMaker.spacedBytes(rows: heads * stateKeySize, width: D) : 0
    }

    func read(_ outputs: Rows, gates: Rows?, norm: RowWeights?, room: Rows, on lane: any Lane) -> Rows {
        // One norm over the features of all heads.
        lane.gateHeads(
            outputs, heads: 1, weight: nil, epsilon: Float(normEpsilon), gate: gates.map { .linear($0) } ?? .none)
        return outputs
    }
}
