import Support

/// Monte Carlo Attention, the published mixer. Its heads, patches and delegation are the model's, and its tensors have
/// names of their own (`TensorLayout`).
public struct MonteCarloShape: MixerShape {
    public static let kind = "monte-carlo"
    public static let letter = "m"
    public static let argument = ""
    public static func fields(of text: Substring?) -> [JSONObject.Field]? { text == nil ? [] : nil }

    public init() {}
    public init(_ fields: inout JSONFields, in model: MixerSurroundings) throws {}

    public func impossibleField() -> (field: String, problem: String)? { nil }
    public var json: String { #"{"kind": "\#(Self.kind)"}"# }
    public func tensors(width D: Int) -> [TensorDescription] { [] }
    public var view: MixerView { .patches }
    public var isStreaming: Bool { false }
    public var summary: String { Self.kind }
}
