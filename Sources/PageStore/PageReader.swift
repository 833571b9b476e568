import CKernels
import Support

/// Reads columns of pages. One reader a worker: it owns the codec and the room for stored and decoded bytes.
///
/// Sendable, but of one thread at a time.
package final class PageReader: @unchecked Sendable {
    package let codec: ColumnCodec
    private let stored: Memory<UInt8>
    /// Bytes of pages read since the reader was made, and seconds that reading them took.
    package private(set) var bytesRead = 0
    package private(set) var readSeconds = 0.0

    /// Bytes a reader owns for pages of at most these sizes.
    package static func footprint(pageBytes: Int, columnBytes: Int) -> Int {
        ColumnCodec.footprint(columnBytes: columnBytes) + pageBytes
    }

    /// - Parameters:
    ///   - pageBytes: the longest page, as stored.
    ///   - columnBytes: the longest column, decoded.
    package init(pageBytes: Int, columnBytes: Int, kernels: KernelTable) throws {
        codec = try ColumnCodec(columnBytes: columnBytes, kernels: kernels)
        stored = try Memory(pageBytes)
    }

    private func timed(_ body: () throws -> Void) rethrows {
        let watch = Stopwatch()
        try body()
        readSeconds += watch.seconds
    }

    /// Reads header and directory of a block's page, both checked.
    ///
    /// - Returns: of an ordered page, every column's entry is followed by that of its token indices.
    package func directory(_ generation: GenerationReader, _ table: PageTable, block: Int) throws -> (
        location: PageLocation, header: PageHeader, entries: [ColumnEntry]
    ) {
        let place = generation.place(block)
        let location = try generation.locate(table, block: block)
        let expected = generation.expectedHeader(table, block: block)
        let wanted = min(location.bytes, PageHeader.size + expected.directoryBytes)
        guard wanted <= stored.count, location.bytes <= expected.largestPageBytes else {
            throw Fault(
                .badData, "the page has \(location.bytes) bytes, more than its geometry allows", at: place,
                advice: PageHeader.damageAdvice)
        }
        let bytes = UnsafeMutableRawBufferPointer(rebasing: stored.bytes[0..<wanted])
        try timed { try generation.read(at: location.offset, ofBlock: block, into: bytes, place: place) }
        bytesRead += wanted
        let header = try PageHeader.read(UnsafeRawBufferPointer(bytes), storedBytes: location.bytes, at: place)
        var stated = expected
        stated.pageBytes = header.pageBytes
        guard header == stated else {
            throw Fault(
                .badData, "the page describes another block: \(header.summary); expected \(stated.summary)", at: place,
                advice: PageHeader.damageAdvice)
        }
        return (location, header, try header.readDirectory(UnsafeRawBufferPointer(bytes), at: place))
    }

    /// Decodes columns of a block, checking every one.
    ///
    /// - Parameters:
    ///   - columns: ascending.
    ///   - target: where a column goes; where it has too little room for the column's values, the page is refused.
    ///   - indices: where the token indices of an ordered page's column go, likewise; nil drops them.
    ///   - found: told where a column lies in the file: from which byte, and how many.
    package func read(
        _ generation: GenerationReader, _ table: PageTable = .states, block: Int,
        columns: some RandomAccessCollection<Int>,
        into target: (_ column: Int) -> UnsafeMutableRawBufferPointer,
        indices: (_ column: Int) -> UnsafeMutableBufferPointer<UInt16>? = { _ in nil },
        found: (_ column: Int, _ offset: Int, _ bytes: Int) throws -> Void = { _, _, _ in }
    ) throws {
        let (location, header, entries) = try directory(generation, table, block: block)
        let place = generation.place(block)
        let perColumn = header.isOrdered ? 2 : 1
        var rest = columns[...]
        while let first = rest.first {
            // Columns that follow one another are one read.
            var last = first
            while let next = rest.dropFirst(last - first + 1).first, next == last + 1 { last = next }
            rest = rest.dropFirst(last - first + 1)
            let start = entries[first * perColumn].offset
            let final = entries[(last + 1) * perColumn - 1]
            let end = final.offset + final.storedBytes
            guard end - start <= stored.count else {
                throw Fault(
                    .badData, "the page is larger than the manifest's sizes allow", at: place,
                    advice: PageHeader.damageAdvice)
            }
            let bytes = UnsafeMutableRawBufferPointer(rebasing: stored.bytes[0..<end - start])
            try timed { try generation.read(at: location.offset + start, ofBlock: block, into: bytes, place: place) }
            bytesRead += end - start
            func planes(_ entry: ColumnEntry) -> UnsafeRawBufferPointer {
                UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[(entry.offset - start)...])
            }
            for column in first...last {
                let entry = entries[column * perColumn]
                let place = generation.place(block, column: column)
                try codec.decode(
                    planes(entry), entry: entry, count: header.columnValues, element: header.element,
                    into: target(column), at: place)
                let last = entries[(column + 1) * perColumn - 1]
                if header.isOrdered, let indices = indices(column) {
                    try codec.decode(
                        planes(last), entry: last, count: header.patches, element: .token,
                        into: UnsafeMutableRawBufferPointer(indices), at: place)
                    if let row = (0..<header.patches).first(where: { Int(indices[$0]) >= header.columns }) {
                        throw Fault(
                            .badData, "row \(row) claims to be token \(indices[row]) of a patch of \(header.columns)",
                            at: place, advice: PageHeader.damageAdvice)
                    }
                }
                try found(column, location.offset + entry.offset, last.offset + last.storedBytes - entry.offset)
            }
        }
    }

    /// Reads the planes of a column of a block as stored.
    ///
    /// - Parameter body: given the column's entry, of an ordered page that of its token indices too, and the planes of
    ///   all of them.
    func readStored(
        _ generation: GenerationReader, _ table: PageTable = .states, block: Int, column: Int,
        _ body: (_ entries: ArraySlice<ColumnEntry>, _ planes: UnsafeRawBufferPointer) throws -> Void
    ) throws {
        let (location, header, entries) = try directory(generation, table, block: block)
        let place = generation.place(block, column: column)
        let perColumn = header.isOrdered ? 2 : 1
        guard (0..<header.columns).contains(column) else { throw Fault(.usage, "there is no such column", at: place) }
        let own = entries[column * perColumn..<(column + 1) * perColumn]
        let length = own.reduce(0) { $0 + $1.storedBytes }
        guard length <= stored.count else {
            throw Fault(
                .badData, "the page is larger than the manifest's sizes allow", at: place,
                advice: PageHeader.damageAdvice)
        }
        let bytes = UnsafeMutableRawBufferPointer(rebasing: stored.bytes[0..<length])
        let start = location.offset + own[own.startIndex].offset
        try timed { try generation.read(at: start, ofBlock: block, into: bytes, place: place) }
        bytesRead += length
        try body(own, UnsafeRawBufferPointer(bytes))
    }
}

extension PageHeader {
    var summary: String {
        "\(element.name), generation \(generation), block \(block), patches \(firstPatch)..<\(firstPatch + patches), \(columns) columns, width \(width)\(isOrdered ? ", ordered" : "")"
    }
}
