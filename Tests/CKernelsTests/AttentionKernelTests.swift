import CKernels
import TestSupport
import Testing

/// A patch with random rows, and what a path makes of it.
private struct Patch {
    let heads: Int
    let headSize: Int
    var queries: [[Float]]
    var visible: [Int32]
    var context: [[Float]]
    var width: Int { heads * headSize }

    init(heads: Int, headSize: Int, queries: Int, rows: Int, _ numbers: inout TestNumbers) {
        self.heads = heads
        self.headSize = headSize
        func row(_ count: Int) -> [Float] { (0..<count).map { _ in numbers.float() } }
        self.queries = (0..<queries).map { _ in row(heads * headSize) }
        context = (0..<rows).map { _ in row(2 * heads * headSize) }
        visible = (0..<queries).map { _ in Int32.random(in: 1...Int32(rows), using: &numbers) }.sorted()
    }

    func attend(_ kernels: bbp_kernels) -> [[Float]] {
        let sources = queries.map(Edge.init), rows = context.map(Edge.init)
        let outputs = queries.map { _ in Edge([Float](repeating: .nan, count: width)) }
        let scratch = UnsafeMutableRawPointer.allocate(
            byteCount: 4 * Int(bbp_attention_scratch(Int64(context.count), Int64(headSize))), alignment: 64)
        defer { scratch.deallocate() }
        // The kernel has their addresses alone.
        defer { withExtendedLifetime((sources, rows, outputs)) {} }
        kernels.attend(
            Int64(queries.count), sources.map { Optional(UnsafePointer($0.start)) }, nil, visible,
            outputs.map { Optional($0.start) },
            Int64(context.count), rows.map { Optional(UnsafePointer($0.start)) }, Int64(heads), 1, Int64(headSize),
            Int64(width), 1 / Float(headSize).squareRoot(),
            scratch.assumingMemoryBound(to: Float.self))
        return outputs.map(\.values)
    }
}

struct AttentionKernelTests {
    private static let shapes = [(1, 1), (2, 3), (5, 8), (1, 16), (2, 17), (3, 40)]

    private func patches(_ body: (Patch) throws -> Void) rethrows {
        var numbers = TestNumbers(4)
        for (heads, headSize) in Self.shapes {
            // The last ones take several chunks of context rows and several blocks of queries.
            for (queries, rows) in [(1, 1), (5, 7), (16, 8), (17, 9), (33, 50), (70, 64), (40, 128), (600, 700)] {
                try body(Patch(heads: heads, headSize: headSize, queries: queries, rows: rows, &numbers))
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

    @Test(arguments: VectorPath.allCases) func aQueryDoesNotSeeItsCompany(_ path: VectorPath) throws {
        let kernels = try path.kernels()
        patches { patch in
            let together = patch.attend(kernels)
            for i in stride(from: 0, to: patch.queries.count, by: 3) {
                var alone = patch
                alone.queries = [patch.queries[i]]
                alone.visible = [patch.visible[i]]
                alone.context = Array(patch.context[..<Int(patch.visible[i])])
                #expect(alone.attend(kernels)[0].bits == together[i].bits)
            }
        }
    }

    @Test(arguments: VectorPath.allCases) func rowsBeyondThePrefixDoNotLeak(_ path: VectorPath) throws {
        for kernels in [try path.kernels(), try plainKernels()] {
            patches { patch in
                let expected = patch.attend(kernels)
                var spoiled = patch
                let prefix = Int(patch.visible[patch.visible.count / 2])
                for r in prefix..<patch.context.count { spoiled.context[r] = spoiled.context[r].map { _ in .nan } }
                for (i, found) in spoiled.attend(kernels).enumerated() {
                    if patch.visible[i] <= prefix {
                        #expect(found.bits == expected[i].bits)
                    } else {
                        #expect(found.contains { $0.isNaN })
                    }
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
    }
}
