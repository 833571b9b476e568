import Geometry
import HeapModule
import PageStore
import Support

/// Columns of the generation that a pass reads, decoded, as many as the memory budget leaves room for.
///
/// When room is needed, the column that is read again latest is given up first, which is the best order where next uses
/// are exact (Belady 1966); here some are estimated. One thread plans; workers only fill slots.
///
/// Sendable for these workers: they ask where a slot lies, which nothing changes, and note where its column was found,
/// which the planner reads when the step that they work for is done.
final class ColumnCache: @unchecked Sendable {
    /// What must be read before a step can begin.
    struct Load {
        var block: Int
        var role: ColumnRun.Role
        /// Columns in ascending order, and the slots they go to.
        var columns: [(column: Int, slot: Int)] = []

        /// The columns as runs of consecutive ones.
        var runs: [ClosedRange<Int>] {
            var runs: [ClosedRange<Int>] = []
            for (column, _) in columns {
                if let last = runs.last, last.upperBound + 1 == column {
                    runs[runs.count - 1] = last.lowerBound...column
                } else {
                    runs.append(column...column)
                }
            }
            return runs
        }
    }

    /// Bytes of bookkeeping a slot.
    static let bookkeepingBytes = 224

    private struct Use: Comparable {
        var time: Int
        var slot: Int
        var stamp: Int32
        static func < (a: Use, b: Use) -> Bool { a.time < b.time }
    }

    private let memory: UnsafeMutablePointer<UInt8>
    private let nextUse: NextUse
    private let shape: ColumnShape
    private let grid: BlockGrid
    private let P: Int
    let slots: Int
    private var slotOf: [Int: Int] = [:]
    /// Where in its file the column of a slot lies.
    private let places: Memory<(offset: Int, bytes: Int)>
    private var keys: [Int] = []
    private var pins: [Int32] = []
    private var stamps: [Int32] = []
    private var free: [Int] = []
    private var used = 0
    private var uses = Heap<Use>()
    private var evictable = 0
    private let order: Order
    private var clock = 0

    /// What is given up first.
    enum Order {
        case latestNextUse
        /// What was read longest ago, as a cache that does not know the future would; for comparison.
        case leastRecentlyUsed
    }

    /// The time of the first step after `time` that reads a column; nil where none does.
    typealias NextUse = (_ column: Int, _ block: Int, _ time: Int) -> Int?

    /// - Parameters:
    ///   - memory: room for `slots` columns.
    ///   - grid: the blocks that the columns are of.
    ///   - columns: P.
    init(
        _ memory: UnsafeMutablePointer<UInt8>, slots: Int, shape: ColumnShape, grid: BlockGrid, columns: Int,
        order: Order = .latestNextUse, nextUse: @escaping NextUse
    ) throws {
        self.memory = memory
        self.nextUse = nextUse
        self.shape = shape
        self.grid = grid
        self.order = order
        P = columns
        self.slots = slots
        places = try Memory(slots)
    }

    /// Where the values of the column in a slot go.
    func values(ofSlot slot: Int) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(
            start: memory + slot * shape.columnBytes, count: shape.indexOffset ?? shape.columnBytes)
    }

    /// Where the token indices of the column in a slot go; nil where tokens stand in their own order.
    func indices(ofSlot slot: Int) -> UnsafeMutableBufferPointer<UInt16>? {
        shape.indexOffset.map { offset in
            let start = UnsafeMutableRawPointer(memory + slot * shape.columnBytes + offset).assumingMemoryBound(
                to: UInt16.self)
            return UnsafeMutableBufferPointer(start: start, count: (shape.columnBytes - offset) / 2)
        }
    }

    /// Says where in its file the column of a slot was found. Workers call it, each for slots of its own.
    func note(_ offset: Int, _ bytes: Int, ofSlot slot: Int) { places[slot] = (offset, bytes) }

    /// Finds a place for everything that a step needs, and holds it there until `release`.
    ///
    /// - Returns: nil when there is no room beside what other steps hold; nothing is changed then.
    func admit(_ needs: [ColumnRun]) throws -> (columns: CachedColumns, loads: [Load])? {
        let columns = CachedColumns(
            grid: grid, columns: P, shape: shape, slotStart: { [memory, shape] in memory + $0 * shape.columnBytes })
        var missing: [(block: Int, column: Int, role: ColumnRun.Role)] = []
        for need in needs {
            for column in need.columns where columns.slot(column, ofBlock: need.block) == -1 {
                if let slot = slotOf[need.block * P + column] {
                    columns.place(column, ofBlock: need.block, inSlot: slot)
                } else {
                    columns.place(column, ofBlock: need.block, inSlot: CachedColumns.awaited)
                    missing.append((need.block, column, need.role))
                }
            }
        }
        let present = columns.held.filter { $0 != CachedColumns.awaited }
        let unpinned = present.count { pins[$0] == 0 }
        guard missing.count <= slots - used + free.count + evictable - unpinned else { return nil }
        for slot in present { pin(slot) }
        missing.sort { ($0.block, $0.column) < ($1.block, $1.column) }
        var loads: [Load] = []
        for (block, column, role) in missing {
            let slot = try takeSlot()
            keys[slot] = block * P + column
            slotOf[keys[slot]] = slot
            pins[slot] = 1
            columns.place(column, ofBlock: block, inSlot: slot)
            if loads.last?.block != block { loads.append(Load(block: block, role: role)) }
            loads[loads.count - 1].columns.append((column, slot))
        }
        return (columns, loads)
    }

    /// The step that `admit` was called for is done. `time` is that of the last step admitted.
    ///
    /// - Returns: where in the file the columns lie that no later step reads.
    func release(_ columns: CachedColumns, at time: Int) -> [(block: Int, offset: Int, bytes: Int)] {
        var done: [(block: Int, offset: Int, bytes: Int)] = []
        for slot in columns.held {
            pins[slot] -= 1
            guard pins[slot] == 0 else { continue }
            let (block, column) = keys[slot].quotientAndRemainder(dividingBy: P)
            if let next = nextUse(column, block, time) {
                clock += 1
                uses.insert(Use(time: order == .latestNextUse ? next : -clock, slot: slot, stamp: stamps[slot]))
                evictable += 1
            } else {
                slotOf[keys[slot]] = nil
                free.append(slot)
                done.append((block, places[slot].offset, places[slot].bytes))
            }
        }
        // Entries of slots that were taken again stay behind; they are swept when they are the most.
        if uses.count > 2 * max(1024, evictable) {
            uses = Heap(uses.unordered.filter { stamps[$0.slot] == $0.stamp && pins[$0.slot] == 0 })
        }
        return done
    }

    private func pin(_ slot: Int) {
        if pins[slot] == 0 {
            stamps[slot] &+= 1
            evictable -= 1
        }
        pins[slot] += 1
    }

    private func takeSlot() throws -> Int {
        if let slot = free.popLast() { return slot }
        if used < slots {
            used += 1
            keys.append(-1)
            pins.append(0)
            stamps.append(0)
            return used - 1
        }
        while let use = uses.popMax() {
            if stamps[use.slot] != use.stamp || pins[use.slot] != 0 { continue }
            stamps[use.slot] &+= 1
            slotOf[keys[use.slot]] = nil
            evictable -= 1
            return use.slot
        }
        throw Fault(.inputOutput, "the cache of columns has lost count of its slots: this is a defect of bbp-stream")
    }
}
