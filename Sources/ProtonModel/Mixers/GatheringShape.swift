import Compute
import Geometry
import Support

/// The shape of a mixer whose rows need others from beyond their block, in memory or on disk, and what it takes to make
/// one. The engine asks for nothing else, and names no kind.
protocol GatheringShape: MixerShape {
    /// The mixer of one layer.
    ///
    /// - Parameter tensor: of the layer's block.
    func gatheringMixer(
        _ tensor: TensorReader, _ config: ModelConfig, geometry: SequenceGeometry, on backend: any Backend
    ) throws -> any GatheringMixer

    /// What a pass that begins with it reads.
    func access(_ config: ModelConfig) -> any Access

    /// What a lane is asked for.
    func gatheringNeeds(_ config: ModelConfig) -> LaneNeeds

    /// Bytes of the weights, and of what preparing them takes.
    func gatheringWeightBytes(_ config: ModelConfig, on backend: any Backend) -> Int

    /// Bytes of what a window of `rows` rows gathers.
    func answerBytes(_ config: ModelConfig, rows: Int, isOnce: Bool) -> Int
}
