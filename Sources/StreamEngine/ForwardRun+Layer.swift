import Geometry
import PageStore
import ProtonModel
import Support

/// One layer: its generation named, computed, made durable, published, and its predecessor let go.
extension ForwardRun {
    /// A layer under way.
    final class LayerRun {
        let layer: Int
        let pass: LayerPass
        /// nil where the new generation stays in memory only.
        let record: GenerationRecord?
        /// Bytes of one N, if the layer reads a generation on disk.
        let sourceBytes: Int
        let begunAt: Int
        let watch = Stopwatch()
        let disk = DiskTraffic.now()
        let times: Pipeline.Times

        init(_ pass: LayerPass, record: GenerationRecord?, sourceBytes: Int) {
            layer = pass.layer
            self.pass = pass
            self.record = record
            self.sourceBytes = sourceBytes
            begunAt = pass.progress.nextBlock
            times = pass.pipeline.times
        }
    }

    /// Opens generation `layer` where it goes to disk, and finds generation `layer` - 1 where it is.
    func open(_ layer: Int, _ engine: Engine, plan: ForwardPlan, tokens: GenerationReader) throws -> LayerRun {
        let config = model.config
        let isLast = layer == config.passes
        var record: GenerationRecord?
        var writer: GenerationWriter?
        var progress = RunProgress(carryValues: config.reach.before * config.hiddenSize)
        // In memory alone, unless it is a result, or was begun on disk.
        if !plan.set.isResident || isLast || plan.keep == .all || store.manifest.generation(layer) != nil {
            let named = try recordForLayer(layer, plan: plan)
            let opened = try GenerationWriter(
                store: store.directory, identity: store.identity(of: named), record: named)
            // The last layer is a result; and what would fill half of the memory does not wait there for the next
            // layer.
            opened.forgetsCommitted = isLast || plan.diskNeeded / 2 > MemoryUse.available().bytes / 2
            let place = Place(file: "\(store.directory)/\(named.directory)/data.mdb", generation: layer)
            if let bytes = opened.progress {
                let bounds = RunProgress.Bounds(
                    blocks: engine.grid.blocks, committedBlocks: Array(opened.committedBlocks.values),
                    fileBytes: opened.committedBytes,
                    tokens: engine.geometry.tokens, carryValues: progress.carry.count,
                    scoredBlockTokens: isLast ? engine.grid.patchesPerBlock * engine.geometry.patchSize : nil)
                progress = try RunProgress(bytes, within: bounds, at: place)
            } else if opened.committedBlocks.values.contains(where: { $0 > 0 }) {
                throw Fault(
                    .badData, "the progress of the interrupted run is missing", at: place,
                    advice: "Run again with --restart.")
            }
            (record, writer) = (named, opened)
        }
        let isSourceResident = residentLayer == layer - 1 && layer > 1
        let reader = isSourceResident ? nil : layer == 1 ? tokens : try store.reader(layer - 1)
        let demand = engine.demand(of: layer)
        let slots = min(
            demand.all, layer == 1 ? plan.set.tokenSlots : plan.set.isResident ? demand.all : plan.set.stateSlots)
        let schedule = LayerSchedule(
            geometry: engine.geometry, source: demand.source, target: engine.grid, isCausal: config.isCausal,
            windowPatches: plan.set.windowPatches,
            runsPerStep: isSourceResident ? engine.geometry.patchSize : demand.runsPerStep(slots: slots),
            firstBlock: progress.nextBlock)
        let source: LayerPass.Source
        if let reader {
            guard model.reads(order: reader.record.order, inPass: layer) else {
                throw Fault(
                    .badData,
                    "generation \(layer - 1) stands in the order '\(reader.record.order ?? "natural")', the model reads '\(model.orderName(readBy: layer) ?? "natural")'",
                    at: Place(file: reader.file, generation: layer - 1), advice: "Use --restart to begin anew.")
            }
            source = .pages(
                reader,
                try ColumnCache(
                    engine.states(of: layer - 1).start, slots: slots, columnBytes: demand.columnBytes,
                    indexOffset: demand.indexOffset, schedule: schedule))
        } else {
            source = .resident(engine.residentStates(layer - 1))
        }
        let pass = LayerPass(
            layer, engine: engine, schedule: schedule, source: source,
            input: layer == 1
                ? .tokens(try Embedding(model, length: engine.geometry.paddedTokens))
                : plan.state == .bf16 ? .bf16 : .f32,
            weights: try engine.weights(ofPass: layer),
            target: plan.set.isResident ? engine.residentStates(layer) : nil, writer: writer,
            ordering: try DelegateOrdering(model, readBy: layer + 1, kernels: kernels),
            head: isLast ? (try Head(model, kernels: kernels), tokens) : nil, progress: progress)
        if progress.nextBlock > 0 {
            observer.note("Going on with \(passName) \(layer) at block \(progress.nextBlock) of \(engine.grid.blocks).")
        }
        return LayerRun(pass, record: record, sourceBytes: layer > 1 ? reader?.record.storedBytes ?? 0 : 0)
    }

    /// Makes a finished layer's generation durable and publishes it; older ones go, as `keep` says.
    func close(_ run: LayerRun, _ engine: Engine, plan: ForwardPlan) throws -> LayerResult {
        let (layer, pass) = (run.layer, run.pass)
        if pass.target != nil && run.begunAt == 0 { residentLayer = layer }
        if var record = run.record, let writer = pass.writer {
            try writer.finish()
            record.complete = true
            record.storedBytes = pass.appended.storedBytes
            try publish(record, plan: plan)
        } else if layer < model.config.passes && lastDurable.seconds > Self.checkpointSeconds {
            checkpoint(layer, engine, plan: plan)
        }
        // One N is a pass over the states as stored: those read, or for layer 1, which reads tokens, those written.
        let (raw, overflow) = plan.geometry.paddedTokens.multipliedReportingOverflow(
            by: model.config.hiddenSize * plan.state.size)
        let unit = [run.sourceBytes, pass.appended.storedBytes, overflow ? Int.max : raw].first { $0 > 0 } ?? 1
        let times = pass.pipeline.times
        return LayerResult(
            layer: layer, traffic: pass.traffic.withLock { $0 }, disk: run.disk.until(.now()), progress: pass.progress,
            unit: unit,
            share: 1 - Double(run.begunAt) / Double(engine.grid.blocks), seconds: run.watch.seconds,
            working: times.working - run.times.working,
            waitingForWriter: times.waitingForWriter - run.times.waitingForWriter, idle: times.idle - run.times.idle,
            writing: times.writing - run.times.writing, byStage: times.byStage.merging(run.times.byStage) { $0 - $1 })
    }

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
        // Seconds of threads, as `Pipeline.Times` has them.
        var working: Double
        var waitingForWriter: Double
        var idle: Double
        var writing: Double
        var byStage: [String: Double]
    }

    /// The record of the generation being computed: the one begun before, or a new one, named in the manifest first.
    func recordForLayer(_ layer: Int, plan: ForwardPlan) throws -> GenerationRecord {
        if let begun = store.manifest.generation(layer) { return begun }
        let record = newRecord(layer, plan: plan)
        try name(record)
        return record
    }

    /// Names a generation in the manifest that is not whole yet.
    func name(_ record: GenerationRecord) throws {
        var manifest = store.manifest
        manifest.generations.append(record)
        manifest.generations.sort { $0.index < $1.index }
        try store.publish(manifest)
    }

    func newRecord(_ layer: Int, plan: ForwardPlan) -> GenerationRecord {
        var tables: [PageTable] = []
        if layer < model.config.passes || plan.keep != .none { tables.append(.states) }
        if layer == model.config.passes { tables.append(.surprisal) }
        return GenerationRecord(
            index: layer, directory: Store.unusedDirectory(store.directory, generation: layer), element: plan.state,
            patchesPerBlock: plan.set.patchesPerBlock,
            width: model.config.hiddenSize, tables: tables, modelFingerprint: model.fingerprint,
            order: model.orderName(readBy: layer + 1), computation: computation)
    }

    /// Names a complete generation in the manifest; older ones go, as `keep` says.
    func publish(_ record: GenerationRecord, plan: ForwardPlan) throws {
        var manifest = store.manifest
        manifest.generations.removeAll {
            $0.index == record.index || (plan.keep != .all && $0.index > 0 && $0.index < record.index)
        }
        manifest.generations.append(record)
        manifest.generations.sort { $0.index < $1.index }
        if record.index == model.config.passes { manifest.run?.complete = true }
        try store.publish(manifest)
        lastDurable = Stopwatch()
    }
}
