import Support

/// The head: `norm` (LayerNorm), then `fc`. logits[t] predict token t+1.
public final class Head {
    private let norm: (weight: UnsafePointer<Float>, bias: UnsafePointer<Float>)
    private let fc: (weight: UnsafePointer<Float>, bias: UnsafePointer<Float>)
    private let model: Model

    public init(_ model: Model) throws {
        self.model = model
        norm = (try model.tensor("norm.weight"), try model.tensor("norm.bias"))
        fc = (try model.tensor("fc.weight"), try model.tensor("fc.bias"))
    }

    /// Bits of surprisal of `targets[r]` after the states in row r, for the first `count` rows of a tile.
    ///
    /// - Parameters:
    ///   - states: [L, D] the residual stream after the last block; overwritten.
    ///   - targets: [count] the tokens that follow.
    ///   - bits: [count] -log2 softmax(logits)[target].
    public func surprisal(_ states: UnsafeMutablePointer<Float>, targets: UnsafePointer<UInt16>, count: Int, bits: UnsafeMutablePointer<Float>, with arithmetic: TileArithmetic) throws {
        let kernels = arithmetic.kernels
        kernels.layer_norm(states, norm.weight, norm.bias, arithmetic.epsilon, Int64(arithmetic.rows), Int64(arithmetic.config.hiddenSize), states)
        try arithmetic.head.run(states, weight: fc.weight, bias: fc.bias, into: arithmetic.logits.start)
        kernels.surprisal(arithmetic.logits.start, targets, Int64(count), Int64(ModelConfig.vocabulary), bits)
    }
}
