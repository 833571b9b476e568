import CKernels
import Support

/// The head: `norm` (LayerNorm), then `fc`. logits[t] predict token t+1.
public final class Head {
    private let norm: Norm
    private let fc: PreparedMatrix

    public init(_ model: Model, kernels: KernelTable) throws {
        let tensor = TensorReader(model)
        defer { withExtendedLifetime(tensor) {} }
        norm = try Norm(model, "norm")
        fc = try PreparedMatrix(
            try tensor("fc.weight"), bias: try tensor("fc.bias"), inputs: model.config.hiddenSize,
            outputs: ModelConfig.vocabulary, kernels: kernels)
    }

    static func footprint(_ config: ModelConfig) -> Int {
        PreparedMatrix.footprint(inputs: config.hiddenSize, outputs: ModelConfig.vocabulary)
    }

    /// Bits of surprisal of `targets[r]` after the states in row r.
    ///
    /// - Parameters:
    ///   - states: [count, D] the residual stream after the last block.
    ///   - targets: [count] the tokens that follow.
    ///   - bits: [count] -log2 softmax(logits)[target].
    public func surprisal(
        _ states: UnsafePointer<Float>, targets: UnsafePointer<UInt16>, count: Int, bits: UnsafeMutablePointer<Float>,
        with arithmetic: TileArithmetic
    ) {
        let D = arithmetic.config.hiddenSize
        arithmetic.inGroups(of: TileArithmetic.rowsAtOnce, count) { first, rows in
            arithmetic.layerNorm(states + first * D, rows: rows, norm, into: arithmetic.normalised.start)
            fc.multiply(
                arithmetic.normalised.start, rows: rows, into: arithmetic.logits.start, kernels: arithmetic.kernels,
                scratch: arithmetic.halves)
            arithmetic.kernels.pointee.surprisal(
                arithmetic.logits.start, targets + first, Int64(rows), Int64(ModelConfig.vocabulary), bits + first)
        }
    }
}
