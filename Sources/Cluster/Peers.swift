import Support

/// The ranks that share a sequence, seen from one of them: what they send each other, and that they stop together.
///
/// Every rank holds the blocks that `Shards` gives it. Which columns another one will read, and when, follows from the
/// geometry, so they are pushed without being asked for. Any thread of a rank may call.
///
/// What is pushed and not yet taken is bounded by a `Credit` for each two ranks and direction, once for pages and
/// columns and once for carries; a rank that has used it up waits for the other to take. So what is taken in another
/// order than it was pushed in must stay within the credit, and so must what is pushed before anything is taken.
///
/// No call waits for ever: the first rank that fails, or that is mute for longer than the peers' patience, stops all of
/// them with a `Fault` that names it. A rank is mute when neither it nor any rank that it waits for has made a call for so
/// long; one that computes for longer than that between two calls is taken for mute.
package protocol Peers: Sendable {
    /// The place of this process among them, from 0.
    var rank: Int { get }
    /// How many ranks there are, at least 1.
    var count: Int { get }
    /// Bytes that messages to this rank take at most before they are taken, over all of the other ranks.
    var footprint: Int { get }

    /// Sends a message to another rank. `bytes` are free to be overwritten when it returns.
    ///
    /// Messages from one rank to another under one tag are taken in the order that they were pushed in.
    ///
    /// - Throws: `Fault`: `usage` for a rank that is none of the others, and for a message longer than the credit,
    ///   neither of which stops the others; otherwise what stopped them all.
    func push(_ bytes: UnsafeRawBufferPointer, to rank: Int, tag: Tag) throws

    /// Waits for a message of another rank and hands it to `body`, after which it is gone, even where `body` throws.
    ///
    /// - Throws: what `body` throws; `Fault` as `push` does.
    func take<Result>(_ tag: Tag, from rank: Int, _ body: (UnsafeRawBufferPointer) throws -> Result) throws -> Result

    /// Waits until every rank has come to the same point. One thread of a rank does so at a time.
    ///
    /// - Parameter point: what this rank has come to, the same words on every rank.
    /// - Throws: on every rank, whatever they wait in: the `Fault` of the first rank that failed, or one that names the
    ///   ranks and their points where these differ.
    func agree(on point: String) throws

    /// Stops all ranks: whatever they wait for, and whatever they call from now on, ends with `fault` and this rank's
    /// number. Only the first of all ranks' faults counts.
    func fail(_ fault: Fault)
}

extension Peers {
    /// Passes what a layer carries on to the rank that goes on with it; after the last rank nobody does.
    package func handOn(_ carry: UnsafeRawBufferPointer, layer: Int) throws {
        if rank + 1 < count { try push(carry, to: rank + 1, tag: .carry(layer: layer)) }
    }

    /// Waits for what a layer carries on from the rank before, and hands it to `body`.
    ///
    /// - Returns: nil on the first rank, where the sequence begins.
    package func takeCarry<Result>(layer: Int, _ body: (UnsafeRawBufferPointer) throws -> Result) throws -> Result? {
        rank == 0 ? nil : try take(.carry(layer: layer), from: rank - 1, body)
    }

    /// For conformers: refuses a rank that is this one or none.
    func checkOther(_ other: Int) throws {
        if other == rank || !(0..<count).contains(other) { throw noPeer(other) }
    }

    func noPeer(_ other: Int) -> Fault { Fault(.usage, "rank \(rank) of \(count) has no peer of rank \(other)") }
}

/// What a message is. All numbers are those of the whole sequence.
package enum Tag: Hashable, Sendable {
    /// A whole page.
    case page(generation: Int, block: Int)
    /// A column of a page, as stored.
    case column(generation: Int, block: Int, column: Int)
    /// What a layer carries on from one rank's rows to those of the next.
    case carry(layer: Int)

    /// Whether it has the credit of carries, which so are never held up by columns.
    package var isCarry: Bool { if case .carry = self { true } else { false } }
}

extension Tag: CustomStringConvertible {
    package var description: String {
        switch self {
        case .page(let generation, let block): "block \(block) of generation \(generation)"
        case .column(let generation, let block, let column):
            "column \(column) of block \(block) of generation \(generation)"
        case .carry(let layer): "the carry of layer \(layer)"
        }
    }
}

/// What one rank may have pushed to another that is not taken yet.
package struct Credit: Sendable, Equatable {
    /// Bytes, without those of tags; at least 1. No message is longer.
    package let bytes: Int
    /// Messages; at least 1.
    package let messages: Int

    package init(bytes: Int = 64 << 20, messages: Int = 64) {
        self.bytes = max(1, bytes)
        self.messages = max(1, messages)
    }

    /// Bytes that messages to one of `count` ranks take: pages and columns, and carries.
    package func footprint(ranks count: Int) -> Int {
        let (bytes, overflow) = self.bytes.multipliedReportingOverflow(by: 2 * (count - 1))
        return overflow ? .max : bytes
    }
}
