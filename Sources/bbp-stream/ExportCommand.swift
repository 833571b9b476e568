import ArgumentParser
import StreamEngine
import Support

extension TokenRange: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
}

struct ExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write states or tokens as a NumPy array.",
        discussion: """
            States are f32 [tokens, D] in natural order; generation 0, the tokens, is UInt16 [tokens].

            Examples:
              bbp-stream export --store genome.store --generation 9 --range 0:4096 --out states.npy
              bbp-stream export --store genome.store --generation 9 --range -10: --out - | python3 plot.py
            """)

    @Option(help: ArgumentHelp("The store.", valueName: "dir")) var store: String
    @Option(help: ArgumentHelp("0 for the tokens, l for the states after layer l.", valueName: "l")) var generation: Int
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Tokens a up to but without b: 0:10, 10:, :10, -5: (the last five), :-5. All if not given.",
            valueName: "a:b"))
    var range: TokenRange?
    @Option(
        parsing: .unconditional, help: ArgumentHelp("The file to write; '-' is standard output.", valueName: "file.npy")
    ) var out: String
    @Flag(help: "Print one JSON object that says what was written.") var json = false
    @OptionGroup var reporting: ProgressOptions

    func run() throws {
        Console.leaveOutput(to: out)
        var kept = OutputGuard()
        kept.keep(store: store)
        try kept.check(out, option: "out")
        let line = ProgressLine()
        let shape: [Int]
        do {
            defer { line.close() }
            shape = try Export.run(store: store, generation: generation, range: range, to: out) { share in
                if line.seconds > 1 { line.show(share: share) { "export: \(fixed(100 * share, digits: 1)) %" } }
            }
        }
        let type = generation == 0 ? "uint16" : "float32"
        guard json else {
            return Console.note("wrote \(out.escaped): \(type) [\(shape.map(String.init).joined(separator: ", "))]")
        }
        var report = Report()
        report.add("store", store)
        report.add("generation", generation)
        report.add("out", out)
        report.add("type", type)
        report.add("shape", shape.map { .number($0, shown: grouped($0)) })
        try Console.print(json: report.json)
    }
}
