import CKernels
import Support
import TestSupport

@testable import Compute

/// A back end, a lane of it, and rows of random numbers that are the same for every back end.
final class Bench {
    let backend: any Backend
    let lane: any Lane
    /// Room for what operations write on the host.
    let host: Memory<Float>
    private var numbers = TestNumbers(11)

    /// Large enough for every script.
    static let needs = {
        var needs = LaneNeeds()
        (needs.width, needs.inputs, needs.vocabulary) = (64, 64, 40)
        (needs.contextRows, needs.queries, needs.headSize) = (64, 64, 16)
        (needs.convolutionValues, needs.convolutionHalves) = (1 << 20, 1 << 16)
        (needs.rotatedHead, needs.recurrentKeys, needs.decayRows) = (16, 16, 16)
        return needs
    }()

    init(_ backend: any Backend, needs: LaneNeeds = Bench.needs) throws {
        self.backend = backend
        host = try Memory(100)
        lane = try backend.lane(needs)
    }

    func numbers(_ count: Int) -> [Float] { (0..<count).map { _ in numbers.float() } }

    /// Rows of random numbers.
    func rows(_ count: Int, _ width: Int) throws -> Rows {
        let rows = try backend.rows(count, width: width)
        lane.upload(numbers(count * width), to: rows)
        return rows
    }

    /// Rows that nothing wrote.
    func empty(_ count: Int, _ width: Int) throws -> Rows { try backend.rows(count, width: width) }

    func matrix(_ inputs: Int, _ outputs: Int, hasBias: Bool = true) throws -> any Matrix {
        let bias = numbers(outputs)
        return try bias.withUnsafeBufferPointer {
            try backend.matrix(
                numbers(inputs * outputs), bias: hasBias ? $0.baseAddress : nil, inputs: inputs, outputs: outputs)
        }
    }

    func norm(_ width: Int) throws -> any Norm {
        try backend.norm(weight: numbers(width), bias: numbers(width), width: width, epsilon: 1e-5)
    }

    /// A convolution of 2 rows of 4 values, 2 rows apart or in transforms of 64 of 33.
    func convolution(isFourier: Bool = false, tileRows: Int = 40) throws -> any ConvolutionWeights {
        let shape = ConvolutionShape(kernelSize: isFourier ? 33 : 2, dilation: isFourier ? 1 : 2, channels: 6)
        return try backend.convolution(
            Convolution(shape, inputs: 4, activation: .gelu, tileRows: tileRows, size: isFourier ? 64 : 0),
            weight: numbers(6 * 4 * shape.kernelSize), bias: numbers(6)
        ) { count, body in for task in 0..<count { body(task) } }
    }

    func embedding(length: Int = 5000) throws -> any EmbeddingTable {
        let weight = numbers(8 * 24)
        return try backend.embedding(
            codebook: numbers(30 * 8), vocabulary: 30, width: 8,
            position: PositionTerm(weight: weight, scale: 0.5, width: 8, length: length))
    }

    func weights(_ count: Int) throws -> RowWeights {
        let weights = try RowWeights(count)
        for (index, value) in numbers(count).enumerated() { weights[index] = value }
        return weights
    }

    func decay() throws -> DecayTables {
        try DecayTables(decays: [0.9, 0.5], keySize: 4, valueSize: 3, chunk: 8)
    }

    /// Four heads of 3 values, two groups of 5 keys.
    func rowDecays() -> RowDecays {
        RowDecays(
            bias: [0.5, -1, 0, -3], rates: [-0.1, -3, -1, -0.01], groups: 2, keySize: 5, valueSize: 3, chunk: 8)
    }

    func filter() throws -> ChannelFilter {
        try ChannelFilter(numbers(12 * 3), bias: numbers(12), channels: 12, taps: 3)
    }

    /// Four distances, the last two of them alike, of two heads of 3.
    func distances() throws -> DistanceTable {
        try DistanceTable(heads: 2, headSize: 3, count: 4, distinct: 3) { part, values in
            for index in 0..<2 * 4 * part.count { values[index] = numbers.float() }
        }
    }

    /// Two states of five channels.
    func rates() throws -> SelectionRates {
        try SelectionRates(logarithms: numbers(10), skip: numbers(5), states: 2, channels: 5)
    }

    /// Three complex states of five channels.
    func modes() throws -> ModeTables {
        let values = numbers(60).map { Double($0) / 4 }
        return try ModeTables(modes: 3, channels: 5, skip: numbers(5)) { channel, number in
            func value(_ place: Int) -> Double { values[4 * (3 * channel + number) + place] }
            return (ComplexNumber(value(0), value(1)), ComplexNumber(value(2), value(3)))
        }
    }

    func rotation() throws -> RotationTables {
        try RotationTables(headSize: 4, frequencies: [1, 0.01], isInterleaved: false)
    }

    /// Two contexts, the first of 6 rows and 3 queries, the second of 4 and 2.
    func plan() throws -> AttentionPlan {
        let plan = try AttentionPlan(rows: 10, queries: 5)
        for (rows, queries) in [(0..<6, [(0, 0..<2), (3, 1..<5), (2, 1..<6)]), (4..<8, [(5, 0..<0), (4, 2..<4)])] {
            plan.beginContext()
            for row in rows { plan.add(row: row) }
            for (query, seen) in queries {
                plan.add(query: query, sees: seen, target: query % 2, output: query)
            }
            plan.endContext()
        }
        return plan
    }

    /// What rows hold once all that was asked for is done.
    func values(_ rows: Rows...) throws -> [Float] {
        var values: [[Float]] = rows.map { Array(repeating: 0, count: $0.count * $0.width) }
        for (index, rows) in rows.enumerated() {
            try values[index].withUnsafeMutableBufferPointer {
                guard let start = $0.baseAddress else { return }
                lane.download(rows, to: start)
                try lane.finish()
            }
        }
        return values.flatMap { $0 }
    }
}

/// One operation in all that it offers, and what comes of it.
struct LaneScript: Sendable, CustomStringConvertible {
    let description: String
    let run: @Sendable (Bench) throws -> [Float]

    init(_ description: String, _ run: @escaping @Sendable (Bench) throws -> [Float]) {
        self.description = description
        self.run = run
    }

    static let all = [
        LaneScript("load") { bench in
            let rows = try bench.rows(6, 4)
            let halves = (0..<12).map { UInt16(0x3f80 + $0) }, values = bench.numbers(8)
            halves.withUnsafeBytes { halves in
                values.withUnsafeBytes { values in
                    bench.lane.load(
                        [
                            StoredRows(halves.baseAddress!, count: 2, first: 1, step: 3),
                            StoredRows(halves.baseAddress! + 16, count: 1, first: 0, step: 1),
                        ], as: .bf16, into: rows)
                    bench.lane.load(
                        [StoredRows(values.baseAddress!, count: 2, first: 0, step: 1)], as: .f32,
                        into: rows[2..<5].columns(0..<4))
                }
            }
            return try bench.values(rows)
        },
        LaneScript("embed") { bench in
            let rows = try bench.empty(4, 8)
            bench.lane.embed([3, 29, 30, 0], positions: [0, 4097, 70, 4999], with: try bench.embedding(), into: rows)
            return try bench.values(rows)
        },
        LaneScript("store") { bench in
            let rows = try bench.rows(6, 4)
            let order: [UInt16] = [2, 0, 1, 0, 1, 2]
            var results: [Float] = []
            for (format, isOrdered) in [(RowFormat.f32, false), (.bf16, false), (.f32, true), (.bf16, true)] {
                let bytes = try Memory<UInt8>(6 * 4 * format.size)
                order.withUnsafeBufferPointer { order in
                    bench.lane.store(rows, columns: 3, order: isOrdered ? order.baseAddress : nil, as: format) {
                        UnsafeMutableRawPointer(bytes.start + $0 * 2 * 4 * format.size)
                    }
                }
                try bench.lane.finish()
                results += bytes.values.map(Float.init)
            }
            return results
        },
        LaneScript("upload and download") { bench in
            let rows = try bench.rows(5, 6)
            bench.lane.upload(bench.numbers(4), to: rows.columns(1..<3)[2..<4])
            return try bench.values(rows, rows.columns(2..<5))
        },
        LaneScript("round") { bench in
            let rows = try bench.rows(200, 6)
            bench.lane.round(rows.columns(1..<4), to: .bf16)
            bench.lane.round(rows, to: .f32)
            return try bench.values(rows)
        },
        LaneScript("zero and copy") { bench in
            let rows = try bench.rows(8, 4), other = try bench.rows(3, 2)
            bench.lane.zero(rows[0..<1])
            bench.lane.zero(rows.columns(3..<4))
            bench.lane.copy(rows[1..<6], to: rows[3..<8])
            bench.lane.copy(other, to: rows.columns(1..<3)[0..<3])
            return try bench.values(rows)
        },
        LaneScript("firstAbove") { bench in
            let rows = try bench.rows(3, 5)
            let before = try bench.lane.firstAbove(RowFormat.f32.limit, in: rows)
            bench.lane.upload([.infinity], to: rows.columns(2..<3)[1..<2])
            let found = try bench.lane.firstAbove(RowFormat.f32.limit, in: rows)
            return [Float(before ?? -1), Float(found ?? -1)]
        },
        LaneScript("normalise") { bench in
            let x = try bench.rows(7, 6), u = try bench.empty(8, 6), norm = try bench.norm(6)
            bench.lane.normalise(x, norm, into: u)
            bench.lane.normalise(x, norm, into: x)
            return try bench.values(x, u[0..<7])
        },
        LaneScript("product") { bench in
            let x = try bench.rows(9, 12), y = try bench.rows(9, 16), wide = try bench.rows(9, 20)
            let matrix = try bench.matrix(12, 16)
            bench.lane.product(x, matrix, adding: y, activation: .relu, into: y)
            bench.lane.product(x, matrix, adding: y, activation: .gelu, into: wide.columns(2..<18))
            bench.lane.product(
                wide.columns(4..<16), try bench.matrix(12, 5, hasBias: false), adding: nil, activation: nil,
                into: y.reshaped(9, width: 5))
            return try bench.values(wide, y)
        },
        LaneScript("average and add") { bench in
            let x = try bench.rows(5, 6), y = try bench.rows(5, 6)
            bench.lane.average(x, with: y)
            bench.lane.add(x, to: y)
            return try bench.values(x, y)
        },
        LaneScript("rotate") { bench in
            let x = try bench.rows(5, 12)
            bench.lane.rotate(x.columns(2..<10), first: 5000, heads: 2, by: try bench.rotation())
            return try bench.values(x)
        },
        LaneScript("gateHeads") { bench in
            let x = try bench.rows(5, 6), gate = try bench.rows(6, 6)
            let weight = try RowWeights(3)
            for index in 0..<3 { weight[index] = Float(index) + 0.5 }
            bench.lane.gateHeads(x, heads: 2, weight: weight, epsilon: 1e-3, gate: .silu(gate))
            bench.lane.gateHeads(x, heads: 3, weight: nil, epsilon: 1e-3, gate: .linear(gate))
            let all = try RowWeights(6)
            for index in 0..<6 { all[index] = Float(index) - 2 }
            bench.lane.gateHeads(x[1..<4], heads: 3, weight: all, epsilon: 1e-3, gate: .none)
            return try bench.values(x)
        },
        LaneScript("divideHeads") { bench in
            let x = try bench.rows(5, 10), y = try bench.rows(6, 9)
            bench.lane.divideHeads(x.columns(1..<9), heads: 2, epsilon: 1e-3, into: y.columns(2..<8))
            return try bench.values(x, y)
        },
        LaneScript("apply, multiply") { bench in
            let x = try bench.rows(5, 6), y = try bench.rows(6, 6)
            for function in RowFunction.allCases {
                bench.lane.apply(function, to: x)
                bench.lane.multiply(x, by: y)
            }
            return try bench.values(x)
        },
        LaneScript("blend") { bench in
            // A row and the one before it.
            let u = try bench.rows(6, 5), plus = try bench.rows(5, 5), mixed = try bench.empty(6, 5)
            bench.lane.blend(u[1..<6], with: u[0..<5], share: try bench.weights(5), plus: nil, into: mixed[1..<6])
            bench.lane.blend(mixed[1..<6], with: u[0..<5], share: nil, plus: plus, into: mixed[1..<6])
            bench.lane.blend(u[1..<3], with: u[0..<2], share: try bench.weights(5), plus: plus, into: plus[3..<5])
            return try bench.values(u, plus, mixed[1..<6])
        },
        LaneScript("normaliseHeads, addHeadProducts") { bench in
            let x = try bench.rows(5, 6), a = try bench.rows(5, 6), b = try bench.rows(6, 6), v = try bench.rows(5, 6)
            bench.lane.addHeadProducts(a, b, heads: 3, weight: try bench.weights(6), times: v, to: x)
            bench.lane.normaliseHeads(
                x, heads: 2, weight: try bench.weights(6), bias: try bench.weights(6), epsilon: 1e-3)
            return try bench.values(x)
        },
        LaneScript("fade") { bench in
            let keys = try (0..<3).map { _ in try bench.rows(9, 7) }, values = try bench.rows(9, 6)
            let state = try bench.rows(4, 5), outputs = try bench.rows(9, 4)
            // Two columns of values and the third one, the rows in two goes.
            for columns in [0..<2, 2..<3] {
                for rows in [0..<4, 4..<9] {
                    let k = keys.map { $0[rows].columns(2..<6) }
                    bench.lane.fade(
                        queries: k[0], keys: k[1], losses: k[2],
                        values: values[rows].columns(columns.lowerBound + 3..<columns.upperBound + 3),
                        state: state.columns(columns.lowerBound + 1..<columns.upperBound + 1),
                        into: outputs[rows].columns(columns))
                }
            }
            return try bench.values(state, outputs)
        },
        LaneScript("directKeys, fadeAndCorrect") { bench in
            let k = try bench.rows(9, 8), rates = try bench.rows(9, 8), directions = try bench.empty(9, 8)
            bench.lane.directKeys(
                k, rates: rates, heads: 2, scale: try bench.weights(8), share: try bench.weights(8), into: directions)
            let queries = try bench.rows(9, 8), losses = try bench.rows(9, 8), values = try bench.rows(9, 6)
            let state = try bench.rows(4, 5), outputs = try bench.rows(9, 4)
            bench.lane.apply(.logistic, to: losses)
            for rows in [0..<4, 4..<9] {
                func head(_ x: Rows) -> Rows { x[rows].columns(4..<8) }
                bench.lane.fadeAndCorrect(
                    queries: head(queries), keys: head(k), losses: head(losses), directions: head(directions),
                    backs: head(rates), values: values[rows].columns(2..<5), state: state.columns(1..<4),
                    into: outputs[rows].columns(0..<3))
            }
            return try bench.values(k, rates, directions, state, outputs)
        },
        LaneScript("surprisal") { bench in
            let states = try bench.rows(150, 12)
            var bits = [Float](repeating: 0, count: 150)
            try bits.withUnsafeMutableBufferPointer {
                bench.lane.surprisal(
                    states, try bench.norm(12), try bench.matrix(12, 40), targets: (0..<150).map { UInt16($0 % 40) },
                    bits: $0.baseAddress!)
                try bench.lane.finish()
            }
            return bits
        },
        LaneScript("attend") { bench in
            let queries = try bench.rows(6, 8), context = try bench.rows(8, 10)
            let first = try bench.rows(6, 8), second = try bench.rows(6, 12)
            bench.lane.attend(
                try bench.plan(), heads: AttentionHeads(count: 4, group: 2, size: 2, valueOffset: 5),
                queries: queries, keysValues: context, into: [first, second.columns(3..<11)])
            return try bench.values(first, second)
        },
        LaneScript("attend by distance") { bench in
            let queries = try bench.rows(6, 6), context = try bench.rows(8, 13), outputs = try bench.empty(5, 6)
            let plan = try AttentionPlan(rows: 7, queries: 5)
            plan.beginContext(distance: 2)
            for row in [7, 0, 1, 2, 3, 4, 5] { plan.add(row: row) }
            for query in 0..<5 {
                plan.add(query: query, sees: max(0, query - 1)..<query + 3, target: 0, output: query)
            }
            plan.endContext()
            bench.lane.attend(
                plan, heads: AttentionHeads(count: 2, size: 3, valueOffset: 7), queries: queries, keysValues: context,
                distances: try bench.distances(), into: [outputs])
            return try bench.values(outputs)
        },
        LaneScript("convolve") { bench in
            let s = try bench.rows(140, 4), c = try bench.empty(100, 6)
            bench.lane.convolve(s, try bench.convolution(), into: c[10..<80])
            bench.lane.convolve(s[1..<43], try bench.convolution(isFourier: true), into: c[0..<10])
            bench.lane.convolve(s[20..<140], try bench.convolution(isFourier: true), into: c[12..<100])
            return try bench.values(c[0..<10], c[10..<100])
        },
        LaneScript("retain, scan, recall") { bench in
            let keys = try bench.rows(21, 8), queries = try bench.rows(21, 10).columns(2..<10)
            let values = try bench.rows(21, 6), outputs = try bench.rows(21, 7)
            let (decay, deltas, state) = (try bench.decay(), try bench.empty(3 * 8, 3), try bench.empty(8, 6))
            bench.lane.zero(state)
            for _ in 0..<2 {
                bench.lane.retain(keys: keys, values: values, decay: decay, into: deltas)
                for head in [1, 0] { bench.lane.scan(deltas, rows: 21, head: head, decay: decay, state: state) }
            }
            bench.lane.recall(
                queries: queries, keys: keys, values: values, decay: decay, states: deltas,
                into: outputs.columns(1..<7))
            return try bench.values(deltas, state, outputs)
        },
        LaneScript("convolveChannels") { bench in
            let x = try bench.rows(9, 14), y = try bench.rows(8, 12), filter = try bench.filter()
            bench.lane.convolveChannels(x.columns(1..<13), filter, from: 0, into: y[0..<7])
            bench.lane.convolveChannels(x[2..<6].columns(3..<7), filter, from: 8, into: y[5..<7].columns(2..<6))
            return try bench.values(y)
        },
        LaneScript("measure, retain, scan, recall by rows") { bench in
            let keys = try bench.rows(21, 10), queries = try bench.rows(21, 13).columns(2..<12)
            let values = try bench.rows(21, 12), dt = try bench.rows(21, 5).columns(1..<5)
            let (decays, outputs) = (bench.rowDecays(), try bench.rows(21, 13))
            let kept = try bench.empty(12, decays.width), deltas = try bench.empty(3 * 4 * 5, 3)
            let state = try bench.empty(4 * 5, 6)
            bench.lane.zero(state)
            for _ in 0..<2 {
                bench.lane.measure(dt, decays, into: kept)
                for head in [2, 0, 3, 1] {
                    bench.lane.retain(
                        keys: keys.columns(head / 2 * 5..<head / 2 * 5 + 5),
                        values: values.columns(head * 3..<head * 3 + 3), head: head, decays: decays, kept: kept,
                        into: deltas)
                    bench.lane.scan(deltas, rows: 21, head: head, decays: decays, kept: kept, state: state)
                }
            }
            bench.lane.recall(
                queries: queries, keys: keys, values: values, decays: decays, kept: kept, states: deltas,
                into: outputs.columns(1..<13))
            // The state is in double precision: as numbers, whatever its bits are.
            return try bench.values(kept, deltas, outputs) + bench.values(state).map { Float($0.bitPattern >> 8) }
        },
        LaneScript("addHeads") { bench in
            let x = try bench.rows(5, 8), y = try bench.rows(6, 8), gate = try bench.rows(5, 6)
            let weights = try RowWeights(3)
            for index in 0..<3 { weights[index] = Float(index) - 0.5 }
            bench.lane.addHeads(y.columns(1..<7), weights: weights, gate: gate, to: x.columns(2..<8))
            return try bench.values(x)
        },
        LaneScript("scanSelectively") { bench in
            let x = try bench.rows(9, 6), steps = try bench.rows(9, 8), gates = try bench.rows(10, 5)
            let selections = try bench.rows(9, 7), state = try bench.rows(4, 5), rates = try bench.rates()
            for channels in [2..<5, 0..<2] {
                bench.lane.scanSelectively(
                    x.columns(channels), steps: steps.columns(channels), entering: selections.columns(1..<3),
                    leaving: selections.columns(4..<6), gates: gates.columns(channels), by: rates,
                    first: channels.lowerBound, state: state.columns(channels))
            }
            return try bench.values(x, state)
        },
        LaneScript("scanModes") { bench in
            let x = try bench.rows(9, 6), state = try bench.rows(6, 10), modes = try bench.modes()
            for channels in [2..<5, 0..<2] {
                bench.lane.scanModes(
                    x.columns(channels), by: modes, first: channels.lowerBound, activation: .gelu,
                    state: state.columns(2 * channels.lowerBound..<2 * channels.upperBound))
            }
            return try bench.values(x, state)
        },
        LaneScript("gateHalves") { bench in
            let x = try bench.rows(5, 9), start = try bench.rows(6, 7), y = try bench.empty(5, 4)
            bench.lane.gateHalves(x.columns(1..<9), adding: start.columns(2..<6), into: y)
            bench.lane.gateHalves(x.columns(0..<8), adding: y, into: y)
            return try bench.values(y)
        },
        LaneScript("project") { bench in
            // More rows than are taken at a time.
            let x = try bench.rows(250, 12), y = try bench.rows(250, 7), wide = try bench.rows(251, 24)
            bench.lane.project(
                x, try bench.norm(12),
                [
                    (matrix: try bench.matrix(12, 7), into: y),
                    (matrix: try bench.matrix(12, 16, hasBias: false), into: wide.columns(4..<20)),
                ])
            return try bench.values(y, wide)
        },
        LaneScript("residual") { bench in
            let h = try bench.rows(250, 16), x = try bench.rows(251, 12), s = try bench.rows(252, 12)
            bench.lane.residual(h.columns(2..<16), try bench.matrix(14, 12), adding: x, try bench.norm(12), into: s)
            return try bench.values(x, s)
        },
    ]
}
