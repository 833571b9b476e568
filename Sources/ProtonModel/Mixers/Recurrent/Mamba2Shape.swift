import Compute
import Support

/// A matrix of state a head that every row fades as it says, behind a short convolution of every channel (Dao and Gu,
/// "Transformers are SSMs", 2024; Model.md, "Mixers").
package struct Mamba2Shape: MixerShape {
    package static let kind = "mamba2"
    package static let letter = "m2"
    package static let argument = "STATE"
    package static func fields(of text: Substring?) -> [JSONObject.Field]? {
        guard let state = Int(text ?? "64") else { return nil }
        return [("state", .integer(state))]
    }

    /// H.
    package var heads: Int
    /// P: channels of a head. H·P is E.
    package var headSize: Int
    /// N: columns of a head's state.
    package var state: Int
    /// g, a divisor of H: H / g neighbouring heads share keys and queries.
    package var groups: Int
    /// E / D.
    package var expand: Int
    /// K: rows that the convolution sees, the own one with them.
    package var taps: Int
    package var normEpsilon: Double

    package init(
        heads: Int, headSize: Int, state: Int, groups: Int = 1, expand: Int = 2, taps: Int = 4,
        normEpsilon: Double = 1e-5
    ) {
        self.heads = heads
        self.headSize = headSize
        self.state = state
        self.groups = groups
        self.expand = expand
        self.taps = taps
        self.normEpsilon = normEpsilon
    }

    private static let expansions = 1...64
    private static let kernels = 1...256

    package init(_ fields: inout JSONFields, in model: MixerSurroundings) throws {
        heads = try model.heads(&fields)
        expand = try fields.integer("expand", in: Self.expansions, default: 2)
        let channels = expand * model.hiddenSize
        headSize = try model.headSize("head_dim", &fields, of: channels, heads: heads)
        state = try fields.integer("state")
        groups = try fields.integer("groups", default: 1)
        taps = try fields.integer("conv", default: 4)
        normEpsilon = try fields.number("norm_eps", in: MixerLimit.epsilon, default: 1e-5)
        let (made, overflow) = heads.multipliedReportingOverflow(by: headSize)
        if overflow || made != channels {
            throw fields.fault(
                "head_dim",
                "is \(headSize); num_heads \(heads) of them must make the \(channels) channels of expand \(expand)")
        }
    }

    package func impossibleField() -> (field: String, problem: String)? {
        if let found = MixerLimit.impossible(heads: heads, headSize: headSize, "head_dim")
            ?? ModelConfig.outside(groups, 1...heads, "groups")
        {
            return found
        }
        if heads % groups != 0 { return ("groups", "is \(groups), which does not divide num_heads \(heads)") }
        if let found = ModelConfig.outside(state, MixerLimit.headSize, "state") { return found }
        if groups * state > MixerLimit.width.upperBound {
            return (
                "state",
                "is \(state), which makes \(groups * state) features of all groups; at most "
                    + "\(MixerLimit.width.upperBound) work"
            )
        }
        return ModelConfig.outside(expand, Self.expansions, "expand")
            ?? ModelConfig.outside(taps, Self.kernels, "conv") ?? MixerLimit.impossible(epsilon: normEpsilon)
    }

    package var json: String {
        let fields = [
            #""kind": "\#(Self.kind)""#, #""num_heads": \#(heads)"#, #""head_dim": \#(headSize)"#,
            #""state": \#(state)"#, #""groups": \#(groups)"#, #""expand": \#(expand)"#, #""conv": \#(taps)"#,
            #""norm_eps": \#(normEpsilon)"#,
        ]
        return "{\(fields.joined(separator: ", "))}"
    }

    /// E.
    var channels: Int { heads * headSize }
    /// Of keys, and of queries: those of all groups.
    var keyWidth: Int { groups * state }
    /// What goes through the convolution: values, keys, queries.
    var convolved: Int { channels + 2 * keyWidth }

    package func tensors(width D: Int) -> [TensorDescription] {
        func uniform(_ name: String, _ shape: [Int], inputs: Int, isFactor: Bool = true) -> TensorDescription {
            TensorDescription(
                name, shape, .uniform(bound: 1 / Float(inputs).squareRoot()), isFactor: isFactor)
        }
        return [
            uniform("in_proj.weight", [channels + convolved + heads, D], inputs: D),
            uniform("conv.weight", [convolved, taps], inputs: taps, isFactor: false),
            uniform("conv.bias", [convolved], inputs: taps),
            TensorDescription("dt_bias", [heads], .inverseSoftplus(from: 1e-3, to: 0.1)),
            TensorDescription("A_log", [heads], .logUniform(from: 1, to: 16)),
            TensorDescription("D", [heads], .ones), TensorDescription("norm.weight", [channels], .ones),
            uniform("o_proj.weight", [D, channels], inputs: channels),
        ]
    }

    package var view: MixerView { .all }
    package var isStreaming: Bool { true }

    package var summary: String {
        var words = [Self.kind, "\(heads) head\(heads == 1 ? "" : "s") of \(headSize)", "state \(state)"]
        if groups > 1 { words.append("\(groups) groups") }
        if expand != 2 { words.append("expand \(expand)") }
        if taps != 4 { words.append("kernel \(taps)") }
        if normEpsilon != 1e-5 { words.append("eps \(normEpsilon)") }
        return words.joined(separator: ", ")
    }
}
