import Foundation
import Glibc
import PageStore
import TestSupport
import Testing

/// A run that is stopped from outside, in every way, goes on with the same command and ends with the same bits.
@Suite(.serialized)
struct InterruptionTests {
    let bench: Bench

    /// A store that takes a while, with a commit every few tenths of a layer, its model, and what comes out
    /// undisturbed.
    private static let original: Result<(bench: Bench, outputs: [Data]), any Error> = Result {
        let bench = try Bench()
        atexit { try? InterruptionTests.original.get().bench.remove() }
        var numbers = TestNumbers(9)
        let bytes = numbers.bytes(150_000)
        try bench.store(bytes, "--raw", "--patch-size", "16", named: "undisturbed")
        try bench.store(bytes, "--raw", "--patch-size", "16")
        try bench.model(patchSize: 16, hiddenSize: 64)
        try run(
            "forward", "--store", bench.file("undisturbed"), "--model", bench.file("model"), "--memory", "64MiB",
            "--threads", "1", "--nll", bench.file("nll.npy")
        ).expect(0)
        return (bench, try Self.outputs(bench, store: "undisturbed"))
    }

    init() throws {
        bench = try Bench()
        let original = try Self.original.get().bench
        for part in ["store", "model"] {
            try FileManager.default.copyItem(atPath: original.file(part), toPath: bench.file(part))
        }
    }

    private static func outputs(_ bench: Bench, store: String) throws -> [Data] {
        try run("export", "--store", bench.file(store), "--generation", "2", "--out", bench.file("states.npy")).expect(
            0)
        return [try bench.bytes("nll.npy"), try bench.bytes("states.npy")]
    }

    /// Checks that the store is whole and gave what comes out undisturbed.
    private func expectSameBits() throws {
        #expect(try Self.outputs(bench, store: "store") == Self.original.get().outputs)
        try run("verify", "--store", bench.file("store")).expect(0)
    }

    /// With little memory states are on disk, with more in memory.
    private func arguments(_ flags: String..., memory: String = Program.memory(24)) -> [String] {
        [
            "forward", "--store", bench.file("store"), "--model", bench.file("model"), "--memory", memory, "--threads",
            "1", "--nll", bench.file("nll.npy"), "--json",
        ] + flags
    }

    /// Starts the command and sends `signal` once it says `word`; a run that was quicker than the signal is begun anew.
    @discardableResult
    private func interrupt(_ signal: Int32, at word: String, memory: String = Program.memory(24)) throws -> Outcome {
        for _ in 0..<5 {
            let program = try Program(arguments("--restart", memory: memory))
            program.wait(for: word)
            program.send(signal)
            let outcome = try program.outcome()
            if outcome.status != 0 { return outcome }
        }
        throw Failure("the run is always over before the signal comes")
    }

    struct Failure: Error, CustomStringConvertible {
        var description: String
        init(_ description: String) { self.description = description }
    }

    @Test(
        "Stopped, then the same command again: the same bits",
        arguments: [
            (SIGINT, "layer 1/2", Program.memory(24)), (SIGTERM, "layer 2/2", Program.memory(24)),
            (SIGKILL, "layer 1/2", Program.memory(24)), (SIGKILL, "layer 2/2", Program.memory(24)),
            (SIGINT, "layer 1/2", "512MiB"), (SIGTERM, "layer 2/2", "512MiB"), (SIGKILL, "layer 2/2", "512MiB"),
        ])
    func resumed(signal: Int32, at word: String, memory: String) throws {
        let stopped = try interrupt(signal, at: word, memory: memory)
        if signal == SIGKILL {
            stopped.expect(-SIGKILL)
        } else {
            stopped.expect(75, "interrupted", "same command")
            #expect(stopped.output.isEmpty)
        }
        #expect(!bench.exists("nll.npy") && !bench.exists("nll.npy.partial"))
        try run("verify", "--store", bench.file("store")).expect(0)
        try run("dump", "--store", bench.file("store")).expect(0)
        // What is not complete is not handed out.
        try run("export", "--store", bench.file("store"), "--generation", "2", "--out", bench.file("states.npy"))
            .expect(64, "generation 2")

        // What a signal asked to be kept was kept, also where it was in memory alone.
        let result = try run(arguments(memory: memory))
        if signal != SIGKILL {
            #expect(result.error.contains("Going on with layer") || result.error.contains("resuming"))
        }
        let summary = try result.expect(0).json()
        #expect(summary["resumed"] as? Bool == true)
        try expectSameBits()
    }

    @Test(
        "A run in memory that was killed in its last layer and stopped in an earlier one goes on, in memory or not",
        arguments: [Program.memory(24), "512MiB"])
    func killedThenStopped(memory: String) throws {
        try interrupt(SIGKILL, at: "layer 2/2", memory: "512MiB").expect(-SIGKILL)
        let program = try Program(arguments(memory: memory))
        program.wait(for: "layer 1/2")
        program.send(SIGINT)
        let status = try program.outcome().status
        #expect(status == 75 || status == 0)
        try run("verify", "--store", bench.file("store")).expect(0)
        try run(arguments(memory: "512MiB")).expect(0)
        try expectSameBits()
    }

    @Test("A begun run goes on with other memory and threads, not with another model or other flags")
    func otherMemory() throws {
        try interrupt(SIGINT, at: "layer 2/2").expect(75)
        let before = try bench.contents("store")
        let other = try bench.model("other", patchSize: 16, hiddenSize: 64, seed: 2)
        let base = ["forward", "--store", bench.file("store"), "--model", bench.file("model")]
        try run("forward", "--store", bench.file("store"), "--model", other).expect(65, "another model")
        try run(base + ["--state", "f32"]).expect(64, "--state")
        try run(base + ["--keep", "all"]).expect(64, "--keep")
        try run(base + ["--memory", "1MiB"]).expect(64, "too small")
        #expect(try bench.contents("store") == before)
        try run(base + ["--memory", "1GiB", "--threads", "2", "--nll", bench.file("nll.npy")]).expect(0)
        try expectSameBits()
    }

    /// Where progress stands in the file of generation 2; older commits may have left theirs.
    private func progressPlaces() throws -> [Int] {
        let bytes = try bench.bytes("store/generation-2/data.mdb")
        var places: [Int] = []
        var rest = bytes.startIndex..<bytes.endIndex
        while let found = bytes.range(of: Data("BBPR".utf8), in: rest) {
            places.append(found.lowerBound)
            rest = found.upperBound..<bytes.endIndex
        }
        return places
    }

    @Test(
        "Progress with a flipped bit, or with numbers that cannot be, is not gone on from",
        arguments: ["carry", "block", "counter", "version"])
    func damagedProgress(part: String) throws {
        try interrupt(SIGINT, at: "layer 2/2").expect(75)
        let places = try progressPlaces()
        #expect(!places.isEmpty)
        try bench.edit("store/generation-2/data.mdb") { bytes in
            for place in places {
                switch part {
                case "carry": bytes[place + 64 + 17] ^= 1
                case "version": bytes[place + 4] = 1
                default:
                    // The checksum is made to fit.
                    let length = Int(bytes[place + 8]) | Int(bytes[place + 9]) << 8
                    let counter: [UInt8] =
                        part == "block" ? [1, 0, 0, 0, 0, 0, 0, 0] : [255, 255, 255, 255, 255, 255, 255, 127]
                    bytes.replaceSubrange(
                        place + (part == "block" ? 16 : 24)..<place + (part == "block" ? 24 : 32), with: counter)
                    let sum = bytes[place..<place + length - 8].withUnsafeBytes { checksum($0) }
                    bytes.replaceSubrange(
                        place + length - 8..<place + length, with: withUnsafeBytes(of: sum.littleEndian) { Data($0) })
                }
            }
        }
        let before = try bench.contents("store")
        let result = try run(arguments())
        result.expect(65, "progress", "--restart", "generation 2")
        #expect(try bench.contents("store") == before)
        try run(arguments("--restart")).expect(0)
        try expectSameBits()
    }

    @Test("While one process writes a store, others read it and none writes it")
    func secondProcess() throws {
        let program = try Program(arguments())
        program.wait(for: "layer 1/2")
        // Stopped, not ended: it holds its lock for as long as this takes.
        program.send(SIGSTOP)
        try run(arguments()).expect(73, "another bbp-stream")
        try run("ingest", bench.write("good", [1]), "--store", bench.file("store"), "--force").expect(
            73, "another bbp-stream")
        try run("verify", "--store", bench.file("store")).expect(0)
        try run("dump", "--store", bench.file("store")).expect(0)
        try run("export", "--store", bench.file("store"), "--generation", "0", "--out", bench.file("tokens.npy"))
            .expect(0)
        program.send(SIGCONT)
        try program.outcome().expect(0)
        try expectSameBits()
    }

    @Test("What a killed ingest left behind is no obstacle")
    func killedIngest() throws {
        mkfifo(bench.file("pipe"), 0o600)
        let pipe = open(bench.file("pipe"), O_RDWR | O_CLOEXEC)
        defer { close(pipe) }
        let program = try Program(["ingest", bench.file("pipe"), "--store", bench.file("new")])
        while !program.hasEnded && !bench.exists("new/generation-0/data.mdb") { usleep(1000) }
        program.send(SIGKILL)
        try program.outcome().expect(-SIGKILL)
        try run("verify", "--store", bench.file("new")).expect(66, "manifest.json")
        try bench.store(Array("text".utf8), named: "new")
        try run("verify", "--store", bench.file("new")).expect(0)
    }
}
