import Foundation

/// A folder of a test's own, gone when the test is done with it.
package final class TemporaryFolder {
    package let path: String

    package init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("bbp-stream-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// The path of `name` inside.
    package func file(_ name: String) -> String { "\(path)/\(name)" }

    /// Writes `bytes` to a file inside and returns its path.
    @discardableResult package func write(_ name: String, _ bytes: some Sequence<UInt8>) throws -> String {
        try Data(bytes).write(to: URL(fileURLWithPath: file(name)))
        return file(name)
    }
}

/// The fixtures of this repository's Tests folder.
package enum Fixtures {
    package static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Fixtures").path

    /// Names of the cases of the published block, made by tools/make_fixtures.
    package static let published = ["single", "seven", "odd", "square", "ragged", "deep", "patch1", "wide", "longest"]

    /// Those of the wider family: every option, and every pair of them.
    package static let family = [
        "recurrent", "carlo", "selective", "relu", "stack", "narrow", "nowhere", "bidirectional", "few-carlo",
        "few-selective", "wide-bidirectional", "recurrent-carlo",
        "recurrent-selective", "recurrent-stack", "recurrent-nowhere", "recurrent-bidirectional", "carlo-stack",
        "carlo-nowhere", "carlo-bidirectional", "selective-stack",
        "selective-nowhere", "selective-bidirectional", "stack-nowhere", "stack-bidirectional", "nowhere-bidirectional",
        "everything", "long-bidirectional", "long-selective",
    ]

    /// Those of mixers other than Monte Carlo Attention, alone and several in one model.
    package static let mixers =
        [
            "window", "window-dilated", "window-wide", "window-around", "window-around-wide", "window-around-carlo",
            "window-around-one", "retention", "retention-plain", "retention-long",
            "retention-inclusive", "hybrid", "hybrid-carlo", "hybrid-selective", "streaming", "streaming-short",
            "linear", "linear-plain", "linear-identity", "transnormer", "transnormer-plain",
            "mamba2", "mamba2-plain", "mamba2-short", "mamba2-selective",
            "rwkv6", "rwkv6-one", "rwkv6-long", "rwkv6-hybrid", "rwkv7", "rwkv7-one",
            "rwkv7-long", "rwkv7-hybrid", "rwkv7-repeated",
            "xl", "xl-long", "xl-one", "hybrid-xl", "mamba", "mamba-one", "hybrid-mamba", "s4d", "s4d-one",
            "hybrid-s4d",
        ] + pairs + ["every-kind"]

    /// Two kinds that stream, of different families, in one model; in some of them with Monte Carlo Attention between.
    package static let pairs = [
        "pair-window-mamba", "pair-mamba-linear", "pair-linear-xl", "pair-xl-rwkv6", "pair-rwkv6-s4d",
        "pair-s4d-transnormer", "pair-transnormer-rwkv7", "pair-rwkv7-mamba2", "pair-mamba2-retention",
        "pair-retention-window",
    ]

    package static let cases = published + family + mixers

    package static func path(_ name: String) -> String { "\(directory)/\(name)" }
}

/// A deterministic source of test data (SplitMix64).
package struct TestNumbers: RandomNumberGenerator {
    private var state: UInt64
    package init(_ seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }

    package mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) }
    }

    /// Roughly normal.
    package mutating func float() -> Float { (0..<4).map { _ in Float.random(in: -1...1, using: &self) }.reduce(0, +) }
}
