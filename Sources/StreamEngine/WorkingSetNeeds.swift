import Geometry
import PageStore
import ProtonModel
import Support

/// What the sizes of a working set follow from, and the choice of them.
struct WorkingSetNeeds {
    var geometry: SequenceGeometry
    var config: ModelConfig
    var state: Element
    var threads: Int
    /// Bytes that one worker's arithmetic owns, measured.
    var arithmeticBytes: Int
    /// Values of the new states that one worker makes at a time.
    var outputValues: Int
    /// Bytes of one block's prepared weights, and of what preparing them takes.
    var weightBytes: Int
    /// The process itself: runtime, libraries, generated code.
    var baseBytes: Int
    /// T of the token generation.
    var tokenPatchesPerBlock: Int
    /// T of a run already begun.
    var fixedPatchesPerBlock: Int?

    private var P: Int { geometry.patchSize }
    /// Whether the states carry the token indices of their rows.
    private var isOrdered: Bool { config.delegation != .transpose }
    /// Bytes of a row's token index.
    private var indexBytes: Int { isOrdered ? 2 : 0 }
    private var tile: Int { Tiling(patchSize: geometry.patchSize).patchesPerTile }
    private func roundedToTile(_ patches: Int) -> Int { max(1, (patches + tile - 1) / tile) * tile }

    // MARK: Sizes

    private var stateRowBytes: Int { config.hiddenSize * state.size }
    /// Rows of the largest block of tokens.
    var tokenBlockRows: Int { min(tokenPatchesPerBlock, geometry.patches) * P }
    var tokenBlockBytes: Int { tokenBlockRows * (2 + indexBytes) }
    private func stateBlockBytes(T: Int) -> Int { T * P * (stateRowBytes + indexBytes) }
    /// Bytes of the longest column that is read or written.
    func columnBytes(T: Int) -> Int { max(T * stateRowBytes, tokenBlockBytes / P, T * 4) }
    /// Bytes of the longest page.
    func pageBytes(T: Int) -> Int {
        max(stateBlockBytes(T: T), tokenBlockBytes) + PageHeader.size + 2 * P * ColumnEntry.size
    }

    /// The largest page of a table of the states' generations.
    func largestPage(_ table: PageTable, T: Int) -> PageHeader {
        let isStates = table == .states
        return PageHeader(
            element: isStates ? state : .f32, generation: 1, block: 0, firstPatch: 0, patches: T, columns: P,
            width: isStates ? config.hiddenSize : 1, isOrdered: isStates && isOrdered)
    }

    func tokenDemand(T: Int, W: Int) -> ColumnDemand {
        ColumnDemand(
            geometry: geometry, source: BlockGrid(patches: geometry.patches, patchesPerBlock: tokenPatchesPerBlock),
            target: BlockGrid(patches: geometry.patches, patchesPerBlock: T),
            windowPatches: W, rowBytes: 2, isOrdered: isOrdered)
    }

    func stateDemand(T: Int, W: Int) -> ColumnDemand {
        let grid = BlockGrid(patches: geometry.patches, patchesPerBlock: T)
        return ColumnDemand(
            geometry: geometry, source: grid, target: grid, windowPatches: W, rowBytes: stateRowBytes,
            isOrdered: isOrdered)
    }

    /// Bytes of one generation as it is in memory; nil beyond 2^63.
    private var generationBytes: Int? {
        let (bytes, overflow) = geometry.paddedTokens.multipliedReportingOverflow(by: stateRowBytes)
        return overflow ? nil : bytes
    }

    // MARK: One working set

    /// How much may be under way at once.
    enum Overlap { case none, full }

    /// - Parameters:
    ///   - slots: columns of states to keep; nil for both generations in memory.
    ///   - visitsOnce: with a window that is the whole sequence: visit hosts once for local rows and delegates.
    func workingSet(T: Int, W: Int, slots: Int?, visitsOnce: Bool = false, overlap: Overlap, commit: Int) -> WorkingSet
    {
        let D = config.hiddenSize
        let reach = config.reach
        let carryBytes = reach.before * D * 4
        let (tokens, states) = (tokenDemand(T: T, W: W), stateDemand(T: T, W: W))
        // Layer 1 reads tokens, a hundredth of the bytes: its slots are bounded for the sake of their bookkeeping.
        let readsStates = config.passes > 1
        let stateSlots = readsStates ? slots ?? 0 : 0
        let tokenSlots = min(
            tokens.all, max(overlap == .none ? tokens.least : tokens.comfortable, min(1 << 14, 4 * stateSlots)))
        // A generation in memory takes turns with a cache of all its columns, whose last block is as long as the
        // others.
        let whole = states.all.multipliedReportingOverflow(by: states.columnBytes)
        let statesBytes = max(
            slots == nil ? whole.overflow ? Int.max : whole.partialValue : stateSlots * states.columnBytes,
            tokenSlots * tokens.columnBytes)
        var (windows, blocks, steps) = overlap == .none ? (1, 1, 1) : (visitsOnce ? 1 : 2, 3, 3)
        // The last rows of a window wait for the first ones of the next.
        if reach.after > 0 && W < geometry.patches { windows = 2 }
        let outgoing =
            (slots == nil ? 0 : stateBlockBytes(T: T)) + PageEncoder.footprint(largestPage(.surprisal, T: T))
            + PageEncoder.footprint(largestPage(.states, T: T)) + (T * P + 1) * 10 + 4 * carryBytes
        let orders = slots == nil && isOrdered ? 2 * 2 * min(geometry.paddedTokens, Int.max / 8) : 0
        let reader = PageReader.footprint(pageBytes: pageBytes(T: T), columnBytes: columnBytes(T: T))
        let parts = [
            ("program", baseBytes),
            ("weights of a block", weightBytes + Embedding.footprint(width: D)),
            slots == nil ? ("both generations", 2 * min(statesBytes, Int.max / 2)) : ("columns", statesBytes),
            ("their places", max(stateSlots, tokenSlots) * ColumnCache.bookkeepingBytes),
            ("orders of their tokens", orders),
            ("windows", windows * (reach.before + W * P + reach.after) * D * 4),
            ("answers to local rows", visitsOnce ? W * P * D * 4 : 0),
            ("blocks being written", blocks * outgoing),
            ("tokens to predict", tokenBlockBytes),
            ("uncommitted pages", commit + pageBytes(T: T) + 4 * carryBytes + (3 << 20)),
            (
                "\(threads) worker\(threads == 1 ? "" : "s")",
                threads * (arithmeticBytes + outputValues * 4 + outputValues / D * indexBytes + reader)
            ),
        ]
        return WorkingSet(
            patchesPerBlock: T, windowPatches: W, isResident: slots == nil, visitsOnce: visitsOnce,
            statesBytes: statesBytes, stateSlots: stateSlots, tokenSlots: tokenSlots, windowsInFlight: windows,
            blocksInFlight: blocks, stepsInFlight: steps, commitBytes: commit,
            parts: parts.map { .init(name: $0.0, bytes: $0.1) })
    }

    // MARK: The choice

    /// A column of about 128 KiB and a block of at least 256 KiB make reads long, and directories and LMDB's overhead
    /// small.
    private var preferredPatchesPerBlock: Int {
        let wanted = max(128 << 10, (256 << 10) / P) / stateRowBytes
        return min(roundedToTile(wanted), roundedToTile(geometry.patches))
    }

    /// A run of hosts is then four tiles, and the patches at its ends, which are visited for a part of their slots, are
    /// few.
    private func widestWindow(T: Int) -> Int {
        let sufficient = max((4 * tile * P + T - 1) / T * T, narrowestWindow(T: T))
        return min(sufficient, (geometry.patches + T - 1) / T * T)
    }

    /// A window holds all the rows that the one before it looks ahead to.
    private func narrowestWindow(T: Int) -> Int {
        let patches = (config.reach.after + P - 1) / P
        return min(max(T, (patches + T - 1) / T * T), (geometry.patches + T - 1) / T * T)
    }

    /// The program's own memory differs a little from start to start; the least that is named works all the same.
    private static let jitter = 1 << 20

    /// The best working set within `budget` bytes.
    ///
    /// - Throws: `Fault` (`usage`) that states the least that works.
    func choose(budget: Int) throws -> WorkingSet {
        let commit = max(1 << 20, min(64 << 20, budget / 16))
        func halved(_ size: Int, unit: Int) -> Int { max(unit, (size / 2 + unit - 1) / unit * unit) }
        let largest = fixedPatchesPerBlock ?? preferredPatchesPerBlock

        // Both generations in memory. A window that is the whole sequence saves wide models an eighth of their
        // arithmetic; narrow ones lose as much to the memory that its rows take (tools/bench).
        if config.hiddenSize >= 128, generationBytes.map({ $0 < min(budget, 1 << 56) }) == true {
            let whole = workingSet(
                T: largest, W: (geometry.patches + largest - 1) / largest * largest, slots: nil, visitsOnce: true,
                overlap: .full, commit: commit)
            if whole.totalBytes <= budget { return whole }
        }
        for window in [widestWindow(T: largest), narrowestWindow(T: largest)] where generationBytes != nil {
            let resident = workingSet(T: largest, W: window, slots: nil, overlap: .full, commit: commit)
            if resident.totalBytes <= budget { return resident }
        }

        // Else blocks as long as fit, windows as wide as fit, and the rest of the memory for columns that are read
        // again. Blocks are shorter than a quarter of a run of G / P patches, whose two ends are read for their part of
        // it alone, unless there is memory for all of them.
        var T = largest
        while true {
            var W = widestWindow(T: T)
            while true {
                let demand = stateDemand(T: T, W: W)
                let set = workingSet(T: T, W: W, slots: demand.comfortable, overlap: .full, commit: commit)
                if set.totalBytes <= budget
                    && (demand.comfortable == demand.all || T <= max(tile, geometry.patches / (4 * P))
                        || fixedPatchesPerBlock != nil)
                {
                    return filled(set, demand, .full, budget)
                }
                if W <= max(narrowestWindow(T: T), tile * P) { break }
                W = max(halved(W, unit: T), narrowestWindow(T: T))
            }
            if fixedPatchesPerBlock != nil || T <= tile { break }
            T = halved(T, unit: tile)
        }

        // Else one thing after another, with as wide a window as fits, for narrow ones visit the same hosts again and
        // again.
        let small = 1 << 20
        var W = widestWindow(T: T)
        while true {
            let demand = stateDemand(T: T, W: W)
            let set = workingSet(T: T, W: W, slots: demand.least, overlap: .none, commit: small)
            if set.totalBytes <= budget { return filled(set, demand, .none, budget) }
            guard W > narrowestWindow(T: T) else {
                throw Fault(
                    .usage,
                    "a memory budget of \(ByteCount.text(budget)) is too small for any window: "
                        + "the least that works here is \(ByteCount.flag(set.totalBytes + Self.jitter))",
                    advice: (fixedPatchesPerBlock == nil
                        ? "" : "The run was begun with blocks of \(T) patches; --restart may do with less. ")
                        + "Of that, \(set.parts.filter { $0.bytes > 0 }.map { "\(ByteCount.text($0.bytes)) for \($0.name)" }.joined(separator: ", "))."
                )
            }
            W = max(halved(W, unit: T), narrowestWindow(T: T))
        }
    }

    /// `set` with all that is left of the budget for columns.
    private func filled(_ set: WorkingSet, _ demand: ColumnDemand, _ overlap: Overlap, _ budget: Int) -> WorkingSet {
        let slot = demand.columnBytes + ColumnCache.bookkeepingBytes
        let slots = min(demand.all, set.stateSlots + max(0, budget - set.totalBytes) / slot)
        let wider = workingSet(
            T: set.patchesPerBlock, W: set.windowPatches, slots: slots, overlap: overlap, commit: set.commitBytes)
        return wider.totalBytes <= budget ? wider : set
    }
}
