import Support

/// The one rank of a process that shares with nobody.
public final class Alone: Peers {
    private let failure = Locked<Fault?>(nil)

    public init() {}

    public var rank: Int { 0 }
    public var count: Int { 1 }
    public var footprint: Int { 0 }

    public func push(_ bytes: UnsafeRawBufferPointer, to rank: Int, tag: Tag) throws { throw noPeer(rank) }

    public func take<Result>(_ tag: Tag, from rank: Int, _ body: (UnsafeRawBufferPointer) throws -> Result) throws
        -> Result
    { throw noPeer(rank) }

    public func agree(on point: String) throws { if let fault = failure.withLock({ $0 }) { throw fault } }

    public func fail(_ fault: Fault) { failure.withLock { $0 = $0 ?? fault } }
}
