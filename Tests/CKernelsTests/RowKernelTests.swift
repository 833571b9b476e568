import CKernels
import Glibc
import TestSupport
import Testing

/// Counts around the vector's width, where tails begin.
private let counts = [1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 100, 259]

struct RowKernelTests {
    @Test(arguments: VectorPath.allCases) func layerNorm(_ path: VectorPath) throws {
        let (kernels, plain) = (try path.kernels(), try plainKernels())
        var numbers = TestNumbers(1)
        for width in counts {
            // A mean far from 0 is where a careless variance cancels.
            let x = (0..<3 * width).map { (Float($0 / width) * 50) + numbers.float() }
            let weight = Edge((0..<width).map { _ in numbers.float() }),
                bias = Edge((0..<width).map { _ in numbers.float() })
            func norm(_ kernels: bbp_kernels, _ x: [Float]) -> [Float] {
                let source = Edge(x), out = Edge(x)
                kernels.layer_norm(
                    source.start, weight.start, bias.start, 1e-5, Int64(x.count / width), Int64(width), out.start)
                return out.values
            }
            let found = norm(kernels, x)
            #expect(found.distance(to: norm(plain, x)) < 1e-4, "width \(width)")
            #expect(Array(found[..<width]).distance(to: norm(plain, Array(x[..<width]))) < 4e-6, "width \(width)")
            // A row alone, and in place.
            #expect(
                norm(kernels, Array(x[width..<2 * width])).bits == Array(found[width..<2 * width]).bits,
                "width \(width)")
            let inPlace = Edge(x)
            kernels.layer_norm(inPlace.start, weight.start, bias.start, 1e-5, 3, Int64(width), inPlace.start)
            #expect(inPlace.values.bits == found.bits, "width \(width)")
        }
    }

    /// The row would be its bias, finite and wrong, where the variance is infinite.
    @Test(arguments: VectorPath.allCases) func overflowOfTheVariance(_ path: VectorPath) throws {
        let kernels = try path.kernels()
        for width in counts where width > 1 {
            let x = Edge((0..<2 * width).map { $0 < width ? ($0 % 2 == 0 ? Float(3e19) : -3e19) : Float($0 % 3) })
            let weight = Edge([Float](repeating: 1, count: width)), bias = Edge([Float](repeating: 2, count: width)),
                out = Edge(x.values)
            kernels.layer_norm(x.start, weight.start, bias.start, 1e-5, 2, Int64(width), out.start)
            let rows = out.values
            #expect(
                rows[..<width].allSatisfy { $0.isNaN } && rows[width...].allSatisfy { $0.isFinite }, "width \(width)")
        }
    }

    @Test func plainLayerNormIsTheFormula() throws {
        let plain = try plainKernels()
        let x = Edge<Float>([1, 2, 3, 6]), weight = Edge<Float>([1, 2, 1, 1]), bias = Edge<Float>([0, 0, 10, 0]),
            out = Edge<Float>([0, 0, 0, 0])
        plain.layer_norm(x.start, weight.start, bias.start, 0.5, 1, 4, out.start)
        // Mean 3, variance (4 + 1 + 0 + 9) / 4 = 3.5, and 3.5 + 0.5 = 2 squared.
        #expect(out.values == [-1, -1, 10, 1.5])
    }

    @Test(arguments: VectorPath.allCases) func addAndAverage(_ path: VectorPath) throws {
        let (kernels, plain) = (try path.kernels(), try plainKernels())
        var numbers = TestNumbers(2)
        for count in counts {
            let x = (0..<count).map { _ in numbers.float() }, y = Edge((0..<count).map { _ in numbers.float() })
            func changed(_ step: (UnsafeMutablePointer<Float>, UnsafePointer<Float>, Int64) -> Void) -> [Float] {
                let result = Edge(x)
                step(result.start, y.start, Int64(count))
                return result.values
            }
            let sums = zip(x, y.values).map { $0 + $1 }
            for kernels in [kernels, plain] {
                #expect(changed(kernels.add) == sums)
                #expect(changed(kernels.average) == sums.map { $0 / 2 })
            }
        }
    }

    @Test(arguments: VectorPath.allCases) func gelu(_ path: VectorPath) throws {
        let (kernels, plain) = (try path.kernels(), try plainKernels())
        let x: [Float] = (-4000...4000).map { Float($0) / 200 } + [-0.0, 1e-30, -1e-30, 1e-3, 300, -300]
        func gelu(_ kernels: bbp_kernels, _ x: [Float]) -> [Float] {
            let result = Edge(x)
            kernels.gelu(result.start, Int64(x.count))
            return result.values
        }
        let found = gelu(kernels, x)
        for (values, name) in [(found, "\(path)"), (gelu(plain, x), "plain")] {
            for (x, y) in zip(x, values) {
                let exact = Double(x) / 2 * (1 + erf(Double(x) / 2.0.squareRoot()))
                #expect(abs(Double(y) - exact) < 5e-7 * max(1, abs(Double(x))), "\(name) at \(x)")
            }
        }
        for count in counts {
            #expect(gelu(kernels, Array(x[77..<77 + count])).bits == Array(found[77..<77 + count]).bits)
        }
        #expect(gelu(kernels, [1, .nan, 2])[1].isNaN)
    }

    private func gateHeads(
        _ kernels: bbp_kernels, _ x: [Float], gate: [Float], heads: Int, size: Int, weight: [Float]?, eps: Float = 1e-5,
        kind: bbp_gate = BBP_SILU_GATE
    ) -> [Float] {
        let (source, gate, weight) = (Edge(x), Edge(gate), weight.map(Edge.init))
        let gated = Edge([Float](repeating: .nan, count: x.count))
        let rows = Int64(x.count / (heads * size))
        let step = weight?.count == size ? 0 : Int64(size)
        let gates = kind == BBP_NO_GATE ? nil : gate.start
        func run(_ x: Edge<Float>, into target: Edge<Float>) {
            kernels.gate_heads(
                x.start, Int32(kind.rawValue), gates, rows, Int64(heads), Int64(size), weight?.start, step, eps,
                target.start)
        }
        run(source, into: gated)
        // In place of either too.
        let whole = gated.values
        for target in [Edge(x), gate] {
            run(target === gate ? source : target, into: target)
            #expect(target.values.bits == whole.bits)
        }
        return whole
    }

    @Test(arguments: VectorPath.allCases) func gatedHeads(_ path: VectorPath) throws {
        let (kernels, plain) = (try path.kernels(), try plainKernels())
        var numbers = TestNumbers(14)
        for size in counts {
            for (rows, heads) in [(1, 1), (3, 2), (2, 5)] {
                let count = rows * heads * size
                // Heads of very different sizes: each has a mean square of its own.
                let x = (0..<count).map { numbers.float() * Float($0 / size % 3 * 50 + 1) }
                let gate = (0..<count).map { _ in 3 * numbers.float() }
                let weights = [nil, randomFloats(size, &numbers), randomFloats(heads * size, &numbers)]
                for (weight, kind) in weights.flatMap({ weight in
                    [BBP_SILU_GATE, BBP_LINEAR_GATE, BBP_NO_GATE].map { (weight, $0) }
                }) {
                    func gated(_ kernels: bbp_kernels) -> [Float] {
                        gateHeads(kernels, x, gate: gate, heads: heads, size: size, weight: weight, kind: kind)
                    }
                    let found = gated(kernels)
                    #expect(found.distance(to: gated(plain)) < 1e-5, "size \(size)")
                    let head = (heads - 1) * size..<heads * size
                    let alone = gateHeads(
                        kernels, Array(x[head]), gate: Array(gate[head]), heads: 1, size: size,
                        weight: weight.map { $0.count == size ? $0 : Array($0[head]) }, kind: kind)
                    #expect(alone.bits == found[head].map(\.bitPattern), "size \(size)")
                    if let avx2 = bbp_kernels_for(BBP_AVX2)?.pointee { #expect(gated(avx2).bits == found.bits) }
                }
            }
        }
    }

    @Test func plainGatedHeadsAreTheFormula() throws {
        // Mean squares 12.5 and 2.5: with 12.5 more, the roots of 25 and 15. silu(log 3) is 3/4 of log 3, and
        // silu(-log 3) 1/4 of -log 3.
        let log3: Float = 1.0986123
        let found = gateHeads(
            try plainKernels(), [3, 4, 1, -2], gate: [log3, log3, log3, -log3], heads: 1, size: 2, weight: [1, 10],
            eps: 12.5)
        let expected: [Double] = [0.6 * 0.75, 8 * 0.75, 0.75 / 15.0.squareRoot(), 20 * 0.25 / 15.0.squareRoot()]
        #expect(found.distance(to: expected.map { Float($0 * log(3)) }) < 1e-5)
        // A weight for every head, and gates as they are, or none. Heads of one value become their signs.
        for (kind, expected) in [(BBP_LINEAR_GATE, [6, 50, 6, -30] as [Float]), (BBP_NO_GATE, [3, 5, 3, -5])] {
            let found = gateHeads(
                try plainKernels(), [2, 9, 5, -4], gate: [2, 10, 2, 6], heads: 2, size: 1, weight: [3, 5], eps: 0,
                kind: kind)
            #expect(found.distance(to: expected) < 1e-5)
        }
    }

    @Test(arguments: VectorPath.allCases) func functions(_ path: VectorPath) throws {
        let values: [Float] =
            (-4000...4000).map { Float($0) / 50 } + [0, -0.0, 1e-30, -1e-30, 1e-4, -1e-4, 300, -300, 3e38, -3e38]
        func applied(_ kernels: bbp_kernels, _ function: bbp_function, _ x: [Float]) -> [Float] {
            let result = Edge(x)
            kernels.apply(Int32(function.rawValue), result.start, Int64(x.count))
            return result.values
        }
        func logistic(_ a: Double) -> Double { 1 / (1 + exp(-a)) }
        let functions: [(bbp_function, (Double) -> Double, isLoss: Bool)] = [
            (BBP_TANH, tanh, false), (BBP_LOGISTIC, logistic, false), (BBP_SILU, { $0 * logistic($0) }, false),
            (BBP_ELU_PLUS_ONE, { $0 > 0 ? $0 + 1 : exp($0) }, false), (BBP_LOSS, { -expm1(-exp($0)) }, true),
            (BBP_LOGISTIC_LOSS, { -expm1(-exp(-0.5) * logistic($0)) }, true),
        ]
        for kernels in [try path.kernels(), try plainKernels()] {
            for (function, exact, isLoss) in functions {
                let found = applied(kernels, function, values)
                for (x, y) in zip(values, found) where !isLoss || x >= -30 {
                    let exact = exact(Double(x))
                    let bound = isLoss ? 2e-6 * exact : 1.5e-7 * max(1, abs(Double(x)))
                    #expect(abs(Double(y) - exact) <= bound, "\(function) at \(x): \(y)")
                }
                for count in counts {
                    let some = applied(kernels, function, Array(values[3990..<3990 + count]))
                    #expect(some.bits == Array(found[3990..<3990 + count]).bits)
                }
                #expect(applied(kernels, function, [1, .nan, 2])[1].isNaN)
                if let avx2 = bbp_kernels_for(BBP_AVX2)?.pointee, let avx512 = bbp_kernels_for(BBP_AVX512)?.pointee {
                    #expect(applied(avx2, function, values).bits == applied(avx512, function, values).bits)
                }
            }
            // Far out, where powers would overflow.
            #expect(applied(kernels, BBP_TANH, [-.infinity, .infinity]) == [-1, 1])
            #expect(applied(kernels, BBP_LOGISTIC, [.infinity]) == [1])
            #expect(applied(kernels, BBP_LOGISTIC, [-.infinity])[0] < 1e-37)
            #expect(applied(kernels, BBP_SILU, [-.infinity, .infinity]) == [0, .infinity])
            let ends = applied(kernels, BBP_ELU_PLUS_ONE, [-.infinity, .infinity])
            #expect(abs(ends[0]) < 1e-37 && ends[1] == .infinity)
            #expect(applied(kernels, BBP_LOSS, [.infinity, 100]) == [1, 1])
            #expect(applied(kernels, BBP_LOSS, [-100, -1e30]).allSatisfy { $0 >= 0 && $0 < 2e-38 })
            // A small tanh has all its digits.
            let small = applied(kernels, BBP_TANH, [1e-6, -3e-4, 0.2])
            for (x, y) in zip([1e-6, -3e-4, 0.2], small) { #expect(abs(Double(y) / tanh(x) - 1) < 2e-7) }
        }
    }

    @Test(arguments: VectorPath.allCases) func gates(_ path: VectorPath) throws {
        // A head of one 1 has the root 1: what comes out is silu.
        func silu(_ kernels: bbp_kernels, _ a: [Float]) -> [Float] {
            let ones = Edge([Float](repeating: 1, count: a.count)), gate = Edge(a)
            kernels.gate_heads(
                ones.start, Int32(BBP_SILU_GATE.rawValue), gate.start, Int64(a.count), 1, 1, nil, 0, 0, ones.start)
            return ones.values
        }
        let gates: [Float] =
            (-20_000...20_000).map { Float($0) / 200 } + [0, -0.0, 1e-30, -1e-30, 1e-3, 300, -300, 3e38, -3e38]
        for kernels in [try path.kernels(), try plainKernels()] {
            for (a, found) in zip(gates, silu(kernels, gates)) {
                let exact = Double(a) / (1 + exp(-Double(a)))
                #expect(abs(Double(found) - exact) < 1.5e-7 * max(1, abs(Double(a))), "at \(a)")
            }
            #expect(silu(kernels, [-.infinity, .infinity]) == [0, .infinity])
            #expect(silu(kernels, [.nan])[0].isNaN)
        }
    }

    /// The head would be 0, finite and wrong, where the mean square is infinite.
    @Test(arguments: VectorPath.allCases) func overflowOfTheMeanSquare(_ path: VectorPath) throws {
        let kernels = try path.kernels()
        for size in counts {
            let x = (0..<6 * size).map { $0 / size == 2 ? Float(3e19) : Float($0 % 3) }
            let found = gateHeads(
                kernels, x, gate: [Float](repeating: 1, count: x.count), heads: 3, size: size, weight: nil)
            for (i, value) in found.enumerated() { #expect(value.isNaN == (i / size == 2), "size \(size)") }
        }
    }

    @Test(arguments: VectorPath.allCases) func surprisal(_ path: VectorPath) throws {
        let (kernels, plain) = (try path.kernels(), try plainKernels())
        var numbers = TestNumbers(3)
        func bits(_ kernels: bbp_kernels, _ logits: [Float], _ targets: [UInt16]) -> [Float] {
            let source = Edge(logits), target = Edge(targets),
                out = Edge([Float](repeating: .nan, count: targets.count))
            kernels.surprisal(
                source.start, target.start, Int64(targets.count), Int64(logits.count / targets.count), out.start)
            return out.values
        }
        for vocabulary in counts {
            let logits = (0..<5 * vocabulary).map { _ in 6 * numbers.float() }
            let targets = (0..<5).map { _ in UInt16.random(in: 0..<UInt16(vocabulary), using: &numbers) }
            let found = bits(kernels, logits, targets)
            #expect(found.distance(to: bits(plain, logits, targets)) < 2e-5, "vocabulary \(vocabulary)")
            let alone = bits(kernels, Array(logits[3 * vocabulary..<4 * vocabulary]), [targets[3]])
            #expect(alone[0].bitPattern == found[3].bitPattern, "vocabulary \(vocabulary)")
        }
        for kernels in [kernels, plain] {
            #expect(abs(bits(kernels, [Float](repeating: -3, count: 256), [7])[0] - 8) < 1e-6)
            // Far apart: nothing overflows, and a certain target costs nothing.
            #expect(bits(kernels, [0, 20_000, -20_000], [1]) == [0])
            #expect(abs(bits(kernels, [0, 20_000, -20_000], [2])[0] - 40_000 / Float(M_LN2)) < 0.01)
            #expect(bits(kernels, [1, .nan, 2], [0])[0].isNaN)
        }
    }
}
