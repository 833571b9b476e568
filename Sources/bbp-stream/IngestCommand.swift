import ArgumentParser
import Geometry
import ProtonModel
import StreamEngine
import Support

struct IngestCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ingest", abstract: "Turn files into a store of tokens.",
        discussion: """
            Each file becomes a document: BOS, its bytes, EOS. '-' is standard input. The store appears when it is \
            complete; an existing one stays whole until then.

            --append adds to a store. Where all layers of the model stream that was run over it, the next forward \
            computes what is new; else it computes everything anew.

            Examples:
              bbp-stream ingest genome.fna --store genome.store --model base
              zcat log.gz | bbp-stream ingest - --store log.store --raw
              bbp-stream ingest today.log --store log.store --append
            """)

    @Argument(help: ArgumentHelp("Files to read, in order; '-' is standard input.", valueName: "file"))
    var files: [String]

    @Option(help: ArgumentHelp("The store to make, a folder.", valueName: "dir"))
    var store: String

    @Flag(help: "Bytes only: no BOS and EOS around each file.")
    var raw = false

    @Flag(help: "Inputs are little-endian UInt16 token ids, 0 to 258.")
    var tokens = false

    @Option(help: ArgumentHelp("Lay the tokens out for this model: a folder, or base or nano.", valueName: "dir"))
    var model: String?

    @Option(
        help: ArgumentHelp(
            "P of the tokens' layout, where no --model is given. forward changes it to its model's where they differ. (default: that of the model base)",
            valueName: "p"))
    var patchSize: Int?

    @Flag(help: "Replace an existing store.")
    var force = false

    @Flag(help: "Add the files to the end of an existing store.")
    var append = false

    @Flag(help: "Print one JSON object.") var json = false
    @OptionGroup var reporting: ProgressOptions

    func validate() throws {
        if raw && tokens { throw ValidationError("--raw and --tokens exclude each other.") }
        if model != nil && patchSize != nil {
            throw ValidationError("--patch-size is the model's: leave it out beside --model.")
        }
        if append {
            if force { throw ValidationError("--append and --force exclude each other.") }
            if model != nil || patchSize != nil {
                throw ValidationError("Tokens are laid out as the store's are: leave --model and --patch-size out.")
            }
        }
        if let patchSize, !SequenceGeometry.patchSizes.contains(patchSize) {
            throw ValidationError("--patch-size must be 1 to \(SequenceGeometry.patchSizes.upperBound).")
        }
    }

    /// P of the model that is told, or of the one that most will run.
    private func layout() throws -> Int {
        if let model { return try ModelConfig(directory: ModelFolder.find(model)).patchSize }
        return ModelFolder.installed(ModelFolder.defaultName).flatMap { try? ModelConfig(directory: $0).patchSize }
            ?? 32
    }

    func run() throws {
        let format: Ingest.Format = tokens ? .tokens : raw ? .raw : .documents
        let patchSize = append ? nil : try patchSize ?? layout()
        let line = ProgressLine()
        let summary: Ingest.Summary
        do {
            defer { line.close() }
            func show(_ bytes: Int) {
                // Short inputs need no progress.
                if line.seconds > 1 {
                    line.show(share: 0) {
                        "ingest: \(ByteCount.text(bytes)) at \(ByteCount.text(Int(Double(bytes) / line.seconds)))/s"
                    }
                }
            }
            if let patchSize {
                summary = try Ingest.run(
                    files, store: store, format: format, patchSize: patchSize, isReplacing: force, onProgress: show)
            } else {
                summary = try Ingest.append(
                    files, store: store, format: format, onNote: { Console.note($0) }, onProgress: show)
            }
        }
        for note in summary.notes { Console.note(note) }
        var report = Report()
        report.add("store", store)
        report.add("documents", summary.documents)
        report.add("input", bytes: summary.inputBytes)
        report.add("tokens", summary.tokens)
        if let patchSize {
            report.add("patch size (P)", patchSize)
        } else {
            report.add("new tokens", summary.newTokens)
        }
        report.add("stored", bytes: summary.storedBytes)
        report.add("seconds", (100 * line.seconds).rounded() / 100)
        try report.print(asJSON: json)
    }
}
