import Geometry
import PageStore
import ProtonModel
import Support

/// A window's hosts: its delegates ask in the patches they visit.
extension LayerPass {
    /// Runs of hosts shared out in bundles whose patches fill several groups; but enough bundles for all workers.
    func hostBundles(of window: Range<Int>, group: Int) -> [Range<Int>] {
        let ofGroup = schedule.columns(ofGroup: group)
        let perRun = window.count / P + 1
        let workers = pipeline.workers
        // A narrow window visits a patch or two in each run: a full group matters more than a task for everyone.
        let group = engine.workers[0].arithmetic.groupPatches
        let (least, most) = (group / perRun, 16 * group / perRun)
        let bundle = max(1, min((ofGroup.count + workers - 1) / workers, max(least, min(most, ofGroup.count / (4 * workers)))))
        return stride(from: ofGroup.lowerBound, to: ofGroup.upperBound, by: bundle).map { $0..<min(ofGroup.upperBound, $0 + bundle) }
    }

    /// Visits the hosts of the delegates in the columns `asking`, a group of patches at a time. The answers go where s will be.
    /// Where the window is the whole sequence its hosts are its own patches: then the local rows ask as well, and no patch
    /// is visited again.
    func visitHosts(of window: Range<Int>, asking: Range<Int>, columns: Columns, s: Memory<Float>, worker: Worker) throws {
        let arithmetic = worker.arithmetic
        let firstToken = window.lowerBound * P
        var visits: [TileArithmetic.Visit] = []
        var seesLocal = false
        func attend() {
            arithmetic.attend(
                visits, seesOthers: seesLocal, block: weights, toLocal: visitsOnce ? engine.memory.answers.start : nil, toDelegates: row(of: firstToken, window: window, s: s), firstToken: firstToken)
            visits.removeAll(keepingCapacity: true)
            seesLocal = false
        }
        for column in asking {
            let slots = geometry.slots(of: window, column: column)
            let hosts = geometry.hosts(of: window, column: column)
            var next = hosts.lowerBound
            while next < hosts.upperBound {
                let taken = next..<min(hosts.upperBound, next + arithmetic.groupPatches - visits.count)
                let seen = schedule.seen(by: window)
                if try loadLocal(taken.clamped(to: 0..<max(taken.lowerBound, seen.upperBound)), place: visits.count, from: columns, arithmetic) { seesLocal = true }
                try loadDelegates(inSlotsOf: taken, seenBy: window, place: visits.count, from: columns, arithmetic)
                visits += taken.map { .delegates(in: slots, of: $0, patchSize: P, local: visitsOnce) }
                next = taken.upperBound
                if visits.count == arithmetic.groupPatches { attend() }
            }
        }
        if !visits.isEmpty { attend() }
    }

    /// Loads the local rows of `patches`, from place `place` of the group on.
    ///
    /// - Returns: whether there were any.
    @discardableResult
    func loadLocal(_ patches: Range<Int>, place: Int, from columns: Columns, _ arithmetic: TileArithmetic) throws -> Bool {
        for (block, piece) in source.grid.pieces(of: patches) {
            let skipped = piece.lowerBound - source.grid.patches(ofBlock: block).lowerBound
            try arithmetic.loadLocal(piece, place: place + piece.lowerBound - patches.lowerBound, as: input) { try columns.column($0, ofBlock: block, from: skipped, rowBytes: rowBytes) }
        }
        return !patches.isEmpty
    }

    /// Loads the delegates in the slots of `patches` that some row of `asking` may see, from place `place` of the group on.
    ///
    /// - Returns: whether there were any.
    @discardableResult
    func loadDelegates(inSlotsOf patches: Range<Int>, seenBy asking: Range<Int>, place: Int, from columns: Columns, _ arithmetic: TileArithmetic) throws -> Bool {
        var any = false
        arithmetic.forgetDelegates(place: place, patches: patches.count)
        for run in geometry.guests(of: patches) {
            for (block, piece) in source.grid.pieces(of: run.sources.clamped(to: schedule.seen(by: asking))) {
                let skipped = piece.lowerBound - source.grid.patches(ofBlock: block).lowerBound
                let slot = run.firstSlot + piece.lowerBound - run.sources.lowerBound
                arithmetic.loadDelegates(
                    try columns.column(run.column, ofBlock: block, from: skipped, rowBytes: rowBytes), as: input, row: slot + (place - patches.lowerBound) * P, sources: piece,
                    column: run.column)
                any = true
            }
        }
        return any
    }
}
