import Foundation
import Glibc
import TestSupport
import Testing

/// `score -` with a model whose layers all stream: bytes as they come, without a store and without an end.
struct StreamScoreTests {
    private let bench: Bench
    private let model: String
    private let bytes: [UInt8]

    init() throws {
        bench = try Bench()
        model = bench.file("model")
        try run(
            "model", "init", model, "--hidden-size", "16", "--heads", "2", "--intermediate-size", "16",
            "--kernel-size", "5", "--patch-size", "16", "--mixers", "w:100,r,w:30"
        ).expect(0)
        var numbers = TestNumbers(21)
        // More than two blocks of 8 tiles of 768 tokens.
        bytes = numbers.bytes(15_000)
    }

    /// Surprisal of all bytes, of one run over a store.
    private func wanted(model: String? = nil, patchSize: Int = 16) throws -> [Float] {
        let model = model ?? self.model
        try bench.store(bytes, "--patch-size", "\(patchSize)")
        try run(
            "forward", "--store", bench.file("store"), "--model", model, "--convolution", "direct", "--nll",
            bench.file("wanted.npy")
        ).expect(0)
        // Between BOS and EOS.
        return Array(try bench.array("wanted.npy").values[1...bytes.count])
    }

    private func score(_ input: [UInt8], _ flags: String...) throws -> Outcome {
        try run(["score", "-", "--model", model, "--json", "--nll", bench.file("nll.npy")] + flags, input: input)
    }

    private func same(_ found: [Float], _ wanted: [Float]) -> Bool {
        found.map(\.bitPattern) == wanted.map(\.bitPattern)
    }

    @Test("The bits are those of a run over a store, whatever memory and threads are", arguments: [1, 2, 3])
    func oneRun(threads: Int) throws {
        let wanted = try wanted()
        let result = try score(bytes, "--threads", "\(threads)", "--memory", Program.memory(20 + 40 * threads))
            .expect(0).json()
        #expect(same(try bench.array("nll.npy").values, wanted))
        let sum = wanted.reduce(0) { $0 + Double($1) }
        #expect(result["bytes"] as? Int == bytes.count)
        #expect(abs(try #require(result["bits"] as? Double) - sum) < 1e-6 * sum)
        // To a pipe, which takes the values alone.
        try bench.write("in", bytes)
        try bench.shell("$P score - --model model --nll - < in > values").expect(0)
        let values = try bench.bytes("values").withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
        #expect(same(values, wanted))
    }

    @Test(
        "Every kind that streams goes on from a saved state with the bits of one run",
        arguments: [
            "pair-mamba-linear", "pair-xl-rwkv6", "pair-s4d-transnormer", "pair-rwkv7-mamba2", "pair-retention-window",
        ])
    func kinds(fixture: String) throws {
        let model = Fixtures.path(fixture)
        let wanted = try wanted(model: model, patchSize: 5)
        for (first, end) in [(0, 1), (1, 2), (2, 700), (700, 3333), (3333, 15_000)] {
            try run(
                ["score", "-", "--model", model, "--threads", "2", "--nll", bench.file("nll.npy")]
                    + ["--save-state", bench.file("state")] + (first > 0 ? ["--from-state", bench.file("state")] : []),
                input: Array(bytes[first..<end])
            ).expect(0)
            #expect(same(try bench.array("nll.npy").values, Array(wanted[..<end])))
        }
    }

    @Test("Saved states go on with the bits of one run, wherever it was cut, with other threads")
    func parts() throws {
        let wanted = try wanted()
        let cuts = [0, 1, 2, 700, 6143, 6144, 6145, 14_000, 15_000]
        var last: [String: Any] = [:]
        for (place, (first, end)) in zip(cuts, cuts.dropFirst()).enumerated() {
            var flags = ["--threads", "\(1 + place % 3)", "--save-state", bench.file("state")]
            if place > 0 { flags += ["--from-state", bench.file("state")] }
            let outcome = try run(
                ["score", "-", "--model", model, "--json", "--nll", bench.file("nll.npy")] + flags,
                input: Array(bytes[first..<end]))
            last = try outcome.expect(0).json()
            // The file goes on, too.
            #expect(same(try bench.array("nll.npy").values, Array(wanted[..<end])))
        }
        // Sums go on, too.
        let sum = wanted.reduce(0) { $0 + Double($1) }
        #expect(abs(try #require(last["bits"] as? Double) - sum) < 1e-6 * sum)
        #expect(last["bytes"] as? Int == 15_000 && last["bytes_of_earlier_runs"] as? Int == 14_000)
    }

    @Test("Bits of a slow input come while it is open; a signal saves the state, and the rest follows")
    func slowly() throws {
        let wanted = try wanted()
        let pipe = bench.file("pipe")
        #expect(mkfifo(pipe, 0o600) == 0)
        // Held open by a shell, which writes a few bytes and waits.
        let first = try bench.write("first", bytes[..<7000])
        let program = try Program(
            [
                "-c",
                #"(cat "$1"; exec sleep 30) > "$2" & "#
                    + #"exec "$3" score - --model "$4" --nll "$5" --save-state "$6" < "$2""#,
                "bash", first, pipe, Program.path, model, bench.file("nll.npy"), bench.file("state"),
            ], executable: "/bin/bash")
        func count() -> Int { (try? bench.array("nll.npy").values.count) ?? 0 }
        for _ in 0..<600 where count() < 7000 { usleep(50_000) }
        #expect(!program.hasEnded)
        // The file is an array at every moment.
        #expect(same(try bench.array("nll.npy").values, Array(wanted[..<7000])))
        program.send(SIGTERM)
        let outcome = try program.outcome()
        outcome.expect(75, "interrupted", "state")
        try score(Array(bytes[7000...]), "--from-state", bench.file("state")).expect(0)
        #expect(same(try bench.array("nll.npy").values, wanted))
    }

    @Test("A damaged state, one of another model, and none at all are refused")
    func states() throws {
        let state = bench.file("state")
        try score(Array(bytes[..<7000]), "--save-state", state).expect(0)
        let whole = try bench.bytes("state")
        for offset in [0, 5, 9, 20, 40, whole.count / 3, whole.count / 2, whole.count - 1] {
            var damaged = whole
            damaged[offset] ^= 4
            try bench.write("damaged", damaged)
            try score([1], "--from-state", bench.file("damaged")).expect(65, "damaged")
        }
        for length in [0, 3, 30, whole.count - 1] {
            try bench.write("damaged", whole.prefix(length))
            try score([1], "--from-state", bench.file("damaged")).expect(65, "damaged")
        }
        try score([1], "--from-state", bench.file("missing")).expect(66, "missing")
        try run(
            "model", "init", bench.file("other"), "--hidden-size", "16", "--heads", "2", "--patch-size", "16",
            "--mixers", "r,r", "--seed", "5"
        ).expect(0)
        try run(["score", "-", "--model", bench.file("other"), "--from-state", state], input: [1]).expect(65, "model")
        // In other arithmetic bits would differ.
        try score([1], "--from-state", state, "--state", "f32").expect(65, "round")
    }

    @Test("States need standard input, and a model whose layers all stream; an empty input is none")
    func refusals() throws {
        let file = try bench.write("file", bytes[..<100])
        let state = bench.file("state")
        try run("score", file, "--model", model, "--save-state", state).expect(64, "--save-state", "standard input")
        try run(["score", "-", "--model", "nano", "--save-state", state], input: [1]).expect(64, "all over")
        try score(Array(bytes[..<10]), "--save-state", state, "--convolution", "fourier").expect(64, "--convolution")
        try score([]).expect(66, "empty")
        #expect(!bench.exists("state") && !bench.exists("nll.npy"))
        // What is there stays until there is something to put in its place.
        try bench.write("nll.npy", [1, 2, 3])
        try score([]).expect(66, "empty")
        #expect(try bench.bytes("nll.npy") == Data([1, 2, 3]))
        try score([1, 2, 3], "--save-state", bench.file("nll.npy")).expect(64, "nll.npy")
        try score([1, 2, 3], "--save-state", state).expect(0)
        let saved = try bench.bytes("state")
        // One file for two things, and an array that the state does not follow.
        try run(["score", "-", "--model", model, "--from-state", state, "--nll", state], input: [4]).expect(64, "state")
        try bench.write("nll.npy", try bench.bytes("nll.npy").dropLast(4))
        try score([4], "--from-state", state).expect(64, "3 values")
        #expect(try bench.bytes("state") == saved)
    }

    @Test("Where bits cannot be written, the bytes that came are in the saved state")
    func unwritten() throws {
        let wanted = try wanted()
        try run(
            ["score", "-", "--model", model, "--nll", "/dev/full", "--save-state", bench.file("state")],
            input: Array(bytes[..<9000])
        ).expect(74, "/dev/full")
        try score(Array(bytes[9000...]), "--from-state", bench.file("state")).expect(0)
        #expect(same(try bench.array("nll.npy").values, wanted))
    }

    @Test("The least memory that is named is enough, and nobody is told of a store")
    func leastMemory() throws {
        let refused = try score([1, 2, 3], "--memory", "1MiB").expect(64, "1.00 MiB")
        #expect(!refused.error.contains("store") && !refused.error.contains("begun"))
        try score([1, 2, 3], "--memory", try #require(refused.leastMemory)).expect(0)
    }

    @Test("forward --stream has a value for every token, as a run over a store has, in parts and at once")
    func forward() throws {
        try bench.store(bytes, "--patch-size", "16")
        let model = self.model
        try run("forward", "--store", bench.file("store"), "--model", model, "--nll", bench.file("wanted.npy")).expect(
            0)
        let wanted = try bench.array("wanted.npy").values
        var parts: [Float] = []
        func stream(_ part: ArraySlice<UInt8>, _ flags: [String]) throws -> [String: Any] {
            try run(
                ["forward", "--stream", "--model", model, "--json", "--nll", bench.file("nll.npy")] + flags,
                input: Array(part)
            ).expect(0).json()
        }
        let summary = try stream(bytes[...], [])
        #expect(same(try bench.array("nll.npy").values, wanted))
        #expect(summary["tokens"] as? Int == bytes.count + 2 && summary["scored_tokens"] as? Int == bytes.count)
        let state = bench.file("state")
        _ = try stream(bytes[..<6143], ["--save-state", state])
        // The end of what came so far is known, and makes way for what follows.
        #expect(try bench.array("nll.npy").values.count == 6145)
        _ = try stream(bytes[6143...], ["--from-state", state, "--threads", "2"])
        parts = try bench.array("nll.npy").values
        #expect(same(parts, wanted))
        // What `score` saves, it goes on from, too.
        try score(Array(bytes[..<7000]), "--save-state", state).expect(0)
        let rest = bench.file("rest.npy")
        try run(
            ["forward", "--stream", "--model", model, "--from-state", state, "--nll", rest],
            input: Array(bytes[7000...])
        )
        .expect(0)
        #expect(same(try bench.array("rest.npy").values, Array(wanted[7001...])))
    }

    @Test("forward --stream is without a store, and a store without states that are saved")
    func streamFlags() throws {
        let store = try bench.store(Array(bytes[..<100]), "--patch-size", "16")
        let forward = ["forward", "--model", model]
        try run(forward).expect(64, "--store", "--stream")
        try run(forward + ["--stream", "--store", store, "--keep", "all"]).expect(64, "--store and --keep")
        try run(forward + ["--store", store, "--save-state", bench.file("s")]).expect(64, "--save-state")
        try run(forward + ["--stream", "--convolution", "fourier"]).expect(64, "directly")
        try run(["forward", "--model", "nano", "--stream"], input: [1]).expect(64, "all over")
        try run(forward + ["--stream"]).expect(66, "empty")
    }

    @Test("Two runs do not write one array, or go on from one state, at the same time; a state is a file")
    func alone() throws {
        let state = bench.file("state")
        try score(Array(bytes[..<100]), "--save-state", state).expect(0)
        let saved = try bench.bytes("state")
        let pipe = bench.file("pipe")
        #expect(mkfifo(pipe, 0o600) == 0)
        let first = try bench.write("first", bytes[100..<200])
        let program = try Program(
            [
                "-c",
                #"(cat "$1"; exec sleep 30) > "$2" & exec "$3" score - --model "$4" --nll "$5" --from-state "$6" "#
                    + #"--save-state "$6" < "$2""#,
                "bash", first, pipe, Program.path, model, bench.file("nll.npy"), state,
            ], executable: "/bin/bash")
        for _ in 0..<600 where (try? bench.array("nll.npy").values.count) ?? 0 < 200 { usleep(20_000) }
        try score([1, 2]).expect(73, "nll.npy", "another bbp-stream")
        try run(
            ["score", "-", "--model", model, "--from-state", state, "--save-state", state], input: [1]
        ).expect(73, "state", "another bbp-stream")
        #expect(try bench.array("nll.npy").values.count == 200 && bench.bytes("state") == saved)
        // A file that was taken away is not written to.
        try FileManager.default.removeItem(atPath: bench.file("nll.npy"))
        program.send(SIGTERM)
        _ = try program.outcome()
        for option in ["--save-state", "--from-state"] {
            try run(["score", "-", "--model", model, option, "-"], input: [1]).expect(64, option)
        }
    }

    @Test("An array that is removed while it is written is no place for more; the state holds the bytes")
    func removed() throws {
        let pipe = bench.file("pipe")
        #expect(mkfifo(pipe, 0o600) == 0)
        let (first, rest) = (try bench.write("first", bytes[..<100]), try bench.write("rest", bytes[100..<200]))
        let program = try Program(
            [
                "-c",
                #"(cat "$1"; until test -e "$5"; do sleep 0.1; done; while test -e "$5"; do sleep 0.1; done; cat "$7") > "$2" & exec "$3" score - --model "$4" "#
                    + #"--nll "$5" --save-state "$6" < "$2""#,
                "bash", first, pipe, Program.path, model, bench.file("nll.npy"), bench.file("state"), rest,
            ], executable: "/bin/bash")
        for _ in 0..<600 where (try? bench.array("nll.npy").values.count) ?? 0 < 100 { usleep(20_000) }
        try FileManager.default.removeItem(atPath: bench.file("nll.npy"))
        try program.outcome().expect(74, "removed", "state holds all 200 bytes")
    }

    @Test("A long input keeps memory flat")
    func flat() throws {
        var numbers = TestNumbers(4)
        let part = try bench.write("part", numbers.bytes(400_000))
        let program = try Program(
            [
                "-c",
                #"exec "$2" score - --model "$3" --threads 2 --json < <(for i in {1..8}; do cat "$1"; done)"#, "bash",
                part, Program.path, model,
            ], executable: "/bin/bash")
        var samples: [Int] = []
        while !program.hasEnded {
            let now = program.memory("RssAnon")
            if now > 0 { samples.append(now) }
            usleep(5000)
        }
        // Of the last quarter nothing is more than of the first half.
        let (early, late) = (samples.prefix(samples.count / 2).max() ?? 0, samples.suffix(samples.count / 4).max() ?? 0)
        #expect(samples.count > 8 && late < early + 1 << 20, "\(samples.count) samples, \(early) and \(late) bytes")
        let outcome = try program.outcome()
        #expect(try outcome.expect(0).json()["bytes"] as? Int == 3_200_000)
    }
}
