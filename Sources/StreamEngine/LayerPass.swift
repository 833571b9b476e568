import Geometry
import PageStore
import ProtonModel
import Support

/// One pass over the states: layer `layer` reads generation layer-1 and appends generation layer, window by window.
///
/// A window needs three things and finishes at once (Schedule.md): its **own** rows; its **hosts**, the patches that
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

    let layer: Int
    let D: Int
    let P: Int
    let K: Int

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
        shared.tokenBlockHeld = -1
        shared.s.start.update(from: progress.carry, count: (K - 1) * D)
    }

    /// Runs from the first block not yet written to the end.
    ///
    /// - Parameter report: called with the share of the pass that is done.
    func run(report: (Double) -> Void) throws {
        let total = Double(geometry.patches)
        var first = progress.nextBlock * grid.patchesPerBlock
        while first < geometry.patches {
            let window = first..<min(geometry.patches, first + set.windowPatches)
            try count(\.own) { try own.advance(to: window, pool: pool, readers: workers.map(\.reader)) }
            own.prefetch(window.upperBound..<min(geometry.patches, window.upperBound + set.windowPatches))
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

    func checkInterruption() throws {
        try Interruption.check { "layer \(layer) is kept through block \(progress.nextBlock) of \(grid.blocks); the same command goes on from there" }
    }

    func row(of token: Int, window: Range<Int>) -> UnsafeMutablePointer<Float> {
        shared.s.start + (K - 1 + token - window.lowerBound * P) * D
    }

    func keepCarry(through patch: Int, window: Range<Int>) {
        progress.carry = Array(UnsafeBufferPointer(start: row(of: patch * P, window: window) - (K - 1) * D, count: (K - 1) * D))
    }

    func count(_ role: WritableKeyPath<LayerTraffic, Int>, _ body: () throws -> Void) rethrows {
        let before = workers.map(\.reader.bytesRead).reduce(0, +)
        try body()
        io[keyPath: role] += workers.map(\.reader.bytesRead).reduce(0, +) - before
    }
}

/// Bytes of pages that one layer moved.
public struct LayerTraffic: Sendable {
    public var own = 0
    public var hosts = 0
    public var guests = 0
    /// Tokens to be predicted, in the last layer.
    public var tokens = 0
    /// States.
    public var written = 0
    /// Surprisal.
    public var results = 0
    public var read: Int { own + hosts + guests + tokens }
}
