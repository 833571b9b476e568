import Foundation
import Glibc
import TestSupport
import Testing

@testable import PageStore

/// `ingest --append`, and `forward` over what was appended: the bits of one run over all of it.
@Suite("Appending")
struct AppendTests {
    private let bench: Bench
    private let bytes: [UInt8]
    private let memory: String

    init() throws {
        bench = try Bench()
        var numbers = TestNumbers(33)
        bytes = numbers.bytes(130_000)
        try run(
            "model", "init", bench.file("model"), "--hidden-size", "16", "--heads", "2", "--intermediate-size", "16",
            "--kernel-size", "5", "--patch-size", "16", "--mixers", "w:100,r,m2:8"
        ).expect(0)
        // The least memory: short blocks, and so several of them.
        try bench.store(Array(bytes[..<1000]), "--raw", "--patch-size", "16", named: "probe")
        memory = try #require(
            run(
                "forward", "--store", bench.file("probe"), "--model", bench.file("model"), "--threads", "2",
                "--memory", "1MiB"
            ).leastMemory)
    }

    private func forward(_ store: String = "store", _ flags: [String] = []) throws -> Outcome {
        try run(
            [
                "forward", "--store", bench.file(store), "--model", bench.file("model"), "--threads", "2", "--memory",
                memory, "--nll", bench.file("\(store).npy"), "--json",
            ] + flags)
    }

    private func append(_ part: some Collection<UInt8>, _ flags: String..., to store: String = "store") throws
        -> Outcome
    {
        try run(["ingest", bench.write("part", part), "--store", bench.file(store), "--append"] + flags)
    }

    /// What one run over all bytes gives.
    private func wanted(_ count: Int, _ flags: [String] = []) throws -> Data {
        try bench.store(Array(bytes[..<count]), "--raw", "--patch-size", "16", named: "whole")
        try forward("whole", flags).expect(0)
        return try bench.bytes("whole.npy")
    }

    private func folders(_ store: String = "store") throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: bench.file(store)).filter { $0.hasPrefix("generation") }
    }

    @Test(
        "Bits are those of one run, and only what is new is computed, whatever is kept",
        arguments: [[], ["--keep", "all"], ["--keep", "last", "--state", "f32"]] as [[String]])
    func sameBits(flags: [String]) throws {
        let wanted = try wanted(bytes.count, flags)
        try bench.store(Array(bytes[..<60_000]), "--raw", "--patch-size", "16")
        try forward("store", flags).expect(0)
        // A block's end, and one token beyond it; nothing in between; twice before a run.
        let ends = [60_001, 61_440, 61_441, 90_000, 97_000, bytes.count]
        var begin = 60_000
        for (place, end) in ends.enumerated() {
            try append(bytes[begin..<end], "--raw").expect(0)
            begin = end
            if place == 3 { continue }
            let result = try forward("store", flags).expect(0)
            #expect(result.error.contains("Going on with layer"))
            try run("verify", "--store", bench.file("store")).expect(0)
        }
        // Compared outside `#expect`, which would print their difference.
        let isSame = try bench.bytes("store.npy") == wanted
        #expect(isSame)
        for generation in flags.isEmpty ? [0] : flags[1] == "all" ? [0, 1, 2, 3] : [0, 3] {
            for store in ["store", "whole"] {
                try run(
                    "export", "--store", bench.file(store), "--generation", "\(generation)", "--out",
                    bench.file("\(store) states.npy")
                ).expect(0)
            }
            let isSame = try bench.bytes("store states.npy") == bench.bytes("whole states.npy")
            #expect(isSame, "generation \(generation)")
        }
        let dump = try run("dump", "--store", bench.file("store")).expect(0)
        #expect(dump.output.contains("supplements"))
    }

    @Test("A short sequence that becomes long is computed anew, in longer blocks")
    func short() throws {
        let memory = ["--memory", "1GiB"]
        try bench.store(Array(bytes[..<500]), "--raw", "--patch-size", "16")
        try forward("store", memory).expect(0)
        try append(bytes[500..<900], "--raw").expect(0)
        try forward("store", memory).expect(0)
        try append(bytes[900...], "--raw").expect(0, "longer blocks")
        try forward("store", memory).expect(0)
        let dump = try run("dump", "--store", bench.file("store"), "--json").expect(0).json()
        #expect(dump["patches_per_block"] as? Int ?? 0 > 1000)
        let isSame = try bench.bytes("store.npy") == wanted(bytes.count, memory)
        #expect(isSame)
    }

    @Test("However often is appended, a generation has few environments")
    func merged() throws {
        try bench.store(Array(bytes[..<70_000]), "--raw", "--patch-size", "16")
        try forward().expect(0)
        var most = 0
        for step in 0..<30 {
            try append(bytes[70_000 + 2000 * step..<72_000 + 2000 * step], "--raw").expect(0)
            try forward().expect(0)
            most = max(most, try folders().count)
        }
        #expect(most <= 12, "\(most) folders")
        let wanted = try wanted(bytes.count)
        let isSame = try bench.bytes("store.npy") == wanted
        #expect(isSame)
        try run("verify", "--store", bench.file("store")).expect(0)
    }

    @Test("Documents have a beginning and an end each; a damaged token is found in any section")
    func documents() throws {
        try bench.store(Array(bytes[..<40_000]), "--patch-size", "16")
        try run(
            ["ingest", "-", bench.write("b", bytes[..<3]), "--store", bench.file("store"), "--append", "--json"],
            input: Array(bytes[40_000..<50_000])
        ).expect(0)
        try run("export", "--store", bench.file("store"), "--generation", "0", "--out", bench.file("tokens.npy"))
            .expect(0)
        let expected =
            [256] + bytes[..<40_000].map(Float.init) + [257, 256] + bytes[40_000..<50_000].map(Float.init) + [257, 256]
            + bytes[..<3].map(Float.init) + [257]
        let isSame = try bench.array("tokens.npy").values == expected
        #expect(isSame)
        let dump = try run("dump", "--store", bench.file("store")).expect(0)
        #expect(dump.output.contains("tokens 10 002, first 40 002") && dump.output.contains("tokens 5, first 50 004"))
        // One section's fingerprint, and then also what follows from it.
        for isFollowed in [false, true] {
            try bench.editManifest { fields in
                var sections = try #require(fields["sections"] as? [[String: Any]])
                sections[1]["fingerprint"] = "0123456789abcdef"
                fields["sections"] = sections
                if isFollowed {
                    let all = sections.map {
                        TokenSection(tokens: $0["tokens"] as? Int ?? 0, fingerprint: $0["fingerprint"] as? String ?? "")
                    }
                    fields["tokens_fingerprint"] = Manifest.fingerprint(of: all)
                }
            }
            let problem = isFollowed ? "the tokens do not match" : "sections"
            let verified = try run("verify", "--store", bench.file("store"))
            #expect(verified.status == 65 && (verified.error + verified.output).contains(problem))
        }
    }

    @Test(
        "Models whose rows depend on rows all over the sequence: states are dropped, and all is computed anew",
        arguments: [[], ["--delegation", "selective"]] as [[String]])
    func delegates(flags: [String]) throws {
        try run(
            [
                "model", "init", bench.file("model"), "--hidden-size", "16", "--heads", "2", "--intermediate-size",
                "16", "--kernel-size", "5", "--patch-size", "16", "--layers", "2", "--force",
            ] + flags
        ).expect(0)
        try bench.store(Array(bytes[..<50_000]), "--raw", "--patch-size", "16")
        let memory = ["--memory", "1GiB"]
        try forward("store", memory).expect(0)
        try append(bytes[50_000..<60_000], "--raw").expect(0, "computes everything anew")
        let result = try forward("store", memory).expect(0)
        #expect(!result.error.contains("Going on"))
        let isSame = try bench.bytes("store.npy") == wanted(60_000, memory)
        #expect(isSame)
        try run("verify", "--store", bench.file("store")).expect(0)
    }

    @Test("A run that was stopped goes on over what was appended meanwhile", arguments: [SIGINT, SIGKILL])
    func stopped(signal: Int32) throws {
        try bench.store(Array(bytes[..<100_000]), "--raw", "--patch-size", "16")
        let program = try Program([
            "forward", "--store", bench.file("store"), "--model", bench.file("model"), "--threads", "1", "--memory",
            memory, "--progress", "lines",
        ])
        while !program.hasEnded && (try? bench.bytes("store/generation-3/data.mdb").count) ?? 0 < 40_000 { usleep(500) }
        program.send(signal)
        _ = try program.outcome()
        try append(bytes[100_000...], "--raw").expect(0)
        try forward().expect(0)
        let isSame = try bench.bytes("store.npy") == wanted(bytes.count)
        #expect(isSame)
    }

    @Test("Killed at any moment, an append has happened or has not; what it left is removed by the next one")
    func killed() throws {
        try bench.store(Array(bytes[..<90_000]), "--raw", "--patch-size", "16")
        try forward().expect(0)
        var length = 90_000
        for step in 0..<16 {
            let end = min(bytes.count, length + 2000)
            let program = try Program([
                "ingest", bench.write("part", bytes[length..<end]), "--store", bench.file("store"), "--append", "--raw",
            ])
            usleep(UInt32(1500 * step))
            program.send(SIGKILL)
            _ = try program.outcome()
            try run("verify", "--store", bench.file("store")).expect(0)
            let dump = try run("dump", "--store", bench.file("store"), "--json").expect(0).json()
            let tokens = try #require(dump["tokens"] as? Int)
            #expect(tokens == length || tokens == end)
            length = tokens
        }
        try append(bytes[length...], "--raw").expect(0)
        try forward().expect(0)
        let isSame = try bench.bytes("store.npy") == wanted(bytes.count)
        #expect(isSame)
        let manifest = String(decoding: try bench.bytes("store/manifest.json"), as: UTF8.self)
        for folder in try folders() { #expect(manifest.contains("\"\(folder)\""), "\(folder) is left over") }
    }

    @Test("What is dropped leaves how it was computed, and another model is free to begin")
    func settings() throws {
        try bench.store(Array(bytes[..<500]), "--raw", "--patch-size", "16")
        try forward("store", ["--keep", "all", "--state", "f32"]).expect(0)
        // Of one block, which is made anew, nothing else stays.
        try append(bytes[500..<600], "--raw").expect(0)
        let plan = try run(
            "forward", "--store", bench.file("store"), "--model", bench.file("model"), "--dry-run", "--json"
        ).expect(0).json()
        #expect(plan["keep"] as? String == "all" && plan["state"] as? String == "f32")
        try run(
            "model", "init", bench.file("other"), "--hidden-size", "16", "--heads", "2", "--patch-size", "16",
            "--mixers", "r"
        ).expect(0)
        let other = try run(
            "forward", "--store", bench.file("store"), "--model", bench.file("other"), "--json"
        ).expect(0).json()
        #expect(other["state"] as? String == "bf16" && other["resumed"] as? Bool == false)
        // Bound to it from now on.
        try forward().expect(65, "another model")
    }

    @Test("The plan is of what is new, and states are said to be gone on with")
    func plan() throws {
        try bench.store(Array(bytes[..<120_000]), "--raw", "--patch-size", "16")
        try forward("store", ["--keep", "all"]).expect(0)
        try append(bytes[120_000..<120_100], "--raw").expect(0)
        let plan = try run(
            "forward", "--store", bench.file("store"), "--model", bench.file("model"), "--memory", memory, "--dry-run",
            "--json"
        ).expect(0).json()
        // A block's states of three layers are 75 KB, all tokens' 12 MB.
        #expect(try #require(plan["disk_needed_bytes"] as? Int) < 3 << 20)
        try run("export", "--store", bench.file("store"), "--generation", "2", "--out", bench.file("out.npy"))
            .expect(64, "since tokens were appended", "forward")
    }

    @Test("What cannot be appended leaves the store as it was")
    func refusals() throws {
        try bench.store(Array(bytes[..<20_000]), "--raw", "--patch-size", "16")
        try forward().expect(0)
        let before = try bench.contents("store")
        try append([]).expect(66, "empty")
        try run("ingest", bench.file("missing"), "--store", bench.file("store"), "--append").expect(66, "missing")
        try append([9, 9, 9], "--tokens").expect(65, "two bytes each")
        try append([9, 9], "--tokens").expect(65, "above 258")
        try append([1], "--force").expect(64, "--append")
        try append([1], "--patch-size", "16").expect(64, "--patch-size")
        try append([1], to: "nowhere").expect(66, "no such store")
        try run("ingest", bench.file("store/manifest.json"), "--store", bench.file("store"), "--append")
            .expect(64, "file of the store")
        #expect(try bench.contents("store") == before)
    }

    @Test("Supplements that are missing, exchanged or out of place are refused, and nothing is removed")
    func damage() throws {
        try bench.store(Array(bytes[..<80_000]), "--raw", "--patch-size", "16")
        try forward().expect(0)
        try append(bytes[80_000..<120_000], "--raw").expect(0)
        try forward().expect(0)
        let manifest = try bench.bytes("store/manifest.json")
        func supplements(_ place: Int, _ change: (inout [[String: Any]]) -> Void) throws {
            try bench.write("store/manifest.json", manifest)
            try bench.editManifest { fields in
                var generations = try #require(fields["generations"] as? [[String: Any]])
                var found = try #require(generations[place]["supplements"] as? [[String: Any]])
                change(&found)
                generations[place]["supplements"] = found
                fields["generations"] = generations
            }
        }
        for place in [0, 1] {
            for block in [0, -1, 1 << 40, 999] {
                try supplements(place) { $0[0]["first_block"] = block }
                try run("verify", "--store", bench.file("store")).expect(65, "first_block")
            }
            try supplements(place) { $0[0]["id"] = "0" }
            try run("verify", "--store", bench.file("store")).expect(65, "belongs elsewhere")
            try append([1]).expect(65, "belongs elsewhere")
            try supplements(place) { $0[0]["directory"] = "generation-7" }
            try run("verify", "--store", bench.file("store")).expect(65, "generation-7")
            try append([1]).expect(65, "generation-7")
            try supplements(place) { $0.append($0[0]) }
            try run("dump", "--store", bench.file("store")).expect(65, "manifest")
            try supplements(place) { $0 = [] }
            try run("dump", "--store", bench.file("store")).expect(65, "supplements")
        }
        try bench.write("store/manifest.json", manifest)
        try run("verify", "--store", bench.file("store")).expect(0)
    }
}
