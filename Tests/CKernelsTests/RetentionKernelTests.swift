import CKernels
import Glibc
import TestSupport
import Testing

/// A chunk of one head with random values, and what a path makes of it. Rows have gaps between them.
private struct Chunk {
    let rows, keySize, valueSize: Int
    var q, k, v: [Float]
    var state: [Float]
    let powers: [Float]
    static let gap = 3

    init(rows: Int, keySize: Int, valueSize: Int, decay: Double = 1 - 1.0 / 32, _ numbers: inout TestNumbers) {
        (self.rows, self.keySize, self.valueSize) = (rows, keySize, valueSize)
        func values(_ width: Int) -> [Float] { randomFloats((rows - 1) * (width + Self.gap) + width, &numbers) }
        (q, k, v) = (values(keySize), values(keySize), values(valueSize))
        state = randomFloats(keySize * valueSize, &numbers)
        powers = (0...rows).map { Float(pow(decay, Double($0))) }
    }

    var keyStride: Int { keySize + Self.gap }
    var valueStride: Int { valueSize + Self.gap }

    func delta(_ kernels: bbp_kernels) -> [Float] {
        let (k, v, powers) = (Edge(k), Edge(v), Edge(Array(powers.dropLast())))
        let delta = Edge([Float](repeating: .nan, count: keySize * valueSize))
        kernels.retention_delta(
            k.start, Int64(keyStride), v.start, Int64(valueStride), Int64(rows), Int64(keySize), Int64(valueSize),
            powers.start, delta.start)
        return delta.values
    }

    /// [rows, valueSize], and what lies between the rows is as it was.
    func output(_ kernels: bbp_kernels) -> [[Float]] {
        let (q, k, v, powers, state) = (Edge(q), Edge(k), Edge(v), Edge(powers), Edge(state))
        let out = Edge([Float](repeating: 77, count: (rows - 1) * valueStride + valueSize))
        let scratch = scratch(floats: bbp_retention_scratch(Int64(keySize)))
        kernels.retention_output(
            q.start, Int64(keyStride), k.start, Int64(keyStride), v.start, Int64(valueStride), Int64(rows),
            Int64(keySize), Int64(valueSize), powers.start, state.start, out.start, Int64(valueStride), scratch.start)
        let values = out.values
        for row in 0..<rows - 1 {
            #expect(values[row * valueStride + valueSize..<(row + 1) * valueStride].allSatisfy { $0 == 77 })
        }
        return (0..<rows).map { Array(values[$0 * valueStride..<$0 * valueStride + valueSize]) }
    }

    /// The first rows of the chunk.
    func prefix(_ count: Int) -> Chunk { Chunk(self, count) }

    private init(_ whole: Chunk, _ count: Int) {
        (rows, keySize, valueSize, state) = (count, whole.keySize, whole.valueSize, whole.state)
        powers = Array(whole.powers[...count])
        q = Array(whole.q[..<((count - 1) * whole.keyStride + keySize)])
        k = Array(whole.k[..<((count - 1) * whole.keyStride + keySize)])
        v = Array(whole.v[..<((count - 1) * whole.valueStride + valueSize)])
    }
}

struct RetentionKernelTests {
    private static let sizes = [(1, 1), (5, 17), (17, 40), (16, 32), (40, 64), (64, 128), (8, 5), (32, 48)]
    private static let rows = [1, 2, 7, 8, 15, 16, 17, 33, 64, 100, 127, 128]

    private func chunks(_ body: (Chunk) throws -> Void) rethrows {
        var numbers = TestNumbers(12)
        for (keySize, valueSize) in Self.sizes {
            for rows in Self.rows {
                try body(Chunk(rows: rows, keySize: keySize, valueSize: valueSize, &numbers))
            }
        }
    }

    @Test(arguments: VectorPath.allCases) func agreesWithPlain(_ path: VectorPath) throws {
        let (kernels, plain) = (try path.kernels(), try plainKernels())
        chunks { chunk in
            #expect(chunk.delta(kernels).distance(to: chunk.delta(plain)) < 1e-5)
            // Sums of up to 128 · 64 products of four.
            let bound = 3e-6 * Float(chunk.keySize).squareRoot() * 8
            for (found, expected) in zip(chunk.output(kernels), chunk.output(plain)) {
                #expect(found.distance(to: expected) < bound)
            }
        }
    }

    @Test func vectorPathsAgreeBitForBit() throws {
        let (avx2, avx512) = (try VectorPath.avx2.kernels(), try VectorPath.avx512.kernels())
        chunks { chunk in
            #expect(chunk.delta(avx2).bits == chunk.delta(avx512).bits)
            #expect(chunk.output(avx2).map(\.bits) == chunk.output(avx512).map(\.bits))
        }
    }

    /// S <- decay S + kᵀ v, out = q S, row by row, over three chunks.
    @Test func plainChunksAreTheRecurrence() throws {
        let plain = try plainKernels()
        var numbers = TestNumbers(13)
        let (keySize, valueSize, decay) = (5, 9, 1 - 1.0 / 32)
        var carried = [Float](repeating: 0, count: keySize * valueSize)
        var exact = carried.map(Double.init)
        for rows in [128, 40, 1] {
            var chunk = Chunk(rows: rows, keySize: keySize, valueSize: valueSize, decay: decay, &numbers)
            chunk.state = carried
            let found = chunk.output(plain)
            for row in 0..<rows {
                var out = [Double](repeating: 0, count: valueSize)
                for d in 0..<keySize {
                    for c in 0..<valueSize {
                        let product =
                            Double(chunk.k[row * chunk.keyStride + d]) * Double(chunk.v[row * chunk.valueStride + c])
                        exact[d * valueSize + c] = decay * exact[d * valueSize + c] + product
                        out[c] += Double(chunk.q[row * chunk.keyStride + d]) * exact[d * valueSize + c]
                    }
                }
                #expect(found[row].distance(to: out.map(Float.init)) < 2e-5)
            }
            carried = zip(carried, chunk.delta(plain)).map { $0 * chunk.powers[rows] + $1 }
            #expect(carried.distance(to: exact.map(Float.init)) < 1e-5)
        }
    }

    @Test(arguments: VectorPath.allCases) func aRowDoesNotSeeThoseAfterIt(_ path: VectorPath) throws {
        for kernels in [try path.kernels(), try plainKernels()] {
            chunks { chunk in
                let whole = chunk.output(kernels)
                for count in Self.rows where count < chunk.rows {
                    #expect(chunk.prefix(count).output(kernels).map(\.bits) == whole[..<count].map(\.bits))
                    // Nor their values, whatever they are.
                    var spoiled = chunk
                    for i in count * chunk.keyStride..<chunk.k.count {
                        (spoiled.q[i], spoiled.k[i]) = (.nan, .infinity)
                    }
                    for i in count * chunk.valueStride..<chunk.v.count { spoiled.v[i] = .nan }
                    #expect(spoiled.output(kernels)[..<count].map(\.bits) == whole[..<count].map(\.bits))
                }
            }
        }
    }
}

/// A chunk of one head whose rows say how much of a state is left.
private struct FadingChunk {
    let rows, keySize, valueSize: Int
    var q, k, v, state: [Float]
    /// Of each row: the logarithm to base 2 of what a state has faded by, in double precision, and its step.
    var logs: [Double]
    var steps: [Float]

    init(rows: Int, keySize: Int, valueSize: Int, decay: Double, _ numbers: inout TestNumbers) {
        (self.rows, self.keySize, self.valueSize) = (rows, keySize, valueSize)
        (q, k) = (randomFloats(rows * keySize, &numbers), randomFloats(rows * keySize, &numbers))
        v = randomFloats(rows * valueSize, &numbers)
        state = randomFloats(keySize * valueSize, &numbers)
        steps = (0..<rows).map { _ in abs(numbers.float()) }
        var sum = 0.0
        logs = steps.map { step in
            sum -= decay * Double(step)
            return sum
        }
    }

    func factors(_ kernels: bbp_kernels) -> [Float] {
        let log = Edge(logs.map(Float.init)), rest = Edge(logs.map { Float($0 - Double(Float($0))) })
        let steps = Edge(steps), factor = Edge([Float](repeating: .nan, count: rows * Int(BBP_RETENTION_ROWS)))
        kernels.decay_factors(log.start, rest.start, steps.start, Int64(rows), factor.start)
        return factor.values
    }

    func output(_ kernels: bbp_kernels, factors: [Float]) -> [Float] {
        let (q, k, v, state, factor) = (Edge(q), Edge(k), Edge(v), Edge(state), Edge(factors))
        let before = Edge(logs.map { Float(exp2($0)) })
        let out = Edge([Float](repeating: .nan, count: rows * valueSize))
        let scratch = scratch(floats: bbp_retention_scratch(Int64(keySize)))
        kernels.chunk_output(
            q.start, Int64(keySize), k.start, Int64(keySize), v.start, Int64(valueSize), Int64(rows), Int64(keySize),
            Int64(valueSize), before.start, factor.start, state.start, out.start, Int64(valueSize), scratch.start)
        return out.values
    }
}

struct RowDecayKernelTests {
    private static let rows = [1, 2, 7, 15, 16, 17, 33, 64, 100, 128]
    /// A state is gone in a row, or lasts for all of them.
    private static let decays = [1e-6, 0.05, 3, 400]

    private func chunks(_ body: (FadingChunk) throws -> Void) rethrows {
        var numbers = TestNumbers(15)
        for (keySize, valueSize) in [(1, 1), (5, 17), (16, 32), (40, 64)] {
            for rows in Self.rows {
                for decay in Self.decays {
                    try body(
                        FadingChunk(rows: rows, keySize: keySize, valueSize: valueSize, decay: decay, &numbers))
                }
            }
        }
    }

    @Test(arguments: VectorPath.allCases) func factorsAreThoseOfTheFormula(_ path: VectorPath) throws {
        for kernels in [try path.kernels(), try plainKernels()] {
            chunks { chunk in
                let factors = chunk.factors(kernels)
                for s in 0..<chunk.rows {
                    for r in 0..<Int(BBP_RETENTION_ROWS) {
                        let found = Double(factors[s * Int(BBP_RETENTION_ROWS) + r])
                        guard s <= r && r < chunk.rows else {
                            #expect(found == 0)
                            continue
                        }
                        // Logarithms of tens of thousands, and differences as exact as a float.
                        let distance = chunk.logs[r] - chunk.logs[s]
                        let exact = exp2(distance) * Double(chunk.steps[s])
                        #expect(abs(found - exact) <= (4e-7 - 1e-7 * distance) * exact + 1e-35, "\(s) at \(r)")
                    }
                }
            }
        }
    }

    @Test func plainOutputsAreTheRecurrence() throws {
        let plain = try plainKernels()
        chunks { chunk in
            let found = chunk.output(plain, factors: chunk.factors(plain))
            var state = chunk.state.map(Double.init)
            var before = 0.0
            for row in 0..<chunk.rows {
                var out = [Double](repeating: 0, count: chunk.valueSize)
                for d in 0..<chunk.keySize {
                    for c in 0..<chunk.valueSize {
                        let place = d * chunk.valueSize + c
                        state[place] = exp2(chunk.logs[row] - before) * state[place]
                        state[place] +=
                            Double(chunk.steps[row]) * Double(chunk.k[row * chunk.keySize + d])
                            * Double(chunk.v[row * chunk.valueSize + c])
                        out[c] += Double(chunk.q[row * chunk.keySize + d]) * state[place]
                    }
                }
                before = chunk.logs[row]
                let own = Array(found[row * chunk.valueSize..<(row + 1) * chunk.valueSize])
                #expect(own.distance(to: out.map(Float.init)) < 1e-4)
            }
        }
    }

    @Test(arguments: VectorPath.allCases) func agreesWithPlainAndBitForBit(_ path: VectorPath) throws {
        let (kernels, plain) = (try path.kernels(), try plainKernels())
        let avx2 = bbp_kernels_for(BBP_AVX2)?.pointee
        chunks { chunk in
            let factors = chunk.factors(kernels), found = chunk.output(kernels, factors: factors)
            #expect(found.distance(to: chunk.output(plain, factors: factors)) < 2e-4)
            if let avx2 {
                #expect(chunk.factors(avx2).bits == factors.bits)
                #expect(chunk.output(avx2, factors: factors).bits == found.bits)
            }
        }
    }

    @Test(arguments: VectorPath.allCases) func channels(_ path: VectorPath) throws {
        let (kernels, plain) = (try path.kernels(), try plainKernels())
        var numbers = TestNumbers(16)
        for (rows, channels, taps) in [(1, 1, 1), (5, 15, 4), (3, 16, 2), (40, 37, 7), (2, 64, 4), (5, 20, 9)] {
            let (stride, gap) = (channels + 3, 2)
            let x = Edge(randomFloats((rows + taps - 2) * stride + channels, &numbers))
            let weight = Edge(randomFloats((taps - 1) * stride + channels, &numbers))
            let bias = Edge(randomFloats(channels, &numbers))
            func run(_ kernels: bbp_kernels) -> [Float] {
                let y = Edge([Float](repeating: 77, count: (rows - 1) * (channels + gap) + channels))
                kernels.convolve_channels(
                    x.start, Int64(stride), Int64(rows), Int64(channels), Int64(taps), weight.start, Int64(stride),
                    bias.start, y.start, Int64(channels + gap))
                return y.values
            }
            let found = run(kernels)
            #expect(found.distance(to: run(plain)) < 3e-6)
            if let avx2 = bbp_kernels_for(BBP_AVX2)?.pointee { #expect(run(avx2).bits == found.bits) }
            for row in 0..<rows {
                for channel in 0..<channels + gap where row * (channels + gap) + channel < found.count {
                    let value = Double(found[row * (channels + gap) + channel])
                    guard channel < channels else {
                        #expect(value == 77)
                        continue
                    }
                    var sum = Double(bias.values[channel])
                    for tap in 0..<taps {
                        sum +=
                            Double(weight.values[tap * stride + channel])
                            * Double(x.values[(row + tap) * stride + channel])
                    }
                    #expect(abs(value - sum / (1 + exp(-sum))) < 3e-6)
                }
            }
        }
    }
}
