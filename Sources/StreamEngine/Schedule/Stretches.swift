import Geometry

/// A pass's blocks cut into stretches, the patches that go from layer to layer together, and spans, whose rows of s lie
/// together: index arithmetic, no more.
struct Stretches {
    let plan: WindowPlan
    /// S: patches of a stretch; a block's last one may have fewer.
    let length: Int
    /// Whether rows see rows after them: a span is then a window, else a stretch.
    let isLookingAhead: Bool

    private var perBlock: Int { (plan.target.patchesPerBlock + length - 1) / length }

    /// The stretches of a block, numbered from the first one of all.
    func inBlock(_ block: Int) -> Range<Int> {
        block * perBlock..<block * perBlock + (plan.target.patches(ofBlock: block).count + length - 1) / length
    }

    func block(of stretch: Int) -> Int { stretch / perBlock }

    func patches(of stretch: Int) -> Range<Int> {
        let block = block(of: stretch)
        let patches = plan.target.patches(ofBlock: block)
        let first = patches.lowerBound + (stretch - inBlock(block).lowerBound) * length
        return first..<min(patches.upperBound, first + length)
    }

    /// The stretches that hold consecutive patches.
    func holding(_ patches: Range<Int>) -> [Int] {
        plan.target.blocks(of: patches).flatMap { inBlock($0) }.filter { self.patches(of: $0).overlaps(patches) }
    }

    /// The stretch before, where this pass has it.
    func before(_ stretch: Int) -> Int? {
        let block = block(of: stretch)
        if stretch > inBlock(block).lowerBound { return stretch - 1 }
        return block > plan.shard.lowerBound ? inBlock(block - 1).upperBound - 1 : nil
    }

    // MARK: Spans

    func span(of stretch: Int) -> Int { isLookingAhead ? plan.window(ofBlock: block(of: stretch)) : stretch }

    func patches(ofSpan span: Int) -> Range<Int> {
        isLookingAhead ? plan.patches(ofWindow: span) : patches(of: span)
    }

    /// The span before, where this pass has it.
    func spanBefore(_ span: Int) -> Int? {
        if isLookingAhead { return span > plan.windows.lowerBound ? span - 1 : nil }
        return before(span)
    }
}
