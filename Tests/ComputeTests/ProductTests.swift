import CKernels
import Support
import TestSupport
import Testing

@testable import Compute

@Suite("Products, convolutions and positions") struct ProductTests {
    @Test(
        "a row of a matrix product does not depend on its place or its company",
        arguments: [(8, 24), (40, 80), (64, 192), (128, 259)])
    func productRows(inputs: Int, outputs: Int) throws {
        var numbers = TestNumbers(1)
        let kernels = try Kernels.select()
        let rows = 101
        let x = try Memory<Float>(2 * rows * inputs), weight = try Memory<Float>(outputs * inputs),
            bias = try Memory<Float>(outputs), addend = try Memory<Float>(rows * outputs)
        for memory in [x, weight, bias, addend] { for index in 0..<memory.count { memory[index] = numbers.float() } }
        let matrix = try PreparedMatrix(
            weight.start, bias: bias.start, inputs: inputs, outputs: outputs, kernels: kernels)
        let halves = try Memory<UInt16>(0)
        let y = try Memory<Float>(rows * outputs), again = try Memory<Float>(rows * outputs)
        matrix.multiply(x.start, rows: rows, adding: addend.start, into: y.start, kernels: kernels, scratch: halves)
        // Against the definition.
        for row in [0, 1, 50, rows - 1] {
            for output in 0..<outputs {
                let sum = (0..<inputs).reduce(Double(bias[output] + addend[row * outputs + output])) {
                    $0 + Double(x[row * inputs + $1]) * Double(weight[output * inputs + $1])
                }
                #expect(abs(Double(y[row * outputs + output]) - sum) < 3e-5)
            }
        }
        // From another first row, and with fewer rows.
        for (first, count) in [(1, 100), (7, 64), (30, 13), (100, 1)] {
            matrix.multiply(
                x.start + first * inputs, rows: count, adding: addend.start + first * outputs, into: again.start,
                kernels: kernels, scratch: halves)
            #expect((0..<count * outputs).allSatisfy { again[$0].bitPattern == y[first * outputs + $0].bitPattern })
        }
    }

    /// The convolution as it is defined, in double precision.
    private func convolved(
        _ s: Memory<Float>, _ weight: Memory<Float>, _ bias: Memory<Float>, t: Int, f: Int, inputs: Int, kernel: Int,
        dilation: Int, _ activation: Activation
    ) -> Double {
        var sum = Double(bias[f])
        for k in 0..<kernel {
            for d in 0..<inputs {
                sum += Double(weight[(f * inputs + d) * kernel + k]) * Double(s[(t + k * dilation) * inputs + d])
            }
        }
        if activation == .relu { return max(0, sum) }
        return sum / 2 * _erfc(-sum / 2.0.squareRoot())
    }

    @Test(
        "both ways to convolve match the definition, whatever is computed with a row",
        arguments: [
            (8, 16, 1, 1, 0, .gelu), (8, 24, 2, 1, 0, .relu), (16, 8, 33, 1, 0, .gelu), (16, 8, 33, 1, 64, .relu),
            (40, 72, 33, 1, 128, .gelu), (64, 128, 33, 1, 128, .gelu),
            (24, 40, 9, 1, 32, .gelu), (8, 8, 100, 1, 256, .gelu), (40, 24, 700, 1, 2048, .relu),
            (7, 5, 3, 2, 0, .relu), (16, 24, 5, 100, 0, .gelu), (17, 3, 5, 3, 0, .gelu),
        ] as [(Int, Int, Int, Int, Int, Activation)])
    func convolution(inputs: Int, outputs: Int, kernel: Int, dilation: Int, size: Int, activation: Activation) throws {
        let shape = ConvolutionShape(kernelSize: kernel, dilation: dilation, channels: outputs)
        let L = 120
        let convolution = try Convolution(shape, inputs: inputs, activation: activation, tileRows: L, size: size)
        let reach = shape.reach(isCausal: true).before
        let kernels = try Kernels.select()
        var numbers = TestNumbers(2)
        // Two tiles and a half.
        let rows = 2 * L + L / 2
        let s = try Memory<Float>((reach + rows) * inputs), weight = try Memory<Float>(outputs * inputs * kernel),
            bias = try Memory<Float>(outputs)
        for memory in [s, weight, bias] { for index in 0..<memory.count { memory[index] = numbers.float() } }
        let prepared = try convolution.prepare(weight.start, bias: bias.start, kernels: kernels)
        let halves = try Memory<UInt16>(0)
        let scratch = try Memory<Float>(convolution.scratchValues(tiles: 3))
        let c = try Memory<Float>(rows * outputs), again = try Memory<Float>(rows * outputs)
        convolution.run(
            s.start, rows: rows, weights: prepared, scratch: scratch, into: c.start, kernels: kernels, halves: halves)
        let scale = Double(inputs * kernel).squareRoot()
        for t in [0, 1, 95, 96, L - 1, L, 2 * L + 3, rows - 1] {
            for f in Set([0, 1, outputs / 2, outputs - 1]) {
                #expect(
                    abs(
                        Double(c[t * outputs + f])
                            - convolved(
                                s, weight, bias, t: t, f: f, inputs: inputs, kernel: kernel, dilation: dilation,
                                activation)) < 1e-6 * scale, "t \(t), f \(f)")
            }
        }
        // One tile after another; the last one without the rows that would follow it.
        for tile in 0..<3 {
            let count = min(L, rows - tile * L)
            let alone = try Memory<Float>((reach + count) * inputs)
            alone.start.update(from: s.start + tile * L * inputs, count: alone.count)
            convolution.run(
                alone.start, rows: count, weights: prepared, scratch: scratch, into: again.start, kernels: kernels,
                halves: halves)
            #expect((0..<count * outputs).allSatisfy { again[$0].bitPattern == c[tile * L * outputs + $0].bitPattern })
        }
    }

    @Test("the folded position term is the convolution of the sines")
    func positionTerm() throws {
        let (D, N) = (16, 5000)
        var numbers = TestNumbers(3)
        let weight = try Memory<Float>(D * 24)
        for index in 0..<weight.count { weight[index] = numbers.float() }
        let scale: Float = 0.7
        let term = try PositionTerm(weight: weight.start, scale: scale, width: D, length: N)
        let kernels = try Kernels.select()
        func sines(_ t: Int) -> [Double] {
            if t < 0 || t >= N { return Array(repeating: 0, count: D) }
            return (0..<D).map { channel in
                let angle = Double(t) * _exp(Double(channel / 2 * 2) * (-_log(50_000) / Double(D)))
                return channel % 2 == 0 ? _sin(angle) : _cos(angle)
            }
        }
        let x = try Memory<Float>(D), scratch = try Memory<Double>(4 * D)
        for t in [0, 1, 2, 63, 64, 4095, 4096, 4097, N - 2, N - 1] {
            for channel in 0..<D { x[channel] = 0 }
            var at = Int64(t)
            withUnsafePointer(to: term.tables) { kernels.pointee.position($0, &at, 1, x.start, scratch.start) }
            for channel in 0..<D {
                var sum = 0.0
                for tap in 0..<3 {
                    let pe = sines(t - 1 + tap)
                    for input in 0..<8 {
                        sum += Double(weight[(channel * 8 + input) * 3 + tap]) * pe[channel / 8 * 8 + input]
                    }
                }
                #expect(abs(Double(x[channel]) - sum * Double(scale)) < 5e-6)
            }
        }
    }
}
