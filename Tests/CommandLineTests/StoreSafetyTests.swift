import Foundation
import Glibc
import TestSupport
import Testing

/// Stores that were changed by hand or put together from parts: nothing is deleted, nothing wrong is handed out.
struct StoreSafetyTests {
    let bench: Bench
    private let model = Fixtures.path("ragged")
    init() throws { bench = try Bench() }

    private func forward(_ flags: String...) throws -> Outcome {
        try run(["forward", "--store", bench.file("store"), "--model", model, "--progress", "none"] + flags)
    }

    /// A store of the fixture's tokens with the states of every layer.
    private func finishedStore() throws {
        try bench.store(fixture: "ragged")
        try forward("--keep", "all").expect(0)
    }

    /// The files of the store, but its lock.
    private func contents() throws -> [String: Data] { try bench.contents("store").filter { $0.key != "lock" } }

    /// Checks that everything that reads the store's generations refuses it, and that it stays as it is.
    private func expectRefused(_ words: String..., sourceLocation: SourceLocation = #_sourceLocation) throws {
        let before = try contents()
        for command in [
            ["forward", "--model", model], ["forward", "--model", model, "--dry-run"],
            ["export", "--generation", "1", "--out", bench.file("out.npy")], ["verify"],
        ] {
            let result = try run(command + ["--store", bench.file("store")])
            #expect(result.status == 65, "\(command): \(result.error)", sourceLocation: sourceLocation)
            for word in words {
                #expect(result.error.contains(word), "\(command): \(result.error)", sourceLocation: sourceLocation)
            }
        }
        #expect(try contents() == before, sourceLocation: sourceLocation)
        #expect(!bench.exists("out.npy"), sourceLocation: sourceLocation)
    }

    // MARK: Nothing is deleted on the word of a manifest

    @Test("A wrong digit in a folder's name deletes nothing", arguments: [false, true])
    func wrongDirectory(sealing: Bool) throws {
        try bench.store(fixture: "ragged")
        try bench.editGeneration(0, ["directory": "generation-5"], sealing: sealing)
        let before = try contents()
        for flags in [[], ["--dry-run"], ["--restart"], ["--restart", "--dry-run"]] {
            let result = try run(["forward", "--store", bench.file("store"), "--model", model] + flags)
            result.expect(65, sealing ? "'generation-0' says that it is the one wanted" : "checksum")
            #expect(try contents() == before)
        }
    }

    @Test("Folders that were exchanged, or two of one name, are told by their identities")
    func exchangedDirectories() throws {
        try finishedStore()
        try bench.editGeneration(1, ["directory": "generation-2"])
        try expectRefused("directory")
        try bench.editGeneration(2, ["directory": "generation-1"])
        try expectRefused("belongs elsewhere")
        try bench.editGeneration(0, ["directory": "generation-3"])
        try bench.editGeneration(3, ["directory": "generation-0.1"])
        try expectRefused("generation")
    }

    @Test("An older manifest put back deletes no finished states, and the newer one finds them again")
    func olderManifest() throws {
        try bench.store(fixture: "ragged")
        // Laid out by the run: that is no part of what is tested here.
        try run(
            "ingest", "\(model)/tokens.u16", "--tokens", "--patch-size", "16", "--store", bench.file("store"), "--force"
        ).expect(0)
        let older = try bench.bytes("store/manifest.json")
        try forward().expect(0)
        let (newer, states) = (try bench.bytes("store/manifest.json"), try bench.bytes("store/generation-3/data.mdb"))
        try bench.write("store/manifest.json", older)
        let before = try contents()
        try forward("--dry-run").expect(0)
        try run("verify", "--store", bench.file("store")).expect(0)
        #expect(try contents() == before)
        // It runs anew, beside what nobody names, and says so.
        try run("forward", "--store", bench.file("store"), "--model", model).expect(0, "generation-3 stays")
        try forward("--restart").expect(0)
        #expect(try bench.bytes("store/generation-3/data.mdb") == states)
        try bench.write("store/manifest.json", newer)
        try run("verify", "--store", bench.file("store")).expect(0)
        try forward().expect(0)
    }

    @Test("--restart that was killed between manifest and removal leaves nothing for good", arguments: [false, true])
    func killedRestart(isFinished: Bool) throws {
        try finishedStore()
        let identity = try String(decoding: bench.bytes("store/generation-1/data.mdb"), as: UTF8.self).firstMatch(
            of:
                /store [-0-9a-f]{36} generation 1 [ -~]* id [-0-9a-f]{36} computed by [ -~]* convolutions (?:direct|fourier)/
        )
        // As the manifest is when what it dropped is still there: of the states, or of an older generation.
        try bench.editManifest { fields in
            let generations = try #require(fields["generations"] as? [[String: Any]])
            fields["dropped"] = [["directory": "generation-1", "identity": String(try #require(identity).output)]]
            if isFinished {
                fields["generations"] = [generations[0], generations[2], generations[3]]
            } else {
                (fields["generations"], fields["run"]) = ([generations[0]], nil)
            }
        }
        let before = try contents()
        try run("forward", "--store", bench.file("store"), "--model", model, "--dry-run").expect(0)
        try run("verify", "--store", bench.file("store")).expect(0)
        #expect(try contents() == before)
        try forward().expect(0)
        #expect(
            isFinished
                ? !bench.exists("store/generation-1")
                : try bench.bytes("store/generation-2/data.mdb") == before["generation-2/data.mdb"])
        #expect(try !String(contentsOfFile: bench.file("store/manifest.json"), encoding: .utf8).contains("dropped"))
        try run("verify", "--store", bench.file("store")).expect(0)
    }

    @Test("--restart --dry-run deletes nothing, and drops states that are not whole")
    func restart() throws {
        try finishedStore()
        try bench.edit("store/generation-2/data.mdb") { $0 = $0.prefix(3000) }
        let before = try contents()
        try forward().expect(65, "generation-2/data.mdb", "--restart")
        try forward("--restart", "--dry-run").expect(0)
        #expect(try contents() == before)
        try run("forward", "--store", bench.file("store"), "--model", model, "--restart").expect(0)
        try run("verify", "--store", bench.file("store")).expect(0)
    }

    // MARK: Nothing is written where nothing is computed

    private static let unshare = "/usr/bin/unshare"
    private static let hasMounts =
        (try? Program(["-rm", "sh", "-c", "mount -t tmpfs tmpfs /tmp"], executable: unshare).outcome().status) == 0

    @Test(
        "What only reads works on a disk that cannot be written",
        .enabled(if: hasMounts, "this system lets no user mount a file system"))
    func readOnlyDisk() throws {
        try finishedStore()
        try forward("--nll", bench.file("wanted.npy")).expect(0)
        // Without it a lock cannot be taken.
        try FileManager.default.removeItem(atPath: bench.file("store/lock"))
        let script = """
            cd '\(bench.path)' && mount --bind store store && mount -o remount,ro,bind store || exit 1
            bbp='\(Program.path)'; model='\(model)'
            touch store/file 2> /dev/null && exit 2
            $bbp forward --store store --model $model --dry-run || exit 3
            $bbp forward --store store --model $model --restart --dry-run || exit 4
            $bbp forward --store store --model $model --nll nll.npy || exit 5
            $bbp dump --store store && $bbp dump --store store --generation 1 || exit 6
            $bbp verify --store store || exit 7
            $bbp export --store store --generation 3 --out out.npy || exit 8
            $bbp forward --store store --model $model --restart; [ $? = 73 ] || exit 9
            """
        try Program(["-rm", "sh", "-c", script], executable: Self.unshare).outcome().expect(0)
        #expect(try bench.bytes("nll.npy") == bench.bytes("wanted.npy"))
        #expect(!bench.exists("store/lock"))
    }

    @Test("What only reads waits for no lock")
    func lockedStore() throws {
        try finishedStore()
        let lock = open(bench.file("store/lock"), O_RDWR | O_CLOEXEC)
        defer { close(lock) }
        #expect(flock(lock, LOCK_EX | LOCK_NB) == 0)
        let before = try contents()
        try forward("--dry-run").expect(0)
        try forward("--restart", "--dry-run").expect(0)
        try forward("--nll", bench.file("nll.npy")).expect(0)
        #expect(try contents() == before)
        try forward("--restart").expect(73, "another bbp-stream")
    }

    // MARK: Sizes that do not fit

    @Test(
        "A manifest whose numbers fit nothing is refused, whatever its checksum",
        arguments: [
            ("generation 0", "width", "64"), ("generation 0", "element", "\"bf16\""),
            ("generation 0", "patches_per_block", "1"), ("generation 0", "patches_per_block", "1099511627776"),
            ("generation 0", "complete", "false"), ("generation 0", "tables", "[\"surprisal\"]"),
            ("generation 0", "order", "\"random\""), ("generation 0", "id", "\"x\""),
            ("generation 1", "element", "\"f32\""), ("generation 1", "width", "1"),
            ("generation 1", "width", "1048576"), ("generation 1", "element", "\"u16\""),
            ("generation 1", "stored_bytes", "-9223372036854775808"), ("generation 1", "patches_per_block", "64"),
            ("generation 1", "index", "9223372036854775807"),
            ("run", "state", "\"u16\""), ("run", "state", "\"f32\""), ("run", "hidden_size", "4096"),
            ("run", "layers", "9223372036854775807"), ("run", "layers", "2"),
            ("run", "patches_per_block", "9223372036854775807"), ("run", "keep", "\"\""), ("run", "compute", "\"f64\""),
            ("run", "convolution", "\"\""),
            ("manifest", "patch_size", "32"), ("manifest", "patch_size", "16384"),
            ("manifest", "tokens", "4611686018427387904"), ("manifest", "store", "\"another\""),
        ])
    func hostileManifest(of what: String, field: String, value: String) throws {
        try finishedStore()
        let parsed = try JSONSerialization.jsonObject(with: Data(value.utf8), options: .fragmentsAllowed)
        switch what {
        case "run": try bench.editRun([field: parsed])
        case "manifest": try bench.editManifest([field: parsed])
        default: try bench.editGeneration(what.hasSuffix("0") ? 0 : 1, [field: parsed])
        }
        try expectRefused()
    }

    /// A run that has no states yet is held against the model alone.
    @Test(
        "A begun run that does not fit the model is refused, though it has the model's fingerprint",
        arguments: [
            ("state", "\"u16\"", 65, "state"), ("hidden_size", "4096", 65, "hidden size 4096 and 16"),
            ("layers", "4", 65, "4 and 3 layers"), ("patches_per_block", "65", 65, "65"),
            ("kernels", "null", 65, "older version"), ("arithmetic", "3", 65, "revision 3"),
            ("arithmetic", "null", 65, "another model"), ("compute", "\"bf16\"", 64, "bf16"),
            ("convolution", "\"fourier\"", 0, ""),
        ])
    func begunRun(field: String, value: String, status: Int32, word: String) throws {
        try finishedStore()
        let parsed = try JSONSerialization.jsonObject(with: Data(value.utf8), options: .fragmentsAllowed)
        try bench.forgetStates([field: parsed])
        let result = try run("forward", "--store", bench.file("store"), "--model", model, "--compute", "f32").expect(
            status)
        if status == 0 { return }
        #expect(result.error.contains(word), "it said: \(result.error)")
        // A manifest that cannot be is not believed in anything.
        try forward("--restart").expect(field == "state" ? 65 : 0)
    }

    @Test(
        "A run goes on only with kernels that round as those did that began it",
        arguments: [("plain", "vector"), ("vector", "plain")])
    func otherKernels(begun: String, now: String) throws {
        try finishedStore()
        try bench.forgetStates(["kernels": begun])
        let command = [
            "BBP_KERNELS=\(now == "plain" ? "plain" : "avx2")", Program.path, "forward", "--store", bench.file("store"),
            "--model", model,
        ]
        let result = try Program(command, executable: "/usr/bin/env").outcome()
        // A processor without AVX2 has plain kernels alone.
        if result.error.contains("does not have") { return }
        result.expect(64, begun, now, "BBP_KERNELS", "--restart")
        try Program(command + ["--restart"], executable: "/usr/bin/env").outcome().expect(0)
        // A finished store is only read.
        try forward().expect(0)
    }

    // MARK: Models

    @Test("The same bytes in another number format are another model")
    func relabelled() throws {
        for (name, format) in [("half", "F16"), ("brain", "BF16")] {
            _ = try bench.modelCopy("seven", name)
            var weights = try ModelFileTests.Weights(bench.bytes("\(name)/model.safetensors"))
            let values = weights
            weights.data = Data()
            for tensor in weights.header.keys.filter({ $0 != "__metadata__" }).sorted() {
                let offsets = values.field(tensor, "data_offsets"), start = weights.data.count
                let bits = values.data[offsets[0]..<offsets[1]].withUnsafeBytes { bytes in
                    (0..<bytes.count / 4).map {
                        Float16(bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self)).bitPattern
                    }
                }
                weights.data += bits.withUnsafeBytes { Data($0) }
                weights.set(tensor, "data_offsets", [start, weights.data.count])
                weights.set(tensor, "dtype", format)
            }
            try bench.write("\(name)/model.safetensors", weights.file)
        }
        try bench.store(fixture: "seven")
        let forward = ["forward", "--store", bench.file("store"), "--model"]
        try run(forward + [bench.file("half")]).expect(0)
        try run(forward + [bench.file("brain")]).expect(65, "another model")
        try run(forward + [bench.file("half")]).expect(0)
    }

    @Test(
        "Weights that overflow give no array of NaN: model, layer and first token are named",
        arguments: ["last", "none"])
    func overflow(keep: String) throws {
        let name = try bench.modelCopy("ragged")
        var weights = try ModelFileTests.Weights(bench.bytes("model/model.safetensors"))
        // Layer 2 meets values that are finite still.
        for index in 0..<16 { weights.set("blocks.1.norm1.norm.weight", value: index, 3e38) }
        try bench.write("model/model.safetensors", weights.file)
        try bench.store(fixture: "ragged")
        var found: Set<String> = []
        for threads in ["1", "2", "2"] {
            let result = try run(
                "forward", "--store", bench.file("store"), "--model", name, "--keep", keep, "--nll",
                bench.file("nll.npy"), "--threads", threads, "--restart"
            ).expect(65, name, "layer 2", "token 0")
            found.insert(result.error.components(separatedBy: "\n").first { $0.contains("layer 2 gives") } ?? "")
            #expect(result.output.isEmpty)
            #expect(!bench.exists("nll.npy"))
        }
        #expect(found.count == 1)
        try run("verify", "--store", bench.file("store")).expect(0)
        try run("score", bench.write("text", "some text".utf8), "--model", name).expect(65, "layer 2")
    }

    @Test("States that bf16 does not hold are refused, and the way out is named")
    func overflowOfStates() throws {
        let name = try bench.modelCopy("seven")
        var weights = try ModelFileTests.Weights(bench.bytes("model/model.safetensors"))
        // A shift of every state after the last layer, between the largest number of bf16 and that of f32.
        for index in 0..<24 {
            weights.set("blocks.1.cov4.bias", value: index, 3.4e38)
            for column in 0..<24 { weights.set("blocks.1.cov4.weight", value: 24 * index + column, 0) }
        }
        try bench.write("model/model.safetensors", weights.file)
        try bench.store(fixture: "seven")
        try run("forward", "--store", bench.file("store"), "--model", name).expect(
            65, "layer 2", "token 0", "--state f32")
    }
}
