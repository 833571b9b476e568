import PageStore
import Support

/// What a run hands out: surprisal, and the account of what it did.
extension ForwardRun {
    func account(_ done: PassResult) -> ForwardSummary.Layer {
        let traffic = done.traffic
        let unit = Double(done.unit) * max(done.share, 1e-9)
        let workers = max(done.working + done.idle + done.waitingForWriter, 1e-9)
        return ForwardSummary.Layer(
            firstLayer: done.layers.lowerBound, layer: done.layers.upperBound, seconds: done.seconds,
            reads: Double(traffic.read) / unit,
            readsOwn: Double(traffic.own) / unit, readsHosts: Double(traffic.hosts) / unit,
            readsGuests: Double(traffic.guests) / unit, readsTokens: Double(traffic.tokens) / unit,
            writes: Double(traffic.written) / unit, bytesRead: traffic.read, bytesWritten: traffic.written,
            resultBytes: traffic.results, diskBytesRead: done.disk.read, diskBytesWritten: done.disk.written,
            waitingForDisk: (traffic.readSeconds + done.waitingForWriter) / workers, idle: done.idle / workers,
            waitingForCores: max(0, 1 - done.writing / max(done.seconds, 1e-9)),
            stages: done.byStage.mapValues { $0 / workers })
    }

    func sumSurprisal(_ last: GenerationReader) throws -> (Double, Int) {
        var (sum, count) = (0.0, 0)
        let bits = try RowStream(last, .surprisal, kernels: kernels)
        let tokens = try RowStream(store.reader(0), kernels: kernels)
        // Block by block of the surprisal, so that none is decoded twice.
        let step = last.grid.patchesPerBlock * last.geometry.patchSize
        for first in stride(from: 0, to: store.manifest.tokens, by: step) {
            try Interruption.check { "the states are complete" }
            let range = first..<min(store.manifest.tokens, first + step)
            var values: [Float] = []
            try bits.read(range) { _, rows in values += rows.bindMemory(to: Float.self) }
            try tokens.read(range) { start, rows in
                for (position, id) in rows.bindMemory(to: UInt16.self).enumerated()
                where id < 256 && start + position > 0 {
                    sum += Double(values[start + position - first])
                    count += 1
                }
            }
        }
        return (sum, count)
    }

    func writeSurprisal(to path: String) throws {
        let last = try store.reader(model.config.depth)
        let file = try NpyFile(path, type: "<f4", shape: [store.manifest.tokens])
        try RowStream(last, .surprisal, kernels: kernels).read(0..<store.manifest.tokens) { _, rows in
            try Interruption.check { "the states are complete; the same command writes the surprisal" }
            try file.write(rows)
        }
        try file.publish()
    }

    func summary(_ computed: Computed, isResumed: Bool, isAlreadyComplete: Bool) -> ForwardSummary {
        let tokens = store.manifest.tokens
        let seconds = began.seconds
        let share = computed.share / Double(model.config.depth)
        return ForwardSummary(
            tokens: tokens, scoredTokens: computed.bitsCount, seconds: seconds,
            tokensPerSecond: .init(isAlreadyComplete ? nil : Double(tokens) * share / seconds),
            bitsPerByte: .init(computed.bitsCount > 0 ? computed.bits / Double(computed.bitsCount) : nil),
            peakAnonymousBytes: watch.finish(),
            memoryBudgetBytes: computed.budget, readsPerLayer: computed.layers.map(\.reads).max() ?? 0,
            writesPerLayer: computed.layers.map(\.writes).max() ?? 0,
            layers: computed.layers, generations: store.manifest.generations.map(\.index),
            state: store.manifest.run?.state ?? "",
            compute: store.manifest.run?.computed.rawValue ?? Compute.f32.rawValue,
            convolution: store.manifest.run?.way.rawValue ?? way.rawValue,
            surprisalCaveat: model.config.surprisalCaveat, threads: computed.threads,
            window: computed.set.map {
                .init(
                    patches: $0.windowPatches, patchesPerBlock: $0.patchesPerBlock, columns: $0.stateSlots,
                    isInMemory: $0.isResident)
            },
            model: model.directory, fingerprint: model.fingerprint, isUntrained: model.untrained != nil,
            isResumed: isResumed && !isAlreadyComplete, isAlreadyComplete: isAlreadyComplete,
            bounds: isAlreadyComplete ? nil : bounds(computed))
    }

    /// The layers of this process against what the machine can do. Measured, if it never was, where the run was long
    /// enough for that to be a small part of it.
    private func bounds(_ computed: Computed) -> ForwardSummary.Bounds? {
        let seconds = computed.layers.map(\.seconds).reduce(0, +)
        // Of models whose layers differ, no one layer's rate stands for all.
        guard let threads = computed.threads, seconds > 0, !model.config.hasOtherMixers else { return nil }
        var tuning = Tuning.load()
        let (shape, device) = (
            Tuning.key(model.config, threads: threads, way: way, kernels: kernels), Tuning.device(of: store.directory)
        )
        let affordable = threads.multipliedReportingOverflow(by: computed.selfTestBytes)
        if seconds > Self.secondsWorthTuning, !affordable.overflow,
            affordable.partialValue < (computed.budget ?? 0) / 2,
            File.freeBytes(at: store.directory) ?? 0 > 16 * SelfTest.diskBytes
        {
            let known = (tuning.arithmetic.count, tuning.disks.count)
            if tuning.arithmetic[shape] == nil || tuning.disks[device] == nil {
                observer.note("Measuring what this machine can do, once.")
            }
            tuning.arithmetic[shape] =
                tuning.arithmetic[shape]
                ?? (try? SelfTest.arithmetic(model, threads: threads, way: way, kernels: kernels))
            tuning.disks[device] = tuning.disks[device] ?? (try? SelfTest.disk(store.directory))
            if known != (tuning.arithmetic.count, tuning.disks.count) { tuning.save() }
        }
        guard let arithmetic = tuning.arithmetic[shape], let disk = tuning.disks[device] else { return nil }
        let tokens = Double(store.manifest.tokens)
        let compute =
            tokens
            * ((computed.share - computed.firstShare) / arithmetic.tokenLayersPerSecond + computed.firstShare
                / arithmetic.firstLayerTokensPerSecond
                + computed.lastShare / arithmetic.headTokensPerSecond)
        let read = computed.layers.map(\.bytesRead).reduce(0, +)
        let written = computed.layers.map { $0.bytesWritten + $0.resultBytes }.reduce(0, +)
        let transfer = Double(read) / disk.readBytesPerSecond + Double(written) / disk.writtenBytesPerSecond
        return .init(arithmeticSeconds: compute, diskSeconds: transfer, ratio: seconds / max(compute, transfer))
    }
}
