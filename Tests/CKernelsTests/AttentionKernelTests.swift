import CKernels
import TestSupport
import Testing

/// Rows of equal width, some of them not there, each at an edge of its own; many of them, for the time it takes, at one.
private struct Rows {
    let starts: [UnsafeMutablePointer<Float>?]
    private let width: Int
    private let edges: [Edge<Float>]

    init(_ rows: [[Float]?]) {
        width = rows.lazy.compactMap { $0 }.first?.count ?? 0
        guard rows.count > 130 else {
            let edges = rows.map { $0.map(Edge.init) }
            starts = edges.map { $0?.start }
            self.edges = edges.compactMap { $0 }
            return
        }
        let edge = Edge(rows.flatMap { $0 ?? [] })
        edges = [edge]
        var next = edge.start
        var starts: [UnsafeMutablePointer<Float>?] = []
        for row in rows {
            starts.append(row.map { _ in next })
            next += row?.count ?? 0
        }
        self.starts = starts
    }

    var values: [[Float]] { starts.map { Array(UnsafeBufferPointer(start: $0, count: width)) } }
}

/// Queries and context rows with random values, and what a path makes of them.
private struct Patch {
    let heads, group, headSize: Int
    /// Where values begin, counted from the keys: their width, or more.
    let value: Int
    var queries: [[Float]]
    var from: [Int32]?
    var visible: [Int32]
    /// nil: a row that is not there.
    var context: [[Float]?]
    /// What scores gain by distance, [heads, headSize + 1, distances]; nil for nothing.
    var byDistance: [[[Float]]]?
    /// Of query 0 from context row 0.
    var distance = 0

    /// Every query sees a prefix, or where it `hasFrom` what lies between two rows, which may be nothing.
    init(
        heads: Int, group: Int = 1, headSize: Int, gap: Int = 0, queries: Int, rows: Int, hasFrom: Bool = false,
        _ numbers: inout TestNumbers
    ) {
        (self.heads, self.group, self.headSize) = (heads, group, headSize)
        let width = heads / group * headSize
        value = width + gap
        self.queries = (0..<queries).map { _ in randomFloats(heads * headSize, &numbers) }
        context = (0..<rows).map { _ in
            randomFloats(width, &numbers) + [Float](repeating: .nan, count: gap) + randomFloats(width, &numbers)
        }
        visible = (0..<queries).map { _ in Int32.random(in: 1...Int32(rows), using: &numbers) }.sorted()
        guard hasFrom else { return }
        let window = Int32.random(in: 0...Int32(rows), using: &numbers)
        from = visible.map { max(0, $0 - window) }
        // Some see nothing, and some chunks are seen by nobody.
        for i in from!.indices where i % 7 == 6 { from![i] = visible[i] }
        for i in from!.indices.dropFirst() { from![i] = max(from![i], from![i - 1]) }
    }

    /// Every query sees `reach` rows before its own and that, as far as they are there; its own is `before` rows after
    /// context row i.
    init(
        heads: Int, group: Int = 1, headSize: Int, queries: Int, before: Int, reach: Int, _ numbers: inout TestNumbers
    ) {
        self.init(
            heads: heads, group: group, headSize: headSize, queries: queries, rows: before + queries, &numbers)
        visible = (0..<queries).map { Int32(before + $0 + 1) }
        from = (0..<queries).map { Int32(max(0, before + $0 - reach)) }
        distance = before
        byDistance = (0..<heads).map { _ in (0...headSize).map { _ in randomFloats(reach + 1, &numbers) } }
    }

    func attend(_ kernels: bbp_kernels) -> [[Float]] {
        let sources = Rows(queries), rows = Rows(context)
        let outputs = Rows(queries.map { $0.map { _ in .nan } })
        let scratch = scratch(floats: bbp_attention_scratch(Int64(context.count), Int64(headSize)))
        let from = from.map(Edge.init), visible = Edge(visible)
        // The kernel has their addresses alone.
        defer { withExtendedLifetime((sources, rows, outputs)) {} }
        func attend(_ distances: UnsafePointer<bbp_distances>?) {
            kernels.attend(
                Int64(queries.count), sources.starts.map { UnsafePointer($0) }, from?.start, visible.start,
                outputs.starts, Int64(context.count), rows.starts.map { UnsafePointer($0) }, Int64(heads),
                Int64(group), Int64(headSize), Int64(value), 1 / Float(headSize).squareRoot(), distances,
                Int64(distance), scratch.start)
        }
        guard let byDistance else {
            attend(nil)
            return outputs.values
        }
        // What is in the margins is of no meaning; nothing past them is read.
        let margin = [Float](repeating: 1e3, count: Int(BBP_DISTANCE_MARGIN))
        let table = Edge(byDistance.flatMap { $0.flatMap { margin + $0 + margin } })
        var distances = bbp_distances(
            distances: Int64(byDistance[0][0].count), stride: Int64(byDistance[0][0].count + 2 * margin.count),
            values: table.start)
        withExtendedLifetime(table) { attend(&distances) }
        return outputs.values
    }

    /// Query i by itself. Whole chunks before what it sees are gone, and the other rows before it are not there.
    func alone(_ i: Int) -> Patch {
        var alone = self
        let (begin, end) = (Int(from?[i] ?? 0), Int(visible[i]))
        let dropped = min(begin, end) / BBP_ATTENTION_ROWS * BBP_ATTENTION_ROWS
        alone.queries = [queries[i]]
        alone.distance = distance + i - dropped
        alone.visible = [Int32(end - dropped)]
        alone.from = from.map { _ in [Int32(begin - dropped)] }
        alone.context = (dropped..<max(end, dropped)).map { $0 < begin ? nil : context[$0] }
        return alone
    }
}

struct AttentionKernelTests {
    private static let shapes = [
        (1, 1, 1), (2, 1, 3), (5, 5, 8), (1, 1, 16), (4, 2, 17), (3, 1, 40), (6, 3, 5), (2, 2, 64),
    ]

    private func patches(_ body: (Patch) throws -> Void) rethrows {
        var numbers = TestNumbers(4)
        for (heads, group, headSize) in Self.shapes {
            // The last ones take several chunks of context rows and several blocks of queries.
            for (queries, rows) in [
                (1, 1), (5, 7), (16, 8), (17, 9), (33, 50), (70, 64), (40, 128), (40, 513), (600, 700),
            ] {
                for hasFrom in [false, true] {
                    try body(
                        Patch(
                            heads: heads, group: group, headSize: headSize, gap: queries % 3, queries: queries,
                            rows: rows, hasFrom: hasFrom, &numbers))
                }
            }
            for (queries, before, reach) in [
                (1, 0, 0), (1, 7, 9), (17, 0, 3), (33, 40, 40), (70, 128, 100), (200, 256, 5), (600, 128, 127),
            ] {
                try body(
                    Patch(
                        heads: heads, group: group, headSize: headSize, queries: queries, before: before, reach: reach,
                        &numbers))
            }
        }
    }

    @Test(arguments: VectorPath.allCases) func agreesWithPlain(_ path: VectorPath) throws {
        let (kernels, plain) = (try path.kernels(), try plainKernels())
        patches { patch in
            for (found, expected) in zip(patch.attend(kernels), patch.attend(plain)) {
                #expect(found.distance(to: expected) < 1e-5)
            }
        }
    }

    @Test func vectorPathsAgreeBitForBit() throws {
        let (avx2, avx512) = (try VectorPath.avx2.kernels(), try VectorPath.avx512.kernels())
        patches { patch in #expect(patch.attend(avx2).map(\.bits) == patch.attend(avx512).map(\.bits)) }
    }

    /// Nor whole chunks that it sees nothing of, which may be there or not.
    @Test(arguments: VectorPath.allCases) func aQueryDoesNotSeeItsCompany(_ path: VectorPath) throws {
        for kernels in [try path.kernels(), try plainKernels()] {
            patches { patch in
                let together = patch.attend(kernels)
                for i in stride(from: 0, to: patch.queries.count, by: max(3, patch.queries.count / 12)) {
                    #expect(patch.alone(i).attend(kernels)[0].bits == together[i].bits)
                }
            }
        }
    }

    /// A weight times a value may be too small for a number, and is then -0: rows that are not seen must not make it 0.
    @Test(arguments: VectorPath.allCases) func theSignOfNothingDoesNotSeeItsCompany(_ path: VectorPath) throws {
        let kernels = try path.kernels()
        var numbers = TestNumbers(7)
        var patch = Patch(heads: 1, headSize: 1, queries: 2, rows: 3, &numbers)
        patch.queries = [[1], [1]]
        patch.context = [[-200, -1e-30], [0, -0.0], [0, 5]]
        patch.visible = [2, 3]
        #expect(patch.attend(kernels)[0].bits == patch.alone(0).attend(kernels)[0].bits)
    }

    @Test(arguments: VectorPath.allCases) func chunksBeforeAllChangeNoBit(_ path: VectorPath) throws {
        for kernels in [try path.kernels(), try plainKernels()] {
            patches { patch in
                let expected = patch.attend(kernels)
                for more in [BBP_ATTENTION_ROWS, 3 * BBP_ATTENTION_ROWS] {
                    var later = patch
                    later.context = [[Float]?](repeating: nil, count: more) + patch.context
                    later.distance = patch.distance + Int(more)
                    later.visible = patch.visible.map { $0 + Int32(more) }
                    later.from = (patch.from ?? patch.visible.map { _ in 0 }).map { $0 + Int32(more) }
                    #expect(later.attend(kernels).map(\.bits) == expected.map(\.bits))
                }
            }
        }
    }

    @Test(arguments: VectorPath.allCases) func rowsThatAreNotSeenDoNotLeak(_ path: VectorPath) throws {
        for kernels in [try path.kernels(), try plainKernels()] {
            patches { patch in
                let expected = patch.attend(kernels)
                let middle = patch.visible.count / 2
                let (begin, end) = (Int(patch.from?[middle] ?? 0), Int(patch.visible[middle]))
                for spoiled in [0..<begin, end..<patch.context.count] where !spoiled.isEmpty {
                    for value in [Float.nan, .infinity] {
                        var bad = patch
                        for r in spoiled { bad.context[r] = bad.context[r]?.map { _ in value } }
                        for (i, found) in bad.attend(kernels).enumerated() {
                            let seen = Int(patch.from?[i] ?? 0)..<max(Int(patch.from?[i] ?? 0), Int(patch.visible[i]))
                            if seen.overlaps(spoiled) {
                                #expect(found.contains { !$0.isFinite })
                            } else {
                                #expect(found.bits == expected[i].bits)
                            }
                        }
                    }
                }
            }
        }
    }

    @Test(arguments: VectorPath.allCases) func whoSeesNothingGetsZero(_ path: VectorPath) throws {
        for kernels in [try path.kernels(), try plainKernels()] {
            patches { patch in
                var blind = patch
                blind.context = patch.context.map { $0.map { $0.map { _ in .nan } } }
                // Places of distances that the table has.
                let nowhere = patch.byDistance == nil ? patch.visible.map { _ in Int32(patch.context.count) } : nil
                for from in [patch.visible, nowhere].compactMap({ $0 }) {
                    blind.from = from
                    #expect(blind.attend(kernels).allSatisfy { $0.bits.allSatisfy { $0 == 0 } })
                }
            }
        }
    }

    @Test func plainAttentionIsTheFormula() throws {
        // Scores log 1 and log 3 in one head: weights 1/4 and 3/4, whatever the values.
        var numbers = TestNumbers(5)
        var patch = Patch(heads: 1, headSize: 1, queries: 2, rows: 3, &numbers)
        patch.queries = [[1.0986123], [1.0986123]]
        patch.context = [[0, 8], [1, 4], [100, 7]]
        patch.visible = [1, 2]
        let found = patch.attend(try plainKernels())
        #expect(abs(found[1][0] - 5) < 1e-5)
        #expect(found[0] == [8])
        // Without the first row the second is all there is.
        patch.from = [0, 1]
        #expect(patch.attend(try plainKernels())[1] == [4])
    }

    @Test func plainScoresGainByDistance() throws {
        // A query that meets keys of 0: at distance 0 it gains 1 · log 3 / 2, at distance 1 log 3 and is added 0 or
        // log 3, whose halves the scale of four features makes.
        var numbers = TestNumbers(8)
        var patch = Patch(heads: 1, headSize: 4, queries: 2, before: 1, reach: 1, &numbers)
        let log3: Float = 1.0986123
        patch.queries = [[1, 0, 0, 0], [2, 0, 0, 0]]
        patch.context = [4, 8, 0].map { [0, 0, 0, 0, $0, $0, $0, $0] }
        patch.byDistance = [[[0, log3], [7, 7], [7, 7], [7, 7], [0, log3]]]
        // Query 0 at row 1: scores log 3 of row 0, 0 of its own. Query 1 at row 2: (2 log 3 + log 3) / 2 of row 1.
        let found = patch.attend(try plainKernels())
        #expect(abs(found[0][0] - 5) < 1e-5)
        let weight = 3 * Float(3).squareRoot()
        #expect(abs(found[1][0] - 8 * weight / (1 + weight)) < 1e-5)
    }

    @Test func plainHeadsShareKeysAndValues() throws {
        // Four query heads over two heads of keys and values, a row alone: each gets its group's values.
        var numbers = TestNumbers(6)
        var patch = Patch(heads: 4, group: 2, headSize: 1, gap: 1, queries: 1, rows: 1, &numbers)
        patch.context = [[3, 4, .nan, 5, 6]]
        #expect(patch.attend(try plainKernels()) == [[5, 5, 6, 6]])
        // Keys too: of two rows, scores 0 and log 3 by the first head, none by the second.
        patch.queries = [[1, 0, 1.0986123, 0]]
        patch.context = [[0, 0, .nan, 1, 1], [0, 1, .nan, 5, 5]]
        patch.visible = [2]
        let found = patch.attend(try plainKernels())[0]
        #expect(found.distance(to: [3, 3, 4, 3]) < 1e-5)
    }
}
