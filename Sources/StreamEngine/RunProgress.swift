/// How far a layer is, committed with the pages it describes: enough to go on from the next block with the same bits.
struct RunProgress: Equatable {
    /// The first block not yet written.
    var nextBlock = 0
    /// Bytes of the states' pages so far.
    var storedBytes = 0
    /// Sum and number of the surprisals that count: byte tokens with a predecessor. In the last layer only.
    var bits = 0.0
    var bitsCount = 0
    /// Surprisal of the next block's first token, known from the row before it.
    var nextBits = Float.nan
    /// [rows, D]: the rows of s before the next block that its convolutions reach.
    var carry: [Float] = []

    private static let fixedBytes = 40

    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.fixedBytes + 4 * carry.count)
        for word in [UInt64(nextBlock), UInt64(storedBytes), bits.bitPattern, UInt64(bitsCount), UInt64(nextBits.bitPattern)] {
            withUnsafeBytes(of: word.littleEndian) { bytes += $0 }
        }
        for value in carry { withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0 } }
        return bytes
    }

    init(carryValues: Int) { carry = Array(repeating: 0, count: carryValues) }

    /// - Returns: nil when `bytes` are not of this model's size.
    init?(_ bytes: [UInt8], carryValues: Int) {
        guard bytes.count == Self.fixedBytes + 4 * carryValues else { return nil }
        let words = bytes.withUnsafeBytes { raw in
            (0..<5).map { UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: 8 * $0, as: UInt64.self)) }
        }
        guard let nextBlock = Int(exactly: words[0]), let storedBytes = Int(exactly: words[1]), let bitsCount = Int(exactly: words[3]) else { return nil }
        self.nextBlock = nextBlock
        self.storedBytes = storedBytes
        bits = Double(bitPattern: words[2])
        self.bitsCount = bitsCount
        nextBits = Float(bitPattern: UInt32(truncatingIfNeeded: words[4]))
        carry = bytes.withUnsafeBytes { raw in
            (0..<carryValues).map { value in
                let pattern = raw.loadUnaligned(fromByteOffset: Self.fixedBytes + 4 * value, as: UInt32.self)
                return Float(bitPattern: UInt32(littleEndian: pattern))
            }
        }
    }
}
