import Geometry
import PageStore
import ProtonModel
import Support

/// One pass over the states: layer `layer` reads generation layer-1 and appends generation layer, window by window.
///
/// A window needs three things and finishes at once (schedule.md): its **own** rows; its **hosts**, the patches that
/// its delegates visit; its **guests**, the delegates that visit it. Hosts come first, for they give every token of the
/// window its delegate's answer; then block by block the guests, the mix, the feed-forward, and the page goes out.
final class LayerPass {
    let geometry: SequenceGeometry
    let tiling: Tiling
    let source: GenerationReader
    let input: InputRows
    let weights: BlockWeights
    let writer: GenerationWriter
    /// Set in the last layer.
    let head: Head?
    let tokens: GenerationReader
    let set: WorkingSet
    let state: Element
    let shared: SharedMemory
    let workers: [Worker]
    let pool: WorkerPool
    let own: OwnColumns
    let heads: HostHeads
    let grid: BlockGrid
    let rowBytes: Int
    var progress: RunProgress
    var io = LayerTraffic()

    private let layer: Int
    private let D: Int
    private let P: Int
    private let K: Int

    init(
        layer: Int, source: GenerationReader, input: InputRows, weights: BlockWeights, writer: GenerationWriter, head: Head?, tokens: GenerationReader,
        state: Element, set: WorkingSet, shared: SharedMemory, workers: [Worker], pool: WorkerPool, progress: RunProgress
    ) throws {
        let arithmetic = workers[0].arithmetic
        self.layer = layer
        self.source = source
        self.input = input
        self.weights = weights
        self.writer = writer
        self.head = head
        self.tokens = tokens
        self.state = state
        self.set = set
        self.shared = shared
        self.workers = workers
        self.pool = pool
        self.progress = progress
        geometry = source.geometry
        tiling = Tiling(patchSize: geometry.patchSize)
        grid = BlockGrid(patches: geometry.patches, patchesPerBlock: set.patchesPerBlock)
        D = arithmetic.config.hiddenSize
        P = geometry.patchSize
        K = arithmetic.config.kernelSize
        rowBytes = input.rowBytes(width: D)
        own = OwnColumns(shared.own, source: source, windowPatches: set.windowPatches, rowBytes: rowBytes)
        heads = try HostHeads(shared.heads, source: source, rowBytes: rowBytes)
        for worker in workers { worker.spareBlock = -1 }
        shared.s.start.update(from: progress.carry, count: (K - 1) * D)
    }

    /// Runs from the first block not yet written to the end.
    ///
    /// - Parameter report: called with the share of the pass that is done.
    func run(report: (Double) -> Void) throws {
        let total = Double(geometry.patches)
        var first = grid.patches(ofBlock: progress.nextBlock).lowerBound
        while first < geometry.patches {
            let window = first..<min(geometry.patches, first + set.windowPatches)
            try count(\.own) { try own.advance(to: window, pool: pool, readers: workers.map(\.reader)) }
            let share = Double(window.count) / total
            let before = Double(first) / total
            try count(\.hosts) { try answerDelegates(window) { report(before + 0.35 * share * $0) } }
            for block in grid.blocks(of: window) {
                try compute(block, window: window)
                report(before + share * (0.35 + 0.65 * Double(grid.patches(ofBlock: block).upperBound - first) / Double(window.count)))
                let isLast = block == grid.blocks - 1
                if isLast || writer.uncommittedBytes >= set.commitBytes || Interruption.isRequested {
                    keepCarry(through: grid.patches(ofBlock: block).upperBound, window: window)
                    try writer.commit(progress: progress.bytes)
                    if !isLast { try checkInterruption() }
                }
            }
            // The last K-1 rows of s go to the front for the next window.
            shared.s.start.update(from: shared.s.start + window.count * P * D, count: (K - 1) * D)
            first = window.upperBound
        }
    }

    private func checkInterruption() throws {
        try Interruption.check { "layer \(layer) is kept through block \(progress.nextBlock) of \(grid.blocks); the same command goes on from there" }
    }

    private func row(of token: Int, window: Range<Int>) -> UnsafeMutablePointer<Float> {
        shared.s.start + (K - 1 + token - window.lowerBound * P) * D
    }

    private func keepCarry(through patch: Int, window: Range<Int>) {
        progress.carry = Array(UnsafeBufferPointer(start: row(of: patch * P, window: window) - (K - 1) * D, count: (K - 1) * D))
    }

    private func count(_ role: WritableKeyPath<LayerTraffic, Int>, _ body: () throws -> Void) rethrows {
        let before = workers.map(\.reader.bytesRead).reduce(0, +)
        try body()
        io[keyPath: role] += workers.map(\.reader.bytesRead).reduce(0, +) - before
    }

    // MARK: Hosts

    /// Every delegate of the window asks in the patch that hosts it; the answers go where s will be.
    private func answerDelegates(_ window: Range<Int>, report: (Double) -> Void) throws {
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

    // MARK: Guests, mix, feed-forward, page

    private func compute(_ block: Int, window: Range<Int>) throws {
        let patches = grid.patches(ofBlock: block)
        let tiles = tiling.tiles(of: patches)
        let guests = try loadGuests(of: patches)
        try pool.run(tiles.count) { worker, task in
            let tile = tiles[task]
            let arithmetic = workers[worker].arithmetic
            arithmetic.loadLocal(tile, as: input) { UnsafeRawPointer(own.column($0, from: tile.lowerBound)) }
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

    /// Puts a tile's new states into the block's columns, in the states' number format.
    private func stage(_ tile: Range<Int>, of block: Range<Int>, from output: UnsafePointer<Float>, _ arithmetic: TileArithmetic) {
        let row = D * state.size
        for patch in tile {
            for index in 0..<P {
                let target = shared.staged.start + (index * block.count + patch - block.lowerBound) * row
                let values = output + ((patch - tile.lowerBound) * P + index) * D
                arithmetic.store(values, asBF16: state == .bf16, into: target)
            }
        }
    }

    // MARK: Head

    /// The block's tokens in natural order, and the one after, which the last row predicts.
    private func loadTokens(of patches: Range<Int>) throws {
        let next = patches.upperBound..<min(geometry.patches, patches.upperBound + 1)
        shared.tokens[patches.count * P] = Element.noToken
        // Surprisal's columns are not in use yet and have room for as many tokens.
        let columns = UnsafeMutableRawPointer(shared.bitColumns.start).assumingMemoryBound(to: UInt16.self)
        for (block, piece) in tokens.grid.pieces(of: patches) + tokens.grid.pieces(of: next) {
            let first = tokens.grid.patches(ofBlock: block).lowerBound
            let indices = piece.lowerBound == next.lowerBound ? 0..<1 : 0..<P
            try workers[0].reader.read(tokens, block: block, columns: indices, rows: piece.lowerBound - first..<piece.upperBound - first) {
                UnsafeMutableRawPointer(columns + $0 * piece.count)
            }
            for index in indices {
                for patch in piece {
                    shared.tokens[(patch - patches.lowerBound) * P + index] = columns[index * piece.count + patch - piece.lowerBound]
                }
            }
        }
    }

    private func predict(_ tile: Range<Int>, of block: Range<Int>, from output: UnsafeMutablePointer<Float>, _ head: Head, _ arithmetic: TileArithmetic) throws {
        let first = (tile.lowerBound - block.lowerBound) * P
        let last = min(tile.count * P, geometry.tokens - 1 - tile.lowerBound * P)
        if last > 0 { try head.surprisal(output, targets: shared.tokens.start + first + 1, count: last, bits: shared.bits.start + first + 1, with: arithmetic) }
    }

    // MARK: Pages

    private func writePages(_ block: Int, _ patches: Range<Int>) throws {
        var states = PageHeader(element: state, generation: layer, block: block, firstPatch: patches.lowerBound, patches: patches.count, columns: P, width: D)
        let surprisal = PageHeader(element: .f32, generation: layer, block: block, firstPatch: patches.lowerBound, patches: patches.count, columns: P, width: 1)
        let keepsStates = writer.record.holds(.states)
        if head != nil { finishBits(patches) }
        try pool.run(P) { worker, index in
            let codec = workers[worker].reader.codec
            if keepsStates { shared.pages.encode(index, of: states, values: shared.staged.start + index * states.columnBytes, with: codec) }
            if head != nil {
                let column = shared.bitColumns.start + index * patches.count
                for patch in 0..<patches.count { column[patch] = shared.bits[patch * P + index] }
                shared.surprisalPages.encode(index, of: surprisal, values: column, with: codec)
            }
        }
        if keepsStates {
            let page = shared.pages.finish(states)
            states.pageBytes = page.count
            try writer.append(.states, block: block, page: page)
            progress.storedBytes += page.count
            io.written += page.count
        }
        if head != nil {
            let page = shared.surprisalPages.finish(surprisal)
            try writer.append(.surprisal, block: block, page: page)
            io.results += page.count
        }
        progress.nextBlock = block + 1
    }

    /// Joins the block's surprisal to the one before and adds up what counts, in token order.
    private func finishBits(_ patches: Range<Int>) {
        let count = patches.count * P
        let first = patches.lowerBound * P
        shared.bits[0] = progress.nextBits
        progress.nextBits = first + count < geometry.tokens ? shared.bits[count] : .nan
        for position in 0..<count {
            let token = first + position
            if token >= geometry.tokens { shared.bits[position] = .nan }
            if token >= 1 && token < geometry.tokens && shared.tokens[position] < 256 {
                progress.bits += Double(shared.bits[position])
                progress.bitsCount += 1
            }
        }
    }
}

/// Bytes of pages that one layer moved.
public struct LayerTraffic: Sendable {
    public var own = 0
    public var hosts = 0
    public var guests = 0
    /// States.
    public var written = 0
    /// Surprisal.
    public var results = 0
    public var read: Int { own + hosts + guests }
}
