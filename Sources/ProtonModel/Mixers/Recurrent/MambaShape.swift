import Compute
import Support

/// States of every channel that fade by what the row says, between a projection and a gate (Gu and Dao, 2023).
package struct MambaShape: MixerShape {
    package static let kind = "mamba"
    package static let letter = "s"
    package static let argument = "STATES"

    /// D.
    package var hiddenSize: Int
    /// N: states of every channel.
    package var states: Int
    /// Channels for each of the D values of a row.
    package var expansion: Int
    /// K: rows that a channel's convolution sees, its own among them.
    package var taps: Int
    /// Values that a row's steps are made of.
    package var rank: Int

    package init(hiddenSize: Int, states: Int, expansion: Int = 2, taps: Int = 4, rank: Int? = nil) {
        self.hiddenSize = hiddenSize
        self.states = states
        self.expansion = expansion
        self.taps = taps
        self.rank = rank ?? (hiddenSize + 15) / 16
    }

    /// E.
    package var channels: Int { expansion * hiddenSize }

    package static func fields(of text: Substring?) -> [JSONObject.Field]? {
        Int(text ?? "16").map { [("state", .integer($0))] }
    }

    package init(_ fields: inout JSONFields, in model: MixerSurroundings) throws {
        hiddenSize = model.hiddenSize
        states = try fields.integer("state")
        expansion = try fields.integer("expand", default: 2)
        taps = try fields.integer("conv", default: 4)
        rank = try fields.integer("dt_rank", default: (model.hiddenSize + 15) / 16)
    }

    package func impossibleField() -> (field: String, problem: String)? {
        // Rows before a tile that its convolutions see are in the tile before it.
        if let found = ModelConfig.outside(states, 1...SelectionRates.statesLimit, "state")
            ?? ModelConfig.outside(expansion, 1...65_536, "expand") ?? ModelConfig.outside(taps, 1...256, "conv")
            ?? ModelConfig.outside(rank, MixerLimit.headSize, "dt_rank")
        {
            return found
        }
        let most = MixerLimit.width.upperBound
        let (channels, overflow) = expansion.multipliedReportingOverflow(by: hiddenSize)
        guard overflow || channels > most else { return nil }
        return ("expand", "is \(expansion), which makes more than \(most) channels of hidden_size \(hiddenSize)")
    }

    package var json: String {
        let fields = [
            #""kind": "\#(Self.kind)""#, #""state": \#(states)"#, #""expand": \#(expansion)"#, #""conv": \#(taps)"#,
            #""dt_rank": \#(rank)"#,
        ]
        return "{\(fields.joined(separator: ", "))}"
    }

    package func tensors(width D: Int) -> [TensorDescription] {
        let E = channels
        func matrix(_ name: String, _ outputs: Int, _ inputs: Int) -> TensorDescription {
            TensorDescription(name, [outputs, inputs], .uniform(bound: 1 / Float(inputs).squareRoot()))
        }
        let convolution = InitialValues.uniform(bound: 1 / Float(taps).squareRoot())
        return [
            matrix("in_proj.weight", 2 * E, D),
            TensorDescription("conv.weight", [E, taps], convolution, isFactor: false),
            TensorDescription("conv.bias", [E], convolution),
            matrix("x_proj.weight", rank + 2 * states, E), matrix("dt_proj.weight", E, rank),
            TensorDescription("dt_proj.bias", [E], .inverseSoftplus(from: 0.001, to: 0.1)),
            TensorDescription("A_log", [E, states], .logarithms(count: states), isFactor: false),
            TensorDescription("D", [E], .ones), matrix("o_proj.weight", D, E),
        ]
    }

    package var view: MixerView { .all }
    package var isStreaming: Bool { true }

    package var summary: String {
        var words = ["\(Self.kind), \(channels) channels of \(states) states", "kernel \(taps)"]
        if rank != (hiddenSize + 15) / 16 { words.append("rank \(rank)") }
        return words.joined(separator: ", ")
    }
}
