import Foundation
import Glibc
import TestSupport
import Testing

/// Whatever ends the program, it leaves nothing half made; what a kill leaves, the next start removes.
@Suite(.serialized)
struct SignalTests {
    let bench: Bench
    private let model: String

    init() throws {
        bench = try Bench()
        model = try bench.model(patchSize: 16, hiddenSize: 64)
        try FileManager.default.createDirectory(atPath: bench.file("temporary"), withIntermediateDirectories: true)
        var numbers = TestNumbers(5)
        try bench.write("long", numbers.bytes(400_000))
    }

    private func left() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: bench.file("temporary"))
    }

    /// A score that takes some seconds, from when it computes on.
    private func score() throws -> Program {
        let program = try Program([
            "score", bench.file("long"), "--model", model, "--temporary", bench.file("temporary"), "--threads", "1",
            "--progress", "json", "--nll", bench.file("temporary/nll.npy"),
        ])
        program.wait(for: #""event": "progress""#)
        return program
    }

    @Test("A hangup, an interruption, a request to end: the same", arguments: [SIGHUP, SIGINT, SIGTERM])
    func once(signal: Int32) throws {
        let program = try score()
        program.send(signal)
        try program.outcome().expect(75, "interrupted")
        #expect(try left() == [])
    }

    @Test("A hangup that nohup has ignored stays ignored")
    func nohup() throws {
        let program = try Program(
            [
                "-c", "trap '' HUP; exec \"$0\" \"$@\"", Program.path, "score", bench.file("long"), "--model", model,
                "--progress", "json",
            ], executable: "/bin/bash")
        program.wait(for: #""event": "progress""#)
        program.send(SIGHUP)
        try program.outcome().expect(0)
    }

    @Test("A second signal ends at once, and cleans up", arguments: [SIGINT, SIGHUP])
    func twice(signal: Int32) throws {
        // Under a debugger's stop both arrive together.
        let program = try score()
        program.send(SIGSTOP)
        program.send(signal)
        program.send(SIGTERM)
        program.send(SIGCONT)
        try program.outcome().expect(75)
        #expect(try left() == [])
    }

    @Test("A second signal to an ingest that waits for its input leaves no half-made store")
    func ingest() throws {
        mkfifo(bench.file("pipe"), 0o600)
        let pipe = open(bench.file("pipe"), O_RDWR | O_CLOEXEC)
        defer { close(pipe) }
        let program = try Program(["ingest", bench.file("pipe"), "--store", bench.file("new")])
        while !program.hasEnded && !bench.exists("new/generation-0/data.mdb") { usleep(1000) }
        program.send(SIGSTOP)
        program.send(SIGINT)
        program.send(SIGTERM)
        program.send(SIGCONT)
        try program.outcome().expect(75)
        #expect(!bench.exists("new"))
    }

    @Test("What a killed score left is removed by the next one, that of one at work is not")
    func killed() throws {
        let killed = try score()
        killed.send(SIGKILL)
        try killed.outcome().expect(-SIGKILL)
        #expect(try !left().isEmpty)
        let working = try score()
        let folders = try left()
        #expect(folders.count == 1)
        try run(
            "score", bench.write("words", Array("some words".utf8)), "--model", model, "--temporary",
            bench.file("temporary")
        ).expect(0)
        #expect(try left() == folders)
        try working.outcome().expect(0)
        #expect(try left() == ["nll.npy"])
    }

    @Test("A reader that leaves ends what only it wanted, and nothing else")
    func closedPipe() throws {
        let words = try bench.write("words", Array("some words".utf8))
        try bench.shell(
            "\"$P\" score words words words --model model --temporary temporary | head -c 1; exit ${PIPESTATUS[0]}"
        ).expect(0)
        #expect(try left() == [])
        // Standard output of a reader that has left already.
        let script =
            "{ sleep 0.2; \"$P\" score words words --model model --temporary temporary --nll temporary/x.npy; echo $? > status; } | true; cat status"
        #expect(try bench.shell(script).expect(0).output == "0\n")
        #expect(try left() == ["x.npy"])
        #expect(try bench.array("temporary/x.npy").shape == [20])
        withExtendedLifetime(words) {}
        for command in ["model info model", "context --patch-size 32 --layers 60", "--help"] {
            #expect(
                try bench.shell("{ sleep 0.2; \"$P\" \(command); echo $? > status; } | true; cat status").expect(0)
                    .output == "0\n")
        }
        try bench.shell("\"$P\" model info model > /dev/full").expect(74, "standard output")
    }

    @Test("A mapped file that is cut short under a run ends it in good order")
    func cutShort() throws {
        let program = try score()
        truncate(bench.file("model/model.safetensors"), 100)
        let outcome = try program.outcome()
        #expect(outcome.status == 74 || outcome.status == 0, "it said: \(outcome.error)")
        if outcome.status == 74 { #expect(try left() == []) }
    }
}
