import CKernels
import Support

/// The weights of one block, ready for use.
public final class BlockWeights {
    let preNorm: Norm
    let norm1: Norm
    /// Queries, and keys with values, of local rows; no bias.
    let localQuery: PreparedMatrix
    let localKeyValue: PreparedMatrix
    /// The same of delegates: Wqkv·Wd and Wqkv·bd, the delegate map folded into its projections, so that
    /// Wqkv·(Wd u + bd) takes one product (Model.md, "What the code makes of it").
    let delegateQuery: PreparedMatrix
    let delegateKeyValue: PreparedMatrix
    let projection: PreparedMatrix
    let convolutions: [Convolution.Weights]
    /// Back to D channels; nil after a stack that ends with them.
    let cov4: PreparedMatrix?

    /// - Parameters:
    ///   - layer: from 0.
    ///   - parallel: runs `body` for 0..<count, as many at once as it likes.
    public init(
        _ model: Model, layer: Int, arithmetic: TileArithmetic,
        parallel: (_ count: Int, _ body: @escaping @Sendable (Int) -> Void) throws -> Void = { count, body in
            for task in 0..<count { body(task) }
        }
    ) throws {
        let config = model.config
        let D = config.hiddenSize
        let mixer = config.mixers[layer]
        guard mixer.isMonteCarlo else {
            throw Fault(
                .badData, "is '\(mixer.kind)', which can be described but not run yet",
                at: Place(file: "\(model.directory)/config.json", field: "mixers.\(layer).kind"))
        }
        let tensor = TensorReader(model, prefix: "blocks.\(layer).")
        defer { withExtendedLifetime(tensor) {} }
        preNorm = try Norm(model, "blocks.\(layer).pre_norm.norm")
        norm1 = try Norm(model, "blocks.\(layer).norm1.norm")
        let kernels = arithmetic.kernels
        let qkv = try tensor("self_attn.qkv.weight")
        localQuery = try PreparedMatrix(qkv, inputs: D, outputs: D, kernels: kernels)
        localKeyValue = try PreparedMatrix(qkv + D * D, inputs: D, outputs: 2 * D, kernels: kernels)
        let folded = try Memory<Float>(3 * D * D), foldedBias = try Memory<Float>(3 * D)
        bbp_product_f64(qkv, try tensor("cov1_delegate.weight"), Int64(3 * D), Int64(D), Int64(D), folded.start)
        bbp_product_f64(qkv, try tensor("cov1_delegate.bias"), Int64(3 * D), Int64(D), 1, foldedBias.start)
        delegateQuery = try PreparedMatrix(
            folded.start, bias: foldedBias.start, inputs: D, outputs: D, kernels: kernels)
        delegateKeyValue = try PreparedMatrix(
            folded.start + D * D, bias: foldedBias.start + D, inputs: D, outputs: 2 * D, kernels: kernels)
        projection = try PreparedMatrix(
            try tensor("self_attn.proj.weight"), bias: try tensor("self_attn.proj.bias"), inputs: D, outputs: D,
            kernels: kernels)
        convolutions = try arithmetic.convolution.convolutions.enumerated().map { index, convolution in
            let name = TensorLayout.convolution(index, config)
            return try convolution.prepare(
                try tensor("\(name).weight"), bias: try tensor("\(name).bias"), kernels: kernels, parallel: parallel)
        }
        cov4 =
            try config.hasProjectionBack
            ? PreparedMatrix(
                try tensor("cov4.weight"), bias: try tensor("cov4.bias"), inputs: config.innerSize, outputs: D,
                kernels: kernels) : nil
    }

    /// Bytes of the prepared weights of one block but the convolutions', and of what preparing them takes.
    static func footprint(_ config: ModelConfig) -> Int {
        let (D, F) = (config.hiddenSize, config.innerSize)
        let square = PreparedMatrix.footprint(inputs: D, outputs: D)
        let back = config.hasProjectionBack ? PreparedMatrix.footprint(inputs: F, outputs: D) : 0
        let score = config.delegation == .selective ? PreparedMatrix.footprint(inputs: D, outputs: 1) : 0
        return 3 * square + 2 * PreparedMatrix.footprint(inputs: D, outputs: 2 * D) + back + score + (3 * D * D + 3 * D)
            * 4
    }
}
