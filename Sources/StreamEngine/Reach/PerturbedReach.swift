import Geometry
import Glibc
import PageStore
import ProtonModel
import Support

/// What really changes: bytes of an input are changed one by one, the model runs, and the rows of one token are
/// compared bit by bit. Influences below the resolution of f32 are not seen.
package enum PerturbedReach {
    /// Runs are many: one for each token.
    package static let lengths = 1...2048

    /// Runs the model in `directory` over `tokens` pseudo-random bytes, and again with each of them changed.
    ///
    /// - Parameters:
    ///   - token: whose rows are compared.
    ///   - layers: generations 1 ... `layers` are.
    ///   - onProgress: called with the runs done, of `tokens` + 1.
    /// - Returns: for each depth the tokens that change the row, ascending.
    /// - Throws: `Fault` of the run; `usage` when `tokens` is not in `lengths` or there is no such token.
    package static func run(
        model directory: String, tokens: Int, token: Int, layers: Int, onProgress: (Int) -> Void = { _ in }
    ) throws -> [[Int]] {
        guard lengths.contains(tokens) else {
            throw Fault(
                .usage,
                "the model is run once for each token: 1 to \(lengths.upperBound) of them work, not \(tokens)",
                at: Place(option: "length"))
        }
        guard (0..<tokens).contains(token) else { throw Fault(.usage, "there is no token \(token) among \(tokens)") }
        let work = try WorkFolder("bbp-stream-contexts")
        defer { withExtendedLifetime(work) {} }
        let folder = work.path
        var bytes = noise(tokens)
        let original = try rows(model: directory, bytes, token: token, layers: layers, in: folder)
        onProgress(1)
        var changing = [[Int]](repeating: [], count: layers)
        for changed in 0..<tokens {
            try Interruption.check { "nothing was written" }
            bytes[changed] ^= 0x55
            let found = try rows(model: directory, bytes, token: token, layers: layers, in: folder)
            bytes[changed] ^= 0x55
            for depth in 0..<layers where found[depth] != original[depth] { changing[depth].append(changed) }
            onProgress(changed + 2)
        }
        return changing
    }

    /// Holds what changes a row against what following the wiring found.
    ///
    /// - Throws: `Fault` (`inputOutput`) where a token changes the row that no path leads from: the program has a
    ///   defect.
    package static func check(_ changing: [[Int]], against reached: [Set<Int>], token: Int) throws {
        for (index, (tokens, set)) in zip(changing, reached).enumerated() {
            guard let stray = tokens.first(where: { !set.contains($0) }) else { continue }
            throw Fault(
                .inputOutput,
                "this is a defect of bbp-stream: after \(index + 1) layers token \(token) changes with token \(stray), from which no path leads there",
                advice: "Please report it with the model's config.json and this command.")
        }
    }

    /// The bits of row `token` of generations 1 ... `layers`.
    private static func rows(model: String, _ bytes: [UInt8], token: Int, layers: Int, in folder: String) throws
        -> [[UInt8]]
    {
        let (input, directory) = ("\(folder)/bytes", "\(folder)/store")
        try File.replace(input, with: bytes)
        try File.remove(directory)
        _ = try Ingest.run(
            [input], store: directory, format: .raw, patchSize: ModelConfig(directory: model).patchSize,
            isReplacing: false)
        var options = ForwardOptions(store: directory, model: model)
        options.memory = 256 << 20
        options.threads = 1
        options.state = .f32
        options.keep = .all
        // Fourier transforms spread rounding to rows that no tap reaches.
        options.convolution = .direct
        _ = try ForwardRun(options, observer: Quiet()).run()
        let store = try Store.open(directory)
        let kernels = try Kernels.select()
        return try (1...max(1, layers)).map { generation in
            var row: [UInt8] = []
            try RowStream(store.reader(generation), kernels: kernels).read(token..<token + 1) { _, bytes in
                row = Array(bytes)
            }
            return row
        }
    }

    private struct Quiet: ForwardObserver {
        func planned(_ plan: ForwardPlan) {}
        func note(_ text: String) {}
        func progress(_ progress: ForwardProgress) {}
    }

    /// The same bytes every time, no two runs of which are alike.
    private static func noise(_ count: Int) -> [UInt8] {
        var state: UInt64 = 1
        return (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 56)
        }
    }
}
