import CKernels
import Support
import TestSupport
import Testing

@testable import Compute

@Suite("Checked back end") struct CheckedBackendTests {
    /// The same numbers, bit by bit.
    private func same(_ a: [Float], _ b: [Float]) -> Bool { a.map(\.bitPattern) == b.map(\.bitPattern) }

    // MARK: Results

    @Test(
        "every operation gives what the CPU gives, and in steps what it gives in one go, on every path of the kernels",
        arguments: LaneScript.all)
    func results(script: LaneScript) throws {
        let paths = [bbp_kernels_for(BBP_PLAIN), bbp_bf16_kernels_for(BBP_PLAIN), try Kernels.select()]
        for kernels in paths.compactMap({ $0 }) {
            let wanted = try script.run(Bench(CPUBackend(kernels)))
            #expect(!wanted.contains { $0.isNaN })
            // A few rows at a time, and all at once.
            for rowsAtOnce in [100, 1024] {
                let backend = try CheckedBackend(kernels, rowsAtOnce: rowsAtOnce)
                let found = try script.run(Bench(backend))
                #expect(same(found, wanted), "\(String(cString: kernels.pointee.name)), \(rowsAtOnce) rows at once")
                #expect(backend.isIdle)
            }
        }
    }

    @Test("every operation is asked for by some script")
    func coverage() throws {
        let backend = try CheckedBackend()
        for script in LaneScript.all { _ = try script.run(Bench(backend)) }
        #expect(
            Set(backend.operations.keys) == [
                "load", "embed", "store", "download", "upload", "round", "zero", "copy", "firstAbove", "normalise",
                "product", "average", "add", "rotate", "apply", "gateHeads", "divideHeads", "surprisal", "attend",
                "convolve", "retain", "scan", "recall", "convolveChannels", "measure", "retain by rows", "scan by rows",
                "recall by rows", "addHeads", "multiply", "blend", "normaliseHeads", "addHeadProducts", "fade",
                "directKeys", "fadeAndCorrect",
                "scanSelectively", "scanModes", "gateHalves",
            ])
    }

    // MARK: When

    @Test("what operations write on the host is NaN until they are finished")
    func late() throws {
        let bench = try Bench(CheckedBackend())
        let rows = try bench.rows(2, 4)
        try bench.lane.finish()
        let values = try Memory<Float>(8), stored = try Memory<UInt16>(8), bits = try Memory<Float>(2)
        bench.lane.download(rows, to: values.start)
        bench.lane.store(rows, columns: 1, order: nil, as: .bf16) { _ in UnsafeMutableRawPointer(stored.start) }
        bench.lane.surprisal(rows, try bench.norm(4), try bench.matrix(4, 9), targets: [3, 4], bits: bits.start)
        let isPoisoned =
            (Array(values.values) + bits.values).allSatisfy(\.isNaN) && stored.values.allSatisfy { $0 == 0xffff }
        #expect(isPoisoned && !(bench.backend as! CheckedBackend).isIdle)
        try bench.lane.finish()
        #expect((Array(values.values) + bits.values).allSatisfy(\.isFinite) && stored.values.allSatisfy { $0 < 0xff80 })
        #expect((bench.backend as! CheckedBackend).isIdle)
    }

    @Test("memory of the host may change after a call: values, rows, ids, orders, targets, weights of heads, plans")
    func early() throws {
        func run(_ spoils: Bool, _ backend: any Backend) throws -> [Float] {
            let bench = try Bench(backend)
            let lane = bench.lane
            func call<T>(_ memory: Memory<T>, _ values: [T], _ body: () throws -> Void) rethrows {
                memory.start.update(from: values, count: values.count)
                try body()
                if spoils { memset(memory) }
            }
            func memset<T>(_ memory: Memory<T>) { for index in memory.bytes.indices { memory.bytes[index] = 0xff } }
            let floats = try Memory<Float>(24), ids = try Memory<UInt16>(6), positions = try Memory<Int64>(6)
            let x = try bench.empty(6, 4), y = try bench.empty(6, 4), z = try bench.empty(6, 8)
            let columns = try Memory<UInt8>(6 * 16), bits = try Memory<Float>(6), head = try RowWeights(2)
            call(floats, bench.numbers(24)) { lane.upload(floats.start, to: x) }
            call(floats, bench.numbers(24)) {
                lane.load([StoredRows(floats.start, count: 6, first: 0, step: 1)], as: .f32, into: y)
            }
            let table = try bench.embedding()
            call(ids, [1, 2, 3, 4, 5, 6]) {
                call(positions, [1, 2, 3, 4, 5, 6]) {
                    lane.embed(ids.start, positions: positions.start, with: table, into: z)
                }
            }
            call(head, [1, 2]) { lane.gateHeads(x, heads: 2, weight: head, epsilon: 1e-5, gate: .silu(y)) }
            let (norm, matrix) = (try bench.norm(4), try bench.matrix(4, 9))
            call(ids, [0, 1, 2, 3, 4, 5]) {
                lane.surprisal(x, norm, matrix, targets: ids.start, bits: bits.start)
            }
            call(ids, [1, 0, 2, 2, 0, 1]) {
                lane.store(x, columns: 3, order: ids.start, as: .f32) {
                    UnsafeMutableRawPointer(columns.start + $0 * 32)
                }
            }
            let plan = try AttentionPlan(rows: 6, queries: 1)
            func arrange(_ rows: Range<Int>) {
                plan.clear()
                plan.beginContext()
                for row in rows { plan.add(row: row) }
                plan.add(query: 0, sees: 0..<rows.count, target: 0, output: 0)
                plan.endContext()
            }
            arrange(0..<6)
            lane.attend(
                plan, heads: AttentionHeads(count: 2, size: 2, valueOffset: 4), queries: x, keysValues: z, into: [y])
            if spoils { arrange(2..<3) }
            try lane.finish()
            return try bench.values(x, y, z) + columns.values.map(Float.init) + bits.values
        }
        let wanted = try run(false, try CheckedBackend())
        let spoiled = try run(true, try CheckedBackend())
        #expect(same(spoiled, wanted))
        // The CPU is done when a call returns.
        let done = try run(true, try CPUBackend(CheckedBackend().kernels))
        #expect(same(done, wanted))
    }

    // MARK: Violations

    private func fault(_ backend: CheckedBackend, needs: LaneNeeds = Bench.needs, _ body: (Bench) throws -> Void) throws
        -> Fault
    {
        let bench = try Bench(backend, needs: needs)
        try body(bench)
        let fault = try #require(throws: Fault.self) { try bench.lane.finish() }
        #expect(backend.isIdle)
        // It is said once, and the lane can be used again.
        try bench.lane.finish()
        _ = try bench.values(try bench.rows(2, 2))
        return fault
    }

    struct Violation: Sendable, CustomStringConvertible {
        let operation: String
        let problem: String
        let run: @Sendable (Bench) throws -> Void
        var description: String { "\(operation): \(problem)" }

        init(_ operation: String, _ problem: String, _ run: @escaping @Sendable (Bench) throws -> Void) {
            self.operation = operation
            self.problem = problem
            self.run = run
        }
    }

    private static let heads = AttentionHeads(count: 2, size: 2, valueOffset: 4)

    private static func scan(
        first: Int, channels: Int, states: Int = 4, rowsLeaving: Int = 9, hasState: Bool = true, _ bench: Bench
    ) throws {
        bench.lane.scanSelectively(
            try bench.rows(9, channels), steps: try bench.rows(9, channels), entering: try bench.rows(9, 2),
            leaving: try bench.rows(rowsLeaving, 2), gates: try bench.rows(9, channels), by: try bench.rates(),
            first: first, state: hasState ? try bench.rows(states, channels) : try bench.empty(states, channels))
    }

    /// A query that sees four rows, with distances.
    private static func attendFar(distance: Int, _ bench: Bench) throws {
        let plan = try AttentionPlan(rows: 4, queries: 1)
        plan.beginContext(distance: distance)
        for row in 0..<4 { plan.add(row: row) }
        plan.add(query: 0, sees: 0..<4, target: 0, output: 0)
        plan.endContext()
        bench.lane.attend(
            plan, heads: AttentionHeads(count: 2, size: 3, valueOffset: 6), queries: try bench.rows(1, 6),
            keysValues: try bench.rows(4, 12), distances: try bench.distances(), into: [try bench.empty(1, 6)])
    }

    private static func attend(
        _ bench: Bench, contexts: [[Int]] = [[0, 1]], queries: [(row: Int, sees: Range<Int>, target: Int, output: Int)],
        heads: AttentionHeads = heads, into outputs: [Rows]? = nil
    ) throws {
        let plan = try AttentionPlan(rows: 200, queries: 200)
        for context in contexts {
            plan.beginContext()
            for row in context { plan.add(row: row) }
            for query in queries {
                plan.add(query: query.row, sees: query.sees, target: query.target, output: query.output)
            }
            plan.endContext()
        }
        bench.lane.attend(
            plan, heads: heads, queries: try bench.rows(4, 4), keysValues: try bench.rows(4, 8),
            into: try outputs ?? [bench.empty(4, 4)])
    }

    static let violations = [
        // Unwritten.
        Violation("download", "nothing wrote value 0 of row 1 of rows") { bench in
            let rows = try bench.empty(2, 2)
            bench.lane.zero(rows[0..<1])
            _ = try? bench.values(rows)
            bench.lane.download(rows, to: bench.host.start)
        },
        Violation("add", "nothing wrote value 1 of row 2 of y") { bench in
            let y = try bench.empty(3, 2)
            bench.lane.zero(y.columns(0..<1))
            bench.lane.zero(y[0..<2])
            bench.lane.add(y, to: try bench.rows(3, 2))
        },
        Violation("round", "nothing wrote value 0 of row 0 of rows") { bench in
            bench.lane.round(try bench.empty(3, 2), to: .bf16)
        },
        Violation("convolve", "nothing wrote value 0 of row 11 of s") { bench in
            let s = try bench.empty(12, 4)
            bench.lane.zero(s[0..<11])
            bench.lane.convolve(s, try bench.convolution(), into: try bench.empty(10, 6))
        },
        Violation("scanSelectively", "channels 2 to 6 of 5") { bench in try scan(first: 2, channels: 4, bench) },
        Violation("scanSelectively", "a state of 5 x 3 values for 2 of 3 channels") { bench in
            try scan(first: 2, channels: 3, states: 5, bench)
        },
        Violation("scanSelectively", "states entered by 9 x 2 and left by 8 x 2") { bench in
            try scan(first: 2, channels: 3, rowsLeaving: 8, bench)
        },
        Violation("scanSelectively", "nothing wrote value 0 of row 0 of state") { bench in
            try scan(first: 0, channels: 5, hasState: false, bench)
        },
        Violation("scanModes", "channels 3 to 6 of 5") { bench in
            bench.lane.scanModes(
                try bench.rows(9, 3), by: try bench.modes(), first: 3, activation: nil, state: try bench.rows(6, 6))
        },
        Violation("scanModes", "a state of 6 x 4 values from value 1 on") { bench in
            bench.lane.scanModes(
                try bench.rows(9, 2), by: try bench.modes(), first: 3, activation: nil,
                state: try bench.rows(6, 6).columns(1..<5))
        },
        Violation("gateHalves", "5 x 4 values from 5 x 8, added to 4 x 4") { bench in
            bench.lane.gateHalves(try bench.rows(5, 8), adding: try bench.rows(4, 4), into: try bench.empty(5, 4))
        },
        Violation("attend", "distances of 2 heads of 3") { bench in
            bench.lane.attend(
                try bench.plan(), heads: heads, queries: try bench.rows(6, 4), keysValues: try bench.rows(8, 8),
                distances: try bench.distances(), into: [try bench.empty(6, 4), try bench.empty(6, 4)])
        },
        Violation("attend", "distances 1 to 4 of 4") { bench in try attendFar(distance: 4, bench) },
        Violation("attend", "distances -1 to 2 of 4") { bench in try attendFar(distance: 2, bench) },
        Violation("attend", "nothing wrote value 0 of row 0 of keys") { bench in
            bench.lane.attend(
                try bench.plan(), heads: heads, queries: try bench.rows(6, 4), keysValues: try bench.empty(8, 8),
                into: [try bench.empty(6, 4), try bench.empty(6, 4)])
        },
        Violation("attend", "nothing wrote value 1 of row 0 of values") { bench in
            let context = try bench.empty(8, 8)
            bench.lane.zero(context.columns(0..<5))
            bench.lane.attend(
                try bench.plan(), heads: heads, queries: try bench.rows(6, 4), keysValues: context,
                into: [try bench.empty(6, 4), try bench.empty(6, 4)])
        },
        Violation("scan", "nothing wrote value 0 of row 0 of state") { bench in
            bench.lane.scan(
                try bench.rows(8, 3), rows: 5, head: 1, decay: try bench.decay(), state: try bench.empty(8, 6))
        },
        // Handles.
        Violation("zero", "rows are of another back end") { bench in
            bench.lane.zero(try CheckedBackend().rows(2, width: 2))
        },
        Violation("zero", "rows are of another back end") { bench in
            bench.lane.zero(try CPUBackend(CheckedBackend().kernels).rows(2, width: 2))
        },
        Violation("zero", "rows are outside their memory") { bench in
            bench.lane.zero(try bench.rows(4, 2).moved(to: bench.empty(3, 2).memory))
        },
        Violation("normalise", "weights are of another back end") { bench in
            let other = try Bench(CheckedBackend())
            bench.lane.normalise(try bench.rows(2, 4), try other.norm(4), into: try bench.empty(2, 4))
        },
        Violation("product", "weights are of another back end") { bench in
            let other = try Bench(CPUBackend(CheckedBackend().kernels))
            bench.lane.product(
                try bench.rows(2, 4), try other.matrix(4, 3), adding: nil, activation: nil, into: try bench.empty(2, 3))
        },
        // Gaps.
        Violation("normalise", "x have gaps between them") { bench in
            bench.lane.normalise(
                try bench.rows(2, 5).columns(0..<4), try bench.norm(4), into: try bench.empty(2, 4))
        },
        Violation("product", "addend has gaps between its rows") { bench in
            bench.lane.product(
                try bench.rows(2, 4), try bench.matrix(4, 3), adding: try bench.rows(2, 4).columns(0..<3),
                activation: nil, into: try bench.empty(2, 3))
        },
        Violation("add", "y have gaps between them") { bench in
            bench.lane.add(try bench.rows(2, 5).columns(1..<5), to: try bench.rows(2, 4))
        },
        Violation("surprisal", "states have gaps between them") { bench in
            bench.lane.surprisal(
                try bench.rows(2, 5).columns(1..<5), try bench.norm(4), try bench.matrix(4, 9), targets: [0, 0],
                bits: bench.host.start)
        },
        // Sizes.
        Violation("load", "row 4 of 4") { bench in
            bench.lane.load(
                [StoredRows(bench.host.start, count: 2, first: 2, step: 2)], as: .f32,
                into: try bench.empty(4, 2))
        },
        Violation("load", "row 1 comes twice") { bench in
            bench.lane.load(
                [
                    StoredRows(bench.host.start, count: 2, first: 0, step: 1),
                    StoredRows(bench.host.start, count: 1, first: 1, step: 1),
                ], as: .f32, into: try bench.empty(4, 2))
        },
        Violation("embed", "rows of 4 values for a codebook of 8") { bench in
            bench.lane.embed([1], positions: [0], with: try bench.embedding(), into: try bench.empty(1, 4))
        },
        Violation("embed", "position 5000 of 5000") { bench in
            bench.lane.embed([1], positions: [5000], with: try bench.embedding(), into: try bench.empty(1, 8))
        },
        Violation("store", "5 rows are no patches of 2") { bench in
            let rows = try bench.rows(5, 2)
            bench.lane.store(rows, columns: 2, order: nil, as: .f32) { _ in UnsafeMutableRawPointer(bench.host.start) }
        },
        Violation("store", "the order of patch 1 leaves out some of its rows") { bench in
            let rows = try bench.rows(4, 2)
            bench.lane.store(rows, columns: 2, order: [1, 0, 1, 1], as: .f32) { _ in
                UnsafeMutableRawPointer(bench.host.start)
            }
        },
        Violation("copy", "2 x 3 values to 3 x 2") { bench in
            bench.lane.copy(try bench.rows(2, 3), to: try bench.empty(3, 2))
        },
        Violation("normalise", "2 x 4 values from 3 x 4 by a norm of 4") { bench in
            bench.lane.normalise(try bench.rows(3, 4), try bench.norm(4), into: try bench.empty(2, 4))
        },
        Violation("normalise", "by a norm of 3") { bench in
            bench.lane.normalise(try bench.rows(3, 4), try bench.norm(3), into: try bench.empty(3, 4))
        },
        Violation("product", "2 x 3 values from 2 x 5 by 4 x 3 weights") { bench in
            bench.lane.product(
                try bench.rows(2, 5), try bench.matrix(4, 3), adding: nil, activation: nil, into: try bench.empty(2, 3))
        },
        Violation("product", "1 x 3 values added to 2 x 3") { bench in
            bench.lane.product(
                try bench.rows(2, 4), try bench.matrix(4, 3), adding: try bench.rows(1, 3), activation: nil,
                into: try bench.empty(2, 3))
        },
        Violation("average", "2 x 3 values and 3 x 3") { bench in
            bench.lane.average(try bench.rows(2, 3), with: try bench.rows(3, 3))
        },
        Violation("rotate", "6 values are not 2 heads of 4") { bench in
            bench.lane.rotate(try bench.rows(2, 6), first: 0, heads: 2, by: try bench.rotation())
        },
        Violation("rotate", "token -1") { bench in
            bench.lane.rotate(try bench.rows(2, 8), first: -1, heads: 2, by: try bench.rotation())
        },
        Violation("gateHeads", "6 values are not 2 heads of 2") { bench in
            bench.lane.gateHeads(
                try bench.rows(2, 6), heads: 2, weight: try RowWeights(2), epsilon: 1,
                gate: .silu(try bench.rows(2, 6)))
        },
        Violation("divideHeads", "2 x 6 values from 2 x 7 in 2 heads") { bench in
            bench.lane.divideHeads(try bench.rows(2, 7), heads: 2, epsilon: 0, into: try bench.empty(2, 6))
        },
        Violation("divideHeads", "1 x 6 values from 2 x 8 in 2 heads") { bench in
            bench.lane.divideHeads(try bench.rows(2, 8), heads: 2, epsilon: 0, into: try bench.empty(1, 6))
        },
        Violation("apply", "x have gaps between them") { bench in
            bench.lane.apply(.silu, to: try bench.rows(2, 6).columns(0..<5))
        },
        Violation("gateHeads", "gates of 1 x 6 values for 2 x 6") { bench in
            bench.lane.gateHeads(
                try bench.rows(2, 6), heads: 2, weight: nil, epsilon: 1, gate: .linear(try bench.rows(1, 6)))
        },
        Violation("surprisal", "target 9 of 9") { bench in
            bench.lane.surprisal(
                try bench.rows(2, 4), try bench.norm(4), try bench.matrix(4, 9), targets: [0, 9],
                bits: bench.host.start)
        },
        Violation("convolve", "10 x 6 values from 11 x 4 by 2 x 4 x 6 weights, 2 apart") { bench in
            bench.lane.convolve(try bench.rows(11, 4), try bench.convolution(), into: try bench.empty(10, 6))
        },
        Violation("retain", "15 x 3 values from keys of 10 x 8 and values of 10 x 6") { bench in
            bench.lane.retain(
                keys: try bench.rows(10, 8), values: try bench.rows(10, 6), decay: try bench.decay(),
                into: try bench.empty(15, 3))
        },
        Violation("apply", "x have gaps between them") { bench in
            bench.lane.apply(.tanh, to: try bench.rows(3, 4).columns(0..<3))
        },
        Violation("multiply", "2 x 4 values for 3 x 4") { bench in
            bench.lane.multiply(try bench.rows(3, 4), by: try bench.rows(2, 4))
        },
        Violation("blend", "3 weights for rows of 4") { bench in
            let x = try bench.rows(3, 4)
            bench.lane.blend(x, with: x, share: try bench.weights(3), plus: nil, into: try bench.rows(3, 4))
        },
        Violation("blend", "3 x 5 values for 3 x 4") { bench in
            let x = try bench.rows(3, 4)
            bench.lane.blend(x, with: x, share: nil, plus: try bench.rows(3, 5), into: try bench.rows(3, 4))
        },
        Violation("normaliseHeads", "4 values are not 3 heads") { bench in
            let weights = try bench.weights(4)
            bench.lane.normaliseHeads(try bench.rows(3, 4), heads: 3, weight: weights, bias: weights, epsilon: 1)
        },
        Violation("normaliseHeads", "5 weights for rows of 4") { bench in
            bench.lane.normaliseHeads(
                try bench.rows(3, 4), heads: 2, weight: try bench.weights(4), bias: try bench.weights(5), epsilon: 1)
        },
        Violation("addHeadProducts", "2 x 4 values for 3 x 4") { bench in
            let x = try bench.rows(3, 4), short = try bench.rows(2, 4)
            bench.lane.addHeadProducts(
                short, short, heads: 2, weight: try bench.weights(4), times: try bench.rows(3, 4), to: x)
        },
        Violation("fade", "not equally far apart") { bench in
            let keys = try bench.rows(3, 4), values = try bench.rows(3, 2)
            bench.lane.fade(
                queries: keys, keys: try bench.rows(3, 5).columns(0..<4), losses: keys, values: values,
                state: try bench.rows(4, 2), into: try bench.rows(3, 2))
        },
        Violation("fade", "a state of 4 x 3 values for 3 rows of 4 keys and 3 of 2 values") { bench in
            let keys = try bench.rows(3, 4), values = try bench.rows(3, 2)
            bench.lane.fade(
                queries: keys, keys: keys, losses: keys, values: values, state: try bench.rows(4, 3),
                into: try bench.rows(3, 2))
        },
        Violation("fade", "outputs overlap values") { bench in
            let keys = try bench.rows(3, 4), values = try bench.rows(3, 2)
            bench.lane.fade(
                queries: keys, keys: keys, losses: keys, values: values, state: try bench.rows(4, 2), into: values)
        },
        Violation("directKeys", "4 values are not 3 heads") { bench in
            let weights = try bench.weights(4)
            bench.lane.directKeys(
                try bench.rows(3, 4), rates: try bench.rows(3, 4), heads: 3, scale: weights, share: weights,
                into: try bench.rows(3, 4))
        },
        Violation("directKeys", "keys overlap rates") { bench in
            let (weights, keys) = (try bench.weights(4), try bench.rows(3, 4))
            bench.lane.directKeys(
                keys, rates: keys, heads: 2, scale: weights, share: weights, into: try bench.rows(3, 4))
        },
        Violation("fadeAndCorrect", "2 x 4 values for 3 x 4") { bench in
            let keys = try bench.rows(3, 4), values = try bench.rows(3, 2)
            bench.lane.fadeAndCorrect(
                queries: keys, keys: keys, losses: keys, directions: keys, backs: try bench.rows(2, 4), values: values,
                state: try bench.rows(4, 2), into: try bench.rows(3, 2))
        },
        Violation("scan", "head 2 of 2 in 8 x 3 values") { bench in
            bench.lane.scan(
                try bench.rows(8, 3), rows: 5, head: 2, decay: try bench.decay(), state: try bench.rows(8, 6))
        },
        Violation("scan", "a state of 8 x 6 values from value 1 on") { bench in
            bench.lane.scan(
                try bench.rows(8, 3), rows: 5, head: 0, decay: try bench.decay(),
                state: try bench.rows(49, 1)[1..<49].reshaped(8, width: 6))
        },
        Violation("recall", "queries of 9 x 8, keys of 10 x 8") { bench in
            bench.lane.recall(
                queries: try bench.rows(9, 8), keys: try bench.rows(10, 8), values: try bench.rows(10, 6),
                decay: try bench.decay(), states: try bench.rows(16, 3), into: try bench.empty(10, 6))
        },
        Violation("convolveChannels", "8 x 4 values from 9 x 4 by channels from 8 on of 3 x 12 weights") { bench in
            bench.lane.convolveChannels(
                try bench.rows(9, 4), try bench.filter(), from: 8, into: try bench.empty(8, 4))
        },
        Violation("convolveChannels", "7 x 4 values from 9 x 4 by channels from 9 on of 3 x 12 weights") { bench in
            bench.lane.convolveChannels(
                try bench.rows(9, 4), try bench.filter(), from: 9, into: try bench.empty(7, 4))
        },
        Violation("measure", "4 x 24 values from 9 x 4, 4 heads, chunks of 8") { bench in
            bench.lane.measure(try bench.rows(9, 4), bench.rowDecays(), into: try bench.empty(4, 24))
        },
        Violation("retain by rows", "head 4 of 4: 20 x 3 values") { bench in
            bench.lane.retain(
                keys: try bench.rows(8, 5), values: try bench.rows(8, 3), head: 4, decays: bench.rowDecays(),
                kept: try bench.rows(4, 24), into: try bench.empty(20, 3))
        },
        Violation("retain by rows", "nothing wrote value 0 of row 0 of kept") { bench in
            bench.lane.retain(
                keys: try bench.rows(8, 5), values: try bench.rows(8, 3), head: 1, decays: bench.rowDecays(),
                kept: try bench.empty(4, 24), into: try bench.empty(20, 3))
        },
        Violation("scan by rows", "head 1 of 4 in 20 x 3 values, kept 3 x 24") { bench in
            bench.lane.scan(
                try bench.rows(20, 3), rows: 8, head: 1, decays: bench.rowDecays(), kept: try bench.rows(3, 24),
                state: try bench.rows(20, 6))
        },
        Violation("recall by rows", "keys of 8 x 9") { bench in
            bench.lane.recall(
                queries: try bench.rows(8, 10), keys: try bench.rows(8, 9), values: try bench.rows(8, 12),
                decays: bench.rowDecays(), kept: try bench.rows(4, 24), states: try bench.rows(20, 3),
                into: try bench.empty(8, 12))
        },
        Violation("addHeads", "2 heads of 3 x 4 values, 2 x 4 added") { bench in
            bench.lane.addHeads(
                try bench.rows(2, 4), weights: try RowWeights(2), gate: try bench.rows(3, 4), to: try bench.rows(3, 4))
        },
        // Plans.
        Violation("attend", "query 4 of 4") { try attend($0, queries: [(4, 0..<1, 0, 0)]) },
        Violation("attend", "context row 4 of 4") { try attend($0, contexts: [[0, 4]], queries: [(0, 0..<1, 0, 0)]) },
        Violation("attend", "target 1 of 1") { try attend($0, queries: [(0, 0..<1, 1, 0)]) },
        Violation("attend", "output 4 of 4") { try attend($0, queries: [(0, 0..<1, 0, 4)]) },
        Violation("attend", "output 1 is given twice") {
            try attend($0, queries: [(0, 0..<1, 0, 1), (1, 0..<1, 0, 1)])
        },
        Violation("attend", "a query sees 0..<3 of 2 rows") { try attend($0, queries: [(0, 0..<3, 0, 0)]) },
        Violation("attend", "a query sees 0..<1 of 2 rows, the one before it 0..<2") {
            try attend($0, queries: [(0, 0..<2, 0, 0), (1, 0..<1, 0, 1)])
        },
        Violation("attend", "a query sees 0..<2 of 2 rows, the one before it 1..<2") {
            try attend($0, queries: [(0, 1..<2, 0, 0), (1, 0..<2, 0, 1)])
        },
        Violation("attend", "in queries of 4, keys and values of 8 and outputs of [4] values") {
            try attend(
                $0, queries: [(0, 0..<1, 0, 0)], heads: AttentionHeads(count: 2, size: 2, valueOffset: 5))
        },
        // Overlaps.
        Violation("normalise", "u overlap x") { bench in
            let x = try bench.rows(5, 4)
            bench.lane.normalise(x[0..<4], try bench.norm(4), into: x[1..<5])
        },
        Violation("product", "y overlap x") { bench in
            let rows = try bench.rows(3, 8)
            bench.lane.product(
                rows.columns(0..<4), try bench.matrix(4, 5), adding: nil, activation: nil, into: rows.columns(3..<8))
        },
        Violation("product", "y overlap addend") { bench in
            let rows = try bench.rows(5, 4)
            bench.lane.product(
                try bench.rows(4, 4), try bench.matrix(4, 4), adding: rows[0..<4], activation: nil, into: rows[1..<5])
        },
        Violation("average", "x overlap y") { bench in
            let x = try bench.rows(3, 2)
            bench.lane.average(x, with: x)
        },
        Violation("copy", "target rows overlap rows") { bench in
            let rows = try bench.rows(5, 4)
            bench.lane.copy(rows[0..<4].columns(0..<2), to: rows[1..<5].columns(1..<3))
        },
        Violation("convolve", "c overlap s") { bench in
            let rows = try bench.rows(30, 4)
            bench.lane.convolve(rows[0..<12], try bench.convolution(), into: rows[8..<23].reshaped(10, width: 6))
        },
        Violation("attend", "outputs of target 0 overlap outputs of target 1") { bench in
            let outputs = try bench.empty(4, 4)
            try attend(bench, queries: [(0, 0..<1, 0, 2), (1, 0..<1, 1, 2)], into: [outputs, outputs])
        },
        Violation("gateHeads", "x overlap gate") { bench in
            let x = try bench.rows(3, 4)
            bench.lane.gateHeads(x, heads: 2, weight: nil, epsilon: 1, gate: .silu(x))
        },
    ]

    @Test("what is not allowed is named, with the operation", arguments: violations)
    func refused(violation: Violation) throws {
        let fault = try fault(CheckedBackend(), violation.run)
        #expect(fault.kind == .inputOutput)
        #expect(fault.problem.hasPrefix("operation '\(violation.operation)': "), "\(fault.problem)")
        #expect(fault.problem.contains(violation.problem), "\(fault.problem)")
    }

    @Test("a lane that was made for less says so, whatever it is asked")
    func needs() throws {
        func without(_ change: (inout LaneNeeds) -> Void) -> LaneNeeds {
            var needs = Bench.needs
            change(&needs)
            return needs
        }
        let cases: [(LaneNeeds, [String])] = [
            (without { $0.width = 3 }, ["embed", "round", "normalise", "surprisal", "project", "residual"]),
            (without { $0.inputs = 3 }, ["product", "surprisal", "project", "residual"]),
            (without { $0.vocabulary = 39 }, ["surprisal"]),
            (without { $0.contextRows = 5 }, ["attend", "attend by distance"]),
            (without { $0.queries = 2 }, ["attend", "attend by distance"]),
            (without { $0.headSize = 1 }, ["attend", "attend by distance"]),
            (without { $0.convolutionValues = 100 }, ["convolve"]),
            (without { $0.convolutionHalves = 5 }, ["convolve"]),
            (without { $0.rotatedHead = 3 }, ["rotate"]),
            (
                without { $0.recurrentKeys = 3 },
                ["retain, scan, recall", "measure, retain, scan, recall by rows"]
            ),
            (without { $0.decayRows = 7 }, ["measure, retain, scan, recall by rows"]),
        ]
        for (needs, names) in cases {
            for script in LaneScript.all {
                let bench = try Bench(CheckedBackend(), needs: needs)
                if names.contains(script.description) {
                    let fault = try #require(throws: Fault.self, "\(script), \(needs)") { _ = try script.run(bench) }
                    #expect(fault.problem.contains("the lane was made for"), "\(fault.problem)")
                } else {
                    _ = try script.run(bench)
                }
            }
        }
    }

    @Test("the first violation counts, and nothing after it is done")
    func first() throws {
        let backend = try CheckedBackend()
        let bench = try Bench(backend)
        let (rows, values) = (try bench.empty(2, 2), try Memory<Float>(4))
        bench.lane.round(rows, to: .bf16)
        bench.lane.copy(try bench.empty(3, 2), to: rows)
        bench.lane.zero(rows)
        bench.lane.download(rows, to: values.start)
        let fault = try #require(throws: Fault.self) { try bench.lane.finish() }
        #expect(fault.problem.contains("'round'"))
        #expect(values.values.allSatisfy { $0.isNaN })
        bench.lane.download(rows, to: values.start)
        #expect(throws: Fault.self) { try bench.lane.finish() }
    }

    // MARK: Lanes side by side

    @Test("what one lane has not finished another may not touch, unless both read it")
    func lanes() throws {
        let backend = try CheckedBackend()
        let one = try Bench(backend), other = try Bench(backend)
        let x = try one.rows(8, 4), y = try one.rows(8, 4)
        try one.lane.finish()
        // Written by both.
        one.lane.zero(x[0..<4])
        other.lane.zero(x[4..<8])
        other.lane.zero(x.columns(1..<2)[2..<4])
        try one.lane.finish()
        var fault = try #require(throws: Fault.self) { try other.lane.finish() }
        #expect(fault.problem.contains("'zero': rows are rows of 'zero', which another lane has not finished"))
        // Read by one.
        one.lane.add(y[0..<4], to: x[0..<4])
        other.lane.round(y[3..<5], to: .bf16)
        fault = try #require(throws: Fault.self) { try other.lane.finish() }
        #expect(fault.problem.contains("'round': rows are y of 'add'"))
        try one.lane.finish()
        // Read by both, in columns beside one another, and finished in between.
        one.lane.copy(y[0..<4], to: x[0..<4])
        other.lane.copy(y[0..<4], to: x[4..<8])
        try one.lane.finish()
        try other.lane.finish()
        one.lane.zero(x.columns(0..<2))
        other.lane.zero(x.columns(2..<4))
        try other.lane.finish()
        other.lane.zero(x.columns(3..<4))
        try one.lane.finish()
        other.lane.zero(x.columns(0..<1))
        try other.lane.finish()
        #expect(backend.isIdle)
    }

    @Test("a lane that goes unfinished holds nothing back, and the back end is not idle")
    func gone() throws {
        let backend = try CheckedBackend()
        let rows = try backend.rows(2, width: 2)
        try Bench(backend).lane.zero(rows)
        let bench = try Bench(backend)
        bench.lane.zero(rows)
        try bench.lane.finish()
        #expect(!backend.isIdle)
    }

    // MARK: Handles

    @Test("rows overlap where they share a value")
    func overlaps() throws {
        let memory = try CheckedBackend().rows(60, width: 1)
        var numbers = TestNumbers(12)
        func values(_ rows: Rows) -> Set<Int> {
            Set((0..<rows.count).flatMap { row in (0..<rows.width).map { rows.offset + row * rows.stride + $0 } })
        }
        func some(_ range: Range<Int>) -> Range<Int> {
            let first = Int.random(in: range.lowerBound...range.upperBound, using: &numbers)
            return first..<Int.random(in: first...range.upperBound, using: &numbers)
        }
        func rows() -> Rows {
            let width = Int.random(in: 1...12, using: &numbers)
            let rows = memory.reshaped(60 / width, width: width)
            let part = rows[some(0..<rows.count)].columns(some(0..<width))
            guard part.count > 0 else { return part }
            let step = Int.random(in: 1...3, using: &numbers)
            return part.spaced(first: 0, count: (part.count + step - 1) / step, step: step)
        }
        var shared = 0
        for _ in 0..<20_000 {
            let (a, b) = (rows(), rows())
            let isShared = !values(a).isDisjoint(with: values(b))
            #expect(a.overlaps(b) == isShared)
            shared += isShared ? 1 : 0
        }
        #expect((500...18_000).contains(shared))
        let other = try CheckedBackend().rows(60, width: 1)
        #expect(!memory.overlaps(other))
    }
}
