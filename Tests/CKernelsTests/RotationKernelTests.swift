import CKernels
import Glibc
import TestSupport
import Testing

/// Tables of the rotary embedding, theta = 10000, whose frequencies are known to the last bit, and so all angles: turns
/// are fractions of 2^128, which multiply exactly.
private final class Rotation {
    let headSize: Int
    let layout: Int
    let turns: [UInt128]
    private let frequency, middle, fine: Edge<Double>

    init(headSize: Int, layout: Int) {
        (self.headSize, self.layout) = (headSize, layout)
        var numbers = TestNumbers(8)
        var parts: [Double] = []
        for i in 0..<headSize / 2 {
            let nearest = Double(pow(Float80(10_000), -2 * Float80(i) / Float80(headSize)) / (2 * .pi))
            // Any second part will do, of few enough bits.
            parts += [nearest, Double(Int32.random(in: .min ... .max, using: &numbers)) * 0x1p-32 * nearest.ulp]
        }
        let turns = (0..<headSize / 2).map { Self.fraction(parts[2 * $0]) &+ Self.fraction(parts[2 * $0 + 1]) }
        let width = (headSize / 2 + 7) / 8 * 8
        func rotations(_ step: Int) -> Edge<Double> {
            Edge(
                (0..<64).flatMap { m in
                    let angles = turns.map { Self.angle($0, m * step) }
                    let padding = [Double](repeating: 0, count: width - angles.count)
                    return angles.map(cos) + padding + angles.map(sin) + padding
                })
        }
        (self.turns, frequency, middle, fine) = (turns, Edge(parts), rotations(64), rotations(1))
    }

    /// x as a fraction of 2^128, exactly.
    private static func fraction(_ x: Double) -> UInt128 {
        guard x != 0 else { return 0 }
        let digits = UInt128(x.significand * 0x1p52) << UInt128(128 - 52 + Int(x.exponent))
        return x < 0 ? 0 &- digits : digits
    }

    /// The angle of t times a fraction of 2^128, in -pi...pi.
    private static func angle(_ turn: UInt128, _ t: Int) -> Double {
        2 * .pi * Double(Int64(truncatingIfNeeded: (turn &* UInt128(t)) >> 64)) * 0x1p-64
    }

    func angle(pair: Int, at t: Int) -> Double { Self.angle(turns[pair], t) }

    /// Where pair i of a head lies.
    func places(pair i: Int) -> (Int, Int) {
        layout == BBP_ROTATE_NEIGHBOURS.rawValue ? (2 * i, 2 * i + 1) : (i, headSize / 2 + i)
    }

    /// x [rows, stride] rotated.
    func rotate(_ kernels: bbp_kernels, _ x: [Float], first: Int, rows: Int, stride: Int, heads: Int) -> [Float] {
        var tables = bbp_rotation_tables(
            head_size: Int64(headSize), layout: Int32(layout), frequency: frequency.start, middle: middle.start,
            fine: fine.start)
        let x = Edge(x)
        let scratch = Edge([Double](repeating: .nan, count: Int(bbp_rotation_scratch(Int64(headSize)))))
        kernels.rotate(&tables, Int64(first), Int64(rows), x.start, Int64(stride), Int64(heads), scratch.start)
        return x.values
    }
}

struct RotationKernelTests {
    private let rotations = [2, 6, 10, 16, 34, 40, 64].flatMap { size in
        [BBP_ROTATE_HALVES, BBP_ROTATE_NEIGHBOURS].map { Rotation(headSize: size, layout: Int($0.rawValue)) }
    }
    private static let last = 1 << 45
    /// Either side of the places where the angle's parts carry.
    private static let tokens = [
        0, 1, 63, 64, 4095, 4096, 4097, 1 << 20, 1 << 40, last / 3, last - 4096, last - 1, last,
    ]

    private func check(_ kernels: bbp_kernels, _ name: String) {
        var numbers = TestNumbers(9)
        for rotation in rotations {
            let (heads, size) = (3, rotation.headSize)
            for t in Self.tokens {
                let x = randomFloats(heads * size, &numbers)
                let found = rotation.rotate(kernels, x, first: t, rows: 1, stride: heads * size, heads: heads)
                var expected = x
                for head in 0..<heads {
                    for pair in 0..<size / 2 {
                        let (i, j) = rotation.places(pair: pair)
                        let (a, b) = (Double(x[head * size + i]), Double(x[head * size + j]))
                        let angle = rotation.angle(pair: pair, at: t)
                        expected[head * size + i] = Float(a * cos(angle) - b * sin(angle))
                        expected[head * size + j] = Float(b * cos(angle) + a * sin(angle))
                    }
                }
                #expect(found.distance(to: expected) < 6e-7, "\(name), head size \(size), token \(t)")
            }
        }
    }

    @Test func plainIsTheFormula() throws { check(try plainKernels(), "plain") }

    @Test(arguments: VectorPath.allCases) func vectorIsTheFormula(_ path: VectorPath) throws {
        check(try path.kernels(), "\(path)")
    }

    /// A pair (1, 0) becomes (cos, sin): rounded once, and small sines tell the angle to 1e-9, up to 2^45 tokens.
    @Test(arguments: VectorPath.allCases) func anglesAreExact(_ path: VectorPath) throws {
        for kernels in [try path.kernels(), try plainKernels()] {
            for rotation in rotations where rotation.headSize == 64 {
                let rows = 4500
                let ones = (0..<64).map { i in (0..<32).contains { rotation.places(pair: $0).0 == i } ? Float(1) : 0 }
                for first in [0, 1 << 30, (1 << 40) + 77, Self.last - rows] {
                    let x = [[Float]](repeating: ones, count: rows).flatMap { $0 }
                    let found = rotation.rotate(kernels, x, first: first, rows: rows, stride: 64, heads: 1)
                    var (worst, rounding, small) = (0.0, 0.0, 0)
                    for row in 0..<rows {
                        for pair in 0..<32 {
                            let (i, j) = rotation.places(pair: pair)
                            let angle = rotation.angle(pair: pair, at: first + row)
                            for (value, exact) in [
                                (found[row * 64 + i], cos(angle)), (found[row * 64 + j], sin(angle)),
                            ] {
                                let error = abs(Double(value) - exact)
                                rounding = max(rounding, error - Double(Float(exact).ulp) / 2)
                                if abs(exact) < 1e-3 { (worst, small) = (max(worst, error), small + 1) }
                            }
                        }
                    }
                    #expect(worst < 1e-9 && rounding < 1e-9 && small > 50, "from token \(first)")
                }
            }
        }
    }

    /// One turn of a radian a token, as anyone would write it.
    @Test func plainAnglesAreRadians() throws {
        var tables = bbp_rotation_tables()
        let frequency = Edge([1 / (2 * Double.pi), 0])
        tables.head_size = 2
        tables.frequency = UnsafePointer(frequency.start)
        var x: [Float] = [1, 0, 1, 0]
        try plainKernels().rotate(&tables, 1, 2, &x, 2, 1, nil)
        #expect(x.distance(to: [0.5403023, 0.84147098, -0.41614684, 0.90929743]) < 1e-7)
    }

    @Test(arguments: VectorPath.allCases) func aRowDoesNotSeeItsCompany(_ path: VectorPath) throws {
        var numbers = TestNumbers(10)
        for kernels in [try path.kernels(), try plainKernels()] {
            for rotation in rotations {
                let (heads, rows) = (2, 150)
                let width = heads * rotation.headSize
                for first in [0, 60, 4000, Self.last - rows] {
                    // What lies between the rows stays.
                    let stride = width + 3, x = randomFloats((rows - 1) * stride + width, &numbers)
                    let together = rotation.rotate(kernels, x, first: first, rows: rows, stride: stride, heads: heads)
                    var expected = x
                    for row in 0..<rows {
                        let piece = row * stride..<row * stride + width
                        expected.replaceSubrange(
                            piece,
                            with: rotation.rotate(
                                kernels, Array(x[piece]), first: first + row, rows: 1, stride: 0, heads: heads))
                    }
                    #expect(together.bits == expected.bits, "from \(first)")
                }
            }
        }
    }

    @Test func vectorPathsAgreeBitForBit() throws {
        let (avx2, avx512) = (try VectorPath.avx2.kernels(), try VectorPath.avx512.kernels())
        var numbers = TestNumbers(11)
        for rotation in rotations {
            let x = randomFloats(100 * rotation.headSize, &numbers)
            let found = [avx2, avx512].map {
                rotation.rotate($0, x, first: 4050, rows: 100, stride: rotation.headSize, heads: 1).bits
            }
            #expect(found[0] == found[1])
        }
    }
}
