import Geometry
import PageStore
import ProtonModel
import Support

/// A window's blocks, in order: what their guests add, then the rest of the layer.
extension LayerPass {
    /// One block of new states: guests, mix, feed-forward, and its page appended.
    func compute(_ block: Int, window: Range<Int>) throws {
        let patches = grid.patches(ofBlock: block)
        let tiles = tiling.tiles(of: patches)
        let guests = try loadGuests(of: patches)
        try pool.run(tiles.count) { worker, task in
            let tile = tiles[task]
            let arithmetic = workers[worker].arithmetic
            arithmetic.loadLocal(tile, place: 0, as: input) { UnsafeRawPointer(own.column($0, from: tile.lowerBound)) }
            for guest in guests {
                // The part of this run that lies in the tile's slots and that the tile can see.
                let slots = (guest.run.firstSlot..<guest.run.firstSlot + guest.run.sources.count).clamped(to: tile.lowerBound * P..<tile.upperBound * P)
                let sources = guest.run.sources.lowerBound + slots.lowerBound - guest.run.firstSlot
                let visible = min(slots.count, tile.upperBound - sources)
                if visible <= 0 { continue }
                arithmetic.loadDelegates(guest.rows + (slots.lowerBound - guest.run.firstSlot) * rowBytes, as: input,
                    row: slots.lowerBound - tile.lowerBound * P, rows: visible, firstToken: sources * P + guest.run.index)
            }
            try arithmetic.mix(tile, block: weights, s: row(of: tile.lowerBound * P, window: window))
        }
        if head != nil { try loadTokens(of: patches) }
        try pool.run(tiles.count) { worker, task in
            let tile = tiles[task]
            let output = workers[worker].output.start
            let arithmetic = workers[worker].arithmetic
            try arithmetic.feedForward(row(of: tile.lowerBound * P, window: window) - (K - 1) * D, block: weights, output: output)
            stage(tile, of: patches, from: output, arithmetic)
            if let head { try predict(tile, of: patches, from: output, head, arithmetic) }
        }
        try writePages(block, patches)
    }

    /// A run of guests that some patch of the block can see, with its rows at hand.
    private struct Guest {
        var run: DelegateRun
        var rows: UnsafeRawPointer
    }

    /// The delegates in the slots of `patches`: from the window where it holds them, else from their one column of
    /// consecutive blocks.
    private func loadGuests(of patches: Range<Int>) throws -> [Guest] {
        let held = own.held
        var guests: [Guest] = []
        var reads: [(block: Int, index: Int, rows: Range<Int>, target: UnsafeMutablePointer<UInt8>)] = []
        for var run in geometry.guests(of: patches) {
            run.sources = run.sources.clamped(to: 0..<patches.upperBound)
            if run.sources.isEmpty { continue }
            if held.lowerBound <= run.sources.lowerBound {
                guests.append(Guest(run: run, rows: UnsafeRawPointer(own.column(run.index, from: run.sources.lowerBound))))
                continue
            }
            let rows = shared.guests.start + (run.firstSlot - patches.lowerBound * P) * rowBytes
            guests.append(Guest(run: run, rows: UnsafeRawPointer(rows)))
            for (block, piece) in source.grid.pieces(of: run.sources) {
                let first = source.grid.patches(ofBlock: block).lowerBound
                reads.append((block, run.index, piece.lowerBound - first..<piece.upperBound - first, rows + (piece.lowerBound - run.sources.lowerBound) * rowBytes))
            }
        }
        try count(\.guests) {
            try pool.run(reads.count) { worker, task in
                let read = reads[task]
                try workers[worker].reader.read(source, block: read.block, columns: read.index..<read.index + 1, rows: read.rows) { _ in UnsafeMutableRawPointer(read.target) }
            }
        }
        return guests
    }
}
