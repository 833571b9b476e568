import Compute
import Geometry
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
    package var hasBidirectionalForm: Bool { true }
    package var summary: String { Self.kind }
}

extension MonteCarloShape: GatheringShape {
    func gatheringMixer(
        _ tensor: TensorReader, _ config: ModelConfig, geometry: SequenceGeometry, on backend: any Backend
    ) throws -> any GatheringMixer {
        try DelegateMixer(tensor, config, geometry: geometry, on: backend)
    }

    func access(_ config: ModelConfig) -> any Access { DelegateAccess(isCausal: config.isCausal) }

    func gatheringNeeds(_ config: ModelConfig) -> LaneNeeds { DelegateMixer.needs(config, patchSize: config.patchSize) }

    func gatheringWeightBytes(_ config: ModelConfig, on backend: any Backend) -> Int {
        DelegateMixer.weightBytes(config, on: backend)
            + (config.delegation == .selective ? DelegateScore.footprint(config, on: backend) : 0)
    }

    func answerBytes(_ config: ModelConfig, rows: Int, isOnce: Bool) -> Int {
        DelegateAnswers.footprint(config, rows: rows, isOnce: isOnce)
    }
}
