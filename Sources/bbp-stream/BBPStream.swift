import ArgumentParser
import Glibc
import StreamEngine
import Support

@main
struct BBPStream: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bbp-stream",
        abstract: "Runs byte-level sequence models over sequences larger than memory.",
        discussion: """
            ingest turns files into a store, forward computes hidden states and per-byte surprisal in it, export and --nll \
            write NumPy arrays, dump and verify look inside, context tells how far a model sees, score says how well one predicts files.

            Examples:
              bbp-stream score server.log
              bbp-stream ingest genome.fna --store genome.store --model base
              bbp-stream forward --store genome.store --model base --memory 2GiB --nll surprisal.npy

            Environment:
              BBP_STREAM_MODELS  the folder that models are found in by name
              BBP_KERNELS        forces the kernels: plain, avx2 or avx512
              TMPDIR             where temporary stores are made (/tmp if not set)
              XDG_CACHE_HOME     where `tune` keeps what it measured (~/.cache if not set)

            Exit status: 0 done, 64 usage, 65 bad data, 66 no input, 73 cannot create, 74 I/O error, 75 interrupted \
            (the same command goes on).
            """,
        version: "0.1.0",
        subcommands: [
            IngestCommand.self, ModelCommand.self, ForwardCommand.self, ScoreCommand.self, ExportCommand.self,
            DumpCommand.self, VerifyCommand.self, TuneCommand.self,
            ContextCommand.self,
        ])

    static func main() {
        StandardStreams.occupy()
        Interruption.install(isSpeakingJSON: Console.mode == .json)
        do {
            try Suggestion.checkCommand()
            var command = try parseAsRoot(Array(Console.arguments.dropFirst()))
            try command.run()
        } catch let fault as Fault {
            Console.error(fault.message, status: fault.exitStatus)
            Glibc.exit(fault.exitStatus)
        } catch is Console.OutputClosed {
            Glibc.exit(0)
        } catch {
            end(error)
        }
    }

    /// Ends with what the parser has to say: help, a wrong argument, or a status alone.
    private static func end(_ error: any Error) -> Never {
        let status = exitCode(for: error).rawValue
        let text = fullMessage(for: error)
        if status == 0 {
            do { if !text.isEmpty { try Console.print(text) } } catch {
                if let fault = error as? Fault { Console.error(fault.message, status: fault.exitStatus) }
                Glibc.exit(error is Console.OutputClosed ? 0 : 74)
            }
        } else if Console.mode == .json && !(error is ExitCode) {
            Console.error(Suggestion.improved(message(for: error)), status: status)
        } else if !text.isEmpty {
            Console.write(Suggestion.improved(text).escapedLines + "\n")
        }
        Glibc.exit(status)
    }
}

/// What standard error says while a command works.
struct ProgressOptions: ParsableArguments {
    @Option(
        help:
            "What standard error says: lines for people, one JSON object a line (progress, notes and errors), or errors only."
    )
    var progress: Console.Mode = .line
    @Flag(name: .shortAndLong, help: "Say nothing but errors on standard error: the same as --progress none.")
    var quiet = false
}

extension Console.Mode: ExpressibleByArgument {}

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
