import Support

/// Builds one page. Columns are encoded independently, by any threads, each into a slot long enough for the worst
/// case; `finish` moves them together and writes header and directory.
public final class PageEncoder: @unchecked Sendable {
    private let page: Memory<UInt8>
    private let entries: Memory<StoredColumn>

    /// `ColumnEntry` without its array, so that threads can fill entries of their own.
    private struct StoredColumn: BitwiseCopyable {
        var checksum: UInt64 = 0
        var planes = (0, 0, 0, 0)
        var isFolded = false
    }

    public static func footprint(_ largest: PageHeader) -> Int { largest.largestPageBytes + largest.columns * 48 }

    /// - Parameter largest: the largest page it will build.
    public init(largest: PageHeader) throws {
        page = try Memory(largest.largestPageBytes)
        entries = try Memory(largest.columns)
    }

    /// Encodes column `column` from `header.columnValues` values.
    public func encode(_ column: Int, of header: PageHeader, values: UnsafeRawPointer, with codec: ColumnCodec) {
        let slot = page.start + PageHeader.size + header.directoryBytes + column * header.columnBytes
        let entry = codec.encode(values, count: header.columnValues, element: header.element, into: slot)
        let planes = entry.planes + Array(repeating: 0, count: 4 - entry.planes.count)
        entries[column] = StoredColumn(checksum: entry.checksum, planes: (planes[0], planes[1], planes[2], planes[3]), isFolded: entry.isFolded)
    }

    /// The finished page, valid until the next `encode`. Call after every column of `header` was encoded.
    public func finish(_ header: PageHeader) -> UnsafeRawBufferPointer {
        var header = header
        var end = PageHeader.size + header.directoryBytes
        var directory: [ColumnEntry] = []
        for column in 0..<header.columns {
            let stored = entries[column]
            let planes = Array([stored.planes.0, stored.planes.1, stored.planes.2, stored.planes.3].prefix(header.element.size))
            var entry = ColumnEntry(offset: end, checksum: stored.checksum, planes: planes)
            entry.isFolded = stored.isFolded
            let slot = page.start + PageHeader.size + header.directoryBytes + column * header.columnBytes
            (page.start + end).update(from: slot, count: entry.storedBytes)
            directory.append(entry)
            end += entry.storedBytes
        }
        header.pageBytes = end
        header.write(directory: directory, to: page.start)
        return UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(page.bytes)[0..<end])
    }
}
