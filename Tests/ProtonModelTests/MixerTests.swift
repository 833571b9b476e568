import Foundation
import Support
import TestSupport
import Testing

@testable import ProtonModel

@Suite("Mixers") struct MixerTests {
    /// One of every kind, and of every option.
    static let shapes: [any MixerShape] = [
        MonteCarloShape(), SlidingWindowShape(heads: 2, headSize: 8, window: 5),
        SlidingWindowShape(
            heads: 4, keyValueHeads: 2, headSize: 6, window: 1 << 10, dilations: [1, 2, 3, 1024], hasBias: true,
            rope: RotaryEncoding(theta: 5e5, layout: .interleaved, spacing: .inclusive)),
        SlidingWindowShape(heads: 3, headSize: 2, window: 1, dilations: [7], rope: RotaryEncoding()),
        RetentionShape(heads: 2, keySize: 8, valueSize: 16),
        RetentionShape(
            heads: 5, keySize: 4, valueSize: 3, normEpsilon: 1e-6, rope: RotaryEncoding(spacing: .inclusive)),
        TransformerXLShape(heads: 2, headSize: 8, segment: 5, memory: 0),
        TransformerXLShape(
            heads: 4, headSize: 3, segment: 7, memory: 11, hasSameLength: true, longestDistance: 4),
        MambaShape(hiddenSize: 16, states: 4),
        MambaShape(hiddenSize: 16, states: 3, expansion: 3, taps: 1, rank: 7),
        S4DShape(hiddenSize: 16, states: 2), S4DShape(hiddenSize: 16, states: 64),
    ]

    private func config(_ shapes: [any MixerShape], hiddenSize: Int = 16) -> ModelConfig {
        var config = ModelConfig(
            hiddenSize: hiddenSize, intermediateSize: 8, layers: shapes.count, heads: 2, patchSize: 8, kernelSize: 3)
        config.mixers = shapes.map { LayerMixer($0) }
        return config
    }

    /// What config.json, as `json` writes it, is read as.
    private func reread(_ config: ModelConfig) throws -> ModelConfig {
        let folder = try TemporaryFolder()
        try folder.write("config.json", config.json.utf8)
        return try ModelConfig(directory: folder.path)
    }

    @Test("Every kind has a name and a letter of its own")
    func kinds() {
        let names = LayerMixer.kinds.flatMap { [$0.kind, $0.letter] }
        #expect(Set(names).count == names.count)
        #expect(Set(Self.shapes.map { LayerMixer($0).kind }) == Set(LayerMixer.kinds.map { $0.kind }))
    }

    @Test("config.json says every mixer back as it was")
    func roundTrip() throws {
        for shapes in Self.shapes.map({ [$0] }) + [Self.shapes] {
            let config = config(shapes)
            #expect(config.impossibleField() == nil)
            let again = try reread(config)
            #expect(again == config && again.json == config.json)
        }
    }

    @Test("Mixers that differ in any value are different, and texts that mean the same are the same mixer")
    func equality() {
        for (index, shape) in Self.shapes.enumerated() {
            for (other, otherShape) in Self.shapes.enumerated() {
                #expect((LayerMixer(shape) == LayerMixer(otherShape)) == (index == other))
            }
        }
        func window(_ dilations: [Int]) -> LayerMixer {
            LayerMixer(SlidingWindowShape(heads: 3, headSize: 2, window: 4, dilations: dilations))
        }
        #expect(window([2]) == window([2, 2, 2]) && window([1]) != window([2]) && window([2, 2, 1]) != window([2]))
    }

    @Test("A model has a mixer a layer: Monte Carlo Attention unless it is said, and the first ones of fewer layers")
    func layers() throws {
        var config = ModelConfig(hiddenSize: 16, intermediateSize: 8, layers: 3, heads: 2, patchSize: 8, kernelSize: 3)
        #expect(config.mixers == [.monteCarlo, .monteCarlo, .monteCarlo] && !config.json.contains("mixer"))
        let plain = config
        config.mixers = [.monteCarlo, .monteCarlo, .monteCarlo]
        #expect(config == plain)
        let retention = LayerMixer(RetentionShape(heads: 2, keySize: 8, valueSize: 16))
        config.mixers = [.monteCarlo, retention, .monteCarlo]
        #expect(config != plain && config.json.contains("mixers"))
        config.layers = 2
        #expect(config.mixers == [.monteCarlo, retention] && config.impossibleField() == nil)
        config.layers = 3
        #expect(try #require(config.impossibleField()).field == "mixers")
    }

    // MARK: What cannot work

    static let impossibleShapes: [(shape: any MixerShape, field: String)] = [
        (SlidingWindowShape(heads: 0, headSize: 8, window: 4), "num_heads"),
        (SlidingWindowShape(heads: 65_537, headSize: 1, window: 4), "num_heads"),
        (SlidingWindowShape(heads: 2, headSize: 0, window: 4), "head_dim"),
        (SlidingWindowShape(heads: 2, headSize: .max, window: 4), "head_dim"),
        (SlidingWindowShape(heads: 65_536, headSize: 17, window: 4), "head_dim"),
        (SlidingWindowShape(heads: 4, keyValueHeads: 3, headSize: 8, window: 4), "num_kv_heads"),
        (SlidingWindowShape(heads: 4, keyValueHeads: 8, headSize: 8, window: 4), "num_kv_heads"),
        (SlidingWindowShape(heads: 4, keyValueHeads: 0, headSize: 8, window: 4), "num_kv_heads"),
        (SlidingWindowShape(heads: 2, headSize: 8, window: 0), "window"),
        (SlidingWindowShape(heads: 2, headSize: 8, window: 1 << 20 + 1), "window"),
        (SlidingWindowShape(heads: 2, headSize: 8, window: 1 << 10, dilations: [1, 1 << 10 + 1]), "window"),
        (SlidingWindowShape(heads: 2, headSize: 8, window: 1, dilations: [0]), "dilation"),
        (SlidingWindowShape(heads: 2, headSize: 8, window: 1, dilations: [1, -1]), "dilation"),
        (SlidingWindowShape(heads: 2, headSize: 8, window: 1, dilations: [.max]), "dilation"),
        (SlidingWindowShape(heads: 3, headSize: 8, window: 1, dilations: [1, 2]), "dilation"),
        (SlidingWindowShape(heads: 2, headSize: 8, window: 1, dilations: []), "dilation"),
        (SlidingWindowShape(heads: 2, headSize: 7, window: 1, rope: RotaryEncoding()), "head_dim"),
        (SlidingWindowShape(heads: 2, headSize: 2, window: 1, rope: RotaryEncoding(spacing: .inclusive)), "head_dim"),
        (SlidingWindowShape(heads: 2, headSize: 8, window: 1, rope: RotaryEncoding(theta: 0.5)), "rope.theta"),
        (SlidingWindowShape(heads: 2, headSize: 8, window: 1, rope: RotaryEncoding(theta: .infinity)), "rope.theta"),
        (SlidingWindowShape(heads: 2, headSize: 8, window: 1, rope: RotaryEncoding(theta: .nan)), "rope.theta"),
        (RetentionShape(heads: -1, keySize: 8, valueSize: 8), "num_heads"),
        (RetentionShape(heads: 2, keySize: 0, valueSize: 8), "head_k_dim"),
        (RetentionShape(heads: 2, keySize: 8, valueSize: 65_537), "head_v_dim"),
        (RetentionShape(heads: 65_536, keySize: 8, valueSize: 32), "head_v_dim"),
        (RetentionShape(heads: 2, keySize: 8, valueSize: 8, normEpsilon: 0), "norm_eps"),
        (RetentionShape(heads: 2, keySize: 5, valueSize: 8, rope: RotaryEncoding()), "head_k_dim"),
        (
            RetentionShape(heads: 2, keySize: 2, valueSize: 8, rope: RotaryEncoding(spacing: .inclusive)),
            "head_k_dim"
        ),
        (TransformerXLShape(heads: 0, headSize: 8, segment: 4, memory: 4), "num_heads"),
        (TransformerXLShape(heads: 2, headSize: 65_537, segment: 4, memory: 4), "head_dim"),
        (TransformerXLShape(heads: 2, headSize: 8, segment: 0, memory: 4), "segment"),
        (TransformerXLShape(heads: 2, headSize: 8, segment: .max, memory: 4), "segment"),
        (TransformerXLShape(heads: 2, headSize: 8, segment: 4, memory: -1), "memory"),
        (TransformerXLShape(heads: 2, headSize: 8, segment: 4, memory: .max), "memory"),
        (TransformerXLShape(heads: 2, headSize: 8, segment: 1 << 20, memory: 1), "memory"),
        (TransformerXLShape(heads: 2, headSize: 8, segment: 4, memory: 0, hasSameLength: true), "memory"),
        (TransformerXLShape(heads: 2, headSize: 8, segment: 4, memory: 4, longestDistance: -2), "clamp_length"),
        (TransformerXLShape(heads: 2, headSize: 8, segment: 4, memory: 4, longestDistance: .max), "clamp_length"),
        (MambaShape(hiddenSize: 16, states: 0), "state"), (MambaShape(hiddenSize: 16, states: 257), "state"),
        (MambaShape(hiddenSize: 16, states: 4, expansion: 0), "expand"),
        (MambaShape(hiddenSize: 16, states: 4, expansion: .max), "expand"),
        (MambaShape(hiddenSize: 17, states: 4, expansion: 65_536), "expand"),
        (MambaShape(hiddenSize: 16, states: 4, taps: 0), "conv"),
        (MambaShape(hiddenSize: 16, states: 4, taps: 257), "conv"),
        (MambaShape(hiddenSize: 16, states: 4, rank: 0), "dt_rank"),
        (MambaShape(hiddenSize: 16, states: 4, rank: 65_537), "dt_rank"),
        (S4DShape(hiddenSize: 16, states: 0), "state"), (S4DShape(hiddenSize: 16, states: 7), "state"),
        (S4DShape(hiddenSize: 16, states: 65_538), "state"),
    ]

    @Test("A mixer made in code that cannot work is named", arguments: impossibleShapes.indices)
    func impossible(index: Int) throws {
        let (shape, field) = Self.impossibleShapes[index]
        #expect(try #require(config([MonteCarloShape(), shape]).impossibleField()).field == "mixers.1.\(field)")
    }

    @Test("At their limits sizes work")
    func limits() {
        for shape in [
            SlidingWindowShape(heads: 65_536, headSize: 16, window: 1 << 20),
            SlidingWindowShape(heads: 2, headSize: 8, window: 1 << 10, dilations: [1, 1 << 10]),
            SlidingWindowShape(heads: 2, headSize: 4, window: 1, rope: RotaryEncoding(theta: 1, spacing: .inclusive)),
            RetentionShape(heads: 16, keySize: 1, valueSize: 65_536, normEpsilon: 0.1),
            TransformerXLShape(heads: 1, headSize: 1, segment: 1, memory: 1 << 20 - 1, longestDistance: 1 << 20),
            TransformerXLShape(heads: 2, headSize: 8, segment: 1 << 20, memory: 0),
            MambaShape(hiddenSize: 16, states: 256, expansion: 65_536, taps: 256, rank: 65_536),
        ] as [any MixerShape] {
            #expect(config([shape]).impossibleField() == nil)
        }
    }

    @Test("In a model that is not causal only Monte Carlo Attention works")
    func bidirectional() throws {
        for shape in Self.shapes {
            var config = config([MonteCarloShape(), shape])
            config.isCausal = false
            let isFine = shape is MonteCarloShape
            #expect(config.impossibleField()?.field == (isFine ? nil : "mixers.1.kind"))
        }
    }

    // MARK: Tensors

    private func shapes(_ shape: any MixerShape, width: Int = 16) -> [String: [Int]] {
        Dictionary(uniqueKeysWithValues: shape.tensors(width: width).map { ($0.name, $0.shape) })
    }

    @Test("A mixer has the tensors that its sizes ask for, and a layer no others but norms and convolutions")
    func tensors() {
        #expect(
            shapes(SlidingWindowShape(heads: 4, keyValueHeads: 2, headSize: 6, window: 3)) == [
                "q_proj.weight": [24, 16], "k_proj.weight": [12, 16], "v_proj.weight": [12, 16],
                "o_proj.weight": [16, 24],
            ])
        #expect(
            shapes(SlidingWindowShape(heads: 4, keyValueHeads: 2, headSize: 6, window: 3, hasBias: true)) == [
                "q_proj.weight": [24, 16], "k_proj.weight": [12, 16], "v_proj.weight": [12, 16],
                "o_proj.weight": [16, 24], "q_proj.bias": [24], "k_proj.bias": [12], "v_proj.bias": [12],
                "o_proj.bias": [16],
            ])
        let retention = RetentionShape(heads: 3, keySize: 4, valueSize: 5)
        #expect(
            shapes(retention) == [
                "q_proj.weight": [12, 16], "k_proj.weight": [12, 16], "v_proj.weight": [15, 16],
                "g_proj.weight": [15, 16], "norm.weight": [5], "o_proj.weight": [16, 15],
            ])
        #expect(retention.tensors(width: 16).filter(\.isOptional).map(\.name) == ["norm.weight"])
        #expect(
            shapes(MambaShape(hiddenSize: 16, states: 3, expansion: 2, taps: 5, rank: 4)) == [
                "in_proj.weight": [64, 16], "conv.weight": [32, 5], "conv.bias": [32], "x_proj.weight": [10, 32],
                "dt_proj.weight": [32, 4], "dt_proj.bias": [32], "A_log": [32, 3], "D": [32],
                "o_proj.weight": [16, 32],
            ])
        #expect(
            shapes(S4DShape(hiddenSize: 16, states: 6)) == [
                "log_dt": [16], "log_A_real": [16, 3], "A_imag": [16, 3], "C": [16, 3, 2], "D": [16],
                "o_proj.weight": [32, 16], "o_proj.bias": [32],
            ])
        #expect(
            shapes(TransformerXLShape(heads: 3, headSize: 4, segment: 5, memory: 6)) == [
                "q_proj.weight": [12, 16], "k_proj.weight": [12, 16], "v_proj.weight": [12, 16],
                "r_proj.weight": [12, 16], "u_bias": [3, 4], "v_bias": [3, 4], "o_proj.weight": [16, 12],
            ])

        var config = config([MonteCarloShape(), retention])
        config.delegation = .selective
        let layout = TensorLayout(config)
        func names(_ layer: Int) -> Set<String> {
            let prefix = "blocks.\(layer)."
            return Set(
                layout.tensors.map(\.name).filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) })
        }
        let common: Set = [
            "pre_norm.norm.weight", "pre_norm.norm.bias", "norm1.norm.weight", "norm1.norm.bias", "cov3.weight",
            "cov3.bias", "cov4.weight", "cov4.bias",
        ]
        #expect(
            names(0)
                == common.union([
                    "cov1_delegate.weight", "cov1_delegate.bias", "self_attn.qkv.weight", "self_attn.proj.weight",
                    "self_attn.proj.bias", "select.weight", "select.bias",
                ]))
        #expect(names(1) == common.union(shapes(retention).keys.map { "mixer.\($0)" }))
        #expect(layout.unused == ["blocks.0.s1", "blocks.0.s2", "blocks.1.s1", "blocks.1.s2"])
    }

    @Test("New mixers begin as their kinds say: windows normal, retention uniform after Glorot with gains of its own")
    func initialValues() throws {
        let folder = try TemporaryFolder()
        let (D, window, retention) = (
            64, SlidingWindowShape(heads: 4, keyValueHeads: 2, headSize: 16, window: 8, hasBias: true),
            RetentionShape(heads: 2, keySize: 32, valueSize: 64)
        )
        try Model.initialize(
            folder.file("model"), config: config([window, retention], hiddenSize: D), seed: 3, replacing: false)
        let model = try Model(directory: folder.file("model"))
        func values(_ name: String, _ shape: [Int]) throws -> [Double] {
            let tensor = try model.tensor(name)
            return (0..<shape.reduce(1, *)).map { Double(tensor.value($0)) }
        }
        func deviation(_ values: [Double]) -> Double {
            (values.map { $0 * $0 }.reduce(0, +) / Double(values.count)).squareRoot()
        }
        for tensor in window.tensors(width: D) {
            let values = try values("blocks.0.mixer.\(tensor.name)", tensor.shape)
            if tensor.shape.count == 1 {
                #expect(values.allSatisfy { $0 == 0 })
            } else {
                #expect(abs(deviation(values) - 0.02) < 0.001)
                // Normal, for a uniform one has none beyond 1.73 deviations.
                #expect(values.contains { abs($0) > 0.05 })
            }
        }
        for tensor in retention.tensors(width: D) {
            let values = try values("blocks.1.mixer.\(tensor.name)", tensor.shape)
            if tensor.name == "norm.weight" {
                #expect(values.allSatisfy { $0 == 1 })
                continue
            }
            let gain = tensor.name == "o_proj.weight" ? 0.5 : 0.17677669529663687
            let bound = gain * (6 / Double(tensor.shape[0] + tensor.shape[1])).squareRoot()
            let largest = values.map(abs).max() ?? 0
            #expect(largest <= bound * 1.000001 && largest > 0.99 * bound)
            #expect(abs(deviation(values) / (bound / 3.0.squareRoot()) - 1) < 0.05)
            #expect(abs(values.reduce(0, +)) / Double(values.count) < 0.05 * bound)
        }
    }

    @Test("New states fade as their kinds say: steps from 0.001 to 0.1, even in their logarithms, and rates 1 to N")
    func initialRates() throws {
        let folder = try TemporaryFolder()
        let mamba = MambaShape(hiddenSize: 64, states: 5, expansion: 4), s4d = S4DShape(hiddenSize: 64, states: 32)
        try Model.initialize(
            folder.file("model"), config: config([mamba, s4d], hiddenSize: 64), seed: 3, replacing: false)
        let model = try Model(directory: folder.file("model"))
        func values(_ name: String, _ count: Int, layer: Int = 0) throws -> [Double] {
            let tensor = try model.tensor("blocks.\(layer).mixer.\(name)")
            return (0..<count).map { Double(tensor.value($0)) }
        }
        func expectSteps(_ logarithms: [Double]) {
            let (low, high) = (log(0.001), log(0.1))
            #expect(logarithms.allSatisfy { $0 > low - 1e-3 && $0 < high + 1e-3 })
            for quarter in 0..<4 {
                let end = low + (high - low) * Double(quarter + 1) / 4
                let share = Double(logarithms.count { $0 < end }) / Double(logarithms.count)
                #expect(abs(share - Double(quarter + 1) / 4) < 0.15)
            }
        }
        expectSteps(try values("dt_proj.bias", 256).map { log(log(1 + exp($0))) })
        let rates = try values("A_log", 256 * 5)
        #expect(rates.enumerated().allSatisfy { abs(exp($1) - Double($0 % 5 + 1)) < 1e-6 })
        #expect(try values("D", 256).allSatisfy { $0 == 1 })
        expectSteps(try values("log_dt", 64, layer: 1))
        #expect(try values("log_A_real", 64 * 16, layer: 1).allSatisfy { abs($0 - log(0.5)) < 1e-6 })
        let turning = try values("A_imag", 64 * 16, layer: 1)
        #expect(turning.enumerated().allSatisfy { abs($1 - Double.pi * Double($0 % 16)) < 1e-5 })
        let coefficients = try values("C", 64 * 32, layer: 1)
        let square = coefficients.map { $0 * $0 }.reduce(0, +) / Double(coefficients.count)
        #expect(abs(square - 0.5) < 0.05)
        for (name, inputs, count) in [("in_proj.weight", 64.0, 512 * 64), ("conv.weight", 4, 1024)] {
            let largest = try values(name, count).map(abs).max() ?? 0
            #expect(largest <= 1.000001 / inputs.squareRoot() && largest > 0.99 / inputs.squareRoot())
        }
    }

    @Test("Every factor of a mixer's products must have an even width where products take pairs")
    func evenWidths() {
        #expect(config(Self.shapes.filter { $0 is SlidingWindowShape }).hasEvenWidths)
        #expect(config([RetentionShape(heads: 2, keySize: 3, valueSize: 3)]).hasEvenWidths)
        #expect(!config([RetentionShape(heads: 3, keySize: 4, valueSize: 5)]).hasEvenWidths)
        #expect(!config([SlidingWindowShape(heads: 3, headSize: 5, window: 1)]).hasEvenWidths)
        #expect(!config([MonteCarloShape(), SlidingWindowShape(heads: 1, headSize: 5, window: 1)]).hasEvenWidths)
        // Rates and convolutions of channels are no factors of products, nor are states.
        #expect(config([MambaShape(hiddenSize: 16, states: 3, expansion: 1, taps: 3, rank: 2)]).hasEvenWidths)
        #expect(!config([MambaShape(hiddenSize: 16, states: 4, rank: 3)]).hasEvenWidths)
        #expect(config([S4DShape(hiddenSize: 16, states: 6)]).hasEvenWidths)
        // Keys and values of an odd width are results, no factors.
        #expect(config([SlidingWindowShape(heads: 2, keyValueHeads: 1, headSize: 5, window: 1)]).hasEvenWidths)
    }

    @Test("Only layers of Monte Carlo Attention are ordered by a score")
    func selective() {
        var config = config([RetentionShape(heads: 2, keySize: 8, valueSize: 8)])
        config.delegation = .selective
        #expect(config.causality == "to the token" && config.surprisalCaveat == nil)
        config.layers = 2
        config.mixers = [.monteCarlo] + config.mixers
        #expect(config.causality != "to the token" && config.surprisalCaveat != nil)
    }
}
