import PageStore
import Support

/// Looks into a store, at any depth: the store, a generation, a block, a column, its values.
public struct Inspection {
    /// The store that is looked into.
    public let store: Store
    private let kernels: KernelTable

    /// Opens a store to look at; nothing is locked or written.
    ///
    /// - Throws: `Fault` of `Store.open`; `usage` where the environment forces kernels that are not there.
    public init(store directory: String) throws {
        store = try Store.open(directory)
        kernels = try Kernels.select()
    }

    /// Range and number of not-a-number values over some rows.
    public struct Statistics: Sendable {
        /// Values.
        public var count = 0
        /// The least value; infinity where there is none.
        public var minimum = Double.infinity
        /// The greatest value; minus infinity where there is none.
        public var maximum = -Double.infinity
        /// Values that are not a number, which bear on nothing else.
        public var notANumber = 0
        private var sum = 0.0

        /// The mean; NaN where there are no numbers.
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

    /// The pages of a table, added up, and what the values of some or all say.
    public struct GenerationSummary: Sendable {
        /// What the manifest says of the generation.
        public var record: GenerationRecord
        /// The table that this is of.
        public var table: PageTable
        /// Pages, one a block.
        public var blocks: Int
        /// Columns of a page: P.
        public var columns: Int
        /// Bytes of all columns before compression.
        public var rawBytes: Int
        /// Bytes of all pages as stored.
        public var storedBytes: Int
        /// Bytes of the generation's file, both tables and LMDB's index included.
        public var fileBytes: Int
        /// Blocks that the statistics are of, spread over the generation.
        public var blocksRead: Int
        /// Of the values of the blocks that were read.
        public var statistics: Statistics
    }

    /// What is read of a generation unless all is asked for: few seconds' work, whatever its length.
    private enum Sample {
        static let blocks = 64
        /// Decoded; but four blocks in any case.
        static let bytes = 1 << 30
        static let leastBlocks = 4
    }

    /// The tables of a complete generation.
    ///
    /// - Parameter isOfAllBlocks: whether the statistics are of all blocks, however many.
    /// - Throws: `Fault`: `usage` where there is no such generation, `badData` where a page is damaged.
    public func generation(_ index: Int, isOfAllBlocks: Bool) throws -> [GenerationSummary] {
        let generation = try store.reader(index)
        let (blocks, P) = (generation.grid.blocks, generation.geometry.patchSize)
        return try PageTable.allCases.filter { generation.record.holds($0) }.map { table in
            let stream = try RowStream(generation, table, kernels: kernels, isAnyValueAllowed: true)
            let blockBytes = generation.expectedHeader(table, block: 0).rawBytes
            let most = max(Sample.leastBlocks, min(Sample.blocks, Sample.bytes / max(1, blockBytes)))
            let count = isOfAllBlocks ? blocks : min(blocks, most)
            var statistics = Statistics()
            let element: Element = table == .surprisal ? .f32 : generation.element
            for step in 0..<count {
                // From the first to the last.
                let patches = generation.grid.patches(ofBlock: count > 1 ? step * (blocks - 1) / (count - 1) : 0)
                let tokens = (patches.lowerBound * P..<patches.upperBound * P).clamped(to: 0..<store.manifest.tokens)
                try stream.read(tokens) { _, rows in
                    try Interruption.check { "nothing was printed" }
                    Self.forEachValue(rows, element) { statistics.add($0) }
                }
            }
            return GenerationSummary(
                record: generation.record, table: table, blocks: blocks, columns: P,
                rawBytes: (0..<blocks).reduce(0) { $0 + generation.expectedHeader(table, block: $1).rawBytes },
                storedBytes: try generation.storedBytes(table), fileBytes: generation.fileBytes,
                blocksRead: count,
                statistics: statistics)
        }
    }

    /// What the page of a block says of itself.
    public struct BlockSummary: Sendable {
        /// Its fixed header, checked.
        public var header: PageHeader
        /// Where it lies in the generation's file.
        public var location: PageLocation
        /// [P], each column's entry in the page's directory.
        public var columns: [ColumnEntry]
    }

    /// Header and directory of a block's page, both checked; its values are not read.
    ///
    /// - Throws: `Fault`: `usage` where there is no such generation or block, `badData` where the page is damaged.
    public func block(_ block: Int, of index: Int) throws -> BlockSummary {
        let generation = try reader(index, block: block)
        return try summary(of: block, generation, try pageReader(generation, block: block))
    }

    /// What is looked at of a generation's blocks.
    private func table(_ generation: GenerationReader) -> PageTable {
        generation.record.holds(.states) ? .states : .surprisal
    }

    private func pageReader(_ generation: GenerationReader, block: Int) throws -> PageReader {
        let header = generation.expectedHeader(table(generation), block: block)
        return try PageReader(pageBytes: header.largestPageBytes, columnBytes: header.columnBytes, kernels: kernels)
    }

    private func summary(of block: Int, _ generation: GenerationReader, _ reader: PageReader) throws -> BlockSummary {
        let found = try reader.directory(generation, table(generation), block: block)
        let perColumn = found.header.isOrdered ? 2 : 1
        let columns = stride(from: 0, to: found.entries.count, by: perColumn).map { found.entries[$0] }
        return BlockSummary(header: found.header, location: found.location, columns: columns)
    }

    /// A column and its values, which last as long as the visit.
    public struct Column {
        /// The header of the block's page.
        public let header: PageHeader
        /// Its number, from 0: the index of its tokens in their patches, or their place in the delegate order.
        public let column: Int
        /// Its entry in the page's directory.
        public let entry: ColumnEntry
        /// Of all its values; padding is left out.
        public let statistics: Statistics
        /// Tokens of the sequence: padding is left out.
        fileprivate let tokens: Int
        fileprivate let values: UnsafeRawBufferPointer
        /// Token indices of its rows; nil where they are the column's number.
        fileprivate let indices: UnsafePointer<UInt16>?

        fileprivate init(
            _ header: PageHeader, _ column: Int, _ entry: ColumnEntry, tokens: Int, values: UnsafeRawBufferPointer,
            indices: UnsafePointer<UInt16>?
        ) {
            var statistics = Statistics()
            self.header = header
            self.column = column
            self.entry = entry
            self.tokens = tokens
            self.values = values
            self.indices = indices
            Self.forEachRow(header, column, tokens, values, indices) { _, row in
                Inspection.forEachValue(row, header.element) { statistics.add($0) }
            }
            self.statistics = statistics
        }

        /// Visits its rows, one of each patch: the token, and its `width` values.
        public func forEachRow(_ body: (_ token: Int, _ values: [Double]) throws -> Void) rethrows {
            try Self.forEachRow(header, column, tokens, values, indices) { token, row in
                var numbers: [Double] = []
                numbers.reserveCapacity(header.width)
                Inspection.forEachValue(row, header.element) { numbers.append($0) }
                try body(token, numbers)
            }
        }

        private static func forEachRow(
            _ header: PageHeader, _ column: Int, _ tokens: Int, _ values: UnsafeRawBufferPointer,
            _ indices: UnsafePointer<UInt16>?,
            _ body: (_ token: Int, _ row: UnsafeRawBufferPointer) throws -> Void
        ) rethrows {
            let rowBytes = header.width * header.element.size
            for row in 0..<header.patches {
                let token = (header.firstPatch + row) * header.columns + (indices.map { Int($0[row]) } ?? column)
                if token >= tokens { continue }
                try body(token, UnsafeRawBufferPointer(rebasing: values[row * rowBytes..<(row + 1) * rowBytes]))
            }
        }
    }

    /// Visits columns of a block one after another, all if none is named. Memory holds a mebibyte of them, or one.
    ///
    /// - Throws: `Fault`: `usage` where there is no such generation, block or column, `badData` where the page is
    ///   damaged; and what `body` throws.
    public func columns(of block: Int, of index: Int, only column: Int? = nil, _ body: (Column) throws -> Void) throws {
        let generation = try reader(index, block: block)
        let reader = try pageReader(generation, block: block)
        let summary = try summary(of: block, generation, reader)
        let header = summary.header
        if let column, !(0..<header.columns).contains(column) {
            throw Fault(
                .usage, "there is no column \(column): blocks of this store have columns 0 to \(header.columns - 1)",
                at: Place(file: store.directory))
        }
        let wanted = column.map { $0..<$0 + 1 } ?? 0..<header.columns
        // Every read takes the page's directory, too.
        let together = min(wanted.count, max(1, (1 << 20) / max(1, header.columnBytes)))
        let values = try Memory<UInt8>(together * header.columnBytes)
        let indices = try Memory<UInt16>(header.isOrdered ? together * header.patches : 0)
        for first in stride(from: wanted.lowerBound, to: wanted.upperBound, by: together) {
            let group = first..<min(first + together, wanted.upperBound)
            try reader.read(
                generation, table(generation), block: block, columns: group,
                into: { UnsafeMutableRawBufferPointer(values.piece($0 - first, of: header.columnBytes)) },
                indices: { indices.count > 0 ? indices.piece($0 - first, of: header.patches) : nil })
            for column in group {
                try Interruption.check { "not all was printed" }
                let start = values.start + (column - first) * header.columnBytes
                let bytes = UnsafeRawBufferPointer(start: start, count: header.columnBytes)
                let rows = indices.count > 0 ? UnsafePointer(indices.start + (column - first) * header.patches) : nil
                let entry = summary.columns[column]
                try body(Column(header, column, entry, tokens: store.manifest.tokens, values: bytes, indices: rows))
            }
        }
    }

    /// ρ of every patch of a block: the column that each of its tokens stands in.
    ///
    /// - Throws: `Fault` (`usage`) where tokens stand in their own order.
    public func order(ofBlock block: Int, of index: Int) throws -> [(patch: Int, columns: [Int])] {
        let generation = try reader(index, block: block)
        let header = generation.expectedHeader(.states, block: block)
        guard header.isOrdered else {
            throw Fault(
                .usage, "tokens of generation \(index) stand in their own order", at: Place(file: store.directory))
        }
        let rows = try RowStream(generation, kernels: kernels)
        return try rows.order(ofBlock: block).enumerated().map { (header.firstPatch + $0, $1) }
    }

    private func reader(_ index: Int, block: Int) throws -> GenerationReader {
        let generation = try store.reader(index)
        guard (0..<generation.grid.blocks).contains(block) else {
            throw Fault(
                .usage, "there is no block \(block): generation \(index) has blocks 0 to \(generation.grid.blocks - 1)",
                at: Place(file: store.directory))
        }
        return generation
    }

    fileprivate static func forEachValue(
        _ bytes: UnsafeRawBufferPointer, _ element: Element,
        _ body: (Double) -> Void
    ) {
        switch element {
        case .token: for value in bytes.bindMemory(to: UInt16.self) { body(Double(value)) }
        case .bf16:
            for value in bytes.bindMemory(to: UInt16.self) { body(Double(Float(bitPattern: UInt32(value) << 16))) }
        case .f32: for value in bytes.bindMemory(to: Float.self) { body(Double(value)) }
        }
    }
}
