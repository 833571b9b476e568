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

    private let element: Element
    private let isAnyValueAllowed: Bool

    /// Rows of a complete generation: u16 ids (0), states [D] or surprisal [1] in the numbers that it records. Memory
    /// holds a block of them twice.
    ///
    /// - Throws: `Fault`: `usage` where the store has no such generation, or it none of these rows; `badData` where it
    ///   is damaged.
    public convenience init(_ store: Store, generation index: Int, _ table: PageTable = .states) throws {
        let generation = try store.reader(index)
        guard generation.record.holds(table) else {
            throw Fault(.usage, "generation \(index) holds no \(table.rawValue)", at: Place(file: store.directory))
        }
        try self.init(generation, table, kernels: Kernels.select())
    }

    /// - Parameter isAnyValueAllowed: to look at what is there; else values that cannot be results are an error.
    package init(
        _ generation: GenerationReader, _ table: PageTable = .states, kernels: KernelTable,
        isAnyValueAllowed: Bool = false
    ) throws {
        self.isAnyValueAllowed = isAnyValueAllowed
        self.generation = generation
        self.table = table
        let header = generation.expectedHeader(table, block: 0)
        reader = try PageReader(pageBytes: header.largestPageBytes, columnBytes: header.columnBytes, kernels: kernels)
        columns = try Memory(header.columns * header.columnBytes)
        indices = try Memory(header.isOrdered ? header.columns * header.patches : 0)
        natural = try Memory(columns.count)
        element = header.element
        rowBytes = header.width * header.element.size
    }

    /// Visits the rows of tokens `range` in order: `body(first token, rows)` with contiguous rows of `rowBytes`, which
    /// last as long as the visit.
    ///
    /// - Parameter range: of 0..<n.
    /// - Throws: `Fault` (`badData`) where a page is damaged or holds what no result is; and what `body` throws.
    public func read(_ range: Range<Int>, _ body: (_ first: Int, _ rows: UnsafeRawBufferPointer) throws -> Void) throws
    {
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
                    (natural.start + (patch * P + index) * rowBytes).update(
                        from: columns.start + column * columnBytes + patch * rowBytes, count: rowBytes)
                }
            }
            let tokens = (held.lowerBound * P..<held.upperBound * P).clamped(to: range)
            let start = (tokens.lowerBound - held.lowerBound * P) * rowBytes
            let rows = UnsafeRawBufferPointer(
                rebasing: UnsafeRawBufferPointer(natural.bytes)[start..<start + tokens.count * rowBytes])
            if !isAnyValueAllowed { try check(rows, of: tokens, block: block) }
            try body(tokens.lowerBound, rows)
        }
    }

    /// Refuses rows of tokens that are no results, whatever their checksums say: ids that are none, states and
    /// surprisal that are not finite; but that of the first token, which nothing predicts, is NaN.
    private func check(_ rows: UnsafeRawBufferPointer, of tokens: Range<Int>, block: Int) throws {
        let skipped = table == .surprisal && tokens.lowerBound == 0 ? 1 : 0
        let checked = UnsafeRawBufferPointer(rebasing: rows[(skipped * rowBytes)...])
        let found: Int?
        if element == .token {
            found = checked.bindMemory(to: UInt16.self).firstIndex { $0 >= Element.tokenIDs }
        } else if table == .surprisal {
            // Bits of a probability: none is negative. And nothing predicts the first token.
            let bits = rows.bindMemory(to: Float.self)
            if skipped == 1, let first = bits.first, !first.isNaN {
                throw Fault(
                    .badData, "token 0 has a surprisal, and nothing predicts it",
                    at: generation.place(block),
                    advice: PageHeader.damageAdvice)
            }
            found = bits[skipped...].firstIndex { !($0 >= 0 && $0.isFinite) }.map { $0 - skipped }
        } else {
            found = Finite.firstOverflow(checked, of: element)
        }
        guard let found else { return }
        let token = tokens.lowerBound + skipped + found * element.size / rowBytes
        throw Fault(
            .badData,
            element == .token
                ? "token \(token) has an id that is none"
                : "the \(table.rawValue) of token \(token) \(table == .states ? "are not finite" : "is no number of bits")",
            at: generation.place(block),
            advice: PageHeader.damageAdvice)
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
            generation, table, block: block, columns: 0..<P,
            into: { UnsafeMutableRawBufferPointer(columns.piece($0, of: patches * rowBytes)) },
            indices: { indices.count > 0 ? indices.piece($0, of: patches) : nil })
        if indices.count == 0 { return }
        var seen = [Int](repeating: -1, count: P)
        for patch in 0..<patches {
            for column in 0..<P {
                let index = Int(indices[column * patches + patch])
                guard seen[index] != patch else {
                    throw Fault(
                        .badData,
                        "token \(index) of patch \(generation.grid.patches(ofBlock: block).lowerBound + patch) is in two columns",
                        at: generation.place(block, column: column),
                        advice: PageHeader.damageAdvice)
                }
                seen[index] = patch
            }
        }
    }
}
