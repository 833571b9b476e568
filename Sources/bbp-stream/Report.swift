import Support

/// Keys and values in order, shown as aligned lines or as one JSON object.
struct Report {
    enum Value {
        case text(String)
        case flag(Bool)
        /// A number, and how people read it.
        case number(Int, shown: String)
        case real(Double)
        case list([Value])
        /// A list of objects. As text a line each, under its first key and value; or each with lines of its own.
        case objects([Report], hasLinesOfTheirOwn: Bool)
    }

    // No tuple: the compiler finds a circle in that, unless it compiles all files at once.
    struct Row {
        var key: String
        var value: Value
    }

    var rows: [Row] = []

    mutating func add(_ key: String, value: Value) { rows.append(Row(key: key, value: value)) }
    mutating func add(_ key: String, _ text: String) { add(key, value: .text(text)) }
    mutating func add(_ key: String, _ flag: Bool) { add(key, value: .flag(flag)) }
    mutating func add(_ key: String, _ number: Int) { add(key, value: .number(number, shown: grouped(number))) }
    mutating func add(_ key: String, bytes: Int) { add(key, value: .number(bytes, shown: exactBytes(bytes))) }
    mutating func add(_ key: String, _ real: Double) { add(key, value: .real(real)) }
    mutating func add(_ key: String, _ list: [Value]) { add(key, value: .list(list)) }
    mutating func add(_ key: String, objects: [Report], hasLinesOfTheirOwn: Bool = false) {
        add(key, value: .objects(objects, hasLinesOfTheirOwn: hasLinesOfTheirOwn))
    }

    // MARK: Text

    var text: String { Console.aligned(lines) }

    /// Prints it for people, or as one JSON object.
    func print(asJSON isJSON: Bool) throws { try isJSON ? Console.print(json: json) : Console.print(text) }

    /// Its lines, their keys as wide as those of others beside it.
    func text(keyWidth: Int) -> String { Console.aligned(lines, width: keyWidth) }

    var keyWidth: Int { lines.map(\.key.count).max() ?? 0 }

    private var lines: [(key: String, value: String)] {
        rows.flatMap { row -> [(key: String, value: String)] in
            guard case .objects(let objects, let hasLinesOfTheirOwn) = row.value else {
                return [(row.key, Self.shown(row.value))]
            }
            if hasLinesOfTheirOwn { return objects.flatMap(\.lines) }
            return objects.compactMap { object in
                guard let first = object.rows.first else { return nil }
                let rest = object.rows.dropFirst()
                let value =
                    rest.count == 1
                    ? rest.map { Self.shown($0.value) } : rest.map { "\($0.key) \(Self.shown($0.value))" }
                return ("\(first.key) \(Self.shown(first.value))", value.joined(separator: ", "))
            }
        }
    }

    private static func shown(_ value: Value) -> String {
        switch value {
        case .text(let text): text.escaped
        case .flag(let value): value ? "yes" : "no"
        case .number(_, let shown): shown
        case .real(let value): "\(Float(value))"
        case .list(let values): values.map(shown).joined(separator: " ")
        case .objects(let objects, _): objects.map(\.text).joined(separator: "; ")
        }
    }

    // MARK: JSON

    /// Keys in snake case, symbols in brackets left out.
    var json: String {
        "{" + rows.map { "\(Self.quoted(Self.name($0.key))): \(Self.encoded($0.value))" }.joined(separator: ", ") + "}"
    }

    private static func encoded(_ value: Value) -> String {
        switch value {
        case .text(let text): quoted(text)
        case .flag(let value): "\(value)"
        case .number(let number, _): "\(number)"
        case .real(let value): value.isFinite ? "\(value)" : "null"
        case .list(let values): "[" + values.map(encoded).joined(separator: ", ") + "]"
        case .objects(let objects, _): "[" + objects.map(\.json).joined(separator: ", ") + "]"
        }
    }

    private static func name(_ key: String) -> String {
        (key.split(separator: "(").first.map(String.init) ?? key).lowercased().split(separator: " ").joined(
            separator: "_")
    }

    static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": result += "\\\(scalar)"
            case "\n": result += "\\n"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return (result + "\"").escapedInJSON
    }
}
