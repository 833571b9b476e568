import Cluster
import Geometry
import Support
import Testing

@Suite("Shards") struct ShardsTests {
    @Test(
        "Every block is of one rank, evenly and in order", arguments: [1, 2, 3, 5, 8],
        [(1, 1), (2, 3), (100, 7), (64, 8), (1000, 1)])
    func even(ranks: Int, sizes: (patches: Int, patchesPerBlock: Int)) throws {
        let grid = BlockGrid(patches: sizes.patches, patchesPerBlock: sizes.patchesPerBlock)
        let shards = try Shards(grid, ranks: ranks)
        #expect(shards.count == ranks)
        #expect((0..<ranks).flatMap { shards.blocks(ofRank: $0) } == Array(0..<grid.blocks))
        #expect((0..<ranks).flatMap { shards.patches(ofRank: $0) } == Array(0..<grid.patches))
        #expect(try #require(shards.lengths.max()) - #require(shards.lengths.min()) <= 1)
        for rank in 0..<ranks {
            for block in shards.blocks(ofRank: rank) { #expect(shards.rank(holding: block) == rank) }
        }
        #expect(shards.rank(holding: -1) == nil && shards.rank(holding: grid.blocks) == nil)
        #expect(try Shards(grid, lengths: shards.lengths) == shards)
    }

    @Test("Any list of lengths, ranks without blocks among them")
    func uneven() throws {
        let grid = BlockGrid(patches: 95, patchesPerBlock: 10)
        let shards = try Shards(grid, lengths: [0, 3, 0, 0, 6, 1, 0])
        #expect((0..<10).map { shards.rank(holding: $0) } == [1, 1, 1, 4, 4, 4, 4, 4, 4, 5])
        #expect(shards.patches(ofRank: 5) == 90..<95 && shards.patches(ofRank: 6).isEmpty)
    }

    @Test("Sequences of 2^62 tokens", arguments: [1, 3, 1024])
    func largest(ranks: Int) throws {
        let geometry = try #require(
            SequenceGeometry(tokens: SequenceGeometry.largestLength - 1, patchSize: 1))
        let grid = BlockGrid(patches: geometry.patches, patchesPerBlock: 7)
        let shards = try Shards(grid, ranks: ranks)
        #expect(shards.patches(ofRank: ranks - 1).upperBound == geometry.patches)
        for rank in 0..<ranks {
            #expect(shards.rank(holding: shards.blocks(ofRank: rank).lowerBound) == rank)
            #expect(shards.rank(holding: shards.blocks(ofRank: rank).upperBound - 1) == rank)
        }
    }

    @Test(
        "Lists that are not the sequence's blocks are refused",
        arguments: [
            ([], "0 of 10"), ([4, 5], "9 of 10"), ([4, 7], "rank 1 cannot hold 7"),
            ([-1, 11], "rank 0 cannot hold -1"),
            ([1, Int.max, Int.max], "rank 1 cannot hold"), ([Int.min], "rank 0 cannot hold"),
        ])
    func wrong(lengths: [Int], words: String) {
        let error = #expect(throws: Fault.self) {
            try Shards(BlockGrid(patches: 10, patchesPerBlock: 1), lengths: lengths)
        }
        #expect(error?.kind == .badData && error?.problem.contains(words) == true)
    }

    @Test("At least one rank", arguments: [0, -1, Int.min])
    func ranks(count: Int) {
        let error = #expect(throws: Fault.self) {
            try Shards(BlockGrid(patches: 10, patchesPerBlock: 1), ranks: count)
        }
        #expect(error?.kind == .usage)
    }
}
