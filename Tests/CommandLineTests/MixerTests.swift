import Foundation
import TestSupport
import Testing

/// Models of several mixers: config.json, the tensors that come with them, the short notation.
struct MixerTests {
    let bench: Bench
    init() throws { bench = try Bench() }

    /// Makes a model of hidden size 16 and 4 heads.
    @discardableResult
    private func initialize(_ mixers: String, _ flags: String..., named name: String = "model") throws -> Outcome {
        try run(
            [
                "model", "init", bench.file(name), "--hidden-size", "16", "--intermediate-size", "8", "--kernel-size",
                "3", "--patch-size", "8", "--mixers", mixers,
            ] + flags)
    }

    private func info(_ name: String = "model") throws -> [String: Any] {
        try run("model", "info", bench.file(name), "--json").expect(0).json()
    }

    private func set(_ field: String, _ json: String) throws {
        let value = try JSONSerialization.jsonObject(with: Data(json.utf8), options: .fragmentsAllowed)
        try bench.edit("model/config.json", [field: value], keepingNull: true)
    }

    private func remove(_ field: String) throws { try bench.edit("model/config.json", [field: NSNull()]) }

    /// The mixers that config.json has.
    private func mixers(_ name: String = "model") throws -> [NSDictionary] {
        let fields = try JSONSerialization.jsonObject(with: bench.bytes("\(name)/config.json")) as? [String: Any]
        return try #require(fields?["mixers"] as? [NSDictionary])
    }

    // MARK: config.json

    static let window = #""kind": "sliding-window", "num_heads": 4, "window": 8"#
    static let retention = #""kind": "retention", "num_heads": 4"#
    static let linear = #""kind": "linear-attention", "num_heads": 4"#
    static let mamba2 = #""kind": "mamba2", "num_heads": 4, "state": 8"#
    static let transnormer = #""kind": "transnormer", "num_heads": 4, "layer": 0, "layers": 2"#
    static let segments = #""kind": "transformer-xl", "num_heads": 4, "segment": 8, "memory": 4"#

    /// A mixer as config.json has it, and what the message must name.
    static let wrong: [(mixer: String, field: String, word: String)] = [
        ("7", "mixers.1", "object"), ("null", "mixers.1", "object"), ("{}", "mixers.1.kind", "missing"),
        (
            #"{"kind": "attention"}"#, "mixers.1.kind",
            "one of monte-carlo, sliding-window, retention, linear-attention, transnormer, mamba, mamba2, s4d, rwkv6, "
                + "rwkv7, transformer-xl"
        ),
        (#"{"kind": 3}"#, "mixers.1.kind", "string"),
        (#"{"kind": "monte-carlo", "num_heads": 4}"#, "mixers.1.num_heads", "unknown"),
        (#"{"kind": "sliding-window", "window": 8}"#, "mixers.1.num_heads", "missing"),
        (#"{"kind": "sliding-window", "num_heads": 4}"#, "mixers.1.window", "missing"),
        ("{\(window), \"widow\": 8}", "mixers.1.widow", "did you mean 'window'"),
        ("{\(window), \"stride\": 8}", "mixers.1.stride", "unknown"),
        (#"{"kind": "sliding-window", "num_heads": 0, "window": 8}"#, "mixers.1.num_heads", "must be"),
        (#"{"kind": "sliding-window", "num_heads": 3, "window": 8}"#, "mixers.1.head_dim", "does not divide"),
        (#"{"kind": "sliding-window", "num_heads": 4, "window": 0}"#, "mixers.1.window", "must be"),
        (#"{"kind": "sliding-window", "num_heads": 4, "window": 1.5}"#, "mixers.1.window", "integer"),
        (#"{"kind": "sliding-window", "num_heads": 4, "window": 1048577}"#, "mixers.1.window", "1048576"),
        ("{\(window), \"num_kv_heads\": 3}", "mixers.1.num_kv_heads", "divide"),
        ("{\(window), \"num_kv_heads\": 8}", "mixers.1.num_kv_heads", "must be"),
        ("{\(window), \"head_dim\": 0}", "mixers.1.head_dim", "must be"),
        ("{\(window), \"head_dim\": null}", "mixers.1.head_dim", "integer"),
        ("{\(window), \"dilation\": 0}", "mixers.1.dilation", "must be"),
        ("{\(window), \"dilation\": [1, 2]}", "mixers.1.dilation", "num_heads"),
        ("{\(window), \"dilation\": []}", "mixers.1.dilation", "num_heads"),
        ("{\(window), \"dilation\": [1, 2, 3, \"4\"]}", "mixers.1.dilation", "integers"),
        ("{\(window), \"dilation\": \"2\"}", "mixers.1.dilation", "integer"),
        ("{\(window), \"dilation\": 131073}", "mixers.1.window", "1048584 rows"),
        ("{\(window), \"qkv_bias\": 1}", "mixers.1.qkv_bias", "true or false"),
        ("{\(window), \"causal\": false}", "mixers.1.causal", "the model's is true"),
        ("{\(window), \"global_tokens\": [0]}", "mixers.1.global_tokens", "not supported yet"),
        ("{\(window), \"global_tokens\": 0}", "mixers.1.global_tokens", "list"),
        ("{\(window), \"rope\": true}", "mixers.1.rope", "object"),
        ("{\(window), \"rope\": {\"theta\": 0}}", "mixers.1.rope.theta", "must be"),
        ("{\(window), \"rope\": {\"theta\": \"10000\"}}", "mixers.1.rope.theta", "number"),
        ("{\(window), \"rope\": {\"layout\": \"quarter\"}}", "mixers.1.rope.layout", "half, interleaved"),
        ("{\(window), \"rope\": {\"spacing\": \"wide\"}}", "mixers.1.rope.spacing", "standard, inclusive"),
        ("{\(window), \"rope\": {\"scaling\": 2}}", "mixers.1.rope.scaling", "unknown"),
        ("{\(window), \"head_dim\": 3, \"rope\": {}}", "mixers.1.head_dim", "even"),
        ("{\(window), \"head_dim\": 2, \"rope\": {\"spacing\": \"inclusive\"}}", "mixers.1.head_dim", "at least 4"),
        (#"{"kind": "retention"}"#, "mixers.1.num_heads", "missing"),
        (#"{"kind": "retention", "num_heads": 3}"#, "mixers.1.head_k_dim", "does not divide"),
        (#"{"kind": "retention", "num_heads": 3, "head_k_dim": 2}"#, "mixers.1.head_v_dim", "does not divide"),
        ("{\(retention), \"head_v_dim\": 65537}", "mixers.1.head_v_dim", "must be"),
        ("{\(retention), \"head_k_dim\": 5, \"rope\": {}}", "mixers.1.head_k_dim", "even"),
        ("{\(retention), \"norm_eps\": 0}", "mixers.1.norm_eps", "must be"),
        ("{\(retention), \"window\": 5}", "mixers.1.window", "unknown"),
        (#"{"kind": "linear-attention"}"#, "mixers.1.num_heads", "missing"),
        (#"{"kind": "linear-attention", "num_heads": 3}"#, "mixers.1.head_k_dim", "does not divide"),
        (
            #"{"kind": "linear-attention", "num_heads": 3, "head_k_dim": 2}"#, "mixers.1.head_v_dim",
            "does not divide"
        ),
        ("{\(linear), \"head_v_dim\": 0}", "mixers.1.head_v_dim", "must be"),
        ("{\(linear), \"feature_map\": \"relu\"}", "mixers.1.feature_map", "one of elu+1, identity"),
        ("{\(linear), \"feature_map\": null}", "mixers.1.feature_map", "string"),
        ("{\(linear), \"normalize\": 1}", "mixers.1.normalize", "true or false"),
        ("{\(linear), \"norm_eps\": 1}", "mixers.1.norm_eps", "must be"),
        ("{\(linear), \"rope\": {}}", "mixers.1.rope", "unknown"),
        (#"{"kind": "transnormer", "layer": 0, "layers": 2}"#, "mixers.1.num_heads", "missing"),
        (#"{"kind": "transnormer", "num_heads": 4, "layers": 2}"#, "mixers.1.layer", "missing"),
        (#"{"kind": "transnormer", "num_heads": 4, "layer": 0}"#, "mixers.1.layers", "missing"),
        (#"{"kind": "transnormer", "num_heads": 4, "layer": 0, "layers": 1}"#, "mixers.1.layers", "2 to 10000"),
        (#"{"kind": "transnormer", "num_heads": 4, "layer": 2, "layers": 2}"#, "mixers.1.layer", "0 to 1"),
        (
            #"{"kind": "transnormer", "num_heads": 3, "layer": 0, "layers": 2}"#, "mixers.1.head_dim",
            "does not divide"
        ),
        ("{\(transnormer), \"lrpe\": \"yes\"}", "mixers.1.lrpe", "true or false"),
        ("{\(transnormer), \"norm_eps\": -1}", "mixers.1.norm_eps", "must be"),
        ("{\(transnormer), \"head_k_dim\": 4}", "mixers.1.head_k_dim", "unknown"),
        (#"{"kind": "mamba2", "state": 8}"#, "mixers.1.num_heads", "missing"),
        (#"{"kind": "mamba2", "num_heads": 4}"#, "mixers.1.state", "missing"),
        (#"{"kind": "mamba2", "num_heads": 3, "state": 8}"#, "mixers.1.head_dim", "does not divide"),
        ("{\(mamba2), \"head_dim\": 7}", "mixers.1.head_dim", "must make the 32 channels of expand 2"),
        ("{\(mamba2), \"head_dim\": 9223372036854775807}", "mixers.1.head_dim", "must make the 32 channels"),
        ("{\(mamba2), \"expand\": 3, \"head_dim\": 8}", "mixers.1.head_dim", "must make the 48 channels of expand 3"),
        ("{\(mamba2), \"expand\": 0}", "mixers.1.expand", "must be"),
        ("{\(mamba2), \"expand\": 1.5}", "mixers.1.expand", "integer"),
        ("{\(mamba2), \"groups\": 3}", "mixers.1.groups", "divide"),
        ("{\(mamba2), \"groups\": 5}", "mixers.1.groups", "must be"),
        ("{\(mamba2), \"conv\": 0}", "mixers.1.conv", "must be"),
        ("{\(mamba2), \"conv\": 257}", "mixers.1.conv", "256"),
        (#"{"kind": "mamba2", "num_heads": 4, "state": 65537}"#, "mixers.1.state", "must be"),
        ("{\(mamba2), \"norm_eps\": 0}", "mixers.1.norm_eps", "must be"),
        ("{\(mamba2), \"window\": 4}", "mixers.1.window", "unknown"),
        (#"{"kind": "rwkv6"}"#, "mixers.1.num_heads", "missing"),
        (#"{"kind": "rwkv6", "num_heads": 3}"#, "mixers.1.num_heads", "does not divide hidden_size 16"),
        (#"{"kind": "rwkv6", "num_heads": 32}"#, "mixers.1.num_heads", "does not divide"),
        (#"{"kind": "rwkv6", "num_heads": 4, "mix_rank": 0}"#, "mixers.1.mix_rank", "must be"),
        (#"{"kind": "rwkv6", "num_heads": 4, "decay_rank": 65537}"#, "mixers.1.decay_rank", "must be"),
        (#"{"kind": "rwkv6", "num_heads": 4, "decay_rank": "64"}"#, "mixers.1.decay_rank", "integer"),
        (#"{"kind": "rwkv6", "num_heads": 4, "head_dim": 4}"#, "mixers.1.head_dim", "unknown"),
        (#"{"kind": "rwkv7", "num_heads": 4}"#, "mixers.1.first", "missing"),
        (#"{"kind": "rwkv7", "num_heads": 4, "first": 1}"#, "mixers.1.first", "true or false"),
        (#"{"kind": "rwkv7", "num_heads": 5, "first": true}"#, "mixers.1.num_heads", "does not divide"),
        (#"{"kind": "rwkv7", "num_heads": 4, "first": true, "gate_rank": 0}"#, "mixers.1.gate_rank", "must be"),
        (#"{"kind": "rwkv7", "num_heads": 4, "first": true, "rate_rank": 1.5}"#, "mixers.1.rate_rank", "integer"),
        (#"{"kind": "transformer-xl", "segment": 8, "memory": 4}"#, "mixers.1.num_heads", "missing"),
        (#"{"kind": "transformer-xl", "num_heads": 4, "memory": 4}"#, "mixers.1.segment", "missing"),
        (#"{"kind": "transformer-xl", "num_heads": 4, "segment": 8}"#, "mixers.1.memory", "missing"),
        (#"{"kind": "transformer-xl", "num_heads": 4, "segment": 0, "memory": 4}"#, "mixers.1.segment", "must be"),
        (#"{"kind": "transformer-xl", "num_heads": 4, "segment": 8, "memory": -1}"#, "mixers.1.memory", "must be"),
        ("{\(segments), \"head_dim\": 0}", "mixers.1.head_dim", "must be"),
        ("{\(segments), \"same_length\": 1}", "mixers.1.same_length", "true or false"),
        ("{\(segments), \"clamp_length\": -2}", "mixers.1.clamp_length", "-1 for none"),
        ("{\(segments), \"clamp_length\": \"4\"}", "mixers.1.clamp_length", "integer"),
        ("{\(segments), \"rope\": {}}", "mixers.1.rope", "unknown"),
        (
            #"{"kind": "transformer-xl", "num_heads": 4, "segment": 8, "memory": 0, "same_length": true}"#,
            "mixers.1.memory", "no row would see any"
        ),
        (#"{"kind": "s4d"}"#, "mixers.1.state", "missing"),
        (#"{"kind": "s4d", "state": 7}"#, "mixers.1.state", "is even"),
        (#"{"kind": "s4d", "state": 0}"#, "mixers.1.state", "must be"),
        (#"{"kind": "s4d", "state": 8, "expand": 2}"#, "mixers.1.expand", "unknown"),
        (#"{"kind": "mamba"}"#, "mixers.1.state", "missing"),
        (#"{"kind": "mamba", "state": 0}"#, "mixers.1.state", "must be 1 to 256"),
        (#"{"kind": "mamba", "state": 4, "expand": 0}"#, "mixers.1.expand", "must be"),
        (#"{"kind": "mamba", "state": 4, "expand": 65537}"#, "mixers.1.expand", "must be"),
        (#"{"kind": "mamba", "state": 4, "conv": "4"}"#, "mixers.1.conv", "integer"),
        (#"{"kind": "mamba", "state": 4, "dt_rank": 0}"#, "mixers.1.dt_rank", "must be"),
        (#"{"kind": "mamba", "state": 4, "num_heads": 2}"#, "mixers.1.num_heads", "unknown"),
    ]

    @Test("A field of a mixer that cannot work is named, in a list and where there is one for all", arguments: wrong)
    func fields(mixer: String, field: String, word: String) throws {
        try initialize("m,r").expect(0)
        try set("mixers", #"[{"kind": "monte-carlo"}, \#(mixer)]"#)
        try run("model", "info", bench.file("model")).expect(65, "config.json", "'\(field)'", word)
        try remove("mixers")
        try set("mixer", mixer)
        let one = field.replacingOccurrences(of: "mixers.1", with: "mixer")
        try run("model", "info", bench.file("model")).expect(65, "config.json", "'\(one)'", word)
    }

    @Test("A list has an entry a layer, and stands alone")
    func counts() throws {
        try initialize("m,r").expect(0)
        for (list, word) in [
            ("[]", "one a layer"), ("{}", "list"), ("\"m,r\"", "list"), ("null", "list"),
            (#"[{"kind": "monte-carlo"}]"#, "lists 1; num_hidden_layers is 2"),
            (
                #"[{"kind": "monte-carlo"}, {"kind": "monte-carlo"}, {"kind": "monte-carlo"}]"#,
                "lists 3; num_hidden_layers is 2"
            ),
        ] {
            try set("mixers", list)
            try run("model", "info", bench.file("model")).expect(65, "config.json", "'mixers'", word)
        }
        try set("mixers", #"[{"kind": "monte-carlo"}, {"kind": "monte-carlo"}]"#)
        try set("mixer", #"{"kind": "monte-carlo"}"#)
        try run("model", "info", bench.file("model")).expect(65, "'mixer'", "stands beside 'mixers'")
        try remove("mixer")
        try set("mixerz", "1")
        try run("model", "info", bench.file("model")).expect(65, "'mixerz'", "did you mean 'mixer'")
    }

    @Test("A model that is not causal takes no mixer that sees earlier tokens only")
    func bidirectional() throws {
        try initialize("m,r").expect(0)
        try set("causal", "false")
        try run("model", "info", bench.file("model")).expect(65, "'mixers.1.kind'", "retention", "causal")
        for kind in ["x:8", "l", "t", "m2"] {
            try initialize("m,\(kind)", "--bidirectional", named: "other").expect(64, "'mixers.1.kind'", "causal")
        }
        #expect(!bench.exists("other"))
        try initialize("2*m", "--bidirectional", named: "other").expect(0)
    }

    @Test("Fields that say what is so anyway make no other model, whether they stand once or for each layer")
    func normalised() throws {
        try initialize("2*w:8").expect(0)
        let fingerprint = try #require(try info()["fingerprint"] as? String)
        func expectSame() throws { #expect(try info()["fingerprint"] as? String == fingerprint) }
        let all = """
            {"kind": "sliding-window", "num_heads": 4, "num_kv_heads": 4, "head_dim": 4, "window": 8,
             "dilation": [1, 1, 1, 1], "causal": true, "global_tokens": [], "qkv_bias": false,
             "rope": {"theta": 10000, "layout": "half", "spacing": "standard"}}
            """
        let least = #"{"kind": "sliding-window", "num_heads": 4, "window": 8, "rope": {}}"#
        try set("mixers", "[\(all), \(least)]")
        try expectSame()
        try remove("mixers")
        for one in [all, least] {
            try set("mixer", one)
            try expectSame()
        }
        // Other ones that ask for the same tensors.
        for other in [#"{"kind": "sliding-window", "num_heads": 4, "window": 8, "rope": null}"#]
            + ["\"num_heads\": 2, \"window\": 8", "\"num_heads\": 4, \"window\": 9"].map({
                "{\"kind\": \"sliding-window\", \($0), \"rope\": {}}"
            })
        {
            try set("mixer", other)
            #expect(try info()["fingerprint"] as? String != fingerprint)
        }
    }

    @Test("Monte Carlo Attention by name is Monte Carlo Attention by default")
    func monteCarlo() throws {
        try bench.model("plain", layers: 3)
        _ = try bench.shell("cp -r plain model").expect(0)
        try set("mixer", #"{"kind": "monte-carlo"}"#)
        #expect(try info()["fingerprint"] as? String == info("plain")["fingerprint"] as? String)
        try remove("mixer")
        try set("mixers", #"[{"kind": "monte-carlo"}, {"kind": "monte-carlo"}, {"kind": "monte-carlo"}]"#)
        #expect(try info()["fingerprint"] as? String == info("plain")["fingerprint"] as? String)
    }

    /// Fingerprints as they were before there were other mixers: stores and files know models by them.
    @Test(
        "Models of Monte Carlo Attention alone keep their fingerprints, and model init makes the same ones",
        arguments: [
            ("seven", "ef27192a5b52760c"), ("wide", "8cc1938220a1f25a"), ("recurrent", "640d493e03d603bc"),
            ("carlo", "49121934be41b00d"), ("selective", "a0e6784c69e6b318"), ("stack", "e9741131254dc8c5"),
            ("nowhere", "76b58056c2255f7c"), ("relu", "9e9217bc391e2ce1"), ("bidirectional", "12bb397d2c99f044"),
            ("everything", "79e61d7094572a50"), ("", "0cb788ff798f3151"),
        ])
    func fingerprints(fixture: String, fingerprint: String) throws {
        let model = try fixture.isEmpty ? bench.model() : Fixtures.path(fixture)
        let found = try run("model", "info", model, "--json").expect(0).json()
        #expect(found["fingerprint"] as? String == fingerprint)
    }

    // MARK: model.safetensors

    /// Changes the weights; tensors that `leavingOut` names are gone from the file.
    private func edit(leavingOut: (String) -> Bool, adding: [String: Int] = [:]) throws {
        let old = try ModelFileTests.Weights(bench.bytes("model/model.safetensors"))
        var new = old
        (new.header, new.data) = ([:], Data())
        func put(_ name: String, _ shape: [Int], _ values: Data) {
            new.header[name] =
                ["dtype": "F32", "shape": shape, "data_offsets": [new.data.count, new.data.count + values.count]]
                as [String: Any]
            new.data += values
        }
        for name in old.header.keys.sorted() where name != "__metadata__" && !leavingOut(name) {
            let place = old.field(name, "data_offsets")
            put(name, old.field(name, "shape"), Data(old.data[place[0]..<place[1]]))
        }
        for (name, count) in adding { put(name, [count], Data(count: 4 * count)) }
        try bench.write("model/model.safetensors", new.file)
    }

    @Test("A layer has the tensors of its mixer and no others; a missing one is named")
    func tensors() throws {
        try initialize("m,w:8,r").expect(0)
        let weights = try ModelFileTests.Weights(bench.bytes("model/model.safetensors"))
        let all = weights.header.keys.filter { $0.hasPrefix("blocks.") }
        func names(_ layer: Int) -> Set<String> {
            let prefix = "blocks.\(layer)."
            return Set(all.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) })
        }
        let window = Set(["q", "k", "v", "o"].map { "mixer.\($0)_proj.weight" })
        let attention: Set = [
            "cov1_delegate.weight", "cov1_delegate.bias", "self_attn.qkv.weight", "self_attn.proj.weight",
            "self_attn.proj.bias",
        ]
        #expect(names(1) == names(0).subtracting(attention).union(window))
        #expect(names(2) == names(1).union(["mixer.g_proj.weight", "mixer.norm.weight"]))
        #expect(weights.field("blocks.2.mixer.v_proj.weight", "shape") == [32, 16])
        for name in all where name.contains("mixer.") && !name.hasSuffix("norm.weight") {
            try initialize("m,w:8,r", "--force").expect(0)
            try edit(leavingOut: { $0 == name })
            try run("model", "info", bench.file("model")).expect(65, "'\(name)'", "missing")
        }
        for surplus in ["blocks.1.self_attn.proj.bias", "blocks.1.mixer.q_proj.bias", "blocks.0.mixer.norm.weight"] {
            try initialize("m,w:8,r", "--force").expect(0)
            try edit(leavingOut: { _ in false }, adding: [surplus: 16])
            try run("model", "info", bench.file("model")).expect(65, "'\(surplus)'", "not a tensor")
        }
        // Scalars of published checkpoints, which take no part.
        try initialize("m,w:8,r", "--force").expect(0)
        try edit(leavingOut: { _ in false }, adding: ["blocks.1.s1": 1, "blocks.2.s2": 1])
        _ = try info()
    }

    @Test("Retention may come without a weight of its norm: another model, and a smaller one")
    func optionalTensor() throws {
        try initialize("r,r").expect(0)
        let with = try info()
        try edit(leavingOut: { $0 == "blocks.1.mixer.norm.weight" })
        let without = try info()
        #expect(with["fingerprint"] as? String != without["fingerprint"] as? String)
        #expect(with["parameters"] as? Int == (without["parameters"] as? Int).map { $0 + 8 })
        #expect(with["weights"] as? Int == (without["weights"] as? Int).map { $0 + 32 })
        // A wrong one is no absent one.
        try edit(leavingOut: { $0 == "blocks.0.mixer.norm.weight" }, adding: ["blocks.0.mixer.norm.weight": 7])
        try run("model", "info", bench.file("model")).expect(65, "'blocks.0.mixer.norm.weight'", "shape")
    }

    // MARK: --mixers

    @Test(
        "The short notation lists a mixer a layer",
        arguments: [
            ("m", "m"), ("monte-carlo,sliding-window:8,retention", "m w r"), ("m,w:8,r", "m w r"), ("3*r", "r r r"),
            ("2*(m,3*w:8),r", "m w w w m w w w r"), ("2*(2*(m,r),w:8)", "m r m r w m r m r w"), ("(m),((r))", "m r"),
            ("l,t,t:lrpe,linear-attention,transnormer", "l t t l t"), ("2*m2,m2:7,mamba2:8", "m2 m2 m2 m2"),
        ])
    func notation(text: String, kinds: String) throws {
        try initialize(text).expect(0)
        let names = [
            "m": "monte-carlo", "w": "sliding-window", "r": "retention", "l": "linear-attention", "t": "transnormer",
            "m2": "mamba2",
        ]
        let expected = kinds.split(separator: " ").map { names[String($0)] }
        let found = try info()
        #expect(found["layers"] as? Int == expected.count)
        let runs = try #require(found["mixers"] as? [[String: Any]])
        #expect(
            runs.flatMap { run in (run["layers"] as? [Int] ?? []).map { _ in run["kind"] as? String } } == expected)
        #expect(runs.flatMap { $0["layers"] as? [Int] ?? [] } == Array(1...expected.count))
    }

    @Test("The short notation gives windows their size and dilation, heads those of --heads, and rotary positions")
    func sizes() throws {
        let rope = ["theta": 10000, "layout": "half"] as NSDictionary
        func window(_ window: Int, heads: Int, _ more: [String: Any] = [:]) -> NSDictionary {
            let fields: [String: Any] = [
                "kind": "sliding-window", "num_heads": heads, "head_dim": 16 / heads, "window": window,
                "causal": true, "rope": rope,
            ]
            return fields.merging(more) { $1 } as NSDictionary
        }
        try initialize("w,w:9,w:5x3", "--heads", "2").expect(0)
        #expect(
            try mixers() == [window(256, heads: 2), window(9, heads: 2), window(5, heads: 2, ["dilation": 3])])
        try initialize("d,d:6", "--force").expect(0)
        #expect(try mixers() == [64, 6].map { ["kind": "s4d", "state": $0] as NSDictionary })
        try initialize("s,s:5", "--force").expect(0)
        #expect(
            try mixers()
                == [16, 5].map { states in
                    ["kind": "mamba", "state": states, "expand": 2, "conv": 4, "dt_rank": 1] as NSDictionary
                })
        try initialize("x,x:9,x:5+30", "--force").expect(0)
        #expect(
            try mixers()
                == [(256, 256), (9, 9), (5, 30)].map { segment, memory in
                    [
                        "kind": "transformer-xl", "num_heads": 4, "head_dim": 4, "segment": segment, "memory": memory,
                        "same_length": false, "clamp_length": -1,
                    ] as NSDictionary
                })
        try initialize("r", "--force").expect(0)
        #expect(
            try mixers() == [
                [
                    "kind": "retention", "num_heads": 4, "head_k_dim": 4, "head_v_dim": 8, "norm_eps": 1e-5,
                    "rope": rope,
                ] as NSDictionary
            ])
    }

    @Test("The short notation gives layers of linear attention and TransNormer what is published, and their places")
    func recurrences() throws {
        func transnormer(_ layer: Int, of layers: Int, lrpe: Bool = false) -> NSDictionary {
            [
                "kind": "transnormer", "num_heads": 4, "head_dim": 4, "layer": layer, "layers": layers, "lrpe": lrpe,
                "norm_eps": 1e-6,
            ]
        }
        try initialize("m2,m2:9", named: "mamba2").expect(0)
        #expect(
            try mixers("mamba2")
                == [64, 9].map { state in
                    [
                        "kind": "mamba2", "num_heads": 4, "head_dim": 8, "state": state, "groups": 1, "expand": 2,
                        "conv": 4, "norm_eps": 1e-5,
                    ] as NSDictionary
                })
        try initialize("t:lrpe,l,t").expect(0)
        let linear: NSDictionary = [
            "kind": "linear-attention", "num_heads": 4, "head_k_dim": 4, "head_v_dim": 4, "feature_map": "elu+1",
            "normalize": true, "norm_eps": 1e-5,
        ]
        #expect(try mixers() == [transnormer(0, of: 3, lrpe: true), linear, transnormer(2, of: 3)])
        // Alone it is the first of two.
        try initialize("t", "--force").expect(0)
        #expect(try mixers() == [transnormer(0, of: 2)])
        // So do files of mixers, in a list or one for all; config.json must say it.
        try bench.write("list.json", #"[{"kind": "transnormer"}, {"kind": "transnormer", "layer": 0}]"#.utf8)
        try initialize(bench.file("list.json"), "--force").expect(0)
        #expect(try mixers() == [transnormer(0, of: 2), transnormer(0, of: 2)])
        try bench.write("one.json", #"{"mixer": {"kind": "transnormer"}}"#.utf8)
        try initialize(bench.file("one.json"), "--layers", "3", "--force").expect(0)
        #expect(try mixers() == (0..<3).map { transnormer($0, of: 3) })
    }

    @Test("The short notation makes the model's first layer the first one of rwkv7, or every one of them")
    func firstOfRWKV7() throws {
        func seven(_ isFirst: Bool) -> NSDictionary {
            [
                "kind": "rwkv7", "num_heads": 4, "first": isFirst, "decay_rank": 32, "rate_rank": 32,
                "value_rank": 32, "gate_rank": 32,
            ]
        }
        let six: NSDictionary = ["kind": "rwkv6", "num_heads": 4, "mix_rank": 32, "decay_rank": 64]
        try initialize("r7,r6,2*r7").expect(0)
        #expect(try mixers() == [seven(true), six, seven(false), seven(false)])
        try initialize("rwkv6,m,2*rwkv7", "--force").expect(0)
        #expect(try mixers()[0] == six && mixers()[2...] == [seven(true), seven(true)])
        // Those that blend need the first one.
        try set("mixers", #"[{"kind": "monte-carlo"}, {"kind": "rwkv7", "num_heads": 4, "first": false}]"#)
        try set("num_hidden_layers", "2")
        try run("model", "info", bench.file("model")).expect(
            65, "'mixers.1.first'", "must be rwkv7 with \"first\" true")
        try initialize("r7,r7", "--recurrence", "2", named: "other").expect(64, "mixers.1.first", "recurrence is 2")
        #expect(!bench.exists("other"))
        // Wider models have maps through more.
        try run(
            "model", "init", bench.file("wide"), "--hidden-size", "256", "--intermediate-size", "8", "--mixers", "r7"
        ).expect(0)
        let ranks = try ["decay_rank", "rate_rank", "value_rank", "gate_rank"].map { try mixers("wide")[0][$0] as? Int }
        #expect(ranks == [32, 32, 32, 64])
    }

    @Test("--mixers takes a file: a list, or an object that has mixers as config.json does")
    func file() throws {
        let (one, other) = (
            #"{"kind": "sliding-window", "window": 3, "num_kv_heads": 1}"#, #"{"kind": "retention", "num_heads": 2}"#
        )
        try bench.write("list.json", "[\(one), \(other)]".utf8)
        try initialize(bench.file("list.json")).expect(0)
        let expected = try mixers()
        #expect(expected.map { $0["num_heads"] as? Int } == [4, 2] && expected[0]["rope"] == nil)
        try bench.write("layers", #"{"mixers": [\#(one), \#(other)], "hidden_size": 1}"#.utf8)
        try initialize("@" + bench.file("layers"), "--force").expect(0)
        #expect(try mixers() == expected)
        // What a model says of its own.
        try initialize(bench.file("model/config.json"), named: "copy").expect(0)
        #expect(try bench.contents("copy") == bench.contents("model"))
        // One for all.
        try bench.write("one.json", #"{"mixer": \#(one)}"#.utf8)
        try initialize(bench.file("one.json"), "--force").expect(0)
        #expect(try mixers() == Array(repeating: expected[0], count: 6))
        try initialize(bench.file("one.json"), "--layers", "2", "--force").expect(0)
        #expect(try mixers() == Array(repeating: expected[0], count: 2))
    }

    @Test(
        "A file of mixers that cannot be one is refused",
        arguments: [
            ("", 65, "JSON"), ("7", 65, "list"), ("[]", 65, "one a layer"), ("{}", 65, "missing"),
            ("[{\"kind\": \"retention\", \"num_head\": 2}]", 65, "mixers.0.num_head"),
            ("{\"mixers\": 3}", 65, "list"), ("{\"mixer\": {\"kind\": \"r\"}}", 65, "mixer.kind"),
            ("{\"mixer\": {\"kind\": \"retention\"}, \"mixers\": []}", 65, "beside"),
            (String(repeating: " ", count: 1 << 20) + "[]", 65, "bytes"),
        ])
    func wrongFile(text: String, status: Int32, word: String) throws {
        try bench.write("list.json", text.utf8)
        try initialize(bench.file("list.json")).expect(status, "list.json", word)
        #expect(!bench.exists("model"))
    }

    @Test(
        "A list that cannot be is refused, and says where",
        arguments: [
            (
                "",
                "is no mixer; there are monte-carlo (m), sliding-window[:WINDOW[xDILATION]] (w), retention (r), "
                    + "linear-attention (l), transnormer[:lrpe] (t), mamba[:STATES] (s), mamba2[:STATE] (m2), "
                    + "s4d[:STATES] (d), rwkv6 (r6), rwkv7 (r7), transformer-xl[:SEGMENT[+MEMORY]] (x)"
            ),
            ("m,", "'' is no mixer"), ("m,,r", "'' is no mixer"), ("q", "'q' is no mixer"),
            ("m r", "'m r' is no mixer"), ("M", "'M' is no mixer"), ("*m", "'*m' is no mixer"),
            ("2m", "'2m' is no mixer"), ("m:3", "nothing follows monte-carlo"), ("r:", "nothing follows retention"),
            ("l:1", "nothing follows linear-attention"), ("t:1", "write transnormer:lrpe"),
            ("m2:", "write mamba2:STATE"), ("m2:0", "'mixers.0.state'"),
            ("w:", "write sliding-window:WINDOW[xDILATION]"), ("w:3x", "write sliding-window"),
            ("w:3x2x1", "write sliding-window"), ("w:a", "write sliding-window"),
            ("0*m", "count '0'"), ("10001*m", "count '10001'"), ("99999999999999999999*m", "count '99999"),
            ("1000*(1000*(1000*m))", "more than 10000 layers"), ("5000*m,5001*r", "more than 10000 layers"),
            ("(m", "no end"), ("m)", "')' stands"), ("(m)r", "'r' stands"), ("()", "'' is no mixer"),
            (String(repeating: "(", count: 100_000), "brackets within one another"),
            ("m,w:0", "'mixers.1.window'"), (String(repeating: "q", count: 100_000), "qqq…' is no mixer"),
            ("w:1024x1025", "reaches over"), ("w:-1", "'mixers.0.window'"),
            ("x:", "write transformer-xl:SEGMENT[+MEMORY]"), ("x:3x4", "write transformer-xl"),
            ("d:a", "write s4d:STATES"), ("d:3", "'mixers.0.state'"), ("s:", "write mamba:STATES"),
            ("s:4x2", "write mamba"), ("s:0", "'mixers.0.state'"),
            ("x:1+2+3", "write transformer-xl"), ("x:0", "'mixers.0.segment'"), ("x:1048576", "'mixers.0.memory'"),
        ])
    func wrongNotation(text: String, words: String) throws {
        try initialize(text).expect(64, "--mixers", words)
        #expect(!bench.exists("model"))
    }

    @Test("What contradicts --mixers, or cannot go with it, is refused")
    func contradictions() throws {
        try initialize("m,r", "--layers", "3").expect(64, "--layers is 3, and --mixers lists 2")
        try initialize("m,r", "--layers", "0").expect(64, "num_hidden_layers")
        try initialize("r", "--heads", "3").expect(64, "num_attention_heads")
        try initialize("w:3", "--heads", "16").expect(64, "'mixers.0.head_dim'", "rope", "even")
        try run(
            "model", "init", bench.file("model"), "--hidden-size", "15", "--heads", "3",
            "--positional-encoding", "none", "--mixers", "x"
        ).expect(64, "'mixers.0.kind'", "even hidden_size")
        try initialize("nowhere.json").expect(66, "nowhere.json")
        try initialize("@nowhere").expect(66, "nowhere")
        #expect(!bench.exists("model"))
        try initialize("m,r", "--layers", "2").expect(0)
    }

    @Test("A configuration that could not be read again is not written")
    func longConfiguration() throws {
        try run(
            "model", "init", bench.file("model"), "--hidden-size", "8", "--intermediate-size", "1", "--kernel-size",
            "1", "--mixers", "10000*w:3"
        ).expect(64, "config.json would take", "1048576")
        #expect(!bench.exists("model"))
    }

    // MARK: For people

    @Test("model info and the plan of a run say which layers have which mixer, and which of them stream")
    func described() throws {
        try bench.write(
            "list.json",
            #"""
            [{"kind": "monte-carlo"}, {"kind": "sliding-window", "num_heads": 1, "window": 256},
             {"kind": "sliding-window", "num_heads": 1, "window": 256},
             {"kind": "sliding-window", "num_heads": 4, "num_kv_heads": 2, "window": 4, "dilation": [1, 1, 1, 3],
              "qkv_bias": true, "rope": {"theta": 500, "layout": "interleaved", "spacing": "inclusive"}},
             {"kind": "monte-carlo"},
             {"kind": "retention", "num_heads": 2, "norm_eps": 1e-6, "rope": {}},
             {"kind": "linear-attention", "num_heads": 1, "feature_map": "identity", "norm_eps": 0.001},
             {"kind": "linear-attention", "num_heads": 4, "normalize": true},
             {"kind": "transnormer", "num_heads": 1},
             {"kind": "transnormer", "num_heads": 4, "layer": 0, "layers": 5, "lrpe": true, "norm_eps": 0.001},
             {"kind": "mamba2", "num_heads": 1, "state": 64},
             {"kind": "mamba2", "num_heads": 4, "state": 8, "groups": 2, "expand": 3, "conv": 7, "norm_eps": 0.001}]
            """#.utf8)
        try initialize(bench.file("list.json")).expect(0)
        let text = try run("model", "info", bench.file("model")).expect(0).output
        let lines = text.split(separator: "\n").map { $0.split(separator: ": ", maxSplits: 1).last.map(String.init) }
        for line in [
            "1: monte-carlo", "2-3: sliding-window 256, 1 head of 16",
            "4: sliding-window 4, dilation 1 to 3, 4 heads of 4, 2 of keys and values, biases, "
                + "rope (interleaved, inclusive, theta 500.0)",
            "5: monte-carlo", "6: retention, 2 heads of 8 keys and 16 values, eps 1e-06, rope", "2-4, 6-12",
            "7: linear-attention, 1 head of 16 keys and 16 values, identity, eps 0.001",
            "8: linear-attention, 4 heads of 4 keys and 4 values, elu+1, normalized",
            "9: transnormer, 1 head of 16, decays of layer 8 of 12",
            "10: transnormer, 4 heads of 4, decays of layer 0 of 5, lrpe, eps 0.001",
            "11: mamba2, 1 head of 32, state 64",
            "12: mamba2, 4 heads of 12, state 8, 2 groups, expand 3, kernel 7, eps 0.001",
        ] {
            #expect(lines.contains(line), "\(text)")
        }
        let runs = try #require(try info()["mixers"] as? [[String: Any]])
        #expect(runs.map { $0["streaming"] as? Bool } == [false, true, true, false] + Array(repeating: true, count: 7))
        #expect(runs[1]["mixer"] as? String == "sliding-window 256, 1 head of 16")
        try bench.store(Array("some bytes".utf8), "--patch-size", "8")
        try run("forward", "--store", bench.file("store"), "--model", bench.file("model"), "--dry-run").expect(
            0,
            "12 layers (2 monte-carlo, 3 sliding-window, 1 retention, 2 linear-attention, 2 transnormer, 2 mamba2), "
                + "hidden size 16"
        )
    }

    @Test("model info says the sizes of segments and of states")
    func describedStates() throws {
        try bench.write(
            "list.json",
            #"""
            [{"kind": "transformer-xl", "num_heads": 1, "segment": 256, "memory": 128},
             {"kind": "transformer-xl", "num_heads": 4, "segment": 8, "memory": 9, "same_length": true,
              "clamp_length": 5},
             {"kind": "mamba", "state": 16}, {"kind": "mamba", "state": 4, "expand": 3, "conv": 2, "dt_rank": 2},
             {"kind": "s4d", "state": 64}, {"kind": "s4d", "state": 2}]
            """#.utf8)
        try initialize(bench.file("list.json")).expect(0)
        let runs = try #require(try info()["mixers"] as? [[String: Any]])
        #expect(
            runs.map { $0["mixer"] as? String } == [
                "transformer-xl 256 + 128, 1 head of 16",
                "transformer-xl 8 + 9, 4 heads of 4, same length, distances up to 5",
                "mamba, 32 channels of 16 states, kernel 4", "mamba, 48 channels of 4 states, kernel 2, rank 2",
                "s4d, 32 complex states a feature", "s4d, 1 complex state a feature",
            ])
        #expect(runs.allSatisfy { $0["streaming"] as? Bool == true })
    }

    // MARK: Windows that see later rows

    @Test("Windows on both sides: the same bits in memory and beside it, each row read once, layer by layer")
    func around() throws {
        var numbers = TestNumbers(77)
        // Windows of several sizes, of which one reaches over more than a tile: nothing is left of the layer before.
        let model = bench.file("model")
        try run(
            "model", "init", model, "--hidden-size", "16", "--heads", "2", "--intermediate-size", "16",
            "--kernel-size", "5", "--patch-size", "8", "--bidirectional", "--mixers", "w:50,w:110x9,w:200,m"
        ).expect(0)
        #expect(try mixers().prefix(3).allSatisfy { $0["causal"] as? Bool == false })
        let store = try bench.store(numbers.bytes(90_000), "--patch-size", "8")
        let forward = ["forward", "--store", store, "--model", model, "--restart", "--json"]
        let least = try #require(run(forward + ["--memory", "1MiB"]).leastMemory)
        var found: [Data] = []
        for memory in [least, "24MiB", "1GiB"] {
            let name = bench.file("\(memory).npy")
            let summary = try run(forward + ["--memory", memory, "--threads", "\(1 + found.count)", "--nll", name])
                .expect(0).json()
            found.append(try bench.bytes("\(memory).npy"))
            let layers = try #require(summary["layers"] as? [[String: Any]])
            #expect(layers.count == 4)
            for layer in layers[1..<3] where memory == "24MiB" {
                let (reads, writes) = (layer["reads"] as? Double ?? 9, layer["writes"] as? Double ?? 9)
                #expect(reads < 1.05 && writes < 1.05, "\(reads) and \(writes)")
            }
        }
        let isSame = found[1] == found[0] && found[2] == found[0]
        #expect(isSame)
        try run("context", "--model", model, "--length", "90000").expect(0)
    }

    @Test("Windows see later rows in models that do, and no other kind does")
    func lookingAhead() throws {
        try initialize("w:8,r").expect(0)
        try set("causal", "false")
        try run("model", "info", bench.file("model")).expect(65, "'mixers.1.kind'", "retention", "causal")
        // One that sees no later row may stand beside others.
        try initialize("w:8,m", "--bidirectional", "--force").expect(0)
        var fields = try #require(
            JSONSerialization.jsonObject(with: bench.bytes("model/config.json")) as? [String: Any])
        var listed = try #require(fields["mixers"] as? [[String: Any]])
        listed[0]["causal"] = true
        fields["mixers"] = listed
        try bench.write("model/config.json", JSONSerialization.data(withJSONObject: fields))
        let info = try run("model", "info", bench.file("model")).expect(0)
        #expect(info.output.contains("sliding-window 8, ") && info.output.contains("streaming layers : none"))
    }
}
