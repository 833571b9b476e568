import CKernels
import Geometry
import PageStore
import Support

/// Reads a generation in natural token order, one block at a time.
public final class RowStream {
    private let generation: GenerationReader
    private let table: PageTable
    private let reader: PageReader
    private let columns: Memory<UInt8>
    private let natural: Memory<UInt8>
    /// Bytes of one token's row.
    public let rowBytes: Int

    public init(_ generation: GenerationReader, _ table: PageTable = .states, kernels: KernelTable) throws {
        self.generation = generation
        self.table = table
        let header = generation.expectedHeader(table, block: 0)
        reader = try PageReader(pageBytes: header.largestPageBytes, columnBytes: header.columnBytes, kernels: kernels)
        columns = try Memory(header.rawBytes)
        natural = try Memory(header.rawBytes)
        rowBytes = header.width * header.element.size
    }

    /// Visits the rows of tokens `range` in order: `body(first token, rows)` with contiguous rows of `rowBytes`.
    public func read(_ range: Range<Int>, _ body: (_ first: Int, _ rows: UnsafeRawBufferPointer) throws -> Void) throws {
        if range.isEmpty { return }
        let P = generation.geometry.patchSize
        let patches = range.lowerBound / P..<(range.upperBound - 1) / P + 1
        for block in generation.grid.blocks(of: patches) {
            let held = generation.grid.patches(ofBlock: block)
            let columnBytes = held.count * rowBytes
            try reader.read(generation, table, block: block, columns: 0..<P, into: { UnsafeMutableRawPointer(columns.start + $0 * columnBytes) })
            for index in 0..<P {
                for patch in 0..<held.count {
                    (natural.start + (patch * P + index) * rowBytes).update(from: columns.start + index * columnBytes + patch * rowBytes, count: rowBytes)
                }
            }
            let tokens = (held.lowerBound * P..<held.upperBound * P).clamped(to: range)
            let start = (tokens.lowerBound - held.lowerBound * P) * rowBytes
            try body(tokens.lowerBound, UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(natural.bytes)[start..<start + tokens.count * rowBytes]))
        }
    }
}
