/// Patches cut into blocks of T consecutive ones; the last block may be shorter. A block is the unit of storage.
package struct BlockGrid: Sendable, Equatable {
    /// G.
    package let patches: Int
    /// T, at least 1.
    package let patchesPerBlock: Int

    package init(patches: Int, patchesPerBlock: Int) {
        self.patches = patches
        self.patchesPerBlock = max(1, patchesPerBlock)
    }

    package var blocks: Int { (patches + patchesPerBlock - 1) / patchesPerBlock }

    /// The patches of block `block`.
    package func patches(ofBlock block: Int) -> Range<Int> {
        block * patchesPerBlock..<min(patches, (block + 1) * patchesPerBlock)
    }

    /// The blocks that hold the patches `range`, empty for an empty range.
    package func blocks(of range: Range<Int>) -> Range<Int> {
        if range.isEmpty { return 0..<0 }
        return range.lowerBound / patchesPerBlock..<(range.upperBound - 1) / patchesPerBlock + 1
    }

    /// `range` cut at block boundaries, in order.
    package func pieces(of range: Range<Int>) -> [(block: Int, patches: Range<Int>)] {
        blocks(of: range).map { block in (block, range.clamped(to: patches(ofBlock: block))) }
    }
}
