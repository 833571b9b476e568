import Support
import Testing

/// The JSON parser by itself: what it takes, what it refuses and where, and that it takes its time by the byte.
struct JSONTests {
    /// A value in one spelling, to compare by.
    private func text(_ value: JSONValue) -> String {
        switch value {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .integer(let value): "\(value)"
        case .number(let value): "number \(value)"
        case .string(let value): "'" + value.unicodeScalars.map(shown).joined() + "'"
        case .array(let items): "[" + items.map(text).joined(separator: " ") + "]"
        case .object(let object):
            "{" + object.fields.map { "\(text(.string($0.name)))=\(text($0.value))" }.joined(separator: " ") + "}"
        }
    }

    private func shown(_ scalar: Unicode.Scalar) -> String {
        (0x20..<0x7f).contains(scalar.value) ? String(scalar) : "<\(String(scalar.value, radix: 16))>"
    }

    /// A document with as many `item`s in the middle.
    private func document(_ before: String, _ item: String, count: Int, _ after: String) -> [UInt8] {
        Array(before.utf8) + repeatElement(Array(item.utf8), count: count).joined() + after.utf8
    }

    private func parse(_ bytes: some Sequence<UInt8>) throws -> JSONObject {
        try JSONValue.object(Array(bytes), file: "file")
    }

    /// The fault that a document is refused with.
    private func refusal(_ bytes: some Sequence<UInt8>) throws -> Fault {
        let fault = try #require(throws: Fault.self) { try parse(bytes) }
        #expect(fault.kind == .badData && fault.place.file == "file")
        return fault
    }

    @Test(
        "Documents that are JSON",
        arguments: [
            ("{}", "{}"), (" \t\r\n{ \t\r\n} \t\r\n", "{}"), (#"{"a":1}"#, "{'a'=1}"),
            (#"{"b" : true , "a" : false, "": null}"#, "{'b'=true 'a'=false ''=null}"),
            (#"{"a":[]}"#, "{'a'=[]}"), (#"{"a":[[],{},[ ],{ }]}"#, "{'a'=[[] {} [] {}]}"),
            (#"{"a":[1,"x",[null]]}"#, "{'a'=[1 'x' [null]]}"),
            (#"{"a":{"a":{"a":0}}}"#, "{'a'={'a'={'a'=0}}}"),
            // Numbers.
            (#"{"a":[0,-0,10,-1]}"#, "{'a'=[0 0 10 -1]}"),
            (#"{"a":[9223372036854775807,-9223372036854775808]}"#, "{'a'=[9223372036854775807 -9223372036854775808]}"),
            (#"{"a":[9223372036854775808,1e300]}"#, "{'a'=[number 9.223372036854776e+18 number 1e+300]}"),
            (#"{"a":[0.5,-0.0,1E2,1e+2]}"#, "{'a'=[number 0.5 number -0.0 number 100.0 number 100.0]}"),
            (#"{"a":[1e-2,1.25e2]}"#, "{'a'=[number 0.01 number 125.0]}"),
            (#"{"a":[1e-400,0e999,123.0]}"#, "{'a'=[number 0.0 number 0.0 number 123.0]}"),
            // Strings.
            (#"{"a":"\"\\\/\b\f\n\r\t"}"#, #"{'a'='"\/<8><c><a><d><9>'}"#),
            (#"{"a":"\u0041\u00e9\u20AC\ud83d\ude00"}"#, "{'a'='A<e9><20ac><1f600>'}"),
            (#"{"a":"\u0000\uFFFF"}"#, "{'a'='<0><ffff>'}"), (#"{"\u0061":"x\u0079z"}"#, "{'a'='xyz'}"),
            ("{\"a\":\"é€😀\u{7f}\u{feff}\"}", "{'a'='<e9><20ac><1f600><7f><feff>'}"),
            (#"{"a":"/* no comment */ // [1,]"}"#, "{'a'='/* no comment */ // [1,]'}"),
            // Equivalent for Unicode, but not the same name.
            ("{\"é\":1,\"e\u{301}\":2}", "{'<e9>'=1 'e<301>'=2}"), ("{\"K\":1,\"\u{212a}\":2}", "{'K'=1 '<212a>'=2}"),
        ])
    func accepted(document: String, value: String) throws {
        #expect(text(.object(try parse(document.utf8))) == value)
    }

    /// Documents that are none, where that is seen, and a word of what is said.
    static let refusals: [(document: String, offset: Int, word: String)] = [
        ("", 0, "ends"), ("   ", 3, "ends"), ("{", 1, "ends"), (#"{"a""#, 4, "':'"), (#"{"a":"#, 5, "a value"),
        (#"{"a":1"#, 6, "'}'"), (#"{"a":1,"#, 7, "name"), (#"{"a":["#, 6, "a value"), (#"{"a":[1"#, 7, "']'"),
        // Another kind of document.
        ("[1]", 0, "not a JSON object"), ("null", 0, "not a JSON object"), ("\"a\"", 0, "not a JSON object"),
        ("1", 0, "not a JSON object"),
        // What follows the document.
        ("{}{}", 2, "the end"), ("{} x", 3, "the end"), ("{}\u{0}", 2, "value 0"), ("{},", 2, "the end"),
        ("{}}", 2, "the end"), ("{}//", 2, "the end"),
        // Commas, colons, quotes.
        (#"{"a":1,}"#, 7, "name"), (#"{,}"#, 1, "name"), (#"{"a":1,,"b":1}"#, 7, "name"),
        (#"{"a":[1,]}"#, 8, "a value"), (#"{"a":[,1]}"#, 6, "a value"), (#"{"a":[1 2]}"#, 8, "','"),
        (#"{"a":1 "b":2}"#, 7, "','"),
        (#"{"a" 1}"#, 5, "':'"), (#"{"a"::1}"#, 5, "a value"), (#"{a:1}"#, 1, "name"), ("{'a':1}", 1, "name"),
        (#"{1:1}"#, 1, "name"), (#"{"a":'b'}"#, 5, "a value"), (#"{null:1}"#, 1, "name"), (#"{"a"}"#, 4, "':'"),
        (#"{"a":[1}"#, 7, "']'"), (#"{"a":1]"#, 6, "'}'"), (#"{"a":]}"#, 5, "a value"), (#"["a":1]"#, 4, "']'"),
        // Comments and other spaces.
        (#"{/**/"a":1}"#, 1, "name"), ("{//\n}", 1, "name"), ("{#\n}", 1, "name"), ("{\u{b}}", 1, "value 11"),
        ("{\u{a0}}", 1, "value 194"), ("\u{feff}{}", 0, "byte order mark"),
        // Words.
        (#"{"a":True}"#, 5, "'T'"), (#"{"a":tru}"#, 5, "a value"), (#"{"a":nul"#, 5, "a value"),
        (#"{"a":nullx}"#, 9, "'x'"), (#"{"a":NaN}"#, 5, "'N'"), (#"{"a":Infinity}"#, 5, "'I'"),
        (#"{"a":-Infinity}"#, 6, "digit"), (#"{"a":undefined}"#, 5, "'u'"),
        // Numbers.
        (#"{"a":01}"#, 5, "begins with 0"), (#"{"a":-01}"#, 5, "begins with 0"), (#"{"a":+1}"#, 5, "'+'"),
        (#"{"a":.5}"#, 5, "'.'"), (#"{"a":1.}"#, 7, "digit"), (#"{"a":1.e1}"#, 7, "digit"),
        (#"{"a":1e}"#, 7, "digit"), (#"{"a":1e+}"#, 8, "digit"),
        (#"{"a":-}"#, 6, "digit"), (#"{"a":--1}"#, 6, "digit"), (#"{"a":0x1}"#, 6, "'x'"),
        (#"{"a":1_000}"#, 6, "'_'"), (#"{"a":1e999}"#, 5, "bounds"), (#"{"a":-1e999}"#, 5, "bounds"),
        (#"{"a":1 000}"#, 7, "','"), (#"{"a":１}"#, 5, "a value"),
        // Strings.
        (#"{"a"#, 1, "no end"), (#"{"a\"#, 3, "escape"), (#"{"a":"\x41"}"#, 6, "escape"),
        (#"{"a":"\'"}"#, 6, "escape"), (#"{"a":"\u12"}"#, 6, "hexadecimal"), (#"{"a":"\u12G4"}"#, 6, "hexadecimal"),
        (#"{"a":"\u"#, 6, "hexadecimal"), (#"{"a":"\U0041"}"#, 6, "escape"),
        ("{\"a\":\"\n\"}", 6, "control"), ("{\"a\":\"\t\"}", 6, "control"), ("{\"a\":\"\u{0}\"}", 6, "control"),
        ("{\"a\":\"\u{1f}\"}", 6, "control"), ("{\"\n\":1}", 2, "control"),
        (#"{"a":"\ud800"}"#, 6, "surrogate"), (#"{"a":"\udc00"}"#, 6, "surrogate"),
        (#"{"a":"\ud800\ud800"}"#, 6, "surrogate"), (#"{"a":"\ud800x"}"#, 6, "surrogate"),
        (#"{"a":"\ud800\n"}"#, 6, "surrogate"), (#"{"a":"\udc00\ud800"}"#, 6, "surrogate"),
    ]

    @Test("Documents that are none, and the byte where that shows", arguments: refusals)
    func refused(document: String, offset: Int, word: String) throws {
        let fault = try refusal(document.utf8)
        #expect(fault.place.byteOffset == offset, "it said: \(fault)")
        #expect(fault.problem.contains(word), "it said: \(fault)")
    }

    @Test(
        "Bytes that are not UTF-8, in a string and outside",
        arguments: [
            [0x80], [0xbf], [0xc0, 0xaf], [0xc1, 0xbf], [0xe0, 0x80, 0xaf], [0xf0, 0x80, 0x80, 0xaf],
            [0xed, 0xa0, 0x80],
            [0xed, 0xbf, 0xbf], [0xf4, 0x90, 0x80, 0x80], [0xf8, 0x88, 0x80, 0x80, 0x80], [0xfe], [0xff],
            [0xc3], [0xe2, 0x82], [0xf0, 0x9f, 0x98], [0xe2, 0x28, 0xa1],
        ] as [[UInt8]])
    func encoding(bytes: [UInt8]) throws {
        for (before, after) in [("{\"a\":\"", "\"}"), ("{\"", "\":1}"), ("{\"a\":1}", "")] {
            let fault = try refusal(Array(before.utf8) + bytes + after.utf8)
            #expect(fault.place.byteOffset == before.utf8.count, "it said: \(fault)")
            #expect(fault.problem.contains("UTF-8"))
        }
        // Text in UTF-16 is none either.
        #expect(throws: Fault.self) { try parse([0x7b, 0, 0x7d, 0]) }
    }

    @Test(
        "A name stands once in its object, however it is written",
        arguments: [
            (#"{"a":1,"b":2,"a":1}"#, 13, "a"), (#"{"a":1,"\u0061":1}"#, 7, "a"), (#"{"x":{"":1,"":2}}"#, 11, ""),
            (#"{"x":[{"é":1,"\u00e9":null}]}"#, 14, "é"),
        ])
    func duplicates(document: String, offset: Int, name: String) throws {
        let fault = try refusal(document.utf8)
        #expect(fault.place.field == name && fault.place.byteOffset == offset, "it said: \(fault)")
        #expect(fault.problem.contains("twice"))
    }

    @Test("A name in several objects is no duplicate, and names are found by their bytes")
    func names() throws {
        let object = try parse("{\"a\":{\"a\":1},\"b\":[{\"a\":2},{\"a\":3}],\"é\":4}".utf8)
        #expect(object["a"].map(text) == "{'a'=1}")
        #expect(object["é"].map(text) == "4" && object["e\u{301}"] == nil && object["c"] == nil)
    }

    @Test("Depth is bounded, whatever it is made of", arguments: ["[", #"{"a":"#, #"[{"a":"#])
    func depth(opening: String) throws {
        let closing = String(opening.reversed().compactMap { $0 == "[" ? "]" : $0 == "{" ? "}" : nil })
        func nested(_ levels: Int) -> [UInt8] {
            document("{\"x\":" + String(repeating: opening, count: levels) + "0", closing, count: levels, "}")
        }
        // The object around is a level, too.
        let levels = (JSONLimit.depth - 1) / closing.count
        _ = try parse(nested(levels))
        #expect(try refusal(nested(levels + 1)).problem.contains("levels"))
        // Looked at no further than the bound.
        let began = ContinuousClock.now
        #expect(try refusal(document("{\"x\":", opening, count: 1_000_000, "")).problem.contains("levels"))
        #expect(ContinuousClock.now - began < .seconds(5))
    }

    @Test(
        "Long documents take time by the byte",
        arguments: [
            ("{\"a\":[", "0,", "0]}"), ("{\"a\":[", "[[[]]],       ", "0]}"), ("{\"a\":\"", "x", "\"}"),
            ("{\"a\":\"", #"\u0041"#, "\"}"), ("{\"a\":", "1", ".5e-9}"), ("{\"a\":0.", "1", "}"),
            ("{\"", "\u{300}\u{323}", "\":0}"), ("{", " ", "}"),
        ])
    func linear(before: String, item: String, after: String) throws {
        let began = ContinuousClock.now
        let count = (item == "0," ? JSONLimit.values - 3 : (16 << 20) / item.utf8.count)
        do { _ = try parse(document(before, item, count: count, after)) } catch let fault as Fault {
            // Of so many digits.
            #expect(fault.problem.contains("bounds") && item == "1")
        }
        #expect(ContinuousClock.now - began < .seconds(5))
    }

    @Test("Many names in one object take time by the byte, and the last is still compared with the first")
    func manyNames() throws {
        let began = ContinuousClock.now
        let names = (0..<500_000).map { #""name \#($0)":0"# }.joined(separator: ",")
        #expect(try parse("{\(names)}".utf8).fields.count == 500_000)
        #expect(try refusal("{\(names),\"name 0\":0}".utf8).place.field == "name 0")
        #expect(ContinuousClock.now - began < .seconds(10))
    }

    @Test("More values than a document may have are refused")
    func values() throws {
        #expect(try refusal(document("{\"a\":[", "0,", count: JSONLimit.values, "0]}")).problem.contains("values"))
    }

    @Test("Where bytes begin in the file is counted")
    func origin() throws {
        let fault = #expect(throws: Fault.self) {
            try Array(#"{"a":x}"#.utf8).withUnsafeBytes { try JSONValue.object($0, file: "file", origin: 8) }
        }
        #expect(fault?.place.byteOffset == 13)
    }

    // MARK: Fields

    private func fields(_ document: String) throws -> JSONFields { JSONFields(try parse(document.utf8), file: "file") }

    @Test(
        "Names near a known one are taken for it misspelt; null says nothing",
        arguments: [
            ("hiden_size", true), ("hidden_sizes", true), ("hiddensize", true), ("HIDDEN-SIZE", true),
            ("hidden_zise", true), ("hidden", false), ("tc", true), ("tcnn", true), ("t", false), ("id", false),
            ("size", false), ("n", false),
        ])
    func misspelling(name: String, isMisspelling: Bool) throws {
        for (value, isRefused) in [("1", isMisspelling), ("null", false)] {
            var fields = try fields("{\"\(name)\": \(value)}")
            _ = (fields.take("hidden_size"), fields.take("tcn"))
            if isRefused {
                let fault = #expect(throws: Fault.self) { try fields.rest { _ in false } }
                #expect(fault?.place.field == name && fault?.problem.contains("did you mean") == true)
            } else {
                #expect(try fields.rest { _ in false } == (value == "null" ? [] : [name]))
            }
        }
    }

    @Test("A field that is left over is named, and what it may have been meant for")
    func finish() throws {
        var fields = try fields(#"{"window": 1, "widow": 2}"#)
        _ = fields.take("window")
        let fault = try #require(throws: Fault.self) { try fields.finish() }
        #expect(fault.place.field == "widow" && fault.problem.contains("did you mean 'window'"))
        _ = fields.take("widow")
        try fields.finish()
    }

    @Test("An object within names its fields after itself; null says that there is none")
    func objects() throws {
        var fields = try fields(#"{"a": {"b": 1}, "c": null, "d": 1, "e": null}"#)
        #expect(fields.has("a") && fields.has("c") && !fields.has("x"))
        let inner = try #require(try fields.object("a"))
        #expect(!fields.has("a"))
        #expect(#expect(throws: Fault.self) { try inner.finish() }?.place.field == "a.b")
        #expect(try fields.object("c") == nil && fields.object("x") == nil)
        #expect(#expect(throws: Fault.self) { try fields.object("d") }?.problem == "must be an object")
    }

    @Test("Fields that must not be ignored are refused, unless they are null")
    func refusedFields() throws {
        let fields = try fields(#"{"a": 1, "b": null, "c": 2}"#)
        #expect(try fields.rest { $0 == "b" } == ["a", "c"])
        #expect(#expect(throws: Fault.self) { try fields.rest { $0 == "c" } }?.place.field == "c")
    }

    @Test(
        "Integers beyond Int64, fractions and other kinds are no integers",
        arguments: ["9223372036854775808", "1.0", "1e2", "\"1\"", "null", "true", "[1]"])
    func integers(value: String) throws {
        var fields = try fields("{\"a\": \(value)}")
        let fault = #expect(throws: Fault.self) { try fields.integer("a", in: 0...Int.max) }
        #expect(fault?.problem == "must be an integer")
    }

    @Test("A choice is compared by its bytes")
    func choices() throws {
        var fields = try fields("{\"a\": \"e\u{301}\", \"b\": \"é\"}")
        #expect(throws: Fault.self) { try fields.string("a", among: ["é"]) }
        #expect(try fields.string("b", among: ["é"]) == "é")
    }

    @Test("A name as long as the document does not fill the message")
    func longNames() throws {
        let name = String(repeating: "x", count: 1 << 20)
        #expect(try refusal("{\"\(name)\":1,\"\(name)\":1}".utf8).description.utf8.count < 1000)
        let fault = try #require(throws: Fault.self) { try fields("{\"\(name)\":1}").finish() }
        #expect(fault.description.utf8.count < 1000)
    }
}
