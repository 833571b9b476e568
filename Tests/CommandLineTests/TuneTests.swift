import Foundation
import Glibc
import TestSupport
import Testing

/// What a run says of itself and of the machine: plan, progress, limits.
struct TuneTests {
    let bench: Bench

    init() throws { bench = try Bench() }

    /// The program with a cache folder of the test's own.
    private func run(_ arguments: String...) throws -> Outcome {
        try Program(["XDG_CACHE_HOME=\(bench.file("cache"))", Program.path] + arguments, executable: "/usr/bin/env")
            .outcome()
    }

    @Test("tune measures, says so in JSON and keeps it; forward holds itself against it")
    func tune() throws {
        let model = try bench.model(patchSize: 16, hiddenSize: 64)
        let found = try run("tune", "--model", model, "--directory", bench.path, "--threads", "1").expect(0).json()
        for key in [
            "product_flops_per_second_and_core", "read_bytes_per_second", "written_bytes_per_second",
            "token_layers_per_second", "head_tokens_per_second",
        ] {
            #expect(try #require(found[key] as? Double, "\(key)") > 1000)
        }
        #expect(bench.exists("cache/bbp-stream/tune.json") && !bench.exists(".bbp-stream-tune"))
        var numbers = TestNumbers(5)
        let store = try bench.store(numbers.bytes(50_000), "--patch-size", "16")
        let summary = try run("forward", "--store", store, "--model", model, "--threads", "1", "--json").expect(0)
            .json()
        let bounds = try #require(summary["bounds"] as? [String: Double])
        #expect(
            bounds.keys.sorted() == ["arithmetic_seconds", "disk_seconds", "ratio"]
                && bounds.values.allSatisfy { $0 > 0 })
        // The run's layers and the self-test do the same arithmetic; neither is wildly off.
        #expect(try #require(bounds["ratio"]) > 0.3)
        // A damaged cache is measured anew, not trusted.
        try bench.write("cache/bbp-stream/tune.json", Array("{".utf8))
        let again = try run("forward", "--store", store, "--model", model, "--threads", "1", "--json", "--restart")
            .expect(0).json()
        #expect(again["bounds"] == nil || again["bounds"] is NSNull)
        try run("tune", "--directory", bench.file("nowhere")).expect(66, "nowhere")
    }

    @Test("--progress json: every line is an object: the plan, notes, progress that ends at 1")
    func progress() throws {
        let model = try bench.model(patchSize: 16, hiddenSize: 64)
        var numbers = TestNumbers(6)
        let store = try bench.store(numbers.bytes(20_000), "--patch-size", "32")
        let result = try run(
            "forward", "--store", store, "--model", model, "--progress", "json", "--nll", bench.file("nll.npy")
        ).expect(0)
        let events = try result.error.split(separator: "\n").map {
            try #require(JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any], "\($0)")
        }
        #expect(events.first?["event"] as? String == "plan")
        #expect((events.first?["plan"] as? [String: Any])?["tokens"] as? Int == 20_002)
        #expect(events.contains { $0["event"] as? String == "note" })
        let last = try #require(events.last { $0["event"] as? String == "progress" })
        #expect(last["share"] as? Double == 1 && last["layer"] as? Int == 2)
        for key in ["tokens_per_second", "read_bytes_per_second", "written_bytes_per_second", "eta_seconds", "seconds"]
        { #expect(last[key] as? Double != nil, "\(key)") }
        #expect(
            try run("forward", "--store", store, "--model", model, "--restart", "--progress", "none").expect(0).error
                .isEmpty)
        // An error is an object as well.
        let failed = try run(
            "forward", "--store", store, "--model", model, "--restart", "--progress", "json", "--memory", "1MiB"
        ).expect(64)
        let error = try #require(
            failed.error.split(separator: "\n").last.flatMap { try? JSONSerialization.jsonObject(with: Data($0.utf8)) }
                as? [String: Any])
        #expect(error["event"] as? String == "error" && error["status"] as? Int == 64)
    }

    @Test("A dry run as JSON states memory, disk and time; compression is measured where the sequence is long")
    func plan() throws {
        let model = try bench.model(patchSize: 16, hiddenSize: 64)
        var numbers = TestNumbers(7)
        let store = try bench.store(numbers.bytes(150_000), "--patch-size", "16")
        let before = try bench.contents("store")
        let plan = try run(
            "forward", "--store", store, "--model", model, "--memory", Program.memory(40), "--dry-run", "--json"
        ).expect(0).json()
        #expect(try bench.contents("store") == before)
        #expect(plan["tokens"] as? Int == 150_002 && plan["in_memory"] as? Bool == false)
        let ratio = try #require(plan["compression_ratio"] as? Double)
        #expect(ratio > 1.3 && ratio < 1.8)
        #expect(try #require(plan["estimated_seconds"] as? Double) > 0)
        let needed = try #require(plan["disk_needed_bytes"] as? Int)

        // What it needs on disk is what a run then takes, with a margin.
        _ = try run("forward", "--store", store, "--model", model, "--memory", Program.memory(40), "--keep", "all")
            .expect(0)
        let generation = try bench.contents("store")["generation-1/data.mdb"].map(\.count) ?? 0
        #expect(
            needed > 2 * generation && Double(needed) < 2.4 * Double(generation) + 3e6,
            "\(needed) for two of \(generation)")
        // With the generations there, a run that goes on is credited for them.
        let text = try run(
            "forward", "--store", store, "--model", model, "--memory", Program.memory(40), "--restart", "--dry-run"
        ).expect(0, "shrink", "time")
        #expect(text.output.isEmpty)
    }
}
