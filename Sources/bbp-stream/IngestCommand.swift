import ArgumentParser
import Geometry
import StreamEngine
import Support

struct IngestCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ingest", abstract: "Turn files into a store of tokens.",
        discussion: """
            Each file becomes a document: BOS, its bytes, EOS. '-' is standard input. The store appears when it is \
            complete; an existing one stays whole until then.
            """)

    @Argument(help: ArgumentHelp("Files to read, in order; '-' is standard input.", valueName: "file"))
    var files: [String]

    @Option(help: ArgumentHelp("The store to make, a folder.", valueName: "dir"))
    var store: String

    @Flag(help: "Bytes only: no BOS and EOS around each file.")
    var raw = false

    @Flag(help: "Inputs are little-endian UInt16 token ids, 0 to 258.")
    var tokens = false

    @Option(help: ArgumentHelp("P of the tokens' layout. forward changes it to the model's where they differ.", valueName: "p"))
    var patchSize = 32

    @Flag(help: "Replace an existing store.")
    var force = false

    func validate() throws {
        if raw && tokens { throw ValidationError("--raw and --tokens exclude each other.") }
        if !SequenceGeometry.patchSizes.contains(patchSize) { throw ValidationError("--patch-size must be 1 to \(SequenceGeometry.patchSizes.upperBound).") }
    }

    func run() throws {
        let line = ProgressLine()
        let summary: Ingest.Summary
        do {
            defer { line.close() }
            summary = try Ingest.run(
                files, store: store, format: tokens ? .tokens : raw ? .raw : .documents, patchSize: patchSize, replacing: force
            ) { bytes in
                // Short inputs need no progress.
                if line.seconds > 1 { line.show(share: 0) { "ingest: \(ByteCount.text(bytes)) at \(ByteCount.text(Int(Double(bytes) / line.seconds)))/s" } }
            }
        }
        for note in summary.notes { Console.say(note) }
        try Console.print(Console.aligned([
            ("store", store),
            ("documents", grouped(summary.documents)),
            ("input", exactBytes(summary.inputBytes)),
            ("tokens", grouped(summary.tokens)),
            ("stored", exactBytes(summary.storedBytes)),
            ("seconds", fixed(line.seconds, digits: 2)),
        ]))
    }
}
