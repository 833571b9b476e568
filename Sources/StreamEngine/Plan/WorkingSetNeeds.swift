import Compute
import Geometry
import PageStore
import ProtonModel
import Support

/// What the sizes of a working set follow from, and the choice of them.
struct WorkingSetNeeds {
    /// What the model's parts take.
    var sizes: ModelSizes
    var passes: PassPlan
    var state: Element
    var threads: Int
    /// Bytes that copies of a layer's weights take while they are prepared.
    var copiedWeightBytes: Int
    /// The process itself: runtime, libraries, generated code.
    var baseBytes: Int
    /// T of the token generation.
    var tokenPatchesPerBlock: Int
    /// T where it is given: by a run already begun, say.
    var fixedPatchesPerBlock: Int?
    /// Whether it was a run that gave it: begun anew, it could do with less.
    var isBegun: Bool

    var geometry: SequenceGeometry { sizes.geometry }
    var config: ModelConfig { sizes.config }

    init(
        sizes: ModelSizes, passes: PassPlan, state: Element, threads: Int, copiedWeightBytes: Int, baseBytes: Int,
        tokenPatchesPerBlock: Int, fixedPatchesPerBlock: Int? = nil
    ) {
        self.sizes = sizes
        self.passes = passes
        self.state = state
        self.threads = threads
        self.copiedWeightBytes = copiedWeightBytes
        self.baseBytes = baseBytes
        self.tokenPatchesPerBlock = tokenPatchesPerBlock
        self.fixedPatchesPerBlock = fixedPatchesPerBlock
        isBegun = fixedPatchesPerBlock != nil
    }

    var P: Int { geometry.patchSize }
    /// Whether some states carry the token indices of their rows; and whether the tokens do.
    var isOrdered: Bool { config.delegation != .transpose && config.hasDelegates }
    var areTokensOrdered: Bool { isOrdered && config.isDelegating(1) }
    /// Bytes of a row's token index.
    private var indexBytes: Int { isOrdered ? 2 : 0 }
    var tile: Int { Tiling(patchSize: geometry.patchSize).patchesPerTile }
    private func roundedToTile(_ patches: Int) -> Int { max(1, (patches + tile - 1) / tile) * tile }

    // MARK: Sizes

    private var stateRowBytes: Int { config.hiddenSize * state.size }
    /// Rows of the largest block of tokens.
    var tokenBlockRows: Int { min(tokenPatchesPerBlock, geometry.patches) * P }
    var tokenBlockBytes: Int { tokenBlockRows * (2 + indexBytes) }
    func stateBlockBytes(T: Int) -> Int { T * P * (stateRowBytes + indexBytes) }
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

    /// A pass over the tokens, or over states.
    func tokenShape(T: Int, W: Int) -> WindowShape {
        WindowShape(
            geometry: geometry, source: BlockGrid(patches: geometry.patches, patchesPerBlock: tokenPatchesPerBlock),
            target: BlockGrid(patches: geometry.patches, patchesPerBlock: T), windowPatches: W)
    }

    func stateShape(T: Int, W: Int) -> WindowShape {
        let grid = BlockGrid(patches: geometry.patches, patchesPerBlock: T)
        return WindowShape(geometry: geometry, source: grid, target: grid, windowPatches: W)
    }

    var tokenColumns: ColumnShape {
        ColumnShape(
            BlockGrid(patches: geometry.patches, patchesPerBlock: tokenPatchesPerBlock), rowBytes: 2,
            isOrdered: isOrdered)
    }

    func stateColumns(T: Int) -> ColumnShape {
        ColumnShape(
            BlockGrid(patches: geometry.patches, patchesPerBlock: T), rowBytes: stateRowBytes, isOrdered: isOrdered)
    }

    /// How pass `pass` reads, by index.
    func access(ofPass pass: Int) -> any Access {
        config.access(ofLayer: passes.passes[pass].lowerBound)
    }

    /// The most columns of tokens that the first pass asks for, and of states that any later one does.
    private func tokenDemand(_ shape: WindowShape) -> (least: Int, comfortable: Int) {
        access(ofPass: 0).demand(shape)
    }

    private func stateDemand(_ shape: WindowShape) -> (least: Int, comfortable: Int) {
        // Passes but the first begin with a layer that gathers, unless every generation is kept.
        let later = passes.passes.dropFirst().isEmpty ? passes.passes[...] : passes.passes.dropFirst()
        let blocks = Set(later.map { config.block(ofLayer: $0.lowerBound).index })
        let demands = blocks.map { config.access(ofLayer: $0 * config.recurrence + 1).demand(shape) }
        return (demands.map(\.least).max() ?? 0, demands.map(\.comfortable).max() ?? 0)
    }

    /// Bytes of one generation as it is in memory; nil beyond 2^63.
    private var generationBytes: Int? {
        let (bytes, overflow) = geometry.paddedTokens.multipliedReportingOverflow(by: stateRowBytes)
        return overflow ? nil : bytes
    }

    // MARK: One working set

    /// How much may be under way at once: one of everything; two blocks of one window, so that every thread has work
    /// while a block waits for the one before it; or blocks of two windows.
    enum Overlap {
        case none, blocks, full

        var blocks: Int {
            switch self {
            case .none: 1
            case .blocks: 2
            case .full: 3
            }
        }
    }

    /// - Parameters:
    ///   - slots: columns of states to keep; nil for both generations in memory.
    ///   - isVisitedOnce: with a window that is the whole sequence: visit hosts once for local rows and delegates.
    func workingSet(
        T: Int, W: Int, slots: Int?, isVisitedOnce: Bool = false, overlap: Overlap, commit: Int
    ) -> WorkingSet {
        let (tokens, states) = (tokenShape(T: T, W: W), stateShape(T: T, W: W))
        // The first pass reads tokens, a hundredth of the bytes: its slots are bounded for the sake of their
        // bookkeeping.
        let stateSlots = passes.hasStoredStates ? slots ?? 0 : 0
        let demand = tokenDemand(tokens)
        let tokenSlots = min(
            tokens.allColumns,
            max(overlap == .none ? demand.least : demand.comfortable, min(1 << 14, 4 * stateSlots)))
        // A generation in memory takes turns with a cache of all its columns, whose last block is as long as the
        // others.
        let columns = stateColumns(T: T)
        let whole = states.allColumns.multipliedReportingOverflow(by: columns.columnBytes)
        let statesBytes = max(
            slots == nil ? whole.overflow ? Int.max : whole.partialValue : stateSlots * columns.columnBytes,
            tokenSlots * tokenColumns.columnBytes)
        var set = WorkingSet(
            patchesPerBlock: T, windowPatches: W,
            stretchPatches: stretch(T: T, overlap, isResident: slots == nil), isResident: slots == nil,
            isVisitedOnce: isVisitedOnce, statesBytes: statesBytes, stateSlots: stateSlots, tokenSlots: tokenSlots,
            windowsInFlight: overlap == .full && !isVisitedOnce ? 2 : 1, blocksInFlight: overlap.blocks,
            stretchesInFlight: overlap.blocks, stepsInFlight: overlap.blocks, commitBytes: commit, parts: [])
        // The last rows of a window wait for the first ones of the next.
        if config.reach.after > 0 && W < geometry.patches { set.windowsInFlight = 2 }
        set.parts = parts(set).map { .init(name: $0.0, bytes: $0.1) }
        return set
    }

    /// Bytes of the carries of a pass, at most.
    var carryBytes: Int {
        passes.passes.map { $0.reduce(0) { $0 + sizes.carryBytes(ofLayer: $1) } }.max() ?? 0
    }

    /// What a working set takes: the sum of what its owners say.
    private func parts(_ set: WorkingSet) -> [(String, Int)] {
        let isOnlyStreaming = !config.hasGathering
        let streams = passes.passes.map { pass in
            pass.reduce(0) { sum, layer in
                sum + (config.isGathering(layer) ? 0 : StreamedLayer.footprint(self, set, layer: layer))
            }
        }
        let weights = passes.passes.map { $0.reduce(0) { $0 + sizes.weightBytes(ofLayer: $1) } }
        return [
            ("program", baseBytes),
            (
                "weights of a pass",
                (weights.max() ?? 0) + copiedWeightBytes + Embedding.footprint(width: config.hiddenSize)
                    + Head.footprint(config, on: sizes.backend)
            ),
            set.isResident
                ? ("both generations", 2 * min(set.statesBytes, Int.max / 2)) : ("columns", set.statesBytes),
            ("their places", max(set.stateSlots, set.tokenSlots) * ColumnCache.bookkeepingBytes),
            ("orders of their tokens", EngineMemory.orderBytes(self, set)),
            (
                "answers to windows",
                set.windowsInFlight
                    * sizes.answerBytes(rows: set.windowPatches * P, isOnce: set.isVisitedOnce)
            ),
            ("rows mixed", isOnlyStreaming ? 0 : MixedRows.footprint(self, set)),
            ("streaming layers", streams.max() ?? 0),
            (
                "the model's input",
                (1...config.depth).contains(where: config.isInputNeeded) ? ModelInput.footprint(self, set) : 0
            ),
            ("blocks being written", set.blocksInFlight * OutgoingBlock.footprint(self, set)),
            ("tokens to predict", TargetTokens.footprint(blockRows: tokenBlockRows, isOrdered: areTokensOrdered)),
            ("uncommitted pages", set.commitBytes + pageBytes(T: set.patchesPerBlock) + 4 * carryBytes + (3 << 20)),
            ("\(threads) worker\(threads == 1 ? "" : "s")", threads * Worker.footprint(self, set)),
        ]
    }

    /// Whole tiles, enough for every worker and for long products; all that a window sees ahead of it is mixed window
    /// by window, and goes on block by block. Where states are in memory there is room for more: workers then turn from
    /// one part of a layer to the next less often.
    private func stretch(T: Int, _ overlap: Overlap, isResident: Bool) -> Int {
        if config.reach.after > 0 { return T }
        let tiles = sizes.feedForward.tilesAtOnce
        let workers = overlap == .none ? 1 : isResident && config.hasGathering ? 16 * threads : threads
        return min(T, tile * max(tiles, workers))
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
        if !config.hasGathering { return T }
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
        // A commit writes the carries again: what it commits is to be much more, within reason.
        func due(_ bytes: Int) -> Int { max(bytes, min(32 * carryBytes, 4 * bytes)) }
        let commit = due(max(1 << 20, min(64 << 20, budget / 16)))
        func halved(_ size: Int, unit: Int) -> Int { max(unit, (size / 2 + unit - 1) / unit * unit) }
        let largest = fixedPatchesPerBlock ?? preferredPatchesPerBlock

        // Both generations in memory. A window that is the whole sequence saves wide models an eighth of their
        // arithmetic; narrow ones lose as much to the memory that its rows take (tools/bench).
        if config.hiddenSize >= 128, config.hasDelegates, generationBytes.map({ $0 < min(budget, 1 << 56) }) == true {
            let whole = workingSet(
                T: largest, W: (geometry.patches + largest - 1) / largest * largest, slots: nil, isVisitedOnce: true,
                overlap: .full, commit: commit)
            if whole.totalBytes <= budget { return whole }
        }
        // A model that stores no states has none to keep.
        let isResidencyPossible = generationBytes != nil && (config.hasGathering || passes.hasStoredStates)
        for window in [widestWindow(T: largest), narrowestWindow(T: largest)] where isResidencyPossible {
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
                let shape = stateShape(T: T, W: W)
                let demand = stateDemand(shape)
                let set = workingSet(T: T, W: W, slots: demand.comfortable, overlap: .full, commit: commit)
                if set.totalBytes <= budget
                    && (demand.comfortable == shape.allColumns || !config.hasDelegates
                        || T <= max(tile, geometry.patches / (4 * P))
                        || fixedPatchesPerBlock != nil)
                {
                    return filled(set, .full, budget)
                }
                if W <= max(narrowestWindow(T: T), tile * P) { break }
                W = max(halved(W, unit: T), narrowestWindow(T: T))
            }
            if fixedPatchesPerBlock != nil || T <= tile { break }
            T = halved(T, unit: tile)
        }

        // Else one window after another, as wide as fits, for narrow ones visit the same hosts again and again: beside
        // columns enough to read hardly any host again, if there is a window for that, or beside the fewest that work.
        let small = min(due(1 << 20), 2 << 20)
        func sequential(_ overlap: Overlap, W: Int, slots: Int) -> WorkingSet {
            workingSet(T: T, W: W, slots: slots, overlap: overlap, commit: small)
        }
        func widest(_ overlap: Overlap, from narrowest: Int, _ slots: (Int) -> Int) -> WorkingSet? {
            var W = widestWindow(T: T)
            while true {
                let set = sequential(overlap, W: W, slots: slots(W))
                if set.totalBytes <= budget { return set }
                if W <= narrowest { return nil }
                W = max(halved(W, unit: T), narrowest)
            }
        }
        func demand(_ W: Int) -> (least: Int, comfortable: Int) { stateDemand(stateShape(T: T, W: W)) }
        let narrowest = narrowestWindow(T: T)
        // Runs of hosts of a quarter of a tile still are many rows to few strays.
        let sufficient = max(narrowest, halved(tile * P / 2, unit: T))
        for overlap in [Overlap.blocks, .none] {
            if let set = widest(overlap, from: sufficient, { demand($0).comfortable }) {
                return filled(set, overlap, budget)
            }
        }
        for overlap in [Overlap.blocks, .none] {
            if let set = widest(overlap, from: narrowest, { demand($0).least }) { return filled(set, overlap, budget) }
        }
        let least = sequential(.none, W: narrowest, slots: demand(narrowest).least)
        throw Fault(
            .usage,
            "a memory budget of \(ByteCount.text(budget)) is too small for any window: "
                + "the least that works here is \(ByteCount.roundedUp(least.totalBytes + Self.jitter))",
            advice: (!isBegun
                ? "" : "The run was begun with blocks of \(T) patches; begun anew it may do with less. ")
                + "Of that, \(least.parts.filter { $0.bytes > 0 }.map { "\(ByteCount.text($0.bytes)) for \($0.name)" }.joined(separator: ", ")).",
            remedies: isBegun ? [.restart] : [])
    }

    /// `set` with all that is left of the budget for columns.
    private func filled(_ set: WorkingSet, _ overlap: Overlap, _ budget: Int) -> WorkingSet {
        func with(_ slots: Int) -> WorkingSet {
            workingSet(
                T: set.patchesPerBlock, W: set.windowPatches, slots: slots, overlap: overlap, commit: set.commitBytes)
        }
        let all = stateShape(T: set.patchesPerBlock, W: set.windowPatches).allColumns
        // What one more takes is no constant: the first pass keeps more columns of tokens then, in the same memory.
        let most = min(all, budget / stateColumns(T: set.patchesPerBlock).columnBytes, 1 << 40)
        var slots = set.stateSlots..<max(set.stateSlots, most) + 1
        if slots.count < 2 { return set }
        while slots.count > 1 {
            let middle = slots.lowerBound + slots.count / 2
            slots = with(middle).totalBytes <= budget ? middle..<slots.upperBound : slots.lowerBound..<middle
        }
        return with(slots.lowerBound)
    }
}
