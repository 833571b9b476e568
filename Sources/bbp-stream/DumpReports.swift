import Geometry
import PageStore
import StreamEngine
import Support

/// What `dump` shows, level by level.
extension Report {
    init(_ store: Store) {
        let manifest = store.manifest
        add("store", store.directory)
        add("format", manifest.format)
        add("version", manifest.version)
        add("name", manifest.store)
        add("tokens", manifest.tokens)
        add("patch size (P)", manifest.patchSize)
        add("patches (G)", store.geometry()?.patches ?? 0)
        add("tokens fingerprint", manifest.tokensFingerprint)
        if let run = manifest.run {
            add("model fingerprint", run.modelFingerprint)
            add("weights", run.isTrained ? "training not stated" : "untrained")
            add("layers", run.layers)
            add("hidden size (D)", run.hiddenSize)
            add("state", run.state)
            add("patches per block (T)", run.patchesPerBlock)
            if let way = run.convolution { add("convolution", way) }
            add("keep", run.keep)
            add("run", run.isComplete ? "complete" : "not complete: forward goes on with it")
        }
        add(
            "generations",
            objects: manifest.generations.map { record in
                var report = Report()
                report.add("generation", record.index)
                report.add("element", record.element)
                report.add("width", record.width)
                report.add("patches per block", record.patchesPerBlock)
                report.add("holds", record.tables.map(Value.text))
                if let order = record.order { report.add("order", order) }
                report.add("state", record.isComplete ? "complete" : "being computed")
                report.add("file", bytes: store.fileBytes(of: record))
                if let supplements = record.supplements { report.add("supplements", supplements.count) }
                return report
            })
        add(
            "documents",
            objects: manifest.documents.enumerated().map { index, document in
                var report = Report()
                report.add("document", index)
                report.add("name", document.name)
                report.add("tokens", document.tokens)
                report.add("first", document.firstToken)
                return report
            })
    }

    init(_ tables: [Inspection.GenerationSummary]) {
        add(
            "tables",
            objects: tables.map { table in
                var report = Report()
                report.add("generation", table.record.index)
                report.add("table", table.table.rawValue)
                report.add("element", table.table == .surprisal ? Element.f32.name : table.record.element)
                report.add("blocks", table.blocks)
                report.add("patches per block (T)", table.record.patchesPerBlock)
                report.add("columns (P)", table.columns)
                report.add("width", table.table == .surprisal ? 1 : table.record.width)
                report.add("raw", bytes: table.rawBytes)
                report.add("stored", bytes: table.storedBytes)
                report.add("ratio", Double(table.rawBytes) / Double(max(1, table.storedBytes)))
                report.add("file", bytes: table.fileBytes)
                let isAll = table.blocksRead == table.blocks
                let shown = "\(grouped(table.blocksRead)) of \(grouped(table.blocks)) blocks: --all reads all"
                report.add("blocks read", value: .number(table.blocksRead, shown: isAll ? "all" : shown))
                if let model = table.record.modelFingerprint { report.add("model fingerprint", model) }
                report.add(table.statistics)
                return report
            }, hasLinesOfTheirOwn: true)
    }

    /// ρ of a block's patches.
    init(order: [(patch: Int, columns: [Int])]) {
        add(
            "orders",
            objects: order.map { patch, columns in
                var report = Report()
                report.add("patch", value: .number(patch, shown: "\(patch)"))
                report.add("columns of its tokens", columns.map { .number($0, shown: "\($0)") })
                return report
            })
    }

    /// A block, and what its directory says of its columns.
    init(_ block: Inspection.BlockSummary) {
        self.init(head: block)
        add(
            "columns",
            objects: block.columns.enumerated().map { index, entry in
                var report = Report()
                report.add("column", index)
                report.add("offset", entry.offset)
                report.add(entry)
                return report
            })
    }

    private init(head block: Inspection.BlockSummary) {
        add(block.header)
        add("file offset", block.location.offset)
        add("raw", bytes: block.header.rawBytes)
        add("stored", bytes: block.location.bytes)
        add("ratio", Double(block.header.rawBytes) / Double(block.location.bytes))
    }

    /// A column without its values.
    ///
    /// - Parameter isInBlock: whether the block's header was shown before it.
    init(_ column: Inspection.Column, isInBlock: Bool = false) {
        if !isInBlock { add(column.header) }
        add("column", column.column)
        add("raw", bytes: column.header.columnBytes)
        add("stored", bytes: column.entry.storedBytes)
        add(column.entry)
        add(column.statistics)
    }

    /// Writes columns of a block with their values, as they are read: one, or all after the block's own header.
    static func writeValues(
        _ inspection: Inspection, generation: Int, block: Int, column: Int?, isJSON: Bool,
        put: @escaping (String) throws -> Void
    ) throws {
        let summary = try inspection.block(block, of: generation)
        let header = summary.header
        let lastToken = min(inspection.store.manifest.tokens, (header.firstPatch + header.patches) * header.columns) - 1
        let keyWidth = max(Report(head: summary).keyWidth, "token \(lastToken)".count)
        let writer = ReportWriter(isJSON: isJSON, keyWidth: keyWidth, put: put)
        func write(_ column: Inspection.Column, isInBlock: Bool) throws {
            try writer.write(Report(column, isInBlock: isInBlock), list: "tokens") { next in
                try column.forEachRow { token, values in
                    try next()
                    try writer.write(Report(token: token, values, header.element), ofList: "tokens")
                }
            }
        }
        if let column {
            try inspection.columns(of: block, of: generation, only: column) { try write($0, isInBlock: false) }
        } else {
            try writer.write(Report(head: summary), list: "columns") { next in
                try inspection.columns(of: block, of: generation) {
                    try next()
                    try write($0, isInBlock: true)
                }
            }
        }
        try writer.finish()
    }

    private init(token: Int, _ values: [Double], _ element: Element) {
        rows.append(Row(key: "token", value: .number(token, shown: "\(token)")))
        add("values", values.map { element == .token ? .number(Int($0), shown: "\(Int($0))") : .real($0) })
    }

    private mutating func add(_ header: PageHeader) {
        add("generation", header.generation)
        add("block", header.block)
        add("first patch", header.firstPatch)
        add("patches", header.patches)
        add("element", header.element.name)
        add("columns (P)", header.columns)
        add("width", header.width)
        add("order", header.isOrdered ? "delegate order: --order shows it" : "natural")
    }

    private mutating func add(_ entry: ColumnEntry) {
        add("planes", entry.planes.map { .number($0, shown: grouped($0)) })
        if entry.planes.count > 1 { add("exponents", entry.isFolded ? "folded" : "a plane") }
        add("checksum", entry.checksum.hexDigits)
    }

    private mutating func add(_ statistics: Inspection.Statistics) {
        add("values", statistics.count)
        add("min", statistics.minimum)
        add("mean", statistics.mean)
        add("max", statistics.maximum)
        add("NaN", statistics.notANumber)
    }
}
