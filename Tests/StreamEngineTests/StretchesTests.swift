import Geometry
import Testing

@testable import StreamEngine

struct StretchesTests {
    @Test(
        "stretches cut blocks, and spans are theirs or the windows', wherever in a sequence",
        arguments: [0, 1 << 45], [1, 2, 3, 5, 8])
    func cuts(first: Int, length: Int) throws {
        // Blocks of 8 patches, windows of two blocks, and a last block of 3 patches.
        let patches = 8 * (first + 6) + 3
        let geometry = try #require(SequenceGeometry(tokens: 4 * patches, patchSize: 4))
        let grid = BlockGrid(patches: patches, patchesPerBlock: 8)
        let shard = first + 1..<first + 7
        let plan = WindowPlan(
            WindowShape(geometry: geometry, source: grid, target: grid, windowPatches: 16), parts: 0, shard: shard)
        for isLookingAhead in [false, true] {
            let cut = Stretches(plan: plan, length: length, isLookingAhead: isLookingAhead)
            var (next, last): (Int, Int?) = (grid.patches(ofBlock: first + 1).lowerBound, nil)
            var span = -1
            for block in shard {
                for stretch in cut.inBlock(block) {
                    let own = cut.patches(of: stretch)
                    #expect(own.lowerBound == next && !own.isEmpty && own.count <= length)
                    #expect(cut.block(of: stretch) == block && cut.before(stretch) == last)
                    #expect(cut.holding(own) == [stretch])
                    let of = cut.span(of: stretch)
                    #expect(isLookingAhead ? of == plan.window(ofBlock: block) : of == stretch)
                    #expect(of >= span && cut.patches(ofSpan: of).contains(own.lowerBound))
                    if of != span { #expect(cut.spanBefore(of) == (last == nil ? nil : span)) }
                    (next, last, span) = (own.upperBound, stretch, of)
                }
            }
            #expect(next == patches)
            let all = grid.patches(ofBlock: first + 2).lowerBound - 1..<grid.patches(ofBlock: first + 2).lowerBound + 1
            #expect(cut.holding(all).map(cut.block(of:)) == [first + 1, first + 2])
        }
    }
}
