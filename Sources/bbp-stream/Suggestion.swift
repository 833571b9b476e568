import ArgumentParser
import Support

/// An unknown flag that begins one that there is, `--mem`, means that one; so do commands.
enum Suggestion {
    private static let unknown = "Unknown option '"

    /// The parser's message with the flags that the unknown one begins; the parser knows similar spellings of flags
    /// only.
    static func improved(_ message: String) -> String {
        guard let start = message.firstRange(of: unknown)?.upperBound else { return message }
        let written = String(message[start...].prefix { $0 != "'" && $0 != "=" })
        let found = flags().filter { $0.hasPrefix(written) }
        guard written.hasPrefix("--"), written.count > 2, !found.isEmpty else { return message }
        let line = message[start...].firstIndex(of: "\n") ?? message.endIndex
        return message[..<start] + "\(written)'. Did you mean \(found.map { "'\($0)'" }.joined(separator: " or "))?"
            + message[line...]
    }

    /// - Throws: `Fault` (`usage`) where the first argument is meant for a command and names none.
    static func checkCommand() throws {
        let names = BBPStream.configuration.subcommands.compactMap { $0.configuration.commandName }
        guard let word = Console.arguments.dropFirst().first, !word.hasPrefix("-"), !(names + ["help"]).contains(word)
        else { return }
        let meant = names.first { !word.isEmpty && ($0.hasPrefix(word) || word.hasPrefix($0)) }
        throw Fault(
            .usage, "there is no command '\(word.escaped)'" + (meant.map { ". Did you mean '\($0)'?" } ?? ""),
            advice: "The commands are \(names.joined(separator: ", ")).")
    }

    /// The flags of the command that the arguments name.
    private static func flags() -> [String] {
        var command: any ParsableCommand.Type = BBPStream.self
        for argument in Console.arguments.dropFirst() where !argument.hasPrefix("-") {
            guard
                let next = command.configuration.subcommands.first(where: { $0.configuration.commandName == argument })
            else { break }
            command = next
        }
        var flags: [String] = []
        for word in BBPStream.helpMessage(for: command).split(whereSeparator: { " \n,()[]<>/".contains($0) })
        where word.hasPrefix("--") {
            let flag = String(word.prefix { $0 == "-" || $0.isLetter })
            if flag.count > 2, !flags.contains(flag) { flags.append(flag) }
        }
        return flags
    }
}
