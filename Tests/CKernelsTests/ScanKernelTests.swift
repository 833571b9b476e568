import CKernels
import Glibc
import TestSupport
import Testing

/// Rows of a selective recurrence with random values; channels have a gap after every row.
private struct Selection {
    let rows, channels, states: Int
    var x, step, gate: [Float]
    /// [rows, 2 · states]: what enters, and what is read.
    var coefficients: [Float]
    var rate, skip: [Float]
    /// [states, 2, channels]
    var state: [Float]

    init(rows: Int, channels: Int, states: Int, _ numbers: inout TestNumbers) {
        (self.rows, self.channels, self.states) = (rows, channels, states)
        x = randomFloats(rows * channels, &numbers)
        step = randomFloats(rows * channels, &numbers).map { 3 * $0 - 2 }
        gate = randomFloats(rows * channels, &numbers)
        coefficients = randomFloats(rows * 2 * states, &numbers)
        rate = randomFloats(states * channels, &numbers).map { -abs($0) }
        skip = randomFloats(channels, &numbers)
        // Low parts as small as they are.
        state = (0..<2 * states).flatMap { row in
            randomFloats(channels, &numbers).map { row % 2 == 0 ? $0 : $0 * 1e-8 }
        }
    }

    /// Rows of some channels, `gap` values between them that are to stay as they are.
    private func cut(_ values: [Float], _ wanted: Range<Int>, gap: Int) -> [Float] {
        var rows: [Float] = []
        for row in 0..<values.count / channels {
            if row > 0 { rows += [Float](repeating: 77, count: gap) }
            let start = row * channels
            rows += values[start + wanted.lowerBound..<start + wanted.upperBound]
        }
        return rows
    }

    /// Results and states of some channels, of the rows in pieces.
    func run(_ kernels: bbp_kernels, channels wanted: Range<Int>? = nil, pieces: [Int]? = nil) -> (
        x: [Float], state: [Float]
    ) {
        let wanted = wanted ?? 0..<channels
        let (gap, width) = (3, wanted.count + 3)
        let (rate, skip) = (Edge(rate), Edge(skip))
        var rates = bbp_selection(
            states: Int64(states), width: Int64(channels), rate: rate.start, skip: skip.start)
        let x = Edge(cut(x, wanted, gap: gap)), step = Edge(cut(step, wanted, gap: gap))
        let gate = Edge(cut(gate, wanted, gap: gap)), state = Edge(cut(state, wanted, gap: gap))
        let coefficients = Edge(coefficients)
        var first = 0
        for count in pieces ?? [rows] {
            kernels.selective_scan(
                &rates, Int64(wanted.lowerBound), Int64(wanted.count), step.start + first * width, Int64(width),
                coefficients.start + first * 2 * states, coefficients.start + first * 2 * states + states,
                Int64(2 * states), gate.start + first * width, Int64(width), Int64(count), state.start, Int64(width),
                x.start + first * width, Int64(width))
            first += count
        }
        withExtendedLifetime((rate, skip)) {}
        func packed(_ values: [Float]) -> [Float] {
            var rows: [Float] = []
            for start in stride(from: 0, to: values.count, by: width) {
                let end = start + wanted.count
                rows += values[start..<end]
                #expect(values[end..<min(values.count, start + width)].allSatisfy { $0 == 77 })
            }
            return rows
        }
        return (packed(x.values), packed(state.values))
    }

    /// The formulas in double precision, one after another.
    var exact: [Float] {
        var values = x.map(Double.init)
        func logistic(_ a: Double) -> Double { 1 / (1 + exp(-a)) }
        for channel in 0..<channels {
            var s: [Double] = (0..<states).map { n in
                let high = Double(state[2 * n * channels + channel])
                return high + Double(state[(2 * n + 1) * channels + channel])
            }
            for row in 0..<rows {
                let at = row * channels + channel
                let d = log(1 + exp(Double(step[at]))), u = values[at]
                var sum = Double(skip[channel]) * u
                for n in 0..<states {
                    let entering = Double(coefficients[row * 2 * states + n])
                    let leaving = Double(coefficients[row * 2 * states + states + n])
                    s[n] *= exp2(d * Double(rate[n * channels + channel]))
                    s[n] += d * u * entering
                    sum += s[n] * leaving
                }
                values[at] = sum * Double(gate[at]) * logistic(Double(gate[at]))
            }
        }
        return values.map { Float($0) }
    }
}

/// Rows of a recurrence with complex states.
private struct Modes {
    let rows, channels, modes: Int
    var x: [Float]
    /// [modes, 4, channels]
    var values: [Double]
    var skip: [Float]
    /// [modes, 2, channels]
    var state: [Double]

    init(rows: Int, channels: Int, modes: Int, _ numbers: inout TestNumbers) {
        (self.rows, self.channels, self.modes) = (rows, channels, modes)
        x = randomFloats(rows * channels, &numbers)
        skip = randomFloats(channels, &numbers)
        state = randomFloats(2 * modes * channels, &numbers).map(Double.init)
        values = randomFloats(4 * modes * channels, &numbers).map(Double.init)
        // What stays is below 1 in size.
        for n in 0..<modes {
            for c in 0..<channels {
                let angle = values[4 * n * channels + c]
                let size = 1 / (1 + 0.1 * abs(values[(4 * n + 1) * channels + c]))
                values[4 * n * channels + c] = size * cos(angle)
                values[(4 * n + 1) * channels + c] = size * sin(angle)
            }
        }
    }

    func run(
        _ kernels: bbp_kernels, activation: bbp_activation = BBP_GELU, channels wanted: Range<Int>? = nil,
        pieces: [Int]? = nil
    ) -> (x: [Float], state: [Double]) {
        let wanted = wanted ?? 0..<channels
        let (values, skip, whole) = (Edge(values), Edge(skip), Edge(x))
        let state = Edge(state)
        var modes = bbp_modes(
            modes: Int64(modes), width: Int64(channels), values: values.start, skip: skip.start)
        var first = 0
        for count in pieces ?? [rows] {
            kernels.modal_scan(
                &modes, Int64(wanted.lowerBound), Int64(wanted.count), Int32(activation.rawValue), Int64(count),
                state.start + wanted.lowerBound, Int64(channels), whole.start + first * channels + wanted.lowerBound,
                Int64(channels))
            first += count
        }
        withExtendedLifetime((values, skip)) {}
        return (whole.values, state.values)
    }

    /// The formulas without the activation.
    var exact: [Float] {
        var result = x
        for c in 0..<channels {
            var s: [(re: Double, im: Double)] = (0..<modes).map { n in
                (state[2 * n * channels + c], state[(2 * n + 1) * channels + c])
            }
            for row in 0..<rows {
                let u = Double(x[row * channels + c])
                var sum = Double(skip[c]) * u
                for n in 0..<modes {
                    func value(_ i: Int) -> Double { values[(4 * n + i) * channels + c] }
                    let (re, im) = s[n]
                    s[n] = (value(0) * re - value(1) * im + u, value(0) * im + value(1) * re)
                    sum += value(2) * s[n].re - value(3) * s[n].im
                }
                result[row * channels + c] = Float(sum)
            }
        }
        return result
    }
}

struct ScanKernelTests {
    private func selections(_ body: (Selection) throws -> Void) rethrows {
        var numbers = TestNumbers(21)
        for (channels, states) in [(1, 1), (16, 16), (5, 3), (33, 4), (40, 256)] {
            for rows in [1, 2, 65, 300] {
                try body(Selection(rows: rows, channels: channels, states: states, &numbers))
            }
        }
    }

    private func modes(_ body: (Modes) throws -> Void) rethrows {
        var numbers = TestNumbers(22)
        for (channels, modes) in [(1, 1), (8, 4), (16, 32), (5, 3), (23, 7)] {
            for rows in [1, 2, 64, 65, 200, 1100] {
                try body(Modes(rows: rows, channels: channels, modes: modes, &numbers))
            }
        }
    }

    /// As a share of the largest.
    private func error(_ found: [Float], _ wanted: [Float]) -> Float {
        found.distance(to: wanted) / max(1, wanted.map(abs).max() ?? 0)
    }

    // MARK: Selective recurrences

    @Test func plainSelectionIsTheFormula() throws {
        let plain = try plainKernels()
        selections { #expect(error($0.run(plain).x, $0.exact) < 1e-6) }
    }

    @Test(arguments: VectorPath.allCases) func selectionAgreesWithPlain(_ path: VectorPath) throws {
        let (kernels, plain) = (try path.kernels(), try plainKernels())
        selections { selection in
            let (found, wanted) = (selection.run(kernels), selection.run(plain))
            #expect(error(found.x, wanted.x) < 3e-6 && error(found.state, wanted.state) < 3e-6)
        }
    }

    @Test func vectorPathsSelectBitForBit() throws {
        let (avx2, avx512) = (try VectorPath.avx2.kernels(), try VectorPath.avx512.kernels())
        selections { selection in
            let (one, other) = (selection.run(avx2), selection.run(avx512))
            #expect(one.x.bits == other.x.bits && one.state.bits == other.state.bits)
        }
    }

    @Test(arguments: VectorPath.allCases) func selectionDoesNotSeeItsCompany(_ path: VectorPath) throws {
        for kernels in [try path.kernels(), try plainKernels()] {
            selections { selection in
                let (whole, channels) = (selection.run(kernels), selection.channels)
                // Rows in pieces.
                let pieces = [selection.rows / 3, 0, selection.rows - selection.rows / 3]
                let cut = selection.run(kernels, pieces: pieces)
                #expect(cut.x.bits == whole.x.bits && cut.state.bits == whole.state.bits)
                // Channels by themselves.
                for wanted in [0..<1, channels / 2..<channels] {
                    let few = selection.run(kernels, channels: wanted)
                    for row in 0..<selection.rows {
                        let start = row * channels, place = row * wanted.count
                        let own = Array(whole.x[start + wanted.lowerBound..<start + wanted.upperBound])
                        #expect(Array(few.x[place..<place + wanted.count]).bits == own.bits)
                    }
                }
            }
        }
    }

    /// A million changes of a thousandth of a rounding error each, and a state that fades by a thousandth of one a row.
    @Test(arguments: VectorPath.allCases) func whatIsSmallAddsUp(_ path: VectorPath) throws {
        var numbers = TestNumbers(23)
        let rows = 1_000_000
        for kernels in [try path.kernels(), try plainKernels()] {
            var selection = Selection(rows: rows, channels: 1, states: 2, &numbers)
            // Steps of 2e-10.
            selection.step = [Float](repeating: log(2e-10), count: rows)
            selection.x = [Float](repeating: 1, count: rows)
            selection.rate = [0, -1]
            selection.state = [1, 0, 1, 0]
            selection.coefficients = (0..<rows).flatMap { _ in [1, 0, 0, 0] as [Float] }
            let state = selection.run(kernels).state
            let found = [state[0] - 1, state[2] - 1].map(Double.init)
            #expect(abs(found[0] / 2e-4 - 1) < 2e-3, "\(found)")
            #expect(abs(found[1] / (exp2(-2e-4) - 1) - 1) < 2e-3, "\(found)")
        }
    }

    @Test(arguments: VectorPath.allCases) func stepsAndGatesOfAnySizeWork(_ path: VectorPath) throws {
        var numbers = TestNumbers(24)
        let sizes: [Float] = [-.infinity, -1e30, -200, -90, -30, -1e-6, 0, 1e-6, 30, 90, 200]
        for kernels in [try path.kernels(), try plainKernels()] {
            var selection = Selection(rows: sizes.count, channels: 1, states: 1, &numbers)
            selection.state = [2, 0]
            selection.rate = [-1]
            selection.coefficients = sizes.flatMap { _ in [0, 1] as [Float] }
            selection.gate = sizes
            for step in sizes {
                selection.step = sizes.map { _ in step }
                let found = selection.run(kernels), wanted = selection.exact
                #expect(found.x.allSatisfy(\.isFinite) && found.state.allSatisfy(\.isFinite))
                for (row, gate) in sizes.enumerated() where gate > -1e3 {
                    #expect(abs(found.x[row] - wanted[row]) < 1e-6 * max(1, abs(gate)), "step \(step), gate \(gate)")
                }
            }
        }
    }

    // MARK: Complex states

    @Test func plainModesAreTheFormula() throws {
        let plain = try plainKernels()
        modes { #expect(error($0.run(plain, activation: BBP_NO_ACTIVATION).x, $0.exact) < 1e-6) }
    }

    @Test(arguments: VectorPath.allCases) func modesAgreeWithPlain(_ path: VectorPath) throws {
        let (kernels, plain) = (try path.kernels(), try plainKernels())
        modes { modes in
            let (found, wanted) = (modes.run(kernels), modes.run(plain))
            #expect(error(found.x, wanted.x) < 1e-6)
            for (one, other) in zip(found.state, wanted.state) {
                #expect(abs(one - other) < 3e-6 * max(1, abs(other)))
            }
        }
    }

    @Test func vectorPathsTakeModesBitForBit() throws {
        let (avx2, avx512) = (try VectorPath.avx2.kernels(), try VectorPath.avx512.kernels())
        modes { modes in
            let (one, other) = (modes.run(avx2), modes.run(avx512))
            #expect(one.x.bits == other.x.bits && one.state.map(\.bitPattern) == other.state.map(\.bitPattern))
        }
    }

    @Test(arguments: VectorPath.allCases) func modesDoNotSeeTheirCompany(_ path: VectorPath) throws {
        for kernels in [try path.kernels(), try plainKernels()] {
            modes { modes in
                let (whole, channels) = (modes.run(kernels), modes.channels)
                // Whole pieces of rows.
                let early = modes.rows / 3 / Int(BBP_MODAL_ROWS) * Int(BBP_MODAL_ROWS)
                let cut = modes.run(kernels, pieces: [early, 0, modes.rows - early])
                #expect(
                    cut.x.bits == whole.x.bits && cut.state.map(\.bitPattern) == whole.state.map(\.bitPattern))
                for wanted in [0..<1, channels / 2..<channels] {
                    let few = modes.run(kernels, channels: wanted)
                    for place in 0..<modes.rows * channels {
                        let expected = wanted.contains(place % channels) ? whole.x[place] : modes.x[place]
                        #expect(few.x[place].bitPattern == expected.bitPattern)
                    }
                    for place in 0..<2 * modes.modes * channels {
                        let expected = wanted.contains(place % channels) ? whole.state[place] : modes.state[place]
                        #expect(few.state[place].bitPattern == expected.bitPattern)
                    }
                }
            }
        }
    }

    /// A million rows of 1 into a state that loses a ten-millionth of itself a row: a rate rounded to a float would
    /// lose a fifth more or less.
    @Test(arguments: VectorPath.allCases) func modesThatLastForget(_ path: VectorPath) throws {
        var numbers = TestNumbers(27)
        for kernels in [try path.kernels(), try plainKernels()] {
            var modes = Modes(rows: 1_000_000, channels: 1, modes: 1, &numbers)
            modes.x = [Float](repeating: 1, count: modes.rows)
            modes.values = [1 - 1e-7, 0, 1, 0]
            modes.state = [0, 0]
            let found = modes.run(kernels, activation: BBP_NO_ACTIVATION), wanted = -expm1(-0.1) * 1e7
            #expect(abs(found.state[0] / wanted - 1) < 1e-6 && found.state[1] == 0)
            #expect(abs(Double(found.x[modes.rows - 1]) / wanted - 1) < 1e-6)
        }
    }

    // MARK: Gates

    @Test func halvesAreGated() throws {
        var numbers = TestNumbers(26)
        let plain = try plainKernels()
        let paths = [BBP_AVX2, BBP_AVX512].compactMap { bbp_kernels_for($0)?.pointee }
        for (rows, width) in [(1, 1), (3, 16), (5, 21), (2, 48)] {
            var x = randomFloats(rows * 2 * width, &numbers)
            x[2 * width - 1] = -300
            let start = randomFloats(rows * width, &numbers)
            func run(_ kernels: bbp_kernels) -> [Float] {
                let (x, y) = (Edge(x), Edge(start))
                kernels.gate_halves(
                    x.start, Int64(2 * width), Int64(rows), Int64(width), y.start, Int64(width), y.start,
                    Int64(width))
                return y.values
            }
            let wanted: [Float] = (0..<rows * width).map { place in
                let (row, column) = place.quotientAndRemainder(dividingBy: width)
                let a = Double(x[row * 2 * width + column]), b = Double(x[row * 2 * width + width + column])
                return Float(Double(start[place]) + a / (1 + exp(-b)))
            }
            #expect(run(plain).distance(to: wanted) < 5e-7)
            for kernels in paths { #expect(run(kernels).distance(to: wanted) < 2e-6) }
            #expect(Set(paths.map { run($0).bits }).count <= 1)
        }
    }
}
