import Foundation
import TestSupport
import Testing

/// What the program says of itself, and how it takes arguments that cannot work.
struct UsageTests {
    /// Arguments, and a word that the message must contain; S, M and F stand for a store, a model and a file that are
    /// not there.
    static let wrong: [(arguments: String, word: String)] = [
        ("frobnicate", "frobnicate"),
        ("ingest", "<file>"),
        ("ingest F", "--store"),
        ("ingest F --store", "--store"),
        ("ingest --store S", "<file>"),
        ("ingest F --store S --raw --tokens", "--raw and --tokens"),
        ("ingest F --store S --patch-size 0", "--patch-size"),
        ("ingest F --store S --patch-size 16385", "--patch-size"),
        ("ingest F --store S --compress", "--compress"),
        ("model init", "<dir>"),
        ("model info", "<dir>"),
        ("model init M --hidden-size 12", "hidden_size"),
        ("model init M --hidden-size 0", "hidden_size"),
        ("model init M --heads 5", "num_attention_heads"),
        ("model init M --heads 0", "num_attention_heads"),
        ("model init M --layers 0", "num_hidden_layers"),
        ("model init M --patch-size 16385", "patch_size"),
        ("model init M --kernel-size 0", "conv_kernel_size"),
        ("model init M --intermediate-size 0", "intermediate_size"),
        (
            "model init M --hidden-size 65536 --layers 10000 --intermediate-size 1048576 --kernel-size 65536",
            "parameters"
        ),
        ("model init M --seed one", "--seed"),
        ("forward --model M", "--store"),
        ("forward --store S", "--model"),
        ("forward --store S --model M --memory lots", "--memory"),
        ("forward --store S --model M --memory 0", "--memory"),
        ("forward --store S --model M --memory 12parsecs", "--memory"),
        ("forward --store S --model M --threads 0", "--threads"),
        ("forward --store S --model M --threads 1025", "--threads"),
        ("forward --store S --model M --state f16", "--state"),
        ("forward --store S --model M --state u16", "--state"),
        ("forward --store S --model M --keep some", "--keep"),
        ("export --store S --generation 1", "--out"),
        ("export --store S --out F", "--generation"),
        ("export --store S --generation 1 --out F --range 5", "--range"),
        ("export --store S --generation 1 --out F --range 5:5", "--range"),
        ("export --store S --generation 1 --out F --range 5:2", "--range"),
        ("export --store S --generation 1 --out F --range a:b", "--range"),
        ("export --store S --generation 1 --out F --range=-1:2", "--range"),
        ("dump", "--store"),
        ("dump --store S --block 0", "--generation"),
        ("dump --store S --generation 0 --column 0", "--block"),
        ("dump --store S --generation 0 --values", "--block"),
        ("verify", "--store"),
    ]

    @Test("The library names no flag and no command: the program has words of its own for what may help")
    func libraryWords() throws {
        let sources = "\(PageArticleTests.root)/Sources"
        let files = try FileManager.default.subpathsOfDirectory(atPath: sources).filter {
            $0.hasSuffix(".swift") && !$0.hasPrefix("bbp-stream/")
        }
        #expect(files.count > 50)
        for file in files {
            let text = try String(contentsOfFile: "\(sources)/\(file)", encoding: .utf8)
            for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
            where !line.drop(while: { $0 == " " }).hasPrefix("//") {
                // What `model init` writes into a file is data.
                let isData = line.contains("random weights of `bbp-stream model init`")
                let isNamed = line.contains(/"[^"]*(--[a-z]|`(bbp-stream|forward) )/)
                #expect(!isNamed || isData, "\(file):\(index + 1): \(line)")
            }
        }
    }

    @Test("A wrong argument is named, exits with 64 and leaves nothing", arguments: wrong)
    func usage(arguments: String, word: String) throws {
        let bench = try Bench()
        let places = ["S": "store", "M": "model", "F": "file"]
        let result = try run(arguments.split(separator: " ").map { places[String($0)].map(bench.file) ?? String($0) })
        result.expect(64, word)
        #expect(result.output.isEmpty)
        #expect(try bench.contents("").isEmpty)
    }

    @Test(
        "The beginning of a flag suggests it, and --progress json has it in an object",
        arguments: [
            ("score F --mem 5MiB", "--memory"), ("forward --store S --model M --conv direct", "--convolution"),
            ("ingest F --store S --forc", "--force"), ("dump --store S --gen 0", "--generation"),
            ("model init M --heads 2 --patch 3", "--patch-size"),
        ])
    func beginning(arguments: String, flag: String) throws {
        let bench = try Bench()
        let places = ["S": "store", "M": "model", "F": "file"]
        let words = arguments.split(separator: " ").map { places[String($0)].map(bench.file) ?? String($0) }
        try run(words).expect(64, "Did you mean '\(flag)'?")
        let told = try run(words + ["--progress", "json"]).expect(64)
        let error = try #require(JSONSerialization.jsonObject(with: Data(told.error.utf8)) as? [String: Any])
        #expect(error["event"] as? String == "error" && error["status"] as? Int == 64)
        #expect((error["text"] as? String)?.contains(flag) == true)
    }

    @Test(
        "The beginning of a command suggests it",
        arguments: [("scor x", "score"), ("verif --store s", "verify"), ("ingests x", "ingest")])
    func beginningOfCommand(arguments: String, command: String) throws {
        try run(arguments.split(separator: " ").map(String.init)).expect(64, "Did you mean '\(command)'?")
    }

    @Test("Every command that takes --json prints one object, and says each thing by one name")
    func json() throws {
        let bench = try Bench()
        try bench.model()
        let ingested = try run(
            "ingest", bench.write("f", Array("some words".utf8)), "--store", bench.file("s"), "--model",
            bench.file("model"), "--json"
        ).expect(0).json()
        #expect(
            ingested["store"] as? String == bench.file("s") && ingested["tokens"] as? Int == 12
                && ingested["patch_size"] as? Int == 8)
        let info = try run("model", "info", bench.file("model"), "--json").expect(0).json()
        #expect(info["model"] as? String == bench.file("model") && info["patch_size"] as? Int == 8)
        let summary = try run("forward", "--store", bench.file("s"), "--model", bench.file("model"), "--json").expect(0)
            .json()
        let score = try run("score", bench.file("f"), "--model", bench.file("model"), "--json").expect(0).json()
        for report in [summary, score] {
            #expect(report["model"] as? String == bench.file("model"))
            #expect(report["fingerprint"] as? String == info["fingerprint"] as? String)
        }
        let exported = try run(
            "export", "--store", bench.file("s"), "--generation", "2", "--range", "-3:", "--out", bench.file("x.npy"),
            "--json"
        ).expect(0).json()
        #expect(
            exported["out"] as? String == bench.file("x.npy") && exported["shape"] as? [Int] == [3, 8]
                && exported["type"] as? String == "float32")
        let verified = try run("verify", "--store", bench.file("s"), "--json").expect(0).json()
        #expect(verified["damaged"] as? Int == 0 && (verified["faults"] as? [Any])?.isEmpty == true)
        try run(
            "ingest", bench.file("f"), "--store", bench.file("t"), "--model", bench.file("model"), "--patch-size", "8"
        ).expect(64, "--patch-size")
        // A finished store's plan says all that another does.
        let plan = try run("forward", "--store", bench.file("s"), "--model", bench.file("model"), "--dry-run", "--json")
            .expect(0).json()
        #expect(plan["complete"] as? Bool == true && plan["tokens"] as? Int == 12 && plan["memory"] is [String: Any])
    }

    @Test("--quiet leaves standard error to errors")
    func quiet() throws {
        let bench = try Bench()
        try bench.model()
        try bench.store(Array("some words".utf8), named: "s")
        for flag in ["--quiet", "-q"] {
            #expect(
                try run("forward", "--store", bench.file("s"), "--model", bench.file("model"), "--restart", flag)
                    .expect(0).error == "")
            #expect(
                try run("export", "--store", bench.file("s"), "--generation", "0", "--out", bench.file("x.npy"), flag)
                    .expect(0).error == "")
            #expect(
                try run("score", bench.file("missing"), "--model", bench.file("model"), flag).expect(66).error.contains(
                    "missing"))
        }
    }

    @Test("Where an array takes standard output, the rest keeps to --quiet and --progress json")
    func arraysOnStandardOutput() throws {
        let bench = try Bench()
        try bench.model()
        try bench.store(Array("some words".utf8), named: "s")
        for command in [
            "forward --store s --model model --nll -", "score f --model model --nll -",
            "context --model model --plot -",
        ] {
            #expect(try bench.shell("printf x > f; exec \"$P\" \(command) --quiet > got").expect(0).error == "")
            let told = try bench.shell("exec \"$P\" \(command) --progress json > got").expect(0).error
            for line in told.split(separator: "\n") {
                #expect((try? JSONSerialization.jsonObject(with: Data(line.utf8))) is [String: Any])
            }
        }
    }

    @Test(
        "A range is what it is in Python",
        arguments: [
            ("0:3", 0, 3), ("9:", 9, 12), (":4", 0, 4), ("-5:", 7, 12), (":-5", 0, 7), ("-5:-2", 7, 10),
            ("2:-2", 2, 10), (":", 0, 12), ("-12:", 0, 12),
        ])
    func range(text: String, first: Int, end: Int) throws {
        let bench = try Bench()
        try bench.store(Array("some words".utf8), named: "s")
        try run(
            "export", "--store", bench.file("s"), "--generation", "0", "--range", text, "--out", bench.file("x.npy")
        ).expect(0)
        let all = [256] + "some words".utf8.map(Int.init) + [257]
        try run("export", "--store", bench.file("s"), "--generation", "0", "--out", bench.file("all.npy")).expect(0)
        #expect(
            try bench.bytes("x.npy").suffix(2 * (end - first))
                == bench.bytes("all.npy").suffix(2 * (all.count - first)).prefix(2 * (end - first)))
    }

    @Test("A range that passes an end is refused", arguments: ["0:13", "12:", "-13:", "13:", ":-12", "5:-8"])
    func outOfRange(text: String) throws {
        let bench = try Bench()
        try bench.store(Array("some words".utf8), named: "s")
        try run(
            "export", "--store", bench.file("s"), "--generation", "0", "--range", text, "--out", bench.file("x.npy")
        ).expect(64, "12 tokens")
        #expect(!bench.exists("x.npy"))
    }

    @Test("On a terminal progress is one line that fits; TERM=dumb gets no escape codes", arguments: ["xterm", "dumb"])
    func terminal(kind: String) throws {
        let bench = try Bench()
        try bench.model(patchSize: 16, hiddenSize: 64)
        var numbers = TestNumbers(3)
        let name = String(repeating: "n", count: 90)
        try bench.write(name, numbers.bytes(400_000))
        let command = "stty cols 40; $P score \(name) --model model --threads 1"
        try bench.shell("export P TERM=\(kind); script -qec '\(command)' typescript > /dev/null").expect(0)
        let said = try String(decoding: bench.bytes("typescript"), as: UTF8.self)
        #expect(said.contains("layer") && said.contains("bits per byte"))
        #expect(said.contains("\u{1b}") == (kind == "xterm"))
        for line in said.split(whereSeparator: { "\r\n".unicodeScalars.contains($0.unicodeScalars.first ?? " ") })
        where kind == "xterm" && line.contains("layer") {
            #expect(line.replacing("\u{1b}[K", with: "").count < 40)
        }
    }

    @Test(
        "Help names every flag",
        arguments: [
            ("ingest", "--store --raw --tokens --force"),
            ("model init", "--hidden-size --layers --heads --patch-size --kernel-size --intermediate-size --seed"),
            ("model info", ""), ("forward", "--store --model --memory --threads --state --keep --nll --json"),
            ("export", "--store --generation --range --out"),
            ("dump", "--store --generation --block --column --values --json"), ("verify", "--store"),
            ("", "ingest model forward export dump verify 65 75"),
        ])
    func help(command: String, words: String) throws {
        let result = try run(command.split(separator: " ").map(String.init) + ["--help"])
        result.expect(0)
        for word in words.split(separator: " ") { #expect(result.output.contains(word)) }
    }

    @Test(
        "What is not there is no input",
        arguments: [
            ("forward --store S --model M", "model"), ("export --store S --generation 0 --out F", "store"),
            ("dump --store S", "store"), ("verify --store S", "store"),
            ("model info M", "model"),
        ])
    func absent(arguments: String, word: String) throws {
        let bench = try Bench()
        let places = ["S": "store", "M": "model", "F": "file"]
        try run(arguments.split(separator: " ").map { places[String($0)].map(bench.file) ?? String($0) }).expect(
            66, "no such \(word)")
        #expect(try bench.contents("").isEmpty)
    }
}
