import Compute
import Geometry
import Support

/// config.json: the shape of a BigBang-Proton model (Model.md, last section).
public struct ModelConfig: Sendable, Equatable {
    /// 256 byte values and three specials.
    public static let vocabulary = 259

    /// D, a multiple of 8 where there is a position term.
    public var hiddenSize: Int
    /// F.
    public var intermediateSize: Int
    /// Blocks of weights; `depth` counts the repeats.
    public var layers: Int {
        // Fewer layers are the first ones.
        didSet { if let stated = statedMixers, layers >= 0 { statedMixers = Array(stated.prefix(layers)) } }
    }
    /// H, a divisor of D.
    public var heads: Int
    /// P.
    public var patchSize: Int
    /// K.
    public var kernelSize: Int
    /// What norms add to the variance.
    public var layerNormEpsilon: Double = 1e-5

    // The wider family; the defaults are the published model (ModelFamily.swift).
    /// What follows the convolutions.
    public var activation = Activation.gelu
    /// R: how often each block runs in a row, with the same weights.
    public var recurrence = 1
    /// Which token of a patch is delegated where.
    public var delegation = Delegation.transpose
    /// `tcn`: takes the place of the published convolution, and of K and F with it.
    public var stack: [ConvolutionShape]?
    /// What is added to tokens' vectors for their positions.
    public var positionalEncoding = PositionalEncoding.coordConv
    /// Whether outputs depend on no later token, as far as `causality` says.
    public var isCausal = true

    /// One a layer.
    public var mixers: [LayerMixer] {
        get { statedMixers ?? Array(repeating: .monteCarlo, count: max(0, layers)) }
        set { statedMixers = newValue.count == layers && newValue.allSatisfy(\.isMonteCarlo) ? nil : newValue }
    }
    /// Nil where all are Monte Carlo Attention.
    private var statedMixers: [LayerMixer]?

    /// Fields of config.json that do not bear on what is computed: read over, and no part of the model.
    public var ignoredFields: [String] = []

    /// dh: features of a head, D/H.
    public var headSize: Int { hiddenSize / heads }

    package init(hiddenSize: Int, intermediateSize: Int, layers: Int, heads: Int, patchSize: Int, kernelSize: Int) {
        self.hiddenSize = hiddenSize
        self.intermediateSize = intermediateSize
        self.layers = layers
        self.heads = heads
        self.patchSize = patchSize
        self.kernelSize = kernelSize
    }

    enum Limit {
        static let hiddenSize = 1...65_536
        static let intermediateSize = 1...1_048_576
        static let layers = 1...10_000
        static let kernelSize = 1...65_536
        static let recurrence = 1...10_000
        static let dilation = 1...1 << 20
        /// Rows of context of all convolutions together.
        static let reach = 1 << 20
        static let convolutions = 1...1000
        /// Of config.json.
        static let fileBytes = 1 << 20
    }

    /// Names `field` where its value is outside `range`.
    static func outside(_ value: Int, _ range: ClosedRange<Int>, _ field: String) -> (field: String, problem: String)? {
        range.contains(value) ? nil : (field, "is \(value); must be \(range.lowerBound) to \(range.upperBound)")
    }

    /// Names the first size that cannot work, as config.json calls it; nil when all do.
    package func impossibleField() -> (field: String, problem: String)? {
        if let found = Self.outside(hiddenSize, Limit.hiddenSize, "hidden_size")
            ?? Self.outside(intermediateSize, Limit.intermediateSize, "intermediate_size")
            ?? Self.outside(layers, Limit.layers, "num_hidden_layers")
            ?? Self.outside(heads, 1...hiddenSize, "num_attention_heads")
            ?? Self.outside(patchSize, SequenceGeometry.patchSizes, "patch_size")
            ?? Self.outside(kernelSize, Limit.kernelSize, "conv_kernel_size")
        {
            return found
        }
        if let found = Self.outside(recurrence, Limit.recurrence, "recurrence") { return found }
        if let stack {
            if let found = Self.outside(stack.count, Limit.convolutions, "tcn") { return found }
            for (index, convolution) in stack.enumerated() {
                if let found = Self.outside(convolution.kernelSize, Limit.kernelSize, "tcn.\(index).kernel_size")
                    ?? Self.outside(convolution.dilation, Limit.dilation, "tcn.\(index).dilation")
                    ?? Self.outside(convolution.channels, Limit.intermediateSize, "tcn.\(index).channels")
                {
                    return found
                }
            }
            let rows = reach.before + reach.after
            if rows > Limit.reach { return ("tcn", "reaches over \(rows) rows; at most \(Limit.reach) work") }
        }
        if positionalEncoding == .coordConv && hiddenSize % 8 != 0 {
            return ("hidden_size", "is \(hiddenSize); the position term needs a multiple of 8")
        }
        if hiddenSize % heads != 0 {
            return ("num_attention_heads", "is \(heads), which does not divide hidden_size \(hiddenSize)")
        }
        let mixers = mixers
        if mixers.count != layers { return ("mixers", "lists \(mixers.count); num_hidden_layers is \(layers)") }
        for (index, mixer) in mixers.enumerated() {
            if let found = mixer.impossibleField(isCausal: isCausal, width: hiddenSize)
                ?? mixer.shape.impossibleField(block: index, of: mixers, recurrence: recurrence)
            {
                return ("mixers.\(index).\(found.field)", found.problem)
            }
        }
        return nil
    }

    /// Parameters of the model, those of optional tensors too, or nil when the number passes 2^62.
    public var parameters: Int? {
        TensorLayout(self).tensors.reduce(0) { sum, tensor in
            guard let sum, let size = tensor.shape.checkedProduct, sum < 1 << 61, size < 1 << 61 else { return nil }
            return sum + size
        }
    }
}

extension ModelConfig {
    /// Reads and checks `directory`/config.json.
    ///
    /// - Throws: `Fault` naming the field: missing, unknown, contradictory or absurd.
    public init(directory: String) throws {
        let file = "\(directory)/config.json"
        guard File.exists(directory) else {
            throw Fault(
                .noInput, "there is no such model", at: Place(file: directory),
                remedies: [.makeModel])
        }
        guard File.exists(file) else {
            throw Fault(.noInput, "the model has no config.json", at: Place(file: directory))
        }
        var fields = JSONFields(try JSONValue.object(try Self.contents(file), file: file), file: file)
        _ = try fields.string("model_type", among: ["bigbang-proton"])
        _ = try fields.integer("vocab_size", in: Self.vocabulary...Self.vocabulary)
        let stack = try Self.convolutions(of: &fields, file: file)
        self.init(
            hiddenSize: try fields.integer("hidden_size", in: Limit.hiddenSize),
            // A stack has sizes of its own.
            intermediateSize: try fields.integer(
                "intermediate_size", in: Limit.intermediateSize, default: stack == nil ? nil : 1),
            layers: try fields.integer("num_hidden_layers", in: Limit.layers),
            heads: try fields.integer("num_attention_heads", in: 1...Limit.hiddenSize.upperBound),
            patchSize: try fields.integer("patch_size", in: SequenceGeometry.patchSizes),
            kernelSize: try fields.integer("conv_kernel_size", in: Limit.kernelSize, default: stack == nil ? nil : 1))
        self.stack = stack
        activation = try fields.choice("hidden_act", default: .gelu)
        layerNormEpsilon = try fields.number("layer_norm_eps", in: 1e-12...1e-1, default: 1e-5)
        recurrence = try fields.integer("recurrence", in: Limit.recurrence, default: 1)
        delegation = try Self.delegation(of: &fields, file: file)
        positionalEncoding = try fields.choice("positional_encoding", default: .coordConv)
        isCausal = try fields.bool("causal", default: true)
        if let mixers = try LayerMixer.take(
            &fields, file: file, layers: layers,
            in: MixerSurroundings(hiddenSize: hiddenSize, isCausal: isCausal))
        {
            self.mixers = mixers
        }
        if let found = impossibleField() { throw fields.fault(found.field, found.problem) }
        // As `json` and the converter write it: what the weights are stored in, their file says itself.
        fields.drop("torch_dtype", where: ["float32", "float16", "bfloat16"])
        ignoredFields = try fields.rest(refusing: Self.isArithmetic)
    }

    /// The bytes of a file like config.json.
    static func contents(_ file: String) throws -> [UInt8] {
        guard let size = File.size(file) else { throw Fault(.noInput, "not a regular file", at: Place(file: file)) }
        guard size <= Limit.fileBytes else {
            throw Fault(.badData, "\(size) bytes are more than the allowed \(Limit.fileBytes)", at: Place(file: file))
        }
        return try File.read(file)
    }

    /// Whether a field of this name changes what other models compute, so that ignoring it may give wrong results.
    private static func isArithmetic(_ name: String) -> Bool {
        let letters = name.plainLetters
        if letters == "pruned_heads" { return false }
        return arithmeticNames.contains(letters) || arithmeticPrefixes.contains(where: letters.hasPrefix)
            || letters.split(separator: "_").contains { arithmeticWords.contains(String($0)) }
    }

    /// Words of names: sizes of kernels and heads, what norms and activations compute, factors.
    private static let arithmeticWords: Set = [
        "kernel", "head", "heads", "norm", "eps", "epsilon", "softcap", "softcapping", "scale", "scaling", "expert",
        "experts", "act", "activation", "bias", "window",
    ]

    private static let arithmeticPrefixes = ["rope", "rotary", "moe", "mamba", "ssm"]

    private static let arithmeticNames = Set(
        [
            // Sizes under other names.
            "d_model", "n_embd", "num_layers", "n_layer", "n_layers", "num_heads", "n_head", "n_heads", "head_dim",
            "n_inner", "d_ff", "ffn_dim",
            // Attention.
            "attention_bias", "attention_multiplier", "attention_types", "attention_window", "attn_layers",
            "attn_logit_softcapping", "bidirectional", "final_logit_softcapping", "global_attn_every_n_layers",
            "is_causal", "layer_types", "logits_scaling", "multi_query", "num_key_value_heads",
            "num_kv_heads", "parallel_attn", "qk_norm", "qkv_bias", "query_pre_attn_scalar", "scale_attn_weights",
            "sliding_window", "use_qk_norm", "use_sliding_window", "window_size",
            // Positions.
            "alibi", "partial_rotary_factor", "position_embedding_type", "relative_attention",
            "relative_attention_num_buckets",
            // Feed-forward, norms, residuals, experts.
            "activation", "activation_function", "bias", "dilation", "dilations", "embedding_multiplier",
            "hidden_activation", "layer_norm_epsilon", "mlp_bias", "norm_eps", "norm_type", "num_experts",
            "num_experts_per_tok", "num_local_experts", "residual_multiplier", "rms_norm_eps", "use_bias",
            "use_parallel_residual",
            // Weights that are not what they seem.
            "quantization_config",
        ].map(\.plainLetters))

    private static func delegation(of fields: inout JSONFields, file: String) throws -> Delegation {
        guard let value = fields.take("delegation") else { return .transpose }
        guard case .object(let inner) = value else {
            throw fields.fault("delegation", "must be an object with a field 'mode'")
        }
        var delegation = JSONFields(inner, file: file, prefix: "delegation.")
        let mode = try delegation.string("mode", among: Delegation.modes)
        let seed =
            try mode == Delegation.monteCarlo(seed: 0).mode
            ? delegation.integer("seed", in: 0...Int.max, default: 0) : 0
        try delegation.finish()
        return Delegation(mode: mode, seed: UInt64(seed)) ?? .transpose
    }

    private static func convolutions(of fields: inout JSONFields, file: String) throws -> [ConvolutionShape]? {
        guard let value = fields.take("tcn") else { return nil }
        guard case .array(let stack) = value, !stack.isEmpty else {
            throw fields.fault("tcn", "must be a list of convolutions")
        }
        return try stack.enumerated().map { index, entry in
            guard case .object(let inner) = entry else { throw fields.fault("tcn", "entry \(index) must be an object") }
            var convolution = JSONFields(inner, file: file, prefix: "tcn.\(index).")
            let shape = ConvolutionShape(
                kernelSize: try convolution.integer("kernel_size", in: Limit.kernelSize),
                dilation: try convolution.integer("dilation", in: Limit.dilation, default: 1),
                channels: try convolution.integer("channels", in: Limit.intermediateSize))
            try convolution.finish()
            return shape
        }
    }

    /// config.json as this model's own: options of the wider family where they are not the defaults.
    public var json: String {
        var lines = [
            #""model_type": "bigbang-proton""#, #""vocab_size": \#(Self.vocabulary)"#,
            #""hidden_size": \#(hiddenSize)"#,
        ]
        if stack == nil { lines.append(#""intermediate_size": \#(intermediateSize)"#) }
        lines += [
            #""num_hidden_layers": \#(layers)"#, #""num_attention_heads": \#(heads)"#, #""patch_size": \#(patchSize)"#,
        ]
        if stack == nil { lines.append(#""conv_kernel_size": \#(kernelSize)"#) }
        if let stack {
            let entries = stack.map {
                #"{"kernel_size": \#($0.kernelSize), "dilation": \#($0.dilation), "channels": \#($0.channels)}"#
            }
            lines.append(#""tcn": [\#(entries.joined(separator: ", "))]"#)
        }
        if recurrence != 1 { lines.append(#""recurrence": \#(recurrence)"#) }
        switch delegation {
        case .transpose: break
        case .monteCarlo(let seed): lines.append(#""delegation": {"mode": "\#(delegation.mode)", "seed": \#(seed)}"#)
        case .selective: lines.append(#""delegation": {"mode": "\#(delegation.mode)"}"#)
        }
        if positionalEncoding != .coordConv {
            lines.append(#""positional_encoding": "\#(positionalEncoding.rawValue)""#)
        }
        if !isCausal { lines.append(#""causal": false"#) }
        if let statedMixers {
            lines.append("\"mixers\": [\n    " + statedMixers.map(\.shape.json).joined(separator: ",\n    ") + "\n  ]")
        }
        lines += [
            #""hidden_act": "\#(activation.rawValue)""#, #""layer_norm_eps": \#(layerNormEpsilon)"#,
            #""torch_dtype": "float32""#,
        ]
        return "{\n  " + lines.joined(separator: ",\n  ") + "\n}\n"
    }
}

extension Array where Element == Int {
    /// The product, nil on overflow.
    var checkedProduct: Int? {
        reduce(1) { product, factor in
            guard let product else { return nil }
            let (result, overflow) = product.multipliedReportingOverflow(by: factor)
            return overflow ? nil : result
        }
    }
}
