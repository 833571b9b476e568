import Compute
import Geometry
import PageStore
import ProtonModel
import Support

/// The memory that a run's passes share. Every owner says what it takes beside how it takes it.
final class EngineMemory: Sendable {
    /// Columns of the generation that is read; where both generations fit, the two of them.
    let states: [Memory<UInt8>]
    /// [N] each: the token indices of the rows of generations in memory.
    let orders: [Memory<UInt16>]
    /// Blocks on their way from arithmetic to the store.
    let outgoing: [OutgoingBlock]
    /// s of the layer that gathers; nil where none does.
    let mixed: MixedRows?
    let targets: TargetTokens

    init(_ needs: WorkingSetNeeds, _ set: WorkingSet) throws {
        states = try (0..<(set.isResident ? 2 : 1)).map { _ in try Memory(set.statesBytes) }
        orders = try (0..<(Self.orderBytes(needs, set) > 0 ? 2 : 0)).map { _ in
            try Memory(needs.geometry.paddedTokens)
        }
        outgoing = try (0..<set.blocksInFlight).map { _ in try OutgoingBlock(needs, set) }
        mixed = needs.config.hasGathering ? try MixedRows(needs, set) : nil
        targets = try TargetTokens(
            blockRows: needs.tokenBlockRows, isOrdered: needs.areTokensOrdered, geometry: needs.geometry)
    }

    /// Bytes of the orders of two generations.
    static func orderBytes(_ needs: WorkingSetNeeds, _ set: WorkingSet) -> Int {
        set.isResident && needs.isOrdered ? 2 * 2 * min(needs.geometry.paddedTokens, Int.max / 8) : 0
    }
}

/// s of a layer, in spans: a stretch each, or where rows see what comes after them a window each. Before a span's rows
/// the rows of the span before that its own see, after them those of the next one.
final class MixedRows: Sendable {
    /// [before + rows + after, D] each (`ModelConfig.reach`).
    let spans: [Rows]

    init(_ needs: WorkingSetNeeds, _ set: WorkingSet) throws {
        spans = try (0..<Self.count(needs, set)).map { _ in
            try needs.sizes.backend.rows(Self.rows(needs, set), width: needs.config.hiddenSize)
        }
    }

    private static func rows(_ needs: WorkingSetNeeds, _ set: WorkingSet) -> Int {
        let reach = needs.config.reach
        let patches = reach.after > 0 ? set.windowPatches : set.stretchPatches
        return reach.before + patches * needs.P + reach.after
    }

    private static func count(_ needs: WorkingSetNeeds, _ set: WorkingSet) -> Int {
        needs.config.reach.after > 0 ? set.windowsInFlight : set.stretchesInFlight
    }

    static func footprint(_ needs: WorkingSetNeeds, _ set: WorkingSet) -> Int {
        count(needs, set) * rows(needs, set) * needs.config.hiddenSize * 4
    }
}

/// One block's results between the feed-forward and the store.
///
/// Sendable because the stages of one block have it at a time, each after the one before: what changes here, carries
/// and progress, only tasks of stages that follow one another touch.
final class OutgoingBlock: @unchecked Sendable {
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
    /// What each layer of the pass carries on from here.
    var carries: [[UInt8]] = []
    /// How far the pass is with this block.
    var progress = RunProgress()

    init(_ needs: WorkingSetNeeds, _ set: WorkingSet) throws {
        let (P, T) = (needs.P, set.patchesPerBlock)
        staged = try Memory(Self.stagedBytes(needs, set))
        indices = try Memory(!set.isResident && needs.isOrdered ? T * P : 0)
        pages = try PageEncoder(largest: needs.largestPage(.states, T: T))
        surprisalPages = try PageEncoder(largest: needs.largestPage(.surprisal, T: T))
        tokens = try Memory(T * P + 1)
        bits = try Memory(T * P + 1)
        bitColumns = try Memory(T * P)
    }

    private static func stagedBytes(_ needs: WorkingSetNeeds, _ set: WorkingSet) -> Int {
        set.isResident ? 0 : set.patchesPerBlock * needs.P * needs.config.hiddenSize * needs.state.size
    }

    static func footprint(_ needs: WorkingSetNeeds, _ set: WorkingSet) -> Int {
        let rows = set.patchesPerBlock * needs.P
        return stagedBytes(needs, set) + (!set.isResident && needs.isOrdered ? 2 * rows : 0)
            + PageEncoder.footprint(needs.largestPage(.states, T: set.patchesPerBlock))
            + PageEncoder.footprint(needs.largestPage(.surprisal, T: set.patchesPerBlock)) + 10 * rows + 6
            // The carries, in themselves and in the progress that is committed.
            + 3 * needs.carryBytes
    }
}
