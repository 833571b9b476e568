import Support

/// Monte Carlo Attention, the published mixer. Its heads, patches and delegation are the model's, and its tensors have
/// names of their own (`TensorLayout`).
package struct MonteCarloShape: MixerShape {
    package static let kind = "monte-carlo"
    package static let letter = "m"
    package static let argument = ""
    package static func fields(of text: Substring?) -> [JSONObject.Field]? { text == nil ? [] : nil }

    package init() {}
    package init(_ fields: inout JSONFields, in model: MixerSurroundings) throws {}

    package func impossibleField() -> (field: String, problem: String)? { nil }
    package var json: String { #"{"kind": "\#(Self.kind)"}"# }
    package func tensors(width D: Int) -> [TensorDescription] { [] }
    package var view: MixerView { .patches }
    package var isStreaming: Bool { false }
    package var summary: String { Self.kind }
}
