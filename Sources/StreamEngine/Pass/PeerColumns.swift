import Cluster
import Geometry
import PageStore
import ProtonModel
import Support

/// A generation that is spread over ranks: own blocks come from this rank's store, others from the rank that holds
/// them, which knows when they are needed.
///
/// Every rank plans the passes of all others as they do themselves, and pushes what they are about to read, in the order
/// in which they will.
final class PeerColumns: ColumnSource {
    private let own: GenerationReader
    private let peers: any Peers
    private let shards: Shards

    /// - Parameters:
    ///   - own: this rank's store's part of the generation.
    ///   - shards: which rank holds which of its blocks.
    init(_ own: GenerationReader, _ shards: Shards, peers: any Peers) {
        self.own = own
        self.peers = peers
        self.shards = shards
    }

    var record: GenerationRecord { own.record }
    var grid: BlockGrid { own.grid }
    var element: Element { own.element }
    var file: String { own.file }
    func file(ofBlock block: Int) -> String { own.file(ofBlock: block) }

    func prefetch(block: Int, columns: ClosedRange<Int>) {
        if shards.rank(holding: block) == peers.rank { own.prefetch(.states, block: block, columns: columns) }
    }

    func read(
        block: Int, columns: [Int], with reader: PageReader,
        into target: (_ column: Int) -> UnsafeMutableRawBufferPointer,
        indices: (_ column: Int) -> UnsafeMutableBufferPointer<UInt16>?,
        found: (_ column: Int, _ offset: Int, _ bytes: Int) throws -> Void
    ) throws {
        guard let holder = shards.rank(holding: block), holder != peers.rank else {
            try reader.read(own, block: block, columns: columns, into: target, indices: indices, found: found)
            return
        }
        let header = own.expectedHeader(.states, block: block)
        for column in columns {
            let (values, order) = (target(column), indices(column))
            try peers.take(.column(generation: record.index, block: block, column: column), from: holder) { message in
                try reader.decode(
                    message, of: header, into: values, indices: order,
                    at: Place(generation: record.index, block: block, column: column))
            }
            try found(column, 0, 0)
        }
    }

    func forget(block: Int, offset: Int, bytes: Int) {
        if bytes > 0 { own.forget(block: block, offset: offset, bytes: bytes) }
    }

    /// Pushes what rank `rank` reads of this rank's blocks in pass `pass`, by index, as long as it reads.
    ///
    /// - Parameter engine: this rank's, whose plan is that of all of them.
    func serve(_ rank: Int, pass index: Int, of engine: Engine, with reader: PageReader) throws {
        let (plan, access, slots) = engine.plan(index, isResident: false, shard: shards.blocks(ofRank: rank))
        // Only the order of loads matters: no column is put anywhere.
        let room = try Memory<UInt8>(1)
        let admission = Admission(
            try engine.cache(
                index, plan, access, slots: slots, isOrdered: record.order != nil, memory: room.start),
            access: access, plan: plan, stepsInFlight: engine.set.stepsInFlight)
        for window in plan.windows {
            for step in plan.steps(ofWindow: window) {
                let (_, loads) = try admission.admit(step) { _ = admission.endOldest() }
                for load in loads where shards.rank(holding: load.block) == peers.rank {
                    for (column, _) in load.columns {
                        try reader.message(own, block: load.block, column: column) {
                            try peers.push(
                                $0, to: rank, tag: .column(generation: record.index, block: load.block, column: column))
                        }
                    }
                }
            }
        }
        withExtendedLifetime(room) {}
    }
}
