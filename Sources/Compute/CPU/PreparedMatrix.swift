import CKernels
import Support

/// Weights of a matrix product as the kernels read them: y [rows, outputs] = x [rows, inputs] · weightᵀ + bias.
///
/// A row of y depends on its row of x alone: the kernels sum every value in the order of the inputs, whatever rows come
/// with it (tested).
package final class PreparedMatrix: Matrix, @unchecked Sendable {
    package let inputs: Int
    package let outputs: Int
    private let panels: Memory<Float>
    private let bias: Memory<Float>?
    private let matrix: bbp_matrix

    /// - Parameters:
    ///   - weight: [outputs, inputs / taps, taps] row-major, as checkpoints store it.
    ///   - taps: K of a convolution, whose inputs are K rows one after another; 1 for a plain matrix.
    ///   - bias: [outputs].
    ///   - kernels: that will read it.
    package init(
        _ weight: UnsafePointer<Float>, taps: Int = 1, bias: UnsafePointer<Float>? = nil, inputs: Int, outputs: Int,
        kernels: KernelTable,
        parallel: Parallel = { count, body in for task in 0..<count { body(task) } }
    ) throws {
        let panel = BBP_PANEL
        let padded = (outputs + panel - 1) / panel * panel
        self.inputs = inputs
        self.outputs = outputs
        panels = try Memory(padded * inputs)
        nonisolated(unsafe) let (weight, panels) = (weight, panels.start)
        try parallel(padded / panel) { number in
            let first = number * panel, rows = inputs / taps
            let target = panels + first * inputs
            // Few lines are written at a time, each to its end.
            for row in 0..<rows {
                for column in 0..<min(panel, outputs - first) {
                    let source = weight + (first + column) * inputs + row * taps
                    for tap in 0..<taps { target[(tap * rows + row) * panel + column] = source[tap] }
                }
            }
        }
        if kernels.pointee.rounds_products != 0 { bbp_round_panels(panels, Int64(padded / panel), Int64(inputs)) }
        if let bias {
            let copy = try Memory<Float>(padded)
            copy.start.update(from: bias, count: outputs)
            self.bias = copy
        } else {
            self.bias = nil
        }
        matrix = bbp_matrix(
            inputs: Int64(inputs), outputs: Int64(outputs), panels: panels,
            bias: self.bias.map { UnsafePointer($0.start) })
    }

    /// Values of scratch for products that round their rows.
    package static func scratchValues(stride: Int, inputs: Int) -> Int { (BBP_ROWS_ROUNDED - 1) * stride + inputs }

    package static func footprint(inputs: Int, outputs: Int) -> Int {
        let panel = BBP_PANEL
        return (outputs + panel - 1) / panel * panel * (inputs + 1) * 4
    }

    /// y = x · weightᵀ + bias, and what else is asked for.
    ///
    /// - Parameters:
    ///   - x: `rows` rows, `xStride` values from one to the next; they may overlap.
    ///   - addend: [rows, outputs] added to the product; may be y.
    ///   - activation: of the sum.
    ///   - y: `rows` rows, `yStride` values from one to the next.
    ///   - scratch: `scratchValues`.
    package func multiply(
        _ x: UnsafePointer<Float>, stride xStride: Int? = nil, rows: Int, adding addend: UnsafePointer<Float>? = nil,
        activation: Activation? = nil, into y: UnsafeMutablePointer<Float>, yStride: Int? = nil,
        kernels: KernelTable, scratch: Memory<UInt16>
    ) {
        withUnsafePointer(to: matrix) {
            kernels.pointee.product(
                x, Int64(xStride ?? inputs), Int64(rows), $0, addend, Int64(outputs),
                activation?.kernel ?? Int32(BBP_NO_ACTIVATION.rawValue), y, Int64(yStride ?? outputs), scratch.start)
        }
    }
}

extension Activation {
    /// As the kernels call it.
    var kernel: Int32 {
        switch self {
        case .gelu: Int32(BBP_GELU.rawValue)
        case .relu: Int32(BBP_RELU.rawValue)
        }
    }
}
