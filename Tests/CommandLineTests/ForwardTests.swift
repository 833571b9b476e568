import Foundation
import TestSupport
import Testing

/// Hidden states and surprisal, against the published model and against themselves.
struct ForwardTests {
    let bench: Bench
    init() throws { bench = try Bench() }

    private func forward(_ model: String, _ flags: String..., store: String = "store") throws -> Outcome {
        try run(["forward", "--store", bench.file(store), "--model", model, "--json"] + flags)
    }

    private func export(_ generation: Int, to name: String, store: String = "store") throws -> NpyArray {
        try run("export", "--store", bench.file(store), "--generation", "\(generation)", "--out", bench.file(name))
            .expect(0)
        return try bench.array(name)
    }

    // MARK: Against the model

    /// All of the family's cases go through `PassTests`; some of them through the program as well.
    @Test(
        "f32 states equal the model's",
        arguments: Fixtures.published + [
            "recurrent-carlo", "selective-stack", "everything", "long-bidirectional", "narrow", "nowhere",
            "few-selective", "window-wide", "retention", "hybrid", "hybrid-carlo", "hybrid-selective", "streaming",
            "linear", "transnormer", "mamba2", "mamba2-selective", "rwkv6-hybrid", "rwkv7-long", "rwkv7-hybrid",
            "hybrid-xl", "hybrid-mamba", "hybrid-s4d",
        ])
    func exact(name: String) throws {
        let model = Fixtures.path(name)
        try bench.store(fixture: name)
        let summary = try forward(model, "--state", "f32", "--keep", "all", "--nll", bench.file("nll.npy")).expect(0)
            .json()
        let layers = try #require((summary["generations"] as? [Int])?.last)
        for (generation, file) in [(1, "layer1"), (layers, "hidden")] {
            let (states, expected) = (try export(generation, to: "states.npy"), try NpyArray("\(model)/\(file).npy"))
            #expect(states.shape == expected.shape)
            #expect(states.relativeError(to: expected) < 2e-4)
        }
        let (bits, expected) = (try bench.array("nll.npy"), try NpyArray("\(model)/nll_bits.npy"))
        #expect(bits.shape == expected.shape)
        #expect(bits.values[0].isNaN)
        #expect(zip(bits.values, expected.values).dropFirst().allSatisfy { abs($0 - $1) < 1e-3 })
        // Bits per byte is the mean over bytes with a predecessor.
        let tokens = try export(0, to: "tokens.npy").values
        let scored = zip(tokens, expected.values).dropFirst().filter { $0.0 < 256 }.map { Double($0.1) }
        #expect(summary["scored_tokens"] as? Int == scored.count)
        if scored.isEmpty {
            #expect(summary["bits_per_byte"] is NSNull)
        } else {
            #expect(
                abs(try #require(summary["bits_per_byte"] as? Double) - scored.reduce(0, +) / Double(scored.count))
                    < 1e-3)
        }
        try run("verify", "--store", bench.file("store")).expect(0)
    }

    // A selective order may differ where states are rounded.
    @Test(
        "bf16 states stay close to the model's",
        arguments: Fixtures.published + [
            "carlo", "recurrent-stack", "stack-bidirectional", "narrow", "hybrid", "streaming",
        ])
    func rounded(name: String) throws {
        try bench.store(fixture: name)
        try forward(Fixtures.path(name), "--nll", bench.file("nll.npy")).expect(0)
        let (bits, expected) = (
            try bench.array("nll.npy").values.dropFirst(),
            try NpyArray("\(Fixtures.path(name))/nll_bits.npy").values.dropFirst()
        )
        func mean(_ values: ArraySlice<Float>) -> Float {
            values.isEmpty ? 0 : values.reduce(0, +) / Float(values.count)
        }
        #expect(abs(mean(bits) - mean(expected)) < 0.02)
    }

    // MARK: Against itself

    struct Sizes: CustomTestStringConvertible, Sendable {
        var patchSize: Int
        var tokens: Int
        var hiddenSize = 8
        var kernelSize = 3
        var testDescription: String { "P \(patchSize), n \(tokens), D \(hiddenSize), K \(kernelSize)" }
    }

    static let sizes = [
        Sizes(patchSize: 1, tokens: 1), Sizes(patchSize: 1, tokens: 900), Sizes(patchSize: 3, tokens: 7),
        Sizes(patchSize: 7, tokens: 20_000, kernelSize: 40),
        Sizes(patchSize: 8, tokens: 30_001, hiddenSize: 16), Sizes(patchSize: 31, tokens: 9000),
        Sizes(patchSize: 200, tokens: 500),
    ]

    @Test("Memory and threads change no bit", arguments: sizes)
    func identical(sizes: Sizes) throws {
        var numbers = TestNumbers(UInt64(sizes.tokens))
        let bytes = numbers.bytes(sizes.tokens)
        let model = try bench.model(
            patchSize: sizes.patchSize, hiddenSize: sizes.hiddenSize, kernelSize: sizes.kernelSize)
        var expected: [Data] = []
        for (threads, plentiful) in [("2", true), ("1", false), ("2", false)] {
            let store = "store \(threads) \(plentiful)"
            try bench.store(bytes, "--raw", named: store)
            let memory = try plentiful ? "1GiB" : leastMemory(store, model, threads: threads)
            let summary = try forward(
                model, "--memory", memory, "--threads", threads, "--nll", bench.file("nll.npy"), store: store
            ).expect(0).json()
            let peak = try #require(summary["peak_anonymous_bytes"] as? Int)
            // What a sanitizer notes down about memory grows with the work, and no plan knows of it.
            let budget = Program.sanitizerMebibytes > 0 ? Int.max : summary["memory_budget_bytes"] as? Int ?? 0
            #expect(peak > 0 && peak < budget)
            #expect(try #require(summary["writes_per_layer"] as? Double) <= 1.05)
            if sizes.tokens > 5000 && plentiful { #expect(try #require(summary["reads_per_layer"] as? Double) <= 2.3) }
            _ = try export(2, to: "states.npy", store: store)
            let outputs = [try bench.bytes("states.npy"), try bench.bytes("nll.npy")]
            if expected.isEmpty { expected = outputs }
            #expect(outputs == expected, "\(threads) threads, \(memory)")
        }
    }

    @Test("One token in the longest patch there is")
    func longestPatch() throws {
        try bench.store([65], "--raw")
        let summary = try forward(bench.model(patchSize: 16_384, layers: 1), "--nll", bench.file("nll.npy")).expect(0)
            .json()
        #expect(summary["bits_per_byte"] is NSNull)
        #expect(try bench.array("nll.npy").values.map(\.isNaN) == [true])
        #expect(try export(1, to: "states.npy").values.allSatisfy(\.isFinite))
    }

    /// The least that --memory may be, as the program says when it is too little.
    private func leastMemory(_ store: String, _ model: String, threads: String) throws -> String {
        let before = try bench.contents(store)
        let refusal = try run(
            "forward", "--store", bench.file(store), "--model", model, "--memory", "1MiB", "--threads", threads
        ).expect(64, "too small", "the least that works here is")
        #expect(try bench.contents(store) == before)
        return try #require(refusal.leastMemory)
    }

    // MARK: What is kept, and what is said

    @Test(
        "--keep decides which generations stay",
        arguments: [("last", [0, 3]), ("all", [0, 1, 2, 3]), ("none", [0, 3])])
    func keeping(keep: String, generations: [Int]) throws {
        try bench.store(fixture: "ragged")
        let summary = try forward(Fixtures.path("ragged"), "--keep", keep, "--nll", bench.file("nll.npy")).expect(0)
            .json()
        #expect(summary["generations"] as? [Int] == generations)
        #expect(try bench.array("nll.npy").shape == [1000])
        for generation in 0...4 {
            let result = try run(
                "export", "--store", bench.file("store"), "--generation", "\(generation)", "--out",
                bench.file("out.npy"))
            let kept = generations.contains(generation) && !(keep == "none" && generation > 0)
            result.expect(kept ? 0 : 64, kept ? "wrote" : "generation \(generation)")
        }
        try run("verify", "--store", bench.file("store")).expect(0)
    }

    @Test("The summary is one JSON object with every key")
    func summary() throws {
        try bench.store(fixture: "seven")
        let fields = try forward(Fixtures.path("seven"), "--threads", "1", "--memory", "512MiB").expect(0).json()
        for key in [
            "seconds", "tokens_per_second", "bits_per_byte", "peak_anonymous_bytes", "reads_per_layer",
            "writes_per_layer",
        ] {
            #expect(try #require(fields[key] as? Double, "\(key)") > 0)
        }
        #expect(fields["tokens"] as? Int == 7)
        #expect(fields["threads"] as? Int == 1)
        #expect(fields["memory_budget_bytes"] as? Int == 512 << 20)
        #expect(fields["generations"] as? [Int] == [0, 2])
        #expect(fields["state"] as? String == "bf16")
        #expect(fields["untrained"] as? Bool == false)
        #expect((fields["layers"] as? [Any])?.count == 2)
    }

    @Test("Plan and summary are for people, and call untrained weights untrained")
    func text() throws {
        try bench.store(Array("some text".utf8))
        let result = try run("forward", "--store", bench.file("store"), "--model", bench.model()).expect(
            0, "tokens", "memory", "disk", "free", "untrained")
        for word in ["bits per byte", "untrained", "tokens/s", "peak anonymous memory", "layer 2", "N"] {
            #expect(result.output.contains(word))
        }
        #expect(try run("dump", "--store", bench.file("store")).expect(0).output.contains("untrained"))
    }

    @Test("A store laid out for another patch size is laid out anew")
    func repaging() throws {
        try run(
            "ingest", "\(Fixtures.path("odd"))/tokens.u16", "--tokens", "--patch-size", "64", "--store",
            bench.file("store")
        ).expect(0)
        try forward(Fixtures.path("odd"), "--state", "f32").expect(0)
        #expect(
            try export(2, to: "states.npy").relativeError(to: NpyArray("\(Fixtures.path("odd"))/hidden.npy")) < 2e-4)
        try run("verify", "--store", bench.file("store")).expect(0)
    }

    // MARK: What a run is bound to

    @Test(
        "--compute bf16: close to the reference where kernels round, f32 with a word where there are none, never mixed")
    func bf16Products() throws {
        let model = Fixtures.path("ragged")
        try bench.store(
            Array(FileManager.default.contents(atPath: "\(model)/tokens.u16")!), "--tokens", "--patch-size", "16")
        func forward(_ kernels: String, _ flags: String...) throws -> Outcome {
            try Program(
                [
                    "BBP_KERNELS=\(kernels)", Program.path, "forward", "--store", bench.file("store"), "--model", model,
                    "--json",
                ] + flags, executable: "/usr/bin/env"
            ).outcome()
        }
        let rounded = try forward("plain", "--compute", "bf16", "--nll", bench.file("nll.npy")).expect(0).json()
        #expect(rounded["compute"] as? String == "bf16")
        let wanted = try NpyArray("\(model)/nll_bits.npy").values, found = try NpyArray(bench.file("nll.npy")).values
        let differences = zip(wanted, found).dropFirst().map { Double($0 - $1) }
        #expect(abs(differences.reduce(0, +) / Double(differences.count)) < 0.02)
        // They are others than f32's, or nothing was rounded.
        #expect(differences.contains { abs($0) > 1e-4 })
        try forward("plain", "--compute", "bf16").expect(0)
        try forward("plain", "--compute", "f32", "--restart").expect(0)
        // AVX2 has none.
        let fallback = try forward("avx2", "--compute", "bf16", "--restart")
        if fallback.status != 64 {
            fallback.expect(0, "computing in f32")
            #expect(try fallback.json()["compute"] as? String == "f32")
        }
        try forward("plain", "--compute", "bf8").expect(64, "compute")
    }

    @Test("A finished store computes nothing more, and outputs can still be written")
    func finished() throws {
        let model = Fixtures.path("ragged")
        try bench.store(fixture: "ragged")
        let first = try forward(model, "--nll", bench.file("first.npy")).expect(0).json()
        let before = try bench.contents("store")
        let result = try forward(model, "--nll", bench.file("second.npy")).expect(0, "finished", "--restart")
        let second = try result.json()
        #expect(second["already_complete"] as? Bool == true)
        #expect(second["tokens_per_second"] is NSNull)
        #expect(abs(try #require(first["bits_per_byte"] as? Double) - (second["bits_per_byte"] as? Double ?? 0)) < 1e-9)
        #expect(try bench.contents("store") == before)
        #expect(try bench.bytes("first.npy") == bench.bytes("second.npy"))
    }

    @Test("A store's run takes the model and the flags that began it; --restart takes others")
    func boundToItsRun() throws {
        let (model, other, otherPatch) = (
            try bench.model(), try bench.model("other", seed: 2), try bench.model("patch", patchSize: 4)
        )
        try bench.store(Array("some text".utf8))
        try forward(model, "--state", "f32", "--keep", "all").expect(0)
        let before = try bench.contents("store")
        try forward(other).expect(65, "another model", "weights")
        try forward(otherPatch).expect(65, "another model", "patch size 8 and 4")
        try forward(model, "--state", "bf16").expect(64, "--state", "f32", "bf16")
        try forward(model, "--keep", "last").expect(64, "--keep", "all", "last")
        #expect(try bench.contents("store") == before)
        let summary = try forward(other, "--restart", "--keep", "last").expect(0).json()
        #expect(summary["generations"] as? [Int] == [0, 2])
        #expect(summary["state"] as? String == "bf16")
        try run("verify", "--store", bench.file("store")).expect(0)
    }

    @Test(
        "--restart that cannot run drops nothing",
        arguments: [["--memory", "1MiB"], ["--nll", "/proc/nowhere/nll.npy"]])
    func failedRestart(flags: [String]) throws {
        try bench.store(fixture: "ragged")
        try forward(Fixtures.path("ragged")).expect(0)
        let before = try bench.contents("store")
        let result = try run(
            ["forward", "--store", bench.file("store"), "--model", Fixtures.path("ragged"), "--restart"] + flags)
        #expect(result.status == 64 || result.status == 73)
        #expect(try bench.contents("store") == before)
    }

    @Test("A dry run ends with the plan and changes nothing")
    func dryRun() throws {
        try bench.store(fixture: "ragged")
        let before = try bench.contents("store")
        try forward(Fixtures.path("ragged"), "--dry-run", "--nll", bench.file("nll.npy")).expect(0)
        try run("forward", "--store", bench.file("store"), "--model", Fixtures.path("ragged"), "--dry-run").expect(
            0, "memory", "disk")
        #expect(try bench.contents("store") == before)
        #expect(!bench.exists("nll.npy"))
    }

    @Test(
        "An output that cannot be written is refused before anything is computed",
        arguments: ["no/such/folder/nll.npy", "."])
    func unwritable(place: String) throws {
        try bench.store(fixture: "seven")
        let before = try bench.contents("store")
        try forward(Fixtures.path("seven"), "--nll", bench.file(place)).expect(73, bench.file(place))
        #expect(try bench.contents("store") == before)
    }
}
