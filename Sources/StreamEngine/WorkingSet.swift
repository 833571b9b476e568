import Geometry

/// The sizes of a forward run that memory decides. None of them changes a result.
public struct WorkingSet: Sendable, Equatable {
    /// T: patches a block of states, a multiple of the tile.
    public var patchesPerBlock: Int
    /// W: patches a window, a multiple of T.
    public var windowPatches: Int
    /// Both generations stay in memory; only results go to disk.
    public var isResident: Bool
    /// The window is the whole sequence, and all answers to local rows are kept until they are mixed.
    public var visitsOnce: Bool
    /// Bytes for the generation that is read: the whole of it where it is resident, else the cache of columns; there is
    /// as much again for the one that is made where both are resident.
    public var statesBytes: Int
    /// Columns that the cache keeps at most, of states and, for layer 1, of tokens.
    public var stateSlots: Int
    public var tokenSlots: Int
    /// Windows and blocks whose arithmetic may be under way at once, and steps whose columns are held.
    public var windowsInFlight: Int
    public var blocksInFlight: Int
    public var stepsInFlight: Int
    /// Appended bytes that make a commit due.
    public var commitBytes: Int
    /// What it takes, by part, in bytes.
    public var parts: [Part]

    public struct Part: Sendable, Equatable {
        public var name: String
        public var bytes: Int
    }

    public var totalBytes: Int {
        var sum = 0
        for part in parts {
            let (next, overflow) = sum.addingReportingOverflow(part.bytes)
            if overflow { return Int.max }
            sum = next
        }
        return sum
    }
}

/// Columns of the generation that a layer reads: how many there are, and how many its steps need at once.
struct ColumnDemand {
    let geometry: SequenceGeometry
    /// Blocks of the generation that is read, and of the one that is written.
    let source: BlockGrid
    let target: BlockGrid
    let windowPatches: Int
    /// Bytes of a column of a full block, with the token indices of its rows where there are any.
    let columnBytes: Int
    /// Where those begin; nil where tokens stand in their own order.
    let indexOffset: Int?

    init(
        geometry: SequenceGeometry, source: BlockGrid, target: BlockGrid, windowPatches: Int, rowBytes: Int,
        isOrdered: Bool
    ) {
        self.geometry = geometry
        self.source = source
        self.target = target
        self.windowPatches = windowPatches
        let rows = min(source.patchesPerBlock, source.patches)
        let rowsBytes = rows * rowBytes
        // Rows of whatever is in the next slot stay aligned.
        indexOffset = isOrdered ? rowsBytes : nil
        columnBytes = isOrdered ? (rowsBytes + 2 * rows + 63) / 64 * 64 : rowsBytes
    }

    private var P: Int { geometry.patchSize }

    /// Every column.
    var all: Int {
        let (all, overflow) = source.blocks.multipliedReportingOverflow(by: P)
        return overflow ? Int.max : all
    }

    /// Blocks that `patches` consecutive patches touch at most.
    private func blocks(_ patches: Int) -> Int {
        min(source.blocks, (patches + source.patchesPerBlock - 2) / source.patchesPerBlock + 1)
    }

    /// Columns that the step for `runs` runs of hosts reads at most: the hosts, the window's delegates and their
    /// company, and strays where two runs meet.
    func hosts(runs: Int) -> Int {
        if geometry.patches < 2 * P {
            // Then a patch's slots hold columns from end to end: all slots of the runs count, and the columns that they
            // are in.
            let hosts = min(geometry.patches, (runs * geometry.patches + P - 2) / P + 1)
            return min(all, P * blocks(hosts) + (hosts * P / geometry.patches + 2) * source.blocks)
        }
        return min(all, runs * (P * blocks(windowPatches / P + 2) + blocks(windowPatches + 2 * P) + 2 * blocks(P)))
    }

    /// Columns that a block's step reads at most.
    var block: Int {
        let slots = target.patchesPerBlock * P
        let guestRuns = slots / geometry.patches + 2
        return min(all, P * blocks(target.patchesPerBlock) + slots / source.patchesPerBlock + 2 * guestRuns)
    }

    /// The fewest runs of hosts in a step: those of one patch, which is then not visited for each of them.
    private var fewestRuns: Int { max(1, P / geometry.patches) }

    /// The least that any step takes.
    var least: Int { max(hosts(runs: fewestRuns), block) }

    /// What lets no window read a block of hosts again that an earlier one read, and two more steps be read ahead: the
    /// window, the block that every run of hosts stands on and half of the next ones, and two blocks with their guests.
    var comfortable: Int { min(all, max(least, P * blocks(windowPatches + 2 * P) + P * P + P * P / 2 + 2 * block)) }

    /// The most runs of hosts a step can take with `slots` columns, beside a block's.
    func runsPerStep(slots: Int) -> Int {
        if hosts(runs: P) <= max(slots - 2 * block, 0) || slots >= all { return P }
        var runs = P
        while runs > fewestRuns && hosts(runs: runs) > max(slots - block, 0) { runs = max(fewestRuns, (runs + 1) / 2) }
        return runs
    }
}
