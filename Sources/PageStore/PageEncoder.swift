import Support

/// Builds one page. Columns are encoded independently, by any threads, each into a slot long enough for the worst
/// case; `finish` moves them together and writes header and directory.
package final class PageEncoder: @unchecked Sendable {
    private let page: Memory<UInt8>
    private let entries: Memory<StoredColumn>

    /// `ColumnEntry` without its array, so that threads can fill entries of their own.
    private struct StoredColumn: BitwiseCopyable {
        var checksum: UInt64 = 0
        var planes = (0, 0, 0, 0)
        var isFolded = false

        init(_ entry: ColumnEntry) {
            let sizes = entry.planes + Array(repeating: 0, count: 4 - entry.planes.count)
            checksum = entry.checksum
            planes = (sizes[0], sizes[1], sizes[2], sizes[3])
            isFolded = entry.isFolded
        }

        /// The entry of a column of `element` that lies at `offset`.
        func entry(at offset: Int, _ element: Element) -> ColumnEntry {
            var entry = ColumnEntry(
                offset: offset, checksum: checksum,
                planes: Array([planes.0, planes.1, planes.2, planes.3].prefix(element.size)))
            entry.isFolded = isFolded
            return entry
        }
    }

    package static func footprint(_ largest: PageHeader) -> Int { largest.largestPageBytes + largest.entries * 48 }

    /// - Parameter largest: the largest page it will build.
    package init(largest: PageHeader) throws {
        page = try Memory(largest.largestPageBytes)
        entries = try Memory(largest.entries)
    }

    /// Where column `column` goes until the page is finished.
    private func slot(_ column: Int, of header: PageHeader) -> UnsafeMutablePointer<UInt8> {
        page.start + PageHeader.size + header.directoryBytes + column * (header.columnBytes + header.indexBytes)
    }

    /// Encodes column `column` from `header.columnValues` values and, of an ordered page, the token indices of its
    /// rows.
    package func encode(
        _ column: Int, of header: PageHeader, values: UnsafeRawPointer, indices: UnsafePointer<UInt16>? = nil,
        with codec: ColumnCodec
    ) {
        let slot = slot(column, of: header)
        let entry = codec.encode(values, count: header.columnValues, element: header.element, into: slot)
        guard header.isOrdered, let indices else { return entries[column] = StoredColumn(entry) }
        entries[2 * column] = StoredColumn(entry)
        entries[2 * column + 1] = StoredColumn(
            codec.encode(indices, count: header.patches, element: .token, into: slot + entry.storedBytes))
    }

    /// The finished page, valid until the next `encode`. Call after every column of `header` was encoded.
    package func finish(_ header: PageHeader) -> UnsafeRawBufferPointer {
        var header = header
        var end = PageHeader.size + header.directoryBytes
        var directory: [ColumnEntry] = []
        for column in 0..<header.columns {
            let start = end
            if header.isOrdered {
                directory.append(entries[2 * column].entry(at: end, header.element))
                end += directory[directory.count - 1].storedBytes
                directory.append(entries[2 * column + 1].entry(at: end, .token))
            } else {
                directory.append(entries[column].entry(at: end, header.element))
            }
            end += directory[directory.count - 1].storedBytes
            (page.start + start).update(from: slot(column, of: header), count: end - start)
        }
        header.pageBytes = end
        header.write(directory: directory, to: page.start)
        return UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(page.bytes)[0..<end])
    }
}
