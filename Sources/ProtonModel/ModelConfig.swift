import Geometry
import Support

/// config.json: the shape of a BigBang-Proton model (Model.md, last section).
public struct ModelConfig: Sendable, Equatable {
    /// 256 byte values and three specials.
    public static let vocabulary = 259

    /// D, a multiple of 8.
    public var hiddenSize: Int
    /// F.
    public var intermediateSize: Int
    public var layers: Int
    /// H, a divisor of D.
    public var heads: Int
    /// P.
    public var patchSize: Int
    /// K.
    public var kernelSize: Int
    public var layerNormEpsilon: Double = 1e-5

    public var headSize: Int { hiddenSize / heads }

    public init(hiddenSize: Int, intermediateSize: Int, layers: Int, heads: Int, patchSize: Int, kernelSize: Int) {
        self.hiddenSize = hiddenSize
        self.intermediateSize = intermediateSize
        self.layers = layers
        self.heads = heads
        self.patchSize = patchSize
        self.kernelSize = kernelSize
    }

    enum Limit {
        static let hiddenSize = 8...65_536
        static let intermediateSize = 1...1_048_576
        static let layers = 1...10_000
        static let kernelSize = 1...65_536
    }

    /// Names the first size that cannot work, as config.json calls it; nil when all do.
    public func impossibleField() -> (field: String, problem: String)? {
        func outside(_ value: Int, _ range: ClosedRange<Int>, _ field: String) -> (String, String)? {
            range.contains(value) ? nil : (field, "is \(value); must be \(range.lowerBound) to \(range.upperBound)")
        }
        if let found = outside(hiddenSize, Limit.hiddenSize, "hidden_size") ?? outside(intermediateSize, Limit.intermediateSize, "intermediate_size")
            ?? outside(layers, Limit.layers, "num_hidden_layers") ?? outside(heads, 1...hiddenSize, "num_attention_heads")
            ?? outside(patchSize, SequenceGeometry.patchSizes, "patch_size") ?? outside(kernelSize, Limit.kernelSize, "conv_kernel_size")
        {
            return found
        }
        if hiddenSize % 8 != 0 { return ("hidden_size", "is \(hiddenSize); the position term needs a multiple of 8") }
        if hiddenSize % heads != 0 { return ("num_attention_heads", "is \(heads), which does not divide hidden_size \(hiddenSize)") }
        return nil
    }

    /// Parameters of the model, or nil when the number passes 2^62.
    public var parameters: Int? {
        TensorLayout(self).shapes.reduce(0) { sum, tensor in
            guard let sum, let size = tensor.shape.checkedProduct, sum < 1 << 61, size < 1 << 61 else { return nil }
            return sum + size
        }
    }
}

extension ModelConfig {
    /// Reads and checks `directory`/config.json.
    ///
    /// - Throws: `Fault` naming the field: missing, unknown, contradictory, absurd, or of the wider family and not built yet.
    public init(directory: String) throws {
        let file = "\(directory)/config.json"
        guard File.exists(directory) else { throw Fault(.noInput, "there is no such model", at: Place(file: directory), advice: "Make one with `bbp-stream model init DIR`.") }
        guard File.exists(file) else { throw Fault(.noInput, "the model has no config.json", at: Place(file: directory)) }
        var fields = JSONFields(try JSONValue.object(try File.read(file), file: file), file: file)
        _ = try fields.string("model_type", among: ["bigbang-proton"])
        _ = try fields.integer("vocab_size", in: Self.vocabulary...Self.vocabulary)
        self.init(
            hiddenSize: try fields.integer("hidden_size", in: Limit.hiddenSize),
            intermediateSize: try fields.integer("intermediate_size", in: Limit.intermediateSize),
            layers: try fields.integer("num_hidden_layers", in: Limit.layers),
            heads: try fields.integer("num_attention_heads", in: 1...Limit.hiddenSize.upperBound),
            patchSize: try fields.integer("patch_size", in: SequenceGeometry.patchSizes),
            kernelSize: try fields.integer("conv_kernel_size", in: Limit.kernelSize))
        if let found = impossibleField() { throw fields.fault(found.field, found.problem) }
        let activation = try fields.string("hidden_act", among: ["gelu", "relu"], default: "gelu")
        layerNormEpsilon = try fields.number("layer_norm_eps", in: 1e-12...1e-1, default: 1e-5)
        _ = try fields.string("torch_dtype", among: ["float32"], default: "float32")
        // What Hugging Face tools write beside the model's own fields.
        for name in ["architectures", "transformers_version", "_name_or_path"] { _ = fields.take(name) }
        try refuseWiderFamily(&fields, activation: activation, file: file)
        try fields.finish()
    }

    /// The wider family's options are known and checked, but only their defaults are built so far.
    private func refuseWiderFamily(_ fields: inout JSONFields, activation: String, file: String) throws {
        func refuse(_ name: String, _ value: String) -> Fault {
            fields.fault(name, "\(value) is not supported yet; this version computes the published block only")
        }
        let recurrence = try fields.integer("recurrence", in: 1...10_000, default: 1)
        if recurrence != 1 { throw refuse("recurrence", "\(recurrence)") }
        switch fields.take("delegation") {
        case nil: break
        case .object(let inner):
            var delegation = JSONFields(inner, file: file, prefix: "delegation.")
            let mode = try delegation.string("mode", among: ["transpose", "monte-carlo", "selective"])
            if mode == "monte-carlo" { _ = try delegation.integer("seed", in: 0...Int.max, default: 0) }
            try delegation.finish()
            if mode != "transpose" { throw refuse("delegation", "'\(mode)'") }
        default: throw fields.fault("delegation", "must be an object with a field 'mode'")
        }
        if let tcn = fields.take("tcn") {
            guard case .array(let stack) = tcn, !stack.isEmpty else { throw fields.fault("tcn", "must be a list of convolutions") }
            for (index, layer) in stack.enumerated() {
                guard case .object(let inner) = layer else { throw fields.fault("tcn", "entry \(index) must be an object") }
                var convolution = JSONFields(inner, file: file, prefix: "tcn.\(index).")
                _ = try convolution.integer("kernel_size", in: Limit.kernelSize)
                _ = try convolution.integer("dilation", in: 1...1 << 20, default: 1)
                _ = try convolution.integer("channels", in: 1...1 << 20)
                try convolution.finish()
            }
            throw refuse("tcn", "a stack of \(stack.count)")
        }
        if activation != "gelu" { throw refuse("hidden_act", "'\(activation)'") }
        let position = try fields.string("positional_encoding", among: ["coord_conv", "none"], default: "coord_conv")
        if position != "coord_conv" { throw refuse("positional_encoding", "'\(position)'") }
        if try !fields.bool("causal", default: true) { throw refuse("causal", "false") }
    }

    /// config.json as this model's own.
    public var json: String {
        """
        {
          "model_type": "bigbang-proton",
          "vocab_size": \(Self.vocabulary),
          "hidden_size": \(hiddenSize),
          "intermediate_size": \(intermediateSize),
          "num_hidden_layers": \(layers),
          "num_attention_heads": \(heads),
          "patch_size": \(patchSize),
          "conv_kernel_size": \(kernelSize),
          "hidden_act": "gelu",
          "layer_norm_eps": \(layerNormEpsilon),
          "torch_dtype": "float32"
        }

        """
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
