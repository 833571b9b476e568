import ArgumentParser
import PageStore
import ProtonModel
import StreamEngine
import Support

struct ScoreCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "score", abstract: "Bits per byte of files: how well a model predicts them.",
        discussion: """
            Each file is a sequence of its own: ingested into a temporary store, run through the model, and the store removed. \
            '-' is standard input. The default model comes with the program. Results go to standard output, progress to \
            standard error.

            What takes long is said before the start. Ctrl-C then keeps what is done, and the same command goes on.

            A model whose layers all stream scores standard input as it comes, in a bounded memory and without a store, \
            however long it is: bits are written about a second after their bytes, to a NumPy file that grows (or as \
            plain f32 to a pipe), and --save-state keeps what a later run needs to go on with --from-state, with the \
            bits of one run over all of it.

            Examples:
              bbp-stream score *.log
              bbp-stream score server.log --model nano --nll bits.npy
              tar c src | bbp-stream score - --json
              tail -f log | bbp-stream score - --model m --nll bits.npy --save-state state
            """)

    @Argument(help: ArgumentHelp("Files to score; '-' is standard input.", valueName: "file")) var files: [String]
    @Option(help: ArgumentHelp("The model: a folder, or base or nano.", valueName: "dir")) var model = ModelFolder
        .defaultName
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Write the bits of every byte, f32 [bytes], all files one after another, to this NumPy file; '-' is standard output.",
            valueName: "file.npy"))
    var nll: String?
    @Flag(help: "Print one JSON object.") var json = false
    @Option(
        help: ArgumentHelp(
            "Bound on anonymous memory: 256MiB, 2GiB. Half of what is free if not given.", valueName: "size"),
        transform: byteSize) var memory: Int?
    @Option(help: ArgumentHelp("Worker threads. One a core if not given.", valueName: "n")) var threads: Int?
    @Option(help: "Number format of stored states. (default: bf16)") var state: Element?
    @Option(help: "What matrix products are computed in. (default: f32)") var compute: Compute?
    @Option(
        help:
            "How convolutions are computed. (default: direct where all layers stream or that takes about a second, else fourier)"
    )
    var convolution: ConvolutionWay?
    @Option(
        help: ArgumentHelp("Keep the store of the one file here; the same command goes on with it.", valueName: "dir"))
    var store: String?
    @Option(
        help: ArgumentHelp(
            "When standard input ends, or a signal comes, write here what a later run needs to go on.",
            valueName: "file"))
    var saveState: String?
    @Option(help: ArgumentHelp("Go on from what an earlier run saved, with bytes that follow.", valueName: "file"))
    var fromState: String?
    @Option(help: ArgumentHelp("Where temporary stores are made. $TMPDIR or /tmp if not given.", valueName: "dir"))
    var temporary: String?
    @OptionGroup var reporting: ProgressOptions

    func validate() throws { try checkThreads(threads) }

    func run() throws {
        var options = ForwardOptions(store: "", model: try ModelFolder.find(model))
        options.nll = nll
        options.memory = memory
        options.threads = threads
        options.state = state
        options.compute = compute
        options.convolution = convolution
        if let temporary, !File.isDirectory(temporary) {
            throw Fault(.noInput, "there is no such folder", at: Place(file: temporary))
        }
        Console.leaveOutput(to: nll)
        if try scoreStream(options) { return }
        let others = ModelFolder.all.filter { File.info($0.folder)?.identity != File.info(options.model)?.identity }
        let scoring = try Scoring(options, temporary: temporary, store: store, others: others)
        Console.noteIgnoredFields(of: scoring.model.config)
        let watch = Stopwatch()
        let display = ScoreDisplay(model: model)
        if !json {
            // Whoever scores many files sees each as it is done.
            display.onScore = { try Console.print(Self.row($0)) }
        }
        // A reader who left wants no more lines, but the array is wanted by others.
        display.isUnreadIgnored = nll != nil && nll.map(OutputFile.isStandardOutput) == false
        let faults: [Fault]
        do {
            defer { display.line.close() }
            faults = try scoring.run(files, observer: display)
        }
        let total = Scoring.Score.total(of: display.scores, seconds: watch.seconds)
        if !display.isUnread, json || !display.scores.isEmpty {
            if json {
                try Console.print(json: report(scoring.model, display.scores, total, faults).json)
            } else {
                if display.scores.count > 1 { try Console.print(Self.row(total)) }
                if let caveat = scoring.model.config.surprisalCaveat {
                    try Console.print("not a prediction: \(caveat)")
                }
                if scoring.model.untrained != nil { try Console.print("the weights are untrained") }
            }
        }
        if let first = faults.first {
            Console.error(
                "\(faults.count) of \(files.count) files could not be read: \(faults.map { ($0.place.file ?? "").escaped }.joined(separator: ", "))",
                status: first.exitStatus)
            throw ExitCode(first.exitStatus)
        }
    }

    /// Scores standard input as it comes, where that is the one file and the model can.
    ///
    /// - Returns: whether it did.
    private func scoreStream(_ options: ForwardOptions) throws -> Bool {
        let isAsked = saveState != nil || fromState != nil
        guard files == ["-"], store == nil else {
            if files == ["-"], !isAsked {
                Console.note("Standard input is read to its end, into the store, before it is scored.")
            }
            guard !isAsked else {
                throw Fault(
                    .usage, "states are saved of standard input, scored as it comes",
                    at: Place(option: saveState == nil ? "from-state" : "save-state"),
                    advice: "Name '-' as the one file, and no store.")
            }
            return false
        }
        let model = try Model(directory: options.model)
        guard model.config.isStreaming, convolution != .fourier || isAsked else {
            guard !isAsked else {
                throw Fault(
                    .usage, "the model reads rows from all over a sequence, and cannot score input as it comes",
                    at: Place(file: model.directory),
                    advice: "`model info` says which layers stream; all must.")
            }
            return false
        }
        guard convolution != .fourier else {
            throw Fault(
                .usage, "convolutions of input as it comes are computed directly", at: Place(option: "convolution"))
        }
        Console.noteIgnoredFields(of: model.config)
        let input = StreamedInput(
            model: model, values: .bytes, nll: nll, memory: memory, threads: threads, state: state, compute: compute,
            resumed: fromState, saved: saveState)
        let result = try input.runShown()
        if result.bytes > 0 {
            let total = Scoring.Score(file: "-", bytes: result.bytes, bits: result.bits, seconds: result.seconds)
            if json {
                try Console.print(json: report(model, [total], total, [], earlier: result.earlier).json)
            } else {
                try Console.print(Self.row(total))
                if model.untrained != nil { try Console.print("the weights are untrained") }
            }
        }
        try result.checkInterruption(saved: saveState)
        return true
    }

    /// "1.9312 bits per byte  24.14 %  567 198 bytes  book.txt"
    private static func row(_ score: Scoring.Score) -> String {
        "\(fixed(score.bitsPerByte, digits: 4)) bits per byte  \(fixed(12.5 * score.bitsPerByte, digits: 2)) %  \(exactBytes(score.bytes))  \(score.file.escaped)"
    }

    private func report(
        _ model: Model, _ scores: [Scoring.Score], _ total: Scoring.Score, _ faults: [Fault], earlier: Int? = nil
    ) -> Report {
        func numbers(_ score: Scoring.Score, into report: inout Report) {
            report.add("bytes", score.bytes)
            report.add("bits", score.bits)
            report.add("bits per byte", score.bitsPerByte)
            report.add("seconds", score.seconds)
        }
        var report = Report()
        report.add("model", model.directory)
        report.add("fingerprint", model.fingerprint)
        if let untrained = model.untrained { report.add("training", "untrained (\(untrained))") }
        if let caveat = model.config.surprisalCaveat { report.add("surprisal caveat", caveat) }
        report.add(
            "files",
            objects: scores.map { score in
                var row = Report()
                row.add("file", score.file)
                numbers(score, into: &row)
                return row
            })
        if !faults.isEmpty {
            report.add(
                "not read",
                objects: faults.map { fault in
                    var row = Report()
                    row.add("file", fault.place.file ?? "")
                    row.add("status", Int(fault.exitStatus))
                    row.add("text", fault.message)
                    return row
                })
        }
        numbers(total, into: &report)
        if let earlier { report.add("bytes of earlier runs", earlier) }
        report.add("tokens per second", Double(total.bytes - (earlier ?? 0)) / max(total.seconds, 1e-9))
        return report
    }
}
