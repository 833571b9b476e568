import Geometry
import PageStore
import ProtonModel
import Support

/// How much states will shrink on disk, and how fast they come: a few pieces of the sequence are run through the model
/// in memory, and the pages they would make are measured.
struct CompressionSample {
    /// Bytes of states before compression over bytes of pages, of the pass whose states shrink least.
    var ratio: Double
    /// Tokens of the sample, and seconds for each of its tokens and layers.
    var tokens: Int
    var secondsPerTokenLayer: Double

    /// Seconds that a sample may take, about: of large models, and of those with long patches, the first passes are
    /// sampled.
    private static let seconds = 1.0
    private static let values = 1 << 19

    /// Tokens that a sample of a model takes.
    static func tokens(_ config: ModelConfig) -> Int {
        let tile = Tiling(patchSize: config.patchSize).rows
        return max(2 * tile, values / config.hiddenSize / tile * tile)
    }

    /// - Returns: nil where the sample would not fit in `budget` bytes.
    static func take(
        _ needs: WorkingSetNeeds, set: WorkingSet, model: Model, tokens source: GenerationReader, budget: Int,
        kernels: KernelTable
    ) throws -> CompressionSample? {
        let config = model.config
        let P = config.patchSize
        let tiling = Tiling(patchSize: P)
        let count = tokens(config)
        guard let geometry = SequenceGeometry(tokens: count, patchSize: P) else { return nil }
        var small = needs
        small.sizes = try ModelSizes(
            config, geometry: geometry, way: needs.sizes.feedForward.way, on: needs.sizes.backend)
        let T = min(set.patchesPerBlock, geometry.patches)
        let sample = small.workingSet(
            T: T, W: (geometry.patches + T - 1) / T * T, slots: nil, overlap: .full, commit: 0)
        guard sample.totalBytes + count * 2 + 4 * needs.tokenBlockBytes <= budget else {
            return nil
        }
        let engine = try Engine(model, needs: small, set: sample, kernels: kernels)

        // Whole tiles from evenly spaced places, as columns.
        let columns = try Memory<UInt8>(count * 2)
        // Which order the tokens stand in does not matter here: where the engine wants one, it is their own.
        let order = try Memory<UInt16>(needs.areTokensOrdered ? count : 0)
        defer { withExtendedLifetime((columns, order)) {} }
        let tokens = ResidentStates(
            start: columns.start, order: order.count > 0 ? order.start : nil, grid: engine.grid, columns: P, rowBytes: 2
        )
        let natural = try RowStream(source, kernels: kernels)
        let pieces = geometry.patches / tiling.patchesPerTile
        for piece in 0..<pieces {
            let tile = tiling.rows
            let first = (source.geometry.tokens - tile) / pieces * piece / tile * tile
            try natural.read(first..<first + tile) { start, rows in
                for (position, id) in rows.bindMemory(to: UInt16.self).enumerated() {
                    let token = piece * tile + start - first + position
                    let (patch, index) = (token / P, token % P)
                    let block = patch / T
                    tokens.column(index, ofBlock: block).withMemoryRebound(to: UInt16.self, capacity: T) {
                        $0[patch - block * T] = id
                    }
                    tokens.indices(index, ofBlock: block)?[patch - block * T] = UInt16(index)
                }
            }
        }

        var worst = Double.infinity
        var sampled = 0
        let watch = Stopwatch()
        for (index, layers) in needs.passes.passes.enumerated() where watch.seconds < seconds {
            let (source, layer) = (layers.lowerBound - 1, layers.upperBound)
            let pass = try engine.pass(
                index, reading: .resident(source == 0 ? tokens : engine.residentStates(source)), isKept: true,
                writer: nil, targets: nil, tokens: .resident(tokens), progress: RunProgress())
            do {
                for window in pass.plan.windows { try pass.run(window: window) { _ in } }
                try pass.finish { _ in }
            } catch let fault as Fault where fault.kind == .badData {
                // Values overflow. Here tokens have other numbers: if it is so in the sequence, the run will say where.
                return nil
            }
            if pass.isInterrupted { throw Fault(.interrupted, "interrupted: nothing was computed yet") }
            worst = min(worst, ratio(engine, layer))
            sampled = layer
        }
        return CompressionSample(
            ratio: worst, tokens: count, secondsPerTokenLayer: watch.seconds / Double(count * sampled))
    }

    private static func ratio(_ engine: Engine, _ layer: Int) -> Double {
        let states = engine.residentStates(layer)
        let outgoing = engine.memory.outgoing[0]
        var (raw, stored) = (0, 0)
        for block in 0..<engine.grid.blocks {
            let patches = engine.grid.patches(ofBlock: block)
            let header = PageHeader(
                element: engine.state, generation: layer, block: block, firstPatch: patches.lowerBound,
                patches: patches.count, columns: engine.geometry.patchSize,
                width: engine.config.hiddenSize, isOrdered: states.order != nil)
            for column in 0..<header.columns {
                outgoing.pages.encode(
                    column, of: header, values: states.column(column, ofBlock: block),
                    indices: states.indices(column, ofBlock: block), with: engine.workers[0].reader.codec)
            }
            raw += header.rawBytes
            stored += outgoing.pages.finish(header).count
        }
        return Double(raw) / Double(max(1, stored))
    }
}
