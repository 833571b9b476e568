import Support

/// Complex states of every feature that fade and turn at fixed rates of their own (Gu et al., 2022).
package struct S4DShape: MixerShape {
    package static let kind = "s4d"
    package static let letter = "d"
    package static let argument = "STATES"

    /// D.
    package var hiddenSize: Int
    /// N, even: real numbers of the N / 2 complex states of a feature.
    package var states: Int

    package init(hiddenSize: Int, states: Int) {
        self.hiddenSize = hiddenSize
        self.states = states
    }

    package static func fields(of text: Substring?) -> [JSONObject.Field]? {
        Int(text ?? "64").map { [("state", .integer($0))] }
    }

    package init(_ fields: inout JSONFields, in model: MixerSurroundings) throws {
        hiddenSize = model.hiddenSize
        states = try fields.integer("state")
    }

    package func impossibleField() -> (field: String, problem: String)? {
        if let found = ModelConfig.outside(states, 2...65_536, "state") { return found }
        return states % 2 == 0 ? nil : ("state", "is \(states); it counts both parts of complex numbers, and is even")
    }

    package var json: String { #"{"kind": "\#(Self.kind)", "state": \#(states)}"# }

    package func tensors(width D: Int) -> [TensorDescription] {
        let modes = states / 2, bound = 1 / Float(hiddenSize).squareRoot()
        return [
            TensorDescription("log_dt", [hiddenSize], .uniformLogarithm(from: 0.001, to: 0.1)),
            TensorDescription(
                "log_A_real", [hiddenSize, modes], .constant(-0.6931471805599453), isFactor: false),
            TensorDescription(
                "A_imag", [hiddenSize, modes], .multiples(of: Double.pi, count: modes), isFactor: false),
            TensorDescription("C", [hiddenSize, modes, 2], .normal(deviation: Float(0.5).squareRoot())),
            TensorDescription("D", [hiddenSize], .normal(deviation: 1)),
            TensorDescription("o_proj.weight", [2 * D, hiddenSize], .uniform(bound: bound)),
            TensorDescription("o_proj.bias", [2 * D], .uniform(bound: bound)),
        ]
    }

    package var view: MixerView { .all }
    package var isStreaming: Bool { true }
    package var summary: String { "\(Self.kind), \(states / 2) complex state\(states == 2 ? "" : "s") a feature" }
}
