import Geometry
import PageStore
import ProtonModel
import Support

/// The memory that a run's layers share. `WorkingSetNeeds` prices every part of it.
final class EngineMemory {
    /// [before + W·P + after, D] each (`ModelConfig.reach`): the carry, then a window: first the attention of its
    /// delegates, then s; and the rows of the next window that its last ones see.
    let s: [Memory<Float>]
    /// Blocks on their way from arithmetic to the store.
    let outgoing: [OutgoingBlock]
    /// Columns of the generation that is read; where both generations fit, the two of them.
    let states: [Memory<UInt8>]
    /// [N] each: the token indices of the rows of generations in memory.
    let orders: [Memory<UInt16>]
    /// [W·P, D]: answers to local rows, where hosts are visited once for them and for delegates.
    let answers: Memory<Float>
    let targets: TargetTokens

    init(_ needs: WorkingSetNeeds, _ set: WorkingSet) throws {
        let (P, D) = (needs.geometry.patchSize, needs.config.hiddenSize)
        let reach = needs.config.reach
        s = try (0..<set.windowsInFlight).map { _ in
            try Memory((reach.before + set.windowPatches * P + reach.after) * D)
        }
        outgoing = try (0..<set.blocksInFlight).map { _ in try OutgoingBlock(needs, set) }
        states = try (0..<(set.isResident ? 2 : 1)).map { _ in try Memory(set.statesBytes) }
        let isOrdered = needs.config.delegation != .transpose
        orders = try (0..<(set.isResident && isOrdered ? 2 : 0)).map { _ in try Memory(needs.geometry.paddedTokens) }
        answers = try Memory(set.visitsOnce ? set.windowPatches * P * D : 0)
        targets = try TargetTokens(blockRows: needs.tokenBlockRows, isOrdered: isOrdered, geometry: needs.geometry)
    }
}

/// One block's results between the feed-forward and the store.
final class OutgoingBlock {
    /// P columns of new states, unless the whole generation stays in memory.
    let staged: Memory<UInt8>
    /// [P, T]: the token indices of their rows; empty where tokens stand in their own order.
    let indices: Memory<UInt16>
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
        let (P, D, T) = (needs.geometry.patchSize, needs.config.hiddenSize, set.patchesPerBlock)
        staged = try Memory(set.isResident ? 0 : T * P * D * needs.state.size)
        indices = try Memory(!set.isResident && needs.config.delegation != .transpose ? T * P : 0)
        pages = try PageEncoder(largest: needs.largestPage(.states, T: T))
        surprisalPages = try PageEncoder(largest: needs.largestPage(.surprisal, T: T))
        tokens = try Memory(T * P + 1)
        bits = try Memory(T * P + 1)
        bitColumns = try Memory(T * P)
        progress = RunProgress(carryValues: needs.config.reach.before * D)
    }
}
