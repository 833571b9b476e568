import Foundation
import FoundationXML
import TestSupport
import Testing

/// `context` as its users run it.
struct ContextCommandTests {
    let bench: Bench
    init() throws { bench = try Bench() }

    private func context(_ arguments: String) throws -> Outcome {
        let places = ["M": "model", "F": "plot.svg", "NOWHERE": "nowhere/plot.svg"]
        return try run(
            ["context"] + arguments.split(separator: " ").map { places[String($0)].map(bench.file) ?? String($0) })
    }

    @Test("The formula, by depth")
    func formula() throws {
        let output = try context("--patch-size 32 --layers 60").expect(0).output
        for number in ["992", "32 736", "1 048 544", "33 554 400", "~10^92"] { #expect(output.contains(number)) }
        #expect(
            output.contains(
                "65 185 151 242 703 554 760 590 262 029 100 101 153 646 988 597 309 960 020 356 494 379 340 201 592 426 774 597 868 716 000"
            ))
        let depths = try #require(
            context("--patch-size 32 --layers 12 --json").expect(0).json()["depths"] as? [[String: Any]])
        #expect(depths.count == 12)
        #expect(depths[2]["formula"] as? Int == 1_048_544)
        #expect(depths[11]["formula"] as? String == "36893488147419103200")
    }

    @Test("The toy case's wiring, counted from one")
    func wiring() throws {
        let result = try context("--patch-size 4 --layers 3 --length 12").expect(0)
        #expect(result.output.contains("patch 0 holds tokens 1 2 3 4 and receives the delegates of tokens 1 5 9 2"))
        let drawn = try context(
            "--patch-size 32 --layers 1 --length 100000 --delegation monte-carlo --delegation-seed 3"
        ).expect(0)
        #expect(drawn.output.contains("patch 0 holds tokens 1 2 3 4 5 6 7 8 ... and receives"))
        #expect(drawn.output.contains("in layer 1"))
        let json = try context("--patch-size 4 --layers 3 --length 12 --json").expect(0).json()
        #expect(json["patch_0_delegates"] as? [Int] == [0, 4, 8, 1])
    }

    @Test(
        "Reach is measured in sequences of any length",
        arguments: [1, 1000, 1_000_000, 1_000_000_000_000_000, 4_000_000_000_000_000_000])
    func measured(length: Int) throws {
        let json = try context("--patch-size 32 --layers 3 --length \(length) --json").expect(0).json()
        let depths = try #require(json["depths"] as? [[String: Any]])
        let measured = depths.compactMap { $0["measured"] as? Int }
        #expect(measured.count == 3)
        #expect(measured == measured.sorted() && measured.allSatisfy { $0 <= length })
        for depth in depths where (depth["measured"] as? Int ?? 0) < (depth["formula"] as? Int ?? 0) {
            #expect(depth["why_less"] is String)
        }
    }

    @Test(
        "What cannot work is named",
        arguments: [
            ("", "--patch-size"), ("--patch-size 4", "--layers"), ("--layers 4", "--patch-size"),
            ("--patch-size 0 --layers 1", "--patch-size"),
            ("--patch-size 16385 --layers 1", "--patch-size"), ("--patch-size 4 --layers 0", "--layers"),
            ("--patch-size 4 --layers 1001", "--layers"),
            ("--patch-size 4 --layers 1 --length 0", "--length"),
            ("--patch-size 4 --layers 1 --length 4611686018427387904", "--length"),
            ("--patch-size 4 --layers 1 --token 3", "--length"),
            ("--patch-size 4 --layers 1 --length 3 --token 3", "--token"),
            ("--patch-size 4 --layers 1 --kernel-size 0", "--kernel-size"),
            ("--patch-size 4 --layers 1 --delegation selective", "--delegation"),
            ("--patch-size 4 --layers 1 --delegation-seed 3", "--delegation-seed"),
            ("--patch-size 4 --layers 1 --length 9 --perturb", "--perturb"),
            ("--model M --patch-size 4", "--patch-size"), ("--model M --kernel-size 4", "--kernel-size"),
            ("--model M --bidirectional", "--bidirectional"),
            ("--model M --delegation transpose", "--delegation"), ("--model M --perturb", "--length"),
            ("--model M --perturb --length 2049", "2048"),
        ])
    func usage(arguments: String, word: String) throws {
        let result = try context(arguments).expect(64, word)
        #expect(result.output.isEmpty)
        #expect(try bench.contents("").isEmpty)
    }

    @Test("A model's layers and files that are not there")
    func absent() throws {
        try context("--model M").expect(66, "no such model")
        try bench.model()
        try context("--model M --layers 3").expect(64, "--layers")
        #expect(try context("--model M --layers 1").expect(0).output.contains("layers          : 1\n"))
        try context("--patch-size 4 --layers 3 --plot NOWHERE").expect(73, "plot.svg")
    }

    @Test("The plot is a well-formed drawing")
    func plot() throws {
        try context("--patch-size 32 --layers 8 --length 100000 --plot F").expect(0, "plot.svg")
        let parser = XMLParser(data: try bench.bytes("plot.svg"))
        #expect(parser.parse())
        let text = String(decoding: try bench.bytes("plot.svg"), as: UTF8.self)
        for part in ["<svg ", "formula", "measured", "n = 100 000", "layers", "polyline"] {
            #expect(text.contains(part))
        }
        #expect(try bench.contents("").count == 1)
    }

    @Test("Bytes that change a token's rows are among those that following finds")
    func perturbed() throws {
        try bench.model(patchSize: 4)
        let depths = try #require(
            context("--model M --length 60 --perturb --json").expect(0).json()["depths"] as? [[String: Any]])
        #expect(depths.count == 2)
        let (measured, perturbed) = (
            depths.compactMap { $0["measured"] as? Int }, depths.compactMap { $0["perturbed"] as? Int }
        )
        #expect(measured.count == 2 && perturbed.count == 2)
        #expect(zip(measured, perturbed).allSatisfy { $0 >= $1 })
        // Farther than a patch, and with every layer.
        #expect(perturbed.allSatisfy { $0 > 4 })
        #expect(perturbed == perturbed.sorted() && Set(perturbed).count == 2)
        // An early token sees nothing later.
        let early = try #require(
            context("--model M --length 20 --token 5 --perturb --json").expect(0).json()["depths"] as? [[String: Any]])
        #expect(early.allSatisfy { ($0["perturbed"] as? Int ?? .max) <= 6 })
    }
}
