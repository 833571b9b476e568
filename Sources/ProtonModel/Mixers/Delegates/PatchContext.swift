import Geometry
import Support

/// The context of one patch: its P local rows and the P delegates in its slots, sorted by origin.
///
/// Row r may see row s only if origin(r) >= origin(s) (Model.md, step 5); in a bidirectional model every row sees all.
/// Sorted by origin, what a row may see is a prefix: nothing is masked, and pairs that cannot see each other are never
/// computed.
struct PatchContext {
    /// Rows in the context.
    private(set) var count = 0
    /// [2P] origins, ascending.
    let origins: Memory<Int64>
    /// [2P] which row: below P the local row of that index, from P on the delegate in that place.
    let rows: Memory<Int32>
    /// [2P] how many rows a query at this place sees: itself, all before it, and its twin of the same origin.
    let visible: Memory<Int32>
    // Delegates before merging, [P].
    private let delegateOrigins: Memory<Int64>
    private let delegatePlaces: Memory<Int32>

    static func footprint(patchSize P: Int) -> Int { 2 * P * 16 + P * 12 }

    init(patchSize P: Int) throws {
        origins = try Memory(2 * P)
        rows = try Memory(2 * P)
        visible = try Memory(2 * P)
        delegateOrigins = try Memory(P)
        delegatePlaces = try Memory(P)
    }

    /// Arranges the context of `patch`, leaving out rows of origin beyond `limit`, which no query sees.
    ///
    /// - Parameters:
    ///   - guests: [P] the origins of the delegates in the patch's slots; beyond `limit` where there is none.
    ///   - limit: the last origin that asks; in a bidirectional model, any of them asks for all.
    mutating func arrange(_ patch: Int, patchSize P: Int, guests: UnsafePointer<Int64>, limit: Int64, isCausal: Bool) {
        let first = Int64(patch * P)
        var delegates = 0
        var isSorted = true
        for place in 0..<P {
            let token = guests[place]
            if token > limit { continue }
            if delegates > 0 && delegateOrigins[delegates - 1] > token { isSorted = false }
            delegateOrigins[delegates] = token
            delegatePlaces[delegates] = Int32(place)
            delegates += 1
        }
        // One token index fills most patches and comes ascending; where two meet, two ascending runs do.
        if !isSorted { sortDelegates(delegates) }

        let locals = limit < first ? 0 : limit - first < Int64(P) ? Int(limit - first) + 1 : P
        var (local, delegate) = (0, 0)
        count = 0
        while local < locals || delegate < delegates {
            let localFirst =
                delegate == delegates || (local < locals && first + Int64(local) <= delegateOrigins[delegate])
            if localFirst {
                origins[count] = first + Int64(local)
                rows[count] = Int32(local)
                local += 1
            } else {
                origins[count] = delegateOrigins[delegate]
                rows[count] = Int32(P) + delegatePlaces[delegate]
                delegate += 1
            }
            count += 1
        }
        var end = count
        for place in stride(from: count - 1, through: 0, by: -1) {
            if isCausal && place + 1 < count && origins[place] != origins[place + 1] { end = place + 1 }
            visible[place] = Int32(end)
        }
    }

    /// Insertion sort: the input is a few ascending runs, and P is small.
    private func sortDelegates(_ count: Int) {
        for i in 1..<count {
            let (origin, place) = (delegateOrigins[i], delegatePlaces[i])
            var j = i
            while j > 0 && delegateOrigins[j - 1] > origin {
                delegateOrigins[j] = delegateOrigins[j - 1]
                delegatePlaces[j] = delegatePlaces[j - 1]
                j -= 1
            }
            delegateOrigins[j] = origin
            delegatePlaces[j] = place
        }
    }
}
