import ArgumentParser
import ProtonModel
import StreamEngine
import Support

struct ModelCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "model", abstract: "Make or describe a model.", subcommands: [Init.self, Info.self])

    struct Init: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "init", abstract: "Write a model with random weights.",
            discussion: "The weights are untrained, and called so wherever they are used. The same seed gives the same bytes.")

        @Argument(help: ArgumentHelp("The model to make, a folder.", valueName: "dir"))
        var directory: String

        @Option(help: ArgumentHelp("D, a multiple of 8.", valueName: "d")) var hiddenSize = 64
        @Option(help: ArgumentHelp("Number of blocks.", valueName: "l")) var layers = 6
        @Option(help: ArgumentHelp("H, a divisor of D.", valueName: "h")) var heads = 4
        @Option(help: ArgumentHelp("P, 1 to 1024.", valueName: "p")) var patchSize = 32
        @Option(help: ArgumentHelp("K of the causal convolution.", valueName: "k")) var kernelSize = 33
        @Option(help: ArgumentHelp("F of the convolution; twice the hidden size if not given.", valueName: "f")) var intermediateSize: Int?
        @Option(help: ArgumentHelp("Seed of the weights.", valueName: "s")) var seed: UInt64 = 0
        @Flag(help: "Replace an existing model.") var force = false

        func run() throws {
            let config = ModelConfig(
                hiddenSize: hiddenSize, intermediateSize: intermediateSize ?? (hiddenSize > 0 && hiddenSize < 1 << 40 ? 2 * hiddenSize : 1), layers: layers, heads: heads,
                patchSize: patchSize, kernelSize: kernelSize)
            try Model.initialize(directory, config: config, seed: seed, replacing: force)
            try Console.print(ModelCommand.describe(try Model(directory: directory)))
        }
    }

    struct Info: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "info", abstract: "Check a model and describe it.")

        @Argument(help: ArgumentHelp("The model, a folder.", valueName: "dir"))
        var directory: String

        func run() throws {
            try Console.print(ModelCommand.describe(try Model(directory: directory)))
        }
    }

    static func describe(_ model: Model) -> String {
        let config = model.config
        let parameters = config.parameters ?? 0
        return Console.aligned([
            ("model", model.directory),
            ("hidden size (D)", "\(config.hiddenSize)"),
            ("layers", "\(config.layers)"),
            ("heads (H)", "\(config.heads) of \(config.headSize)"),
            ("patch size (P)", "\(config.patchSize)"),
            ("kernel size (K)", "\(config.kernelSize)"),
            ("intermediate size (F)", "\(config.intermediateSize)"),
            ("parameters", grouped(parameters)),
            ("weights", "F32, \(exactBytes(4 * parameters))"),
            ("fingerprint", model.fingerprint),
            ("training", model.untrained.map { "untrained (\($0))" } ?? "not stated: weights from elsewhere"),
        ])
    }
}
