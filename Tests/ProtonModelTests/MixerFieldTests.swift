import Compute
import Foundation
import Geometry
import Support
import TestSupport
import Testing

@testable import ProtonModel

/// Every field of every kind of mixer in config.json, with values of every type and size: what works is taken, and
/// what does not is refused by file and field, with words on what would.
@Suite("Mixer fields") struct MixerFieldTests {
    /// A mixer in a model of hidden size 16.
    struct Example: CustomTestStringConvertible, Sendable {
        let kind: String
        /// Fields that must be there, with values that work.
        let needed: [String: String]
        /// By field, those of `probes` that work in its place; "rope.theta" is theta in rope.
        let fields: [String: [String]]
        var testDescription: String { kind }
    }

    private static let probes = [
        "null", "true", "false", #""text""#, #""""#, #""identity""#, "[]", "[1]", "{}", "0", "-1", "1", "2", "3", "1.5",
        "1e-6", "-1e-6", "1e300", "-1e300", "65536", "65537", "1048576", "1048577", "9223372036854775807",
        "-9223372036854775808", "9223372036854775808",
    ]

    private static let sizes = ["1", "2", "3", "65536"], flags = ["true", "false"], heads = ["1", "2"]
    private static let rope = [
        "rope": ["null", "{}"], "rope.theta": ["1", "2", "3", "1.5", "65536", "65537", "1048576", "1048577"],
        "rope.layout": [], "rope.spacing": [],
    ]

    static let examples = [
        Example(kind: "monte-carlo", needed: [:], fields: [:]),
        Example(
            kind: "sliding-window", needed: ["num_heads": "4", "window": "8"],
            fields: [
                "num_heads": heads, "num_kv_heads": ["1", "2"], "head_dim": sizes,
                "window": sizes + ["65537", "1048576"], "dilation": sizes + ["65537", "[1]"], "causal": ["true"],
                "qkv_bias": flags, "global_tokens": ["[]"],
            ].merging(rope) { $1 }),
        Example(
            kind: "retention", needed: ["num_heads": "4"],
            fields: ["num_heads": heads, "head_k_dim": sizes, "head_v_dim": sizes, "norm_eps": ["1e-6"]].merging(rope) {
                $1
            }),
        Example(
            kind: "linear-attention", needed: ["num_heads": "4"],
            fields: [
                "num_heads": heads, "head_k_dim": sizes, "head_v_dim": sizes, "feature_map": [#""identity""#],
                "normalize": flags, "norm_eps": ["1e-6"],
            ]),
        Example(
            kind: "transnormer", needed: ["num_heads": "4", "layer": "0", "layers": "2"],
            fields: [
                "num_heads": heads, "head_dim": sizes, "layer": ["0", "1"], "layers": ["2", "3"], "lrpe": flags,
                "norm_eps": ["1e-6"],
            ]),
        Example(
            kind: "mamba", needed: ["state": "8"],
            fields: ["state": ["1", "2", "3"], "expand": sizes, "conv": ["1", "2", "3"], "dt_rank": sizes]),
        Example(
            kind: "mamba2", needed: ["num_heads": "4", "state": "8"],
            fields: [
                "num_heads": heads, "head_dim": [], "state": sizes, "groups": ["1", "2"], "expand": ["1", "2", "3"],
                "conv": ["1", "2", "3"], "norm_eps": ["1e-6"],
            ]),
        Example(kind: "s4d", needed: ["state": "8"], fields: ["state": ["2", "65536"]]),
        Example(
            kind: "rwkv6", needed: ["num_heads": "4"],
            fields: ["num_heads": heads, "mix_rank": sizes, "decay_rank": sizes]),
        Example(
            kind: "rwkv7", needed: ["num_heads": "4", "first": "true"],
            fields: [
                "num_heads": heads, "first": ["true"], "decay_rank": sizes, "rate_rank": sizes, "value_rank": sizes,
                "gate_rank": sizes,
            ]),
        Example(
            kind: "transformer-xl", needed: ["num_heads": "4", "segment": "8", "memory": "4"],
            fields: [
                "num_heads": heads, "head_dim": sizes, "segment": sizes + ["65537"],
                "memory": ["0"] + sizes + ["65537"], "same_length": flags,
                "clamp_length": ["-1", "0"] + sizes + ["65537", "1048576"],
            ]),
    ]

    /// Words that say what would do.
    private static let words = [
        "must be", "must list", "must make", "is missing", "does not divide", "unknown field; ", "at most", "is even",
        "not supported yet", "the model's is true", "with same_length", "more than", "needs",
    ]

    /// The model of one layer with these fields of its mixer.
    private func config(_ kind: String, _ fields: [String: String]) throws -> ModelConfig {
        let folder = try TemporaryFolder()
        let mixer = ([("kind", "\"\(kind)\"")] + fields.map { ($0, $1) }).map { "\"\($0)\": \($1)" }
        try folder.write(
            "config.json",
            """
            {"model_type": "bigbang-proton", "vocab_size": 259, "hidden_size": 16, "intermediate_size": 8,
             "num_hidden_layers": 1, "num_attention_heads": 4, "patch_size": 8, "conv_kernel_size": 3,
             "mixers": [{\(mixer.joined(separator: ", "))}]}
            """.utf8)
        return try ModelConfig(directory: folder.path)
    }

    private func expectRefusal(_ kind: String, _ fields: [String: String], naming name: String? = nil) {
        let fault = #expect(throws: Fault.self, "\(kind) \(fields)") { try config(kind, fields) }
        guard let fault else { return }
        #expect(fault.kind == .badData && fault.place.file?.hasSuffix("config.json") == true)
        let field = fault.place.field ?? ""
        #expect(name.map { field == "mixers.0.\($0)" } ?? field.hasPrefix("mixers.0."), "\(fields): \(fault)")
        #expect(Self.words.contains(where: fault.problem.contains), "\(fields): \(fault)")
    }

    @Test("Each field takes what works, and refuses all else by its name", arguments: examples)
    func fields(example: Example) throws {
        for name in example.needed.keys {
            expectRefusal(example.kind, example.needed.filter { $0.key != name }, naming: name)
        }
        for (name, working) in example.fields {
            for probe in Self.probes {
                let parts = name.split(separator: ".").map(String.init)
                let fields = example.needed.merging([
                    parts[0]: parts.count > 1 ? "{\"\(parts[1])\": \(probe)}" : probe
                ]) { $1 }
                guard working.contains(probe) else {
                    expectRefusal(example.kind, fields)
                    continue
                }
                let config = try config(example.kind, fields)
                // What follows from sizes is a number for any that are taken.
                #expect(config.parameters != nil, "\(fields)")
                let geometry = try #require(SequenceGeometry(tokens: 100, patchSize: 8))
                _ = try ModelSizes(
                    config, geometry: geometry, way: .direct, on: CPUBackend(try #require(Kernels.plain)))
            }
        }
        for probe in Self.probes {
            expectRefusal(example.kind, example.needed.merging(["no": probe]) { $1 }, naming: "no")
        }
    }

    @Test("The table has every kind, and every field that one states")
    func complete() throws {
        #expect(Set(Self.examples.map(\.kind)) == Set(LayerMixer.kinds.map { $0.kind }))
        for example in Self.examples {
            let text = try config(example.kind, example.needed).mixers[0].shape.json
            let stated = try #require(JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
            #expect(Set(stated.keys).subtracting(["kind"]).isSubset(of: example.fields.keys), "\(text)")
            #expect(Set(example.needed.keys).isSubset(of: example.fields.keys))
        }
    }
}
