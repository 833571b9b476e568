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
        try run("forward", "--store", store, "--model", Fixtures.path("ragged"), "--state", "f32", "--keep", "all").expect(0)
    }

    private func dump(_ flags: String) throws -> Outcome { try run(["dump", "--store", store] + flags.split(separator: " ").map(String.init)) }

    @Test("A range of an export is that part of the whole", arguments: [0, 1, 3], ["0:1", "0:1000", "15:17", "999:1000", "123:877"])
    func range(generation: Int, range: String) throws {
        for (flags, name) in [([], "whole.npy"), (["--range", range], "part.npy")] {
            try run(["export", "--store", store, "--generation", "\(generation)", "--out", bench.file(name)] + flags).expect(0, "wrote")
        }
        let ends = range.split(separator: ":").compactMap { Int($0) }
        let (whole, part) = (try bench.array("whole.npy"), try bench.array("part.npy"))
        let width = generation == 0 ? 1 : 16
        #expect(part.shape == (generation == 0 ? [ends[1] - ends[0]] : [ends[1] - ends[0], 16]))
        let same = part.values == Array(whole.values[ends[0] * width..<ends[1] * width])
        #expect(same)
    }

    @Test("What the store does not hold is a usage error that says what it holds", arguments: [
        ("export --generation 4 --out O", "0, 1, 2, 3"), ("export --generation 1 --range 0:1001 --out O", "1000 tokens"),
        ("export --generation 0 --range 1000:1001 --out O", "1000 tokens"), ("dump --generation 4", "0, 1, 2, 3"), ("dump --generation 99999999", "0, 1, 2, 3"),
        ("dump --generation 1 --block 99", "blocks 0 to"), ("dump --generation 1 --block 0 --column 16", "columns 0 to 15"),
        ("dump --generation=-1", "0, 1, 2, 3"), ("dump --generation 1 --block=-1", "blocks 0 to"), ("dump --generation 1 --block 0 --column=-1", "columns 0 to 15"),
    ])
    func outOfRange(arguments: String, word: String) throws {
        let before = try bench.contents("store")
        try run(arguments.split(separator: " ").map { $0 == "O" ? bench.file("out.npy") : String($0) } + ["--store", store]).expect(64, word)
        #expect(!bench.exists("out.npy") && !bench.exists("out.npy.partial"))
        #expect(try bench.contents("store") == before)
    }

    @Test("An output that cannot be made is named", arguments: ["no/such/folder/out.npy", "."])
    func unwritable(place: String) throws {
        try run("export", "--store", store, "--generation", "1", "--out", bench.file(place)).expect(73, bench.file(place))
    }

    @Test("An output that is a device is written to and stays a device", arguments: ["export", "forward"])
    func device(command: String) throws {
        // A link in the folder stands for the device, so that nothing outside is at stake.
        try FileManager.default.createSymbolicLink(atPath: bench.file("null"), withDestinationPath: "/dev/null")
        let arguments = command == "export" ? ["export", "--generation", "1", "--out"] : ["forward", "--model", Fixtures.path("ragged"), "--nll"]
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

    @Test("Numbers are numbers in JSON, not text to be taken apart", arguments: ["--generation 3 --block 0", "--generation 3 --block 0 --column 5", ""])
    func numbers(flags: String) throws {
        func texts(_ value: Any) -> [String] {
            if let fields = value as? [String: Any] { return fields.values.flatMap(texts) }
            return (value as? [Any])?.flatMap(texts) ?? (value as? String).map { [$0] } ?? []
        }
        let composed = texts(try dump(flags + " --json").expect(0).json()).filter { text in [" bytes", " + ", " to ", ", "].contains { text.contains($0) } }
        #expect(composed.filter { $0 != "bbp-stream store, version 1" }.isEmpty)
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
