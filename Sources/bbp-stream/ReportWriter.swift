/// Writes reports piece by piece, with lists whose objects are made while they are written: memory holds one at a time.
struct ReportWriter {
    /// As one JSON object, else as lines.
    let isJSON: Bool
    /// Of all lines.
    let keyWidth: Int
    private let output: Buffer

    init(isJSON: Bool, keyWidth: Int, put: @escaping (String) throws -> Void) {
        self.isJSON = isJSON
        self.keyWidth = keyWidth
        output = Buffer(put)
    }

    /// Small pieces, put together to large ones.
    private final class Buffer {
        private let put: (String) throws -> Void
        private var held = ""

        init(_ put: @escaping (String) throws -> Void) { self.put = put }

        func add(_ piece: String) throws {
            held += piece
            if held.utf8.count >= 1 << 16 { try flush() }
        }

        func flush() throws {
            if !held.isEmpty { try put(held) }
            held = ""
        }
    }

    /// Writes a report with a list of objects after its rows.
    ///
    /// - Parameter objects: calls `next` before it writes each.
    func write(_ report: Report, list name: String, objects: (_ next: () throws -> Void) throws -> Void) throws {
        // An object and its list, closed once the list is written.
        let opened = "\(report.json.dropLast()), \(Report.quoted(name)): ["
        try output.add(isJSON ? opened : report.text(keyWidth: keyWidth) + "\n")
        var isFirst = true
        try objects {
            if isJSON && !isFirst { try output.add(", ") }
            isFirst = false
        }
        if isJSON { try output.add("]}") }
    }

    /// Writes an object of a list, as text in one line.
    func write(_ object: Report, ofList name: String) throws {
        if isJSON { return try output.add(object.json) }
        var line = Report()
        line.add(name, objects: [object])
        try output.add(line.text(keyWidth: keyWidth) + "\n")
    }

    func finish() throws {
        if isJSON { try output.add("\n") }
        try output.flush()
    }
}
