import Geometry
import Support

/// Which rank holds which blocks of a generation: contiguous ranges of them, in the order of ranks.
///
/// Numbers of blocks and patches are those of the whole sequence. A rank may hold none.
package struct Shards: Sendable, Equatable {
    package let grid: BlockGrid
    /// The first block of every rank, and the number of all blocks after them.
    private let bounds: [Int]

    /// Blocks shared out evenly; the first ranks hold one more where they do not divide.
    ///
    /// - Throws: `Fault` (`usage`) for less than one rank.
    package init(_ grid: BlockGrid, ranks: Int) throws {
        if ranks < 1 { throw Fault(.usage, "a sequence is shared by at least one rank, not by \(ranks)") }
        self.grid = grid
        let (each, more) = grid.blocks.quotientAndRemainder(dividingBy: ranks)
        bounds = (0...ranks).map { $0 * each + min($0, more) }
    }

    /// Blocks shared out as a list has them, from a file say.
    ///
    /// - Parameter lengths: how many blocks every rank holds.
    /// - Throws: `Fault` (`badData`) where these are not all blocks of `grid`.
    package init(_ grid: BlockGrid, lengths: [Int]) throws {
        var bounds = [0]
        for (rank, length) in lengths.enumerated() {
            let left = grid.blocks - bounds[rank]
            guard length >= 0, length <= left else {
                throw Fault(.badData, "rank \(rank) cannot hold \(length) blocks: \(left) of \(grid.blocks) are left")
            }
            bounds.append(bounds[rank] + length)
        }
        guard lengths.count >= 1, bounds[lengths.count] == grid.blocks else {
            throw Fault(.badData, "\(lengths.count) shards hold \(bounds[lengths.count]) of \(grid.blocks) blocks")
        }
        self.grid = grid
        self.bounds = bounds
    }

    /// Ranks, at least 1.
    package var count: Int { bounds.count - 1 }
    /// How many blocks every rank holds, as `init(_:lengths:)` takes them.
    package var lengths: [Int] { (0..<count).map { blocks(ofRank: $0).count } }

    /// The blocks of rank `rank`, 0 to `count` - 1.
    package func blocks(ofRank rank: Int) -> Range<Int> { bounds[rank]..<bounds[rank + 1] }

    /// The patches of rank `rank`, 0 to `count` - 1.
    package func patches(ofRank rank: Int) -> Range<Int> {
        // Its last block's end, not the next one's beginning, which may be past 2^63.
        let blocks = blocks(ofRank: rank)
        if blocks.isEmpty { return 0..<0 }
        return grid.patches(ofBlock: blocks.lowerBound)
            .lowerBound..<grid.patches(ofBlock: blocks.upperBound - 1).upperBound
    }

    /// The rank that holds block `block`; nil for a block that there is not.
    package func rank(holding block: Int) -> Int? {
        guard (0..<grid.blocks).contains(block) else { return nil }
        // The last one that begins at or before it: others that begin where it does hold none.
        var (low, high) = (0, count)
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if bounds[middle] <= block { low = middle } else { high = middle }
        }
        return low
    }
}
