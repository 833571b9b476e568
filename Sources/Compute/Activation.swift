/// What follows the sums of a convolution.
public enum Activation: String, Sendable, CaseIterable {
    /// x·Φ(x), by the error function.
    case gelu
    /// max(x, 0).
    case relu
}

/// The shape of one convolution over time.
public struct ConvolutionShape: Sendable, Equatable {
    /// K.
    public var kernelSize: Int
    /// Rows from one tap to the next.
    public var dilation: Int
    /// Outputs.
    public var channels: Int

    package init(kernelSize: Int, dilation: Int = 1, channels: Int) {
        self.kernelSize = kernelSize
        self.dilation = dilation
        self.channels = channels
    }

    /// Rows that an output sees beside its own: all before it, or, centred, half of them (rounded down) before it and
    /// the others after it.
    package func reach(isCausal: Bool) -> (before: Int, after: Int) {
        let rows = (kernelSize - 1) * dilation
        return isCausal ? (rows, 0) : (rows / 2, rows - rows / 2)
    }
}
