import Geometry
import PageStore
import ProtonModel
import Support

/// A window's hosts: its delegates ask in the patches they visit.
extension LayerPass {
    /// The slots of a group of runs, shared out in bundles whose patches fill several groups; but enough bundles for
    /// all workers.
    func hostBundles(of window: Range<Int>, group: Int) -> [Range<Int>] {
        let (columns, workers) = (schedule.columns(ofGroup: group), pipeline.workers)
        let groupPatches = engine.workers[0].arithmetic.groupPatches
        let slots = columns.lowerBound * geometry.patches..<columns.upperBound * geometry.patches
        // Slots that visits are not divided at: a column's, or where a patch holds several columns, a patch's.
        let unit = max(geometry.patches, P)
        let units = (slots.count + unit - 1) / unit
        // A narrow window visits a patch or two in each run: a full group matters more than a task for everyone.
        let perUnit = geometry.patches < P ? 1 : window.count / P + 1
        let (least, most) = (groupPatches / perUnit, 16 * groupPatches / perUnit)
        let bundle = max(1, min((units + workers - 1) / workers, max(least, min(most, units / (4 * workers))))) * unit
        return stride(from: slots.lowerBound / unit * unit, to: slots.upperBound, by: bundle).map {
            ($0..<$0 + bundle).clamped(to: slots)
        }
    }

    /// How many workers share each of `bundles` bundles: where these are few and patches long, the rows that ask are
    /// shared out. Each projects all rows that are seen, for less than the attention costs.
    func parts(ofBundles bundles: Int) -> Int {
        let projections = Double(3 * D) / Double(3 * D + 2 * P)
        func seconds(_ parts: Int) -> Double {
            Double((bundles * parts + pipeline.workers - 1) / pipeline.workers)
                * (projections + (1 - projections) / Double(parts))
        }
        // A part of a full context has eight stripes.
        return (1...max(1, P / 512)).min { seconds($0) < seconds($1) } ?? 1
    }

    /// Visits the hosts of the delegates in the slots `asking` that come from the window, a group of patches at a time,
    /// each patch once; of the rows that ask there, this part's ask. The answers go where s will be. Where the window
    /// is the whole sequence its hosts are its own patches: then the local rows ask as well, and no patch is visited
    /// again.
    func visitHosts(
        of window: Range<Int>, asking: Range<Int>, part: Int, of parts: Int, columns: Columns, s: Memory<Float>,
        worker: Worker
    ) throws {
        let arithmetic = worker.arithmetic
        let firstToken = window.lowerBound * P
        let seen = schedule.seen(by: window)
        var visits: [TileArithmetic.Visit] = []
        var seesLocal = false
        func attend() {
            arithmetic.attend(
                visits, seesOthers: seesLocal, block: weights, toLocal: visitsOnce ? engine.memory.answers.start : nil,
                toDelegates: row(of: firstToken, window: window, s: s), firstToken: firstToken)
            visits.removeAll(keepingCapacity: true)
            seesLocal = false
        }
        for column in asking.lowerBound / geometry.patches...(asking.upperBound - 1) / geometry.patches {
            let slots = geometry.slots(of: window, column: column).clamped(to: asking)
            if slots.isEmpty { continue }
            var hosts = geometry.hosts(ofSlots: slots)
            func visit(_ patch: Int) -> TileArithmetic.Visit {
                .delegates(of: window, in: slots, at: patch, patchSize: P, local: visitsOnce, part: part, of: parts)
            }
            // The column before may end in the patch that this one begins in.
            if let last = visits.indices.last, visits[last].patch == hosts.lowerBound {
                visits[last].join(visit(hosts.lowerBound))
                hosts.removeFirst()
            }
            while !hosts.isEmpty {
                if visits.count == arithmetic.groupPatches { attend() }
                let taken = hosts.prefix(arithmetic.groupPatches - visits.count)
                if try loadLocal(
                    taken.clamped(to: 0..<max(taken.lowerBound, seen.upperBound)), place: visits.count, from: columns,
                    arithmetic)
                {
                    seesLocal = true
                }
                try loadDelegates(inSlotsOf: taken, seenBy: window, place: visits.count, from: columns, arithmetic)
                visits += taken.map(visit)
                hosts.removeFirst(taken.count)
            }
        }
        if !visits.isEmpty { attend() }
    }

    /// Loads the local rows of `patches`, from place `place` of the group on.
    ///
    /// - Returns: whether there were any.
    @discardableResult
    func loadLocal(_ patches: Range<Int>, place: Int, from columns: Columns, _ arithmetic: TileArithmetic) throws
        -> Bool
    {
        for (block, piece) in source.grid.pieces(of: patches) {
            let skipped = piece.lowerBound - source.grid.patches(ofBlock: block).lowerBound
            do {
                try arithmetic.loadLocal(piece, place: place + piece.lowerBound - patches.lowerBound, as: input) {
                    try columns.column($0, ofBlock: block, from: skipped, rowBytes: rowBytes)
                }
            } catch var fault as Fault {
                guard case .pages(let reader, _) = source, fault.place == Place() else { throw fault }
                (fault.place, fault.advice) = (
                    Place(file: reader.file, generation: reader.record.index, block: block), PageHeader.damageAdvice
                )
                throw fault
            }
        }
        return !patches.isEmpty
    }

    /// Loads the delegates in the slots of `patches` that some row of `asking` may see, from place `place` of the group
    /// on.
    ///
    /// - Returns: whether there were any.
    @discardableResult
    func loadDelegates(
        inSlotsOf patches: Range<Int>, seenBy asking: Range<Int>, place: Int, from columns: Columns,
        _ arithmetic: TileArithmetic
    ) throws -> Bool {
        var any = false
        arithmetic.forgetDelegates(place: place, patches: patches.count)
        for run in geometry.guests(of: patches) {
            for (block, piece) in source.grid.pieces(of: run.sources.clamped(to: schedule.seen(by: asking))) {
                let skipped = piece.lowerBound - source.grid.patches(ofBlock: block).lowerBound
                let slot = run.firstSlot + piece.lowerBound - run.sources.lowerBound
                arithmetic.loadDelegates(
                    try columns.column(run.column, ofBlock: block, from: skipped, rowBytes: rowBytes), as: input,
                    row: slot + (place - patches.lowerBound) * P, sources: piece,
                    column: run.column)
                any = true
            }
        }
        return any
    }
}
