/// How long work will still take: what a plan expected at first, and more and more what was measured.
struct Eta {
    /// The share of the work whose measured time counts as much as the expectation does.
    private static let trust = 0.05

    /// Seconds that all of it was expected to take; nil where nothing says.
    var expected: Double?
    private var start: (share: Double, seconds: Double)?

    init(expected: Double? = nil) { self.expected = expected }

    /// Seconds left when `share` of the work is done after `seconds`; nil where too little is known.
    ///
    /// The first call says where the work begins: a run that goes on has its own rate.
    mutating func left(share: Double, seconds: Double) -> Double? {
        guard let start else {
            start = (share, seconds)
            return expected
        }
        let (all, done, spent) = (1 - start.share, share - start.share, seconds - start.seconds)
        guard all > 0, share < 1 else { return 0 }
        let part = done / all
        if let expected { return (1 - part) * (Self.trust * expected + spent) / (Self.trust + part) }
        // A rate needs a moment to mean anything.
        return spent > 2 && part > 0.001 || spent > 0.5 && part > 0.05 ? (1 - part) * spent / part : nil
    }
}
