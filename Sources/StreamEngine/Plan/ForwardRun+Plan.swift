import Compute
import Geometry
import Glibc
import PageStore
import ProtonModel
import Support

/// What a run may do, and what it is going to do: decided before anything is written.
extension ForwardRun {
    /// Refuses to mix a begun run with another model, other arithmetic, state type or set of kept generations, naming
    /// what differs.
    func check(_ begun: RunRecord?) throws {
        guard let run = begun else { return }
        let place = Place(file: store.directory)
        let remedies: [Remedy] = [.continueAsBegun, .restart, .otherStore]
        try checkModel(run, at: place, remedies)
        if !run.isComplete { try checkArithmetic(run, at: place) }
        if !run.isComplete || options.compute == .bf16, run.computed != compute {
            throw Fault(
                .usage,
                "the run was begun in \(run.computed.rawValue) and would go on in \(compute.rawValue)\(options.compute == nil ? ", which is what this processor has" : "")",
                at: place,
                remedies: remedies)
        }
        try checkComputation(run)
        if let wanted = options.convolution, run.way != wanted {
            throw Fault(
                .usage,
                "the run's convolutions are computed the \(run.way.rawValue) way, \(wanted.rawValue) is asked for",
                at: Place(file: store.directory, option: "convolution"), remedies: remedies)
        }
        if let state = options.state, state.name != run.state {
            throw Fault(
                .usage, "the store's states are \(run.state), \(state.name) is asked for",
                at: Place(file: store.directory, option: "state"), remedies: remedies)
        }
        if let keep = options.keep, keep.rawValue != run.keep {
            throw Fault(
                .usage, "the run was begun to keep \(run.keep), \(keep.rawValue) is asked for",
                at: Place(file: store.directory, option: "keep"), remedies: remedies)
        }
    }

    /// Sizes are compared whatever the fingerprints say: memory is measured out by the model's, and filled by the
    /// store's.
    private func checkModel(_ run: RunRecord, at place: Place, _ remedies: [Remedy]) throws {
        let (config, patchSize) = (model.config, store.manifest.patchSize)
        let fingerprint = try run.isLegacy ? model.legacyFingerprint() : model.fingerprint
        let isSame = run.modelFingerprint == fingerprint
        var differences = isSame ? [] : ["weights \(run.modelFingerprint) and \(fingerprint)"]
        if run.layers != config.depth { differences.append("\(run.layers) and \(config.depth) layers") }
        if run.hiddenSize != config.hiddenSize {
            differences.append("hidden size \(run.hiddenSize) and \(config.hiddenSize)")
        }
        if patchSize != config.patchSize { differences.append("patch size \(patchSize) and \(config.patchSize)") }
        if differences.isEmpty { return }
        let problem =
            isSame
            ? "the store's states contradict the model that they are recorded for"
            : "the store's states come from another model"
        throw Fault(.badData, "\(problem): \(differences.joined(separator: ", "))", at: place, remedies: remedies)
    }

    /// A run goes on only with arithmetic that gives the bits that it would have had.
    private func checkArithmetic(_ run: RunRecord, at place: Place) throws {
        guard run.patchesPerBlock % Tiling(patchSize: model.config.patchSize).patchesPerTile == 0 else {
            throw Fault(
                .badData,
                "the run was begun with blocks of \(run.patchesPerBlock) patches, by an older version or not by this program; it cannot be gone on with",
                at: place,
                remedies: [.restart])
        }
        guard let revision = run.arithmetic, let begunWith = run.kernels else {
            throw Fault(
                .badData,
                "the run was begun by an older version, which did not record its arithmetic; it cannot be gone on with",
                at: place, remedies: [.restart])
        }
        guard revision == ModelArithmetic.revision else {
            throw Fault(
                .badData,
                "the run was begun with revision \(revision) of the arithmetic, this program has revision \(ModelArithmetic.revision): they round differently",
                at: place,
                advice: "The program that began it can go on with it.", remedies: [.restart])
        }
        guard begunWith == kernelKind else {
            throw Fault(
                .usage,
                "the run was begun with \(begunWith) kernels and would go on with \(kernelKind) ones, which round differently",
                at: place,
                advice: begunWith == "plain"
                    ? "Set \(Kernels.variable)=plain to go on."
                    : "Leave \(Kernels.variable) unset, on a processor with AVX2 or AVX-512, to go on.",
                remedies: [.restart])
        }
    }

    /// A plan, and what making it needed.
    struct Prepared {
        var plan: ForwardPlan
        var needs: WorkingSetNeeds
    }

    func prepare(_ begun: RunRecord?) throws -> Prepared {
        let config = model.config
        guard let geometry = SequenceGeometry(tokens: store.manifest.tokens, patchSize: config.patchSize) else {
            throw Fault(
                .badData, "\(store.manifest.tokens) tokens in patches of \(config.patchSize) make no sequence",
                at: Place(file: store.directory))
        }
        let state = options.state ?? begun?.element ?? .bf16
        let keep = options.keep ?? begun?.kept ?? defaultKeep
        let threads = options.threads ?? max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
        let budget = try options.memory ?? MemoryUse.budget()
        let tokenPatches =
            store.manifest.patchSize == config.patchSize
            ? store.manifest.generations[0].patchesPerBlock : TokenWriter.patchesPerBlock(patchSize: config.patchSize)
        let passes = PassPlan(config, isAllKept: keep == .all)
        let needs = WorkingSetNeeds(
            sizes: try ModelSizes(config, geometry: geometry, way: way, on: backend), passes: passes, state: state,
            threads: threads, copiedWeightBytes: model.copiedBlockBytes, baseBytes: MemoryUse.program(threads: threads),
            tokenPatchesPerBlock: tokenPatches,
            fixedPatchesPerBlock: store.manifest.generations.contains { $0.index > 0 && !isStranded($0) }
                ? begun?.patchesPerBlock : nil)
        let set = try needs.choose(budget: budget)
        let complete = begun == nil ? [] : store.manifest.generations.filter { $0.isComplete && $0.index > 0 }
        let tokens = store.manifest.tokens
        // Those before what was appended, in a model that goes on there.
        let firstBlock = store.manifest.generations.last.flatMap {
            $0.isContinued ? $0.supplements?.last?.firstBlock : nil
        }
        let done = (firstBlock ?? 0) * set.patchesPerBlock * config.patchSize
        let raw = Double(geometry.paddedTokens) * Double(config.hiddenSize * state.size)
        var compression = ForwardPlan.Compression.none
        var secondsPerTokenLayer = Tuning.load().arithmetic[
            Tuning.key(config, threads: threads, way: way, kernels: kernels)
        ].map { 1 / $0.tokenLayersPerSecond }
        if let stored = complete.map(\.storedBytes).max(), stored > 0 {
            compression = .known(raw / Double(stored))
        } else if tokens - done > options.leastSamples * CompressionSample.tokens(config),
            let sample = try CompressionSample.take(
                needs, set: set, model: model, tokens: store.reader(0), budget: budget, kernels: kernels)
        {
            compression = .sampled(sample.ratio, tokens: sample.tokens)
            secondsPerTokenLayer = sample.secondsPerTokenLayer
        }
        let firstLayer = (complete.map(\.index).max() ?? 0) + 1
        let seconds = secondsPerTokenLayer.map { $0 * Double(tokens - done) * Double(config.depth - firstLayer + 1) }
        // Outputs count where they go to the same disk.
        let isBeside =
            options.nll.map { Tuning.device(of: File.parent(of: $0)) == Tuning.device(of: store.directory) } ?? false
        let plan = ForwardPlan(
            geometry: geometry, config: config, passes: passes, untrained: model.untrained, state: state, keep: keep,
            threads: threads,
            kernels: String(cString: kernels.pointee.name), compute: compute, convolution: way,
            budget: budget, set: set, firstLayer: firstLayer, compression: compression,
            diskNeeded: ForwardPlan.diskNeeded(
                geometry: geometry, config: config, passes: passes, state: state, keep: keep, set: set,
                firstLayer: firstLayer,
                compression: compression, isRelaidOut: !isLaidOut, seconds: seconds,
                outputs: isBeside ? 4 * tokens : 0, alreadyThere: stateBytesOnDisk(), done: done),
            diskFree: File.freeBytes(at: store.directory) ?? Int.max,
            estimatedSeconds: seconds)
        return Prepared(plan: plan, needs: needs)
    }

    /// Whether the tokens lie as the model's first pass reads them; a run that has begun goes on with the order that it
    /// began with.
    var isLaidOut: Bool {
        let order = store.manifest.generations[0].order
        let isOrdered =
            begun == nil ? order == model.tokenOrderName(kernels: kernels) : model.reads(order: order, inLayer: 1)
        return store.manifest.patchSize == model.config.patchSize && isOrdered
    }

    /// The run that this one goes on with.
    var begun: RunRecord? { Self.begun(store.manifest, options, model) }

    /// Of a run whose states are gone, since tokens were appended, the settings stay; another model is not bound to them.
    static func begun(_ manifest: Manifest, _ options: ForwardOptions, _ model: Model) -> RunRecord? {
        guard !options.isRestart, let run = manifest.run else { return nil }
        let isBound = manifest.generations.count > 1 || run.isLegacy || run.modelFingerprint == model.fingerprint
        return isBound ? run : nil
    }

    /// Whether a generation was begun that nobody can go on with: a run in memory names its last layer long before
    /// others are on disk.
    func isStranded(_ record: GenerationRecord) -> Bool {
        let keep = options.keep ?? begun?.kept ?? defaultKeep
        let passes = PassPlan(model.config, isAllKept: keep == .all)
        // One that was complete before tokens were appended is so again before the next one is gone on with.
        let before = store.manifest.generations.last { $0.index < record.index && ($0.isComplete || $0.isContinued) }
        let next = passes.next(after: before?.index ?? 0)
        return !record.isComplete && (next == passes.passes.count || record.index != passes.passes[next].upperBound)
    }

    /// A model that stores no states on the way stores none at the end, unless it is asked to.
    var defaultKeep: ForwardOptions.Keep {
        PassPlan(model.config, isAllKept: false).hasStoredStates || model.config.hasGathering ? .last : .none
    }

    private func stateBytesOnDisk() -> Int {
        store.manifest.generations.filter { $0.index > 0 }.map(store.fileBytes).reduce(0, +)
    }

    func checkDisk(_ plan: ForwardPlan) throws {
        if plan.diskNeeded <= plan.diskFree || options.isForced { return }
        throw Fault(
            .cannotCreate,
            "the run needs about \(ByteCount.text(plan.diskNeeded)) of disk, \(ByteCount.text(plan.diskFree)) are free",
            at: Place(file: store.directory), remedies: [.freeSpace, .lessDisk])
    }
}

/// What a run was begun with, in types. `Manifest.check` knows all these words.
extension RunRecord {
    var element: Element { Element(name: state) ?? .bf16 }
    var kept: ForwardOptions.Keep { .init(rawValue: keep) ?? .last }
    var computed: Compute { compute.flatMap(Compute.init) ?? .f32 }
    /// Older versions chose by the model's shape alone, as for a long sequence.
    var way: ConvolutionWay { convolution.flatMap(ConvolutionWay.init) ?? .fourier }
    /// Recorded by a version whose fingerprints left out number formats, and which recorded no kernels.
    var isLegacy: Bool { arithmetic == nil }
}
