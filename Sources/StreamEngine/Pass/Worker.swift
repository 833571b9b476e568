import PageStore
import ProtonModel
import Support

/// What one worker thread owns for the whole run: a lane with its rooms, a reader with its codec, and room of its own.
///
/// Sendable because one thread has it at a time: a task uses that of the worker that it runs on, and the thread that
/// adds stages uses one while nothing runs.
final class Worker: @unchecked Sendable {
    let tools: LaneTools
    let reader: PageReader
    /// [tiles] which token of its patch goes to which column, where that is not the tokens' own order.
    let order: Memory<UInt16>

    init(_ needs: WorkingSetNeeds, _ set: WorkingSet, kernels: KernelTable) throws {
        tools = try needs.sizes.tools()
        reader = try PageReader(
            pageBytes: needs.pageBytes(T: set.patchesPerBlock), columnBytes: needs.columnBytes(T: set.patchesPerBlock),
            kernels: kernels)
        order = try Memory(needs.isOrdered ? needs.sizes.outputRows : 0)
    }

    static func footprint(_ needs: WorkingSetNeeds, _ set: WorkingSet) -> Int {
        needs.sizes.toolBytes
            + PageReader.footprint(
                pageBytes: needs.pageBytes(T: set.patchesPerBlock),
                columnBytes: needs.columnBytes(T: set.patchesPerBlock))
            + (needs.isOrdered ? 2 * needs.sizes.outputRows : 0)
    }
}
