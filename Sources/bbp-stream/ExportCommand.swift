import ArgumentParser
import StreamEngine
import Support

/// A:B, the tokens from A up to but without B.
struct TokenRange: ExpressibleByArgument {
    var range: Range<Int>
    init?(argument: String) {
        let parts = argument.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let lower = Int(parts[0]), let upper = Int(parts[1]), lower >= 0, lower < upper else { return nil }
        range = lower..<upper
    }
}

struct ExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write states or tokens as a NumPy array.",
        discussion: "States are f32 [tokens, D] in natural order; generation 0, the tokens, is UInt16 [tokens].")

    @Option(help: ArgumentHelp("The store.", valueName: "dir")) var store: String
    @Option(help: ArgumentHelp("0 for the tokens, l for the states after layer l.", valueName: "l")) var generation: Int
    @Option(help: ArgumentHelp("Tokens A up to but without B; all if not given.", valueName: "a:b")) var range: TokenRange?
    @Option(help: ArgumentHelp("The file to write.", valueName: "file.npy")) var out: String

    func run() throws {
        let shape = try Export.run(store: store, generation: generation, range: range?.range, to: out)
        Console.say("wrote \(out): \(generation == 0 ? "uint16" : "float32") [\(shape.map(String.init).joined(separator: ", "))]")
    }
}
