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
            let stream = try RowStream(generation, table, kernels: kernels, allowsAnyValue: true)
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
        let perColumn = found.header.isOrdered ? 2 : 1
        return BlockSummary(header: found.header, location: found.location, columns: stride(from: 0, to: found.entries.count, by: perColumn).map { found.entries[$0] })
    }

    public struct ColumnSummary: Sendable {
        public var header: PageHeader
        public var column: Int
        public var entry: ColumnEntry
        public var statistics: Statistics
        /// The tokens of its rows, one of each patch. Padding is left out.
        public var tokens: [Int]
        /// Row by row: their values.
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
        let indices = try Memory<UInt16>(header.isOrdered ? header.patches : 0)
        try reader.read(
            generation, table, block: block, columns: column..<column + 1, into: { _ in values.bytes },
            indices: { _ in indices.count > 0 ? indices.values : nil })
        var statistics = Statistics()
        var (tokens, rows): ([Int], [[Double]]) = ([], [])
        let rowBytes = header.width * header.element.size
        for row in 0..<header.patches {
            let token = (header.firstPatch + row) * header.columns + (indices.count > 0 ? Int(indices[row]) : column)
            if token >= store.manifest.tokens { continue }
            var numbers: [Double] = []
            Self.forEachValue(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(values.bytes)[row * rowBytes..<(row + 1) * rowBytes]), header.element) {
                statistics.add($0)
                numbers.append($0)
            }
            tokens.append(token)
            rows.append(numbers)
        }
        return ColumnSummary(header: header, column: column, entry: summary.columns[column], statistics: statistics, tokens: tokens, rows: rows)
    }

    /// ρ of every patch of a block: the column that each of its tokens stands in.
    ///
    /// - Throws: `Fault` (`usage`) where tokens stand in their own order.
    public func order(ofBlock block: Int, of index: Int) throws -> [(patch: Int, columns: [Int])] {
        let generation = try reader(index, block: block)
        let header = generation.expectedHeader(.states, block: block)
        guard header.isOrdered else {
            throw Fault(.usage, "tokens of generation \(index) stand in their own order", at: Place(file: store.directory))
        }
        let rows = try RowStream(generation, kernels: kernels)
        return try rows.order(ofBlock: block).enumerated().map { (header.firstPatch + $0, $1) }
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
