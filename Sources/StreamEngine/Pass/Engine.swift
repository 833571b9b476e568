import Compute
import Geometry
import PageStore
import ProtonModel
import Support

/// What all passes of a run share: model, back end, threads, memory.
///
/// Sendable for the tasks of a pass, which read what `init` set; answers and layers are made on the thread that adds
/// stages, and by no task.
final class Engine: @unchecked Sendable {
    let model: Model
    let needs: WorkingSetNeeds
    let set: WorkingSet
    let kernels: KernelTable
    let pipeline: Pipeline
    let workers: [Worker]
    let memory: EngineMemory
    /// What windows in flight gather; made with the first layer that does, and anew with one of another kind.
    private var answers: [any GatheredAnswers] = []
    /// Layers made ready, by block of the model: repeats share them.
    private var layers: [Int: Layer] = [:]

    var geometry: SequenceGeometry { needs.geometry }
    var config: ModelConfig { model.config }
    var backend: any Backend { needs.sizes.backend }
    /// Number format of the states.
    var state: Element { needs.state }
    var tiling: Tiling { Tiling(patchSize: geometry.patchSize) }

    init(_ model: Model, needs: WorkingSetNeeds, set: WorkingSet, kernels: KernelTable) throws {
        self.model = model
        self.needs = needs
        self.set = set
        self.kernels = kernels
        pipeline = try Pipeline(workers: needs.threads)
        workers = try (0..<needs.threads).map { _ in try Worker(needs, set, kernels: kernels) }
        memory = try EngineMemory(needs, set)
    }

    /// The memory that holds generation `layer`, or what is in memory of it.
    func states(of layer: Int) -> Memory<UInt8> {
        // Passes take turns, however many layers each has.
        let pass = layer == 0 ? 0 : (needs.passes.pass(making: layer) ?? layer - 1) + 1
        return memory.states[pass % memory.states.count]
    }

    /// The layers of a pass, made ready by all workers, which are to have nothing else to do. Repeats of a block share
    /// its weights; those that the pass does not need go before others come.
    func layers(_ pass: ClosedRange<Int>) throws -> [Layer] {
        let blocks = pass.map { config.block(ofLayer: $0).index }
        layers = layers.filter { blocks.contains($0.key) }
        return try blocks.map { block in
            if let layer = layers[block] { return layer }
            let layer = try Layer(
                model, block: block, feedForward: needs.sizes.feedForward, geometry: geometry, on: backend
            ) { count, body in
                try pipeline.wait(for: pipeline.add(count, named: "weights") { _, task in body(task) })
            }
            layers[block] = layer
            return layer
        }
    }

    /// What window `window` gathers.
    func answers(of window: Int, to mixer: any GatheringMixer) throws -> any GatheredAnswers {
        if answers.first.map(mixer.isAnswered) != true {
            answers = []
            answers = try (0..<set.windowsInFlight).map { _ in
                try mixer.answers(
                    rows: set.windowPatches * geometry.patchSize, workers: workers.count, isOnce: set.isVisitedOnce,
                    on: backend)
            }
        }
        return answers[window % answers.count]
    }

    /// Pieces of consecutive patches for as many tasks as there are workers to share them: tiles, or on a back end that
    /// takes whole stretches, all of them.
    func tiles(of patches: Range<Int>) -> [Range<Int>] {
        backend.isDivided ? tiling.tiles(of: patches) : patches.isEmpty ? [] : [patches]
    }

    /// Pieces of a stretch for the feed-forward, which takes several tiles at a time: whole tiles, and something for
    /// every worker.
    func feedForwardStrides(of stretch: Range<Int>) -> [Range<Int>] {
        let atOnce = needs.sizes.feedForward.tilesAtOnce
        let tiles = (stretch.count + tiling.patchesPerTile - 1) / tiling.patchesPerTile
        let least = (tiles + atOnce - 1) / atOnce
        let pieces = min(tiles, max(least, (workers.count + set.stretchesInFlight - 1) / set.stretchesInFlight))
        let length = (tiles + pieces - 1) / pieces * tiling.patchesPerTile
        return stride(from: stretch.lowerBound, to: stretch.upperBound, by: length).map {
            $0..<min(stretch.upperBound, $0 + length)
        }
    }

    /// T and the number of blocks of the states.
    var grid: BlockGrid { BlockGrid(patches: geometry.patches, patchesPerBlock: set.patchesPerBlock) }

    /// Generation `layer` as it is in memory, where both generations fit.
    func residentStates(_ layer: Int) -> ResidentStates {
        let pass = (needs.passes.pass(making: layer) ?? layer - 1) + 1
        let isOrdered = !memory.orders.isEmpty && model.orderName(readBy: layer + 1) != nil
        return ResidentStates(
            start: states(of: layer).start, order: isOrdered ? memory.orders[pass % 2].start : nil, grid: grid,
            columns: geometry.patchSize, rowBytes: config.hiddenSize * state.size)
    }
}
