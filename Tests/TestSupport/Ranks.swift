import Cluster
import Support

/// Runs `program` as every one of `peers`, each on a thread of its own; one that throws stops the others.
///
/// - Returns: what was thrown, by rank.
package func onEveryRank<P: Peers>(_ peers: [P], _ program: @escaping @Sendable (P) throws -> Void) throws
    -> [(any Error)?]
{
    let errors = Locked<[(any Error)?]>(peers.map { _ in nil })
    // As many threads as tasks: each has one, however long it waits.
    let pipeline = try Pipeline(workers: peers.count)
    pipeline.add(peers.count) { _, rank in
        do { try program(peers[rank]) } catch {
            errors.withLock { $0[rank] = error }
            peers[rank].fail(error as? Fault ?? Fault(.badData, "\(error)"))
        }
    }
    try pipeline.drain()
    return errors.withLock { $0 }
}
