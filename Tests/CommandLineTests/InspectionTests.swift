import Foundation
import TestSupport
import Testing

/// What export and dump show of a store, and what they refuse.
struct InspectionTests {
    let bench: Bench
    var store: String { bench.file("store") }

    /// A finished store of 1000 tokens in patches of 16, three layers of D 16, every generation kept.
    init() throws {
        bench = try Bench()
        try bench.store(fixture: "ragged")
        try run("forward", "--store", store, "--model", Fixtures.path("ragged"), "--state", "f32", "--keep", "all")
            .expect(0)
    }

    private func dump(_ flags: String) throws -> Outcome {
        try run(["dump", "--store", store] + flags.split(separator: " ").map(String.init))
    }

    @Test(
        "A range of an export is that part of the whole", arguments: [0, 1, 3],
        ["0:1", "0:1000", "15:17", "999:1000", "123:877"])
    func range(generation: Int, range: String) throws {
        for (flags, name) in [([], "whole.npy"), (["--range", range], "part.npy")] {
            try run(["export", "--store", store, "--generation", "\(generation)", "--out", bench.file(name)] + flags)
                .expect(0, "wrote")
        }
        let ends = range.split(separator: ":").compactMap { Int($0) }
        let (whole, part) = (try bench.array("whole.npy"), try bench.array("part.npy"))
        let width = generation == 0 ? 1 : 16
        #expect(part.shape == (generation == 0 ? [ends[1] - ends[0]] : [ends[1] - ends[0], 16]))
        let same = part.values == Array(whole.values[ends[0] * width..<ends[1] * width])
        #expect(same)
    }

    @Test(
        "What the store does not hold is a usage error that says what it holds",
        arguments: [
            ("export --generation 4 --out O", "0, 1, 2, 3"),
            ("export --generation 1 --range 0:1001 --out O", "1000 tokens"),
            ("export --generation 0 --range 1000:1001 --out O", "1000 tokens"), ("dump --generation 4", "0, 1, 2, 3"),
            ("dump --generation 99999999", "0, 1, 2, 3"),
            ("dump --generation 1 --block 99", "blocks 0 to"),
            ("dump --generation 1 --block 0 --column 16", "columns 0 to 15"),
            ("dump --generation=-1", "0, 1, 2, 3"), ("dump --generation 1 --block=-1", "blocks 0 to"),
            ("dump --generation 1 --block 0 --column=-1", "columns 0 to 15"),
        ])
    func outOfRange(arguments: String, word: String) throws {
        let before = try bench.contents("store")
        try run(
            arguments.split(separator: " ").map { $0 == "O" ? bench.file("out.npy") : String($0) } + ["--store", store]
        ).expect(64, word)
        #expect(!bench.exists("out.npy") && !bench.exists("out.npy.partial"))
        #expect(try bench.contents("store") == before)
    }

    @Test("An output that cannot be made is named", arguments: ["no/such/folder/out.npy", "."])
    func unwritable(place: String) throws {
        try run("export", "--store", store, "--generation", "1", "--out", bench.file(place)).expect(
            73, bench.file(place))
    }

    @Test("An output that is a device is written to and stays a device", arguments: ["export", "forward"])
    func device(command: String) throws {
        // A link in the folder stands for the device, so that nothing outside is at stake.
        try FileManager.default.createSymbolicLink(atPath: bench.file("null"), withDestinationPath: "/dev/null")
        let arguments =
            command == "export"
            ? ["export", "--generation", "1", "--out"] : ["forward", "--model", Fixtures.path("ragged"), "--nll"]
        try run(arguments + [bench.file("null"), "--store", store]).expect(0)
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: bench.file("null")) == "/dev/null")
    }

    @Test("A failed export leaves the file that was there")
    func keepsOldOutput() throws {
        try bench.write("out.npy", "precious".utf8)
        try run("export", "--store", store, "--generation", "9", "--out", bench.file("out.npy")).expect(64)
        #expect(try bench.bytes("out.npy") == Data("precious".utf8))
    }

    static let depths: [(flags: String, keys: [String])] = [
        ("", ["tokens", "patch size", "generation 0", "generation 3", "model", "state"]),
        ("--generation 0", ["blocks", "raw", "stored", "ratio", "min", "mean", "max", "NaN"]),
        ("--generation 3", ["blocks", "raw", "stored", "ratio", "min", "mean", "max", "NaN", "surprisal"]),
        ("--generation 3 --block 0", ["block", "stored", "ratio", "file offset", "column 15"]),
        ("--generation 3 --block 0 --column 5", ["column", "checksum", "min", "mean", "max", "NaN"]),
        ("--generation 3 --block 0 --column 5 --values", ["column", "token 5", "token 21"]),
        ("--generation 0 --block 0 --values", ["column", "token 0 ", "token 15"]),
    ]

    @Test("Every level is shown as aligned lines and as one JSON object", arguments: depths)
    func levels(flags: String, keys: [String]) throws {
        let text = try dump(flags).expect(0).output
        for key in keys { #expect(text.contains(key)) }
        let separators = text.split(separator: "\n").map { $0.components(separatedBy: " : ")[0].count }
        #expect(Set(separators).count == 1, "keys are aligned")
        #expect(try !dump(flags + " --json").expect(0).json().isEmpty)
    }

    @Test("A column's values are those that export writes")
    func values() throws {
        try run("export", "--store", store, "--generation", "2", "--out", bench.file("states.npy")).expect(0)
        let states = try bench.array("states.npy").values
        let column = try dump("--generation 2 --block 0 --column 5 --values --json").expect(0).json()
        let tokens = try #require(column["tokens"] as? [[String: Any]])
        for (row, token) in [5, 21, 37].enumerated() {
            #expect(tokens[row]["token"] as? Int == token)
            let values = try #require(tokens[row]["values"] as? [Double])
            #expect(values.map(Float.init) == Array(states[token * 16..<token * 16 + 16]))
        }
    }

    @Test(
        "Numbers are numbers in JSON, not text to be taken apart",
        arguments: ["--generation 3 --block 0", "--generation 3 --block 0 --column 5", ""])
    func numbers(flags: String) throws {
        func texts(_ value: Any) -> [String] {
            if let fields = value as? [String: Any] { return fields.values.flatMap(texts) }
            return (value as? [Any])?.flatMap(texts) ?? (value as? String).map { [$0] } ?? []
        }
        let composed = texts(try dump(flags + " --json").expect(0).json()).filter { text in
            [" bytes", " + ", " to ", ", "].contains { text.contains($0) }
        }
        #expect(composed.filter { $0 != "bbp-stream store, version 1" }.isEmpty)
    }

    @Test("A block's values are those that export writes, column by column", arguments: [0, 2])
    func blockValues(generation: Int) throws {
        try run(
            "export", "--store", store, "--generation", "\(generation)", "--out",
            bench.file("states.npy")
        ).expect(0)
        let states = try bench.array("states.npy").values
        let block = try dump("--generation \(generation) --block 0 --values --json").expect(0).json()
        #expect(block["patches"] as? Int != nil && block["file_offset"] as? Int != nil && block["columns"] != nil)
        let width = generation == 0 ? 1 : 16
        var found = [Float?](repeating: nil, count: states.count)
        for (index, column) in try #require(block["columns"] as? [[String: Any]]).enumerated() {
            #expect(column["column"] as? Int == index)
            for row in try #require(column["tokens"] as? [[String: Any]]) {
                let (token, values) = (try #require(row["token"] as? Int), try #require(row["values"] as? [Double]))
                for (place, value) in values.enumerated() { found[token * width + place] = Float(value) }
            }
        }
        let blockTokens = found.filter { $0 != nil }.count
        #expect(blockTokens >= 16 * width)
        #expect(zip(found, states).allSatisfy { $0 == nil || $0 == $1 })
    }

    @Test("Text and JSON have the same values, in the same order")
    func sameValues() throws {
        let lines = try dump("--generation 3 --block 0 --values").expect(0).output.split(separator: "\n")
        let text = lines.filter { $0.hasPrefix("token ") }.map { $0.split(separator: ":")[0].split(separator: " ")[1] }
        let json = try dump("--generation 3 --block 0 --values --json").expect(0).output
        let tokens = json.components(separatedBy: "{\"token\": ").dropFirst().map { $0.prefix { $0.isNumber } }
        #expect(!text.isEmpty && text == tokens)
    }

    @Test("The values of a large block are written as they are read", arguments: ["", " --json"])
    func streamedValues(flags: String) throws {
        let store = try bench.store(
            {
                var numbers = TestNumbers(1); return numbers.bytes(24_000)
            }(), named: "large")
        let model = try bench.model("wide", patchSize: 32, hiddenSize: 128, layers: 1)
        try run("forward", "--store", store, "--model", model, "--state", "f32", "--memory", "1GiB").expect(0)
        let arguments = ["dump", "--store", store, "--generation", "1", "--block", "0"]
        #expect(try #require(run(arguments + ["--json"]).expect(0).json()["raw"] as? Int) > 4_000_000)
        let program = try Program(
            arguments + ["--values"] + flags.split(separator: " ").map(String.init),
            outputFile: "/dev/null")
        var peak = 0
        while !program.hasEnded { peak = max(peak, program.memory("RssAnon")) }
        try program.outcome().expect(0)
        // AddressSanitizer keeps what was freed.
        let most = ProcessInfo.processInfo.environment["ASAN_OPTIONS"] == nil ? 48 << 20 : Int.max
        #expect(peak > 0 && peak < most, "\(peak) bytes")
    }

    @Test("Values that nobody reads on end quietly", arguments: ["--values", "--values --json"])
    func closedPipe(flags: String) throws {
        let command =
            "'\(Program.path)' dump --store '\(store)' --generation 3 --block 0 \(flags)"
            + " | head -c 100; echo ${PIPESTATUS[0]}"
        let result = try Program(["-c", command], executable: "/bin/bash").outcome().expect(0)
        #expect(result.error.isEmpty && result.output.hasSuffix("0\n"), "it said: \(result.error)")
    }

    @Test("Of many blocks some are looked at, from the first to the last, and that is said; --all reads every one")
    func sample() throws {
        // Blocks of tokens hold about 32 768. The greatest value is in the last one alone, the least in the middle.
        var bytes = [UInt8](repeating: 100, count: 70 << 15)
        bytes[35 << 15] = 7
        bytes[bytes.count - 1] = 200
        let store = try bench.store(bytes, "--raw", "--patch-size", "32", named: "many")
        let whole = try run("dump", "--store", store, "--generation", "0", "--all", "--json").expect(0).json()
        let part = try run("dump", "--store", store, "--generation", "0", "--json").expect(0).json()
        func field(
            _ name: String,
            _ report: [String: Any]
        ) -> Double? { (report["tables"] as? [[String: Any]])?.first?[name] as? Double }
        #expect(field("blocks", part) == 70 && field("blocks_read", part) == 64 && field("blocks_read", whole) == 70)
        #expect(field("values", part) == Double(64 << 15) && field("values", whole) == Double(bytes.count))
        #expect(field("max", part) == 200 && field("max", whole) == 200 && field("min", whole) == 7)
        for name in ["raw", "stored", "file", "ratio"] { #expect(field(name, part) == field(name, whole)) }
        #expect(field("stored", whole) ?? 0 > 70 * 64)
        #expect(try run("dump", "--store", store, "--generation", "0").expect(0).output.contains("64 of 70 blocks"))
        #expect(try dump("--generation 0").expect(0).output.contains("blocks read"))
        try run("dump", "--store", store, "--all").expect(64, "--all")
    }

    @Test("Padding is not counted among a column's values")
    func padding() throws {
        // 1000 tokens in patches of 16: the last patch has 8.
        let column = try dump("--generation 0 --block 0 --column 15 --json").expect(0).json()
        #expect(column["values"] as? Int == 62)
        #expect(try #require(column["max"] as? Double) <= 258)
    }

    @Test("A full standard output is an error", arguments: ["dump", "verify"])
    func fullOutput(command: String) throws {
        try run(command, "--store", store, outputFile: "/dev/full").expect(74, "standard output")
    }
}
