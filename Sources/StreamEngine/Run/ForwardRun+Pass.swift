import Geometry
import PageStore
import ProtonModel
import Support

/// One pass: its generation named, computed, made durable, published, and its predecessor let go.
extension ForwardRun {
    /// A pass under way.
    final class PassRun {
        let pass: Pass
        /// nil where the new generation stays in memory only.
        let record: GenerationRecord?
        /// Bytes of one N, if the pass reads a generation on disk.
        let sourceBytes: Int
        let begunAt: Int
        let watch = Stopwatch()
        let disk = DiskTraffic.now()
        let times: Pipeline.Times

        var layers: ClosedRange<Int> { pass.layers }

        init(_ pass: Pass, record: GenerationRecord?, sourceBytes: Int) {
            self.pass = pass
            self.record = record
            self.sourceBytes = sourceBytes
            begunAt = pass.progress.nextBlock
            times = pass.pipeline.times
        }
    }

    /// Opens the generation that pass `index` makes where it goes to disk, and finds the one that it reads where it is.
    func open(_ index: Int, _ engine: Engine, plan: ForwardPlan, tokens: GenerationReader) throws -> PassRun {
        let layers = plan.passes.passes[index]
        let (source, layer) = (layers.lowerBound - 1, layers.upperBound)
        let isLast = layer == model.config.depth
        var record: GenerationRecord?
        var writer: GenerationWriter?
        var progress = RunProgress()
        // In memory alone, unless it is a result, or was begun on disk.
        if !plan.set.isResident || isLast || plan.keep == .all || store.manifest.generation(layer) != nil {
            let named = try recordForLayer(layer, plan: plan)
            let opened = try GenerationWriter(
                store: store.directory, identity: store.identity(of: named), record: named)
            // The last pass makes a result; and what would fill half of the memory does not wait there for the next
            // pass.
            opened.isCommittedForgotten = isLast || plan.diskNeeded / 2 > MemoryUse.available().bytes / 2
            progress = try progressOf(opened, named, layers, isLast: isLast, engine)
            (record, writer) = (named, opened)
        }
        let isSourceResident = residentLayer == source && source > 0
        let reader = isSourceResident ? nil : source == 0 ? tokens : try store.reader(source)
        if let reader { try checkOrder(of: reader, readBy: layers.lowerBound) }
        let pass = try engine.pass(
            index, reading: reader.map { .stored(StoredGeneration($0)) } ?? .resident(engine.residentStates(source)),
            isKept: plan.set.isResident, writer: writer, targets: isLast ? .stored(tokens) : nil,
            tokens: .stored(tokens), progress: progress)
        if progress.nextBlock > 0 {
            observer.note(
                "Going on with \(plan.passes.name(index)) at block \(progress.nextBlock) of \(engine.grid.blocks).")
        }
        return PassRun(pass, record: record, sourceBytes: source > 0 ? reader?.record.storedBytes ?? 0 : 0)
    }

    /// How far a pass is, by what was committed with its generation.
    private func progressOf(
        _ writer: GenerationWriter, _ record: GenerationRecord, _ layers: ClosedRange<Int>, isLast: Bool,
        _ engine: Engine
    ) throws -> RunProgress {
        let place = Place(file: writer.file, generation: layers.upperBound)
        guard let bytes = writer.progress else {
            if writer.committedBlocks.values.contains(where: { $0 > 0 }) {
                throw Fault(
                    .badData, "the progress of the interrupted run is missing", at: place,
                    remedies: [.restart])
            }
            return RunProgress()
        }
        let sizes = engine.needs.sizes
        return try RunProgress(
            bytes,
            within: RunProgress.Bounds(
                blocks: engine.grid.blocks, committedBlocks: Array(writer.committedBlocks.values),
                fileBytes: store.fileBytes(of: record), tokens: engine.geometry.tokens,
                carryBytes: layers.map { sizes.carryBytes(ofLayer: $0) },
                rowBytes: model.config.reach.before * model.config.hiddenSize * 4,
                scoredBlockTokens: isLast ? engine.grid.patchesPerBlock * engine.geometry.patchSize : nil),
            at: place)
    }

    private func checkOrder(of reader: GenerationReader, readBy layer: Int) throws {
        guard !model.reads(order: reader.record.order, inLayer: layer) else { return }
        throw Fault(
            .badData,
            "generation \(layer - 1) stands in the order '\(reader.record.order ?? "natural")', the model reads '\(model.orderName(readBy: layer) ?? "natural")'",
            at: Place(file: reader.file, generation: layer - 1), remedies: [.restart])
    }

    /// Makes a finished pass's generation durable and publishes it; older ones go, as `keep` says.
    func close(_ run: PassRun, _ engine: Engine, plan: ForwardPlan) throws -> PassResult {
        let (layer, pass) = (run.layers.upperBound, run.pass)
        if pass.target != nil && run.begunAt == 0 { residentLayer = layer }
        if var record = run.record, let writer = pass.writer {
            try writer.finish()
            record.isComplete = true
            record.storedBytes = pass.appended.storedBytes
            try publish(record, plan: plan)
        } else if layer < model.config.depth && lastDurable.seconds > Self.checkpointSeconds {
            checkpoint(layer, engine, plan: plan)
        }
        // One N is a pass over the states as stored: those read, or for the first pass, which reads tokens, those
        // written.
        let (raw, overflow) = plan.geometry.paddedTokens.multipliedReportingOverflow(
            by: model.config.hiddenSize * plan.state.size)
        let unit = [run.sourceBytes, pass.appended.storedBytes, overflow ? Int.max : raw].first { $0 > 0 } ?? 1
        let times = pass.pipeline.times
        return PassResult(
            layers: run.layers, traffic: pass.traffic.withLock { $0 }, disk: run.disk.until(.now()),
            progress: pass.progress,
            unit: unit,
            share: 1 - Double(run.begunAt) / Double(engine.grid.blocks), seconds: run.watch.seconds,
            working: times.working - run.times.working,
            waitingForWriter: times.waitingForWriter - run.times.waitingForWriter, idle: times.idle - run.times.idle,
            writing: times.writing - run.times.writing, byStage: times.byStage.merging(run.times.byStage) { $0 - $1 })
    }

    /// What one pass came to.
    struct PassResult {
        var layers: ClosedRange<Int>
        var traffic: PassTraffic
        /// What of it the system moved from and to the disk; the page cache served the rest.
        var disk: DiskTraffic
        var progress: RunProgress
        /// Bytes of one N.
        var unit: Int
        /// The share of the pass that this process computed.
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
        if layer < model.config.depth || plan.keep != .none { tables.append(.states) }
        if layer == model.config.depth { tables.append(.surprisal) }
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
        if record.index == model.config.depth { manifest.run?.isComplete = true }
        try store.publish(manifest)
        lastDurable = Stopwatch()
    }
}
