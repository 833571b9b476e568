import Support

// Parts of the arithmetic by themselves, over and over, to see what a core can do.

/// A matrix product. Sendable, but of one thread at a time.
package final class ProductTest: @unchecked Sendable {
    private let product: PreparedMatrix
    private let x: Memory<Float>
    private let y: Memory<Float>
    private let rows: Int
    private let kernels: KernelTable
    private let halves: Memory<UInt16>
    /// Floating-point operations of one run.
    package let operations: Double

    package init(rows: Int, inputs: Int, outputs: Int, kernels: KernelTable) throws {
        self.rows = rows
        self.kernels = kernels
        let weight = try Memory<Float>(inputs * outputs)
        for value in 0..<weight.count { weight[value] = Float(value % 17) - 8 }
        product = try PreparedMatrix(weight.start, inputs: inputs, outputs: outputs, kernels: kernels)
        halves = try Memory(PreparedMatrix.scratchValues(stride: inputs, inputs: inputs))
        x = try Memory(rows * inputs)
        y = try Memory(rows * outputs)
        for value in 0..<x.count { x[value] = Float(value % 31) - 15 }
        operations = 2 * Double(rows) * Double(inputs) * Double(outputs)
    }

    package func run() { product.multiply(x.start, rows: rows, into: y.start, kernels: kernels, scratch: halves) }
}

/// The convolution of one model's shape, with as many rows at a time as the engine takes.
package final class ConvolutionTest {
    package let rows: Int
    private let convolution: Convolution
    private let weights: Convolution.Weights
    private let s: Memory<Float>
    private let c: Memory<Float>
    private let scratch: Memory<Float>
    private let halves: Memory<UInt16>
    private let kernels: KernelTable

    /// - Parameter transform: its size; 0 for the direct way.
    package init(
        hiddenSize D: Int, kernelSize K: Int, tileRows: Int = 768, transform: Int, kernels: KernelTable
    ) throws {
        let tiles = max(1, Convolution.rowsAtOnce(inputs: D) / tileRows)
        self.kernels = kernels
        rows = tiles * tileRows
        convolution = try Convolution(
            ConvolutionShape(kernelSize: K, channels: 2 * D), inputs: D, activation: .gelu, tileRows: tileRows,
            size: transform)
        let weight = try Memory<Float>(2 * D * D * K), bias = try Memory<Float>(2 * D)
        for value in 0..<weight.count { weight[value] = Float(value % 17 - 8) / 64 }
        weights = try convolution.prepare(weight.start, bias: bias.start, kernels: kernels)
        halves = try Memory(convolution.halvesValues)
        s = try Memory((K - 1 + rows) * D)
        for value in 0..<s.count { s[value] = Float(value % 31 - 15) / 8 }
        c = try Memory(rows * 2 * D)
        scratch = try Memory(convolution.scratchValues(tiles: tiles))
    }

    package func run() {
        convolution.run(
            s.start, rows: rows, weights: weights, scratch: scratch, into: c.start, kernels: kernels, halves: halves)
    }
}
