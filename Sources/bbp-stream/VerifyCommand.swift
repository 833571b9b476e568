import ArgumentParser
import StreamEngine
import Support

struct VerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Check every checksum of every page of a store.",
        discussion: """
            Lists everything that is wrong and exits with 65 if anything is.

            Example:
              bbp-stream verify --store genome.store
            """)

    @Option(help: ArgumentHelp("The store.", valueName: "dir")) var store: String
    @Flag(help: "Print one JSON object.") var json = false
    @OptionGroup var reporting: ProgressOptions

    func run() throws {
        let line = ProgressLine()
        let result: Verify.Report
        do {
            defer { line.close() }
            result = try Verify.run(store: store) { generation, block, blocks in
                if line.seconds > 1 {
                    line.show(share: Double(block) / Double(blocks)) {
                        "verify: generation \(generation), block \(grouped(block)) of \(grouped(blocks))"
                    }
                }
            }
        }
        for fault in result.faults { Console.error(fault.message, status: fault.exitStatus) }
        var report = Report()
        report.add("store", store)
        report.add("generations", result.generations)
        if !result.incomplete.isEmpty || json {
            report.add(
                json ? "incomplete" : "not checked, being computed",
                result.incomplete.map { .number($0, shown: "\($0)") })
        }
        report.add("pages", result.pages)
        report.add("columns", result.columns)
        report.add("bytes", bytes: result.bytes)
        if json {
            report.add("damaged", result.faults.count)
            report.add("faults", result.faults.map { .text($0.message) })
        } else {
            report.add("damaged", result.faults.isEmpty ? "none" : grouped(result.faults.count))
        }
        try report.print(asJSON: json)
        if !result.faults.isEmpty { throw ExitCode(65) }
    }
}
