import ArgumentParser
import Glibc
import StreamEngine
import Support

@main
struct BBPStream: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bbp-stream",
        abstract: "Runs a BigBang-Proton byte model over sequences larger than memory.",
        discussion: """
            ingest turns files into a store, forward computes hidden states and per-byte surprisal in it, export and --nll \
            write NumPy arrays, dump and verify look inside, context tells how far a model sees, score says how well one predicts files.

            Exit status: 0 done, 64 usage, 65 bad data, 66 no input, 73 cannot create, 74 I/O error, 75 interrupted \
            (the same command goes on).
            """,
        version: "0.1.0",
        subcommands: [IngestCommand.self, ModelCommand.self, ForwardCommand.self, ScoreCommand.self, ExportCommand.self, DumpCommand.self, VerifyCommand.self, TuneCommand.self, ContextCommand.self])

    static func main() {
        Interruption.install()
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch let fault as Fault {
            Console.error(fault.description)
            Glibc.exit(fault.exitStatus)
        } catch {
            exit(withError: error)
        }
    }
}

extension Fault {
    /// sysexits.h
    var exitStatus: Int32 {
        switch kind {
        case .usage: 64
        case .badData: 65
        case .noInput: 66
        case .cannotCreate: 73
        case .inputOutput: 74
        case .interrupted: 75
        }
    }
}
