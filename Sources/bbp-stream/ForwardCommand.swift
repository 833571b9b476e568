import ArgumentParser
import PageStore
import StreamEngine
import Support

extension Element: ExpressibleByArgument {
    public init?(argument: String) {
        guard let element = Element(name: argument), element != .token else { return nil }
        self = element
    }
    public static var allValueStrings: [String] { ["bf16", "f32"] }
}

extension ForwardOptions.Keep: ExpressibleByArgument {}

/// A number of bytes on the command line: 256MiB, 2GiB, 1.5g, 1000000.
struct ByteSize: ExpressibleByArgument {
    var bytes: Int
    init?(argument: String) {
        guard let bytes = ByteCount.parse(argument) else { return nil }
        self.bytes = bytes
    }
}

struct ForwardCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "forward", abstract: "Run a model over a store: hidden states and per-byte surprisal.",
        discussion: """
            Resumes where an earlier run of the same model stopped. Results are bit-identical for any --memory and --threads. \
            The summary goes to standard output, plan and progress to standard error.
            """)

    @Option(help: ArgumentHelp("The store.", valueName: "dir")) var store: String
    @Option(help: ArgumentHelp("The model, a folder with config.json and model.safetensors.", valueName: "dir")) var model: String
    @Option(help: ArgumentHelp("Bound on anonymous memory: 256MiB, 2GiB. Half of what is free if not given.", valueName: "size")) var memory: ByteSize?
    @Option(help: ArgumentHelp("Worker threads. One a core if not given.", valueName: "n")) var threads: Int?
    @Option(help: "Number format of stored states. (default: bf16)") var state: Element?
    @Option(help: "Which states to keep. (default: last)") var keep: ForwardOptions.Keep?
    @Option(help: ArgumentHelp("Write surprisal in bits, f32 [tokens], to this NumPy file.", valueName: "file.npy")) var nll: String?
    @Flag(help: "Print the summary as one JSON object.") var json = false
    @Flag(help: "Drop the states of an earlier run and begin anew.") var restart = false
    @Flag(help: "Go on where the disk seems too small.") var force = false
    @Flag(help: "State the plan and stop.") var dryRun = false

    func validate() throws {
        if let threads, !(1...1024).contains(threads) { throw ValidationError("--threads must be 1 to 1024.") }
    }

    func run() throws {
        var options = ForwardOptions(store: store, model: model)
        options.memory = memory?.bytes
        options.threads = threads
        options.state = state
        options.keep = keep
        options.nll = nll
        options.restart = restart
        options.force = force
        options.dryRun = dryRun
        let display = ForwardDisplay()
        let summary: ForwardSummary?
        do {
            defer { display.line.close() }
            summary = try ForwardRun(options, observer: display).run()
        }
        guard let summary else { return }
        try Console.print(json ? summary.json() : describe(summary))
        if let nll { Console.say("surprisal : \(nll)") }
    }

    private func describe(_ summary: ForwardSummary) -> String {
        var rows = [
            ("tokens", grouped(summary.tokens)),
            ("bits per byte", summary.bitsPerByte.value.map { fixed($0, digits: 4) + " over \(grouped(summary.scoredTokens)) bytes" + (summary.untrained ? ", untrained weights" : "") } ?? "none: no byte has a predecessor"),
            ("seconds", fixed(summary.seconds, digits: 2)),
        ]
        if let rate = summary.tokensPerSecond.value {
            rows.append(("tokens/s", grouped(Int(rate))))
            rows.append(("peak anonymous memory", "\(exactBytes(summary.peakAnonymousBytes)) of \(ByteCount.text(summary.memoryBudgetBytes ?? 0))"))
            for layer in summary.layers {
                rows.append((
                    "layer \(layer.layer)",
                    "read \(fixed(layer.reads, digits: 2)) N (own \(fixed(layer.readsOwn, digits: 2)), hosts \(fixed(layer.readsHosts, digits: 2)), guests \(fixed(layer.readsGuests, digits: 2))), "
                        + "\(ByteCount.text(layer.bytesRead)); wrote \(fixed(layer.writes, digits: 2)) N, \(ByteCount.text(layer.bytesWritten)); \(fixed(layer.seconds, digits: 1)) s; "
                        + "from disk \(ByteCount.text(layer.diskBytesRead)), the page cache served the rest"))
            }
        }
        rows.append(("generations", summary.generations.map(String.init).joined(separator: ", ")))
        return Console.aligned(rows)
    }
}

/// Shows plan and progress on standard error.
final class ForwardDisplay: ForwardObserver {
    let line = ProgressLine()
    /// Seconds and share of the whole run when the first progress came, so that a resumed run's rate is its own.
    private var first: (seconds: Double, share: Double)?

    func planned(_ plan: ForwardPlan) {
        let (geometry, set) = (plan.geometry, plan.set)
        let windows = (geometry.patches + set.windowPatches - 1) / set.windowPatches
        let columns = (geometry.patches + set.patchesPerBlock - 1) / set.patchesPerBlock * geometry.patchSize
        let kept = set.isResident ? "in memory, read and written there" : "on disk, \(fixed(100 * Double(min(columns, set.stateSlots)) / Double(columns), digits: 1)) % of them kept in memory"
        var rows = [
            ("tokens", "\(grouped(geometry.tokens)) in \(grouped(geometry.patches)) patches of \(geometry.patchSize)"),
            ("model", "\(plan.config.layers) layers, hidden size \(plan.config.hiddenSize), \(plan.config.heads) heads, kernel \(plan.config.kernelSize)" + (plan.untrained == nil ? "" : "; untrained weights")),
            ("states", "\(plan.state.name), \(kept); blocks of \(grouped(set.patchesPerBlock)) patches, \(grouped(windows)) window\(windows == 1 ? "" : "s") of \(grouped(set.windowPatches))"),
            ("memory", "\(ByteCount.text(set.totalBytes)) of \(ByteCount.text(plan.budget)) (" + set.parts.sorted { $0.bytes > $1.bytes }.prefix(3).map { "\($0.name) \(ByteCount.text($0.bytes))" }.joined(separator: ", ") + ", …)"),
            ("disk", "about \(ByteCount.text(plan.diskNeeded)) needed, \(ByteCount.text(plan.diskFree)) free; keeping \(plan.keep.rawValue)"),
            ("compute", "\(plan.threads) thread\(plan.threads == 1 ? "" : "s"), \(plan.kernels) kernels"),
        ]
        if plan.firstLayer > 1 { rows.append(("resuming", "layer \(plan.firstLayer) of \(plan.config.layers)")) }
        Console.say(Console.aligned(rows))
    }

    func note(_ text: String) {
        line.close()
        Console.say(text)
    }

    func progress(layer: Int, of layers: Int, done: Double, tokens: Int) {
        let share = (Double(layer - 1) + done) / Double(layers)
        let seconds = line.seconds
        guard let first else {
            self.first = (seconds, share)
            return
        }
        let rate = max(share - first.share, 1e-12) / max(seconds - first.seconds, 1e-9)
        line.show(share: share) {
            "layer \(layer)/\(layers)  \(fixed(100 * share, digits: 1)) %  \(grouped(Int(rate * Double(tokens)))) tokens/s  ETA \(clock((1 - share) / rate))"
        }
    }
}
