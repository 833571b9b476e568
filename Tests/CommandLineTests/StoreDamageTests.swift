import Foundation
import Glibc
import TestSupport
import Testing

/// A store that something happened to: every command that reads it says what and where, and nothing gets worse.
struct StoreDamageTests {
    /// A finished store of several blocks with every generation, and its model; made once, copied by each test.
    private static let original: Result<Bench, any Error> = Result {
        let bench = try Bench()
        // Statics are never let go, and their folders must not stay.
        atexit { try? StoreDamageTests.original.get().remove() }
        var numbers = TestNumbers(3)
        try bench.store(numbers.bytes(200_000), "--raw", "--patch-size", "8")
        try bench.model(layers: 1)
        try run("forward", "--store", bench.file("store"), "--model", bench.file("model"), "--keep", "all").expect(0)
        return bench
    }

    let bench: Bench
    var store: String { bench.file("store") }

    init() throws {
        bench = try Bench()
        let original = try Self.original.get()
        for part in ["store", "model"] {
            try FileManager.default.copyItem(atPath: original.file(part), toPath: bench.file(part))
        }
    }

    private func forward(_ flags: String...) throws -> Outcome {
        try run(["forward", "--store", store, "--model", bench.file("model"), "--nll", bench.file("nll.npy")] + flags)
    }

    private func export(_ generation: Int) throws -> Outcome {
        try run("export", "--store", store, "--generation", "\(generation)", "--out", bench.file("out.npy"))
    }

    /// Checks that `commands` end with 65 and say `words`, write no output and leave the store as it is.
    private func expectDamage(_ words: [String], _ commands: [() throws -> Outcome]) throws {
        let before = try bench.contents("store")
        for command in commands {
            let result = try command()
            #expect(result.status == 65, "it said: \(result.error)")
            for word in words { #expect(result.error.contains(word), "it said: \(result.error)") }
        }
        #expect(try bench.contents("store") == before)
        #expect(!["out.npy", "out.npy.partial", "nll.npy", "nll.npy.partial"].contains(where: bench.exists))
    }

    private func verify() throws -> Outcome { try run("verify", "--store", store) }
    private func dump(_ generation: Int, _ flags: String...) throws -> Outcome {
        try run(["dump", "--store", store, "--generation", "\(generation)"] + flags)
    }

    @Test("The store is whole before anything happens to it")
    func whole() throws {
        try verify().expect(0)
        try forward().expect(0)
        for generation in 0...1 { try export(generation).expect(0) }
    }

    // MARK: Pages

    /// Flips a bit of a page: of its header, of its directory, of a column.
    @Test(
        "A flipped bit is found, and its block named", arguments: [0, 1], ["magic", "header", "directory", "column"])
    func flippedBit(generation: Int, part: String) throws {
        let page = try dump(generation, "--block", "1", "--json").expect(0).json()
        let (offset, bytes) = (try #require(page["file_offset"] as? Int), try #require(page["stored"] as? Int))
        let position = offset + (["magic": 1, "header": 26, "directory": 64 + 33][part] ?? bytes / 2)
        try bench.edit("store/generation-\(generation)/data.mdb") { $0[position] ^= 4 }
        try expectDamage(["generation \(generation)", "block 1"], [verify, { try export(generation) }])
        if generation == 0 {
            // A run that reads the page stops there; what the store held is left.
            let before = try bench.contents("store")["generation-0/data.mdb"]
            #expect(try forward("--restart").expect(65).error.contains("block 1"))
            #expect(try bench.contents("store")["generation-0/data.mdb"] == before)
        }
        // Blocks that are whole can still be read.
        try run(
            "export", "--store", store, "--generation", "\(generation)", "--range", "0:100", "--out",
            bench.file("part.npy")
        ).expect(0)
    }

    @Test("Every damaged page is listed, not the first alone")
    func severalPages() throws {
        for block in [0, 2] {
            let page = try dump(1, "--block", "\(block)", "--json").expect(0).json()
            try bench.edit("store/generation-1/data.mdb") { $0[(page["file_offset"] as? Int ?? 0) + 2000] ^= 1 }
        }
        try expectDamage(["block 0", "block 2"], [verify])
        #expect(try verify().output.contains("2"))
    }

    @Test("A truncated file", arguments: [0, 100, 4096, 5000, 8192, 20_000, -4096, -1])
    func truncated(bytes: Int) throws {
        try bench.edit("store/generation-0/data.mdb") { $0 = bytes < 0 ? $0.dropLast(-bytes) : $0.prefix(bytes) }
        try expectDamage(["generation-0/data.mdb"], [verify, { try export(0) }, { try dump(0) }, { try forward() }])
    }

    @Test("A missing file")
    func missingFile() throws {
        try FileManager.default.removeItem(atPath: bench.file("store/generation-1"))
        try expectDamage(["generation-1"], [verify, { try export(1) }, { try dump(1) }, { try forward() }])
        try export(0).expect(0)
    }

    @Test("A file that LMDB did not write")
    func foreignBytes() throws {
        var numbers = TestNumbers(5)
        try bench.edit("store/generation-0/data.mdb") { $0 = Data(numbers.bytes($0.count)) }
        try expectDamage(["generation-0/data.mdb"], [verify, { try export(0) }, { try dump(0) }, { try forward() }])
    }

    @Test(
        "A file of another store, or of another generation, is told apart",
        arguments: ["another store", "another generation"])
    func foreignFile(from: String) throws {
        if from == "another store" { try bench.store([1, 2, 3], named: "other") }
        let other = from == "another store" ? "other/generation-0/data.mdb" : "store/generation-1/data.mdb"
        try bench.edit("store/generation-0/data.mdb") { $0 = try bench.bytes(other) }
        try expectDamage(["belongs elsewhere"], [verify, { try export(0) }, { try dump(0) }, { try forward() }])
    }

    @Test("A block that is not there")
    func missingBlock() throws {
        // A manifest that claims two more blocks than were written.
        try bench.claimTokens(270_000)
        try expectDamage(["block"], [verify, { try export(0) }, { try export(1) }, { try forward() }, { try dump(1) }])
        let report = try verify()
        #expect(report.error.contains("missing"))
    }

    @Test("A manifest that claims other tokens", arguments: [99_999, 1, 32_768])
    func otherTokens(tokens: Int) throws {
        try bench.claimTokens(tokens)
        try expectDamage(
            ["generation 0"], [verify, { try export(0) }, { try export(1) }, { try forward() }, { try dump(0) }])
    }

    // MARK: The manifest

    static let manifests: [(change: String, word: String)] = [
        ("{\"version\": 5}", "format 5"), ("{\"version\": 2, \"checksum\": \"8223e28994c1dd6c\"}", "checksum"),
        ("{\"checksum\": null}", "checksum"), ("{\"version\": 0}", "format 0"), ("{\"version\": \"1\"}", "version"),
        ("{\"version\": null}", "version"),
        ("{\"format\": \"zip\"}", "format"), ("{\"tokens\": -1}", "tokens"), ("{\"tokens\": 0}", "tokens"),
        ("{\"tokens\": 1e30}", "manifest.json"),
        ("{\"tokens\": \"many\"}", "tokens"), ("{\"patch_size\": 0}", "patch"), ("{\"patch_size\": 20000}", "patch"),
        ("{\"generations\": []}", "generation"),
        ("{\"generations\": null}", "generations"), ("{\"generations\": [{}]}", "generations"),
        ("{\"store\": null}", "store"),
    ]

    @Test("A manifest that cannot be is refused by field", arguments: manifests)
    func manifest(change: String, word: String) throws {
        let fields = try #require(JSONSerialization.jsonObject(with: Data(change.utf8)) as? [String: Any])
        try bench.editManifest(sealing: fields["checksum"] == nil, fields)
        try expectDamage(
            ["manifest.json", word],
            [verify, { try export(0) }, { try run("dump", "--store", store) }, { try forward() }])
    }

    @Test("A manifest that is no JSON", arguments: ["", "{", "[]", "\u{0}\u{0}"])
    func noManifest(text: String) throws {
        try bench.write("store/manifest.json", text.utf8)
        try expectDamage(
            ["manifest.json"], [verify, { try export(0) }, { try run("dump", "--store", store) }, { try forward() }])
    }

    @Test(
        "A manifest cannot lead out of the store",
        arguments: ["..", "../other", "/tmp", "generation-0/../../other", ""])
    func outside(directory: String) throws {
        try bench.editGeneration(0, ["directory": directory])
        try expectDamage(["directory"], [verify, { try forward() }])
    }

    @Test("A folder without manifest is no store")
    func noStore() throws {
        try FileManager.default.removeItem(atPath: bench.file("store/manifest.json"))
        for result in [try verify(), try export(0), try forward()] { result.expect(66, "manifest.json") }
    }

    @Test("A store of another version is not replaced unasked, and is with --force")
    func replaced() throws {
        try bench.editManifest(["version": 5])
        let good = try bench.write("good", "good".utf8)
        let before = try bench.contents("store")
        try run("ingest", good, "--store", store).expect(73, "already")
        #expect(try bench.contents("store") == before)
        // Nobody knows what its folders are: they stay, and the new store lies beside them.
        try run("ingest", good, "--store", store, "--force").expect(0, "generation-0 stays", "generation-1 stays")
        let after = try bench.contents("store")
        for generation in 0...1 {
            #expect(after["generation-\(generation)/data.mdb"] == before["generation-\(generation)/data.mdb"])
        }
        try verify().expect(0)
        // One whose manifest is read goes as a whole.
        try run("ingest", good, "--store", store, "--force").expect(0, "generation-1 stays")
        #expect(!bench.exists("store/generation-0.1"))
        try verify().expect(0)
    }
}
