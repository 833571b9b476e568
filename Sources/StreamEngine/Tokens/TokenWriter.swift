import CKernels
import Geometry
import PageStore
import Support

/// Writes generation 0: tokens in, blocks of columns out.
package final class TokenWriter {
    package let record: GenerationRecord
    /// Tokens of the sequence so far, those in the blocks before its first one included.
    package private(set) var tokens = 0
    private let patchSize: Int
    private let writer: GenerationWriter
    private let encoder: PageEncoder
    private let codec: ColumnCodec
    private let natural: Memory<UInt16>
    private let columns: Memory<UInt16>
    /// Says which token of each of some patches goes to which column, from their ids; nil for the tokens' own order.
    package typealias Ordering = (
        _ patches: Range<Int>, _ ids: UnsafePointer<UInt16>, _ order: UnsafeMutablePointer<UInt16>
    ) throws -> Void
    private let ordering: Ordering?
    private let order: Memory<UInt16>
    private let indices: Memory<UInt16>
    private var filled = 0
    private var block = 0
    private var storedBytes = 0

    /// Patches a block of tokens: about 32 768 tokens, so that a host or guest read of layer 1 wastes little.
    package static func patchesPerBlock(patchSize: Int) -> Int { max(1, 32_768 / patchSize) }

    /// Uncommitted bytes are kept near this.
    private static let commitBytes = 1 << 20

    /// - Parameters:
    ///   - order: what the tokens are ordered by, and how.
    ///   - continued: a generation whose last supplement, from its first block on, is to be written, and the bytes of the
    ///     pages before that; nil for a new one.
    package init(
        store: String, identity: (GenerationRecord) -> GenerationIdentity, patchSize: Int,
        order named: (name: String, ordering: Ordering)? = nil,
        continuing continued: (record: GenerationRecord, storedBytes: Int)? = nil, kernels: KernelTable
    ) throws {
        let T = Self.patchesPerBlock(patchSize: patchSize)
        self.patchSize = patchSize
        record =
            continued?.record
            ?? GenerationRecord(
                index: 0, directory: Store.unusedDirectory(store, generation: 0), element: .token, patchesPerBlock: T,
                width: 1, tables: [.states], order: named?.name)
        block = record.supplements?.last?.firstBlock ?? 0
        tokens = block * T * patchSize
        storedBytes = continued?.storedBytes ?? 0
        writer = try GenerationWriter(store: store, identity: identity(record), record: record)
        encoder = try PageEncoder(
            largest: PageHeader(
                element: .token, generation: 0, block: 0, firstPatch: 0, patches: T, columns: patchSize, width: 1,
                isOrdered: named != nil))
        codec = try ColumnCodec(columnBytes: 2 * T, kernels: kernels)
        natural = try Memory(T * patchSize)
        columns = try Memory(T * patchSize)
        ordering = named?.ordering
        order = try Memory(named == nil ? 0 : T * patchSize)
        indices = try Memory(order.count)
    }

    package func append(_ token: UInt16) throws {
        natural[filled] = token
        filled += 1
        tokens += 1
        if filled == natural.count { try writeBlock() }
    }

    private func writeBlock() throws {
        let patches = (filled + patchSize - 1) / patchSize
        for position in filled..<patches * patchSize { natural[position] = Element.noToken }
        let firstPatch = block * record.patchesPerBlock
        if let ordering {
            try ordering(firstPatch..<firstPatch + patches, natural.start, order.start)
            for column in 0..<patchSize {
                for patch in 0..<patches { indices[column * patches + patch] = order[patch * patchSize + column] }
            }
        }
        for column in 0..<patchSize {
            for patch in 0..<patches {
                columns[column * patches + patch] =
                    natural[patch * patchSize + (ordering == nil ? column : Int(indices[column * patches + patch]))]
            }
        }
        let header = PageHeader(
            element: .token, generation: 0, block: block, firstPatch: firstPatch, patches: patches, columns: patchSize,
            width: 1, isOrdered: ordering != nil)
        for column in 0..<patchSize {
            encoder.encode(
                column, of: header, values: columns.start + column * patches,
                indices: ordering == nil ? nil : indices.start + column * patches, with: codec)
        }
        let page = encoder.finish(header)
        try writer.append(.states, block: block, page: page)
        storedBytes += page.count
        block += 1
        filled = 0
        if writer.uncommittedBytes >= Self.commitBytes { try writer.commit(progress: []) }
    }

    /// Writes the last block and makes all durable. The record may then be published.
    ///
    /// - Parameter isMarking: marks the environment as complete; else `mark` does.
    package func finish(isMarking: Bool = true) throws -> GenerationRecord {
        if filled > 0 { try writeBlock() }
        try writer.commit(progress: [])
        try isMarking ? writer.finish() : writer.sync()
        var record = record
        record.isComplete = true
        record.storedBytes = storedBytes
        return record
    }

    /// Marks the environment as complete, once the manifest names it: a killed writer's is known by the missing mark, and
    /// removed.
    package func mark() { try? writer.finish() }
}
