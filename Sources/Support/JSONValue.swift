import FoundationEssentials

/// A parsed JSON value, for documents whose unknown fields must be seen.
public enum JSONValue: Decodable, Sendable, Equatable {
    case null
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Int.self) {
            self = .integer(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode([JSONValue].self) {
            self = .array(value)
        } else {
            self = .object(try container.decode([String: JSONValue].self))
        }
    }

    /// Parses a document that must be an object.
    public static func object(_ bytes: [UInt8], file: String) throws -> [String: JSONValue] {
        guard case .object(let fields)? = try? JSONDecoder().decode(JSONValue.self, from: Data(bytes)) else {
            throw Fault(.badData, "not a JSON object", at: Place(file: file))
        }
        return fields
    }
}

/// The fields of a JSON object, taken one by one; what is left over is unknown.
public struct JSONFields {
    private var fields: [String: JSONValue]
    private let file: String
    private let prefix: String

    public init(_ fields: [String: JSONValue], file: String, prefix: String = "") {
        self.fields = fields
        self.file = file
        self.prefix = prefix
    }

    public func fault(_ name: String, _ problem: String) -> Fault {
        Fault(.badData, problem, at: Place(file: file, field: prefix + name))
    }

    public mutating func take(_ name: String) -> JSONValue? { fields.removeValue(forKey: name) }

    /// An integer within `range`; `fallback` where the field is absent, an error where there is none.
    public mutating func integer(_ name: String, in range: ClosedRange<Int>, default fallback: Int? = nil) throws -> Int {
        guard let value = take(name) ?? fallback.map(JSONValue.integer) else { throw fault(name, "the field is missing") }
        guard case .integer(let number) = value else { throw fault(name, "must be an integer") }
        guard range.contains(number) else { throw fault(name, "is \(number); must be \(range.lowerBound) to \(range.upperBound)") }
        return number
    }

    public mutating func number(_ name: String, in range: ClosedRange<Double>, default fallback: Double) throws -> Double {
        let number: Double
        switch take(name) {
        case nil: number = fallback
        case .number(let value): number = value
        case .integer(let value): number = Double(value)
        default: throw fault(name, "must be a number")
        }
        guard range.contains(number) else { throw fault(name, "is \(number); must be \(range.lowerBound) to \(range.upperBound)") }
        return number
    }

    public mutating func string(_ name: String, among choices: [String], default fallback: String? = nil) throws -> String {
        guard let value = take(name) ?? fallback.map(JSONValue.string) else { throw fault(name, "the field is missing") }
        guard case .string(let text) = value else { throw fault(name, "must be a string") }
        guard choices.contains(text) else { throw fault(name, "is '\(text)'; must be one of \(choices.joined(separator: ", "))") }
        return text
    }

    /// One of the choices that `Choice` names.
    public mutating func choice<Choice: RawRepresentable & CaseIterable>(_ name: String, default fallback: Choice) throws -> Choice where Choice.RawValue == String {
        Choice(rawValue: try string(name, among: Choice.allCases.map(\.rawValue), default: fallback.rawValue)) ?? fallback
    }

    public mutating func bool(_ name: String, default fallback: Bool) throws -> Bool {
        switch take(name) {
        case nil: return fallback
        case .bool(let value): return value
        default: throw fault(name, "must be true or false")
        }
    }

    /// Fails on the first field nobody took.
    public func finish() throws {
        if let name = fields.keys.sorted().first { throw fault(name, "unknown field") }
    }
}
