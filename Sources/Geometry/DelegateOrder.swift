/// The delegate order of a patch: which of its tokens stands in which column, and so which token's delegate goes to
/// slot column · G + patch (`DelegateTranspose`). Column c holds token `order[c]`; ρ of Model.md is the inverse.
///
/// Whatever decides it gives every token a key, and tokens stand in the order of their keys. Keys end in the token's
/// index, so that no two are equal and the lower index comes first where the rest of them is.
package enum DelegateOrder {
    /// The bits of a key that hold a token's index: ten, or fourteen where a patch has more than 1024 tokens.
    static func indexMask(patchSize P: Int) -> UInt64 { P <= 1024 ? 1023 : 16_383 }

    /// Sorts `keys` of a patch's tokens and says which token stands in each column.
    ///
    /// - Parameters:
    ///   - keys: [P], in the order of the tokens; sorted on return.
    ///   - order: [P] token indices.
    package static func sort(_ keys: UnsafeMutableBufferPointer<UInt64>, into order: UnsafeMutablePointer<UInt16>) {
        var keys = keys
        if keys.count <= 64 { insertionSort(keys) } else { keys.sort() }
        let mask = indexMask(patchSize: keys.count)
        for column in 0..<keys.count { order[column] = UInt16(truncatingIfNeeded: keys[column] & mask) }
    }

    /// The key of a token with a score: the highest score first; what is no number last.
    package static func key(score: Float, index: Int) -> UInt64 {
        // Bit patterns of floats ascend with the numbers once negative ones are turned around. -0 is 0.
        let bits = (score + 0).bitPattern
        let ascending = bits >> 31 == 0 ? bits | 1 << 31 : ~bits
        return UInt64(score.isNaN ? UInt32.max : ~ascending) << 32 | UInt64(index)
    }

    /// Short patches are sorted without a call or an allocation.
    private static func insertionSort(_ keys: UnsafeMutableBufferPointer<UInt64>) {
        for next in 1..<max(1, keys.count) {
            let key = keys[next]
            var place = next
            while place > 0 && keys[place - 1] > key {
                keys[place] = keys[place - 1]
                place -= 1
            }
            keys[place] = key
        }
    }
}

/// The random delegate orders of one pass over the sequence (`monte-carlo`): any patch's can be drawn alone.
///
/// The token with index j of patch g has the key (w & ~1023) | j (16383 for P > 1024), where w is word j of the patch's
/// words: Philox4x64 with ten rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011), key (seed,
/// 0), whose block of words 4i to 4i + 3 has the counter (i + 1, g, repeat, block), lowest word first. In NumPy these
/// words are `Philox(key=[seed, 0], counter=[0, g, repeat, block]).random_raw(P)`. Blocks and repeats count from 0.
package struct DelegateDraw: Sendable, Equatable {
    package var seed: UInt64
    package var block: Int
    package var `repeat`: Int

    package init(seed: UInt64, block: Int, repeat: Int) {
        self.seed = seed
        self.block = block
        self.repeat = `repeat`
    }

    /// Draws the order of patch `patch` of keys.count tokens.
    ///
    /// - Parameter keys: [P] scratch.
    package func order(
        ofPatch patch: Int, keys: UnsafeMutableBufferPointer<UInt64>, into order: UnsafeMutablePointer<UInt16>
    ) {
        var index = 0
        let mask = DelegateOrder.indexMask(patchSize: keys.count)
        func put(_ word: UInt64) {
            if index == keys.count { return }
            keys[index] = word & ~mask | UInt64(index)
            index += 1
        }
        while index < keys.count {
            let words = Philox.block(
                counter: (UInt64(index / 4 + 1), UInt64(patch), UInt64(`repeat`), UInt64(block)), key: (seed, 0))
            put(words.0)
            put(words.1)
            put(words.2)
            put(words.3)
        }
        DelegateOrder.sort(keys, into: order)
    }
}

/// Philox4x64-10: four random words from a counter and a key.
enum Philox {
    typealias Words = (UInt64, UInt64, UInt64, UInt64)

    static func block(counter: Words, key: (UInt64, UInt64)) -> Words {
        var (c, k) = (counter, key)
        for round in 0..<10 {
            if round > 0 { k = (k.0 &+ 0x9e37_79b9_7f4a_7c15, k.1 &+ 0xbb67_ae85_84ca_a73b) }
            let (a, b) = (
                c.0.multipliedFullWidth(by: 0xd2e7_470e_e14c_6c93), c.2.multipliedFullWidth(by: 0xca5a_8263_9512_1157)
            )
            c = (b.high ^ c.1 ^ k.0, b.low, a.high ^ c.3 ^ k.1, a.low)
        }
        return c
    }
}
