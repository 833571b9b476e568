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
            """)

    @Argument(help: ArgumentHelp("Files to score; '-' is standard input.", valueName: "file")) var files: [String]
    @Option(help: ArgumentHelp("The model: a folder, or base or nano.", valueName: "dir")) var model = ModelFolder.defaultName
    @Option(help: ArgumentHelp("Write the bits of every byte, f32 [bytes], all files one after another, to this NumPy file.", valueName: "file.npy")) var nll: String?
    @Flag(help: "Print one JSON object.") var json = false
    @Option(help: ArgumentHelp("Bound on anonymous memory: 256MiB, 2GiB. Half of what is free if not given.", valueName: "size"), transform: byteSize) var memory: Int?
    @Option(help: ArgumentHelp("Worker threads. One a core if not given.", valueName: "n")) var threads: Int?
    @Option(help: "Number format of stored states. (default: bf16)") var state: Element?
    @Option(help: "What matrix products are computed in. (default: f32)") var compute: Compute?
    @Option(help: "How convolutions are computed. (default: direct where that takes about a second, else fourier)") var convolution: ConvolutionWay?
    @Option(help: ArgumentHelp("Where temporary stores are made. $TMPDIR or /tmp if not given.", valueName: "dir")) var temporary: String?
    @Option(help: "How progress is shown on standard error: a line for people, one JSON object a line (plans and notes too), or none.")
    var progress: ForwardDisplay.Mode = .line

    func validate() throws { try checkThreads(threads) }

    func run() throws {
        var options = ForwardOptions(store: temporary ?? "", model: try ModelFolder.find(model))
        options.nll = nll
        options.memory = memory
        options.threads = threads
        options.state = state
        options.compute = compute
        options.convolution = convolution
        if let temporary, !File.isDirectory(temporary) { throw Fault(.noInput, "there is no such folder", at: Place(file: temporary)) }
        let scoring = try Scoring(options)
        ForwardDisplay(progress).noteIgnoredFields(of: scoring.model.config)
        let watch = Stopwatch()
        var scores: [Scoring.Score] = []
        var display: ForwardDisplay?
        do {
            defer { display?.line.close() }
            try scoring.run(files) { file in
                display?.line.close()
                let next = ForwardDisplay(progress, file: file)
                display = next
                return next
            } scored: { score in
                display?.line.close()
                scores.append(score)
                // Whoever scores many files sees each as it is done.
                if !json { try Console.print(row(score)) }
            }
        } catch let fault as Fault where progress == .json {
            (display ?? ForwardDisplay(progress)).failed(fault)
            throw ExitCode(fault.exitStatus)
        }
        let total = Scoring.Score.total(of: scores, seconds: watch.seconds)
        if json {
            try Console.print(report(scoring.model, scores, total).json)
        } else {
            if scores.count > 1 { try Console.print(row(total)) }
            if let caveat = scoring.model.config.surprisalCaveat { try Console.print("not a prediction: \(caveat)") }
            if scoring.model.untrained != nil { try Console.print("the weights are untrained") }
        }
    }

    /// "1.9312 bits per byte  24.14 %  567 198 bytes  book.txt"
    private func row(_ score: Scoring.Score) -> String {
        "\(fixed(score.bitsPerByte, digits: 4)) bits per byte  \(fixed(12.5 * score.bitsPerByte, digits: 2)) %  \(exactBytes(score.bytes))  \(score.file)"
    }

    private func report(_ model: Model, _ scores: [Scoring.Score], _ total: Scoring.Score) -> Report {
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
        report.add("files", objects: scores.map { score in
            var row = Report()
            row.add("file", score.file)
            numbers(score, into: &row)
            return row
        })
        numbers(total, into: &report)
        report.add("tokens per second", Double(total.bytes) / max(total.seconds, 1e-9))
        return report
    }
}
