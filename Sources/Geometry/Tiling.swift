/// The fixed unit of arithmetic: R whole patches, about 768 tokens, anchored at multiples of R.
///
/// R depends on P alone. Blocks and windows are multiples of it, so a token sits at the same place of the same tile
/// whatever the budget or thread count: that is why results are bit-identical.
package struct Tiling: Sendable, Equatable {
    package let patchSize: Int

    package init(patchSize: Int) {
        self.patchSize = patchSize
    }

    /// R.
    package var patchesPerTile: Int { max(1, 768 / patchSize) }
    /// Rows of a tile, R·P: at most 1024, or P.
    package var rows: Int { patchesPerTile * patchSize }

    /// The tiles of `range`, whose lower bound is a multiple of R.
    package func tiles(of range: Range<Int>) -> [Range<Int>] {
        stride(from: range.lowerBound, to: range.upperBound, by: patchesPerTile).map {
            $0..<min(range.upperBound, $0 + patchesPerTile)
        }
    }
}
