/// A parsed JSON value, for documents whose unknown fields must be seen.
package enum JSONValue: Sendable {
    case null
    case bool(Bool)
    /// A number without fraction and exponent, within Int64.
    case integer(Int)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)

    /// Parses a document that must be an object, by RFC 8259 to the letter and by two rules more: a name stands once in
    /// its object, and the document keeps to `JSONLimit`.
    ///
    /// - Throws: `Fault` (`badData`) with the byte where it stops to be such a document.
    package static func object(_ bytes: [UInt8], file: String) throws -> JSONObject {
        try bytes.withUnsafeBytes { try object($0, file: file) }
    }

    /// Parses a document of any kind by the same rules.
    package static func document(_ bytes: [UInt8], file: String) throws -> JSONValue {
        try bytes.withUnsafeBytes {
            var parser = JSONParser($0, file: file, origin: 0)
            return try parser.document()
        }
    }

    /// - Parameter origin: where `bytes` begin in the file.
    package static func object(_ bytes: UnsafeRawBufferPointer, file: String, origin: Int = 0) throws -> JSONObject {
        var parser = JSONParser(bytes, file: file, origin: origin)
        guard case .object(let object) = try parser.document() else {
            throw Fault(.badData, "not a JSON object", at: Place(file: file, byteOffset: origin))
        }
        return object
    }
}

/// What a document may hold at most, so that a hostile one takes bounded stack and memory. No honest one comes near.
package enum JSONLimit {
    /// Arrays and objects within one another.
    package static let depth = 64
    /// Values of all kinds, a hundred bytes of memory each or less.
    package static let values = 1 << 22
}

/// The fields of a JSON object in the order of the document.
///
/// Names are compared byte by byte: as Swift strings, names that Unicode calls equivalent would be one.
package struct JSONObject: Sendable {
    package typealias Field = (name: String, value: JSONValue)

    package fileprivate(set) var fields: [Field] = []

    package init() {}

    /// - Parameter fields: of different names.
    package init(_ fields: [Field]) { self.fields = fields }

    package subscript(name: String) -> JSONValue? { fields.first { $0.name.hasSameBytes(as: name) }?.value }

    mutating func removeValue(named name: String) -> JSONValue? {
        fields.firstIndex { $0.name.hasSameBytes(as: name) }.map { fields.remove(at: $0).value }
    }
}

extension String {
    /// Whether both are the same bytes in UTF-8; `==` also holds for texts that Unicode calls equivalent.
    package func hasSameBytes(as other: String) -> Bool {
        utf8.count == other.utf8.count && utf8.elementsEqual(other.utf8)
    }

    /// As much of it as a message takes.
    package var shortened: String {
        let scalars = unicodeScalars.prefix(100)
        return scalars.endIndex == unicodeScalars.endIndex ? self : String(scalars) + "…"
    }
}

/// A name as a member of a set, equal where its bytes are.
private struct Name: Hashable {
    let text: String

    static func == (one: Name, other: Name) -> Bool { one.text.hasSameBytes(as: other.text) }

    func hash(into hasher: inout Hasher) {
        if text.utf8.withContiguousStorageIfAvailable({ hasher.combine(bytes: UnsafeRawBufferPointer($0)) }) == nil {
            for byte in text.utf8 { hasher.combine(byte) }
        }
    }
}

/// Reads a document from front to back, every byte once.
private struct JSONParser {
    private let bytes: UnsafeRawBufferPointer
    private let file: String
    private let origin: Int
    private var position = 0
    private var depth = 0
    private var values = 0

    init(_ bytes: UnsafeRawBufferPointer, file: String, origin: Int) {
        self.bytes = bytes
        self.file = file
        self.origin = origin
    }

    private func fault(_ problem: String, at offset: Int? = nil, field: String? = nil) -> Fault {
        Fault(
            .badData, "not JSON: \(problem)",
            at: Place(file: file, byteOffset: origin + (offset ?? position), field: field))
    }

    /// What stands where `expected` should.
    private func unexpected(_ expected: String) -> Fault {
        guard let byte = next else { return fault("it ends where \(expected) is expected") }
        let shown = (0x21..<0x7f).contains(byte) ? "'\(Character(Unicode.Scalar(byte)))'" : "a byte of value \(byte)"
        return fault("\(shown) stands where \(expected) is expected")
    }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard next == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { position += 1 }
    }

    mutating func document() throws -> JSONValue {
        if bytes.starts(with: [0xef, 0xbb, 0xbf]) { throw fault("it begins with a byte order mark") }
        // Once for all: what is valid as a whole is valid string by string.
        do { _ = try UTF8Span(validating: bytes.bindMemory(to: UInt8.self).span) } catch {
            throw fault("the text is not UTF-8", at: error.byteOffsets.lowerBound)
        }
        let value = try value()
        skipSpace()
        if position < bytes.count { throw unexpected("the end") }
        return value
    }

    private mutating func value() throws -> JSONValue {
        skipSpace()
        values += 1
        if values > JSONLimit.values { throw fault("more than \(JSONLimit.values) values") }
        guard let byte = next else { throw unexpected("a value") }
        switch Unicode.Scalar(byte) {
        case "{": return .object(try nested { try $0.object() })
        case "[": return .array(try nested { try $0.array() })
        case "\"": return .string(try string())
        case "-", "0"..."9": return try number()
        case "t": return try word("true", .bool(true))
        case "f": return try word("false", .bool(false))
        case "n": return try word("null", .null)
        default: throw unexpected("a value")
        }
    }

    private mutating func word(_ text: StaticString, _ value: JSONValue) throws -> JSONValue {
        let expected = UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        guard bytes[position...].starts(with: expected) else { throw unexpected("a value") }
        position += expected.count
        return value
    }

    /// Goes one level down, past the bracket.
    private mutating func nested<Value>(_ body: (inout JSONParser) throws -> Value) throws -> Value {
        if depth == JSONLimit.depth { throw fault("more than \(JSONLimit.depth) levels within one another") }
        depth += 1
        position += 1
        skipSpace()
        defer { depth -= 1 }
        return try body(&self)
    }

    private mutating func array() throws -> [JSONValue] {
        var items: [JSONValue] = []
        if take("]") { return items }
        while true {
            items.append(try value())
            skipSpace()
            if take("]") { return items }
            if !take(",") { throw unexpected("',' or ']'") }
        }
    }

    private mutating func object() throws -> JSONObject {
        var object = JSONObject()
        var names: Set<Name> = []
        if take("}") { return object }
        while true {
            skipSpace()
            let start = position
            guard next == UInt8(ascii: "\"") else { throw unexpected("a name in quotes") }
            let name = try string()
            guard names.insert(Name(text: name)).inserted else {
                throw fault("the name stands twice in one object", at: start, field: name.shortened)
            }
            skipSpace()
            if !take(":") { throw unexpected("':'") }
            object.fields.append((name, try value()))
            skipSpace()
            if take("}") { return object }
            if !take(",") { throw unexpected("',' or '}'") }
        }
    }

    private mutating func string() throws -> String {
        let opening = position
        position += 1
        // Text before `start`, its escapes resolved.
        var resolved: [UInt8] = []
        var start = position
        func run(to end: Int) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: bytes[start..<end]) }
        while let byte = next {
            switch byte {
            case UInt8(ascii: "\""):
                let last = run(to: position)
                position += 1
                if resolved.isEmpty { return String(decoding: last, as: UTF8.self) }
                resolved += last
                return String(decoding: resolved, as: UTF8.self)
            case UInt8(ascii: "\\"):
                resolved += run(to: position)
                resolved += try escaped().utf8
                start = position
            case 0..<0x20: throw fault("a control character stands in a string")
            default: position += 1
            }
        }
        throw fault("a string has no end", at: opening)
    }

    /// The scalar that an escape sequence stands for.
    private mutating func escaped() throws -> Unicode.Scalar {
        let start = position
        position += 1
        let letter = next.map { Unicode.Scalar($0) }
        position += 1
        switch letter {
        case "\"", "\\", "/": return letter ?? "/"
        case "b": return "\u{8}"
        case "f": return "\u{c}"
        case "n": return "\n"
        case "r": return "\r"
        case "t": return "\t"
        case "u":
            let first = try hexadecimal(start)
            if let scalar = Unicode.Scalar(first) { return scalar }
            // A surrogate: the first of a pair, or nothing.
            guard first < 0xdc00, take("\\"), take("u") else { break }
            let second = try hexadecimal(start)
            guard (0xdc00...0xdfff).contains(second) else { break }
            if let scalar = Unicode.Scalar(0x10000 + (first - 0xd800) << 10 + (second - 0xdc00)) { return scalar }
        default: throw fault("an escape sequence that there is not", at: start)
        }
        throw fault("half of a surrogate pair", at: start)
    }

    private mutating func hexadecimal(_ start: Int) throws -> UInt32 {
        var number: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = next.flatMap({ Character(Unicode.Scalar($0)).hexDigitValue }) else {
                throw fault("four hexadecimal digits must follow \\u", at: start)
            }
            number = number << 4 + UInt32(digit)
            position += 1
        }
        return number
    }

    private mutating func number() throws -> JSONValue {
        let start = position
        var isInteger = true
        _ = take("-")
        if take("0") {
            if let byte = next, Self.isDigit(byte) { throw fault("a number begins with 0", at: start) }
        } else {
            try digits()
        }
        if take(".") {
            isInteger = false
            try digits()
        }
        if take("e") || take("E") {
            isInteger = false
            if !take("-") { _ = take("+") }
            try digits()
        }
        let text = String(decoding: UnsafeRawBufferPointer(rebasing: bytes[start..<position]), as: UTF8.self)
        if isInteger, let integer = Int(text) { return .integer(integer) }
        guard let number = Double(text), number.isFinite else { throw fault("a number beyond all bounds", at: start) }
        return .number(number)
    }

    private mutating func digits() throws {
        guard let byte = next, Self.isDigit(byte) else { throw unexpected("a digit") }
        while let byte = next, Self.isDigit(byte) { position += 1 }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
}

/// The fields of a JSON object, taken one by one; what is left over is unknown.
package struct JSONFields {
    private var object: JSONObject
    /// Names that were asked for.
    private var known: [String] = []
    private let file: String
    private let prefix: String

    package init(_ object: JSONObject, file: String, prefix: String = "") {
        self.object = object
        self.file = file
        self.prefix = prefix
    }

    package func fault(_ name: String, _ problem: String) -> Fault {
        Fault(.badData, problem, at: Place(file: file, field: prefix + name.shortened))
    }

    package mutating func take(_ name: String) -> JSONValue? {
        known.append(name)
        return object.removeValue(named: name)
    }

    /// An integer within `range`; `fallback` where the field is absent, an error where there is none.
    package mutating func integer(
        _ name: String, in range: ClosedRange<Int> = .min ... .max, default fallback: Int? = nil
    ) throws -> Int {
        guard let value = take(name) ?? fallback.map(JSONValue.integer) else {
            throw fault(name, "the field is missing")
        }
        guard case .integer(let number) = value else { throw fault(name, "must be an integer") }
        guard range.contains(number) else {
            throw fault(name, "is \(number); must be \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    package mutating func number(_ name: String, in range: ClosedRange<Double>, default fallback: Double) throws
        -> Double
    {
        let number: Double
        switch take(name) {
        case nil: number = fallback
        case .number(let value): number = value
        case .integer(let value): number = Double(value)
        default: throw fault(name, "must be a number")
        }
        guard range.contains(number) else {
            throw fault(name, "is \(number); must be \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    package mutating func string(_ name: String, among choices: [String], default fallback: String? = nil) throws
        -> String
    {
        guard let value = take(name) ?? fallback.map(JSONValue.string) else {
            throw fault(name, "the field is missing")
        }
        guard case .string(let text) = value else { throw fault(name, "must be a string") }
        guard choices.contains(where: text.hasSameBytes) else {
            throw fault(name, "is '\(text.shortened)'; must be one of \(choices.joined(separator: ", "))")
        }
        return text
    }

    /// One of the choices that `Choice` names.
    package mutating func choice<Choice: RawRepresentable & CaseIterable>(_ name: String, default fallback: Choice)
        throws -> Choice where Choice.RawValue == String
    {
        Choice(rawValue: try string(name, among: Choice.allCases.map(\.rawValue), default: fallback.rawValue))
            ?? fallback
    }

    package mutating func bool(_ name: String, default fallback: Bool) throws -> Bool {
        switch take(name) {
        case nil: return fallback
        case .bool(let value): return value
        default: throw fault(name, "must be true or false")
        }
    }

    /// The fields of an object within; nil where it is absent or null.
    package mutating func object(_ name: String) throws -> JSONFields? {
        switch take(name) {
        case nil, .null: return nil
        case .object(let inner): return JSONFields(inner, file: file, prefix: "\(prefix)\(name).")
        default: throw fault(name, "must be an object")
        }
    }

    /// Whether there is a field of this name that nobody took.
    package func has(_ name: String) -> Bool { object[name] != nil }

    /// Leaves out a field that says nothing where it is one of `values`; else it counts as unknown.
    package mutating func drop(_ name: String, where values: [String]) {
        if case .string(let text)? = object[name],
            values.contains(where: text.hasSameBytes)
        {
            _ = object.removeValue(named: name)
        }
    }

    /// Fails on the first field nobody took.
    package func finish() throws {
        guard let name = object.fields.first?.name else { return }
        let known = known.filter { $0 != "kind" }.joined(separator: ", ")
        throw fault(
            name,
            "unknown field; "
                + (meant(by: name).map { "did you mean '\($0)'?" }
                    ?? (known.isEmpty ? "there must be none" : "there are \(known)")))
    }

    /// The name that was asked for and that `name` looks like misspelt.
    private func meant(by name: String) -> String? { known.first(where: name.looksLike) }

    /// Names of the fields that nobody took and that may be ignored, once every known field was asked for. Fields that
    /// are null say nothing and are not named.
    ///
    /// - Parameter refused: whether a field of this name must not be ignored.
    /// - Throws: `Fault` for a name that looks like a known one misspelt, and for a refused one.
    package func rest(refusing refused: (String) -> Bool) throws -> [String] {
        try object.fields.compactMap { name, value in
            if case .null = value { return nil }
            if let meant = meant(by: name) { throw fault(name, "unknown field; did you mean '\(meant)'?") }
            if refused(name) {
                throw fault(name, "unknown field, which changes what is computed in models that have it")
            }
            return name
        }
    }
}

extension String {
    /// Lower case, without hyphens and underscores.
    package var plainLetters: String { String(lowercased().filter { $0 != "-" && $0 != "_" }) }

    /// Whether it may be `name` misspelt: two letters at most added, left out or changed, or other case and hyphens.
    fileprivate func looksLike(_ name: String) -> Bool {
        // Long names are no misspelling, and their distance takes long to find.
        guard utf8.count <= 2 * name.utf8.count else { return false }
        // Two letters make another word of a short one.
        return plainLetters == name.plainLetters || editDistance(to: name) <= Swift.min(2, name.utf8.count / 3)
    }

    /// Bytes to add, leave out or change to make `other` of it.
    private func editDistance(to other: String) -> Int {
        let others = Array(other.utf8)
        var row = Array(0...others.count)
        for (index, byte) in utf8.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for (column, candidate) in others.enumerated() {
                let changed = diagonal + (byte == candidate ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = Swift.min(changed, diagonal + 1, row[column] + 1)
            }
        }
        return row[others.count]
    }
}
