/// The choices of one case: they follow from its kind and number alone.
struct Numbers: RandomNumberGenerator {
    private var state: UInt64

    init(kind: String, number: Int) {
        // FNV-1a over the kind, so that equal numbers of different kinds have nothing in common.
        state = kind.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        state ^= UInt64(number) &* 0x9e37_79b9_7f4a_7c15
    }

    /// SplitMix64.
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }

    /// 0 to `bound` - 1; 0 where nothing is to choose from.
    mutating func below(_ bound: Int) -> Int { bound < 1 ? 0 : Int(next() % UInt64(bound)) }

    /// True once in `turns` times.
    mutating func once(in turns: Int) -> Bool { below(turns) == 0 }

    mutating func pick<T>(_ choices: [T]) -> T { choices[below(choices.count)] }

    mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }

    /// A number that readers of numbers stumble over, or one near `value`.
    mutating func hostile(near value: UInt64) -> UInt64 {
        switch below(8) {
        case 0: return value &+ 1
        case 1: return value &- 1
        case 2: return pick([value &* 2, value / 2, value &* 16, value &+ 4096, value &- 4096, value &<< 32])
        case 3: return value ^ 1 << UInt64(below(64))
        case 4: return UInt64(below(300))
        case 5: return ~UInt64(below(4))
        case 6: return 1 << UInt64(below(64)) &- UInt64(below(2))
        default: return next()
        }
    }
}

extension [UInt8] {
    /// The little-endian number of `width` bytes at `offset`; 0 beyond the end.
    func number(at offset: Int, width: Int) -> UInt64 {
        guard offset >= 0, offset + width <= count else { return 0 }
        return (0..<width).reduce(0) { $0 | UInt64(self[offset + $1]) << UInt64(8 * $1) }
    }

    /// Does nothing beyond the end.
    mutating func put(_ value: UInt64, at offset: Int, width: Int) {
        guard offset >= 0, offset + width <= count else { return }
        for byte in 0..<width { self[offset + byte] = UInt8(truncatingIfNeeded: value >> UInt64(8 * byte)) }
    }

    /// Makes the number at `offset` hostile. Returns what it became.
    mutating func disturb(at offset: Int, width: Int, _ numbers: inout Numbers) -> UInt64 {
        put(numbers.hostile(near: number(at: offset, width: width)), at: offset, width: width)
        return number(at: offset, width: width)
    }
}
