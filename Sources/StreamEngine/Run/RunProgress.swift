import PageStore
import Support

/// How far a pass is, committed with the pages it describes: enough to go on from the next block with the same bits.
struct RunProgress: Equatable {
    /// The first block not yet written.
    var nextBlock = 0
    /// Bytes of the states' pages so far.
    var storedBytes = 0
    /// Sum and number of the surprisals that count: byte tokens with a predecessor. In the last pass only.
    var bits = 0.0
    var bitsCount = 0
    /// Surprisal of the next block's first token, known from the row before it.
    var nextBits = Float.nan
    /// What each layer of the pass carries on to the next block: the rows of s that its convolutions reach, [rows, D]
    /// in f32, then what its mixer carries.
    var carries: [[UInt8]] = []

    // Little-endian: magic and version u32; bytes in all, nextBlock, storedBytes u64; bits f64; bitsCount u64; nextBits
    // f32; carries u32; of each its bytes u64, then these; XXH3-64 of all that.
    private static let magic: UInt32 = 0x5250_4242
    private static let version: UInt32 = 2
    private static let fixedBytes = 56
    private static let checksumBytes = 8

    var bytes: [UInt8] {
        let count = Self.fixedBytes + carries.reduce(0) { $0 + 8 + $1.count } + Self.checksumBytes
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        func put(_ value: some FixedWidthInteger) { withUnsafeBytes(of: value.littleEndian) { bytes += $0 } }
        put(Self.magic)
        put(Self.version)
        for number in [count, nextBlock, storedBytes] { put(UInt64(number)) }
        put(bits.bitPattern)
        put(UInt64(bitsCount))
        put(nextBits.bitPattern)
        put(UInt32(carries.count))
        for carry in carries {
            put(UInt64(carry.count))
            bytes += carry
        }
        put(bytes.withUnsafeBytes { checksum($0) })
        return bytes
    }

    init() {}

    /// What the next block is made anew from, if it is the last of a sequence that grows.
    var tail: Tail { Tail(firstBlock: nextBlock, progress: nextBlock > 0 ? bytes : []) }

    /// What progress must agree with.
    struct Bounds {
        /// Blocks of the generation, and blocks that its tables hold.
        var blocks: Int
        var committedBlocks: [Int]
        /// Bytes of its files.
        var fileBytes: Int
        var tokens: Int
        /// Bytes of each layer's carry, and how many of them are rows of s.
        var carryBytes: [Int]
        var rowBytes: Int
        /// Tokens of a block, in the pass that has surprisal; nil in others.
        var scoredBlockTokens: Int?
    }

    /// - Throws: `Fault` (`badData`) where `bytes` are not whole, or contradict what they describe.
    init(_ bytes: [UInt8], within bounds: Bounds, at place: Place) throws {
        func fail(_ problem: String, advice: String? = nil) -> Fault {
            Fault(
                .badData, "the progress of the interrupted run \(problem)", at: place, advice: advice,
                remedies: [.restart])
        }
        func get<T: FixedWidthInteger>(_ type: T.Type, _ offset: Int) -> T {
            bytes.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: T.self)) }
        }
        guard bytes.count >= 8, get(UInt32.self, 0) == Self.magic else { throw fail("is none") }
        let version = get(UInt32.self, 4)
        guard version == Self.version else {
            throw fail(
                "is of version \(version), and this program goes on from version \(Self.version)",
                advice: "The program that began it can go on with it.")
        }
        guard bytes.count >= Self.fixedBytes + Self.checksumBytes else {
            throw fail("has \(bytes.count) bytes, which is too few")
        }
        let end = bytes.count - Self.checksumBytes
        guard bytes[..<end].withUnsafeBytes({ checksum($0) }) == get(UInt64.self, end) else {
            throw fail("does not match its checksum")
        }
        func number(_ offset: Int, atMost limit: Int, _ name: String) throws -> Int {
            guard let number = Int(exactly: get(UInt64.self, offset)), number <= limit else {
                throw fail("has an impossible \(name)")
            }
            return number
        }
        guard get(UInt64.self, 8) == UInt64(bytes.count), get(UInt32.self, 52) == UInt32(bounds.carryBytes.count),
            end == Self.fixedBytes + bounds.carryBytes.reduce(0, { $0 + 8 + $1 })
        else {
            throw fail("is of another model's size")
        }
        var offset = Self.fixedBytes
        for length in bounds.carryBytes {
            guard get(UInt64.self, offset) == UInt64(length) else { throw fail("is of another model's size") }
            carries.append(Array(bytes[offset + 8..<offset + 8 + length]))
            offset += 8 + length
        }
        nextBlock = try number(16, atMost: bounds.blocks, "block")
        guard bounds.committedBlocks.allSatisfy({ $0 == nextBlock }) else {
            throw fail(
                "says that \(nextBlock) blocks are there, its tables hold \(bounds.committedBlocks.map(String.init).joined(separator: " and "))"
            )
        }
        storedBytes = try number(24, atMost: bounds.fileBytes, "number of bytes")
        bitsCount = try number(40, atMost: bounds.tokens, "number of tokens")
        bits = Double(bitPattern: get(UInt64.self, 32))
        nextBits = Float(bitPattern: get(UInt32.self, 48))
        if let blockTokens = bounds.scoredBlockTokens {
            let (next, overflow) = nextBlock.multipliedReportingOverflow(by: blockTokens)
            guard nextBlock == 0 || overflow || next >= bounds.tokens || !nextBits.isNaN else {
                throw fail("has no surprisal for token \(next)")
            }
        }
        // Surprisal is a number of bits; the next token's is NaN where there is none.
        guard bits >= 0, bitsCount > 0 || bits == 0, !(nextBits < 0) else {
            throw fail("has an impossible sum of bits")
        }
        let areFinite = carries.allSatisfy { carry in
            carry.withUnsafeBytes { bytes in
                let rows = UnsafeRawBufferPointer(rebasing: bytes[..<bounds.rowBytes])
                return (0..<rows.count / 4).allSatisfy {
                    rows.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self).isFinite
                }
            }
        }
        guard bits.isFinite, !nextBits.isInfinite, areFinite else {
            throw fail("holds values that are not finite")
        }
    }
}
