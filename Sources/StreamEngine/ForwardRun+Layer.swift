import Geometry
import PageStore
import ProtonModel
import Support

/// One layer: its generation named, computed, made durable, published, and its predecessor let go.
extension ForwardRun {
    /// What one layer came to.
    struct LayerResult {
        var layer: Int
        var traffic: LayerTraffic
        /// What of it the system moved from and to the disk; the page cache served the rest.
        var disk: DiskTraffic
        var progress: RunProgress
        /// Bytes of one N.
        var unit: Int
        /// The share of the layer that this process computed.
        var share: Double
        var seconds: Double
    }

    /// Computes generation `layer` and publishes it; older ones go, as `keep` says.
    func runLayer(
        _ layer: Int, plan: ForwardPlan, tokens: GenerationReader, shared: SharedMemory, workers: [Worker], pool: WorkerPool
    ) throws -> LayerResult {
        let watch = Stopwatch()
        let disk = DiskTraffic.now()
        let config = model.config
        let isLast = layer == config.layers
        let carryValues = (config.kernelSize - 1) * config.hiddenSize
        let record = try recordForLayer(layer, plan: plan)
        let writer = try GenerationWriter(store: store.directory, identity: store.identity(of: record), record: record)
        var progress = RunProgress(carryValues: carryValues)
        if let bytes = writer.progress {
            guard let committed = RunProgress(bytes, carryValues: carryValues), committed.nextBlock <= BlockGrid(patches: plan.geometry.patches, patchesPerBlock: record.patchesPerBlock).blocks else {
                throw Fault(.badData, "the progress of the interrupted run is damaged", at: Place(file: store.directory, generation: layer), advice: "Run again with --restart.")
            }
            progress = committed
        }
        let begunAt = progress.nextBlock
        let source = layer == 1 ? tokens : try store.reader(layer - 1)
        let input: InputRows = layer == 1 ? .tokens(try Embedding(model, length: plan.geometry.paddedTokens)) : plan.state == .bf16 ? .bf16 : .f32
        let pass = try LayerPass(
            layer: layer, source: source, input: input, weights: try BlockWeights(model, layer: layer - 1, arithmetic: workers[0].arithmetic), writer: writer,
            head: isLast ? try Head(model) : nil, tokens: tokens, state: plan.state, set: plan.set, shared: shared, workers: workers, pool: pool, progress: progress)
        if begunAt > 0 { observer.note("Going on with layer \(layer) at block \(begunAt) of \(pass.grid.blocks).") }
        try pass.run { observer.progress(layer: layer, of: config.layers, done: $0, tokens: plan.geometry.tokens) }
        try writer.finish()

        var manifest = store.manifest
        var done = record
        done.complete = true
        done.storedBytes = pass.progress.storedBytes
        manifest.generations.removeAll { $0.index == layer || (plan.keep != .all && $0.index > 0 && $0.index < layer) }
        manifest.generations.append(done)
        if isLast { manifest.run?.complete = true }
        try store.publish(manifest)
        // One N is a pass over the states as stored: those read, or for layer 1, which reads tokens, those written.
        let stored = layer > 1 ? source.record.storedBytes : done.storedBytes
        let raw = plan.geometry.paddedTokens * config.hiddenSize * plan.state.size
        let share = 1 - Double(begunAt) / Double(pass.grid.blocks)
        return LayerResult(
            layer: layer, traffic: pass.io, disk: disk.until(.now()), progress: pass.progress, unit: stored > 0 ? stored : raw, share: share, seconds: watch.seconds)
    }

    /// The record of the generation being computed: the one begun before, or a new one, named in the manifest first.
    func recordForLayer(_ layer: Int, plan: ForwardPlan) throws -> GenerationRecord {
        if let begun = store.manifest.generation(layer) { return begun }
        var tables: [PageTable] = []
        if layer < model.config.layers || plan.keep != .none { tables.append(.states) }
        if layer == model.config.layers { tables.append(.surprisal) }
        let record = GenerationRecord(
            index: layer, directory: Store.unusedDirectory(store.directory, generation: layer), element: plan.state, patchesPerBlock: plan.set.patchesPerBlock,
            width: model.config.hiddenSize, tables: tables, modelFingerprint: model.fingerprint)
        var manifest = store.manifest
        manifest.generations.append(record)
        try store.publish(manifest)
        return record
    }
}
