import PageStore
import Support

/// Pages and environments with something wrong in them and right checksums.
enum Pages {
    /// A sound page.
    ///
    /// - Parameters:
    ///   - values: a column's values as they decode.
    ///   - indices: which tokens stand in a column, of an ordered page.
    static func encoded(_ header: PageHeader, values: (Int) -> [UInt8], indices: (Int) -> [UInt16] = { _ in [] })
        throws -> [UInt8]
    {
        let codec = try ColumnCodec(
            columnBytes: max(header.columnBytes, header.indexBytes), kernels: Kernels.select())
        let encoder = try PageEncoder(largest: header)
        for column in 0..<header.columns {
            let (values, indices) = (values(column), indices(column))
            let room = try Memory<UInt8>(header.columnBytes)
            room.bytes.copyBytes(from: values.prefix(header.columnBytes))
            let order = try Memory<UInt16>(header.patches)
            for (row, index) in indices.prefix(header.patches).enumerated() { order[row] = index }
            encoder.encode(
                column, of: header, values: room.start,
                indices: header.isOrdered ? UnsafePointer(order.start) : nil, with: codec)
        }
        return Array(encoder.finish(header))
    }

    /// Puts right the checksum over a page's header and the directory that it claims to have.
    static func sign(_ page: inout [UInt8]) {
        let directory = Int(page.number(at: 44, width: 4))
        let covered = Array(page.prefix(56)) + page.dropFirst(PageHeader.size).prefix(directory)
        page.put(covered.withUnsafeBytes { checksum($0) }, at: 56, width: 8)
    }

    /// All pages of a table as stored, by block; nil for those that cannot be read.
    static func all(_ store: Store, generation index: Int, _ table: PageTable) throws -> [[UInt8]] {
        let generation = try store.reader(index)
        let file = Files.read(generation.file)
        return try (0..<generation.grid.blocks).map { block in
            let location = try generation.locate(table, block: block)
            return Array(file[location.offset..<location.offset + location.bytes])
        }
    }

    /// Makes the environment of `record` anew, with these pages.
    static func write(
        _ folder: String, identity: GenerationIdentity, record: GenerationRecord, progress: [UInt8],
        pages: [PageTable: [Int: [UInt8]]]
    ) throws {
        try File.remove("\(folder)/\(record.directory)")
        let writer = try GenerationWriter(store: folder, identity: identity, record: record)
        for (table, pages) in pages.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            for (block, page) in pages.sorted(by: { $0.key < $1.key }) {
                try page.withUnsafeBytes { try writer.append(table, block: block, page: $0) }
            }
        }
        try writer.commit(progress: progress)
        try writer.finish()
    }
}
