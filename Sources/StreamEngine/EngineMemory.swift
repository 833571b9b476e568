import Geometry
import PageStore
import ProtonModel
import Support

/// The memory that a run's layers share. `WorkingSetNeeds` prices every part of it.
final class EngineMemory {
    /// [K-1 + W·P + L, D] each: the carry, then a window: first the attention of its delegates, then s.
    let s: [Memory<Float>]
    /// Blocks on their way from arithmetic to the store.
    let outgoing: [OutgoingBlock]
    /// Columns of the generation that is read; where both generations fit, the two of them.
    let states: [Memory<UInt8>]
    /// [W·P, D]: answers to local rows, where hosts are visited once for them and for delegates.
    let answers: Memory<Float>
    let targets: TargetTokens

    init(_ needs: WorkingSetNeeds, _ set: WorkingSet) throws {
        let (P, D, K) = (needs.geometry.patchSize, needs.config.hiddenSize, needs.config.kernelSize)
        s = try (0..<set.windowsInFlight).map { _ in try Memory((K - 1 + set.windowPatches * P + Tiling(patchSize: P).rows) * D) }
        outgoing = try (0..<set.blocksInFlight).map { _ in try OutgoingBlock(needs, set) }
        states = try (0..<(set.isResident ? 2 : 1)).map { _ in try Memory(set.statesBytes) }
        answers = try Memory(set.visitsOnce ? set.windowPatches * P * D : 0)
        targets = try TargetTokens(blockBytes: needs.tokenBlockBytes, geometry: needs.geometry)
    }
}

/// One block's results between the feed-forward and the store.
final class OutgoingBlock {
    /// P columns of new states, unless the whole generation stays in memory.
    let staged: Memory<UInt8>
    let pages: PageEncoder
    let surprisalPages: PageEncoder
    /// [T·P + 1]: the block's tokens and the one after.
    let tokens: Memory<UInt16>
    /// [T·P + 1]: surprisal of the same tokens.
    let bits: Memory<Float>
    /// [P, T]: surprisal as columns.
    let bitColumns: Memory<Float>
    /// How far the layer is with this block.
    var progress: RunProgress

    init(_ needs: WorkingSetNeeds, _ set: WorkingSet) throws {
        let (P, D, K, T) = (needs.geometry.patchSize, needs.config.hiddenSize, needs.config.kernelSize, set.patchesPerBlock)
        staged = try Memory(set.isResident ? 0 : T * P * D * needs.state.size)
        pages = try PageEncoder(largest: PageHeader(element: needs.state, generation: 1, block: 0, firstPatch: 0, patches: T, columns: P, width: D))
        surprisalPages = try PageEncoder(largest: PageHeader(element: .f32, generation: 1, block: 0, firstPatch: 0, patches: T, columns: P, width: 1))
        tokens = try Memory(T * P + 1)
        bits = try Memory(T * P + 1)
        bitColumns = try Memory(T * P)
        progress = RunProgress(carryValues: (K - 1) * D)
    }
}
