import PageStore
import Support

/// Looks into a store, at any depth: the store, a generation, a block, a column, its values.
public struct Inspection {
    public let store: Store
    private let kernels: KernelTable

    public init(store directory: String) throws {
        store = try Store.open(directory)
        kernels = try Kernels.select()
    }

    /// Range and number of not-a-number values over some rows.
    public struct Statistics: Sendable {
        public var count = 0
        public var minimum = Double.infinity
        public var maximum = -Double.infinity
        public var notANumber = 0
        private var sum = 0.0

        public var mean: Double { count > notANumber ? sum / Double(count - notANumber) : .nan }

        mutating func add(_ value: Double) {
            count += 1
            if value.isNaN {
                notANumber += 1
                return
            }
            minimum = Swift.min(minimum, value)
            maximum = Swift.max(maximum, value)
            sum += value
        }
    }

    /// The pages of a table, added up, and what their values say.
    public struct GenerationSummary: Sendable {
        public var record: GenerationRecord
        public var table: PageTable
        public var blocks: Int
        public var columns: Int
        public var rawBytes: Int
        public var storedBytes: Int
        public var fileBytes: Int
        public var statistics: Statistics
    }

    public func generation(_ index: Int) throws -> [GenerationSummary] {
        let generation = try store.reader(index)
        return try PageTable.allCases.filter { generation.record.holds($0) }.map { table in
            let stream = try RowStream(generation, table, kernels: kernels)
            var statistics = Statistics()
            let element: Element = table == .surprisal ? .f32 : generation.element
            try stream.read(0..<store.manifest.tokens) { _, rows in
                try Interruption.check { "nothing was printed" }
                Self.forEachValue(rows, element) { statistics.add($0) }
            }
            var (raw, stored) = (0, 0)
            for block in 0..<generation.grid.blocks {
                raw += generation.expectedHeader(table, block: block).rawBytes
                stored += try generation.locate(table, block: block).bytes
            }
            return GenerationSummary(
                record: generation.record, table: table, blocks: generation.grid.blocks, columns: generation.geometry.patchSize, rawBytes: raw, storedBytes: stored,
                fileBytes: File.size(generation.file) ?? 0, statistics: statistics)
        }
    }

    public struct BlockSummary: Sendable {
        public var header: PageHeader
        public var location: PageLocation
        public var columns: [ColumnEntry]
    }

    public func block(_ block: Int, of index: Int) throws -> BlockSummary {
        let generation = try reader(index, block: block)
        let table: PageTable = generation.record.holds(.states) ? .states : .surprisal
        let header = generation.expectedHeader(table, block: block)
        let reader = try PageReader(pageBytes: header.largestPageBytes, columnBytes: header.columnBytes, kernels: kernels)
        let found = try reader.directory(generation, table, block: block)
        return BlockSummary(header: found.header, location: found.location, columns: found.columns)
    }

    public struct ColumnSummary: Sendable {
        public var header: PageHeader
        public var column: Int
        public var entry: ColumnEntry
        public var statistics: Statistics
        /// Row by row: the values of the token in each patch. Padding is left out.
        public var rows: [[Double]]
    }

    public func column(_ column: Int, block: Int, of index: Int) throws -> ColumnSummary {
        let generation = try reader(index, block: block)
        let summary = try self.block(block, of: index)
        let header = summary.header
        guard (0..<header.columns).contains(column) else {
            throw Fault(.usage, "there is no column \(column): blocks of this store have columns 0 to \(header.columns - 1)", at: Place(file: store.directory))
        }
        let table: PageTable = generation.record.holds(.states) ? .states : .surprisal
        let reader = try PageReader(pageBytes: header.largestPageBytes, columnBytes: header.columnBytes, kernels: kernels)
        let values = try Memory<UInt8>(header.columnBytes)
        try reader.read(generation, table, block: block, columns: column..<column + 1, into: { _ in UnsafeMutableRawPointer(values.start) })
        var statistics = Statistics()
        var flat: [Double] = []
        let held = (0..<header.patches).prefix { (header.firstPatch + $0) * header.columns + column < store.manifest.tokens }
        let bytes = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(values.bytes)[0..<held.count * header.width * header.element.size])
        Self.forEachValue(bytes, header.element) {
            statistics.add($0)
            flat.append($0)
        }
        let rows = stride(from: 0, to: flat.count, by: header.width).map { Array(flat[$0..<$0 + header.width]) }
        return ColumnSummary(header: header, column: column, entry: summary.columns[column], statistics: statistics, rows: rows)
    }

    private func reader(_ index: Int, block: Int) throws -> GenerationReader {
        let generation = try store.reader(index)
        guard (0..<generation.grid.blocks).contains(block) else {
            throw Fault(.usage, "there is no block \(block): generation \(index) has blocks 0 to \(generation.grid.blocks - 1)", at: Place(file: store.directory))
        }
        return generation
    }

    private static func forEachValue(_ bytes: UnsafeRawBufferPointer, _ element: Element, _ body: (Double) -> Void) {
        switch element {
        case .token: for value in bytes.bindMemory(to: UInt16.self) { body(Double(value)) }
        case .bf16: for value in bytes.bindMemory(to: UInt16.self) { body(Double(Float(bitPattern: UInt32(value) << 16))) }
        case .f32: for value in bytes.bindMemory(to: Float.self) { body(Double(value)) }
        }
    }
}
