import ArgumentParser
import PageStore
import ProtonModel
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
extension Compute: ExpressibleByArgument {}
extension ConvolutionWay: ExpressibleByArgument {}

/// A number of bytes on the command line.
func byteSize(_ text: String) throws -> Int {
    guard let bytes = ByteCount.parse(text) else {
        throw ValidationError(
            "'\(text)' is no size: write 256MiB, 2GiB, 1.5g or a number of bytes, more than 0 and less than 8 EiB.")
    }
    return bytes
}

func checkThreads(_ threads: Int?) throws {
    if let threads, !(1...1024).contains(threads) { throw ValidationError("--threads must be 1 to 1024.") }
}

struct ForwardCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "forward", abstract: "Run a model over a store: hidden states and per-byte surprisal.",
        discussion: """
            Resumes where an earlier run of the same model stopped. Results are bit-identical for any --memory and --threads. \
            The summary goes to standard output, plan and progress to standard error.

            --stream takes standard input as it comes, without a store and without an end, where all layers of the model \
            stream: memory stays the same, surprisal follows about a second after its bytes (to a NumPy file that grows, \
            or as plain f32 values to a pipe), and --save-state keeps what a later run needs to go on with --from-state, \
            with the bits of one run over all of it.

            Examples:
              bbp-stream forward --store genome.store --model base --dry-run
              bbp-stream forward --store genome.store --model nano --memory 2GiB --nll surprisal.npy
              bbp-stream forward --store genome.store --model base --keep none --nll - | python3 plot.py
              tail -f log | bbp-stream forward --stream --model m --nll bits.npy --save-state state
            """)

    @Option(help: ArgumentHelp("The store.", valueName: "dir")) var store: String?
    @Option(
        help: ArgumentHelp(
            "The model: a folder with config.json and model.safetensors, or base or nano.", valueName: "dir"))
    var model: String
    @Option(
        help: ArgumentHelp(
            "Bound on anonymous memory: 256MiB, 2GiB. Half of what is free if not given.", valueName: "size"),
        transform: byteSize) var memory: Int?
    @Option(help: ArgumentHelp("Worker threads. One a core if not given.", valueName: "n")) var threads: Int?
    @Option(help: "Number format of stored states. (default: bf16)") var state: Element?
    @Option(
        help:
            "What matrix products are computed in: bf16 where the processor has it, else f32 with a word. (default: f32)"
    ) var compute: Compute?
    @Option(
        help:
            "How convolutions are computed: direct, or through Fourier transforms where kernels are long, which is faster; a row's last bits then depend on rows near it, later ones too. (default: direct where all layers stream or that takes about a second, else fourier)"
    )
    var convolution: ConvolutionWay?
    @Option(help: "Which states to keep. (default: last, or none where no pass needs any)") var keep:
        ForwardOptions.Keep?
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Write surprisal in bits, f32 [tokens], to this NumPy file; '-' is standard output.", valueName: "file.npy")
    )
    var nll: String?
    @Flag(help: "Read standard input as it comes, in place of a store.") var stream = false
    @Option(
        help: ArgumentHelp(
            "With --stream: when the input ends, or a signal comes, write here what a later run needs to go on.",
            valueName: "file"))
    var saveState: String?
    @Option(
        help: ArgumentHelp(
            "With --stream: go on from what an earlier run saved, with bytes that follow.", valueName: "file"))
    var fromState: String?
    @Flag(help: "Print the summary as one JSON object; with --dry-run, the plan.") var json = false
    @Flag(help: "Drop the states of an earlier run and begin anew.") var restart = false
    @Flag(help: "Go on where the disk seems too small.") var force = false
    @Flag(help: "State the plan and stop. Writes nothing.") var dryRun = false
    @OptionGroup var reporting: ProgressOptions

    func validate() throws {
        try checkThreads(threads)
        guard stream else {
            if store == nil { throw ValidationError("Name a --store, or read standard input with --stream.") }
            if saveState != nil || fromState != nil {
                throw ValidationError("--save-state and --from-state are of --stream: a store keeps what it needs.")
            }
            return
        }
        let ofStores = [
            ("--store", store != nil), ("--keep", keep != nil), ("--restart", restart), ("--force", force),
            ("--dry-run", dryRun),
        ].filter(\.1).map(\.0)
        if !ofStores.isEmpty {
            throw ValidationError("--stream makes no store: leave \(ofStores.joined(separator: " and ")) out.")
        }
        if convolution == .fourier {
            throw ValidationError("Convolutions of input as it comes are computed directly.")
        }
    }

    func run() throws {
        guard let store else { return try runStream() }
        var options = ForwardOptions(store: store, model: try ModelFolder.find(model))
        options.memory = memory
        options.threads = threads
        options.state = state
        options.compute = compute
        options.convolution = convolution
        options.keep = keep
        options.nll = nll
        options.isRestart = restart
        options.isForced = force
        options.isDryRun = dryRun
        Console.leaveOutput(to: nll)
        let display = ForwardDisplay(isPlanPrinted: dryRun && json)
        let summary: ForwardSummary?
        do {
            defer { display.line.close() }
            let run = try ForwardRun(options, observer: display)
            Console.noteIgnoredFields(of: run.model.config)
            summary = try run.run()
        }
        if let failure = display.failure { throw failure }
        if summary?.isAlreadyComplete ?? display.isComplete { Console.note("--restart begins anew.") }
        guard let summary else { return }
        try json ? Console.print(json: summary.json()) : Console.print(describe(summary))
        if let nll, Console.mode == .line { Console.note("surprisal : \(nll.escaped)") }
    }

    /// The same over standard input as it comes.
    private func runStream() throws {
        Console.leaveOutput(to: nll)
        let model = try Model(directory: ModelFolder.find(model))
        Console.noteIgnoredFields(of: model.config)
        let input = StreamedInput(
            model: model, values: .tokens, nll: nll, memory: memory, threads: threads, state: state, compute: compute,
            resumed: fromState, saved: saveState)
        let result = try input.runShown()
        var report = Report()
        report.add("tokens", result.tokens)
        report.add("scored tokens", result.bytes)
        if result.bytes > 0 { report.add("bits per byte", result.bitsPerByte) }
        report.add("seconds", (100 * result.seconds).rounded() / 100)
        report.add("model", model.directory)
        report.add("fingerprint", model.fingerprint)
        report.add("untrained", model.untrained != nil)
        report.add("resumed", fromState != nil)
        try report.print(asJSON: json)
        try result.checkInterruption(saved: saveState)
    }

    private func describe(_ summary: ForwardSummary) -> String {
        var rows = [
            ("tokens", grouped(summary.tokens)),
            (
                "bits per byte",
                summary.bitsPerByte.value.map {
                    fixed($0, digits: 4) + " over \(grouped(summary.scoredTokens)) bytes"
                        + (summary.isUntrained ? ", untrained weights" : "")
                        + (summary.surprisalCaveat.map { "; \($0)" } ?? "")
                } ?? "none: no byte has a predecessor"
            ),
            ("seconds", fixed(summary.seconds, digits: 2)),
        ]
        if let rate = summary.tokensPerSecond.value {
            rows.append(("tokens/s", grouped(Int(rate))))
            rows.append(
                (
                    "peak anonymous memory",
                    "\(exactBytes(summary.peakAnonymousBytes)) of \(ByteCount.text(summary.memoryBudgetBytes ?? 0))"
                ))
            for layer in summary.layers {
                let name = (layer.firstLayer...layer.layer).layerText
                guard layer.bytesRead + layer.bytesWritten > layer.resultBytes || layer.reads > 0.1 else {
                    rows.append((name, "\(fixed(layer.seconds, digits: 1)) s, in memory"))
                    continue
                }
                let parts =
                    layer.readsHosts + layer.readsGuests > 0
                    ? " (own \(fixed(layer.readsOwn, digits: 2)), hosts \(fixed(layer.readsHosts, digits: 2)), guests \(fixed(layer.readsGuests, digits: 2)))"
                    : ""
                rows.append(
                    (
                        name,
                        "read \(fixed(layer.reads, digits: 2)) N\(parts), "
                            + "\(ByteCount.text(layer.bytesRead)); wrote \(fixed(layer.writes, digits: 2)) N, \(ByteCount.text(layer.bytesWritten)); \(fixed(layer.seconds, digits: 1)) s; "
                            + "cores waited \(fixed(100 * layer.waitingForDisk, digits: 1)) % for the disk, \(fixed(100 * layer.idle, digits: 1)) % for each other; "
                            + "the disk \(fixed(100 * layer.waitingForCores, digits: 0)) % for cores"
                    ))
            }
        }
        if let bounds = summary.bounds {
            rows.append(
                (
                    "against the limits",
                    "\(fixed(bounds.ratio, digits: 2)) times the greater of arithmetic, \(fixed(bounds.arithmeticSeconds, digits: 1)) s, and disk, \(fixed(bounds.diskSeconds, digits: 1)) s"
                ))
        }
        rows.append(("generations", summary.generations.map(String.init).joined(separator: ", ")))
        return Console.aligned(rows)
    }
}
