import ArgumentParser
import Geometry
import ProtonModel
import StreamEngine
import Support

struct ContextCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "context", abstract: "Show how many tokens one output token depends on, by depth.",
        discussion: """
            The formula's number, P^(L+1) - P for Monte Carlo Attention alone, and with --length the number of tokens \
            whose influence can really arrive, found by following the wiring of patches, delegates, windows, segments \
            and convolutions back from one token. --perturb runs the model and counts the bytes that do change its \
            rows. Nothing is stored. Tokens are counted from 0, except where it says otherwise.

            Examples:
              bbp-stream context --patch-size 32 --layers 6 --length 1000000
              bbp-stream context --model nano --length 100000 --plot reach.svg
            """)

    enum Mode: String, CaseIterable, ExpressibleByArgument {
        case transpose
        case monteCarlo = "monte-carlo"
    }

    /// Rows of the table.
    static let depths = 1...1000
    static let kernelSizes = 1...65_536

    @Option(help: ArgumentHelp("P, 1 to \(SequenceGeometry.patchSizes.upperBound).", valueName: "p")) var patchSize:
        Int?
    @Option(help: ArgumentHelp("Depth of the table; of a model's layers so many.", valueName: "l")) var layers: Int?
    @Option(help: ArgumentHelp("n, tokens of the sequence: measures the reach in it.", valueName: "n")) var length: Int?
    @Option(help: ArgumentHelp("The output token to follow. The last one if not given.", valueName: "t")) var token:
        Int?
    @Option(help: ArgumentHelp("K of the convolution. (default: 33)", valueName: "k")) var kernelSize: Int?
    @Flag(help: "No causality: tokens see later ones too.") var bidirectional = false
    @Option(help: "How tokens become delegates. (default: transpose)") var delegation: Mode?
    @Option(help: ArgumentHelp("Seed of monte-carlo delegation. (default: 0)", valueName: "s")) var delegationSeed: Int?
    @Option(help: ArgumentHelp("Take all of this from a model.", valueName: "dir")) var model: String?
    @Flag(
        help:
            "Run the model, changing one byte after another, and count those that change the token's rows: n short runs, a tenth of a second each."
    ) var perturb = false
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Draw reach against depth; '-' is standard output.", valueName: "file.svg")) var plot:
        String?
    @Flag(help: "Print one JSON object.") var json = false
    @OptionGroup var reporting: ProgressOptions

    func validate() throws {
        if model != nil {
            let given = [
                ("--patch-size", patchSize != nil), ("--kernel-size", kernelSize != nil),
                ("--bidirectional", bidirectional), ("--delegation", delegation != nil),
                ("--delegation-seed", delegationSeed != nil),
            ]
            if let flag = given.first(where: \.1) {
                throw ValidationError("\(flag.0) is the model's: leave it out beside --model.")
            }
        } else {
            if patchSize == nil { throw ValidationError("Without --model, --patch-size is needed.") }
            if layers == nil { throw ValidationError("Without --model, --layers is needed.") }
            if perturb { throw ValidationError("--perturb runs a model: give one with --model.") }
        }
        func check(_ value: Int?, _ range: ClosedRange<Int>, _ flag: String) throws {
            if let value, !range.contains(value) {
                throw ValidationError("\(flag) must be \(range.lowerBound) to \(range.upperBound).")
            }
        }
        try check(patchSize, SequenceGeometry.patchSizes, "--patch-size")
        try check(layers, Self.depths, "--layers")
        try check(kernelSize, Self.kernelSizes, "--kernel-size")
        try check(length, 1...SequenceGeometry.largestLength - SequenceGeometry.patchSizes.upperBound, "--length")
        try check(delegationSeed, 0...Int.max, "--delegation-seed")
        if delegationSeed != nil && delegation != .monteCarlo {
            throw ValidationError("--delegation-seed belongs to --delegation monte-carlo.")
        }
        if let token {
            guard let length else { throw ValidationError("--token needs --length.") }
            try check(token, 0...length - 1, "--token")
        }
        if perturb && length.map(PerturbedReach.lengths.contains) != true {
            throw ValidationError(
                "--perturb runs the model once for each token: it needs a --length of 1 to \(PerturbedReach.lengths.upperBound)."
            )
        }
    }

    func run() throws {
        // Tried before anything is computed.
        Console.leaveOutput(to: plot)
        if let plot {
            var kept = OutputGuard()
            if let model { try kept.keep(model: ModelFolder.find(model)) }
            try kept.check(plot, option: "plot")
        }
        let config = try wanted()
        let layers = config.depth
        guard Self.depths.contains(layers) else {
            throw Fault(
                .usage, "the table has at most \(Self.depths.upperBound) rows, and the model has \(layers) layers",
                advice: "Name fewer of its layers with --layers.")
        }
        let formula = EffectiveContext.afterLayers(of: config)
        var table = ContextTable(config: config, formula: formula)
        if let length, let geometry = SequenceGeometry(tokens: length, patchSize: config.patchSize) {
            let token = token ?? length - 1
            table.sequence = (geometry, token)
            table.measured = try MeasuredReach.follow(config, geometry, token: token, layers: layers)
            table.causes = try ReachLimit.causes(table.measured, formula: formula, config, geometry, token: token)
            if perturb, let model { table.perturbed = try perturbed(model, config, geometry, token) }
        }
        if let plot {
            var drawing = ContextPlot(title: table.title, formula: formula)
            if config.hasOtherMixers { drawing.formulaName = "formula" }
            drawing.measured = table.measured
            drawing.perturbed = table.perturbed
            drawing.tokens = length
            try drawing.write(to: plot)
        }
        try json ? Console.print(json: table.json) : Console.print(table.text)
        if let plot { Console.note("wrote \(plot.escaped)") }
    }

    /// What the flags or the model say, as far as the table goes.
    private func wanted() throws -> ModelConfig {
        if let model {
            var config = try ModelConfig(directory: ModelFolder.find(model))
            if let layers {
                guard layers <= config.layers else {
                    throw Fault(.usage, "--layers is \(layers); the model has \(config.layers)", at: Place(file: model))
                }
                config.layers = layers
            }
            return config
        }
        // No width of the states matters here.
        var config = ModelConfig(
            hiddenSize: 8, intermediateSize: 8, layers: layers ?? 1, heads: 1, patchSize: patchSize ?? 1,
            kernelSize: kernelSize ?? 33)
        config.isCausal = !bidirectional
        if delegation == .monteCarlo { config.delegation = .monteCarlo(seed: UInt64(delegationSeed ?? 0)) }
        return config
    }

    private func perturbed(_ model: String, _ config: ModelConfig, _ geometry: SequenceGeometry, _ token: Int) throws
        -> [Int]
    {
        let line = ProgressLine()
        defer { line.close() }
        let runs = geometry.tokens + 1
        let changing = try PerturbedReach.run(
            model: ModelFolder.find(model), tokens: geometry.tokens, token: token, layers: config.depth
        ) { done in
            if line.seconds > 1 {
                line.show(share: Double(done) / Double(runs)) { "perturb: run \(grouped(done)) of \(grouped(runs))" }
            }
        }
        if config.delegation != .selective || !config.hasDelegates {
            try PerturbedReach.check(
                changing, against: MeasuredReach.tokens(config, geometry, token: token, layers: config.depth),
                token: token)
        }
        return changing.map(\.count)
    }
}
