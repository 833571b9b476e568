import Support

/// One of several ranks in one process, which meet in memory: for tests of what runs on several.
package final class Loopback: Peers {
    package let rank: Int
    private let exchange: Exchange

    /// Ranks 0 to `count` - 1, each for threads of its own.
    ///
    /// - Parameter patience: seconds after which a mute rank stops all.
    package static func ranks(_ count: Int, credit: Credit = Credit(), patience: Double = 60) -> [Loopback] {
        let exchange = Exchange(count: max(1, count), credit: credit, patience: patience)
        return (0..<exchange.count).map { Loopback(rank: $0, exchange) }
    }

    private init(rank: Int, _ exchange: Exchange) {
        self.rank = rank
        self.exchange = exchange
    }

    package var count: Int { exchange.count }
    package var footprint: Int { exchange.credit.footprint(ranks: count) }

    package func push(_ bytes: UnsafeRawBufferPointer, to rank: Int, tag: Tag) throws {
        try checkOther(rank)
        try exchange.push([UInt8](bytes), Exchange.Address(from: self.rank, to: rank, tag: tag))
    }

    package func take<Result>(_ tag: Tag, from rank: Int, _ body: (UnsafeRawBufferPointer) throws -> Result) throws
        -> Result
    {
        try checkOther(rank)
        let address = Exchange.Address(from: rank, to: self.rank, tag: tag)
        let message = try exchange.take(address)
        // Its bytes are there until `body` is done with them.
        defer { exchange.settle(message.count, address) }
        return try message.withUnsafeBytes(body)
    }

    package func agree(on point: String) throws { try exchange.agree(rank, on: point) }

    package func fail(_ fault: Fault) { exchange.fail(rank, fault) }
}
