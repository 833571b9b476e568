import Foundation
import Testing

/// What the program says of itself, and how it takes arguments that cannot work.
struct UsageTests {
    /// Arguments, and a word that the message must contain; S, M and F stand for a store, a model and a file that are not there.
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
        ("model init M --hidden-size 65536 --layers 10000 --intermediate-size 1048576 --kernel-size 65536", "parameters"),
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

    @Test("A wrong argument is named, exits with 64 and leaves nothing", arguments: wrong)
    func usage(arguments: String, word: String) throws {
        let bench = try Bench()
        let places = ["S": "store", "M": "model", "F": "file"]
        let result = try run(arguments.split(separator: " ").map { places[String($0)].map(bench.file) ?? String($0) })
        result.expect(64, word)
        #expect(result.output.isEmpty)
        #expect(try bench.contents("").isEmpty)
    }

    @Test("Help names every flag", arguments: [
        ("ingest", "--store --raw --tokens --force"), ("model init", "--hidden-size --layers --heads --patch-size --kernel-size --intermediate-size --seed"),
        ("model info", ""), ("forward", "--store --model --memory --threads --state --keep --nll --json"), ("export", "--store --generation --range --out"),
        ("dump", "--store --generation --block --column --values --json"), ("verify", "--store"), ("", "ingest model forward export dump verify 65 75"),
    ])
    func help(command: String, words: String) throws {
        let result = try run(command.split(separator: " ").map(String.init) + ["--help"])
        result.expect(0)
        for word in words.split(separator: " ") { #expect(result.output.contains(word)) }
    }

    @Test("What is not there is no input", arguments: [
        ("forward --store S --model M", "model"), ("export --store S --generation 0 --out F", "store"), ("dump --store S", "store"), ("verify --store S", "store"),
        ("model info M", "model"),
    ])
    func absent(arguments: String, word: String) throws {
        let bench = try Bench()
        let places = ["S": "store", "M": "model", "F": "file"]
        try run(arguments.split(separator: " ").map { places[String($0)].map(bench.file) ?? String($0) }).expect(66, "no such \(word)")
        #expect(try bench.contents("").isEmpty)
    }
}
