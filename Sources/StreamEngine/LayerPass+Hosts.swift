import Geometry
import PageStore
import ProtonModel
import Support

/// A window's hosts: its delegates ask in the patches they visit.
extension LayerPass {
    /// Every delegate of the window asks in the patch that hosts it; the answers go where s will be.
    func answerDelegates(_ window: Range<Int>, report: (Double) -> Void) throws {
        for (done, run) in stride(from: 0, to: P, by: 2 * pool.workers).enumerated() {
            let runs = run..<min(P, run + 2 * pool.workers)
            try pool.run(runs.count) { worker, task in try visitHosts(of: window, index: runs.lowerBound + task, worker: workers[worker]) }
            report(min(1, Double((done + 1) * 2 * pool.workers) / Double(P)))
            if Interruption.isRequested {
                keepCarry(through: window.lowerBound, window: window)
                try writer.commit(progress: progress.bytes)
                try checkInterruption()
            }
        }
    }

    private func visitHosts(of window: Range<Int>, index: Int, worker: Worker) throws {
        let hosts = geometry.hosts(of: window, index: index)
        let slots = geometry.slots(of: window, index: index)
        let arithmetic = worker.arithmetic
        // Inside what the window holds, hosts are at hand; before it they are read; after it they see nobody.
        let held = own.held
        let before = hosts.lowerBound..<max(hosts.lowerBound, min(hosts.upperBound, held.lowerBound))
        let rest = before.upperBound..<hosts.upperBound
        for (block, patches) in source.grid.pieces(of: before) {
            let decoded = try heads.block(block, run: index, reader: worker.reader, spare: worker.spare, spareBlock: &worker.spareBlock)
            for tile in tiling.tiles(of: patches) {
                arithmetic.loadLocal(tile, as: input) { decoded.column($0, from: tile.lowerBound) }
                try loadDelegates(inSlotsOf: tile, worker: worker)
                try arithmetic.attend(.delegates(slots: slots), patches: tile, block: weights, output: row(of: window.lowerBound * P, window: window), firstToken: window.lowerBound * P)
            }
        }
        for tile in tiling.tiles(of: rest) {
            let present = tile.clamped(to: held)
            if !present.isEmpty { arithmetic.loadLocal(present, as: input) { UnsafeRawPointer(own.column($0, from: present.lowerBound)) } }
            try loadDelegates(inSlotsOf: tile, worker: worker)
            try arithmetic.attend(.delegates(slots: slots), patches: tile, block: weights, output: row(of: window.lowerBound * P, window: window), firstToken: window.lowerBound * P)
        }
    }

    /// Loads the delegates in the slots of `tile` as the window's own queries may see them: from the window and the
    /// patches kept before it, and where two token indices meet in a patch, the few from elsewhere. What comes from
    /// after the window is seen by none of its queries.
    private func loadDelegates(inSlotsOf tile: Range<Int>, worker: Worker) throws {
        let held = own.held
        for run in geometry.guests(of: tile) {
            let row = run.firstSlot - tile.lowerBound * P
            func load(_ sources: Range<Int>, _ rows: UnsafeRawPointer) {
                worker.arithmetic.loadDelegates(rows, as: input, row: row + sources.lowerBound - run.sources.lowerBound, rows: sources.count, firstToken: sources.lowerBound * P + run.index)
            }
            let present = run.sources.clamped(to: held)
            if !present.isEmpty { load(present, UnsafeRawPointer(own.column(run.index, from: present.lowerBound))) }
            let strays = run.sources.lowerBound..<max(run.sources.lowerBound, min(run.sources.upperBound, held.lowerBound))
            for (block, patches) in source.grid.pieces(of: strays) {
                // A host patch has P slots, so strays are fewer; a longer run belongs to patches that ask nothing here.
                for start in stride(from: patches.lowerBound, to: patches.upperBound, by: P) {
                    let part = start..<min(patches.upperBound, start + P)
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
