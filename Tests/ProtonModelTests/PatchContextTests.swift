import Geometry
import Support
import TestSupport
import Testing

@testable import ProtonModel

@Suite("Contexts of patches") struct PatchContextTests {
    /// A context row is a token; its origin is its index.
    @Test(
        "a context is sorted by origin and sees what the masks of the model allow",
        arguments: [(12, 4), (7, 3), (100, 7), (64, 8), (65, 64), (1000, 32)])
    func contexts(tokens: Int, patchSize P: Int) throws {
        let geometry = try #require(SequenceGeometry(tokens: tokens, patchSize: P))
        var context = try PatchContext(patchSize: P)
        for patch in 0..<geometry.patches {
            // The mask as the model states it: all 2P rows, row r sees row s if origin(r) >= origin(s).
            let guests = (0..<P).map { Int64(geometry.token(inSlot: patch * P + $0)) }
            let origins = (0..<P).map { Int64(patch * P + $0) } + guests
            for limit in [Int64(patch * P + P - 1), guests[P / 2], Int64(geometry.paddedTokens)] {
                for isCausal in [true, false] {
                    context.arrange(patch, patchSize: P, guests: guests, limit: limit, isCausal: isCausal)
                    #expect(context.count == origins.filter { $0 <= limit }.count)
                    for place in 0..<context.count {
                        let row = Int(context.rows[place])
                        #expect(context.origins[place] == origins[row])
                        let seen = Set((0..<Int(context.visible[place])).map { Int(context.rows[$0]) })
                        #expect(
                            seen == Set(origins.indices.filter { origins[$0] <= (isCausal ? origins[row] : limit) }))
                    }
                }
            }
        }
    }
}
