import Compute
import Support

/// The head: `norm` (LayerNorm), then `fc`. logits[t] predict token t+1.
package final class Head: Sendable {
    private let norm: any Norm
    private let fc: any Matrix

    package init(_ model: Model, on backend: any Backend) throws {
        let tensor = TensorReader(model)
        defer { withExtendedLifetime(tensor) {} }
        norm = try tensor.norm("norm", config: model.config, on: backend)
        fc = try backend.matrix(
            try tensor("fc.weight"), bias: try tensor("fc.bias"), inputs: model.config.hiddenSize,
            outputs: ModelConfig.vocabulary)
    }

    package static func needs(_ config: ModelConfig) -> LaneNeeds {
        var needs = LaneNeeds()
        (needs.width, needs.inputs, needs.vocabulary) = (config.hiddenSize, config.hiddenSize, ModelConfig.vocabulary)
        return needs
    }

    /// Bytes of the weights.
    package static func footprint(_ config: ModelConfig, on backend: any Backend) -> Int {
        backend.matrixFootprint(inputs: config.hiddenSize, outputs: ModelConfig.vocabulary) + 8 * config.hiddenSize
    }

    /// Bits of surprisal of `targets[r]` after the states in row r.
    ///
    /// - Parameters:
    ///   - states: [count, D] the residual stream after the last layer.
    ///   - targets: [count] the tokens that follow.
    ///   - bits: [count] -log2 softmax(logits)[target].
    package func surprisal(
        _ states: Rows, targets: UnsafePointer<UInt16>, on lane: any Lane, bits: UnsafeMutablePointer<Float>
    ) {
        lane.surprisal(states, norm, fc, targets: targets, bits: bits)
    }
}
