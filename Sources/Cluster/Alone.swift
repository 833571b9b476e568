import Support

/// The one rank of a process that shares with nobody.
package final class Alone: Peers {
    private let failure = Locked<Fault?>(nil)

    package init() {}

    package var rank: Int { 0 }
    package var count: Int { 1 }
    package var footprint: Int { 0 }

    package func push(_ bytes: UnsafeRawBufferPointer, to rank: Int, tag: Tag) throws { throw noPeer(rank) }

    package func take<Result>(_ tag: Tag, from rank: Int, _ body: (UnsafeRawBufferPointer) throws -> Result) throws
        -> Result
    { throw noPeer(rank) }

    package func agree(on point: String) throws { if let fault = failure.withLock({ $0 }) { throw fault } }

    package func fail(_ fault: Fault) { failure.withLock { $0 = $0 ?? fault } }
}
