import CKernels
import Geometry
import PageStore
import ProtonModel
import Support

/// What all layers of a run share: model, threads, memory.
final class Engine {
    let model: Model
    let geometry: SequenceGeometry
    let tiling: Tiling
    /// Number format of the states.
    let state: Element
    let needs: WorkingSetNeeds
    let set: WorkingSet
    let kernels: KernelTable
    let pipeline: Pipeline
    let workers: [Worker]
    let memory: EngineMemory
    private var prepared: (layer: Int, weights: BlockWeights)?

    var config: ModelConfig { model.config }

    /// - Parameters:
    ///   - way: how convolutions are computed.
    ///   - arithmetic: the first worker's, if it was made already.
    init(
        _ model: Model, needs: WorkingSetNeeds, set: WorkingSet, threads: Int, way: ConvolutionWay,
        kernels: KernelTable, arithmetic: TileArithmetic? = nil
    ) throws {
        self.model = model
        self.needs = needs
        self.set = set
        self.kernels = kernels
        geometry = needs.geometry
        tiling = Tiling(patchSize: geometry.patchSize)
        state = needs.state
        pipeline = try Pipeline(workers: threads)
        workers = try (0..<threads).map { worker in
            let own = worker == 0 ? arithmetic : nil
            return try Worker(
                arithmetic: own ?? TileArithmetic(model.config, geometry: needs.geometry, way: way, kernels: kernels),
                pageBytes: needs.pageBytes(T: set.patchesPerBlock),
                columnBytes: needs.columnBytes(T: set.patchesPerBlock), kernels: kernels)
        }
        memory = try EngineMemory(needs, set)
    }

    /// The memory that holds generation `layer`, or what is in memory of it.
    func states(of layer: Int) -> Memory<UInt8> { memory.states[layer % memory.states.count] }

    /// The weights of pass `pass`, prepared by all workers, which are to have nothing else to do. Repeats of a block
    /// share them; otherwise the last ones go before the next ones come.
    func weights(ofPass pass: Int) throws -> BlockWeights {
        let layer = config.block(ofPass: pass).layer
        if let prepared, prepared.layer == layer { return prepared.weights }
        prepared = nil
        let weights = try BlockWeights(model, layer: layer, arithmetic: workers[0].arithmetic) { count, body in
            try pipeline.wait(for: pipeline.add(count, named: "weights") { _, task in body(task) })
        }
        prepared = (layer, weights)
        return weights
    }

    /// The columns that pass `layer` reads.
    func demand(of layer: Int) -> ColumnDemand {
        layer == 1
            ? needs.tokenDemand(T: set.patchesPerBlock, W: set.windowPatches)
            : needs.stateDemand(T: set.patchesPerBlock, W: set.windowPatches)
    }

    /// Pieces of a block for the feed-forward, which takes several tiles at a time: whole tiles, and something for
    /// every worker.
    func feedForwardStrides(of block: Range<Int>) -> [Range<Int>] {
        let tiles = (block.count + tiling.patchesPerTile - 1) / tiling.patchesPerTile
        let least = (tiles + workers[0].arithmetic.tilesAtOnce - 1) / workers[0].arithmetic.tilesAtOnce
        let pieces = min(tiles, max(least, (workers.count + set.blocksInFlight - 1) / set.blocksInFlight))
        let length = (tiles + pieces - 1) / pieces * tiling.patchesPerTile
        return stride(from: block.lowerBound, to: block.upperBound, by: length).map {
            $0..<min(block.upperBound, $0 + length)
        }
    }

    /// T and the number of blocks of the states.
    var grid: BlockGrid { BlockGrid(patches: geometry.patches, patchesPerBlock: set.patchesPerBlock) }

    /// Generation `layer` as it is in memory, where both generations fit.
    func residentStates(_ layer: Int) -> ResidentStates {
        let order = layer < config.passes && !memory.orders.isEmpty ? memory.orders[layer % 2].start : nil
        return ResidentStates(
            start: states(of: layer).start, order: order, grid: grid, columns: geometry.patchSize,
            rowBytes: config.hiddenSize * state.size)
    }
}
