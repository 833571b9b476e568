import Support

/// A matrix of state a head whose rows fade at rates that follow from the tokens, and inputs that are blends of a row
/// and the one before it (RWKV-6; Peng et al., "Eagle and Finch", 2024).
package struct RWKV6Shape: MixerShape {
    package static let kind = "rwkv6"
    package static let letter = "r6"
    package static let argument = ""
    package static func fields(of text: Substring?) -> [JSONObject.Field]? { text == nil ? [] : nil }

    /// H.
    package var heads: Int
    /// p, of keys and values alike: D / H.
    package var headSize: Int
    /// Of the map from a row to its blends, for each of the five.
    package var mixRank: Int
    /// Of the map from a row to its decays.
    package var decayRank: Int

    package init(heads: Int, headSize: Int, mixRank: Int = 32, decayRank: Int = 64) {
        self.heads = heads
        self.headSize = headSize
        self.mixRank = mixRank
        self.decayRank = decayRank
    }

    package init(_ fields: inout JSONFields, in model: MixerSurroundings) throws {
        heads = try model.heads(&fields)
        headSize = model.hiddenSize / heads
        mixRank = try fields.integer("mix_rank", default: 32)
        decayRank = try fields.integer("decay_rank", default: 64)
    }

    package func impossibleField() -> (field: String, problem: String)? {
        MixerLimit.impossible(heads: heads, headSize: headSize, "num_heads")
            ?? ModelConfig.outside(mixRank, MixerLimit.rank, "mix_rank")
            ?? ModelConfig.outside(decayRank, MixerLimit.rank, "decay_rank")
    }

    package func impossibleField(width D: Int) -> (field: String, problem: String)? {
        MixerLimit.impossible(heads: heads, headSize: headSize, dividing: D) ?? impossibleField()
    }

    package var json: String {
        #"{"kind": "\#(Self.kind)", "num_heads": \#(heads), "mix_rank": \#(mixRank), "decay_rank": \#(decayRank)}"#
    }

    package func tensors(width D: Int) -> [TensorDescription] { tensors(width: D, layer: 0, of: 1) }

    package func tensors(width D: Int, layer: Int, of layers: Int) -> [TensorDescription] {
        let depth = layers > 1 ? Double(layer) / Double(layers - 1) : 0
        let rest = 1 - Double(layer) / Double(max(1, layers))
        func share(_ name: String, less: Double = 0, exponent: Double) -> TensorDescription {
            TensorDescription(name, [D], .ramp(InitialRamp(first: 1 - less, rise: -1, exponent: exponent, last: D)))
        }
        func projection(_ name: String) -> TensorDescription {
            TensorDescription(name, [D, D], .xavier(gain: 1, inputs: D, outputs: D))
        }
        return [
            share("mu_x", exponent: rest), share("mu_w", exponent: rest), share("mu_k", exponent: rest),
            share("mu_v", less: 0.3 * depth, exponent: rest), share("mu_r", exponent: rest / 2),
            share("mu_g", exponent: rest / 2), TensorDescription("mix_w1", [D, 5 * mixRank], .zeros),
            TensorDescription("mix_w2", [5, mixRank, D], .uniform(bound: 0.01)),
            TensorDescription(
                "decay", [D], .ramp(InitialRamp(first: -6, rise: 5, exponent: 0.7 + 1.3 * depth, last: D - 1))),
            TensorDescription("decay_w1", [D, decayRank], .zeros),
            TensorDescription("decay_w2", [decayRank, D], .uniform(bound: 0.01)),
            TensorDescription(
                "bonus", [heads, headSize], .ramp(InitialRamp(first: depth, rise: -depth, last: D - 1, waver: 0.1))),
            projection("r_proj.weight"), projection("k_proj.weight"), projection("v_proj.weight"),
            projection("g_proj.weight"), TensorDescription("norm.weight", [D], .ones),
            TensorDescription("norm.bias", [D], .zeros), projection("o_proj.weight"),
        ]
    }

    package func factorWidths(width D: Int) -> [Int] { [D, mixRank, decayRank] }

    package var view: MixerView { .all }
    package var isStreaming: Bool { true }

    package var summary: String {
        var words = [Self.kind, "\(heads) head\(heads == 1 ? "" : "s") of \(headSize)"]
        if mixRank != 32 { words.append("mix rank \(mixRank)") }
        if decayRank != 64 { words.append("decay rank \(decayRank)") }
        return words.joined(separator: ", ")
    }
}
