import CKernels
import Glibc
import TestSupport
import Testing

/// Tables of the position term whose angles are exact in double up to 2^42, so that sines can be told directly.
private final class Position {
    static let width = 24
    let frequency = Edge((0..<12).map { Double(1 + 85 * $0) / 1024 })
    let middle, fine: Edge<Double>
    /// inside, at_start, at_end, alone.
    let matrices: [Edge<Float>]

    init() {
        let frequency = frequency.values
        func rotations(_ step: Int) -> Edge<Double> {
            Edge(
                (0..<64 * Self.width).map { i in
                    let angle = Double(i / Self.width * step) * frequency[i % Self.width / 2]
                    return i % 2 == 0 ? cos(angle) : sin(angle)
                })
        }
        middle = rotations(64)
        fine = rotations(1)
        var numbers = TestNumbers(6)
        matrices = (0..<4).map { _ in Edge((0..<8 * Self.width).map { _ in numbers.float() }) }
    }

    /// What the kernel adds to zeros.
    func add(_ kernels: bbp_kernels, length: Int, first: Int, stride: Int = 1, rows: Int = 1) -> [Float] {
        var tables = bbp_position_tables(
            width: Int64(Self.width), length: Int64(length), frequency: frequency.start, middle: middle.start,
            fine: fine.start,
            inside: matrices[0].start, at_start: matrices[1].start, at_end: matrices[2].start, alone: matrices[3].start)
        let x = Edge([Float](repeating: 0, count: rows * Self.width)),
            scratch = Edge([Double](repeating: .nan, count: 4 * Self.width))
        (0..<rows).map { Int64(first + $0 * stride) }.withUnsafeBufferPointer {
            kernels.position(&tables, $0.baseAddress, Int64(rows), x.start, scratch.start)
        }
        return x.values
    }

    func expected(length: Int, at t: Int) -> [Float] {
        let table = matrices[length == 1 ? 3 : t == 0 ? 1 : t == length - 1 ? 2 : 0].values
        return (0..<Self.width).map { c in
            Float(
                (0..<8).reduce(0.0) { sum, i in
                    let angle = Double(t) * frequency.values[(c / 8 * 8 + i) / 2]
                    return sum + (i % 2 == 0 ? sin(angle) : cos(angle)) * Double(table[8 * (c / 8 * 8 + i) + c % 8])
                })
        }
    }
}

struct PositionKernelTests {
    private let position = Position()
    private let last = 1 << 42

    private func check(_ kernels: bbp_kernels, _ name: String) {
        // Both ends, inside, and either side of the places where the angle's parts carry.
        for t in [0, 1, 63, 64, 4095, 4096, 4097, 1 << 20, last / 3, last - 4096, last - 1, last] {
            let found = position.add(kernels, length: last + 1, first: t)
            #expect(found.distance(to: position.expected(length: last + 1, at: t)) < 4e-6, "\(name) at \(t)")
        }
        #expect(
            position.add(kernels, length: 1, first: 0).distance(to: position.expected(length: 1, at: 0)) < 4e-6,
            "\(name), N = 1")
        #expect(
            position.add(kernels, length: 2, first: 0, rows: 2).distance(
                to: position.expected(length: 2, at: 0) + position.expected(length: 2, at: 1)) < 4e-6, "\(name), N = 2")
    }

    @Test func plainIsTheFormula() throws { check(try plainKernels(), "plain") }

    @Test(arguments: VectorPath.allCases) func vectorIsTheFormula(_ path: VectorPath) throws {
        check(try path.kernels(), "\(path)")
    }

    @Test(arguments: VectorPath.allCases) func aRowDoesNotSeeItsCompany(_ path: VectorPath) throws {
        for kernels in [try path.kernels(), try plainKernels()] {
            for (first, stride) in [(0, 1), (last - 70 * 100, 100), (60, 1), (4000, 63), (5, 5000)] {
                let together = position.add(kernels, length: last, first: first, stride: stride, rows: 70)
                let apart = (0..<70).flatMap { position.add(kernels, length: last, first: first + $0 * stride) }
                #expect(together.bits == apart.bits, "from \(first) by \(stride)")
            }
        }
    }

    @Test(arguments: VectorPath.allCases) func addsToWhatIsThere(_ path: VectorPath) throws {
        for kernels in [try path.kernels(), try plainKernels()] {
            var tables = bbp_position_tables(
                width: 24, length: 9, frequency: position.frequency.start, middle: position.middle.start,
                fine: position.fine.start,
                inside: position.matrices[0].start, at_start: position.matrices[1].start,
                at_end: position.matrices[2].start, alone: position.matrices[3].start)
            let x = Edge([Float](repeating: 100, count: 24)), scratch = Edge([Double](repeating: 0, count: 96))
            var at: Int64 = 3
            kernels.position(&tables, &at, 1, x.start, scratch.start)
            #expect(x.values.distance(to: position.expected(length: 9, at: 3).map { 100 + $0 }) < 2e-5)
        }
    }
}
