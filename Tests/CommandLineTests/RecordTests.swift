import Foundation
import TestSupport
import Testing

@testable import PageStore

/// Surprisal and every generation, to the last bit, as the program gave them when `record.txt` was made: what is built
/// anew inside must give the same.
///
/// The record holds for every fixture what its model makes of its tokens, and for some models what they make of a text
/// so long that the least memory keeps a part of the states alone. It is made anew, after a change that is meant to
/// round differently, by
///
///     BBP_REMAKE_RECORD=1 swift test -c release -Xswiftc -enable-testing --filter RecordTests
///
/// on a processor with AVX-512, so that all paths have their say. A line is
/// `NAME PATH STATE WAY: nll DIGEST generations DIGEST…`; a digest is the XXH3-64 of a NumPy file. AVX-512 and AVX2
/// share a line. Digests hang on the compiler and on the C library's functions, too: where another version of these
/// rounds differently, the program of an earlier commit tells so.
@Suite("Record", .disabled(if: Program.sanitizerMebibytes > 0, "sanitizers look for other things, slowly"))
struct RecordTests {
    /// A model and what it runs over.
    struct Case: CustomTestStringConvertible, Sendable {
        var fixture: String
        /// Bytes of a text; nil for the fixture's own tokens.
        var bytes: Int?
        /// Kernel paths; the plain one takes seconds where there is much to multiply.
        var paths = ["avx512", "avx2", "plain"]

        /// Few models' kernels are long enough for transforms: others convolve directly either way.
        var ways: [String] { fixture == "ragged" ? ["direct", "fourier"] : ["direct"] }
        var name: String { fixture + (bytes.map { "/\($0)" } ?? "") }
        var testDescription: String { name }
    }

    /// What a line of the record is for.
    struct Key: CustomStringConvertible {
        var example: Case
        var path: String
        var state: String
        var way: String

        /// The line up to its colon.
        var description: String { "\(example.name) \(path == "plain" ? path : "vector") \(state) \(way)" }
    }

    struct Cut {
        var threads: Int
        var isLeastMemory: Bool
    }

    /// The longest first, so that none is left to the end.
    static let long = [
        vector("ragged", 30_000), vector("wide", 50_000), vector("odd", 25_000), vector("recurrent-selective", 80_000),
        Case(fixture: "everything", bytes: 60_000), Case(fixture: "recurrent-carlo", bytes: 40_000),
        Case(fixture: "selective-stack", bytes: 60_000), Case(fixture: "long-bidirectional", bytes: 80_000),
        Case(fixture: "deep", bytes: 60_000), Case(fixture: "patch1", bytes: 60_000),
    ]

    private static func vector(_ fixture: String, _ bytes: Int) -> Case {
        Case(fixture: fixture, bytes: bytes, paths: ["avx512", "avx2"])
    }

    /// Every fixture that is there, and what follows: one that is added has to be recorded.
    static let cases = long + fixtures.map { Case(fixture: $0) }

    /// All but those of mixers, which the record does not know.
    static let fixtures: [String] = {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: Fixtures.directory)) ?? []
        return names.sorted().filter { name in
            guard let text = FileManager.default.contents(atPath: "\(Fixtures.path(name))/config.json"),
                let config = try? JSONSerialization.jsonObject(with: text) as? [String: Any]
            else { return false }
            return config["mixers"] == nil && config["mixer"] == nil
        }
    }()

    static let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("record.txt")
    static let isRemade = ProcessInfo.processInfo.environment["BBP_REMAKE_RECORD"] != nil

    /// The record's lines: what follows the colon, by what comes before it.
    static let record: [String: String] = {
        let text = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
        let lines = text.split(separator: "\n").map { $0.components(separatedBy: ": ") }
        return Dictionary(lines.filter { $0.count == 2 }.map { ($0[0], $0[1]) }) { first, _ in first }
    }()

    // MARK: Comparing

    @Test("Every bit is as recorded", .enabled(if: !isRemade), arguments: cases)
    func same(example: Case) throws {
        let found = try lines(of: example)
        #expect(!found.isEmpty)
        for (key, digests) in found { #expect(digests == Self.record[key], "\(key)") }
        // What is recorded for it, and for paths that this processor has, was computed.
        let paths = Set(found.keys.map { $0.split(separator: " ")[1] })
        for key in Self.record.keys where key.hasPrefix("\(example.name) ") {
            #expect(found[key] != nil || !paths.contains(key.split(separator: " ")[1]), "\(key)")
        }
    }

    @Test("What is recorded is there, and recorded once", .enabled(if: !isRemade))
    func complete() throws {
        let names = Set(Self.cases.map(\.name))
        for key in Self.record.keys { #expect(names.contains(String(key.prefix { $0 != " " })), "\(key)") }
        #expect(try String(contentsOf: Self.file, encoding: .utf8).split(separator: "\n").count == Self.record.count)
    }

    @Test("The record is made anew", .enabled(if: isRemade))
    func remake() throws {
        let text = try Self.cases.flatMap { try lines(of: $0).map { "\($0.key): \($0.value)\n" } }.sorted().joined()
        try text.write(to: Self.file, atomically: true, encoding: .utf8)
    }

    // MARK: Computing

    /// The lines of a case, each computed in every cut.
    private func lines(of example: Case) throws -> [String: String] {
        let bench = try Bench()
        if let bytes = example.bytes {
            let text = URL(fileURLWithPath: "\(Fixtures.directory)/../../datasets/opticks.txt")
            try bench.store(Array(Data(contentsOf: text).prefix(bytes)), "--raw", named: "tokens")
        } else {
            try bench.store(fixture: example.fixture, named: "tokens")
        }
        var lines: [String: String] = [:]
        for path in example.paths {
            for state in ["f32", "bf16"] {
                for way in example.ways {
                    let key = Key(example: example, path: path, state: state, way: way)
                    for cut in cuts(example, path: path) {
                        guard let digests = try digests(key, cut, bench) else { break }
                        #expect(lines["\(key)", default: digests] == digests, "\(key): \(path), \(cut)")
                        lines["\(key)"] = digests
                    }
                }
            }
        }
        for (key, digests) in lines where key.hasSuffix("fourier") {
            #expect(lines[key.replacing("fourier", with: "direct")] != digests, "\(key): nothing was transformed")
        }
        return lines
    }

    /// A fixture's few patches are one window in any memory.
    private func cuts(_ example: Case, path: String) -> [Cut] {
        let least = Cut(threads: 3, isLeastMemory: true)
        if example.bytes == nil || path == "plain" { return [least] }
        return [least, Cut(threads: 1, isLeastMemory: false)]
    }

    /// Digests of all that a run gives; nil where the processor lacks the kernels.
    private func digests(_ key: Key, _ cut: Cut, _ bench: Bench) throws -> String? {
        let store = bench.file("run")
        try? FileManager.default.removeItem(atPath: store)
        try FileManager.default.copyItem(atPath: bench.file("tokens"), toPath: store)
        func forward(_ flags: String...) throws -> Outcome {
            try Program(
                [
                    "BBP_KERNELS=\(key.path)", Program.path, "forward", "--store", store, "--model",
                    Fixtures.path(key.example.fixture),
                    "--threads", "\(cut.threads)", "--state", key.state, "--convolution", key.way, "--keep", "all",
                ] + flags, executable: "/usr/bin/env"
            ).outcome()
        }
        var memory = "1GiB"
        if cut.isLeastMemory {
            let refusal = try forward("--memory", "1MiB", "--dry-run")
            if refusal.error.contains("which this processor does not have") { return nil }
            memory = try #require(refusal.expect(64).leastMemory)
        }
        let summary = try forward("--memory", memory, "--nll", bench.file("nll.npy"), "--json").expect(0).json()
        let window = try #require(summary["window"] as? [String: Any])
        #expect(
            key.example.bytes == nil || window["in_memory"] as? Bool == !cut.isLeastMemory,
            "\(key): \(memory) holds too much or too little")
        let generations = try #require(summary["generations"] as? [Int]).dropFirst().map { generation in
            try run("export", "--store", store, "--generation", "\(generation)", "--out", bench.file("states.npy"))
                .expect(0)
            return try digest(bench.bytes("states.npy"))
        }
        return try "nll \(digest(bench.bytes("nll.npy"))) generations \(generations.joined(separator: " "))"
    }

    private func digest(_ bytes: Data) -> String { String(format: "%016lx", bytes.withUnsafeBytes { checksum($0) }) }
}
