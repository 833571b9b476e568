import Geometry
import PageStore
import Support

/// The hosts of a window lie in P runs, one for each token index, and every run moves slowly forward from window to
/// window. A read head stands on each run and keeps the block it stands on decoded, so that a block is read once
/// although many windows use it.
///
/// Where memory does not allow a head for every run, the later runs, which causality idles longest, go without.
final class HostHeads {
    /// A decoded block: column j at `start + j · patches · rowBytes`.
    struct Block {
        let patches: Range<Int>
        let start: UnsafePointer<UInt8>
        let rowBytes: Int

        func column(_ index: Int, from patch: Int) -> UnsafeRawPointer {
            UnsafeRawPointer(start + (index * patches.count + patch - patches.lowerBound) * rowBytes)
        }
    }

    private let source: GenerationReader
    private let rowBytes: Int
    private let memory: [Memory<UInt8>]
    /// The block under each head, or -1. Each is touched by the worker that has its run.
    private let standing: Memory<Int>

    init(_ memory: [Memory<UInt8>], source: GenerationReader, rowBytes: Int) throws {
        self.memory = memory
        self.source = source
        self.rowBytes = rowBytes
        standing = try Memory(memory.count)
        for head in memory.indices { standing[head] = -1 }
    }

    /// Block `block` for the run of token index `index`. One worker asks for a run at a time.
    ///
    /// - Parameter spare: where a run without a head has its blocks decoded; `spareBlock` says which one is there, or -1.
    func block(_ block: Int, run index: Int, reader: PageReader, spare: Memory<UInt8>, spareBlock: inout Int) throws -> Block {
        let patches = source.grid.patches(ofBlock: block)
        let hasHead = index < memory.count
        let target = hasHead ? memory[index] : spare
        let present = hasHead ? standing[index] : spareBlock
        if present != block {
            let columnBytes = patches.count * rowBytes
            try reader.read(source, block: block, columns: 0..<source.geometry.patchSize, rows: 0..<patches.count) { UnsafeMutableRawPointer(target.start + $0 * columnBytes) }
            if hasHead { standing[index] = block } else { spareBlock = block }
        }
        return Block(patches: patches, start: target.start, rowBytes: rowBytes)
    }
}
