/// A sequence of n tokens cut into G = ceil(n / P) patches of P tokens; N = G·P is its padded length.
///
/// Pure index arithmetic, 64-bit, nothing materialised. Lengths are checked once, here, so that every index
/// below N, every slot and every block boundary stays below 2^62 and later sums cannot overflow.
public struct SequenceGeometry: Sendable, Equatable {
    /// n, at least 1.
    public let tokens: Int
    /// P, 1 to 16 384.
    public let patchSize: Int
    /// G.
    public let patches: Int

    package static let largestLength = 1 << 62
    package static let patchSizes = 1...16_384

    /// - Returns: nil when n is not in 1...2^62 - P or P not in `patchSizes`.
    package init?(tokens: Int, patchSize: Int) {
        guard Self.patchSizes.contains(patchSize), tokens >= 1, tokens <= Self.largestLength - patchSize else {
            return nil
        }
        self.tokens = tokens
        self.patchSize = patchSize
        self.patches = (tokens + patchSize - 1) / patchSize
    }

    /// N.
    public var paddedTokens: Int { patches * patchSize }
}
