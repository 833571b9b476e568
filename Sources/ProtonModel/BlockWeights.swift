import CKernels
import Support

/// The weights of one block, ready for use: as the file's map holds them where that serves, prepared where it does not.
public final class BlockWeights {
    // Norms, projections: in the map.
    let preNorm: (weight: UnsafePointer<Float>, bias: UnsafePointer<Float>)
    let norm1: (weight: UnsafePointer<Float>, bias: UnsafePointer<Float>)
    /// Wqkv [3D, D] for local rows; no bias.
    let localQKV: UnsafePointer<Float>
    let projection: (weight: UnsafePointer<Float>, bias: UnsafePointer<Float>)
    let cov3Bias: UnsafePointer<Float>
    let cov4: (weight: UnsafePointer<Float>, bias: UnsafePointer<Float>)
    /// Wqkv·Wd [3D, D] and Wqkv·bd [3D]: the delegate map folded into its projections, so that
    /// Wqkv·(Wd u + bd) takes one product (Model.md, "What the code makes of it").
    let delegateQKV: Memory<Float>
    let delegateBias: Memory<Float>
    /// cov3.weight [F, D, K] as the convolution lays it.
    let cov3: Memory<UInt8>
    private let model: Model

    public init(_ model: Model, layer: Int, arithmetic: TileArithmetic) throws {
        self.model = model
        let D = model.config.hiddenSize
        func tensor(_ name: String) throws -> UnsafePointer<Float> { try model.tensor("blocks.\(layer).\(name)") }
        preNorm = (try tensor("pre_norm.norm.weight"), try tensor("pre_norm.norm.bias"))
        norm1 = (try tensor("norm1.norm.weight"), try tensor("norm1.norm.bias"))
        localQKV = try tensor("self_attn.qkv.weight")
        projection = (try tensor("self_attn.proj.weight"), try tensor("self_attn.proj.bias"))
        cov3Bias = try tensor("cov3.bias")
        cov4 = (try tensor("cov4.weight"), try tensor("cov4.bias"))
        delegateQKV = try Memory(3 * D * D)
        delegateBias = try Memory(3 * D)
        bbp_product_f64(localQKV, try tensor("cov1_delegate.weight"), Int64(3 * D), Int64(D), Int64(D), delegateQKV.start)
        bbp_product_f64(localQKV, try tensor("cov1_delegate.bias"), Int64(3 * D), Int64(D), 1, delegateBias.start)
        cov3 = try Memory(arithmetic.convolution.weightBytes)
        try arithmetic.convolution.prepare(try tensor("cov3.weight"), into: cov3.start)
    }

    /// Bytes of the prepared weights of one block, before the convolution's.
    static func footprint(_ config: ModelConfig) -> Int {
        (3 * config.hiddenSize * config.hiddenSize + 3 * config.hiddenSize) * 4
    }
}
