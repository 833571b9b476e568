import Foundation
import TestSupport
import Testing

/// config.json and model.safetensors, broken in every way, by editing a copy of a good model.
struct ModelFileTests {
    let bench: Bench
    init() throws { bench = try Bench() }

    /// Checks that both commands that open a model refuse it, and that a store stays as it was.
    private func expectRefused(_ status: Int32, _ words: [String]) throws {
        try bench.store(fixture: "seven")
        let before = try bench.contents("store")
        for command in [
            ["model", "info", bench.file("model")],
            ["forward", "--store", bench.file("store"), "--model", bench.file("model")],
        ] {
            let result = try run(command).expect(status)
            for word in words { #expect(result.error.contains(word), "it said: \(result.error)") }
        }
        #expect(try bench.contents("store") == before)
    }

    // MARK: config.json

    /// A field's new value as JSON, "" to remove it, and a word that the message must contain beside the field's name.
    static let configurations: [(field: String, value: String, word: String)] = [
        ("model_type", "", "missing"), ("vocab_size", "", "missing"), ("hidden_size", "", "missing"),
        ("intermediate_size", "", "missing"),
        ("num_hidden_layers", "", "missing"), ("num_attention_heads", "", "missing"), ("patch_size", "", "missing"),
        ("conv_kernel_size", "", "missing"),
        // Unknown, misspelt, of another family.
        ("hiden_size", "24", "did you mean 'hidden_size'"), ("Hidden-Size", "24", "did you mean 'hidden_size'"),
        ("casual", "false", "did you mean 'causal'"),
        ("layer_norm_epsilon", "1e-6", "unknown"), ("rope_theta", "10000", "unknown"),
        ("rope_scaling", "{\"factor\": 2}", "unknown"), ("rope_parameters", "{}", "unknown"),
        ("sliding_window", "4096", "unknown"), ("slidingWindow", "4096", "unknown"),
        ("num_key_value_heads", "1", "unknown"), ("attention_bias", "false", "unknown"),
        ("mlp_bias", "true", "unknown"), ("position_embedding_type", "\"absolute\"", "unknown"),
        ("mixers", "[]", "list"), ("mixer", "[]", "object"), ("model_type", "\"gpt2\"", "gpt2"),
        ("vocab_size", "256", "256"),
        ("hidden_act", "\"silu\"", "silu"),
        // Wrong types.
        ("hidden_size", "\"24\"", "integer"), ("hidden_size", "24.5", "integer"), ("hidden_size", "null", "integer"),
        ("hidden_size", "true", "integer"),
        ("layer_norm_eps", "\"small\"", "number"), ("model_type", "7", "string"), ("causal", "1", "true or false"),
        // Contradictory.
        ("hidden_size", "20", "8"), ("num_attention_heads", "5", "divide"), ("num_attention_heads", "48", "48"),
        // Absurd.
        ("hidden_size", "0", "0"), ("hidden_size", "-24", "-24"),
        ("hidden_size", "1000000000000000000", "1000000000000000000"),
        ("hidden_size", "1e300", "integer"), ("intermediate_size", "0", "0"), ("num_hidden_layers", "0", "0"),
        ("num_hidden_layers", "1000000000", "1000000000"),
        ("num_attention_heads", "0", "0"), ("patch_size", "0", "0"), ("patch_size", "16385", "16385"),
        ("conv_kernel_size", "0", "0"),
        ("conv_kernel_size", "1000000", "1000000"), ("layer_norm_eps", "0", "0"),
        ("layer_norm_eps", "-1e-5", "must be"), ("layer_norm_eps", "1", "1"),
        // The wider family.
        ("recurrence", "0", "must be"), ("recurrence", "10001", "must be"), ("recurrence", "1.5", "integer"),
        ("recurrence", "{\"count\": 2}", "integer"),
        ("delegation", "{\"mode\": \"random\"}", "random"), ("delegation", "{}", "missing"),
        ("delegation", "{\"mode\": \"transpose\", \"seeds\": 3}", "unknown"),
        ("delegation", "{\"mode\": \"selective\", \"seed\": 3}", "unknown"),
        ("delegation", "{\"mode\": \"monte-carlo\", \"seed\": -1}", "must be"),
        ("delegation", "{\"mode\": \"monte-carlo\", \"seed\": 9223372036854775808}", "integer"),
        ("delegation", "\"transpose\"", "object"),
        ("tcn", "[]", "list"), ("tcn", "{}", "list"), ("tcn", "[3]", "object"),
        ("tcn", "[{\"channels\": 24}]", "missing"), ("tcn", "[{\"kernel_size\": 3}]", "missing"),
        (
            "tcn", "[{\"kernel_size\": 3, \"channels\": 24}, {\"kernel_size\": 0, \"channels\": 24}]",
            "tcn.1.kernel_size"
        ), ("tcn", "[{\"kernel_size\": 3, \"channels\": 0}]", "tcn.0.channels"),
        ("tcn", "[{\"kernel_size\": 3, \"channels\": 8, \"dilation\": 0}]", "tcn.0.dilation"),
        ("tcn", "[{\"kernel_size\": 3, \"channels\": 8, \"stride\": 1}]", "unknown"),
        ("tcn", "[{\"kernel_size\": 3, \"dilation\": 1048576, \"channels\": 24}]", "rows"),
        ("positional_encoding", "\"rope\"", "rope"), ("positional_encoding", "null", "string"),
    ]

    /// Options that the weights do not go with: the first tensor that is missing, extra or of another shape is named.
    @Test(
        "Weights of another member of the family are refused by name",
        arguments: [
            ("delegation", "{\"mode\": \"selective\"}", "select.weight"),
            ("tcn", "[{\"kernel_size\": 3, \"dilation\": 2, \"channels\": 24}]", "tcn.0.weight"),
            ("positional_encoding", "\"none\"", "coord_conv"),
        ])
    func otherMember(field: String, value: String, word: String) throws {
        _ = try bench.modelCopy("seven")
        try setField(field, value)
        try expectRefused(65, ["model.safetensors", word])
    }

    @Test("A field of config.json that cannot work is named", arguments: configurations)
    func configuration(field: String, value: String, word: String) throws {
        _ = try bench.modelCopy("seven")
        try setField(field, value)
        try expectRefused(65, ["config.json", field, word])
    }

    @Test(
        "The wider family's defaults, and what asks for no other weights, are accepted",
        arguments: [
            ("recurrence", "1"), ("delegation", "{\"mode\": \"transpose\"}"), ("positional_encoding", "\"coord_conv\""),
            ("causal", "true"), ("hidden_act", "\"gelu\""),
            ("recurrence", "2"), ("delegation", "{\"mode\": \"monte-carlo\"}"),
            ("delegation", "{\"mode\": \"monte-carlo\", \"seed\": 9223372036854775807}"), ("causal", "false"),
            ("hidden_act", "\"relu\""), ("layer_norm_eps", ""), ("hidden_act", ""), ("torch_dtype", ""),
            ("torch_dtype", "\"float16\""), ("torch_dtype", "null"), ("rope_theta", "null"), ("hiden_size", "null"),
        ])
    func defaults(field: String, value: String) throws {
        let model = try bench.modelCopy("seven")
        try setField(field, value)
        #expect(try !run("model", "info", model).expect(0).output.contains("ignored"))
    }

    @Test(
        "What Hugging Face tools write and no model of this family computes with is ignored, by name",
        arguments: [
            ("dtype", "\"float32\""), ("dtype", "\"auto\""), ("dtype", "{\"text\": \"bfloat16\"}"),
            ("torch_dtype", "\"torch.float32\""), ("torch_dtype", "\"float8\""),
            ("torch_dtype", "7"), ("architectures", "[\"BigBangProton\"]"), ("transformers_version", "\"4.56.0\""),
            ("_name_or_path", "\"x\""),
            ("auto_map", "{\"AutoModel\": \"modeling.BigBangProton\"}"), ("bos_token_id", "256"),
            ("eos_token_id", "[257, 258]"), ("use_cache", "true"),
            ("dropout", "0.1"), ("tie_word_embeddings", "false"), ("max_position_embeddings", "4096"),
            ("a", "[[1, {}], 2.5e300]"), ("größe", "1"),
        ])
    func ignored(field: String, value: String) throws {
        let model = try bench.modelCopy("seven")
        func described(_ key: String) throws -> Substring? {
            let line = try run(
                "model", "info",
                model
            ).expect(0).output.split(separator: "\n").first { $0.hasPrefix(key) }
            return line?.split(separator: ": ", maxSplits: 1).last
        }
        let fingerprint = try #require(try described("fingerprint"))
        try setField(field, value)
        #expect(try described("ignored fields").map(String.init) == field)
        #expect(try described("fingerprint") == fingerprint)
    }

    @Test("forward and score say once which fields of config.json they ignored", arguments: ["line", "json", "none"])
    func ignoredNote(progress: String) throws {
        let model = try bench.modelCopy("seven")
        try bench.write(
            "model/config.json",
            String(decoding: bench.bytes("model/config.json"), as: UTF8.self)
                .replacingOccurrences(
                    of: "{",
                    with: "{\"dtype\": \"float32\", \"auto_map\": {}, \"pad_token_id\": null, "
                ).utf8)
        try bench.store(fixture: "seven")
        let files = try ["a", "b"].map { try bench.write($0, "some bytes".utf8) }
        for command in [["forward", "--store", bench.file("store")], ["score"] + files] {
            let result = try run(command + ["--model", model, "--progress", progress]).expect(0)
            let notes = result.error.components(separatedBy: "config.json: ignored dtype, auto_map").count - 1
            #expect(notes == (progress == "none" ? 0 : 1), "it said: \(result.error)")
            #expect(!result.error.contains("pad_token_id"))
        }
    }

    @Test(
        "A file that means two things, or takes more than it says, is refused in a moment",
        arguments: [
            ("{\"hidden_size\": 24, \"hidden_size\": 24}", "hidden_size"),
            (String(repeating: "{\"a\":", count: 10_000), "levels"), ("\u{feff}{}", "byte order mark"),
            ("{\"hidden_size\": 24,}", "JSON"), ("{\"hidden_size\": 024}", "JSON"),
            (String(repeating: " ", count: 1 << 20) + "{}", "bytes"),
        ])
    func strict(text: String, word: String) throws {
        _ = try bench.modelCopy("seven")
        try bench.write("model/config.json", text.utf8)
        let watch = ContinuousClock.now
        try expectRefused(65, ["config.json", word])
        #expect(ContinuousClock.now - watch < .seconds(10))
    }

    private func setField(_ field: String, _ value: String) throws {
        let parsed = value.isEmpty ? NSNull() : try JSONSerialization.jsonObject(with: Data("[\(value)]".utf8))
        try bench.edit(
            "model/config.json", [field: value.isEmpty ? NSNull() : (parsed as? [Any])?[0] ?? NSNull()],
            keepingNull: value == "null")
    }

    @Test("A config.json that is no JSON object", arguments: ["", "{", "[1]", "null", "{\"hidden_size\" 24}", "\u{0}"])
    func noConfiguration(text: String) throws {
        _ = try bench.modelCopy("seven")
        try bench.write("model/config.json", text.utf8)
        try expectRefused(65, ["config.json", "JSON"])
    }

    @Test(
        "A part of the model that is not there",
        arguments: [("config.json", "config.json"), ("model.safetensors", "weights")])
    func missingFile(name: String, word: String) throws {
        _ = try bench.modelCopy("seven")
        try FileManager.default.removeItem(atPath: bench.file("model/\(name)"))
        try expectRefused(66, [word])
        try FileManager.default.createDirectory(atPath: bench.file("model/\(name)"), withIntermediateDirectories: false)
        try run("model", "info", bench.file("model")).expect(66, name)
    }

    // MARK: model.safetensors

    /// A safetensors file taken apart.
    struct Weights {
        var header: [String: Any]
        var data: Data
        /// Takes the place of `header`, where that cannot say it.
        var text: String?

        init(_ file: Data) throws {
            let length = file.withUnsafeBytes { Int($0.loadUnaligned(as: UInt64.self)) }
            header = try #require(JSONSerialization.jsonObject(with: file[8..<8 + length]) as? [String: Any])
            data = Data(file[(8 + length)...])
        }

        var file: Data {
            get throws {
                let text = Data(try (self.text ?? headerText).utf8)
                return withUnsafeBytes(of: UInt64(text.count)) { Data($0) } + text + data
            }
        }

        var headerText: String {
            get throws { String(decoding: try JSONSerialization.data(withJSONObject: header), as: UTF8.self) }
        }

        func field(_ tensor: String, _ name: String) -> [Int] {
            (header[tensor] as? [String: Any])?[name] as? [Int] ?? []
        }

        mutating func set(_ tensor: String, _ name: String, _ value: Any) {
            var fields = header[tensor] as? [String: Any] ?? [:]
            fields[name] = value
            header[tensor] = fields
        }

        mutating func set(_ tensor: String, value index: Int, _ value: Float) {
            let at = field(tensor, "data_offsets")[0] + 4 * index
            data.replaceSubrange(at..<at + 4, with: withUnsafeBytes(of: value) { Data($0) })
        }

        /// The tensor whose data come last.
        var last: String {
            header.keys.filter { $0 != "__metadata__" }.max {
                field($0, "data_offsets")[1] < field($1, "data_offsets")[1]
            } ?? ""
        }
    }

    struct Damage: CustomTestStringConvertible, Sendable {
        var name: String
        var words: [String]
        var change: @Sendable (inout Weights) throws -> Void
        var testDescription: String { name }
    }

    static let damages: [Damage] = [
        Damage(name: "missing tensor", words: ["missing"]) {
            let last = $0.last
            $0.data.removeSubrange($0.field(last, "data_offsets")[0]...)
            $0.header[last] = nil
        },
        Damage(name: "extra tensor", words: ["surplus", "not a tensor"]) {
            let end = $0.data.count
            $0.header["surplus"] = ["dtype": "F32", "shape": [2], "data_offsets": [end, end + 8]] as [String: Any]
            $0.data += Data(count: 8)
        },
        Damage(name: "renamed tensor", words: ["fc.bias", "missing"]) {
            $0.header["fc.bios"] = $0.header["fc.bias"]
            $0.header["fc.bias"] = nil
        },
        Damage(name: "integers", words: ["norm.weight", "I32"]) { $0.set("norm.weight", "dtype", "I32") },
        Damage(name: "half precision of twice as many values", words: ["norm.weight", "shape"]) {
            $0.set("norm.weight", "dtype", "F16")
            $0.set("norm.weight", "shape", [48])
        },
        Damage(name: "bytes", words: ["norm.weight", "I8", "F16"]) {
            $0.set("norm.weight", "dtype", "I8")
            $0.set("norm.weight", "shape", [96])
        },
        Damage(name: "unknown type", words: ["norm.weight", "dtype"]) { $0.set("norm.weight", "dtype", "F128") },
        Damage(name: "type that does not fit the data", words: ["norm.weight"]) {
            $0.set("norm.weight", "dtype", "F64")
        },
        Damage(name: "transposed", words: ["codebook", "shape"]) { $0.set("codebook", "shape", [24, 259]) },
        Damage(name: "one dimension more", words: ["fc.bias", "shape"]) { $0.set("fc.bias", "shape", [259, 1]) },
        Damage(name: "shape that does not fit the data", words: ["fc.bias", "shape"]) {
            $0.set("fc.bias", "shape", [260])
        },
        Damage(name: "shape beyond any memory", words: ["fc.bias", "shape"]) {
            $0.set("fc.bias", "shape", [1 << 62, 1 << 62])
        },
        Damage(name: "negative shape", words: ["fc.bias", "shape"]) { $0.set("fc.bias", "shape", [-259]) },
        Damage(name: "overlap", words: ["overlap"]) {
            let (bias, weight) = ($0.field("norm.bias", "data_offsets"), $0.field("norm.weight", "data_offsets"))
            $0.set(
                bias[0] < weight[0] ? "norm.weight" : "norm.bias", "data_offsets", bias[0] < weight[0] ? bias : weight)
        },
        Damage(name: "gap", words: ["belong to no tensor"]) {
            let last = $0.last
            $0.set(last, "data_offsets", $0.field(last, "data_offsets").map { $0 + 4 })
            $0.data += Data(count: 4)
        },
        Damage(name: "offsets backwards", words: ["norm.bias", "data_offsets"]) {
            $0.set("norm.bias", "data_offsets", Array($0.field("norm.bias", "data_offsets").reversed()))
        },
        Damage(name: "offsets negative", words: ["norm.bias", "data_offsets"]) {
            $0.set("norm.bias", "data_offsets", [-96, 0])
        },
        Damage(name: "one offset", words: ["norm.bias", "data_offsets"]) { $0.set("norm.bias", "data_offsets", [0]) },
        Damage(name: "no offsets", words: ["norm.bias", "data_offsets"]) {
            $0.header["norm.bias"] = ["dtype": "F32", "shape": [24]] as [String: Any]
        },
        Damage(name: "unknown field", words: ["norm.bias", "strides"]) { $0.set("norm.bias", "strides", [1]) },
        Damage(name: "entry that is no object", words: ["norm.bias", "object"]) { $0.header["norm.bias"] = 7 },
        Damage(name: "short data", words: ["cut short"]) { $0.data.removeLast(4) },
        Damage(name: "no data", words: ["cut short"]) { $0.data = Data() },
        Damage(name: "trailing data", words: ["belong to none"]) { $0.data += Data(count: 4) },
        Damage(name: "NaN", words: ["cov3.weight", "value 5", "nan"]) {
            $0.set("blocks.0.cov3.weight", value: 5, .nan)
        },
        Damage(name: "infinity", words: ["fc.bias", "value 258", "inf"]) { $0.set("fc.bias", value: 258, -.infinity) },
    ]

    @Test("Damaged weights are refused by name", arguments: damages)
    func weights(damage: Damage) throws {
        _ = try bench.modelCopy("seven")
        var weights = try Weights(bench.bytes("model/model.safetensors"))
        try damage.change(&weights)
        try bench.write("model/model.safetensors", weights.file)
        try expectRefused(65, ["model.safetensors"] + damage.words)
    }

    @Test(
        "A header that cannot be is not believed",
        arguments: [
            (UInt64.max, "header"), (1 << 40, "header"), (101 << 20, "header"), (99 << 20, "header"), (1000, "JSON"),
            (0, "JSON"),
        ])
    func headerLength(length: UInt64, word: String) throws {
        _ = try bench.modelCopy("seven")
        try bench.edit("model/model.safetensors") {
            $0.replaceSubrange(0..<8, with: withUnsafeBytes(of: length) { Data($0) })
        }
        try expectRefused(65, ["model.safetensors", word])
    }

    @Test("A name that stands twice in the header is named, whichever its format")
    func duplicateTensor() throws {
        _ = try bench.modelCopy("seven")
        var weights = try Weights(bench.bytes("model/model.safetensors"))
        let entry = #""fc.bias":{"dtype":"F32","shape":[259],"data_offsets":[0,1036]}"#
        weights.text = "{\(entry)," + (try weights.headerText).dropFirst()
        try bench.write("model/model.safetensors", weights.file)
        try expectRefused(65, ["model.safetensors", "fc.bias", "twice"])
    }

    @Test(
        "A header of a hundred mebibytes that says nothing is refused in seconds",
        arguments: ["0,", "[0],", "{\"\":0},", "[[[[]]]],"])
    func largeHeader(item: String) throws {
        _ = try bench.modelCopy("seven")
        let count = (100 << 20) / item.utf8.count - 10
        let header = Array("{\"fc.bias\":[".utf8) + repeatElement(Array(item.utf8), count: count).joined() + "0]}".utf8
        try bench.write("model/model.safetensors", withUnsafeBytes(of: UInt64(header.count)) { Array($0) } + header)
        let watch = ContinuousClock.now
        try run("model", "info", bench.file("model")).expect(65, "model.safetensors", "values")
        #expect(ContinuousClock.now - watch < .seconds(10))
    }

    @Test("A weights file of a few bytes", arguments: [0, 3, 8])
    func tiny(bytes: Int) throws {
        _ = try bench.modelCopy("seven")
        try bench.edit("model/model.safetensors") { $0 = $0.prefix(bytes) }
        try expectRefused(65, ["model.safetensors"])
    }

    @Test("A header of odd length is no error: weights are then realigned")
    func misaligned() throws {
        let model = try bench.modelCopy("seven")
        var weights = try Weights(bench.bytes("model/model.safetensors"))
        weights.header["__metadata__"] = ["note": ""]
        while try weights.file.count % 4 == weights.data.count % 4 {
            weights.header["__metadata__"] = [
                "note": ((weights.header["__metadata__"] as? [String: String])?["note"] ?? "") + "x"
            ]
        }
        try bench.write("model/model.safetensors", weights.file)
        try bench.store(fixture: "seven")
        try run(
            "forward", "--store", bench.file("store"), "--model", model, "--state", "f32", "--nll",
            bench.file("nll.npy")
        ).expect(0)
        let (found, expected) = (try bench.array("nll.npy"), try NpyArray("\(Fixtures.path("seven"))/nll_bits.npy"))
        #expect(zip(found.values, expected.values).dropFirst().allSatisfy { abs($0 - $1) < 1e-3 })
    }

    // MARK: model init

    @Test("The same seed gives the same bytes, another seed others; nothing is overwritten unasked")
    func initialization() throws {
        try bench.model("a", seed: 1)
        try bench.model("b", seed: 1)
        try bench.model("c", seed: 2)
        let (a, b, c) = (try bench.contents("a"), try bench.contents("b"), try bench.contents("c"))
        #expect(a == b && a != c)
        try run("model", "init", bench.file("a"), "--layers", "3").expect(73, "already", "--force")
        #expect(try bench.contents("a") == a)
        try run("model", "init", bench.file("a"), "--layers", "3", "--force").expect(0)
        #expect(try run("model", "info", bench.file("a")).expect(0).output.contains("untrained"))
    }

    @Test(
        "model init takes the wider family, and config.json says it back",
        arguments: [
            ("--recurrence 3", "\"recurrence\": 3", "each 3 times"),
            (
                "--delegation monte-carlo --delegation-seed 5",
                "\"delegation\": {\"mode\": \"monte-carlo\", \"seed\": 5}", "seed 5"
            ),
            ("--delegation selective", "\"delegation\": {\"mode\": \"selective\"}", "to the patch"),
            ("--bidirectional", "\"causal\": false", "before and after"),
            ("--positional-encoding none --hidden-size 12", "\"positional_encoding\": \"none\"", "none"),
            ("--hidden-act relu", "\"hidden_act\": \"relu\"", "relu"),
            ("--tcn 3:8,5x2:24", "{\"kernel_size\": 5, \"dilation\": 2, \"channels\": 24}", "3x1:8 5x2:24"),
        ])
    func family(flags: String, field: String, words: String) throws {
        let model = bench.file("family")
        try run(
            ["model", "init", model, "--layers", "2"]
                + (flags.contains("--hidden-size") ? [] : ["--hidden-size", "16"])
                + flags.split(separator: " ").map(String.init)
        ).expect(0)
        #expect(String(decoding: try bench.bytes("family/config.json"), as: UTF8.self).contains(field))
        #expect(try run("model", "info", model).expect(0).output.contains(words))
        try bench.store(Array("some bytes that are no text \u{0}\u{1}".utf8))
        try run("forward", "--store", bench.file("store"), "--model", model, "--dry-run").expect(0)
    }

    @Test(
        "Flags that contradict one another are refused",
        arguments: [
            ("--delegation random", "--delegation"), ("--delegation-seed 3", "monte-carlo"),
            ("--tcn 3:8 --kernel-size 5", "--tcn"), ("--tcn 3x:8", "3x:8"), ("--tcn 3:8,", "--tcn"),
            ("--tcn 3", "--tcn"),
            ("--recurrence 0", "recurrence"), ("--hidden-size 12", "hidden_size"), ("--tcn 0:8", "tcn.0.kernel_size"),
            ("--tcn 1000x2000:8", "rows"), ("--hidden-act silu", "hidden-act"),
        ])
    func contradictions(flags: String, word: String) throws {
        try run(["model", "init", bench.file("family")] + flags.split(separator: " ").map(String.init)).expect(64, word)
        #expect(!bench.exists("family"))
    }
}
