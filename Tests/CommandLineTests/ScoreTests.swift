import Foundation
import TestSupport
import Testing

/// `score`: bits per byte of files, and nothing left behind.
struct ScoreTests {
    let bench: Bench
    private let model: String

    init() throws {
        bench = try Bench()
        model = try bench.model(patchSize: 16, hiddenSize: 16)
        try FileManager.default.createDirectory(atPath: bench.file("temporary"), withIntermediateDirectories: true)
    }

    private func score(_ files: [String], _ flags: String..., input: [UInt8] = []) throws -> Outcome {
        try run(
            ["score"] + files + ["--model", model, "--temporary", bench.file("temporary"), "--progress", "none"]
                + flags, input: input)
    }

    private func expectNothingLeft() throws {
        #expect(try FileManager.default.contentsOfDirectory(atPath: bench.file("temporary")) == [])
    }

    @Test("Files are scored as ingest and forward would score each alone; --nll has every byte")
    func asForward() throws {
        var numbers = TestNumbers(3)
        let contents = [numbers.bytes(5000), numbers.bytes(1), Array("a few words\n".utf8)]
        let files = try contents.enumerated().map { try bench.write("file\($0.offset)", $0.element) }
        let result = try score(files, "--json", "--nll", bench.file("nll.npy")).expect(0).json()
        let found = try #require(result["files"] as? [[String: Any]])
        let bits = try bench.array("nll.npy")
        #expect(bits.shape == [5013])
        var first = 0
        for (index, bytes) in contents.enumerated() {
            try bench.store(bytes, named: "store\(index)")
            try run(
                "forward", "--store", bench.file("store\(index)"), "--model", model, "--nll", bench.file("\(index).npy")
            ).expect(0)
            // BOS before the bytes, EOS after them.
            #expect(
                Array(bits.values[first..<first + bytes.count])
                    == Array(try bench.array("\(index).npy").values[1...bytes.count]))
            let sum = bits.values[first..<first + bytes.count].reduce(0) { $0 + Double($1) }
            #expect(found[index]["file"] as? String == files[index])
            #expect(found[index]["bytes"] as? Int == bytes.count)
            #expect(abs(try #require(found[index]["bits"] as? Double) - sum) < 1e-6 * sum)
            #expect(abs(try #require(found[index]["bits_per_byte"] as? Double) - sum / Double(bytes.count)) < 1e-6)
            first += bytes.count
        }
        #expect(result["bytes"] as? Int == 5013)
        #expect(result["model"] as? String == model)
        try expectNothingLeft()
    }

    @Test("People get a line a file and one for all; standard input is a file")
    func lines() throws {
        let file = try bench.write("words", Array("some words".utf8))
        let lines = try score([file, "-"], input: Array("other words".utf8)).expect(0).output.split(separator: "\n")
        #expect(lines.count == 4)
        #expect(lines.first?.contains("bits per byte") == true && lines.first?.hasSuffix(file) == true)
        #expect(lines.dropFirst(2).first?.contains("21 bytes") == true)
        #expect(lines.last == "the weights are untrained")
        try expectNothingLeft()
    }

    @Test(
        "Among many files one that cannot be read does not stop the others: it is named, and the status says so",
        arguments: ["missing", "empty", "folder"])
    func oneOfMany(kind: String) throws {
        let file = try bench.write("words", Array("some words".utf8))
        try FileManager.default.createDirectory(atPath: bench.file("folder"), withIntermediateDirectories: true)
        try bench.write("empty", [])
        let result = try score([file, bench.file(kind), file], "--nll", bench.file("nll.npy")).expect(
            66, kind, "1 of 3")
        let lines = result.output.split(separator: "\n")
        #expect(lines.count == 4 && lines[2].contains("20 bytes"))
        #expect(try bench.array("nll.npy").shape == [20])
        let json = try score([bench.file(kind), file], "--json").expect(66, kind).json()
        #expect((json["files"] as? [Any])?.count == 1)
        let unread = try #require(json["not_read"] as? [[String: Any]])
        #expect(
            unread.count == 1 && unread[0]["file"] as? String == bench.file(kind) && unread[0]["status"] as? Int == 66)
        #expect(try score([bench.file(kind), bench.file(kind)]).expect(66, kind).output == "")
        try expectNothingLeft()
    }

    @Test("What cannot be scored is said before anything is, and nothing is left")
    func refused() throws {
        let file = try bench.write("words", Array("some words".utf8))
        let empty = try bench.write("empty", [])
        try score([bench.file("missing")]).expect(66, "missing")
        try score([bench.path]).expect(66, "folder")
        try score([empty]).expect(66, "empty")
        try score(["-", "-"]).expect(64, "once")
        try score([file], "--nll", bench.file("nowhere/nll.npy")).expect(73, "nowhere")
        try score([file], "--threads", "0").expect(64, "--threads")
        try score([file, empty], "--nll", "\(bench.path)/./words").expect(64, "words", "--nll")
        #expect(try Data(contentsOf: URL(fileURLWithPath: file)) == Data("some words".utf8))
        try score([]).expect(64)
        try expectNothingLeft()
        try run("score", file, "--model", model, "--temporary", bench.file("nowhere")).expect(66, "nowhere")
    }

    @Test("An interrupted score leaves nothing, neither store nor --nll")
    func interrupted() throws {
        var numbers = TestNumbers(5)
        let file = try bench.write("long", numbers.bytes(300_000))
        for _ in 0..<5 {
            let program = try Program([
                "score", file, "--model", model, "--temporary", bench.file("temporary"), "--threads", "1", "--progress",
                "json", "--nll", bench.file("nll.npy"),
            ])
            program.wait(for: "progress")
            program.send(SIGINT)
            let outcome = try program.outcome()
            if outcome.status == 0 { continue }
            outcome.expect(75, "nothing of this file is kept")
            try expectNothingLeft()
            #expect(!bench.exists("nll.npy") && !bench.exists("nll.npy.partial"))
            return
        }
        throw InterruptionTests.Failure("the run is always over before the signal comes")
    }

    @Test("What takes long is said before it starts, and an interrupted one goes on to the same bits where it was kept")
    func kept() throws {
        // Long enough for a few seconds; --store keeps it whatever it takes.
        var numbers = TestNumbers(5)
        let file = try bench.write("long", numbers.bytes(300_000))
        let arguments = ["score", file, "--model", model, "--threads", "1", "--store", bench.file("kept")]
        let expected = try score([file], "--threads", "1", "--nll", bench.file("expected.npy")).expect(0).output
        for _ in 0..<5 {
            try? FileManager.default.removeItem(atPath: bench.file("kept"))
            let program = try Program(arguments + ["--progress", "json"])
            program.wait(for: #""event": "progress""#)
            program.send(SIGINT)
            let outcome = try program.outcome()
            if outcome.status == 0 { continue }
            outcome.expect(
                75, "kept", "the same command goes on", #""event": "forecast""#, #""kept_in""#, "bytes_per_second")
            #expect(outcome.error.split(separator: "\n").allSatisfy { $0.hasPrefix("{") })
            let result = try run(arguments + ["--nll", bench.file("nll.npy")]).expect(0)
            #expect(result.output == expected)
            #expect(try bench.bytes("nll.npy") == bench.bytes("expected.npy"))
            // It stays, and a third time there is nothing to compute.
            try run("verify", "--store", bench.file("kept")).expect(0)
            #expect(try run(arguments).expect(0, "finished").output == expected)
            // Other bytes, other files.
            try bench.write("long", numbers.bytes(300_000))
            try run(arguments).expect(73, "other bytes", "--store")
            try run(arguments + [file]).expect(64, "--store", "one file")
            return
        }
        throw InterruptionTests.Failure("the run is always over before the signal comes")
    }

    @Test("A long score by itself keeps what is done where it says, and removes it at the end", .timeLimit(.minutes(5)))
    func keptByItself() throws {
        // Minutes with a model of this size: it is stopped, not waited for.
        let model = try bench.model("large", patchSize: 16, hiddenSize: 256, layers: 24)
        var numbers = TestNumbers(6)
        let file = try bench.write("long", numbers.bytes(2_000_000))
        let arguments = [
            "score", file, "--model", model, "--threads", "1", "--temporary", bench.file("temporary"), "--memory",
            "200MiB",
        ]
        let program = try Program(arguments)
        program.wait(for: "layer 1/24")
        program.send(SIGINT)
        let outcome = try program.outcome().expect(
            75, "take about", "the same command goes on", "With nano about", "--model nano")
        let kept = try FileManager.default.contentsOfDirectory(atPath: bench.file("temporary"))
        #expect(kept.count == 1)
        let name = try #require(kept.first)
        #expect(outcome.error.contains(bench.file("temporary/\(name)")))
        #expect(
            try FileManager.default.attributesOfItem(atPath: bench.file("temporary/\(name)"))[.posixPermissions] as? Int
                == 0o700)
        // The same command finds it; another model has another place.
        let again = try Program(arguments)
        again.wait(for: "layer 1/24")
        again.send(SIGINT)
        try again.outcome().expect(75)
        #expect(try FileManager.default.contentsOfDirectory(atPath: bench.file("temporary")) == kept)
    }

    @Test("A model is found by name where BBP_STREAM_MODELS says, a folder of that name before it")
    func named() throws {
        let file = try bench.write("words", Array("some words".utf8))
        let found = try Program(
            ["BBP_STREAM_MODELS=\(bench.path)", Program.path, "score", file, "--model", "model", "--json"],
            executable: "/usr/bin/env"
        ).outcome().expect(0).json()
        #expect(found["model"] as? String == model)
        try Program(["BBP_STREAM_MODELS=\(bench.path)", Program.path, "score", file], executable: "/usr/bin/env")
            .outcome().expect(66, "base", bench.path)
        try run("score", file, "--model", "no-such-model").expect(66, "no-such-model", "base and nano")
        // A folder here that has a model's name is taken, or passed over, with a word.
        try bench.shell("cp -r model nano && exec \"$P\" score words --model nano").expect(
            0, "./nano", "comes with the program")
        try bench.shell("mkdir base && exec \"$P\" model info base").expect(0, "./base here is no model")
        let listed = try #require(run("model", "list", "--json").expect(0).json()["models"] as? [[String: Any]])
        #expect(listed.compactMap { $0["name"] as? String } == ["base", "nano"])
        #expect(try run("model", "list").expect(0).output.contains("nano"))
    }
}
