import Glibc
import Support

/// A matrix of state a head that is corrected by a delta rule, with decays, rates and directions that follow from the
/// tokens (RWKV-7; Peng et al., "Goose", 2025).
package struct RWKV7Shape: MixerShape {
    package static let kind = "rwkv7"
    package static let letter = "r7"
    package static let argument = ""
    package static func fields(of text: Substring?) -> [JSONObject.Field]? { text == nil ? [] : nil }

    /// The model's first layer is a first one where it is of this kind, and no other; else all are.
    package static func fields(inLayer layer: Int, first kind: String) -> [JSONObject.Field] {
        [("first", .bool(layer == 0 || kind != Self.kind))]
    }

    /// H.
    package var heads: Int
    /// p, of keys and values alike: D / H.
    package var headSize: Int
    /// Whether its values are its own; others blend theirs with those of the model's first layer.
    package var isFirst: Bool
    // Of the maps from a row to its decays, rates, shares of the first layer's values and gates.
    package var decayRank: Int
    package var rateRank: Int
    package var valueRank: Int
    package var gateRank: Int

    package init(
        heads: Int, headSize: Int, isFirst: Bool, decayRank: Int, rateRank: Int, valueRank: Int, gateRank: Int
    ) {
        self.heads = heads
        self.headSize = headSize
        self.isFirst = isFirst
        self.decayRank = decayRank
        self.rateRank = rateRank
        self.valueRank = valueRank
        self.gateRank = gateRank
    }

    package init(_ fields: inout JSONFields, in model: MixerSurroundings) throws {
        heads = try model.heads(&fields)
        headSize = model.hiddenSize / heads
        guard fields.has("first") else { throw fields.fault("first", "the field is missing") }
        isFirst = try fields.bool("first", default: true)
        /// A multiple of 32 near `factor`·√D, as its authors suggest.
        func rank(_ name: String, _ factor: Double) throws -> Int {
            let suggested = 32 * Int((factor * Double(model.hiddenSize).squareRoot() / 32).rounded(.toNearestOrEven))
            return try fields.integer(name, default: max(32, suggested))
        }
        decayRank = try rank("decay_rank", 2.5)
        rateRank = try rank("rate_rank", 2.5)
        valueRank = try rank("value_rank", 1.7)
        gateRank = try rank("gate_rank", 5)
    }

    private var ranks: [(name: String, value: Int)] {
        [("decay_rank", decayRank), ("rate_rank", rateRank), ("value_rank", valueRank), ("gate_rank", gateRank)]
    }

    package func impossibleField() -> (field: String, problem: String)? {
        if let found = MixerLimit.impossible(heads: heads, headSize: headSize, "num_heads") { return found }
        for rank in ranks {
            if let found = ModelConfig.outside(rank.value, MixerLimit.rank, rank.name) { return found }
        }
        return nil
    }

    package func impossibleField(width D: Int) -> (field: String, problem: String)? {
        MixerLimit.impossible(heads: heads, headSize: headSize, dividing: D) ?? impossibleField()
    }

    package func impossibleField(block: Int, of mixers: [LayerMixer], recurrence: Int) -> (
        field: String, problem: String
    )? {
        if isFirst { return nil }
        let needs = "is false, and the layer needs the values of the model's first layer"
        guard block > 0, let first = mixers.first?.shape as? RWKV7Shape, first.isFirst else {
            return ("first", "\(needs), which must be \(Self.kind) with \"first\" true")
        }
        if recurrence > 1 {
            return ("first", "\(needs), which has no one value a token where recurrence is \(recurrence)")
        }
        // Of another layer they could not be computed from the tokens alone.
        let other = mixers[1..<block].firstIndex { ($0.shape as? RWKV7Shape)?.isFirst == true }
        return other.map { ("first", "\(needs), but mixers.\($0) before it is a first one too") }
    }

    package var json: String {
        let fields =
            [#""kind": "\#(Self.kind)""#, #""num_heads": \#(heads)"#, #""first": \#(isFirst)"#]
            + ranks.map { "\"\($0.name)\": \($0.value)" }
        return "{\(fields.joined(separator: ", "))}"
    }

    package func tensors(width D: Int) -> [TensorDescription] { tensors(width: D, layer: 0, of: 1) }

    package func tensors(width D: Int, layer: Int, of layers: Int) -> [TensorDescription] {
        let depth = layers > 1 ? Double(layer) / Double(layers - 1) : 0
        let rest = 1 - Double(layer) / Double(max(1, layers))
        func share(_ name: String, _ exponent: Double) -> TensorDescription {
            TensorDescription(
                "mu_\(name)", [D], .ramp(InitialRamp(first: 1, rise: -1, exponent: exponent * rest, last: D)))
        }
        func ramp(_ name: String, _ first: Double, _ rise: Double, exponent: Double = 1, bow: Double = 0)
            -> TensorDescription
        {
            TensorDescription(
                name, [D],
                .ramp(
                    InitialRamp(
                        first: first, rise: rise, exponent: exponent, last: D - 1, bow: bow, period: headSize)))
        }
        func through(_ name: String, _ rank: Int) -> [TensorDescription] {
            [
                TensorDescription("\(name)_w1", [D, rank], .zeros),
                TensorDescription("\(name)_w2", [rank, D], .orthogonal(scale: 0.1)),
            ]
        }
        func projection(_ name: String, _ gain: Double) -> TensorDescription {
            TensorDescription("\(name)_proj.weight", [D, D], .uniform(bound: Float(gain / Double(D).squareRoot())))
        }
        var tensors = [
            share("r", 0.2), share("w", 0.9), share("k", 0.7), share("v", 0.7), share("a", 0.9), share("g", 0.2),
        ]
        // Straight lines go from half their rise below to half of it above.
        tensors += [ramp("decay", -5.5, 6, exponent: 1 + pow(depth, 0.3), bow: 2.5)] + through("decay", decayRank)
        tensors += [ramp("rate", -0.39, 0.4, bow: 0.3)] + through("rate", rateRank)
        if !isFirst { tensors += [ramp("value", 0.93, -0.4)] + through("value", valueRank) }
        return tensors + through("gate", gateRank) + [
            ramp("k_k", 0.76, -0.1), ramp("k_a", 1.02, 0),
            TensorDescription("r_k", [heads, headSize], .ramp(InitialRamp(first: -0.04, rise: 0, last: 1))),
            projection("r", 0.5), projection("k", 0.05), projection("v", 0.5),
            TensorDescription("norm.weight", [D], .ones), TensorDescription("norm.bias", [D], .zeros),
            TensorDescription("o_proj.weight", [D, D], .zeros),
        ]
    }

    package func factorWidths(width D: Int) -> [Int] {
        [D, decayRank, rateRank, gateRank] + (isFirst ? [] : [valueRank])
    }

    package var view: MixerView { .all }
    package var isStreaming: Bool { true }

    package var summary: String {
        let words = [
            Self.kind + (isFirst ? ", values its own" : ""), "\(heads) head\(heads == 1 ? "" : "s") of \(headSize)",
            "ranks " + ranks.map { String($0.value) }.joined(separator: " "),
        ]
        return words.joined(separator: ", ")
    }
}
