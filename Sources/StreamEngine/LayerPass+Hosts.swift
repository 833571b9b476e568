import Geometry
import PageStore
import ProtonModel
import Support

/// A window's hosts: its delegates ask in the patches they visit.
extension LayerPass {
    /// Every delegate of the window asks in the patch that hosts it; the answers go where s will be.
    ///
    /// Runs of hosts are shared out in bundles whose patches fill a tile or more, so that a narrow window, which visits a
    /// patch or two in each run, wastes little of its tiles.
    func answerDelegates(_ window: Range<Int>, report: (Double) -> Void) throws {
        let perRun = window.count / P + 1
        let bundle = max(1, min((P + pool.workers - 1) / pool.workers, tiling.patchesPerTile / perRun))
        let bundles = stride(from: 0, to: P, by: bundle).map { $0..<min(P, $0 + bundle) }
        for first in stride(from: 0, to: bundles.count, by: 2 * pool.workers) {
            let some = bundles[first..<min(bundles.count, first + 2 * pool.workers)]
            try pool.run(some.count) { worker, task in try visitHosts(of: window, indices: some[first + task], worker: workers[worker]) }
            report(Double(first + some.count) / Double(bundles.count))
            if Interruption.isRequested {
                keepCarry(through: window.lowerBound, window: window)
                try writer.commit(progress: progress.bytes)
                try checkInterruption()
            }
        }
    }

    /// Visits the hosts of the delegates with the token indices `indices`, a tile of patches at a time.
    private func visitHosts(of window: Range<Int>, indices: Range<Int>, worker: Worker) throws {
        let arithmetic = worker.arithmetic
        let firstToken = window.lowerBound * P
        var visits: [TileArithmetic.Visit] = []
        func attend() throws {
            try arithmetic.attend(.delegates, visits, block: weights, output: row(of: firstToken, window: window), firstToken: firstToken)
            visits.removeAll(keepingCapacity: true)
        }
        /// Takes `patches` into the tile, attending whenever it is full. `load` brings local rows to a place of the tile.
        func visit(_ patches: Range<Int>, index: Int, load: (_ patches: Range<Int>, _ place: Int) -> Void) throws {
            let slots = geometry.slots(of: window, index: index)
            var next = patches.lowerBound
            while next < patches.upperBound {
                let taken = next..<min(patches.upperBound, next + tiling.patchesPerTile - visits.count)
                load(taken, visits.count)
                try loadDelegates(inSlotsOf: taken, place: visits.count, worker: worker)
                visits += taken.map { .delegates(in: slots, of: $0, patchSize: P) }
                next = taken.upperBound
                if visits.count == tiling.patchesPerTile { try attend() }
            }
        }
        for index in indices {
            let hosts = geometry.hosts(of: window, index: index)
            // Inside what the window holds, hosts are at hand; before it they are read; after it they are seen by nobody.
            let held = own.held
            let before = hosts.lowerBound..<max(hosts.lowerBound, min(hosts.upperBound, held.lowerBound))
            for (block, patches) in source.grid.pieces(of: before) {
                let decoded = try heads.block(block, run: index, reader: worker.reader, spare: worker.spare, spareBlock: &worker.spareBlock)
                try visit(patches, index: index) { patches, place in
                    arithmetic.loadLocal(patches, place: place, as: input) { decoded.column($0, from: patches.lowerBound) }
                }
            }
            try visit(before.upperBound..<hosts.upperBound, index: index) { patches, place in
                let present = patches.clamped(to: held)
                if !present.isEmpty { arithmetic.loadLocal(present, place: place, as: input) { UnsafeRawPointer(own.column($0, from: present.lowerBound)) } }
            }
        }
        if !visits.isEmpty { try attend() }
    }

    /// Loads the delegates in the slots of `patches`, from `place` of the tile on, as the window's own queries may see them: from the window and the
    /// patches kept before it, and where two token indices meet in a patch, the few from elsewhere. What comes from
    /// after the window is seen by none of its queries.
    private func loadDelegates(inSlotsOf patches: Range<Int>, place: Int, worker: Worker) throws {
        let held = own.held
        for run in geometry.guests(of: patches) {
            let row = run.firstSlot + (place - patches.lowerBound) * P
            func load(_ sources: Range<Int>, _ rows: UnsafeRawPointer) {
                worker.arithmetic.loadDelegates(rows, as: input, row: row + sources.lowerBound - run.sources.lowerBound, rows: sources.count, firstToken: sources.lowerBound * P + run.index)
            }
            let present = run.sources.clamped(to: held)
            if !present.isEmpty { load(present, UnsafeRawPointer(own.column(run.index, from: present.lowerBound))) }
            let strays = run.sources.lowerBound..<max(run.sources.lowerBound, min(run.sources.upperBound, held.lowerBound))
            for (block, piece) in source.grid.pieces(of: strays) {
                // A host patch has P slots, so strays are fewer; a longer run belongs to patches that ask nothing here.
                for start in stride(from: piece.lowerBound, to: piece.upperBound, by: P) {
                    let part = start..<min(piece.upperBound, start + P)
                    let first = source.grid.patches(ofBlock: block).lowerBound
                    try worker.reader.read(source, block: block, columns: run.index..<run.index + 1, rows: part.lowerBound - first..<part.upperBound - first) { _ in
                        UnsafeMutableRawPointer(worker.strays.start)
                    }
                    load(part, worker.strays.start)
                }
            }
        }
    }
}
