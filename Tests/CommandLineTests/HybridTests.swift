import Foundation
import TestSupport
import Testing

/// Models of several mixers as their users run them: what a run says of its passes, what it stores, what depends on
/// what.
@Suite("Hybrids") struct HybridTests {
    let bench: Bench
    init() throws { bench = try Bench() }

    /// Makes a model of hidden size 16 and patches of 16.
    @discardableResult
    private func model(_ mixers: String, _ flags: String..., named name: String = "model") throws -> String {
        try run(
            [
                "model", "init", bench.file(name), "--hidden-size", "16", "--heads", "2", "--intermediate-size", "16",
                "--kernel-size", "3", "--patch-size", "16", "--force", "--mixers", mixers,
            ] + flags
        ).expect(0)
        return bench.file(name)
    }

    private func forward(_ model: String, _ flags: String..., store: String = "store") throws -> Outcome {
        try run(["forward", "--store", bench.file(store), "--model", model] + flags)
    }

    private func bytes(_ count: Int, seed: UInt64 = 3) -> [UInt8] {
        var numbers = TestNumbers(seed)
        return numbers.bytes(count)
    }

    // MARK: What depends on what

    static let causal = [
        ("w:30", 2000), ("w:5x7,w:300", 1500), ("r", 1999), ("m,w:40,r,m", 2500), ("r,m,w:1600", 2100),
        ("2*(w:9,m)", 900), ("l,m,l", 1800), ("t:lrpe,m,t", 1700), ("m2:5,m,m2", 1650), ("r6", 1700),
        ("r7,r6,m,r7", 1500),
        ("x:30+50,x:500+300", 1500), ("s:3,d:4", 1700),
    ]

    @Test("A changed byte leaves every output before it as it was, to the last bit, and reaches on", arguments: causal)
    func causality(mixers: String, tokens: Int) throws {
        let original = bytes(tokens)
        let model = try model(mixers)
        /// Surprisal, and the states of every layer.
        func outputs(_ bytes: [UInt8]) throws -> [NpyArray] {
            try? FileManager.default.removeItem(atPath: bench.file("store"))
            try bench.store(bytes, "--raw")
            let summary = try forward(
                model, "--keep", "all", "--state", "f32", "--nll", bench.file("nll.npy"), "--json"
            ).expect(0).json()
            return try [bench.array("nll.npy")]
                + #require(summary["generations"] as? [Int]).dropFirst().map { generation in
                    try run(
                        "export", "--store", bench.file("store"), "--generation", "\(generation)", "--out",
                        bench.file("states.npy")
                    ).expect(0)
                    return try bench.array("states.npy")
                }
        }
        let before = try outputs(original)
        for place in [tokens / 7, tokens / 2 + 3] {
            var other = original
            other[place] ^= 0x55
            for (index, arrays) in zip(before, try outputs(other)).enumerated() {
                let width = arrays.0.shape.count > 1 ? arrays.0.shape[1] : 1
                let rows = (0..<tokens).filter { row in
                    (row * width..<(row + 1) * width).contains {
                        arrays.0.values[$0].bitPattern != arrays.1.values[$0].bitPattern
                    }
                }
                #expect(rows.first == place, "\(index == 0 ? "surprisal" : "generation \(index)")")
                if index == before.count - 1 { #expect(try #require(rows.last) > place + 20) }
            }
        }
    }

    @Test(
        "Bytes that change a token's rows are among those that following the wiring finds",
        arguments: [
            ("w:3,w:2x4", 70, 60), ("m,w:5,m", 100, 99), ("w:4,r", 50, 49), ("r,m", 40, 20),
            ("w:4,l", 50, 49), ("m,t", 60, 59), ("w:4,m2:5", 50, 49), ("m,w:2,r,m", 90, 89),
            ("x:7+3,x:4+9", 70, 60), ("m,x:7+3,m", 90, 80), ("s:2,m", 40, 20), ("m,d:2", 50, 49), ("m,r6", 40, 30),
            ("r7,m", 40, 30),
        ])
    func context(mixers: String, tokens: Int, token: Int) throws {
        let model = try model(mixers)
        let arguments = ["context", "--model", model, "--length", "\(tokens)", "--token", "\(token)"]
        let depths = try #require(
            run(arguments + ["--perturb", "--json"]).expect(0).json()["depths"] as? [[String: Any]])
        let measured = depths.compactMap { $0["measured"] as? Int }
        let perturbed = depths.compactMap { $0["perturbed"] as? Int }
        #expect(measured.count == mixers.split(separator: ",").count && perturbed.count == measured.count)
        #expect(zip(measured, perturbed).allSatisfy { $0 >= $1 && $1 > 2 })
        // Nothing that is near stays without influence: a window and the kernel of 3 behind it.
        if mixers == "w:3,w:2x4" {
            #expect(measured == [6, 16] && perturbed == measured)
            #expect(depths.compactMap { $0["formula"] as? Int } == [5, 15])
        }
        let isAll = depths.map { $0["formula"] is NSNull }
        let first = mixers.split(separator: ",").firstIndex {
            ["r", "l", "t", "m2:5", "s:2", "d:2", "r6", "r7"].contains($0)
        }
        #expect(isAll.firstIndex(of: true) == first)
        for (depth, count) in zip(depths, measured) where depth["formula"] is NSNull {
            #expect(count == token + 1 && (depth["why_less"] as? String)?.contains("seen") == true)
        }
        let text = try run(arguments + ["--plot", bench.file("plot.svg")]).expect(0).output
        #expect(text.contains(isAll.contains(true) ? "all before" : "formula"))
    }

    @Test(
        "Where weights are large, all that the wiring reaches changes a token's rows",
        arguments: ["xl", "hybrid-xl", "pair-window-mamba", "every-kind"])
    func wholeContext(fixture: String) throws {
        let depths = try #require(
            run("context", "--model", Fixtures.path(fixture), "--length", "61", "--perturb", "--json").expect(0).json()[
                "depths"] as? [[String: Any]])
        #expect(depths.compactMap { $0["measured"] as? Int } == depths.compactMap { $0["perturbed"] as? Int })
    }

    // MARK: What a run says

    @Test("A plan names the passes, what each reads and writes; so do progress and summary")
    func passes() throws {
        let model = try model("m,w:20,r,m")
        try bench.store(bytes(60_000), "--raw", "--patch-size", "16")
        // The least that works, so that states are on disk.
        let memory = try #require(forward(model, "--memory", "1MiB").leastMemory)
        let plan = try forward(model, "--memory", memory, "--dry-run").expect(
            0,
            "2 over 4 layers: 1-3 read tokens, write generation 3 (1 N); "
                + "4 reads generation 3 (about 2 N), writes generation 4 (1 N) and surprisal", "keeping last")
        #expect(plan.output.isEmpty)
        let planned = try forward(model, "--memory", memory, "--dry-run", "--json").expect(0).json()
        #expect(planned["layers"] as? Int == 4 && planned["first_layer"] as? Int == 1)
        let passes = try #require(planned["passes"] as? [NSDictionary])
        #expect(
            passes == [
                [
                    "first_layer": 1, "last_layer": 3, "reads_generation": 0, "reads": 0, "writes_generation": 3,
                    "writes": 1, "writes_surprisal": false,
                ],
                [
                    "first_layer": 4, "last_layer": 4, "reads_generation": 3, "reads": 2, "writes_generation": 4,
                    "writes": 1, "writes_surprisal": true,
                ],
            ])

        // What it does is what it said.
        let result = try forward(model, "--memory", memory, "--json", "--progress", "json").expect(0)
        let summary = try result.json()
        let layers = try #require(summary["layers"] as? [[String: Any]])
        #expect(layers.map { $0["first_layer"] as? Int } == [1, 4] && layers.map { $0["layer"] as? Int } == [3, 4])
        #expect(layers.allSatisfy { ($0["writes"] as? Double ?? 9) <= 1.02 })
        #expect(try #require(layers[0]["reads"] as? Double) < 0.2)
        // So short a sequence with the least memory: a little more than 2 N.
        let reads = try #require(layers[1]["reads"] as? Double)
        #expect(reads > 1 && reads < 2.6, "\(reads)")
        #expect(summary["generations"] as? [Int] == [0, 4])
        let events = try result.error.split(separator: "\n").map {
            try #require(JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any], "\($0)")
        }
        let last = try #require(events.last { $0["event"] as? String == "progress" })
        #expect(last["first_layer"] as? Int == 4 && last["layer"] as? Int == 4 && last["layers"] as? Int == 4)
        let text = try forward(model, "--memory", memory, "--restart").expect(0, "layers 1-3 of 4", "layer 4/4")
        #expect(text.output.contains("layers 1-3 ") && text.output.contains("layer 4 "))

        // One layer a pass where each one's states are wanted, and streaming ones read their own.
        let all = try forward(model, "--memory", memory, "--restart", "--keep", "all").expect(
            0,
            "4 over 4 layers: 1 reads tokens, writes generation 1 (1 N); 2 reads generation 1 (1 N), writes generation 2 (1 N)"
        )
        #expect(all.output.contains("0, 1, 2, 3, 4"))
        try run("verify", "--store", bench.file("store")).expect(0)

        // In memory nothing is read or written but tokens and results.
        let resident = try forward(model, "--memory", "1GiB", "--restart", "--dry-run", "--json").expect(0).json()
        #expect((resident["passes"] as? [[String: Any]])?.map { $0["reads"] as? Double } == [0, 0])
        try forward(model, "--memory", "1GiB", "--restart", "--dry-run").expect(0, "keep generation 3 in memory")
    }

    @Test("Many passes are told by the first ones and the last")
    func manyPasses() throws {
        let model = try model("20*(m,w:5)")
        try bench.store(bytes(100), "--raw", "--patch-size", "16")
        try forward(model, "--dry-run", "--memory", "1GiB").expect(
            0, "20 over 40 layers: 1-2 read tokens",
            "7-8 read generation 6, keep generation 8 in memory; …; "
                + "39-40 read generation 38, write generation 40 (1 N) and surprisal")
    }

    @Test("A model that streams alone stores no states unless it is asked to, and says so")
    func stateless() throws {
        let model = try model("w:40,r,w:9x3")
        try bench.store(bytes(50_000), "--raw", "--patch-size", "16")
        let memory = try #require(forward(model, "--memory", "1MiB").leastMemory)
        let plan = try forward(model, "--memory", memory, "--dry-run", "--json").expect(0).json()
        #expect(plan["keep"] as? String == "none" && plan["in_memory"] as? Bool == false)
        // Surprisal, and nothing else.
        #expect(try #require(plan["disk_needed_bytes"] as? Int) < 50_000 * 4 + 2 << 20)
        let first = try forward(model, "--memory", memory, "--nll", bench.file("nll.npy")).expect(
            0, "1 over 3 layers: 1-3 read tokens, write surprisal", "none stored", "keeping none", "layers 1-3 of 3")
        #expect(first.output.contains("layers 1-3"))
        let bits = try bench.bytes("nll.npy")
        try run("export", "--store", bench.file("store"), "--generation", "3", "--out", bench.file("states.npy"))
            .expect(64, "generation 3")
        // No pass wants more memory than the least.
        let roomy = try forward(model, "--memory", "1GiB", "--restart", "--json").expect(0).json()
        #expect(try #require(roomy["peak_anonymous_bytes"] as? Int) < 64 << 20)

        try forward(model, "--memory", memory, "--restart", "--keep", "last", "--nll", bench.file("nll.npy")).expect(
            0, "written and not read again", "1-3 read tokens, write generation 3 (1 N) and surprisal")
        #expect(try bench.bytes("nll.npy") == bits)
        func states() throws -> Data {
            try run("export", "--store", bench.file("store"), "--generation", "3", "--out", bench.file("states.npy"))
                .expect(0)
            return try bench.bytes("states.npy")
        }
        let last = try states()
        let all = try forward(
            model, "--memory", memory, "--restart", "--keep", "all", "--nll", bench.file("nll.npy"), "--json"
        ).expect(0).json()
        #expect(all["generations"] as? [Int] == [0, 1, 2, 3])
        #expect(try bench.bytes("nll.npy") == bits && states() == last)
        for layer in try #require(all["layers"] as? [[String: Any]]).dropFirst() {
            let own = try #require(layer["reads_own"] as? Double)
            #expect(own > 0.99 && own < 1.01 && layer["reads_hosts"] as? Double == 0)
        }
        // A begun or finished run is not another one by another default.
        try forward(model).expect(0, "finished")
    }

    @Test("score takes a model of several mixers")
    func scored() throws {
        let model = try model("w:40,m,r")
        let file = try bench.write("some", bytes(9000))
        let score = try run("score", file, "--model", model, "--json").expect(0).json()
        try bench.store(bytes(9000))
        let summary = try forward(model, "--json").expect(0).json()
        let (one, other) = (
            try #require(score["bits_per_byte"] as? Double), try #require(summary["bits_per_byte"] as? Double)
        )
        #expect(abs(one - other) < 1e-9)
    }

    // MARK: Limits

    @Test(
        "tune measures no model of several mixers, and says what it does measure; no run is held against a wrong rate")
    func limits() throws {
        func run(_ arguments: [String]) throws -> Outcome {
            try Program(
                ["XDG_CACHE_HOME=\(bench.file("cache"))", Program.path] + arguments, executable: "/usr/bin/env"
            ).outcome()
        }
        let (plain, hybrid) = (try model("m,m", named: "plain"), try model("m,w:9", named: "hybrid"))
        try run(["tune", "--model", hybrid, "--directory", bench.path]).expect(64, "mixers.1", "sliding-window")
        #expect(!bench.exists("cache/bbp-stream/tune.json"))
        // A model of the same sizes that was measured says nothing of this one.
        try run(["tune", "--model", plain, "--directory", bench.path, "--threads", "1"]).expect(0)
        try bench.store(bytes(3000), "--raw", "--patch-size", "16")
        for (model, isHeld) in [(plain, true), (hybrid, false)] {
            let forward = ["forward", "--store", bench.file("store"), "--model", model, "--threads", "1", "--restart"]
            let plan = try run(forward + ["--dry-run", "--json"]).expect(0).json()
            #expect((plan["estimated_seconds"] as? Double != nil) == isHeld)
            let summary = try run(forward + ["--json"]).expect(0).json()
            #expect((summary["bounds"] as? [String: Any] != nil) == isHeld)
        }
    }
}
