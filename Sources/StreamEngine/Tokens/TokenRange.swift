import Support

/// Tokens A up to but without B, as Python writes it: 0:10, 10:, :10, -5: for the last five, :-5 for all but those.
public struct TokenRange: Sendable, Equatable {
    /// A, counted from the end where it is negative; nil for the beginning.
    public var lower: Int?
    /// B, counted from the end where it is negative; nil for the end.
    public var upper: Int?

    /// The tokens `range`.
    public init(_ range: Range<Int>) {
        lower = range.lowerBound
        upper = range.upperBound
    }

    /// Reads "A:B".
    ///
    /// - Returns: nil where `text` is none of these, or names no token whatever the number of tokens is.
    public init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2 else { return nil }
        for (index, part) in parts.enumerated() where !part.isEmpty {
            guard let number = Int(part) else { return nil }
            if index == 0 { lower = number } else { upper = number }
        }
        if let lower, let upper {
            // From the end to the beginning, or nothing at all.
            guard (lower < 0) == (upper < 0) ? lower < upper : lower >= 0 else { return nil }
        }
        if upper == 0 { return nil }
    }

    /// The tokens meant, of `tokens`.
    ///
    /// - Throws: `Fault` (`usage`) where that passes an end or leaves none.
    package func resolved(tokens: Int, store: String) throws -> Range<Int> {
        func place(_ bound: Int?, _ fallback: Int) -> Int {
            bound.map { $0 < 0 ? max(-1, tokens + max($0, -tokens - 1)) : $0 } ?? fallback
        }
        let (first, end) = (place(lower, 0), place(upper, tokens))
        guard first >= 0, first < end, end <= tokens else {
            let text = "\(lower.map(String.init) ?? ""):\(upper.map(String.init) ?? "")"
            throw Fault(
                .usage, "\(text) is not within the store, which has \(tokens) tokens",
                at: Place(file: store, option: "range"))
        }
        return first..<end
    }
}
