/// A JSON document as a tree that keeps what a reader would lose: the order of fields, fields that occur twice, and the
/// spelling of numbers and strings.
indirect enum JSONTree {
    /// A number, string or word, as written.
    case scalar(String)
    case array([JSONTree])
    case object([(name: String, value: JSONTree)])

    /// Parses a document that is known to be sound; nil for any other.
    init?(_ text: [UInt8]) {
        var parser = Parser(text: text)
        guard let tree = parser.value() else { return nil }
        self = tree
    }

    private struct Parser {
        let text: [UInt8]
        var at = 0

        private mutating func skip() {
            while at < text.count, [0x20, 0x0a, 0x0d, 0x09].contains(text[at]) { at += 1 }
        }

        private mutating func take(_ character: Character) -> Bool {
            skip()
            guard at < text.count, text[at] == character.asciiValue else { return false }
            at += 1
            return true
        }

        private mutating func string() -> String? {
            guard take("\"") else { return nil }
            let start = at
            while at < text.count, text[at] != UInt8(ascii: "\"") { at += text[at] == UInt8(ascii: "\\") ? 2 : 1 }
            guard at < text.count else { return nil }
            at += 1
            return String(decoding: text[start..<at - 1], as: UTF8.self)
        }

        mutating func value() -> JSONTree? {
            if take("{") {
                var fields: [(name: String, value: JSONTree)] = []
                if take("}") { return .object(fields) }
                repeat {
                    guard let name = string(), take(":"), let value = value() else { return nil }
                    fields.append((name, value))
                } while take(",")
                return take("}") ? .object(fields) : nil
            }
            if take("[") {
                var items: [JSONTree] = []
                if take("]") { return .array(items) }
                repeat {
                    guard let item = value() else { return nil }
                    items.append(item)
                } while take(",")
                return take("]") ? .array(items) : nil
            }
            skip()
            if at < text.count, text[at] == UInt8(ascii: "\"") { return string().map { .scalar("\"\($0)\"") } }
            let start = at
            while at < text.count, !",]} \n\r\t".utf8.contains(text[at]) { at += 1 }
            return .scalar(String(decoding: text[start..<at], as: UTF8.self))
        }
    }

    enum Style: CaseIterable {
        case pretty, compact, spread
    }

    func text(_ style: Style, indent: Int = 0) -> String {
        let (between, line, end): (String, String, String)
        switch style {
        case .pretty: (between, line) = (" : ", "\n" + String(repeating: " ", count: 2 * indent + 2))
        case .compact: (between, line) = (":", "")
        case .spread: (between, line) = ("\t:\r\n ", " \t")
        }
        end = style == .pretty ? String(line.dropLast(2)) : line
        switch self {
        case .scalar(let text): return text
        case .array(let items):
            return "[" + items.map { line + $0.text(style, indent: indent + 1) }.joined(separator: ",") + end + "]"
        case .object(let fields):
            let parts = fields.map { "\(line)\"\($0.name)\"\(between)\($0.value.text(style, indent: indent + 1))" }
            return "{" + parts.joined(separator: ",") + end + "}"
        }
    }

    // MARK: Finding and changing

    enum Step: CustomStringConvertible {
        case field(Int, String)
        case item(Int)

        var description: String {
            switch self {
            case .field(_, let name): name
            case .item(let index): "\(index)"
            }
        }
    }

    /// Ways to every value but the whole.
    var paths: [[Step]] {
        let children: [(Step, JSONTree)]
        switch self {
        case .scalar: return []
        case .array(let items): children = items.enumerated().map { (.item($0), $1) }
        case .object(let fields): children = fields.enumerated().map { (.field($0, $1.name), $1.value) }
        }
        return children.flatMap { step, value in [[step]] + value.paths.map { [step] + $0 } }
    }

    subscript(path: ArraySlice<Step>) -> JSONTree? {
        guard let step = path.first else { return self }
        switch (self, step) {
        case (.array(let items), .item(let index)) where index < items.count: return items[index][path.dropFirst()]
        case (.object(let fields), .field(let index, _)) where index < fields.count:
            return fields[index].value[path.dropFirst()]
        default: return nil
        }
    }

    /// The tree with `change` made to what lies at `path`.
    func changed(_ path: ArraySlice<Step>, _ change: (JSONTree) -> JSONTree) -> JSONTree {
        guard let step = path.first else { return change(self) }
        switch (self, step) {
        case (.array(var items), .item(let index)) where index < items.count:
            items[index] = items[index].changed(path.dropFirst(), change)
            return .array(items)
        case (.object(var fields), .field(let index, _)) where index < fields.count:
            fields[index].value = fields[index].value.changed(path.dropFirst(), change)
            return .object(fields)
        default: return self
        }
    }

    /// The value of a field by names, for trees whose shape is known.
    func field(_ name: String) -> JSONTree? {
        guard case .object(let fields) = self else { return nil }
        return fields.first { $0.name == name }?.value
    }

    /// The tree with field `name` of the whole set, in its place or at the end.
    func setting(_ name: String, _ value: JSONTree) -> JSONTree {
        guard case .object(var fields) = self else { return self }
        if let index = fields.firstIndex(where: { $0.name == name }) {
            fields[index].value = value
        } else {
            fields.append((name, value))
        }
        return .object(fields)
    }

    /// Whether some object has a field twice.
    var repeatsField: Bool {
        switch self {
        case .scalar: false
        case .array(let items): items.contains(where: \.repeatsField)
        case .object(let fields):
            Set(fields.map(\.name)).count < fields.count || fields.contains { $0.value.repeatsField }
        }
    }
}

/// A document that was changed.
struct ChangedJSON {
    var text: [UInt8]
    /// What was done.
    var story: [String]
    /// No reader may take it: it is not JSON, or a field occurs twice.
    var mustBeRefused: Bool
    /// Only its spelling changed.
    var meansTheSame: Bool
}

extension JSONTree {
    private static let words = [
        "null", "true", "false", "0", "-0", "-1", "1", "2", "3", "7", "8", "16", "255", "256", "257", "65535",
        "65536", "2147483647",
        "2147483648", "4294967295", "4294967296", "1099511627776", "1099511627777", "4611686018427387904",
        "9223372036854775807",
        "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "18446744073709551615",
        "18446744073709551616",
        "1.0", "1.5", "1e0", "1e3", "1e18", "1e19", "1e308", "1e400", "-1e400", "5e-324", "0.1",
        "\"\"", "\"u16\"", "\"bf16\"", "\"f32\"", "\"BF16\"", "\"F16\"", "\"F32\"", "\"F64\"", "\"I32\"", "\"U8\"",
        "\"last\"", "\"none\"",
        "\"direct\"", "\"fourier\"", "\"states\"", "\"surprisal\"", "\"random\"", "\"generation-0\"",
        "\"generation-1\"",
        "\"generation-2\"", "\"generation-0.1\"", "\"generation-5\"", "\"generation-\"",
        "\"generation-0/../../outside\"",
        "\"../outside\"", "\"/etc\"", "\".\"", "\"..\"", "\"lock\"", "\"manifest.json\"", "\"generation-0\\u0000\"",
        "\"\\ud83d\\ude00\"",
        "\"\\u001b[2J\"", "\"\\n\"", "{}", "[]", "[{}]", "[[]]", "{\"\":\"\"}", "[0]", "[1,2,3]",
    ]
    /// What a reader that is not strict takes.
    private static let notJSON = [
        "01", "+1", "1.", ".5", "0x10", "1e", "NaN", "Infinity", "-", "'a'", "True", "undefined", "1 2", "\"\t\"",
        "\"\\x\"",
        "\"\\u12\"", "[1,]", "{\"a\":1,}", "[,1]", "/**/1", "{a:1}",
    ]

    /// One to three changes.
    ///
    /// - Parameters:
    ///   - others: documents of the same sort, to take parts from.
    ///   - preferred: names of fields that matter more than others; every second change is made to one of them.
    func mutated(_ numbers: inout Numbers, others: [JSONTree], preferred: [String]) -> ChangedJSON {
        var tree = self
        var story: [String] = []
        var isBroken = false
        let style = numbers.pick(Style.allCases)
        if numbers.once(in: 25) {
            return ChangedJSON(
                text: Array(respelled(&numbers).text(style).utf8), story: ["spelled otherwise"],
                mustBeRefused: false,
                meansTheSame: true)
        }
        for _ in 0...numbers.below(3) {
            let paths = tree.paths
            guard !paths.isEmpty else { break }
            let matter = paths.filter { path in path.contains { preferred.contains($0.description) } }
            let path = numbers.once(in: 2) && !matter.isEmpty ? numbers.pick(matter) : numbers.pick(paths)
            let (next, what, breaks) = tree.changedOnce(path, &numbers, others: others)
            tree = next
            isBroken = isBroken || breaks
            story.append("\(path.map(\.description).joined(separator: ".")): \(what)")
        }
        var text = Array(tree.text(style).utf8)
        var mustBeRefused = isBroken || tree.repeatsField
        if numbers.once(in: 12) {
            let (what, breaks) = Self.damage(&text, &numbers)
            story.append(what)
            if let breaks { mustBeRefused = mustBeRefused || breaks } else { mustBeRefused = false }
        }
        return ChangedJSON(text: text, story: story, mustBeRefused: mustBeRefused, meansTheSame: false)
    }

    private func changedOnce(
        _ path: [Step], _ numbers: inout Numbers, others: [JSONTree]
    ) -> (tree: JSONTree, what: String, breaks: Bool) {
        let all = path[...]
        func replaced(_ value: JSONTree, _ what: String, breaks: Bool = false) -> (JSONTree, String, Bool) {
            (changed(all) { _ in value }, what, breaks)
        }
        let turn = numbers.below(20)
        switch turn {
        case 0..<6:
            let word = numbers.pick(Self.words)
            return replaced(.scalar(word), "set to \(word)")
        case 6..<9:
            guard case .scalar(let text)? = self[all] else { break }
            let (changed, what) = Self.near(text, &numbers)
            return replaced(.scalar(changed), what)
        case 9:
            let word = numbers.pick(Self.notJSON)
            return replaced(.scalar(word), "set to \(word), which is not JSON", breaks: true)
        case 10, 11:
            // From another document, or from elsewhere in this one.
            let other = numbers.pick(others + [self])
            if let value = other[all], numbers.once(in: 2) { return replaced(value, "as in another document") }
            let from = numbers.pick(other.paths)
            if let value = other[from[...]] {
                return replaced(value, "what \(from.map(\.description).joined(separator: ".")) is in one")
            }
        case 12:
            let depth = numbers.pick([10, 100, 511, 512, 600, 5000, 100_000])
            let open = numbers.once(in: 2) ? "[" : "{\"a\":"
            let close = open == "[" ? "]" : "}"
            let deep = String(repeating: open, count: depth) + "1" + String(repeating: close, count: depth)
            return replaced(.scalar(deep), "nested \(depth) deep")
        case 13:
            let length = numbers.pick([255, 4096, 100_000])
            let letter = numbers.pick(["a", "\\u0041", "é", "0"])
            return replaced(.scalar("\"\(String(repeating: letter, count: length))\""), "a string of \(length)")
        default: break
        }
        return changedAround(path, &numbers)
    }

    /// Changes of the list or object that the value at `path` is in.
    private func changedAround(_ path: [Step], _ numbers: inout Numbers) -> (
        tree: JSONTree, what: String, breaks: Bool
    ) {
        var what = ""
        let turn = numbers.below(6), place = numbers.below(16), word = numbers.pick(Self.words)
        let tree = changed(path.dropLast()) { parent in
            switch (parent, path[path.count - 1]) {
            case (.object(var fields), .field(let index, let name)):
                let other = place % fields.count
                switch turn {
                case 0, 1:
                    fields.remove(at: index)
                    what = "removed"
                case 2:
                    fields.insert(place % 2 == 0 ? fields[index] : (name, .scalar(word)), at: other)
                    what = "there twice"
                case 3:
                    fields[index].name =
                        ["", name + " ", name.uppercased(), fields[other].name, "x\\u0000", "\\u001b[31m"][
                            place % 6]
                    what = "called '\(fields[index].name)'"
                case 4:
                    (fields[index].value, fields[other].value) = (fields[other].value, fields[index].value)
                    what = "exchanged with \(fields[other].name)"
                default:
                    fields.insert(("unknown", .scalar(word)), at: other)
                    what = "beside an unknown field"
                }
                return .object(fields)
            case (.array(var items), .item(let index)):
                let other = place % items.count
                switch turn {
                case 0, 1:
                    items.remove(at: index)
                    what = "removed"
                case 2:
                    items.insert(items[index], at: other)
                    what = "there twice"
                case 3:
                    items.reverse()
                    what = "in reverse order"
                case 4:
                    items.swapAt(index, other)
                    what = "exchanged with \(other)"
                default:
                    items.insert(.scalar(word), at: other)
                    what = "beside \(word)"
                }
                return .array(items)
            default: return parent
            }
        }
        return (tree, what, false)
    }

    /// A scalar a little off.
    private static func near(_ text: String, _ numbers: inout Numbers) -> (text: String, what: String) {
        if let number = Int(text) {
            let near = Int64(bitPattern: numbers.hostile(near: UInt64(bitPattern: Int64(number))))
            return ("\(near)", "\(number) made \(near)")
        }
        var letters = Array(text.utf8)
        guard text.hasPrefix("\""), letters.count > 2 else { return ("1", "made 1") }
        let at = 1 + numbers.below(letters.count - 2)
        switch numbers.below(3) {
        case 0: letters.remove(at: at)
        case 1: letters.insert(UInt8(ascii: "0"), at: at)
        default: letters[at] = numbers.pick(Array("0123456789abcdefF-./ ".utf8))
        }
        let changed = String(decoding: letters, as: UTF8.self)
        return (changed, "\(text.prefix(40)) made \(changed.prefix(40))")
    }

    /// The same document with some letters of its names and strings written as escapes.
    private func respelled(_ numbers: inout Numbers) -> JSONTree {
        func escaped(_ text: String, _ numbers: inout Numbers) -> String {
            if text.contains("\\") { return text }
            return text.unicodeScalars.map { letter in
                guard letter.isASCII, letter != "\"", numbers.once(in: 4) else { return String(letter) }
                let digits = String(letter.value, radix: 16, uppercase: numbers.once(in: 2))
                return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }.joined()
        }
        switch self {
        case .scalar(let text) where text.hasPrefix("\""): return .scalar(escaped(text, &numbers))
        case .scalar: return self
        case .array(let items): return .array(items.map { $0.respelled(&numbers) })
        case .object(let fields):
            return .object(fields.map { (name: escaped($0.name, &numbers), value: $0.value.respelled(&numbers)) })
        }
    }

    /// Changes bytes of the text itself.
    ///
    /// - Returns: what, and whether no reader may take it any more; nil where nobody knows.
    private static func damage(_ text: inout [UInt8], _ numbers: inout Numbers) -> (what: String, breaks: Bool?) {
        let at = numbers.below(text.count)
        switch numbers.below(9) {
        case 0:
            text.removeLast(1 + numbers.below(text.count))
            return ("cut to \(text.count) bytes", true)
        case 1:
            text += Array(numbers.pick(["}", "x", ",", "{}", "\0"]).utf8)
            return ("something after the end", true)
        case 2:
            text.insert(
                contentsOf: numbers.pick([
                    [0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf8, 0x88, 0x80, 0x80, 0x80],
                ]), at: at)
            return ("not UTF-8 at byte \(at)", true)
        case 3:
            text = [0xef, 0xbb, 0xbf] + text
            return ("a byte order mark", false)
        case 4:
            text[at] ^= 1 << UInt8(numbers.below(8))
            return ("a bit of byte \(at) flipped", nil)
        case 5:
            text = []
            return ("empty", true)
        case 6:
            text = text.flatMap { [$0, 0] }
            return ("UTF-16", true)
        case 7:
            text.insert(contentsOf: Array(repeating: 0x20, count: 1 << 20), at: 0)
            return ("a mebibyte of spaces before it", false)
        default:
            text = numbers.bytes(text.count)
            return ("noise", nil)
        }
    }
}
