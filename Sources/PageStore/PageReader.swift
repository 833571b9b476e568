import CKernels
import Support

/// Reads columns of pages. One reader a worker: it owns the codec and the room for stored and decoded bytes.
public final class PageReader {
    public let codec: ColumnCodec
    private var stored: Memory<UInt8>
    private var decoded: Memory<UInt8>
    /// Bytes of pages read since the reader was made.
    public private(set) var bytesRead = 0

    /// Bytes a reader owns for pages of at most these sizes.
    public static func footprint(pageBytes: Int, columnBytes: Int) -> Int {
        ColumnCodec.footprint(columnBytes: columnBytes) + pageBytes + columnBytes
    }

    /// - Parameters:
    ///   - pageBytes: the longest page, as stored.
    ///   - columnBytes: the longest column, decoded.
    public init(pageBytes: Int, columnBytes: Int, kernels: KernelTable) throws {
        codec = try ColumnCodec(columnBytes: columnBytes, kernels: kernels)
        stored = try Memory(pageBytes)
        decoded = try Memory(columnBytes)
    }

    /// Reads header and directory of a block's page, both checked.
    public func directory(_ generation: GenerationReader, _ table: PageTable, block: Int) throws -> (location: PageLocation, header: PageHeader, columns: [ColumnEntry]) {
        let place = Place(file: generation.file, generation: generation.record.index, block: block)
        let location = try generation.locate(table, block: block)
        let expected = generation.expectedHeader(table, block: block)
        let wanted = min(location.bytes, PageHeader.size + expected.directoryBytes)
        guard wanted <= stored.count, location.bytes <= expected.largestPageBytes else {
            throw Fault(.badData, "the page has \(location.bytes) bytes, more than its geometry allows", at: place, advice: PageHeader.damageAdvice)
        }
        let bytes = UnsafeMutableRawBufferPointer(rebasing: stored.bytes[0..<wanted])
        try generation.read(at: location.offset, into: bytes, place: place)
        bytesRead += wanted
        let header = try PageHeader.read(UnsafeRawBufferPointer(bytes), storedBytes: location.bytes, at: place)
        var stated = expected
        stated.pageBytes = header.pageBytes
        guard header == stated else {
            throw Fault(.badData, "the page describes another block: \(header.summary); expected \(stated.summary)", at: place, advice: PageHeader.damageAdvice)
        }
        return (location, header, try header.readDirectory(UnsafeRawBufferPointer(bytes), at: place))
    }

    /// Decodes rows `rows` of the columns `columns` of a block, checking every column it touches.
    ///
    /// - Parameters:
    ///   - rows: patches of the block, counted from its first.
    ///   - target: where column j goes: room for `rows.count * width` values.
    public func read(
        _ generation: GenerationReader, _ table: PageTable = .states, block: Int, columns: Range<Int>, rows: Range<Int>,
        into target: (_ column: Int) -> UnsafeMutableRawPointer
    ) throws {
        let (location, header, entries) = try directory(generation, table, block: block)
        guard let first = columns.first, let last = columns.last else { return }
        let start = entries[first].offset
        let end = entries[last].offset + entries[last].storedBytes
        guard end - start <= stored.count, header.columnBytes <= decoded.count else {
            throw Fault(.badData, "the page is larger than the manifest's sizes allow", at: Place(file: generation.file, generation: generation.record.index, block: block), advice: PageHeader.damageAdvice)
        }
        let bytes = UnsafeMutableRawBufferPointer(rebasing: stored.bytes[0..<end - start])
        try generation.read(at: location.offset + start, into: bytes, place: Place(file: generation.file, generation: generation.record.index, block: block))
        bytesRead += end - start
        let rowBytes = header.width * header.element.size
        let whole = rows == 0..<header.patches
        for column in columns {
            let entry = entries[column]
            let values = whole ? target(column) : UnsafeMutableRawPointer(decoded.start)
            try codec.decode(
                UnsafeRawPointer(bytes.baseAddress!) + (entry.offset - start), entry: entry, count: header.columnValues, element: header.element, into: values,
                at: Place(file: generation.file, generation: generation.record.index, block: block, column: column))
            if !whole {
                target(column).copyMemory(from: UnsafeRawPointer(decoded.start) + rows.lowerBound * rowBytes, byteCount: rows.count * rowBytes)
            }
        }
    }
}

extension PageHeader {
    var summary: String {
        "\(element.name), generation \(generation), block \(block), patches \(firstPatch)..<\(firstPatch + patches), \(columns) columns, width \(width)"
    }
}
