import CKernels
import CMalloc
import Geometry
import Glibc
import PageStore
import ProtonModel
import Support

/// Told what a run is about to do and how far it is.
public protocol ForwardObserver {
    func planned(_ plan: ForwardPlan)
    /// Something the user should know and need not act on.
    func note(_ text: String)
    /// `done` is the share of `layer` that is done.
    func progress(layer: Int, of layers: Int, done: Double, tokens: Int)
}

/// Runs a model over a store: layer by layer, every layer one pass, resumable at every commit.
public final class ForwardRun {
    private let options: ForwardOptions
    private let observer: any ForwardObserver
    private let kernels: KernelTable
    private let model: Model
    private let store: Store
    private let watch = MemoryWatch()
    private let began = Stopwatch()

    /// Opens model and store and takes the store's lock.
    public init(_ options: ForwardOptions, observer: any ForwardObserver) throws {
        self.options = options
        self.observer = observer
        // Large blocks go back to the system when freed, so that memory follows the plan and not its history.
        mallopt(M_MMAP_THRESHOLD, 256 << 10)
        mallopt(M_ARENA_MAX, 2)
        kernels = try Kernels.select()
        model = try Model(directory: options.model)
        store = try Store.openForWriting(options.store)
    }

    /// Computes what is missing and writes the outputs asked for.
    public func run() throws -> ForwardSummary {
        if options.restart, store.manifest.run != nil {
            var manifest = store.manifest
            manifest.run = nil
            manifest.generations.removeAll { $0.index > 0 }
            try store.publish(manifest)
        }
        let resumed = store.manifest.run != nil
        try checkRun()
        let wasComplete = store.manifest.run?.complete == true
        var computed = Computed()
        if wasComplete {
            observer.note("The store is finished: nothing to compute. --restart begins anew.")
            let last = try store.reader(model.config.layers)
            (computed.bits, computed.bitsCount) = try sumSurprisal(last)
        } else {
            try compute(&computed)
        }
        if let path = options.nll { try writeSurprisal(to: path) }
        return summary(computed, resumed: resumed, wasComplete: wasComplete)
    }

    // MARK: What the run is bound to

    /// Refuses to mix a begun run with another model, state type or set of kept generations, naming what differs.
    private func checkRun() throws {
        guard let run = store.manifest.run else { return }
        let place = Place(file: store.directory)
        let advice = "Run with what began it, use --restart to drop its states, or another store."
        if run.modelFingerprint != model.fingerprint {
            var differences = ["weights \(run.modelFingerprint) and \(model.fingerprint)"]
            if run.layers != model.config.layers { differences.append("\(run.layers) and \(model.config.layers) layers") }
            if run.hiddenSize != model.config.hiddenSize { differences.append("hidden size \(run.hiddenSize) and \(model.config.hiddenSize)") }
            if store.manifest.patchSize != model.config.patchSize { differences.append("patch size \(store.manifest.patchSize) and \(model.config.patchSize)") }
            throw Fault(.badData, "the store's states come from another model: \(differences.joined(separator: ", "))", at: place, advice: advice)
        }
        guard store.manifest.patchSize == model.config.patchSize else {
            throw Fault(.badData, "the store is laid out in patches of \(store.manifest.patchSize), the model has \(model.config.patchSize)", at: place, advice: advice)
        }
        if let state = options.state, state.name != run.state {
            throw Fault(.usage, "the store's states are \(run.state), --state asks for \(state.name)", at: place, advice: advice)
        }
        if let keep = options.keep, keep.rawValue != run.keep {
            throw Fault(.usage, "the run was begun with --keep \(run.keep), now --keep \(keep.rawValue) is asked for", at: place, advice: advice)
        }
    }

    // MARK: Computing

    private struct Computed {
        var layers: [ForwardSummary.Layer] = []
        var bits = 0.0
        var bitsCount = 0
        var budget = 0
        var threads = 0
        var set: WorkingSet?
        var share = 0.0
    }

    private struct LayerResult {
        var traffic: LayerTraffic
        var progress: RunProgress
        /// Bytes of one N.
        var unit: Int
        /// The share of the layer that this process computed.
        var share: Double
    }

    private func compute(_ computed: inout Computed) throws {
        let config = model.config
        if store.manifest.patchSize != config.patchSize {
            observer.note("Laying the tokens out in patches of \(config.patchSize), as the model asks (they were in patches of \(store.manifest.patchSize)).")
            try Repage.run(store, patchSize: config.patchSize)
        }
        guard let geometry = store.geometry() else { throw Fault(.badData, "the manifest's sizes make no sequence", at: Place(file: store.manifestFile)) }
        let state = options.state ?? store.manifest.run.flatMap { Element(name: $0.state) } ?? .bf16
        let keep = options.keep ?? store.manifest.run.flatMap { ForwardOptions.Keep(rawValue: $0.keep) } ?? .last
        let threads = options.threads ?? Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        let budget = options.memory ?? MemoryUse.availableBytes() / 2
        let pool = try WorkerPool(workers: threads) { TileArithmetic.prepareThread() }
        let arithmetic = try TileArithmetic(config, geometry: geometry, kernels: kernels)
        let tokens = try store.reader(0)
        let needs = WorkingSetNeeds(
            geometry: geometry, config: config, state: state, threads: threads, arithmeticBytes: arithmetic.ownedBytes, weightBytes: arithmetic.blockWeightBytes,
            baseBytes: ProgramFootprint.bytes(now: MemoryUse.anonymousBytes() - arithmetic.ownedBytes, threads: threads),
            tokenPatchesPerBlock: tokens.grid.patchesPerBlock, fixedPatchesPerBlock: store.manifest.run?.patchesPerBlock)
        let set = try needs.choose(budget: budget)
        let firstLayer = (store.manifest.generations.filter(\.complete).map(\.index).max() ?? 0) + 1
        let plan = ForwardPlan(
            geometry: geometry, config: config, untrained: model.untrained, state: state, keep: keep, threads: threads, kernels: String(cString: kernels.pointee.name),
            budget: budget, set: set, firstLayer: firstLayer,
            diskNeeded: ForwardPlan.diskNeeded(geometry: geometry, config: config, state: state, keep: keep, alreadyThere: stateBytesOnDisk()),
            diskFree: File.freeBytes(at: store.directory) ?? Int.max)
        observer.planned(plan)
        if plan.diskNeeded > plan.diskFree && !options.force {
            throw Fault(.cannotCreate, "the run needs about \(ByteCount.text(plan.diskNeeded)) of disk, \(ByteCount.text(plan.diskFree)) are free",
                at: Place(file: store.directory), advice: "Free space, use --keep none or --state bf16, or --force to try all the same.")
        }

        var workers: [Worker] = []
        for worker in 0..<threads {
            workers.append(try Worker(
                arithmetic: worker == 0 ? arithmetic : try TileArithmetic(config, geometry: geometry, kernels: kernels),
                pageBytes: needs.pageBytes(T: set.patchesPerBlock), columnBytes: needs.columnBytes(T: set.patchesPerBlock),
                spareBytes: needs.spareBytes(T: set.patchesPerBlock, W: set.windowPatches, heads: set.heads), kernels: kernels))
        }
        let shared = try SharedMemory(needs, set)
        if store.manifest.run == nil {
            var manifest = store.manifest
            manifest.run = RunRecord(
                modelFingerprint: model.fingerprint, trained: model.untrained == nil, layers: config.layers, hiddenSize: config.hiddenSize,
                state: state.name, patchesPerBlock: set.patchesPerBlock, keep: keep.rawValue)
            try store.publish(manifest)
        }
        computed.set = set
        computed.budget = budget
        computed.threads = threads
        for layer in firstLayer...config.layers {
            let begun = Stopwatch()
            let done = try runLayer(layer, plan: plan, tokens: tokens, shared: shared, workers: workers, pool: pool)
            computed.layers.append(account(layer, done, seconds: begun.seconds))
            computed.share += done.share
            (computed.bits, computed.bitsCount) = (done.progress.bits, done.progress.bitsCount)
        }
    }

    private func stateBytesOnDisk() -> Int {
        store.manifest.generations.filter { $0.index > 0 }.map { File.size("\(store.directory)/\($0.directory)/data.mdb") ?? 0 }.reduce(0, +)
    }

    /// Computes generation `layer` and publishes it; older ones go, as `keep` says.
    private func runLayer(
        _ layer: Int, plan: ForwardPlan, tokens: GenerationReader, shared: SharedMemory, workers: [Worker], pool: WorkerPool
    ) throws -> LayerResult {
        let config = model.config
        let isLast = layer == config.layers
        let carryValues = (config.kernelSize - 1) * config.hiddenSize
        let record = try recordForLayer(layer, plan: plan)
        let writer = try GenerationWriter(store: store.directory, identity: store.identity(of: record), record: record, mapBytes: mapBytes(plan))
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
        return LayerResult(traffic: pass.io, progress: pass.progress, unit: stored > 0 ? stored : raw, share: 1 - Double(begunAt) / Double(pass.grid.blocks))
    }

    /// The record of the generation being computed: the one begun before, or a new one, named in the manifest first.
    private func recordForLayer(_ layer: Int, plan: ForwardPlan) throws -> GenerationRecord {
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

    /// Room for every page at its worst, rounded up to LMDB's pages, and its tables beside.
    private func mapBytes(_ plan: ForwardPlan) -> Int {
        let grid = BlockGrid(patches: plan.geometry.patches, patchesPerBlock: plan.set.patchesPerBlock)
        let T = plan.set.patchesPerBlock
        let states = PageHeader(element: plan.state, generation: 0, block: 0, firstPatch: 0, patches: T, columns: plan.geometry.patchSize, width: model.config.hiddenSize)
        let page = states.largestPageBytes + T * plan.geometry.patchSize * 4 + states.directoryBytes + 6 * 4096
        let (bytes, overflow) = page.multipliedReportingOverflow(by: grid.blocks)
        return overflow || bytes > 1 << 46 ? 1 << 46 : bytes + (256 << 20)
    }

    // MARK: Outputs and accounts

    private func account(_ layer: Int, _ done: LayerResult, seconds: Double) -> ForwardSummary.Layer {
        let traffic = done.traffic
        let unit = Double(done.unit) * max(done.share, 1e-9)
        return ForwardSummary.Layer(
            layer: layer, seconds: seconds, reads: Double(traffic.read) / unit, readsOwn: Double(traffic.own) / unit, readsHosts: Double(traffic.hosts) / unit,
            readsGuests: Double(traffic.guests) / unit, writes: Double(traffic.written) / unit, bytesRead: traffic.read, bytesWritten: traffic.written,
            resultBytes: traffic.results)
    }

    private func sumSurprisal(_ last: GenerationReader) throws -> (Double, Int) {
        var (sum, count) = (0.0, 0)
        let bits = try RowStream(last, .surprisal, kernels: kernels)
        let tokens = try RowStream(store.reader(0), kernels: kernels)
        // In blocks of one generation; the other follows.
        let step = 1 << 16
        for first in stride(from: 0, to: store.manifest.tokens, by: step) {
            let range = first..<min(store.manifest.tokens, first + step)
            var values: [Float] = []
            try bits.read(range) { _, rows in values += rows.bindMemory(to: Float.self) }
            try tokens.read(range) { start, rows in
                for (position, id) in rows.bindMemory(to: UInt16.self).enumerated() where id < 256 && start + position > 0 {
                    sum += Double(values[start + position - first])
                    count += 1
                }
            }
        }
        return (sum, count)
    }

    private func writeSurprisal(to path: String) throws {
        let last = try store.reader(model.config.layers)
        let file = try NpyFile(path, type: "<f4", shape: [store.manifest.tokens])
        try RowStream(last, .surprisal, kernels: kernels).read(0..<store.manifest.tokens) { _, rows in try file.write(rows) }
        try file.publish()
    }

    private func summary(_ computed: Computed, resumed: Bool, wasComplete: Bool) -> ForwardSummary {
        let tokens = store.manifest.tokens
        let seconds = began.seconds
        let share = computed.share / Double(model.config.layers)
        return ForwardSummary(
            tokens: tokens, scoredTokens: computed.bitsCount, seconds: seconds, tokensPerSecond: .init(wasComplete ? nil : Double(tokens) * share / seconds),
            bitsPerByte: .init(computed.bitsCount > 0 ? computed.bits / Double(computed.bitsCount) : nil), peakAnonymousBytes: watch.finish(),
            memoryBudgetBytes: computed.budget, readsPerLayer: computed.layers.map(\.reads).max() ?? 0, writesPerLayer: computed.layers.map(\.writes).max() ?? 0,
            layers: computed.layers, generations: store.manifest.generations.map(\.index), state: store.manifest.run?.state ?? "", threads: computed.threads,
            window: .init(patches: computed.set?.windowPatches ?? 0, patchesPerBlock: computed.set?.patchesPerBlock ?? 0, readHeads: computed.set?.heads ?? 0),
            model: model.fingerprint, untrained: model.untrained != nil, resumed: resumed && !wasComplete, alreadyComplete: wasComplete)
    }
}

/// Monotonic seconds since it was made.
struct Stopwatch {
    private let start = ContinuousClock.now
    var seconds: Double {
        let (seconds, attoseconds) = (ContinuousClock.now - start).components
        return Double(seconds) + Double(attoseconds) * 1e-18
    }
}

/// Anonymous memory of the process beside what the plan names.
enum ProgramFootprint {
    /// - Parameter now: measured once the libraries are loaded and one set of primitives made.
    static func bytes(now: Int, threads: Int) -> Int {
        // Generated code, stacks and small allocations still to come; measured with `--json` over models of D 8 to 1024.
        now + (8 << 20) + threads * (1 << 20)
    }
}
