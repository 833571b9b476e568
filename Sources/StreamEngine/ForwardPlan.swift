import Geometry
import PageStore
import ProtonModel
import Support

/// What a forward run is going to do, stated before it starts.
public struct ForwardPlan: Sendable {
    public var geometry: SequenceGeometry
    public var config: ModelConfig
    /// What `model init` wrote into untrained weights.
    public var untrained: String?
    public var state: Element
    public var keep: ForwardOptions.Keep
    public var threads: Int
    public var kernels: String
    public var budget: Int
    public var set: WorkingSet
    /// The layer that the run begins with: 1, or the first one not complete.
    public var firstLayer: Int
    /// Bytes it will still write at its peak, and bytes free.
    public var diskNeeded: Int
    public var diskFree: Int

    /// States are taken to shrink by this factor: bf16 states of untrained models were seen to shrink by 1.5.
    static func expectedRatio(_ state: Element) -> Double { state == .bf16 ? 1.2 : 1.05 }

    /// Disk that the run takes beyond what the store holds already: the generations that exist at once at the peak,
    /// surprisal, and less what the run began with has written.
    static func diskNeeded(geometry: SequenceGeometry, config: ModelConfig, state: Element, keep: ForwardOptions.Keep, alreadyThere: Int) -> Int {
        let generation = Double(geometry.paddedTokens) * Double(config.hiddenSize * state.size) / expectedRatio(state)
        let written = keep == .none ? config.layers - 1 : config.layers
        let atOnce = keep == .all ? written : min(2, written)
        let bytes = generation * Double(atOnce) + Double(geometry.paddedTokens) * 4 + 1_048_576
        return bytes < 9e18 ? max(0, Int(bytes) - alreadyThere) : Int.max
    }
}
