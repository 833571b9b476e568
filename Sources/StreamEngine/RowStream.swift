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
    /// Token indices of the columns' rows; empty where they are the columns' numbers.
    private let indices: Memory<UInt16>
    private let natural: Memory<UInt8>
    /// Bytes of one token's row.
    public let rowBytes: Int

    public init(_ generation: GenerationReader, _ table: PageTable = .states, kernels: KernelTable) throws {
        self.generation = generation
        self.table = table
        let header = generation.expectedHeader(table, block: 0)
        reader = try PageReader(pageBytes: header.largestPageBytes, columnBytes: header.columnBytes, kernels: kernels)
        columns = try Memory(header.columns * header.columnBytes)
        indices = try Memory(header.isOrdered ? header.columns * header.patches : 0)
        natural = try Memory(columns.count)
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
            try decode(block)
            for column in 0..<P {
                for patch in 0..<held.count {
                    let index = indices.count > 0 ? Int(indices[column * held.count + patch]) : column
                    (natural.start + (patch * P + index) * rowBytes).update(from: columns.start + column * columnBytes + patch * rowBytes, count: rowBytes)
                }
            }
            let tokens = (held.lowerBound * P..<held.upperBound * P).clamped(to: range)
            let start = (tokens.lowerBound - held.lowerBound * P) * rowBytes
            try body(tokens.lowerBound, UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(natural.bytes)[start..<start + tokens.count * rowBytes]))
        }
    }

    /// The column that each token of each patch of an ordered block stands in.
    func order(ofBlock block: Int) throws -> [[Int]] {
        let (P, patches) = (generation.geometry.patchSize, generation.grid.patches(ofBlock: block).count)
        try decode(block)
        return (0..<patches).map { patch in
            var columns = [Int](repeating: 0, count: P)
            for column in 0..<P { columns[Int(indices[column * patches + patch])] = column }
            return columns
        }
    }

    /// Reads all columns of a block, and the token indices of their rows: every token of a patch is in one of them.
    private func decode(_ block: Int) throws {
        let (P, patches) = (generation.geometry.patchSize, generation.grid.patches(ofBlock: block).count)
        try reader.read(
            generation, table, block: block, columns: 0..<P, into: { UnsafeMutableRawPointer(columns.start + $0 * patches * rowBytes) },
            indices: { indices.count > 0 ? indices.start + $0 * patches : nil })
        if indices.count == 0 { return }
        var seen = [Int](repeating: -1, count: P)
        for patch in 0..<patches {
            for column in 0..<P {
                let index = Int(indices[column * patches + patch])
                guard seen[index] != patch else {
                    throw Fault(
                        .badData, "token \(index) of patch \(generation.grid.patches(ofBlock: block).lowerBound + patch) is in two columns",
                        at: Place(file: generation.file, generation: generation.record.index, block: block, column: column), advice: PageHeader.damageAdvice)
                }
                seen[index] = patch
            }
        }
    }
}
