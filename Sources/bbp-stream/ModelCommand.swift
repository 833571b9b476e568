import ArgumentParser
import Compute
import Geometry
import ProtonModel
import StreamEngine
import Support

struct ModelCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "model", abstract: "Make or describe a model.", subcommands: [Init.self, Info.self, List.self])

    struct Init: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "init", abstract: "Write a model with random weights.",
            discussion:
                "The weights are untrained, and called so wherever they are used. The same seed gives the same bytes.")

        @Argument(help: ArgumentHelp("The model to make, a folder.", valueName: "dir"))
        var directory: String

        @Option(help: ArgumentHelp("D, a multiple of 8 where there is a position term.", valueName: "d"))
        var hiddenSize = 64
        @Option(help: ArgumentHelp("Number of blocks. (default: as --mixers lists, or 6)", valueName: "l"))
        var layers: Int?
        @Option(help: ArgumentHelp("H, a divisor of D.", valueName: "h")) var heads = 4
        @Option(help: ArgumentHelp("P, 1 to \(SequenceGeometry.patchSizes.upperBound).", valueName: "p"))
        var patchSize = 32
        @Option(help: ArgumentHelp("K of the convolution. (default: 33)", valueName: "k")) var kernelSize: Int?
        @Option(help: ArgumentHelp("F of the convolution; twice the hidden size if not given.", valueName: "f"))
        var intermediateSize: Int?
        @Option(help: ArgumentHelp("R: how often each block runs in a row.", valueName: "r")) var recurrence = 1
        @Option(
            help: ArgumentHelp(
                "Which token of a patch plays which index in the delegate transpose: transpose (its own), monte-carlo (at random), selective (by a learned score).",
                valueName: "mode"))
        var delegation = Delegation.transpose.mode
        @Option(help: ArgumentHelp("Seed of monte-carlo delegation. (default: 0)", valueName: "s")) var delegationSeed:
            Int?
        @Option(
            help: ArgumentHelp(
                "What mixes the tokens of each layer, one entry a layer: \(MixerNotation.kinds), "
                    + "as in 'm,3*w:256,r' or '2*(m,w:64x4)'. Heads are as many as --heads says, "
                    + "with rotary positions where the kind has them. Or FILE.json (or @FILE), with `mixers` or "
                    + "`mixer` as in config.json, or the list alone. (default: monte-carlo)",
                valueName: "list")) var mixers: String?
        @Option(
            help: ArgumentHelp(
                "A stack of convolutions in place of the one: kernel size, x dilation, : channels, as in 3:64,3x2:64,3x4:64.",
                valueName: "list")) var tcn: String?
        @Option(help: ArgumentHelp("What follows a convolution: gelu, relu.", valueName: "name")) var hiddenAct =
            Activation.gelu
        @Option(help: ArgumentHelp("What tells positions: coord_conv, none.", valueName: "name"))
        var positionalEncoding = PositionalEncoding.coordConv
        @Flag(help: "Every row sees its whole patch, and convolutions are centred: for encoders and embeddings.")
        var bidirectional = false
        @Option(help: ArgumentHelp("Seed of the weights.", valueName: "s")) var seed: UInt64 = 0
        @Flag(help: "Replace an existing model.") var force = false
        @Flag(help: "Print one JSON object.") var json = false
        @OptionGroup var reporting: ProgressOptions

        func validate() throws {
            _ = try tcn.map(Self.convolutions)
            _ = try mixers.map(MixerNotation.init)
            if !Delegation.modes.contains(delegation) {
                throw ValidationError("--delegation must be one of \(Delegation.modes.joined(separator: ", ")).")
            }
            if let delegationSeed {
                if delegation != Delegation.monteCarlo(seed: 0).mode {
                    throw ValidationError("--delegation-seed is for --delegation monte-carlo.")
                }
                if delegationSeed < 0 { throw ValidationError("--delegation-seed must be 0 to \(Int.max).") }
            }
            if tcn != nil && (kernelSize != nil || intermediateSize != nil) {
                throw ValidationError("--tcn has sizes of its own: it excludes --kernel-size and --intermediate-size.")
            }
        }

        func run() throws {
            var config = ModelConfig(
                hiddenSize: hiddenSize,
                intermediateSize: intermediateSize ?? (hiddenSize > 0 && hiddenSize < 1 << 40 ? 2 * hiddenSize : 1),
                layers: layers ?? 6, heads: heads,
                patchSize: patchSize, kernelSize: kernelSize ?? 33)
            config.recurrence = recurrence
            config.delegation = Delegation(mode: delegation, seed: UInt64(delegationSeed ?? 0)) ?? .transpose
            config.stack = try tcn.map(Self.convolutions)
            config.activation = hiddenAct
            config.positionalEncoding = positionalEncoding
            config.isCausal = !bidirectional
            if let mixers { try set(mixers, in: &config) }
            try Model.initialize(directory, config: config, seed: seed, isReplacing: force)
            try ModelCommand.print(try Model(directory: directory), asJSON: json)
        }

        private func set(_ mixers: String, in config: inout ModelConfig) throws {
            // What the mixers' sizes follow from.
            if let found = config.impossibleField() { throw Fault(.usage, "\(found.field) \(found.problem)") }
            let list = try MixerNotation(mixers).mixers(
                layers: config.layers,
                in: MixerSurroundings(
                    hiddenSize: config.hiddenSize, isCausal: config.isCausal, heads: config.heads))
            if let layers, layers != list.count {
                throw Fault(
                    .usage, "--layers is \(layers), and --mixers lists \(list.count)",
                    advice: "Leave --layers out, or repeat entries, as in '\(max(1, layers))*w:256'.")
            }
            config.layers = list.count
            config.mixers = list
        }

        /// "3x2:64,5:32": kernel size, dilation (1 if not given) and channels of each convolution.
        private static func convolutions(_ text: String) throws -> [ConvolutionShape] {
            try text.split(separator: ",", omittingEmptySubsequences: false).map { entry in
                let parts = entry.split(separator: ":", omittingEmptySubsequences: false)
                let sizes = parts.first?.split(separator: "x", omittingEmptySubsequences: false) ?? []
                guard parts.count == 2, (1...2).contains(sizes.count), let kernelSize = Int(sizes[0]),
                    let dilation = sizes.count == 2 ? Int(sizes[1]) : 1, let channels = Int(parts[1])
                else {
                    throw ValidationError(
                        "'\(entry)' in --tcn is no convolution: write kernel size, x dilation, : channels, as in 3x2:64."
                    )
                }
                return ConvolutionShape(kernelSize: kernelSize, dilation: dilation, channels: channels)
            }
        }
    }

    struct Info: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "info", abstract: "Check a model and describe it.")

        @Argument(help: ArgumentHelp("The model: a folder, or base or nano.", valueName: "dir"))
        var directory: String

        @Flag(help: "Print one JSON object.") var json = false
        @OptionGroup var reporting: ProgressOptions

        func run() throws {
            try ModelCommand.print(try Model(directory: ModelFolder.find(directory)), asJSON: json)
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "List the models that are found by name.")

        @Flag(help: "Print one JSON object.") var json = false
        @OptionGroup var reporting: ProgressOptions

        func run() throws {
            var list = Report()
            var faults: [Fault] = []
            list.add(
                "models",
                objects: ModelFolder.all.compactMap { name, folder in
                    do {
                        let config = try ModelConfig(directory: folder)
                        var report = Report()
                        report.add("name", name)
                        report.add("parameters", config.parameters ?? 0)
                        report.add("patch size", config.patchSize)
                        report.add("layers", config.layers)
                        report.add("model", folder)
                        return report
                    } catch {
                        if let fault = error as? Fault { faults.append(fault) }
                        return nil
                    }
                })
            for fault in faults { Console.error(fault.message, status: fault.exitStatus) }
            if case .objects(let models, _)? = list.rows.first?.value, models.isEmpty, faults.isEmpty, !json {
                return Console.note("No model is found by name. BBP_STREAM_MODELS names the folder that they lie in.")
            }
            try list.print(asJSON: json)
            if let first = faults.first { throw ExitCode(first.exitStatus) }
        }
    }

    private static func print(_ model: Model, asJSON isJSON: Bool) throws {
        try isJSON ? Console.print(json: report(model).json) : Console.print(describe(model))
    }

    private static func describe(_ model: Model) -> String {
        let config = model.config
        var rows = [
            ("model", model.directory.escaped),
            ("hidden size (D)", "\(config.hiddenSize)"),
            ("layers", config.layersText),
        ]
        rows += config.mixerRows
        rows += [
            ("streaming layers", config.streamingLayers),
            ("heads (H)", "\(config.heads) of \(config.headSize)"),
            ("patch size (P)", "\(config.patchSize)"),
            (
                "convolutions",
                config.convolutionText
                    + (config.stack == nil ? ", intermediate size (F) \(config.intermediateSize)" : "") + ", "
                    + config.activation.rawValue
            ),
            ("delegation", config.delegationText),
            ("positions", config.positionalEncoding.rawValue),
            ("causal", config.causality),
            ("parameters", grouped(model.parameters)),
            ("weights", "\(model.weightFormats), \(exactBytes(model.weightBytes))"),
            ("fingerprint", model.fingerprint),
            ("training", model.untrained.map { "untrained (\($0))" } ?? "not stated: weights from elsewhere"),
        ]
        if let ignored = config.ignoredText { rows.append(("ignored fields", ignored)) }
        return Console.aligned(rows)
    }

    private static func report(_ model: Model) -> Report {
        let config = model.config
        var report = Report()
        report.add("model", model.directory)
        report.add("hidden size (D)", config.hiddenSize)
        report.add("layers", config.layers)
        if config.recurrence > 1 { report.add("each repeated", config.recurrence) }
        report.add(
            "mixers",
            objects: config.mixerRuns.map { run in
                var report = Report()
                report.add("layers", run.layers.map { .number($0, shown: "\($0)") })
                report.add("kind", run.mixer.kind)
                report.add("mixer", run.mixer.shape.summary)
                report.add("streaming", config.isStreaming(run.mixer))
                return report
            })
        report.add("heads (H)", config.heads)
        report.add("patch size (P)", config.patchSize)
        report.add(
            "convolutions",
            config.convolutionText + (config.stack == nil ? ", intermediate size (F) \(config.intermediateSize)" : ""))
        report.add("activation", config.activation.rawValue)
        report.add("delegation", config.delegationText)
        report.add("positions", config.positionalEncoding.rawValue)
        report.add("causal", config.causality)
        report.add("parameters", model.parameters)
        report.add("weights", bytes: model.weightBytes)
        report.add("weight formats", model.weightFormats)
        report.add("fingerprint", model.fingerprint)
        report.add("training", model.untrained.map { "untrained (\($0))" } ?? "not stated: weights from elsewhere")
        report.add("ignored fields", config.ignoredFields.map { .text($0) })
        return report
    }
}

extension Activation: ExpressibleByArgument {}
extension PositionalEncoding: ExpressibleByArgument {}
