import Geometry
import Testing

@Suite("Delegate transpose") struct DelegateTransposeTests {
    private func geometry(_ tokens: Int, _ patchSize: Int) throws -> SequenceGeometry {
        try #require(SequenceGeometry(tokens: tokens, patchSize: patchSize))
    }

    @Test("P 4, G 3: patch 0 receives tokens 1, 5, 9, 2, counted from one")
    func toyCase() throws {
        let geometry = try geometry(12, 4)
        #expect((0..<4).map { geometry.token(inSlot: $0) + 1 } == [1, 5, 9, 2])
    }

    @Test(
        "slots are a bijection, and token(inSlot:) its inverse",
        arguments: [
            (1, 1), (1, 4), (7, 3), (12, 4), (100, 7), (343, 7), (1000, 32), (999, 1024), (5000, 5), (40_000, 4096),
        ])
    func bijection(tokens: Int, patchSize: Int) throws {
        let geometry = try geometry(tokens, patchSize)
        let slots = (0..<geometry.paddedTokens).map(geometry.slot(ofToken:))
        #expect(slots.sorted() == Array(0..<geometry.paddedTokens))
        #expect(slots.map(geometry.token(inSlot:)) == Array(0..<geometry.paddedTokens))
    }

    @Test(
        "hosts and guests agree with the map",
        arguments: [(1, 4), (7, 3), (29, 5), (100, 7), (512, 8), (1000, 32), (65, 64)])
    func runs(tokens: Int, patchSize: Int) throws {
        let geometry = try geometry(tokens, patchSize)
        let G = geometry.patches
        for window in [0..<1, 0..<G, G / 2..<G, G - 1..<G, G / 3..<max(G / 3 + 1, 2 * G / 3)] {
            for column in 0..<patchSize {
                let visited = Set(window.map { geometry.slot(ofToken: $0 * patchSize + column) / patchSize })
                #expect(Set(geometry.hosts(of: window, column: column)) == visited)
                #expect(
                    Array(geometry.slots(of: window, column: column))
                        == window.map { geometry.slot(ofToken: $0 * patchSize + column) })
            }
            var held: [Int] = []
            for run in geometry.guests(of: window) {
                #expect(run.firstSlot == window.lowerBound * patchSize + held.count)
                held += run.sources.map { $0 * patchSize + run.column }
            }
            #expect(
                held == (window.lowerBound * patchSize..<window.upperBound * patchSize).map(geometry.token(inSlot:)))
        }
    }

    @Test(
        "indices hold past 2^42 tokens", arguments: [(1 << 42) + 12_345, 1 << 50, (1 << 62) - 16_384],
        [1, 5, 32, 1024, 16_384])
    func farOut(tokens: Int, patchSize: Int) throws {
        let geometry = try geometry(tokens, patchSize)
        let (G, N) = (geometry.patches, geometry.paddedTokens)
        #expect(N >= tokens && N - tokens < patchSize)
        for token in [0, 1, patchSize, tokens / 3, tokens / 2 + 1, tokens - 1, N - 1] {
            let slot = geometry.slot(ofToken: token)
            // The definition, in arithmetic that cannot overflow here.
            #expect(slot == (token % patchSize) * G + token / patchSize && (0..<N).contains(slot))
            #expect(geometry.token(inSlot: slot) == token)
        }
        let window = G - min(G, 1000)..<G
        for column in [0, patchSize / 2, patchSize - 1] {
            let hosts = geometry.hosts(of: window, column: column)
            #expect(hosts.contains(geometry.slot(ofToken: window.lowerBound * patchSize + column) / patchSize))
            #expect(hosts.contains(geometry.slot(ofToken: (G - 1) * patchSize + column) / patchSize))
            #expect(hosts.count <= window.count / patchSize + 2 && hosts.upperBound <= G)
        }
        let last = geometry.guests(of: G - 1..<G)
        #expect(
            last.map(\.sources.count).reduce(0, +) == patchSize && last.last?.column == patchSize - 1
                && last.last?.sources.upperBound == G)
        let grid = BlockGrid(patches: G, patchesPerBlock: 257)
        #expect(grid.patches(ofBlock: grid.blocks - 1).upperBound == G)
        #expect(grid.pieces(of: window).map(\.patches.count).reduce(0, +) == window.count)
    }

    @Test("lengths and patch sizes that make no sequence are refused")
    func limits() {
        for (tokens, patchSize) in [(0, 4), (-1, 4), (5, 0), (5, 16_385), (Int.max, 4), (1 << 62, 1)] {
            #expect(SequenceGeometry(tokens: tokens, patchSize: patchSize) == nil)
        }
    }

    @Test("tiles hold whole patches, about 512 rows or one patch, and cover their range")
    func tiling() {
        for patchSize in Array(1...1024) + [1025, 4096, 16_384] {
            let tiling = Tiling(patchSize: patchSize)
            #expect(
                tiling.rows == tiling.patchesPerTile * patchSize && (256...max(1024, patchSize)).contains(tiling.rows))
            let tiles = tiling.tiles(of: 0..<1000)
            #expect(tiles.map(\.count).reduce(0, +) == 1000 && tiles.last?.upperBound == 1000)
        }
    }
}
