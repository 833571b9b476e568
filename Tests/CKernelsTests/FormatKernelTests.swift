import CKernels
import TestSupport
import Testing

// Large arrays are compared outside `#expect`, which would print their difference.
private let counts = [0, 1, 15, 16, 17, 63, 64, 65, 500]

struct FormatKernelTests {
    private func rounded(_ kernels: bbp_kernels, _ bits: [UInt32]) -> [UInt16] {
        let x = Edge(bits.map(Float.init(bitPattern:))), out = Edge([UInt16](repeating: 0xdead, count: bits.count))
        kernels.bf16_from_f32(x.start, Int64(bits.count), 1, Int64(bits.count), out.start, Int64(bits.count))
        return out.values
    }

    private func checkRounding(_ kernels: bbp_kernels) {
        let cases: [(UInt32, UInt16)] = [
            (0x3f80_7fff, 0x3f80), (0x3f80_8001, 0x3f81), (0xbf80_8001, 0xbf81),  // to nearest
            (0x3f80_8000, 0x3f80), (0x3f81_8000, 0x3f82), (0xbf81_8000, 0xbf82),  // ties to even
            (0, 0), (0x8000_0000, 0x8000), (0x0000_8000, 0), (0x0000_8001, 1), (0x0001_8000, 2),  // around zero
            (0x3fff_ffff, 0x4000), (0x7f7f_7fff, 0x7f7f), (0x7f7f_8000, 0x7f80), (0xff7f_ffff, 0xff80),  // carries
            (0x7f80_0000, 0x7f80), (0xff80_0000, 0xff80),  // infinities
            (0x7f80_0001, 0x7fc0), (0xff80_0001, 0xffc0), (0x7fc1_2345, 0x7fc1), (0x7fff_ffff, 0x7fff),  // NaN, made quiet
        ]
        #expect(rounded(kernels, cases.map(\.0)) == cases.map(\.1))
        // Alone, each is a tail.
        for (bits, result) in cases { #expect(rounded(kernels, [bits]) == [result], "\(String(bits, radix: 16))") }
    }

    @Test func plainRoundsToEven() throws { checkRounding(try plainKernels()) }

    @Test(arguments: VectorPath.allCases) func roundsToEven(_ path: VectorPath) throws {
        let (kernels, plain) = (try path.kernels(), try plainKernels())
        checkRounding(kernels)
        var numbers = TestNumbers(7)
        let bits = (0..<20_001).map { _ in UInt32.random(in: 0...(.max), using: &numbers) }
        let same = rounded(kernels, bits) == rounded(plain, bits)
        #expect(same)
    }

    /// Weights of 16 bits, wherever they lie: every value there is.
    @Test func widensEveryWeight() {
        let count = 1 << 16
        var halves = [UInt8](repeating: 0, count: 2 * count + 1)
        for value in 0..<count {
            (halves[2 * value + 1], halves[2 * value + 2]) = (UInt8(value & 255), UInt8(value >> 8))
        }
        var half = [Float](repeating: 0, count: count), brain = half
        halves.withUnsafeBytes {
            bbp_f32_from_f16($0.baseAddress! + 1, Int64(count), &half)
            bbp_f32_from_bf16($0.baseAddress! + 1, Int64(count), &brain)
        }
        let wrong = (0..<count).filter { value in
            let expected = Float(Float16(bitPattern: UInt16(value)))
            let same = half[value].bitPattern == expected.bitPattern || (half[value].isNaN && expected.isNaN)
            return !same || brain[value].bitPattern != UInt32(value) << 16
        }
        #expect(wrong.isEmpty)
    }

    @Test(arguments: VectorPath.allCases) func widensEveryValue(_ path: VectorPath) throws {
        let every = Edge(Array(UInt16.min...UInt16.max)), out = Edge([Float](repeating: 0, count: 65_536))
        for kernels in [try path.kernels(), try plainKernels()] {
            kernels.f32_from_bf16(every.start, 65_536, 1, 65_536, out.start, 65_536)
            let same = out.values.bits == every.values.map { UInt32($0) << 16 }
            #expect(same)
        }
    }

    private func split<T: FixedWidthInteger & BitwiseCopyable>(
        _ values: [T], _ step: (UnsafePointer<T>, Int64, Int32, UnsafeMutablePointer<UInt8>) -> Void, rotate: Int32
    ) -> [UInt8] {
        let source = Edge(values), planes = Edge([UInt8](repeating: 0xee, count: values.count * MemoryLayout<T>.size))
        step(source.start, Int64(values.count), rotate, planes.start)
        return planes.values
    }

    private func merge<T: FixedWidthInteger & BitwiseCopyable>(
        _ planes: [UInt8], _ step: (UnsafePointer<UInt8>, Int64, Int32, UnsafeMutablePointer<T>) -> Void, rotate: Int32
    ) -> [T] {
        let source = Edge(planes), values = Edge([T](repeating: 0, count: planes.count / MemoryLayout<T>.size))
        step(source.start, Int64(values.count), rotate, values.start)
        return values.values
    }

    @Test func plainPlanesAreTheLayout() throws {
        let plain = try plainKernels()
        #expect(split([0x1234, 0x8001], plain.split16, rotate: 0) == [0x34, 0x01, 0x12, 0x80])
        #expect(split([0x1234, 0x8001], plain.split16, rotate: 1) == [0x68, 0x03, 0x24, 0x00])
        #expect(
            split([0x1234_5678, 0x8000_0001], plain.split32, rotate: 0) == [0x78, 0x01, 0x56, 0, 0x34, 0, 0x12, 0x80])
        #expect(
            split([0x1234_5678, 0x8000_0001], plain.split32, rotate: 1) == [0xf0, 0x03, 0xac, 0, 0x68, 0, 0x24, 0])
    }

    @Test(arguments: VectorPath.allCases, [Int32(0), 1]) func planesRoundTrip(_ path: VectorPath, rotate: Int32) throws
    {
        let (kernels, plain) = (try path.kernels(), try plainKernels())
        var numbers = TestNumbers(8)
        for count in counts {
            let halves = (0..<count).map { _ in UInt16.random(in: 0...(.max), using: &numbers) }
            let wholes = (0..<count).map { _ in UInt32.random(in: 0...(.max), using: &numbers) }
            let planes16 = split(halves, plain.split16, rotate: rotate),
                planes32 = split(wholes, plain.split32, rotate: rotate)
            let apart = (
                split(halves, kernels.split16, rotate: rotate) == planes16,
                split(wholes, kernels.split32, rotate: rotate) == planes32
            )
            #expect(apart == (true, true), "\(count) values")
            for kernels in [kernels, plain] {
                let together = (
                    merge(planes16, kernels.merge16, rotate: rotate) == halves,
                    merge(planes32, kernels.merge32, rotate: rotate) == wholes
                )
                #expect(together == (true, true), "\(count) values")
            }
        }
    }
}

@Suite("Folded exponents") struct FoldTests {
    /// Exponents around 120, some far below, as states have them.
    private func exponents(_ count: Int, far: Int) -> [UInt8] {
        var numbers = TestNumbers(10)
        return (0..<count).map { _ in
            Int.random(in: 0..<1000, using: &numbers) < far
                ? UInt8.random(in: 0...100, using: &numbers) : UInt8.random(in: 106...128, using: &numbers)
        }
    }

    private func folded(_ plane: [UInt8], _ table: bbp_kernels) -> [UInt8] {
        let room = Edge([UInt8](repeating: 0xee, count: 1 + (plane.count + 1) / 2 + plane.count / 16))
        let bytes = plane.withUnsafeBufferPointer { table.fold($0.baseAddress, Int64(plane.count), room.start) }
        return Array(room.values.prefix(Int(bytes)))
    }

    private func unfolded(_ folded: [UInt8], count: Int, _ table: bbp_kernels) -> [UInt8]? {
        let plane = Edge([UInt8](repeating: 0xee, count: count))
        let fits = folded.withUnsafeBufferPointer {
            table.unfold($0.baseAddress, Int64(folded.count), Int64(count), plane.start)
        }
        return fits != 0 ? plane.values : nil
    }

    @Test("the layout is what the article says") func layout() throws {
        // 7 below 9 is 2, and so on; the first half in the low bits; 200 below is written out.
        let plane: [UInt8] = [207, 209, 1, 208, 209] + [UInt8](repeating: 209, count: 27)
        let plain = try plainKernels()
        let bytes = folded(plane, plain)
        #expect(bytes.count == 1 + 16 + 1)
        #expect(Array(bytes.prefix(6)) == [209, 2, 0, 15, 1, 0])
        #expect(bytes.last == 1)
    }

    @Test("vector paths fold as the plain one and come back", arguments: VectorPath.allCases) func paths(
        _ path: VectorPath
    ) throws {
        let (kernels, plain) = (try path.kernels(), try plainKernels())
        for count in [1, 2, 3, 31, 64, 65, 127, 1000, 4096] {
            for far in [0, 3, 30, 400] {
                let plane = exponents(count, far: far)
                let bytes = folded(plane, plain)
                #expect(folded(plane, kernels) == bytes)
                let most = plane.filter { Int(plane.max() ?? 0) - Int($0) >= 15 }.count
                #expect(bytes.isEmpty == (most > count / 16))
                if bytes.isEmpty { continue }
                for table in [kernels, plain] {
                    #expect(unfolded(bytes, count: count, table) == plane)
                    // One exponent too few or too many is noticed.
                    #expect(unfolded(bytes + [7], count: count, table) == nil)
                    #expect(unfolded(bytes.dropLast(), count: count, table) == nil)
                }
            }
        }
    }

    @Test("every path has the same checksum", arguments: VectorPath.allCases) func checksums(_ path: VectorPath) throws
    {
        let (kernels, plain) = (try path.kernels(), try plainKernels())
        var numbers = TestNumbers(11)
        for count in [0, 1, 8, 16, 17, 128, 129, 240, 241, 1024, 1025, 70_000] {
            let bytes = Edge(numbers.bytes(count))
            #expect(kernels.checksum(bytes.start, Int64(count)) == plain.checksum(bytes.start, Int64(count)))
        }
    }
}

struct ProductTests {
    @Test(arguments: [(1, 1, 1), (3, 5, 7), (8, 3, 256), (9, 40, 257), (17, 2, 600)])
    func sumsInDouble(m: Int, k: Int, n: Int) {
        var numbers = TestNumbers(9)
        let a = Edge((0..<m * k).map { _ in numbers.float() }), b = Edge((0..<k * n).map { _ in numbers.float() })
        let out = Edge([Float](repeating: .nan, count: m * n))
        bbp_product_f64(a.start, b.start, Int64(m), Int64(k), Int64(n), out.start)
        let expected = (0..<m * n).map { i in
            Float((0..<k).reduce(0.0) { $0 + Double(a.start[i / n * k + $1]) * Double(b.start[$1 * n + i % n]) })
        }
        #expect(out.values.bits == expected.bits)
    }

    @Test func keepsWhatSinglePrecisionLoses() {
        var out: Float = 0
        bbp_product_f64([1e8, 1, -1e8], [1, 1, 1], 1, 3, 1, &out)
        #expect(out == 1)
    }
}
