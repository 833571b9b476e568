import ArgumentParser
import StreamEngine
import Support

struct VerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Check every checksum of every page of a store.",
        discussion: "Lists everything that is wrong and exits with 65 if anything is.")

    @Option(help: ArgumentHelp("The store.", valueName: "dir")) var store: String

    func run() throws {
        let line = ProgressLine()
        let report: Verify.Report
        do {
            defer { line.close() }
            report = try Verify.run(store: store) { generation, block, blocks in
                if line.seconds > 1 { line.show(share: Double(block) / Double(blocks)) { "verify: generation \(generation), block \(block) of \(blocks)" } }
            }
        }
        for fault in report.faults { Console.error(fault.description) }
        try Console.print(Console.aligned([
            ("store", store),
            ("generations", "\(report.generations)" + (report.incomplete.isEmpty ? "" : "; not checked, still being computed: \(report.incomplete.map(String.init).joined(separator: ", "))")),
            ("pages", grouped(report.pages)),
            ("columns", grouped(report.columns)),
            ("bytes", exactBytes(report.bytes)),
            ("damaged", report.faults.isEmpty ? "none" : grouped(report.faults.count)),
        ]))
        if !report.faults.isEmpty { throw ExitCode(65) }
    }
}
