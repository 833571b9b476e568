import Support

/// Columns as they travel from one machine to another: as stored, compressed, with their checksums.
///
/// Of the column, and where pages are ordered of its token indices after it: checksum u64, flags u64 (1: folded), stored
/// bytes of up to four planes u32 each; then the planes of all of them. Little-endian.
extension PageReader {
    private static let entryBytes = 32

    /// Bytes of the longest message of a column.
    package static func messageBytes(_ header: PageHeader) -> Int {
        2 * entryBytes + header.columnBytes + header.indexBytes
    }

    /// Reads a column of a block as stored, and hands its message to `body`.
    package func message<R>(
        _ generation: GenerationReader, block: Int, column: Int, _ body: (UnsafeRawBufferPointer) throws -> R
    ) throws -> R {
        var message: [UInt8] = []
        try readStored(generation, block: block, column: column) { entries, planes in
            func put(_ value: some FixedWidthInteger) {
                withUnsafeBytes(of: value.littleEndian) { message += $0 }
            }
            for entry in entries {
                put(entry.checksum)
                put(UInt64(entry.isFolded ? 1 : 0))
                for plane in 0..<4 { put(UInt32(plane < entry.planes.count ? entry.planes[plane] : 0)) }
            }
            message += planes
        }
        return try message.withUnsafeBytes(body)
    }

    /// Decodes a column from its message, checking it as if it were a page's.
    ///
    /// - Parameters:
    ///   - header: what the column's page must say of itself.
    ///   - indices: where the token indices of an ordered page's column go.
    /// - Throws: `Fault` (`badData`) where the message is no column of such a page.
    package func decode(
        _ message: UnsafeRawBufferPointer, of header: PageHeader, into values: UnsafeMutableRawBufferPointer,
        indices: UnsafeMutableBufferPointer<UInt16>?, at place: Place
    ) throws {
        func damaged(_ problem: String) -> Fault {
            Fault(.badData, "a column that came from another rank \(problem)", at: place)
        }
        let count = header.isOrdered ? 2 : 1
        guard message.count >= count * Self.entryBytes else { throw damaged("is cut short") }
        var offset = count * Self.entryBytes
        for number in 0..<count {
            func get<T: FixedWidthInteger>(_ type: T.Type, _ at: Int) -> T {
                T(littleEndian: message.loadUnaligned(fromByteOffset: number * Self.entryBytes + at, as: T.self))
            }
            let isIndex = number == 1
            let (element, values_) = isIndex ? (Element.token, header.patches) : (header.element, header.columnValues)
            var entry = ColumnEntry(
                offset: offset, checksum: get(UInt64.self, 0),
                planes: (0..<element.size).map { Int(get(UInt32.self, 16 + 4 * $0)) })
            entry.isFolded = get(UInt64.self, 8) != 0
            guard entry.planes.allSatisfy({ $0 <= values_ }), entry.storedBytes <= message.count - offset else {
                throw damaged("has planes that do not lie inside it")
            }
            let planes = UnsafeRawBufferPointer(rebasing: message[offset...])
            if !isIndex {
                try codec.decode(planes, entry: entry, count: values_, element: element, into: values, at: place)
            } else if let indices {
                try codec.decode(
                    planes, entry: entry, count: values_, element: element,
                    into: UnsafeMutableRawBufferPointer(indices),
                    at: place)
                if let row = (0..<header.patches).first(where: { Int(indices[$0]) >= header.columns }) {
                    throw damaged("says that row \(row) is token \(indices[row]) of a patch of \(header.columns)")
                }
            }
            offset += entry.storedBytes
        }
        guard offset == message.count else { throw damaged("is longer than it says") }
    }
}
