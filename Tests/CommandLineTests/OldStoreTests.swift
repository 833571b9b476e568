import Foundation
import TestSupport
import Testing

/// A failed ingest leaves what was there, also what it cannot read itself.
struct OldStoreTests {
    @Test("A failed --force over a store of another version, or a damaged one, touches nothing", arguments: ["\"version\" : 3", "\"version\" : oops"])
    func replacedStoreStays(version: String) throws {
        let bench = try Bench()
        defer { bench.remove() }
        let store = bench.file("store")
        try run("ingest", "-", "--store", store, input: Array("kept".utf8)).expect(0)
        let manifest = try String(contentsOfFile: "\(store)/manifest.json", encoding: .utf8).replacingOccurrences(of: "\"version\" : 2", with: version)
        try manifest.write(toFile: "\(store)/manifest.json", atomically: false, encoding: .utf8)
        let before = try bench.contents("store")
        // A token id above 258, well after the first block was written.
        let bad = Array(repeating: UInt8(0), count: 200_000) + [3, 1]
        try run("ingest", "-", "--tokens", "--store", store, "--force", input: bad).expect(65, "token id 259", "200000")
        #expect(try bench.contents("store") == before)
        try run("ingest", "-", "--store", store, "--force", input: Array("new".utf8)).expect(0)
        try run("verify", "--store", store).expect(0)
    }

    @Test("A folder that only looks like a generation's is not taken for one")
    func foreignFolder() throws {
        let bench = try Bench()
        defer { bench.remove() }
        try FileManager.default.createDirectory(atPath: bench.file("store/generation-photos"), withIntermediateDirectories: true)
        try run("ingest", "-", "--store", bench.file("store"), input: [1]).expect(73, "generation-photos")
        #expect(bench.exists("store/generation-photos"))
    }

    @Test("A token count that does not fit the tokens is noticed, not computed with", arguments: [-1, 1])
    func tokenCount(change: Int) throws {
        let bench = try Bench()
        defer { bench.remove() }
        let store = bench.file("store")
        try run("ingest", "\(Fixtures.path("ragged"))/tokens.u16", "--tokens", "--patch-size", "16", "--store", store).expect(0)
        let manifest = try String(contentsOfFile: "\(store)/manifest.json", encoding: .utf8)
        let changed = manifest.replacingOccurrences(of: "\"tokens\" : 1000,\n", with: "\"tokens\" : \(1000 + change),\n")
        #expect(changed != manifest)
        try changed.write(toFile: "\(store)/manifest.json", atomically: false, encoding: .utf8)
        try run("forward", "--store", store, "--model", Fixtures.path("ragged")).expect(65, "token \(change < 0 ? 999 : 1000)")
        try run("verify", "--store", store).expect(65, "fingerprint")
    }

    @Test("A store of format 1 is read, and becomes one of format 2 when it is written to")
    func firstFormat() throws {
        let bench = try Bench()
        defer { bench.remove() }
        try bench.store(fixture: "selective")
        let file = bench.file("store/manifest.json")
        let old = try String(contentsOfFile: file, encoding: .utf8).replacingOccurrences(of: "\"version\" : 2", with: "\"version\" : 1")
        try old.write(toFile: file, atomically: false, encoding: .utf8)
        try run("verify", "--store", bench.file("store")).expect(0)
        #expect(try String(contentsOfFile: file, encoding: .utf8) == old)
        try run("forward", "--store", bench.file("store"), "--model", Fixtures.path("selective")).expect(0)
        #expect(try String(contentsOfFile: file, encoding: .utf8).contains("\"version\" : 2"))
        try run("verify", "--store", bench.file("store")).expect(0)
    }

    @Test("A run begun with blocks that today's arithmetic does not have is not gone on with, and says what to do")
    func foreignBlocks() throws {
        let bench = try Bench()
        defer { bench.remove() }
        try bench.store(fixture: "ragged")
        let forward = ["forward", "--store", bench.file("store"), "--model", Fixtures.path("ragged")]
        try run(forward).expect(0)
        let file = URL(fileURLWithPath: bench.file("store/manifest.json"))
        var manifest = try #require(JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
        var begun = try #require(manifest["run"] as? [String: Any])
        (begun["complete"], begun["patches_per_block"]) = (false, 65)
        manifest["run"] = begun
        manifest["generations"] = try Array(#require(manifest["generations"] as? [Any]).prefix(1))
        try JSONSerialization.data(withJSONObject: manifest).write(to: file)
        try run(forward).expect(65, "blocks of 65 patches", "--restart")
        try run(forward + ["--restart"]).expect(0)
    }
}
