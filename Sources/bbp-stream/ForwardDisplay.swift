import ArgumentParser
import StreamEngine
import Support

/// Shows a run's plan, notes and progress on standard error.
final class ForwardDisplay: ForwardObserver {
    let line = ProgressLine()
    private let isPlanPrinted: Bool
    private var eta = Eta()
    /// Where the run stood a little while ago, for the rates of bytes.
    private var lately: (seconds: Double, progress: ForwardProgress)?
    private var byteRates = (read: 0.0, written: 0.0)
    private var first: (seconds: Double, share: Double)?
    private var told = -1.0
    /// Nothing was left to compute.
    private(set) var isComplete = false
    /// Why the plan could not be shown, where it was what was asked for.
    private(set) var failure: (any Error)?

    /// - Parameter isPlanPrinted: the plan is what was asked for: it goes to standard output, as JSON.
    init(isPlanPrinted: Bool = false) { self.isPlanPrinted = isPlanPrinted }

    func planned(_ plan: ForwardPlan) {
        isComplete = plan.isComplete
        eta.expected = plan.estimatedSeconds
        if isPlanPrinted {
            do { try Console.print(json: plan.json()) } catch { failure = error }
            return
        }
        switch Console.mode {
        case .none: break
        case .json:
            if let json = try? plan.json() {
                Console.write(#"{"event": "plan", "plan": \#(json.escapedInJSON)}"# + "\n")
            }
        case .line: Console.note(describe(plan))
        }
    }

    private func describe(_ plan: ForwardPlan) -> String {
        let (geometry, set) = (plan.geometry, plan.set)
        let windows = (geometry.patches + set.windowPatches - 1) / set.windowPatches
        let shrink =
            switch plan.compression {
            case _ where !plan.plannedPasses.contains { $0.writes > 0 }: ""
            case .none: ""
            case .sampled(let ratio, let tokens):
                " (states shrink by \(fixed(ratio, digits: 2)), as \(grouped(tokens)) of these tokens did)"
            case .known(let ratio): " (states shrank by \(fixed(ratio, digits: 2)))"
            }
        var rows = [
            ("tokens", "\(grouped(geometry.tokens)) in \(grouped(geometry.patches)) patches of \(geometry.patchSize)"),
            (
                "model",
                plan.config.summary + (plan.untrained == nil ? "" : "; untrained weights")
                    + (plan.config.surprisalCaveat.map { "; \($0)" } ?? "")
            ),
            (
                "states",
                "\(plan.state.name), \(place(ofStatesIn: plan)); blocks of \(grouped(set.patchesPerBlock)) patches, \(grouped(windows)) window\(windows == 1 ? "" : "s") of \(grouped(set.windowPatches))"
            ),
            (
                "memory",
                "\(ByteCount.text(set.totalBytes)) of \(ByteCount.text(plan.budget)) ("
                    + set.parts.sorted { $0.bytes > $1.bytes }.prefix(3).map {
                        "\($0.name) \(ByteCount.text($0.bytes))"
                    }.joined(separator: ", ") + ", …)"
            ),
            (
                "disk",
                "about \(ByteCount.text(plan.diskNeeded)) more at its peak\(shrink), \(ByteCount.text(plan.diskFree)) free; keeping \(plan.keep.rawValue)"
            ),
            (
                "compute",
                "\(plan.threads) thread\(plan.threads == 1 ? "" : "s"), \(plan.kernels) kernels, convolutions \(plan.convolution.rawValue)"
            ),
        ]
        if plan.config.hasOtherMixers { rows.insert(("passes", describe(plan.plannedPasses, of: plan)), at: 3) }
        if let seconds = plan.estimatedSeconds { rows.append(("time", "about \(clock(seconds))")) }
        if plan.isComplete {
            rows.append(("resuming", "nothing: all is computed"))
        } else if plan.firstLayer > 1 {
            let next = plan.plannedPasses.first { $0.lastLayer >= plan.firstLayer }
            let layers = next?.layers ?? plan.firstLayer...plan.firstLayer
            rows.append(("resuming", "\(layers.layerText) of \(plan.config.depth)"))
        }
        return Console.aligned(rows)
    }

    private func place(ofStatesIn plan: ForwardPlan) -> String {
        let (geometry, set) = (plan.geometry, plan.set)
        if set.isResident { return "in memory, read and written there" }
        let passes = plan.plannedPasses
        if passes.allSatisfy({ $0.writesGeneration == nil }) { return "none stored" }
        if passes.allSatisfy({ $0.reads == 0 }) { return "on disk, written and not read again" }
        let (columns, overflow) = ((geometry.patches + set.patchesPerBlock - 1) / set.patchesPerBlock)
            .multipliedReportingOverflow(by: geometry.patchSize)
        let share = overflow ? 0 : 100 * Double(min(columns, set.stateSlots)) / Double(columns)
        return "on disk, \(fixed(share, digits: overflow ? 0 : 1)) % of them kept in memory"
    }

    /// "2 over 4 layers: 1-3 read tokens, write generation 3 (1 N); 4 reads …"
    private func describe(_ passes: [ForwardPlan.PlannedPass], of plan: ForwardPlan) -> String {
        func amount(_ N: Double) -> String { " (\(N == 1 ? "" : "about ")\(fixed(N, digits: 0)) N)" }
        func describe(_ pass: ForwardPlan.PlannedPass) -> String {
            let s = pass.layers.count == 1 ? "s" : ""
            let source = pass.readsGeneration == 0 ? "tokens" : "generation \(pass.readsGeneration)"
            var results = pass.writesGeneration.map { ["generation \($0)" + amount(pass.writes)] } ?? []
            if pass.hasSurprisal { results.append("surprisal") }
            return pass.layers.text + " read\(s) \(source)"
                + (pass.reads > 0 ? amount(pass.reads) : "")
                + (results.isEmpty
                    ? ", keep\(s) generation \(pass.lastLayer) in memory"
                    : ", write\(s) \(results.joined(separator: " and "))")
        }
        // Of many passes the first ones and the last.
        let shown = passes.count > 6 ? passes.prefix(4).map(describe) + ["…"] : passes.dropLast().map(describe)
        let layers = plan.config.depth
        return "\(grouped(passes.count)) over \(grouped(layers)) layer\(layers == 1 ? "" : "s"): "
            + (shown + passes.suffix(1).map(describe)).joined(separator: "; ")
    }

    func note(_ text: String) {
        line.close()
        Console.note(text)
    }

    func progress(_ progress: ForwardProgress) {
        let (share, seconds) = (progress.share, line.seconds)
        let left = eta.left(share: share, seconds: seconds)
        guard let first else {
            self.first = (seconds, share)
            lately = (seconds, progress)
            return
        }
        if let lately, seconds - lately.seconds > 1 {
            let span = seconds - lately.seconds
            byteRates = (
                Double(progress.bytesRead - lately.progress.bytesRead) / span,
                Double(progress.bytesWritten - lately.progress.bytesWritten) / span
            )
            self.lately = (seconds, progress)
        }
        let here =
            "\((progress.firstLayer...progress.layer).layerText(of: progress.layers))  \(fixed(100 * share, digits: 1)) %"
        // A rate needs a moment to mean anything.
        guard seconds - first.seconds > 0.5 || share >= 1 else { return line.show(share: share) { here } }
        let rate = max(share - first.share, 1e-12) / max(seconds - first.seconds, 1e-9)
        switch Console.mode {
        case .none: break
        case .json:
            guard seconds - told >= 1 || (share >= 1 && told < .infinity) else { return }
            told = share >= 1 ? .infinity : seconds
            Console.event("progress") {
                $0.add("first layer", progress.firstLayer)
                $0.add("layer", progress.layer)
                $0.add("layers", progress.layers)
                $0.add("layer share", progress.layerShare)
                $0.add("share", share)
                $0.add("seconds", seconds)
                $0.add("tokens per second", rate * Double(progress.tokens))
                $0.add("read bytes per second", byteRates.read)
                $0.add("written bytes per second", byteRates.written)
                $0.add("eta seconds", left ?? .nan)
            }
        case .line:
            line.show(share: share) {
                here + "  \(grouped(Int(rate * Double(progress.tokens)))) tokens/s"
                    + (left.map { "  ETA \(clock($0))" } ?? "")
                    + "  \(fixed(byteRates.read / 1e6, digits: 0)) MB/s read  \(fixed(byteRates.written / 1e6, digits: 0)) MB/s written"
            }
        }
    }
}
