/// The tensors of a model: names and shapes as Model.md gives them.
struct TensorLayout {
    let shapes: [(name: String, shape: [Int])]
    /// Scalars that checkpoints carry and the model does not use.
    let unused: Set<String>

    init(_ config: ModelConfig) {
        let (D, V) = (config.hiddenSize, ModelConfig.vocabulary)
        var shapes: [(String, [Int])] = [("codebook", [V, D])]
        if config.positionalEncoding == .coordConv {
            shapes += [("coord_conv.conv.weight", [D, 8, 3]), ("coord_conv.scale", [1])]
        }
        shapes += [
            ("norm.weight", [D]),
            ("norm.bias", [D]),
            ("fc.weight", [V, D]),
            ("fc.bias", [V]),
        ]
        for layer in 0..<config.layers {
            let block = "blocks.\(layer)."
            shapes += [
                (block + "pre_norm.norm.weight", [D]),
                (block + "pre_norm.norm.bias", [D]),
                (block + "cov1_delegate.weight", [D, D, 1, 1]),
                (block + "cov1_delegate.bias", [D]),
                (block + "self_attn.qkv.weight", [3 * D, D, 1, 1]),
                (block + "self_attn.proj.weight", [D, D, 1, 1]),
                (block + "self_attn.proj.bias", [D]),
                (block + "norm1.norm.weight", [D]),
                (block + "norm1.norm.bias", [D]),
            ]
            if config.delegation == .selective {
                shapes += [(block + "select.weight", [1, D]), (block + "select.bias", [1])]
            }
            var inputs = D
            for (index, convolution) in config.convolutions.enumerated() {
                let name = block + Self.convolution(index, config)
                shapes += [
                    (name + ".weight", [convolution.channels, inputs, convolution.kernelSize]),
                    (name + ".bias", [convolution.channels]),
                ]
                inputs = convolution.channels
            }
            if config.hasProjectionBack {
                shapes += [(block + "cov4.weight", [D, inputs, 1]), (block + "cov4.bias", [D])]
            }
        }
        self.shapes = shapes
        unused = Set((0..<config.layers).flatMap { ["blocks.\($0).s1", "blocks.\($0).s2"] })
    }

    /// The name of a block's convolution `index`.
    static func convolution(_ index: Int, _ config: ModelConfig) -> String {
        config.stack == nil ? "cov3" : "tcn.\(index)"
    }
}
