import Foundation
import Glibc
import PageStore
import TestSupport
import Testing

/// Runs whose passes take rows through several layers, stopped in the middle of them: they go on with what every layer
/// carried along, and end with the same bits.
@Suite("Interrupted hybrids", .serialized)
struct HybridInterruptionTests {
    /// A model, and the generation that its first pass of three layers makes.
    struct Case: CustomTestStringConvertible, Sendable {
        var name: String
        /// Of a new model, or a fixture where its layers would begin without effect.
        var mixers: String
        var isFixture = false
        var generation = 3
        /// The last generation's states are kept.
        var areStatesKept = false
        var patchSize: Int { isFixture ? 7 : 16 }
        var testDescription: String { mixers }
    }

    static let hybrid = Case(name: "hybrid", mixers: "m,w:60x2,r,m", areStatesKept: true)
    static let streaming = Case(name: "streaming", mixers: "w:60,r,w:30x5")
    static let recurrences = Case(name: "recurrences", mixers: "l,t:lrpe,m2:8")
    /// rwkv7, rwkv6, rwkv7.
    static let rwkv = Case(name: "rwkv", mixers: "rwkv7-long", isFixture: true)
    static let selective = Case(name: "selective", mixers: "x:60+90,s:4,d:6")

    /// Stores that take a while, with several commits a pass, their models, and what comes out undisturbed.
    private struct Original {
        let bench: Bench
        var memory: [String: String] = [:]
        var outputs: [String: [Data]] = [:]
        var files: [String: [String: Data]] = [:]
    }

    private static let original: Result<Original, any Error> = Result {
        let bench = try Bench()
        atexit { try? HybridInterruptionTests.original.get().bench.remove() }
        var original = Original(bench: bench)
        var numbers = TestNumbers(9)
        let bytes = numbers.bytes(250_000)
        for each in [hybrid, streaming, recurrences, rwkv, selective] {
            try bench.store(bytes, "--raw", "--patch-size", "\(each.patchSize)", named: each.name)
            if each.isFixture {
                _ = try bench.modelCopy(each.mixers, "\(each.name) model")
            } else {
                try run(
                    "model", "init", bench.file("\(each.name) model"), "--hidden-size", "16", "--heads", "2",
                    "--intermediate-size", "16", "--kernel-size", "3", "--patch-size", "16", "--mixers", each.mixers
                ).expect(0)
            }
            try bench.copy(each.name, to: "store")
            let forward = [
                "forward", "--store", bench.file("store"), "--model", bench.file("\(each.name) model"), "--threads",
                "1", "--nll", bench.file("nll.npy"),
            ]
            let memory = try #require(run(forward + ["--memory", "1MiB"]).leastMemory)
            original.memory[each.name] = memory
            try run(forward + ["--memory", memory]).expect(0)
            original.outputs[each.name] = try outputs(bench, each)
            original.files[each.name] = try bench.contentsWithoutNames("store")
            try FileManager.default.removeItem(atPath: bench.file("store"))
        }
        return original
    }

    private let bench: Bench
    init() throws { bench = try Bench() }

    private func prepare(_ each: Case) throws {
        let original = try Self.original.get().bench
        try? FileManager.default.removeItem(atPath: bench.file("store"))
        try FileManager.default.copyItem(atPath: original.file(each.name), toPath: bench.file("store"))
        if !bench.exists("model") {
            try FileManager.default.copyItem(
                atPath: original.file("\(each.name) model"), toPath: bench.file("model"))
        }
    }

    private static func outputs(_ bench: Bench, _ each: Case) throws -> [Data] {
        let bits = try bench.bytes("nll.npy")
        if !each.areStatesKept { return [bits] }
        try run("export", "--store", bench.file("store"), "--generation", "4", "--out", bench.file("states.npy"))
            .expect(0)
        return [bits, try bench.bytes("states.npy")]
    }

    private func arguments(_ each: Case, memory: String? = nil, threads: Int = 1) throws -> [String] {
        [
            "forward", "--store", bench.file("store"), "--model", bench.file("model"), "--memory",
            try memory ?? #require(Self.original.get().memory[each.name]), "--threads", "\(threads)", "--nll",
            bench.file("nll.npy"), "--json",
        ]
    }

    /// Checks that the store is whole and gave what comes out undisturbed.
    private func expectSameBits(_ each: Case) throws {
        #expect(try Self.outputs(bench, each) == Self.original.get().outputs[each.name])
        try run("verify", "--store", bench.file("store")).expect(0)
    }

    /// A begun run: the signal comes when a part of a generation was committed.
    private func begin(_ each: Case, _ signal: Int32, in generation: Int? = nil) throws -> Outcome {
        for _ in 0..<5 {
            try prepare(each)
            let program = try Program(arguments(each))
            let file = "store/generation-\(generation ?? each.generation)/data.mdb"
            while !program.hasEnded && (try? bench.bytes(file).count) ?? 0 < 80_000 { usleep(1000) }
            // Nobody computes a tenth of the work ahead of a commit under way.
            let steps = program.errorSoFar.count { $0 == "%" }
            while !program.hasEnded && program.errorSoFar.count(where: { $0 == "%" }) <= steps { usleep(1000) }
            program.send(signal)
            let outcome = try program.outcome()
            if outcome.status != 0 { return outcome }
        }
        throw InterruptionTests.Failure("the run is always over before the signal comes")
    }

    @Test(
        "Stopped in the middle of a pass, then the same command again: the same files, byte for byte",
        arguments: [
            (hybrid, SIGINT), (hybrid, SIGKILL), (streaming, SIGINT), (streaming, SIGKILL), (recurrences, SIGINT),
            (recurrences, SIGKILL), (rwkv, SIGINT), (rwkv, SIGKILL),
            (selective, SIGINT), (selective, SIGKILL),
        ])
    func sameFiles(each: Case, signal: Int32) throws {
        let stopped = try begin(each, signal)
        stopped.expect(signal == SIGKILL ? -SIGKILL : 75)
        if signal == SIGINT { stopped.expect(75, "layers 1 to 3 are kept through block", "same command") }
        try run("verify", "--store", bench.file("store")).expect(0)
        // A kill may come before the first commit is made: then nothing was kept.
        let resumed = try run(arguments(each)).expect(0)
        if signal == SIGINT { resumed.expect(0, "Going on with layers 1 to 3 at block") }
        try expectSameBits(each)
        // A signal commits where no commit was due, and pages of LMDB's own may lie otherwise then.
        if signal == SIGKILL {
            let found = try bench.contentsWithoutNames("store"), wanted = try Self.original.get().files[each.name]
            #expect(found == wanted)
        }
    }

    @Test(
        "Stopped in any pass, then with other memory and threads: the same bits",
        arguments: [
            (hybrid, 3, 1024, 1), (hybrid, 3, 32, 3), (hybrid, 4, 1024, 2), (hybrid, 4, 40, 1),
            (streaming, 3, 1024, 2), (streaming, 3, 32, 3), (rwkv, 3, 32, 3), (selective, 3, 32, 3),
        ])
    func otherwise(each: Case, in generation: Int, mebibytes: Int, threads: Int) throws {
        for signal in [SIGKILL, SIGTERM] {
            try begin(each, signal, in: generation).expect(signal == SIGKILL ? -SIGKILL : 75)
            let result = try run(arguments(each, memory: Program.memory(mebibytes), threads: threads)).expect(0)
            // A kill may come before the first commit is made.
            if signal == SIGTERM {
                result.expect(0, "Going on with layer")
                #expect(try result.json()["resumed"] as? Bool == true)
            }
            try expectSameBits(each)
        }
    }

    /// Transactions that LMDB has committed to the store's generations: each of the two meta pages that a file begins
    /// with has the number of its last one at byte 144.
    private func commits() -> Int {
        let generations = (try? FileManager.default.contentsOfDirectory(atPath: bench.file("store"))) ?? []
        return generations.reduce(0) { sum, name in
            guard let file = FileHandle(forReadingAtPath: bench.file("store/\(name)/data.mdb")) else { return sum }
            defer { try? file.close() }
            let start = (try? file.read(upToCount: 8192)).flatMap { $0 } ?? Data()
            let last = [144, 4096 + 144].map { offset in
                start.count < offset + 8
                    ? 0 : start[offset..<offset + 8].reversed().reduce(0) { $0 << 8 | Int($1) }
            }
            return sum + (last.max() ?? 0)
        }
    }

    @Test(
        "One run killed ten times goes on every time, and ends with the same bits",
        arguments: [hybrid, streaming, recurrences, rwkv, selective])
    func tenKills(each: Case) throws {
        try prepare(each)
        var numbers = TestNumbers(10)
        var kills = 0
        var places: [String] = []
        let sizes: [(String?, Int)] = [(nil, 1), (Program.memory(32), 2), (Program.memory(40), 3)]
        while kills < 10 {
            let (memory, threads) = sizes[kills % sizes.count]
            let before = commits()
            let program = try Program(arguments(each, memory: memory, threads: threads))
            // However fast it is, every run gets further than the one before.
            while !program.hasEnded && commits() <= before { usleep(500) }
            usleep(UInt32.random(in: 0...30_000, using: &numbers))
            program.send(SIGKILL)
            let outcome = try program.outcome()
            if outcome.status == 0 { break }
            #expect(outcome.status == -SIGKILL, "\(outcome.error)")
            kills += 1
            places += outcome.error.split(separator: "\n").filter { $0.hasPrefix("Going on") }.map(String.init)
        }
        #expect(kills >= 3 && !places.isEmpty, "\(kills) kills, \(places)")
        try run(arguments(each)).expect(0)
        try expectSameBits(each)
    }

    @Test(
        "Progress with a flipped bit in what any layer carries is not gone on from",
        arguments: [hybrid, streaming])
    func flippedBits(each: Case) throws {
        try begin(each, SIGINT).expect(75)
        let name = "store/generation-\(each.generation)/data.mdb"
        let whole = try bench.bytes(name)
        // Older commits may have left theirs.
        var places: [Int] = []
        var rest = whole.startIndex..<whole.endIndex
        while let found = whole.range(of: Data("BBPR".utf8), in: rest) {
            places.append(found.lowerBound)
            rest = found.upperBound..<whole.endIndex
        }
        let length = try #require(
            places.map { Int(whole[$0 + 8]) | Int(whole[$0 + 9]) << 8 | Int(whole[$0 + 10]) << 16 }.max())
        // Three layers' rows of s, and a window's keys and values or a state.
        #expect(length > 3 * 2 * 32 * 4 + 60 * 2 * 32 * 4)
        let offsets = [0, 4, 8, 16, 40, 52, 56, 70] + (1...20).map { length * $0 / 21 } + [length - 1]
        for offset in offsets {
            try bench.edit(name) { bytes in
                for place in places where place + offset < bytes.endIndex { bytes[place + offset] ^= 0x10 }
            }
            // Another magic is no progress at all.
            try run(arguments(each)).expect(65, "progress", "--restart", "generation \(each.generation)")
            try bench.write(name, whole)
        }
        try run(arguments(each)).expect(0)
        try expectSameBits(each)
    }
}

extension Bench {
    func copy(_ name: String, to other: String) throws {
        try FileManager.default.copyItem(atPath: file(name), toPath: file(other))
    }

    /// Every file of a store with its bytes, but the names that generations get anew in every run.
    func contentsWithoutNames(_ store: String) throws -> [String: Data] {
        let manifest = try #require(
            JSONSerialization.jsonObject(with: bytes("\(store)/manifest.json")) as? [String: Any])
        let generations = try #require(manifest["generations"] as? [[String: Any]])
        let names = ([manifest["checksum"]] + generations.map { $0["id"] }).compactMap { $0 as? String }
        return try contents(store).filter { $0.key != "lock" }.mapValues { data in
            var data = data
            for name in names {
                while let found = data.range(of: Data(name.utf8)) {
                    data.replaceSubrange(found, with: Data(repeating: 0x30, count: name.utf8.count))
                }
            }
            return data
        }
    }
}
