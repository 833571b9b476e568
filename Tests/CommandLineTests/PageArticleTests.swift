import Foundation
import TestSupport
import Testing

/// A stranger with py-lmdb, zstandard and NumPy reads pages from the article alone: tools/read_page.py was written so.
@Suite("Page format article") struct PageArticleTests {
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path

    /// The Python of tools/setup, with the packages that the reader needs; nil where it lacks one.
    static let python: String? = {
        let python = "\(root)/.venv/bin/python"
        guard FileManager.default.isExecutableFile(atPath: python) else { return nil }
        return (try? launch(python, ["-c", "import lmdb, numpy, xxhash, zstandard"])) == 0 ? python : nil
    }()

    private static func launch(_ program: String, _ arguments: [String]) throws -> Int32 {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        return process.terminationStatus
    }

    @Test(
        "Python reads tokens, states and surprisal as the program exports them",
        .enabled(
            if: python != nil, "skipped: Python lacks lmdb, numpy, xxhash or zstandard; tools/setup installs them"),
        arguments: [("ragged", "bf16"), ("ragged", "f32"), ("carlo-stack", "bf16"), ("selective", "f32")])
    func pythonReadsPages(name: String, state: String) throws {
        let bench = try Bench()
        defer { bench.remove() }
        let model = Fixtures.path(name), store = bench.file("store")
        try run("ingest", "\(model)/tokens.u16", "--tokens", "--store", store).expect(0)
        try run(
            "forward", "--store", store, "--model", model, "--state", state, "--keep", "all", "--nll",
            bench.file("bits.npy")
        ).expect(0)
        let last = name == "ragged" ? 3 : 2
        for generation in [0, 1, last] {
            try run("export", "--store", store, "--generation", "\(generation)", "--out", bench.file("ours.npy"))
                .expect(0)
            #expect(try read(store, generation, "states", to: bench.file("theirs.npy")) == 0)
            try same(bench.file("ours.npy"), bench.file("theirs.npy"))
        }
        #expect(try read(store, last, "surprisal", to: bench.file("theirs.npy")) == 0)
        try same(bench.file("bits.npy"), bench.file("theirs.npy"))

        // And it notices damage: one bit of a column.
        let file = "\(store)/generation-1/data.mdb"
        var bytes = try Data(contentsOf: URL(fileURLWithPath: file))
        let magic = try #require(bytes.range(of: Data("BBPG".utf8)))
        bytes[magic.lowerBound + 1500] ^= 4
        try bytes.write(to: URL(fileURLWithPath: file))
        #expect(try read(store, 1, "states", to: bench.file("theirs.npy")) != 0)
    }

    @Test("Python reads what was appended", .enabled(if: python != nil, "skipped: Python lacks a package"))
    func pythonReadsSupplements() throws {
        let bench = try Bench()
        defer { bench.remove() }
        let (model, store) = (bench.file("model"), bench.file("store"))
        var numbers = TestNumbers(5)
        try run(
            "model", "init", model, "--hidden-size", "16", "--heads", "2", "--patch-size", "16", "--mixers", "r,w:20"
        ).expect(0)
        try bench.store(numbers.bytes(100_000), "--patch-size", "16")
        for part in 0..<3 {
            if part > 0 {
                try run("ingest", bench.write("part", numbers.bytes(40_000)), "--store", store, "--append").expect(0)
            }
            try run(
                "forward", "--store", store, "--model", model, "--keep", "last", "--memory", "64MiB", "--nll",
                bench.file("bits.npy")
            ).expect(0)
        }
        for generation in [0, 2] {
            try run("export", "--store", store, "--generation", "\(generation)", "--out", bench.file("ours.npy"))
                .expect(0)
            #expect(try read(store, generation, "states", to: bench.file("theirs.npy")) == 0)
            try same(bench.file("ours.npy"), bench.file("theirs.npy"))
        }
        #expect(try read(store, 2, "surprisal", to: bench.file("theirs.npy")) == 0)
        try same(bench.file("bits.npy"), bench.file("theirs.npy"))
    }

    private func read(_ store: String, _ generation: Int, _ table: String, to file: String) throws -> Int32 {
        try Self.launch(
            Self.python ?? "python3",
            ["\(Self.root)/tools/read_page.py", store, "\(generation)", "--table", table, "--out", file])
    }

    private func same(_ ours: String, _ theirs: String) throws {
        let (a, b) = (try NpyArray(ours), try NpyArray(theirs))
        #expect(a.shape == b.shape)
        #expect(a.values.map(\.bitPattern) == b.values.map(\.bitPattern))
    }
}
