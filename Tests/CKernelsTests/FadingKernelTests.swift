import CKernels
import Glibc
import TestSupport
import Testing

/// Counts around the vector's width, where tails begin.
private let counts = [1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 100]

/// Kernels of recurrences whose decays are computed from their rows.
struct FadingKernelTests {
    @Test(arguments: VectorPath.allCases) func products(_ path: VectorPath) throws {
        for kernels in [try path.kernels(), try plainKernels()] {
            var numbers = TestNumbers(21)
            for count in counts {
                let x = Edge(randomFloats(count, &numbers)), y = Edge(randomFloats(count, &numbers))
                let products = zip(x.values, y.values).map { $0 * $1 }
                kernels.multiply(x.start, y.start, Int64(count))
                #expect(x.values == products)
            }
        }
    }

    @Test(arguments: VectorPath.allCases) func blends(_ path: VectorPath) throws {
        let (kernels, plain) = (try path.kernels(), try plainKernels())
        var numbers = TestNumbers(22)
        for width in counts {
            let rows = 3
            // A row and the one before it: b begins a row before a.
            let u = Edge(randomFloats((rows + 1) * width, &numbers))
            let share = Edge(randomFloats(width, &numbers)), plus = Edge(randomFloats(rows * width, &numbers))
            for (hasShare, hasPlus) in [(true, true), (true, false), (false, true)] {
                func blended(_ kernels: bbp_kernels) -> [Float] {
                    let out = Edge([Float](repeating: .nan, count: rows * width))
                    kernels.blend(
                        u.start + width, u.start, hasShare ? share.start : nil, hasPlus ? plus.start : nil, Int64(rows),
                        Int64(width), out.start)
                    return out.values
                }
                let found = blended(kernels)
                #expect(found.distance(to: blended(plain)) < 1e-5)
                if let avx2 = bbp_kernels_for(BBP_AVX2)?.pointee { #expect(blended(avx2).bits == found.bits) }
                let u = u.values, share = share.values, plus = plus.values
                for (i, value) in blended(plain).enumerated() {
                    let part = (hasShare ? share[i % width] : 0) + (hasPlus ? plus[i] : 0)
                    #expect(abs(value - (u[i + width] + (u[i] - u[i + width]) * part)) < 1e-5)
                }
                // In place of a and of plus.
                for (a, target) in [(Edge(Array(u[width...])), true), (Edge(plus), false)] where target || hasPlus {
                    let from = target ? a : Edge(Array(u[width...])), added = target ? Edge(plus) : a
                    let before = Edge(Array(u[..<(rows * width)])), shares = Edge(share)
                    kernels.blend(
                        from.start, before.start, hasShare ? shares.start : nil, hasPlus ? added.start : nil,
                        Int64(rows), Int64(width), a.start)
                    #expect(a.values.bits == found.bits)
                }
            }
        }
    }

    @Test(arguments: VectorPath.allCases) func normsOfHeads(_ path: VectorPath) throws {
        let (kernels, plain) = (try path.kernels(), try plainKernels())
        var numbers = TestNumbers(23)
        for size in counts {
            for (rows, heads) in [(1, 1), (4, 2), (6, 3)] {
                let x = (0..<rows * heads * size).map { numbers.float() + Float($0 / size % 3) }
                let weight = Edge(randomFloats(heads * size, &numbers)),
                    bias = Edge(randomFloats(heads * size, &numbers))
                func normed(_ kernels: bbp_kernels) -> [Float] {
                    let values = Edge(x)
                    kernels.norm_heads(
                        values.start, weight.start, bias.start, 1e-3, Int64(rows), Int64(heads), Int64(size),
                        values.start)
                    return values.values
                }
                // Head by head by the norm of rows.
                func alone(_ kernels: bbp_kernels) -> [Float] {
                    let values = Edge(x)
                    for head in 0..<rows * heads {
                        let at = head % heads * size
                        kernels.layer_norm(
                            values.start + head * size, weight.start + at, bias.start + at, 1e-3, 1, Int64(size),
                            values.start + head * size)
                    }
                    return values.values
                }
                #expect(normed(kernels).bits == alone(kernels).bits && normed(plain).bits == alone(plain).bits)
                #expect(normed(kernels).distance(to: normed(plain)) < 1e-4)
                if let avx2 = bbp_kernels_for(BBP_AVX2)?.pointee { #expect(normed(avx2).bits == normed(kernels).bits) }
            }
        }
    }

    @Test(arguments: VectorPath.allCases) func productsOfHeads(_ path: VectorPath) throws {
        let (kernels, plain) = (try path.kernels(), try plainKernels())
        var numbers = TestNumbers(24)
        for size in counts {
            let (rows, heads) = (3, 2)
            let parts = (0..<4).map { _ in Edge(randomFloats(rows * heads * size, &numbers)) }
            let weight = Edge(randomFloats(heads * size, &numbers))
            func sums(_ kernels: bbp_kernels) -> [Float] {
                let x = Edge(parts[3].values)
                kernels.add_head_products(
                    parts[0].start, parts[1].start, weight.start, parts[2].start, Int64(rows), Int64(heads),
                    Int64(size),
                    x.start)
                return x.values
            }
            let (a, b, v, x) = (parts[0].values, parts[1].values, parts[2].values, parts[3].values)
            let exact = x.indices.map { i in
                let head = i / size * size, own = i / size % heads * size
                let sum = (0..<size).map {
                    Double(a[head + $0]) * Double(b[head + $0]) * Double(weight.start[own + $0])
                }
                return Float(Double(x[i]) + sum.reduce(0, +) * Double(v[i]))
            }
            for kernels in [kernels, plain] { #expect(sums(kernels).distance(to: exact) < 1e-5 * Float(size)) }
            if let avx2 = bbp_kernels_for(BBP_AVX2)?.pointee { #expect(sums(avx2).bits == sums(kernels).bits) }
        }
    }
}

/// A scan of one head over some rows, with gaps between them.
private protocol ColumnScan {
    var valueSize: Int { get }
    var keySize: Int { get }
    var state: [Float] { get }
    init(rows: Int, keySize: Int, valueSize: Int, _ numbers: inout TestNumbers)

    /// Outputs and the state after the last row, of columns `columns`, `step` rows at a time; 77 where nothing is
    /// written.
    func run(_ kernels: bbp_kernels, columns: Range<Int>?, step: Int?) -> (out: [Float], state: [Float])
    /// The recurrence, in double precision.
    var exact: (out: [Float], state: [Float]) { get }
}

extension ColumnScan {
    static var gap: Int { 5 }
    var keyStride: Int { keySize + Self.gap }
    var valueStride: Int { valueSize + Self.gap }

    static func each(seed: UInt64, _ body: (Self) throws -> Void) rethrows {
        var numbers = TestNumbers(seed)
        for (keySize, valueSize) in [(1, 1), (5, 17), (16, 16), (17, 40), (8, 33), (64, 64), (3, 100)] {
            for rows in [1, 2, 37] { try body(Self(rows: rows, keySize: keySize, valueSize: valueSize, &numbers)) }
        }
    }

    func expectRecurrence(_ kernels: bbp_kernels, within tolerance: Float) {
        let (found, exact) = (run(kernels, columns: nil, step: nil), exact)
        #expect(found.state.distance(to: exact.state) < tolerance)
        #expect(found.out.distance(to: exact.out) < 2 * tolerance * Float(keySize).squareRoot())
    }

    /// Results of rows and of columns do not depend on what else is taken along.
    func expectIndependence(_ kernels: bbp_kernels) {
        let whole = run(kernels, columns: nil, step: nil)
        for step in [1, 3, 16] {
            let cut = run(kernels, columns: nil, step: step)
            #expect(cut.out.bits == whole.out.bits && cut.state.bits == whole.state.bits)
        }
        for first in stride(from: 0, to: valueSize, by: 11) {
            let columns = first..<min(first + 11, valueSize)
            let part = run(kernels, columns: columns, step: nil)
            for (i, value) in part.out.enumerated() {
                let isOwn = columns.contains(i % valueStride)
                #expect(value.bitPattern == (isOwn ? whole.out[i] : 77).bitPattern)
            }
            for (i, value) in part.state.enumerated() {
                let isOwn = columns.contains(i % valueStride)
                #expect(value.bitPattern == (isOwn ? whole.state[i] : state[i]).bitPattern)
            }
        }
    }

    func expectSameBits(_ one: bbp_kernels, _ other: bbp_kernels) {
        let (one, other) = (run(one, columns: nil, step: nil), run(other, columns: nil, step: nil))
        #expect(one.out.bits == other.out.bits && one.state.bits == other.state.bits)
    }
}

/// A state whose rows fade.
private struct Scan: ColumnScan {
    let rows, keySize, valueSize: Int
    var q, k, loss, v, state: [Float]

    init(rows: Int, keySize: Int, valueSize: Int, _ numbers: inout TestNumbers) {
        (self.rows, self.keySize, self.valueSize) = (rows, keySize, valueSize)
        func values(_ width: Int) -> [Float] { randomFloats((rows - 1) * (width + Self.gap) + width, &numbers) }
        (q, k, loss, v) = (values(keySize), values(keySize), values(keySize), values(valueSize))
        loss = loss.map { 1 / (1 + exp(4 * $0)) }
        state = randomFloats((keySize - 1) * (valueSize + Self.gap) + valueSize, &numbers)
    }

    func run(_ kernels: bbp_kernels, columns: Range<Int>?, step: Int?) -> (out: [Float], state: [Float]) {
        let columns = columns ?? 0..<valueSize
        let (q, k, loss, v) = (Edge(q), Edge(k), Edge(loss), Edge(v))
        let state = Edge(state), out = Edge([Float](repeating: 77, count: self.v.count))
        for first in stride(from: 0, to: rows, by: step ?? rows) {
            let (key, value) = (first * keyStride, first * valueStride + columns.lowerBound)
            kernels.fading_scan(
                q.start + key, k.start + key, loss.start + key, Int64(keyStride), v.start + value, Int64(valueStride),
                Int64(min(step ?? rows, rows - first)), Int64(keySize), Int64(columns.count),
                state.start + columns.lowerBound, Int64(valueStride), out.start + value, Int64(valueStride))
        }
        return (out.values, state.values)
    }

    var exact: (out: [Float], state: [Float]) {
        var (sums, outputs) = (state.map(Double.init), [Float](repeating: 77, count: v.count))
        for row in 0..<rows {
            for c in 0..<valueSize {
                var out = 0.0
                for d in 0..<keySize {
                    let (key, at) = (row * keyStride + d, d * valueStride + c)
                    out += Double(q[key]) * sums[at]
                    sums[at] = (1 - Double(loss[key])) * sums[at] + Double(k[key]) * Double(v[row * valueStride + c])
                }
                outputs[row * valueStride + c] = Float(out)
            }
        }
        return (outputs, sums.map { Float($0) })
    }
}

struct FadingScanTests {
    @Test(arguments: VectorPath.allCases) func isTheRecurrence(_ path: VectorPath) throws {
        for kernels in [try path.kernels(), try plainKernels()] {
            Scan.each(seed: 25) { $0.expectRecurrence(kernels, within: 1e-5) }
        }
    }

    @Test(arguments: VectorPath.allCases) func rowsAndColumnsByThemselves(_ path: VectorPath) throws {
        for kernels in [try path.kernels(), try plainKernels()] {
            Scan.each(seed: 25) { $0.expectIndependence(kernels) }
        }
    }

    @Test func vectorPathsAgreeBitForBit() throws {
        let (avx2, avx512) = (try VectorPath.avx2.kernels(), try VectorPath.avx512.kernels())
        Scan.each(seed: 25) { $0.expectSameBits(avx2, avx512) }
    }

    /// A sum of numbers like 1 that forgets one part in 10⁶ a row comes to the 10⁶ that it should.
    @Test(arguments: VectorPath.allCases) func longMemory(_ path: VectorPath) throws {
        let kernels = try path.kernels()
        let rows = 1 << 12, times = 1 << 10
        var numbers = TestNumbers(26)
        let loss: Float = 1e-6
        let k = Edge((0..<rows).map { _ in 1 + numbers.float() / 4 }),
            losses = Edge([Float](repeating: loss, count: rows))
        let ones = Edge([Float](repeating: 1, count: rows)), out = Edge([Float](repeating: 0, count: rows))
        let state = Edge<Float>([0])
        var exact = 0.0
        for _ in 0..<times {
            kernels.fading_scan(
                ones.start, k.start, losses.start, 1, ones.start, 1, Int64(rows), 1, 1, state.start, 1, out.start, 1)
            for row in 0..<rows { exact += Double(k.start[row]) - Double(loss) * exact }
        }
        #expect(exact > 9.8e5)
        // Numbers that come again and again round the same way: so it is no nearer. A factor of 1 - 10⁻⁶ in single
        // precision would be off by 1 in 75.
        #expect(abs(Double(state.values[0]) / exact - 1) < 2e-3, "\(state.values[0]) for \(exact)")
    }
}

/// A state that is corrected.
private struct Correction: ColumnScan {
    let rows, keySize, valueSize: Int
    /// q, k, losses, directions, and these times a rate.
    var keys: [[Float]]
    var v, state: [Float]

    init(rows: Int, keySize: Int, valueSize: Int, _ numbers: inout TestNumbers) {
        (self.rows, self.keySize, self.valueSize) = (rows, keySize, valueSize)
        func values(_ width: Int) -> [Float] { randomFloats((rows - 1) * (width + Self.gap) + width, &numbers) }
        keys = (0..<5).map { _ in values(keySize) }
        keys[2] = keys[2].map { 0.45 / (1 + exp(4 * $0)) }
        for row in 0..<rows {
            let own = row * (keySize + Self.gap)..<row * (keySize + Self.gap) + keySize
            let length = keys[3][own].map { $0 * $0 }.reduce(0, +).squareRoot()
            for i in own {
                keys[3][i] /= length
                keys[4][i] = keys[3][i] / (1 + exp(-keys[4][i]))
            }
        }
        v = values(valueSize)
        state = randomFloats((keySize - 1) * (valueSize + Self.gap) + valueSize, &numbers)
    }

    func run(_ kernels: bbp_kernels, columns: Range<Int>?, step: Int?) -> (out: [Float], state: [Float]) {
        let columns = columns ?? 0..<valueSize
        let keys = keys.map(Edge.init), v = Edge(v)
        let state = Edge(state), out = Edge([Float](repeating: 77, count: self.v.count))
        for first in stride(from: 0, to: rows, by: step ?? rows) {
            let at = first * keyStride, value = first * valueStride + columns.lowerBound
            kernels.delta_scan(
                keys[0].start + at, keys[1].start + at, keys[2].start + at, keys[3].start + at, keys[4].start + at,
                Int64(keyStride), v.start + value, Int64(valueStride), Int64(min(step ?? rows, rows - first)),
                Int64(keySize), Int64(columns.count), state.start + columns.lowerBound, Int64(valueStride),
                out.start + value, Int64(valueStride))
        }
        return (out.values, state.values)
    }

    var exact: (out: [Float], state: [Float]) {
        var (sums, outputs) = (state.map(Double.init), [Float](repeating: 77, count: v.count))
        for row in 0..<rows {
            func key(_ which: Int, _ d: Int) -> Double { Double(keys[which][row * keyStride + d]) }
            for c in 0..<valueSize {
                let value = Double(v[row * valueStride + c])
                let hit = (0..<keySize).map { key(3, $0) * sums[$0 * valueStride + c] }.reduce(0, +)
                var out = 0.0
                for d in 0..<keySize {
                    let at = d * valueStride + c
                    sums[at] = (1 - key(2, d)) * sums[at] - key(4, d) * hit + key(1, d) * value
                    out += key(0, d) * sums[at]
                }
                outputs[row * valueStride + c] = Float(out)
            }
        }
        return (outputs, sums.map { Float($0) })
    }
}

struct DeltaKernelTests {
    @Test(arguments: VectorPath.allCases) func isTheRecurrence(_ path: VectorPath) throws {
        for kernels in [try path.kernels(), try plainKernels()] {
            Correction.each(seed: 27) { $0.expectRecurrence(kernels, within: 2e-5) }
        }
    }

    @Test(arguments: VectorPath.allCases) func rowsAndColumnsByThemselves(_ path: VectorPath) throws {
        for kernels in [try path.kernels(), try plainKernels()] {
            Correction.each(seed: 27) { $0.expectIndependence(kernels) }
        }
    }

    @Test func vectorPathsAgreeBitForBit() throws {
        let (avx2, avx512) = (try VectorPath.avx2.kernels(), try VectorPath.avx512.kernels())
        Correction.each(seed: 27) { $0.expectSameBits(avx2, avx512) }
    }

    private func directed(
        _ kernels: bbp_kernels, _ k: [Float], _ rate: [Float], scale: [Float], share: [Float], heads: Int
    ) -> [[Float]] {
        let (k, rate, n) = (Edge(k), Edge(rate), Edge([Float](repeating: 77, count: k.count)))
        let (scale, share) = (Edge(scale), Edge(share))
        kernels.delta_keys(
            k.start, rate.start, scale.start, share.start, Int64(k.count / scale.count), Int64(heads),
            Int64(scale.count / heads), n.start)
        return [k.values, rate.values, n.values]
    }

    @Test(arguments: VectorPath.allCases) func directions(_ path: VectorPath) throws {
        let (kernels, plain) = (try path.kernels(), try plainKernels())
        var numbers = TestNumbers(28)
        for size in counts {
            let (rows, heads) = (3, 2)
            let k = randomFloats(rows * heads * size, &numbers), rate = randomFloats(k.count, &numbers)
            let scale = randomFloats(heads * size, &numbers), share = randomFloats(heads * size, &numbers)
            let found = directed(kernels, k, rate, scale: scale, share: share, heads: heads)
            let oracle = directed(plain, k, rate, scale: scale, share: share, heads: heads)
            for (one, other) in zip(found, oracle) { #expect(one.distance(to: other) < 1e-5) }
            for i in k.indices {
                let head = i / size * size..<i / size * size + size
                let length = head.map { k[$0] * scale[$0 % scale.count] }.map { $0 * $0 }.reduce(0, +).squareRoot()
                let n = k[i] * scale[i % scale.count] / length
                #expect(abs(oracle[2][i] - n) < 1e-5 && abs(oracle[1][i] - n * rate[i]) < 1e-4)
                #expect(abs(oracle[0][i] - k[i] * (1 + (rate[i] - 1) * share[i % share.count])) < 1e-4)
            }
            if let avx2 = bbp_kernels_for(BBP_AVX2)?.pointee {
                let other = directed(avx2, k, rate, scale: scale, share: share, heads: heads)
                #expect(zip(found, other).allSatisfy { $0.bits == $1.bits })
            }
        }
        for kernels in [kernels, plain] {
            // Nothing has no direction; what is shorter than 10⁻¹² a short one.
            let none = directed(kernels, [0, 0, 1e-14, 0], [1, 1, 1, 1], scale: [1, 1], share: [0, 0], heads: 1)
            #expect(none[2][0] == 0 && none[2][1] == 0 && abs(none[2][2] - 0.01) < 1e-6 && none[2][3] == 0)
        }
        // An infinite length is noticed.
        let far = directed(kernels, [3e30, 1, 1, 1], [1, 1, 1, 1], scale: [1, 1], share: [0, 0], heads: 1)
        #expect(far[2][0].isNaN && far[2][1].isNaN && far[2][2].isFinite && far[2][3].isFinite)
    }
}
