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
    let options: ForwardOptions
    let observer: any ForwardObserver
    let kernels: KernelTable
    let model: Model
    let store: Store
    let watch = MemoryWatch()
    let began = Stopwatch()

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

    deinit { _ = watch.finish() }

    /// Computes what is missing and writes the outputs asked for.
    ///
    /// - Returns: nil for a dry run, which ends with the plan.
    public func run() throws -> ForwardSummary? {
        // Tried before anything is computed, for it would be found out after hours.
        if let path = options.nll { try OutputFile.check(path) }
        let begun = options.restart ? nil : store.manifest.run
        try check(begun)
        var computed = Computed()
        let isFinished = begun?.complete == true
        if isFinished {
            observer.note("The store is finished: nothing to compute. --restart begins anew.")
            if options.dryRun { return nil }
            (computed.bits, computed.bitsCount) = try sumSurprisal(store.reader(model.config.layers))
        } else {
            let prepared = try prepare(begun)
            observer.planned(prepared.plan)
            try checkDisk(prepared.plan)
            if options.dryRun { return nil }
            try layOut()
            try compute(prepared, &computed)
        }
        if let path = options.nll { try writeSurprisal(to: path) }
        return summary(computed, resumed: begun != nil && !isFinished, wasComplete: isFinished)
    }

    /// Brings the store to where the run can begin: without an earlier run's states after --restart, and with tokens in
    /// patches of the model's size.
    private func layOut() throws {
        if options.restart || store.manifest.run == nil, store.manifest.generations.count > 1 || store.manifest.run != nil {
            var manifest = store.manifest
            manifest.run = nil
            manifest.generations.removeAll { $0.index > 0 }
            try store.publish(manifest)
        }
        if store.manifest.patchSize != model.config.patchSize {
            observer.note("Laying the tokens out in patches of \(model.config.patchSize), as the model asks (they were in patches of \(store.manifest.patchSize)).")
            try Repage.run(store, patchSize: model.config.patchSize)
        }
    }

    /// What the layers of this process add up to.
    struct Computed {
        var layers: [ForwardSummary.Layer] = []
        var bits = 0.0
        var bitsCount = 0
        var budget: Int?
        var threads: Int?
        var set: WorkingSet?
        /// Layers computed here, in parts.
        var share = 0.0
    }

    private func compute(_ prepared: Prepared, _ computed: inout Computed) throws {
        let (plan, needs, set) = (prepared.plan, prepared.needs, prepared.plan.set)
        let T = set.patchesPerBlock
        let pool = try WorkerPool(workers: plan.threads) { TileArithmetic.prepareThread() }
        let workers = try (0..<plan.threads).map { worker in
            try Worker(
                arithmetic: worker == 0 ? prepared.arithmetic : try TileArithmetic(plan.config, geometry: plan.geometry, kernels: kernels),
                pageBytes: needs.pageBytes(T: T), columnBytes: needs.columnBytes(T: T),
                spareBytes: needs.spareBytes(T: T, W: set.windowPatches, heads: set.heads), kernels: kernels)
        }
        let shared = try SharedMemory(needs, set)
        if store.manifest.run == nil {
            var manifest = store.manifest
            manifest.run = RunRecord(
                modelFingerprint: model.fingerprint, trained: model.untrained == nil, layers: plan.config.layers, hiddenSize: plan.config.hiddenSize,
                state: plan.state.name, patchesPerBlock: T, keep: plan.keep.rawValue)
            try store.publish(manifest)
        }
        computed.set = set
        computed.budget = plan.budget
        computed.threads = plan.threads
        let tokens = try store.reader(0)
        let present = try tokens.blocksPresent(.states)
        guard present == tokens.grid.blocks else {
            throw Fault(.badData, "generation 0 holds \(present) blocks, \(tokens.grid.blocks) belong to \(plan.geometry.tokens) tokens", at: Place(file: tokens.file, generation: 0), advice: "Ingest again with --force.")
        }
        for layer in plan.firstLayer...plan.config.layers {
            let result = try runLayer(layer, plan: plan, tokens: tokens, shared: shared, workers: workers, pool: pool)
            computed.layers.append(account(result))
            computed.share += result.share
            (computed.bits, computed.bitsCount) = (result.progress.bits, result.progress.bitsCount)
        }
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
