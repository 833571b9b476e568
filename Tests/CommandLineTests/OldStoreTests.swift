import Foundation
import TestSupport
import Testing

/// A failed ingest leaves what was there, also what it cannot read itself.
struct OldStoreTests {
    @Test(
        "A failed --force over a store of another version, or a damaged one, touches nothing",
        arguments: ["\"version\" : 5", "\"version\" : oops"])
    func replacedStoreStays(version: String) throws {
        let bench = try Bench()
        defer { bench.remove() }
        let store = bench.file("store")
        try run("ingest", "-", "--store", store, input: Array("kept".utf8)).expect(0)
        let manifest = try String(contentsOfFile: "\(store)/manifest.json", encoding: .utf8).replacingOccurrences(
            of: "\"version\" : 3", with: version)
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
        try FileManager.default.createDirectory(
            atPath: bench.file("store/generation-photos"), withIntermediateDirectories: true)
        try run("ingest", "-", "--store", bench.file("store"), input: [1]).expect(73, "generation-photos")
        #expect(bench.exists("store/generation-photos"))
    }

    @Test("A token count that does not fit the tokens is noticed, not computed with", arguments: [-1, 1])
    func tokenCount(change: Int) throws {
        let bench = try Bench()
        defer { bench.remove() }
        let store = bench.file("store")
        try run("ingest", "\(Fixtures.path("ragged"))/tokens.u16", "--tokens", "--patch-size", "16", "--store", store)
            .expect(0)
        try bench.claimTokens(1000 + change)
        try run("forward", "--store", store, "--model", Fixtures.path("ragged")).expect(
            65, "token \(change < 0 ? 999 : 1000)")
        try run("verify", "--store", store).expect(65, "token \(change < 0 ? 999 : 1000)")
    }

    /// A finished store that an older version made of the fixture "seven": no checksum, no ids, no marks, and a
    /// fingerprint that leaves out number formats.
    private func unpack(_ bench: Bench, version: Int) throws -> String {
        try Program(["-xzf", "\(Fixtures.directory)/format-2.tar.gz", "-C", bench.path], executable: "/usr/bin/tar")
            .outcome().expect(0)
        try bench.editManifest(["version": version])
        return bench.file("store")
    }

    @Test(
        "A store of an older format is read, and becomes one of this format when it is written to", arguments: [1, 2])
    func olderFormat(version: Int) throws {
        let bench = try Bench()
        defer { bench.remove() }
        let store = try unpack(bench, version: version)
        let before = try bench.contents("store")
        let forward = ["forward", "--store", store, "--model", Fixtures.path("seven"), "--nll", bench.file("nll.npy")]
        try run("verify", "--store", store).expect(0)
        try run("export", "--store", store, "--generation", "2", "--out", bench.file("states.npy")).expect(0)
        #expect(try bench.array("states.npy").shape == [7, 24])
        try run(forward).expect(0, "finished")
        let bits = try bench.bytes("nll.npy")
        #expect(try bench.contents("store") == before)
        let other = try bench.model("other", patchSize: 3, hiddenSize: 24)
        try run("forward", "--store", store, "--model", other).expect(65, "another model")
        try run(forward + ["--restart"]).expect(0)
        #expect(try bench.bytes("nll.npy") == bits)
        #expect(try String(contentsOfFile: "\(store)/manifest.json", encoding: .utf8).contains("\"version\" : 3"))
        // What the new manifest stopped naming is gone, though it had no id.
        #expect(try FileManager.default.contentsOfDirectory(atPath: store).count { $0.hasPrefix("generation-") } == 2)
        try run("verify", "--store", store).expect(0)
    }

    @Test(
        "A run that an older version began is not gone on with, and a fingerprint of its kind counts for its runs alone"
    )
    func olderRun() throws {
        let bench = try Bench()
        defer { bench.remove() }
        let store = try unpack(bench, version: 2)
        let forward = ["forward", "--store", store, "--model", Fixtures.path("seven")]
        try bench.editRun(["arithmetic": 1, "kernels": "vector"])
        try run(forward).expect(65, "another model")
        try bench.editRun(["arithmetic": NSNull(), "kernels": NSNull()])
        try bench.forgetStates()
        let before = try bench.contents("store")
        try run(forward).expect(65, "older version", "--restart")
        #expect(try bench.contents("store").filter { $0.key != "lock" } == before)
        try run(forward + ["--restart"]).expect(0)
    }

    @Test("A run that rounded otherwise is not gone on with: it says which revision of the arithmetic, and changes nothing")
    func olderProgress() throws {
        let bench = try Bench()
        defer { bench.remove() }
        try Program(["-xzf", "\(Fixtures.directory)/progress-1.tar.gz", "-C", bench.path], executable: "/usr/bin/tar")
            .outcome().expect(0)
        let before = try bench.contents("store")
        let forward = [
            "forward", "--store", bench.file("store"), "--model", bench.file("model"), "--nll", bench.file("nll.npy"),
        ]
        try run(forward).expect(65, "revision 1", "revision 2", "program that began it", "--restart")
        #expect(try bench.contents("store").filter { $0.key != "lock" } == before)
        try run("verify", "--store", bench.file("store")).expect(0)
        try run(forward + ["--restart"]).expect(0)
        let bits = try bench.bytes("nll.npy")
        try bench.store([UInt8](repeating: 0, count: 120_000), "--raw", "--patch-size", "1", "--force")
        try run(forward).expect(0)
        #expect(try bench.bytes("nll.npy") == bits)
    }

    @Test("A run begun with blocks that today's arithmetic does not have is not gone on with, and says what to do")
    func foreignBlocks() throws {
        let bench = try Bench()
        defer { bench.remove() }
        try bench.store(fixture: "ragged")
        let forward = ["forward", "--store", bench.file("store"), "--model", Fixtures.path("ragged")]
        try run(forward).expect(0)
        try bench.forgetStates(["patches_per_block": 65])
        try run(forward).expect(65, "blocks of 65 patches", "--restart")
        try run(forward + ["--restart"]).expect(0)
    }
}
