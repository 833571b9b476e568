import CKernels
import Geometry
import Support
import TestSupport
import Testing

@testable import ProtonModel

@Suite("Block arithmetic") struct BlockTests {
    /// A context row is a token; its origin is its index.
    @Test("a context is sorted by origin and sees what the masks of the model allow", arguments: [(12, 4), (7, 3), (100, 7), (64, 8), (65, 64), (1000, 32)])
    func contexts(tokens: Int, patchSize P: Int) throws {
        let geometry = try #require(SequenceGeometry(tokens: tokens, patchSize: P))
        var context = try PatchContext(patchSize: P)
        for patch in 0..<geometry.patches {
            // The mask as the model states it: all 2P rows, row r sees row s if origin(r) >= origin(s).
            let origins = (0..<P).map { patch * P + $0 } + (0..<P).map { geometry.token(inSlot: patch * P + $0) }
            for limit in [patch * P + P - 1, geometry.token(inSlot: patch * P + P / 2), geometry.paddedTokens] {
                context.arrange(patch, in: geometry, limit: limit)
                #expect(context.count == origins.filter { $0 <= limit }.count)
                for place in 0..<context.count {
                    let row = Int(context.rows[place])
                    #expect(context.origins[place] == origins[row])
                    let seen = Set((0..<Int(context.visible[place])).map { Int(context.rows[$0]) })
                    #expect(seen == Set(origins.indices.filter { origins[$0] <= origins[row] }))
                }
            }
        }
    }

    @Test("a row of a matrix product does not depend on its place or its company")
    func productRows() throws {
        DNNL.becomeSingleThreaded()
        let library = try DNNL()
        var numbers = TestNumbers(1)
        for (inputs, outputs) in [(8, 24), (40, 80), (64, 192), (128, 259)] {
            let rows = 510
            let product = try MatrixProduct(library, rows: rows, inputs: inputs, outputs: outputs, bias: true)
            let x = try Memory<Float>(rows * inputs), weight = try Memory<Float>(outputs * inputs), bias = try Memory<Float>(outputs)
            let y = try Memory<Float>(rows * outputs), again = try Memory<Float>(rows * outputs)
            for memory in [x, weight, bias] { for index in 0..<memory.count { memory[index] = numbers.float() } }
            try product.run(x.start, weight: weight.start, bias: bias.start, into: y.start)
            // Against the definition.
            for (row, output) in [(0, 0), (rows - 1, outputs - 1), (rows / 2, outputs / 2)] {
                let sum = (0..<inputs).reduce(Double(bias[output])) { $0 + Double(x[row * inputs + $1]) * Double(weight[output * inputs + $1]) }
                #expect(abs(Double(y[row * outputs + output]) - sum) < 1e-4)
            }
            for shift in [1, 7, 16, 100, 509] {
                let moved = try Memory<Float>(rows * inputs)
                for row in 0..<rows { (moved.start + row * inputs).update(from: x.start + (row + shift) % rows * inputs, count: inputs) }
                // Other company for one row: everything else changes.
                for index in inputs..<rows * inputs where shift == 509 { moved[index] = numbers.float() }
                try product.run(moved.start, weight: weight.start, bias: bias.start, into: again.start)
                let compared = shift == 509 ? 1 : rows
                #expect((0..<compared).allSatisfy { row in
                    (0..<outputs).allSatisfy { again[row * outputs + $0].bitPattern == y[(row + shift) % rows * outputs + $0].bitPattern }
                })
            }
        }
    }

    @Test("the convolution is causal and matches its definition", arguments: [(8, 16, 1), (8, 24, 2), (16, 8, 33), (40, 24, 700)])
    func convolution(inputs: Int, outputs: Int, kernel: Int) throws {
        DNNL.becomeSingleThreaded()
        let library = try DNNL()
        let rows = 510
        let convolution = try CausalConvolution(library, rows: rows, inputs: inputs, outputs: outputs, kernel: kernel)
        var numbers = TestNumbers(2)
        let s = try Memory<Float>((kernel - 1 + rows) * inputs), weight = try Memory<Float>(outputs * inputs * kernel), bias = try Memory<Float>(outputs)
        for memory in [s, weight, bias] { for index in 0..<memory.count { memory[index] = numbers.float() } }
        let prepared = try Memory<UInt8>(convolution.weightBytes)
        try convolution.prepare(weight.start, into: prepared.start)
        let c = try Memory<Float>(rows * outputs)
        try convolution.run(s.start, weight: prepared.start, bias: bias.start, into: c.start)
        for (t, f) in [(0, 0), (1, outputs - 1), (rows / 2, outputs / 2), (rows - 1, 1)] {
            var sum = Double(bias[f])
            for k in 0..<kernel { for d in 0..<inputs { sum += Double(weight[(f * inputs + d) * kernel + k]) * Double(s[(t + k) * inputs + d]) } }
            #expect(abs(Double(c[t * outputs + f]) - sum) < 2e-5 * Double(inputs * kernel).squareRoot() * 10)
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
        let kernels = try Kernels.select().pointee
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
            withUnsafePointer(to: term.tables) { kernels.position($0, Int64(t), 1, 1, x.start, scratch.start) }
            for channel in 0..<D {
                var sum = 0.0
                for tap in 0..<3 {
                    let pe = sines(t - 1 + tap)
                    for input in 0..<8 { sum += Double(weight[(channel * 8 + input) * 3 + tap]) * pe[channel / 8 * 8 + input] }
                }
                #expect(abs(Double(x[channel]) - sum * Double(scale)) < 5e-6)
            }
        }
    }
}
