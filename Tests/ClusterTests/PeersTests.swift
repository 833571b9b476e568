import Cluster
import Glibc
import Support
import Synchronization
import TestSupport
import Testing

@Suite("Peers") struct PeersTests {
    @Test("Ranks in one process", arguments: Conformance.all, [1, 2, 3, 5])
    func loopback(conformance: Conformance, ranks: Int) throws {
        if ranks < conformance.leastRanks { return }
        let peers = Loopback.ranks(ranks, credit: conformance.credit, patience: conformance.patience)
        #expect(peers.map(\.rank) == Array(0..<ranks))
        for (rank, error) in try onEveryRank(peers, { try conformance.program($0) }).enumerated() {
            #expect(error == nil, "rank \(rank)")
        }
    }

    @Test("Alone", arguments: Conformance.all.filter { $0.leastRanks == 1 })
    func alone(conformance: Conformance) throws { try conformance.program(Alone()) }

    @Test("Threads of one rank take and push at once")
    func threads() throws {
        let peers = Loopback.ranks(2, credit: Credit(bytes: 100, messages: 2))
        let taken = Atomic<Int>(0)
        let pipeline = try Pipeline(workers: 8)
        // Four of each rank: half of them push columns to the other, half of them take them, in no order.
        pipeline.add(8) { _, task in
            let (rank, part) = (task % 2, task / 4)
            for column in 0..<500 {
                let tag = Tag.column(generation: part, block: task / 2 % 2, column: column)
                if part == rank {
                    try withUnsafeBytes(of: column) { try peers[rank].push($0, to: 1 - rank, tag: tag) }
                } else {
                    let found = try peers[rank].take(tag, from: 1 - rank) { $0.loadUnaligned(as: Int.self) }
                    if found == column { taken.add(1, ordering: .relaxed) }
                }
            }
        }
        try pipeline.drain()
        #expect(taken.load(ordering: .relaxed) == 4 * 500)
    }

    @Test("Memory that no number can state is as much as can be stated")
    func footprint() {
        #expect(Credit(bytes: .max, messages: 1).footprint(ranks: 3) == .max)
        #expect(Credit(bytes: 0, messages: -1) == Credit(bytes: 1, messages: 1))
    }
}
