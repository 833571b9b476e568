/// The tensors of a model: names and shapes as Model.md gives them.
struct TensorLayout {
    let shapes: [(name: String, shape: [Int])]
    /// Scalars that checkpoints carry and the model does not use.
    let unused: Set<String>

    init(_ config: ModelConfig) {
        let (D, F, K, V) = (config.hiddenSize, config.intermediateSize, config.kernelSize, ModelConfig.vocabulary)
        var shapes: [(String, [Int])] = [
            ("codebook", [V, D]),
            ("coord_conv.conv.weight", [D, 8, 3]),
            ("coord_conv.scale", [1]),
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
                (block + "cov3.weight", [F, D, K]),
                (block + "cov3.bias", [F]),
                (block + "cov4.weight", [D, F, 1]),
                (block + "cov4.bias", [D]),
            ]
        }
        self.shapes = shapes
        unused = Set((0..<config.layers).flatMap { ["blocks.\($0).s1", "blocks.\($0).s2"] })
    }
}
