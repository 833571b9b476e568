import Foundation
import TestSupport
import Testing

/// The wider family as its users run it: what depends on what, stopped runs, orders on disk.
@Suite("Family") struct FamilyTests {
    let bench: Bench
    init() throws { bench = try Bench() }

    private func model(_ flags: String, patchSize: Int, layers: Int = 2, hiddenSize: Int = 16) throws -> String {
        let path = bench.file("model")
        try run(
            [
                "model", "init", path, "--patch-size", "\(patchSize)", "--layers", "\(layers)", "--hidden-size",
                "\(hiddenSize)", "--force",
            ] + words(flags)
        ).expect(0)
        return path
    }

    private func words(_ flags: String) -> [String] { flags.split(separator: " ").map(String.init) }

    /// Surprisal, and the states of every generation, of a run over `bytes`.
    private func outputs(_ bytes: [UInt8], _ model: String, _ flags: [String] = []) throws -> [NpyArray] {
        try? FileManager.default.removeItem(atPath: bench.file("store"))
        try bench.store(bytes, "--raw")
        let summary = try run(
            [
                "forward", "--store", bench.file("store"), "--model", model, "--keep", "all", "--state", "f32", "--nll",
                bench.file("nll.npy"), "--json",
            ] + flags
        ).expect(0).json()
        let generations = try #require(summary["generations"] as? [Int])
        var arrays = [try bench.array("nll.npy")]
        for generation in generations.dropFirst() {
            try run(
                "export", "--store", bench.file("store"), "--generation", "\(generation)", "--out",
                bench.file("states.npy")
            ).expect(0)
            arrays.append(try bench.array("states.npy"))
        }
        return arrays
    }

    /// The rows in which two arrays differ, to the last bit.
    private func changed(_ a: NpyArray, _ b: NpyArray) -> [Int] {
        let width = a.shape.count > 1 ? a.shape[1] : 1
        return (0..<a.shape[0]).filter { row in
            (row * width..<(row + 1) * width).contains { a.values[$0].bitPattern != b.values[$0].bitPattern }
        }
    }

    // MARK: Causality

    /// Flags of a model, its patch size, and tokens. Where the convolutions' kernels are long, direct convolution is
    /// what short sequences get.
    static let causal = [
        ("", 32, 3001), ("--kernel-size 9", 7, 2000), ("--recurrence 2 --kernel-size 4", 16, 1500),
        ("--delegation monte-carlo", 32, 3001), ("--delegation monte-carlo --delegation-seed 9 --recurrence 2", 8, 900),
        ("--tcn 3:16,3x2:24,5x7:16", 16, 1999), ("--tcn 2x40:8,3:24 --hidden-act relu", 9, 1000),
        ("--positional-encoding none", 16, 1501),
        ("--delegation monte-carlo --tcn 3:12 --positional-encoding none", 64, 700),
        ("--delegation transpose --hidden-size 64 --heads 2", 32, 2000),
    ]

    @Test(
        "A changed byte leaves every output before it as it was, to the last bit, and reaches far beyond its patch",
        arguments: causal)
    func causality(flags: String, patchSize: Int, tokens: Int) throws {
        var numbers = TestNumbers(UInt64(tokens))
        let bytes = numbers.bytes(tokens)
        let model = try model(
            flags.contains("--hidden-size") ? String(flags) : flags, patchSize: patchSize,
            hiddenSize: flags.contains("--hidden-size") ? 64 : 16)
        let before = try outputs(bytes, model)
        for place in [tokens / 7, tokens / 2 + 3] {
            var other = bytes
            other[place] ^= 0x55
            for (index, arrays) in zip(before, try outputs(other, model)).enumerated() {
                let rows = changed(arrays.0, arrays.1)
                // The surprisal of the byte itself is of other bits, for another byte is predicted; states from it on.
                #expect(rows.first == place, "\(index == 0 ? "surprisal" : "generation \(index)")")
                if index == before.count - 1 { #expect(try #require(rows.last) > place + 2 * patchSize) }
            }
        }
    }

    @Test("Selective delegation is causal to the patch: a patch's delegates are ordered by all its tokens")
    func causalToThePatch() throws {
        var numbers = TestNumbers(3)
        let (patchSize, place) = (16, 16 * 40 + 9)
        let bytes = numbers.bytes(1500)
        let model = try model("--delegation selective --kernel-size 5", patchSize: patchSize)
        let before = try outputs(bytes, model)
        var other = bytes
        other[place] ^= 0x55
        let after = try outputs(other, model)
        for (a, b) in zip(before, after).dropFirst() {
            #expect(try #require(changed(a, b).first) / patchSize == place / patchSize)
        }
        #expect(try run("model", "info", model).expect(0).output.contains("to the patch"))
    }

    @Test("In a bidirectional model a changed byte reaches back and on")
    func bothWays() throws {
        var numbers = TestNumbers(4)
        let bytes = numbers.bytes(1001)
        let model = try model("--bidirectional --kernel-size 6", patchSize: 8)
        var other = bytes
        other[500] ^= 0x55
        let rows = changed(try outputs(bytes, model)[2], try outputs(other, model)[2])
        #expect(try #require(rows.first) < 400 && #require(rows.last) > 600)
    }

    // MARK: How convolutions are computed

    @Test("--convolution is kept to, and recorded; results are close either way")
    func convolutionWays() throws {
        var numbers = TestNumbers(5)
        let bytes = numbers.bytes(3000)
        let model = try model("--kernel-size 33", patchSize: 32, hiddenSize: 32)
        let direct = try outputs(bytes, model, ["--convolution", "direct"])
        let automatic = try outputs(bytes, model)
        #expect(changed(direct[2], automatic[2]).isEmpty)
        let fourier = try outputs(bytes, model, ["--convolution", "fourier"])
        #expect(!changed(direct[2], fourier[2]).isEmpty && fourier[2].relativeError(to: direct[2]) < 1e-5)
        let forward = ["forward", "--store", bench.file("store"), "--model", model]
        try run(forward + ["--convolution", "direct"]).expect(64, "--convolution", "fourier")
        try run(forward).expect(0)
        try run(forward + ["--convolution", "winograd"]).expect(64, "convolution")
        #expect(try run("dump", "--store", bench.file("store")).expect(0).output.contains("fourier"))
    }

    // MARK: Orders on disk

    @Test(
        "Tokens are laid out as a model's first pass reads them, and back for another model; dump shows ρ, export natural order"
    )
    func layouts() throws {
        var numbers = TestNumbers(6)
        let bytes = numbers.bytes(777)
        try bench.store(bytes, "--raw", "--patch-size", "8")
        let store = bench.file("store")
        func expectTokens() throws {
            try run("export", "--store", store, "--generation", "0", "--out", bench.file("tokens.npy")).expect(0)
            #expect(try bench.array("tokens.npy").values.map { UInt8($0) } == bytes)
            try run("verify", "--store", store).expect(0)
        }
        for (flags, order) in [
            ("--delegation monte-carlo --delegation-seed 3", "monte-carlo, seed 3"),
            ("--delegation selective", "selective, model"), ("", nil),
        ] as [(String, String?)] {
            let model = try model(flags, patchSize: 8)
            try run("forward", "--store", store, "--model", model, "--restart", "--keep", "all").expect(
                0, "order of their delegates")
            try expectTokens()
            let dump = try run("dump", "--store", store).expect(0).output
            #expect(order.map { dump.contains($0) } ?? !dump.contains("order"))
            // A second run finds them as they are.
            #expect(
                try !run("forward", "--store", store, "--model", model, "--restart").expect(0).error.contains(
                    "order of their delegates"))
            let shown = try run("dump", "--store", store, "--generation", "0", "--block", "0", "--order", "--json")
            guard order != nil else {
                shown.expect(64, "their own order")
                continue
            }
            let orders = try #require(try shown.expect(0).json()["orders"] as? [[String: Any]])
            #expect(
                orders.count == 98
                    && orders.allSatisfy { ($0["columns_of_its_tokens"] as? [Int])?.sorted() == Array(0..<8) })
            // Values of a column come with the tokens they are of.
            let column = try run(
                "dump", "--store", store, "--generation", "0", "--block", "0", "--column", "2", "--values", "--json"
            ).expect(0).json()
            for row in try #require(column["tokens"] as? [[String: Any]]) {
                let token = try #require(row["token"] as? Int)
                #expect(row["values"] as? [Int] == [Int(bytes[token])])
                #expect((orders[token / 8]["columns_of_its_tokens"] as? [Int])?[token % 8] == 2)
            }
        }
    }

    @Test("Tokens that were scored in other numbers are laid out anew: a store's past does not change what comes out")
    func scoredOtherwise() throws {
        var numbers = TestNumbers(7)
        let bytes = numbers.bytes(5000)
        let model = try model("--delegation selective --kernel-size 3", patchSize: 16, layers: 1)
        let fresh = try outputs(bytes, model)
        try? FileManager.default.removeItem(atPath: bench.file("store"))
        try bench.store(bytes, "--raw")
        let forward = [
            "forward", "--store", bench.file("store"), "--model", model, "--state", "f32", "--nll",
            bench.file("nll.npy"),
        ]
        try Program(["BBP_KERNELS=plain", Program.path] + forward + ["--compute", "bf16"], executable: "/usr/bin/env")
            .outcome().expect(0)
        #expect(!changed(fresh[0], try bench.array("nll.npy")).isEmpty)
        try run(forward + ["--restart", "--compute", "f32"]).expect(0, "order of their delegates")
        #expect(changed(fresh[0], try bench.array("nll.npy")).isEmpty)
    }

    @Test("monte-carlo orders are those that the generator is documented to give")
    func documentedOrder() throws {
        try bench.store([UInt8](repeating: 65, count: 40), "--raw")
        let model = try model("--delegation monte-carlo --delegation-seed 7 --recurrence 2", patchSize: 8)
        try run("forward", "--store", bench.file("store"), "--model", model, "--keep", "all").expect(0)
        // NumPy: argsort of the keys of Philox(key=[7, 0], counter=[0, g, repeat, layer]), and the inverse of it.
        let expected: [Int: [[Int]]] = FamilyTests.orders
        for (generation, orders) in expected {
            let shown = try run(
                "dump", "--store", bench.file("store"), "--generation", "\(generation)", "--block", "0", "--order",
                "--json"
            ).expect(0).json()
            #expect(
                (shown["orders"] as? [[String: Any]])?.compactMap { $0["columns_of_its_tokens"] as? [Int] } == orders,
                "generation \(generation)")
        }
    }

    /// By generation: the columns of the tokens of patches 0 to 4, seed 7. Generation p is read by pass p + 1.
    private static let orders: [Int: [[Int]]] = [
        0: [
            [7, 1, 4, 3, 0, 6, 2, 5], [7, 6, 0, 5, 3, 4, 2, 1], [5, 1, 3, 0, 7, 6, 4, 2], [4, 2, 7, 5, 3, 1, 0, 6],
            [3, 0, 1, 6, 7, 4, 5, 2],
        ],
        1: [
            [0, 3, 7, 2, 5, 1, 4, 6], [1, 7, 2, 4, 5, 3, 6, 0], [1, 5, 3, 7, 0, 6, 4, 2], [4, 7, 0, 5, 6, 1, 3, 2],
            [5, 6, 2, 3, 4, 1, 0, 7],
        ],
        2: [
            [6, 3, 0, 4, 5, 1, 7, 2], [0, 2, 3, 7, 5, 4, 6, 1], [7, 1, 3, 0, 6, 2, 4, 5], [4, 3, 7, 0, 1, 6, 2, 5],
            [7, 2, 6, 4, 5, 3, 1, 0],
        ],
        3: [
            [2, 6, 3, 7, 0, 5, 4, 1], [0, 7, 5, 2, 1, 6, 3, 4], [7, 5, 3, 2, 1, 0, 6, 4], [3, 0, 2, 6, 5, 4, 7, 1],
            [5, 4, 7, 1, 3, 6, 2, 0],
        ],
    ]
}
