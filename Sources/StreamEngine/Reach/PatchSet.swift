/// Numbers the patches of a sparse set in the order they come: a hash table from patch to entry.
struct PatchTable {
    /// The patches, by entry.
    private(set) var patches: [Int] = []
    /// Entry + 1 of the patch that hashes here; 0 where none does. A power of two of them, less than half in use.
    private var places = [UInt32](repeating: 0, count: 64)
    private var shift: UInt64 = 64 - 3

    var count: Int { patches.count }

    /// The entry of `patch`, a new one (`count` before the call) where it has none.
    mutating func entry(of patch: Int) -> Int {
        if patches.count >= places.count / 2 { grow() }
        var place = firstPlace(patch)
        while true {
            let found = Int(places[place])
            if found == 0 { break }
            if patches[found - 1] == patch { return found - 1 }
            place = (place + 1) & (places.count - 1)
        }
        patches.append(patch)
        places[place] = UInt32(truncatingIfNeeded: patches.count)
        return patches.count - 1
    }

    /// Eight consecutive patches stay together: sets are mostly runs.
    private func firstPlace(_ patch: Int) -> Int {
        let group = (UInt64(patch >> 3) &* 0x9e37_79b9_7f4a_7c15) >> shift
        return Int(group) << 3 | patch & 7
    }

    private mutating func grow() {
        places = [UInt32](repeating: 0, count: 2 * places.count)
        shift -= 1
        for (index, patch) in patches.enumerated() {
            var place = firstPlace(patch)
            while places[place] != 0 { place = (place + 1) & (places.count - 1) }
            places[place] = UInt32(truncatingIfNeeded: index + 1)
        }
    }
}

/// A set of tokens of a long sequence: the patches that hold any, with a bit for each of their P tokens.
struct PatchSet {
    let patchSize: Int
    /// Words of a patch's mask.
    let words: Int
    private(set) var table = PatchTable()
    /// [entries, words]
    private(set) var masks: [UInt64] = []

    init(patchSize: Int) {
        self.patchSize = patchSize
        words = (patchSize + 63) / 64
    }

    /// The patches, by entry.
    var patches: [Int] { table.patches }

    mutating func insert(patch: Int, index: Int) {
        let entry = entry(of: patch)
        masks[entry * words + index >> 6] |= 1 << UInt64(index & 63)
    }

    /// Inserts the tokens 0 to `index` of a patch.
    mutating func insert(patch: Int, through index: Int) { insert(patch: patch, indices: 0...index) }

    mutating func insert(patch: Int, indices: ClosedRange<Int>) {
        let entry = entry(of: patch)
        for word in indices.lowerBound >> 6...indices.upperBound >> 6 {
            let bits = indices.upperBound - 64 * word, low = max(0, indices.lowerBound - 64 * word)
            let through: UInt64 = bits >= 63 ? ~0 : (1 << UInt64(bits + 1)) - 1
            masks[entry * words + word] |= through & ~0 << UInt64(low)
        }
    }

    private mutating func entry(of patch: Int) -> Int {
        let entry = table.entry(of: patch)
        if entry * words == masks.count { for _ in 0..<words { masks.append(0) } }
        return entry
    }

    /// Visits the indices of an entry's tokens, ascending.
    @inline(__always) func forEachIndex(ofEntry entry: Int, _ body: (Int) -> Void) {
        for word in 0..<words {
            var mask = masks[entry * words + word]
            while mask != 0 {
                body(word << 6 + mask.trailingZeroBitCount)
                mask &= mask - 1
            }
        }
    }

    func has(entry: Int, index: Int) -> Bool { masks[entry * words + index >> 6] >> UInt64(index & 63) & 1 == 1 }

    /// The largest index of an entry's tokens.
    func largestIndex(ofEntry entry: Int) -> Int {
        for word in (0..<words).reversed() {
            let mask = masks[entry * words + word]
            if mask != 0 { return word << 6 + 63 - mask.leadingZeroBitCount }
        }
        return 0
    }

    /// Tokens below `end`.
    func count(below end: Int) -> Int {
        let (lastPatch, rest) = end.quotientAndRemainder(dividingBy: patchSize)
        var sum = 0
        for (entry, patch) in table.patches.enumerated() where patch <= lastPatch {
            if patch == lastPatch {
                forEachIndex(ofEntry: entry) { sum += $0 < rest ? 1 : 0 }
            } else {
                for word in 0..<words { sum += masks[entry * words + word].nonzeroBitCount }
            }
        }
        return sum
    }

    /// The tokens below `end`, one by one.
    func tokens(below end: Int) -> Set<Int> {
        var tokens = Set<Int>()
        for (entry, patch) in table.patches.enumerated() {
            forEachIndex(ofEntry: entry) { if patch * patchSize + $0 < end { tokens.insert(patch * patchSize + $0) } }
        }
        return tokens
    }

    /// Adds the tokens of `other`, each `offset` tokens later (earlier where it is negative); those that leave the
    /// patches 0..<`patches` are dropped.
    mutating func formUnion(_ other: PatchSet, movedBy offset: Int, patches: Int) {
        // offset = whole · P + rest, 0 <= rest < P.
        var (whole, rest) = offset.quotientAndRemainder(dividingBy: patchSize)
        if rest < 0 { (whole, rest) = (whole - 1, rest + patchSize) }
        for (source, patch) in other.table.patches.enumerated() {
            // Indices below P - rest stay in one patch, the others pass into the next.
            for (target, bits) in [(patch + whole, rest), (patch + whole + 1, rest - patchSize)]
            where target >= 0 && target < patches {
                guard bits > -patchSize, other.hasAny(source, movedBy: bits) else { continue }
                let entry = self.entry(of: target)
                for word in 0..<words {
                    masks[entry * words + word] |= other.word(word, ofEntry: source, movedBy: bits)
                }
            }
        }
    }

    private func hasAny(_ entry: Int, movedBy bits: Int) -> Bool {
        for word in 0..<words where self.word(word, ofEntry: entry, movedBy: bits) != 0 { return true }
        return false
    }

    /// Word `word` of an entry's mask with every bit `bits` places up, |bits| < P, without those past P.
    @inline(__always) private func word(_ word: Int, ofEntry entry: Int, movedBy bits: Int) -> UInt64 {
        let (jump, up) = (bits >> 6, UInt64(bits & 63))
        func source(_ index: Int) -> UInt64 { index >= 0 && index < words ? masks[entry * words + index] : 0 }
        var value = source(word - jump) << up
        if up > 0 { value |= source(word - jump - 1) >> (64 - up) }
        let last = patchSize - 64 * word
        return last >= 64 ? value : value & ((1 << UInt64(last)) - 1)
    }
}
