import Geometry
import PageStore
import ProtonModel
import Support

/// The window's own rows, decoded but not expanded: column j of the window's patches, one after another, and before
/// them the last P-1 patches of the window before, whose delegates share hosts with the window's first.
final class OwnColumns {
    private let memory: Memory<UInt8>
    private let source: GenerationReader
    private let rowBytes: Int
    /// Patches kept from before the window at most.
    private let halo: Int
    private let capacity: Int
    private(set) var window = 0..<0

    /// - Parameter memory: P · (W + P-1) rows.
    init(_ memory: Memory<UInt8>, source: GenerationReader, windowPatches: Int, rowBytes: Int) {
        self.memory = memory
        self.source = source
        self.rowBytes = rowBytes
        let geometry = source.geometry
        halo = min(geometry.patchSize - 1, geometry.patches)
        capacity = halo + windowPatches
    }

    /// The patches whose rows are here: the window and what is kept from before it.
    var held: Range<Int> { max(0, window.lowerBound - halo)..<window.upperBound }

    /// Column `index` from patch `patch` on; one row a patch, `rowBytes` apart.
    func column(_ index: Int, from patch: Int) -> UnsafeMutablePointer<UInt8> {
        memory.start + (index * capacity + patch - (window.lowerBound - halo)) * rowBytes
    }

    /// Asks the system to have the next window's blocks ready while this one is computed.
    func prefetch(_ next: Range<Int>) {
        for block in source.grid.blocks(of: next) { source.prefetch(.states, block: block) }
    }

    /// Moves to `next`, reading its patches. Following the window before, only those are read.
    func advance(to next: Range<Int>, pool: WorkerPool, readers: [PageReader]) throws {
        let P = source.geometry.patchSize
        let follows = window.upperBound == next.lowerBound && !window.isEmpty
        var missing = next
        if follows {
            let kept = max(0, next.lowerBound - halo)..<next.lowerBound
            for index in 0..<P {
                let from = column(index, from: kept.lowerBound)
                let target = memory.start + (index * capacity + halo - kept.count) * rowBytes
                target.update(from: from, count: kept.count * rowBytes)
            }
        } else {
            missing = max(0, next.lowerBound - halo)..<next.upperBound
        }
        window = next
        let pieces = source.grid.pieces(of: missing)
        // Enough groups of columns for every worker, whole pages where there are blocks enough.
        let groups = min(P, max(1, (2 * pool.workers + pieces.count - 1) / max(1, pieces.count)))
        try pool.run(pieces.count * groups) { worker, task in
            let (block, patches) = pieces[task / groups]
            let columns = P * (task % groups) / groups..<P * (task % groups + 1) / groups
            let first = source.grid.patches(ofBlock: block).lowerBound
            try readers[worker].read(source, block: block, columns: columns, rows: patches.lowerBound - first..<patches.upperBound - first) {
                UnsafeMutableRawPointer(column($0, from: patches.lowerBound))
            }
        }
    }
}
