import ArgumentParser
import Geometry
import PageStore
import StreamEngine
import Support

struct DumpCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dump", abstract: "Look into a store: the store, a generation, a block, a column, its values.")

    @Option(help: ArgumentHelp("The store.", valueName: "dir")) var store: String
    @Option(help: ArgumentHelp("0 for the tokens, l for the states after layer l.", valueName: "l")) var generation: Int?
    @Option(help: ArgumentHelp("A block of the generation.", valueName: "b")) var block: Int?
    @Option(help: ArgumentHelp("A column of the block: token index j of every patch.", valueName: "j")) var column: Int?
    @Flag(help: "The values themselves: of a column, or of every column of a block.") var values = false
    @Flag(help: "One JSON object instead of lines.") var json = false

    func validate() throws {
        if block != nil && generation == nil { throw ValidationError("--block needs --generation.") }
        if column != nil && block == nil { throw ValidationError("--column needs --block.") }
        if values && block == nil { throw ValidationError("--values needs --block, and --column for one column.") }
    }

    func run() throws {
        let inspection = try Inspection(store: store)
        var report = DumpReport()
        switch (generation, block, column) {
        case (let generation?, let block?, let column?): try report.add(inspection.column(column, block: block, of: generation), column: column, values: values)
        case (let generation?, let block?, nil):
            let summary = try inspection.block(block, of: generation)
            report.add(summary)
            if values { for column in summary.columns.indices { try report.add(inspection.column(column, block: block, of: generation), column: column, values: true) } }
        case (let generation?, nil, _): for table in try inspection.generation(generation) { report.add(table) }
        default: report.add(inspection.store)
        }
        try Console.print(json ? report.json : report.text)
    }
}

/// What a dump prints: keys and values, as aligned lines or as one JSON object.
struct DumpReport {
    private indirect enum Value {
        case text(String)
        case number(Int, String)
        case real(Double)
        case list([Value])
        case object([(String, Value)])
    }
    private var rows: [(String, Value)] = []

    mutating func add(_ store: Store) {
        let manifest = store.manifest
        rows += [
            ("store", .text(store.directory)),
            ("format", .text("\(manifest.format), version \(manifest.version)")),
            ("name", .text(manifest.store)),
            ("tokens", .number(manifest.tokens, grouped(manifest.tokens))),
            ("patch size (P)", .number(manifest.patchSize, "\(manifest.patchSize)")),
            ("patches (G)", .number(store.geometry()?.patches ?? 0, grouped(store.geometry()?.patches ?? 0))),
            ("tokens fingerprint", .text(manifest.tokensFingerprint)),
        ]
        if let run = manifest.run {
            rows += [
                ("model", .text(run.modelFingerprint)),
                ("weights", .text(run.trained ? "training not stated" : "untrained")),
                ("layers", .number(run.layers, "\(run.layers)")),
                ("hidden size (D)", .number(run.hiddenSize, "\(run.hiddenSize)")),
                ("state", .text(run.state)),
                ("patches per block (T)", .number(run.patchesPerBlock, grouped(run.patchesPerBlock))),
                ("keep", .text(run.keep)),
                ("run", .text(run.complete ? "complete" : "not complete: forward goes on with it")),
            ]
        }
        for record in manifest.generations {
            let bytes = File.size("\(store.directory)/\(record.directory)/data.mdb") ?? 0
            let state = record.complete ? record.tables.joined(separator: " and ") : "being computed"
            rows.append(("generation \(record.index)", .text("\(record.element), width \(record.width), T \(grouped(record.patchesPerBlock)), \(state), file of \(exactBytes(bytes))")))
        }
        let shown = manifest.documents.prefix(20)
        for (index, document) in shown.enumerated() {
            rows.append(("document \(index)", .text("\(document.name): \(grouped(document.tokens)) tokens from \(grouped(document.firstToken))")))
        }
        if manifest.documents.count > shown.count { rows.append(("documents", .text("\(grouped(manifest.documents.count)) in all; manifest.json lists them"))) }
    }

    mutating func add(_ generation: Inspection.GenerationSummary) {
        rows += [
            ("generation", .number(generation.record.index, "\(generation.record.index)")),
            ("table", .text(generation.table.rawValue)),
            ("element", .text(generation.table == .surprisal ? "f32" : generation.record.element)),
            ("blocks", .number(generation.blocks, grouped(generation.blocks))),
            ("patches per block (T)", .number(generation.record.patchesPerBlock, grouped(generation.record.patchesPerBlock))),
            ("columns (P)", .number(generation.columns, "\(generation.columns)")),
            ("width", .number(generation.table == .surprisal ? 1 : generation.record.width, "\(generation.table == .surprisal ? 1 : generation.record.width)")),
            ("raw", .number(generation.rawBytes, exactBytes(generation.rawBytes))),
            ("stored", .number(generation.storedBytes, exactBytes(generation.storedBytes))),
            ("ratio", .real(Double(generation.rawBytes) / Double(max(1, generation.storedBytes)))),
            ("file", .number(generation.fileBytes, exactBytes(generation.fileBytes))),
        ]
        if let model = generation.record.modelFingerprint { rows.append(("model", .text(model))) }
        add(generation.statistics)
    }

    private mutating func add(_ statistics: Inspection.Statistics) {
        rows += [
            ("values", .number(statistics.count, grouped(statistics.count))),
            ("min", .real(statistics.minimum)),
            ("mean", .real(statistics.mean)),
            ("max", .real(statistics.maximum)),
            ("NaN", .number(statistics.notANumber, grouped(statistics.notANumber))),
        ]
    }

    private mutating func add(_ header: PageHeader) {
        rows += [
            ("generation", .number(header.generation, "\(header.generation)")),
            ("block", .number(header.block, grouped(header.block))),
            ("patches", .text("\(grouped(header.firstPatch)) to \(grouped(header.firstPatch + header.patches - 1))")),
            ("element", .text(header.element.name)),
            ("columns (P)", .number(header.columns, "\(header.columns)")),
            ("width", .number(header.width, "\(header.width)")),
        ]
    }

    mutating func add(_ block: Inspection.BlockSummary) {
        add(block.header)
        rows += [
            ("file offset", .number(block.location.offset, grouped(block.location.offset))),
            ("raw", .number(block.header.rawBytes, exactBytes(block.header.rawBytes))),
            ("stored", .number(block.location.bytes, exactBytes(block.location.bytes))),
            ("ratio", .real(Double(block.header.rawBytes) / Double(block.location.bytes))),
        ]
        for (index, entry) in block.columns.enumerated() {
            rows.append(("column \(index)", .text("offset \(grouped(entry.offset)), planes \(entry.planes.map(grouped).joined(separator: " + ")) of \(grouped(block.header.columnValues)) each, checksum \(hexadecimal(entry.checksum))")))
        }
    }

    mutating func add(_ summary: Inspection.ColumnSummary, column: Int, values: Bool) {
        if !values || rows.isEmpty { add(summary.header) }
        rows += [
            ("column", .number(column, "\(column)")),
            ("raw", .number(summary.header.columnBytes, exactBytes(summary.header.columnBytes))),
            ("stored", .number(summary.entry.storedBytes, exactBytes(summary.entry.storedBytes))),
            ("planes", .text(summary.entry.planes.map(grouped).joined(separator: " + "))),
            ("checksum", .text(hexadecimal(summary.entry.checksum))),
        ]
        add(summary.statistics)
        guard values else { return }
        for (row, numbers) in summary.rows.enumerated() {
            let token = (summary.header.firstPatch + row) * summary.header.columns + column
            rows.append(("token \(token)", .list(numbers.map { summary.header.element == .token ? .number(Int($0), "\(Int($0))") : .real($0) })))
        }
    }

    private func hexadecimal(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    var text: String {
        func text(_ value: Value) -> String {
            switch value {
            case .text(let text): text
            case .number(_, let text): text
            case .real(let value): "\(Float(value))"
            case .list(let values): values.map(text).joined(separator: " ")
            case .object(let rows): Console.aligned(rows.map { ($0.0, text($0.1)) })
            }
        }
        return Console.aligned(rows.map { (key: $0.0, value: text($0.1)) })
    }

    /// Keys as in the text, in snake case; where one comes again (tables of a generation), they become a list of objects.
    var json: String {
        func quoted(_ text: String) -> String {
            var result = "\""
            for scalar in text.unicodeScalars {
                switch scalar {
                case "\"", "\\": result += "\\\(scalar)"
                case _ where scalar.value < 0x20: result += "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
                default: result.unicodeScalars.append(scalar)
                }
            }
            return result + "\""
        }
        func encode(_ value: Value) -> String {
            switch value {
            case .text(let text): quoted(text)
            case .number(let number, _): "\(number)"
            case .real(let value): value.isFinite ? "\(value)" : "null"
            case .list(let values): "[" + values.map(encode).joined(separator: ", ") + "]"
            case .object(let rows): "{" + rows.map { quoted(key($0.0)) + ": " + encode($0.1) }.joined(separator: ", ") + "}"
            }
        }
        func key(_ text: String) -> String {
            let plain = text.split(separator: "(").first.map(String.init) ?? text
            return plain.lowercased().split(separator: " ").joined(separator: "_")
        }
        var objects: [[(String, Value)]] = [[]]
        for row in rows {
            if objects[objects.count - 1].contains(where: { $0.0 == row.0 }) { objects.append([]) }
            objects[objects.count - 1].append(row)
        }
        return objects.count == 1 ? encode(.object(objects[0])) : "{\"parts\": " + encode(.list(objects.map(Value.object))) + "}"
    }
}
