import Compute
import Geometry
import Glibc
import PageStore
import ProtonModel
import Support

/// Told what a run is about to do and how far it is.
public protocol ForwardObserver {
    /// Told once, before anything is computed.
    func planned(_ plan: ForwardPlan)
    /// Something the user should know and need not act on.
    func note(_ text: String)
    /// Told about ten times a second, on the thread that called `run`.
    func progress(_ progress: ForwardProgress)
}

/// How far a run is.
public struct ForwardProgress: Sendable {
    /// The first layer of the pass under way, from 1.
    public var firstLayer: Int
    /// The last layer of the pass under way.
    public var layer: Int
    /// All layers of the model.
    public var layers: Int
    /// The share of the pass that is done.
    public var layerShare: Double
    /// Tokens of the sequence.
    public var tokens: Int
    /// Bytes of pages that this process has read so far.
    public var bytesRead: Int
    /// Bytes of pages that it has written so far.
    public var bytesWritten: Int
    /// The share of the whole run that is done.
    public var share: Double { (Double(firstLayer - 1) + Double(layer - firstLayer + 1) * layerShare) / Double(layers) }
}

/// Runs a model over a store: pass by pass, resumable at every commit.
public final class ForwardRun {
    let options: ForwardOptions
    let observer: any ForwardObserver
    let kernels: KernelTable
    /// The model that is run.
    public let model: Model
    /// Locked where something may be computed; else nothing is written to it.
    private(set) var store: Store
    /// How convolutions are computed.
    let way: ConvolutionWay
    let backend: any Backend
    let watch = MemoryWatch()
    let began = Stopwatch()
    /// The layer whose states are in memory as a whole, and how long ago anything became durable.
    var residentLayer = 0
    var lastDurable = Stopwatch()
    /// Runs longer than this are held against the machine's limits, which takes a second or two to measure the first
    /// time.
    static let secondsWorthTuning = 20.0

    /// What states are computed by, as generations record it.
    var computation: String { computingModel + Self.arithmetic(kernels, way) }

    /// What bits depend on beside the model and the states' number format.
    static func arithmetic(_ kernels: KernelTable, _ way: ConvolutionWay) -> String {
        "kernels \(kernelKind(kernels)) revision \(ModelArithmetic.revision) "
            + "products \(Kernels.compute(of: kernels).rawValue) convolutions \(way.rawValue)"
    }

    private var computingModel: String { "model \(model.fingerprint) " }

    /// Refuses generations that were computed by something else than the run is recorded for. A finished run's need
    /// only be of the model: nothing is computed from them.
    func checkComputation(_ run: RunRecord) throws {
        for record in store.manifest.generations {
            guard let stated = record.computation,
                run.isComplete ? !stated.hasPrefix(computingModel) : stated != computation
            else { continue }
            throw Fault(
                .badData, "the generation was computed by \(stated), and the run would go on by \(computation)",
                at: Place(file: "\(store.directory)/\(record.directory)", generation: record.index),
                remedies: [.continueAsBegun, .restart, .otherStore])
        }
    }

    /// How the kernels round, as run records have it.
    var kernelKind: String { Self.kernelKind(kernels) }
    private static func kernelKind(_ kernels: KernelTable) -> String { Kernels.isPlain(kernels) ? "plain" : "vector" }

    /// What matrix products are computed in here.
    var compute: Compute { Kernels.compute(of: kernels) }

    /// Opens model and store. The store's lock is taken where something is left to compute; a finished store and a dry
    /// run take none and write nothing.
    ///
    /// - Throws: `Fault`: of `Model`, of `Store.open`; `cannotCreate` where another process writes the store.
    public init(_ options: ForwardOptions, observer: any ForwardObserver) throws {
        self.options = options
        self.observer = observer
        MemoryUse.followPlans()
        model = try Model(directory: options.model)
        store = try Self.open(options)
        let begun = Self.begun(store.manifest, options, model)
        way = options.convolution ?? begun?.way ?? .preferred(model.config, tokens: store.manifest.tokens)
        // Pairs of inputs are rounded together.
        let wanted = model.config.hasEvenWidths ? options.compute ?? begun?.computed ?? .f32 : .f32
        kernels = try Kernels.select(wanted)
        backend = CPUBackend(kernels)
        tellNotes()
    }

    private static func open(_ options: ForwardOptions) throws -> Store {
        let store = try Store.open(options.store)
        let isFinished = !options.isRestart && store.manifest.run?.isComplete == true
        if options.isDryRun || isFinished {
            try store.checkFolders(isDroppingStates: options.isRestart)
            // What a kill kept from being removed goes where it can go; that it cannot is no reason not to read.
            guard !options.isDryRun, store.manifest.dropped != nil else { return store }
            return (try? Store.openForWriting(options.store)) ?? store
        }
        return try Store.openForWriting(options.store, isDroppingStates: options.isRestart)
    }

    /// Says what the store did not remove.
    private func tellNotes() {
        for note in store.takeNotes() { observer.note(note) }
    }

    /// Computes what is missing and writes the outputs asked for.
    ///
    /// - Returns: nil for a dry run, which ends with the plan.
    /// - Throws: `Fault`: `usage` where options cannot work together or contradict the run that was begun, `badData`
    ///   where store or states are damaged, `inputOutput` where the disk fails or is full, `interrupted` where a signal
    ///   came. What was committed stays, and the same call goes on from there.
    public func run() throws -> ForwardSummary? {
        // Tried before anything is computed, for it would be found out after hours.
        if let path = options.nll {
            var kept = OutputGuard()
            kept.keep(store: store.directory)
            kept.keep(model: model.directory)
            try kept.check(path, option: "nll")
        }
        let (begun, hasStates) = (begun, store.manifest.generations.count > 1)
        try check(begun)
        var computed = Computed()
        let isFinished = begun?.isComplete == true
        if isFinished {
            observer.note(
                "The store is finished: nothing to compute.")
            if let kernels = begun?.kernels, kernels != kernelKind {
                observer.note(
                    "It was computed with \(kernels) kernels, which round differently from \(kernelKind) ones.")
            }
            if options.isDryRun {
                observer.planned(try prepare(begun).plan)
                return nil
            }
            (computed.bits, computed.bitsCount) = try sumSurprisal(store.reader(model.config.depth))
        } else {
            if options.compute == .bf16 && compute == .f32 {
                observer.note(
                    model.config.hasEvenWidths
                        ? "This processor has no matrix products of bf16 numbers: computing in f32."
                        : "Products of bf16 numbers need even widths, which this model has not: computing in f32.")
            }
            let prepared = try prepare(begun)
            observer.planned(prepared.plan)
            try checkDisk(prepared.plan)
            if options.isDryRun { return nil }
            let plan = prepared.plan
            let engine = try Engine(model, needs: prepared.needs, set: plan.set, kernels: kernels)
            try layOut(engine, plan: plan)
            try compute(plan, engine, &computed)
            tellNotes()
        }
        if let path = options.nll { try writeSurprisal(to: path) }
        return summary(computed, isResumed: begun != nil && hasStates && !isFinished, isAlreadyComplete: isFinished)
    }

    /// Brings the store to where the run can begin: without an earlier run's states where it begins anew, and with tokens in
    /// patches of the model's size.
    private func layOut(_ engine: Engine, plan: ForwardPlan) throws {
        if begun == nil, store.manifest.generations.count > 1 || store.manifest.run != nil {
            var manifest = store.manifest
            manifest.run = nil
            manifest.generations.removeAll { $0.index > 0 }
            try store.publish(manifest)
        }
        if store.manifest.generations.contains(where: isStranded) {
            var manifest = store.manifest
            manifest.generations.removeAll(where: isStranded)
            try store.publish(manifest)
        }
        if isLaidOut { return }
        let config = model.config
        var wanted: [String] = []
        if store.manifest.patchSize != config.patchSize {
            wanted.append("in patches of \(config.patchSize) (they were in patches of \(store.manifest.patchSize))")
        }
        if store.manifest.generations[0].order != model.tokenOrderName(kernels: kernels) {
            wanted.append(
                "in the \(config.delegation == .transpose ? "natural" : config.delegation.mode) order of their delegates"
            )
        }
        observer.note("Laying the tokens out as the model asks: \(wanted.joined(separator: ", ")).")
        // Before the first layer: its share is none of any.
        try Repage.run(store, for: model, engine: engine) { _ in
            observer.progress(
                ForwardProgress(
                    firstLayer: plan.firstLayer, layer: plan.firstLayer, layers: config.depth, layerShare: 0,
                    tokens: plan.geometry.tokens,
                    bytesRead: 0, bytesWritten: 0))
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
        /// Memory of the self-test for each worker.
        var selfTestBytes = 0
        /// Layers computed here, in parts, and how much of the first and of the last one.
        var share = 0.0
        var firstShare = 0.0
        var lastShare = 0.0
    }

    private func compute(_ plan: ForwardPlan, _ engine: Engine, _ computed: inout Computed) throws {
        if store.manifest.run?.patchesPerBlock != plan.set.patchesPerBlock {
            var manifest = store.manifest
            manifest.run = RunRecord(
                modelFingerprint: model.fingerprint, isTrained: model.untrained == nil, layers: plan.config.depth,
                hiddenSize: plan.config.hiddenSize,
                state: plan.state.name, patchesPerBlock: plan.set.patchesPerBlock, keep: plan.keep.rawValue,
                compute: compute == .bf16 ? compute.rawValue : nil, convolution: way.rawValue,
                kernels: kernelKind, arithmetic: ModelArithmetic.revision, isStreaming: plan.config.isStreaming)
            try store.publish(manifest)
        }
        computed.set = plan.set
        computed.selfTestBytes = SelfTest.workerBytes(engine.needs.sizes)
        computed.budget = plan.budget
        computed.threads = plan.threads
        let tokens = try store.reader(0)
        let first = plan.passes.next(after: plan.firstLayer - 1)
        var current: PassRun? = try open(first, engine, plan: plan, tokens: tokens)
        guard let windows = current?.pass.plan.windows else { return }
        let order = WorkOrder.passByPass(
            first..<plan.passes.passes.count, windows: windows.upperBound, firstWindow: windows.lowerBound)
        for task in order {
            if let done = current, done.layers != plan.passes.passes[task.pass] {
                try end(done, engine, plan: plan, &computed)
                // With its weights, which are large, before the next pass's come.
                current = nil
            }
            let run = try current ?? open(task.pass, engine, plan: plan, tokens: tokens)
            current = run
            try run.pass.run(window: task.window) { report(run, $0, plan, computed) }
            if run.pass.isInterrupted { break }
        }
        if let last = current { try end(last, engine, plan: plan, &computed) }
    }

    /// Finishes a pass; one that a signal stopped is kept as far as it is.
    private func end(_ run: PassRun, _ engine: Engine, plan: ForwardPlan, _ computed: inout Computed) throws {
        let pass = run.pass
        if pass.isInterrupted {
            let lost = plan.set.isResident ? ", and what is in memory is lost" : ""
            observer.note("Stopping when what is under way is finished. A second signal stops at once\(lost).")
        }
        try pass.finish { report(run, $0, plan, computed) }
        if pass.isInterrupted {
            if plan.set.isResident { try spillBegun(pass, engine, plan: plan) }
            let (index, block) = (plan.passes.pass(making: pass.layers.upperBound) ?? 0, pass.progress.nextBlock)
            let kept =
                block > 0
                ? "\(plan.passes.kept(index)) through block \(block) of \(engine.grid.blocks)"
                : index > 0 ? plan.passes.kept(index - 1) : "nothing was computed yet"
            throw Fault(.interrupted, "interrupted: \(kept); the same command goes on from there")
        }
        let result = try close(run, engine, plan: plan)
        let layers = Double(result.layers.count)
        computed.layers.append(account(result))
        computed.share += result.share * layers
        if result.layers.lowerBound == 1 { computed.firstShare = result.share }
        if pass.head != nil { computed.lastShare = result.share }
        (computed.bits, computed.bitsCount) = (result.progress.bits, result.progress.bitsCount)
    }

    private func report(_ run: PassRun, _ share: Double, _ plan: ForwardPlan, _ computed: Computed) {
        let traffic = run.pass.traffic.withLock { $0 }
        observer.progress(
            ForwardProgress(
                firstLayer: run.layers.lowerBound, layer: run.layers.upperBound, layers: plan.config.depth,
                layerShare: share, tokens: plan.geometry.tokens,
                bytesRead: computed.layers.map(\.bytesRead).reduce(traffic.read, +),
                bytesWritten: computed.layers.map { $0.bytesWritten + $0.resultBytes }.reduce(
                    traffic.written + traffic.results, +)))
    }
}
