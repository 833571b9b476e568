import ArgumentParser
import ProtonModel
import StreamEngine
import Support

/// Shows a run's plan and progress on standard error.
final class ForwardDisplay: ForwardObserver {
    enum Mode: String, CaseIterable, ExpressibleByArgument {
        case line, json, none
    }

    let line = ProgressLine()
    private let mode: Mode
    private let planToOutput: Bool
    /// Named beside the progress, which then says nothing else to people: no plan, no notes.
    private let file: String?
    /// Where the run stood when the first progress came, so that a resumed run's rate is its own.
    private var first: (seconds: Double, share: Double)?
    /// Where it stood a little while ago, for the rates of bytes.
    private var lately: (seconds: Double, progress: ForwardProgress)?
    private var byteRates = (read: 0.0, written: 0.0)
    private var told = -1.0

    /// - Parameter planToOutput: the plan is what was asked for: it goes to standard output.
    init(_ mode: Mode, planToOutput: Bool = false, file: String? = nil) {
        self.mode = mode
        self.planToOutput = planToOutput
        self.file = file
    }

    /// What generations are made by: layers, or passes where layers run more than once.
    private var pass = "layer"

    /// Whether a plan was made.
    private(set) var hasPlan = false

    func failed(_ fault: Fault) {
        line.close()
        Console.say(#"{"event": "error", "status": \#(fault.exitStatus), "text": \#(Report.quoted(fault.description))}"#)
    }

    func planned(_ plan: ForwardPlan) {
        hasPlan = true
        if plan.config.recurrence > 1 { pass = "pass" }
        if planToOutput {
            if let json = try? plan.json() { try? Console.print(json) }
            return
        }
        switch mode {
        case .none: break
        case .json: if let json = try? plan.json() { Console.say(#"{"event": "plan", "plan": \#(json)}"#) }
        case .line: if file == nil { Console.say(describe(plan)) }
        }
    }

    private func describe(_ plan: ForwardPlan) -> String {
        let (geometry, set) = (plan.geometry, plan.set)
        let windows = (geometry.patches + set.windowPatches - 1) / set.windowPatches
        let (columns, tooMany) = ((geometry.patches + set.patchesPerBlock - 1) / set.patchesPerBlock).multipliedReportingOverflow(by: geometry.patchSize)
        let kept = set.isResident ? "in memory, read and written there" : "on disk, \(tooMany ? "0" : fixed(100 * Double(min(columns, set.stateSlots)) / Double(columns), digits: 1)) % of them kept in memory"
        let shrink = switch plan.compression {
        case .none: ""
        case .sampled(let ratio, let tokens): " (states shrink by \(fixed(ratio, digits: 2)), as \(grouped(tokens)) of these tokens did)"
        case .known(let ratio): " (states shrank by \(fixed(ratio, digits: 2)))"
        }
        var rows = [
            ("tokens", "\(grouped(geometry.tokens)) in \(grouped(geometry.patches)) patches of \(geometry.patchSize)"),
            ("model", plan.config.summary + (plan.untrained == nil ? "" : "; untrained weights") + (plan.config.surprisalCaveat.map { "; \($0)" } ?? "")),
            ("states", "\(plan.state.name), \(kept); blocks of \(grouped(set.patchesPerBlock)) patches, \(grouped(windows)) window\(windows == 1 ? "" : "s") of \(grouped(set.windowPatches))"),
            ("memory", "\(ByteCount.text(set.totalBytes)) of \(ByteCount.text(plan.budget)) (" + set.parts.sorted { $0.bytes > $1.bytes }.prefix(3).map { "\($0.name) \(ByteCount.text($0.bytes))" }.joined(separator: ", ") + ", …)"),
            ("disk", "about \(ByteCount.text(plan.diskNeeded)) more at its peak\(shrink), \(ByteCount.text(plan.diskFree)) free; keeping \(plan.keep.rawValue)"),
            ("compute", "\(plan.threads) thread\(plan.threads == 1 ? "" : "s"), \(plan.kernels) kernels, convolutions \(plan.convolution.rawValue)"),
        ]
        if let seconds = plan.estimatedSeconds { rows.append(("time", "about \(clock(seconds))")) }
        if plan.firstLayer > 1 { rows.append(("resuming", "\(pass) \(plan.firstLayer) of \(plan.config.passes)")) }
        return Console.aligned(rows)
    }

    func note(_ text: String) {
        if mode == .line && file != nil { return }
        line.close()
        switch mode {
        case .none: break
        case .json: Console.say(#"{"event": "note", "text": \#(Report.quoted(text))}"#)
        case .line: Console.say(text)
        }
    }

    /// Says which fields of config.json were ignored, if any were.
    func noteIgnoredFields(of config: ModelConfig) {
        if let ignored = config.ignoredText { note("config.json: ignored \(ignored)") }
    }

    func progress(_ progress: ForwardProgress) {
        let (share, seconds) = (progress.share, line.seconds)
        guard let first else {
            self.first = (seconds, share)
            lately = (seconds, progress)
            return
        }
        if let lately, seconds - lately.seconds > 1 {
            let span = seconds - lately.seconds
            byteRates = (Double(progress.bytesRead - lately.progress.bytesRead) / span, Double(progress.bytesWritten - lately.progress.bytesWritten) / span)
            self.lately = (seconds, progress)
        }
        let here = (file.map { "\($0)  " } ?? "") + "\(pass) \(progress.layer)/\(progress.layers)  \(fixed(100 * share, digits: 1)) %"
        // A rate needs a moment to mean anything.
        guard seconds - first.seconds > 0.5 || share >= 1 else {
            if mode == .line { line.show(share: share) { here } }
            return
        }
        let rate = max(share - first.share, 1e-12) / max(seconds - first.seconds, 1e-9)
        let left = (1 - share) / rate
        switch mode {
        case .none: break
        case .json:
            guard seconds - told >= 1 || (share >= 1 && told < .infinity) else { return }
            told = share >= 1 ? .infinity : seconds
            var report = Report()
            report.add("event", "progress")
            report.add("layer", progress.layer)
            report.add("layers", progress.layers)
            report.add("layer share", progress.layerShare)
            report.add("share", share)
            report.add("seconds", seconds)
            report.add("tokens per second", rate * Double(progress.tokens))
            report.add("read bytes per second", byteRates.read)
            report.add("written bytes per second", byteRates.written)
            report.add("eta seconds", left)
            Console.say(report.json)
        case .line:
            line.show(share: share) {
                here + "  \(grouped(Int(rate * Double(progress.tokens)))) tokens/s  "
                    + "\(fixed(byteRates.read / 1e6, digits: 0)) MB/s read  \(fixed(byteRates.written / 1e6, digits: 0)) MB/s written  ETA \(clock(left))"
            }
        }
    }
}
