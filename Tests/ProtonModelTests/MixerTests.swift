import Compute
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
        LinearAttentionShape(heads: 2, keySize: 8, valueSize: 8),
        LinearAttentionShape(heads: 2, keySize: 8, valueSize: 8, featureMap: .identity),
        LinearAttentionShape(heads: 3, keySize: 4, valueSize: 5, isNormalized: true, normEpsilon: 1e-6),
        TransNormerShape(heads: 2, headSize: 8, layer: 0, layers: 2),
        TransNormerShape(heads: 3, headSize: 5, layer: 7, layers: 8, hasAngles: true, normEpsilon: 1e-5),
        Mamba2Shape(heads: 4, headSize: 8, state: 16),
        Mamba2Shape(heads: 6, headSize: 8, state: 3, groups: 3, expand: 3, taps: 1, normEpsilon: 1e-4),
        RWKV6Shape(heads: 2, headSize: 8), RWKV6Shape(heads: 16, headSize: 1, mixRank: 3, decayRank: 1 << 10),
        RWKV7Shape(
            heads: 2, headSize: 8, isFirst: true, decayRank: 32, rateRank: 3, valueRank: 32, gateRank: 1 << 10),
        RWKV7Shape(heads: 16, headSize: 1, isFirst: true, decayRank: 2, rateRank: 32, valueRank: 5, gateRank: 7),
        TransformerXLShape(heads: 2, headSize: 8, segment: 5, memory: 0),
        TransformerXLShape(
            heads: 4, headSize: 3, segment: 7, memory: 11, hasSameLength: true, longestDistance: 4),
        MambaShape(hiddenSize: 16, states: 4),
        MambaShape(hiddenSize: 16, states: 3, expansion: 3, taps: 1, rank: 7),
        S4DShape(hiddenSize: 16, states: 2), S4DShape(hiddenSize: 16, states: 64),
    ]

    static func rwkv7(
        _ heads: Int = 2, _ headSize: Int = 8, isFirst: Bool = true, decay: Int = 4, rate: Int = 4, value: Int = 4,
        gate: Int = 4
    ) -> RWKV7Shape {
        RWKV7Shape(
            heads: heads, headSize: headSize, isFirst: isFirst, decayRank: decay, rateRank: rate, valueRank: value,
            gateRank: gate)
    }

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
        (LinearAttentionShape(heads: 0, keySize: 8, valueSize: 8), "num_heads"),
        (LinearAttentionShape(heads: 2, keySize: .min, valueSize: 8), "head_k_dim"),
        (LinearAttentionShape(heads: 65_536, keySize: 16, valueSize: 17), "head_v_dim"),
        (LinearAttentionShape(heads: 2, keySize: 8, valueSize: 8, normEpsilon: .nan), "norm_eps"),
        (TransNormerShape(heads: 0, headSize: 8, layer: 0, layers: 2), "num_heads"),
        (TransNormerShape(heads: 2, headSize: 65_537, layer: 0, layers: 2), "head_dim"),
        (TransNormerShape(heads: 2, headSize: 8, layer: 0, layers: 1), "layers"),
        (TransNormerShape(heads: 2, headSize: 8, layer: 0, layers: .max), "layers"),
        (TransNormerShape(heads: 2, headSize: 8, layer: 2, layers: 2), "layer"),
        (TransNormerShape(heads: 2, headSize: 8, layer: -1, layers: 2), "layer"),
        (TransNormerShape(heads: 2, headSize: 8, layer: 1, layers: 2, normEpsilon: 1), "norm_eps"),
        (Mamba2Shape(heads: 0, headSize: 8, state: 4), "num_heads"),
        (Mamba2Shape(heads: 4, headSize: 65_537, state: 4), "head_dim"),
        (Mamba2Shape(heads: 4, headSize: 8, state: 0), "state"),
        (Mamba2Shape(heads: 4, headSize: 8, state: .max), "state"),
        (Mamba2Shape(heads: 65_536, headSize: 1, state: 17, groups: 65_536), "state"),
        (Mamba2Shape(heads: 4, headSize: 8, state: 4, groups: 0), "groups"),
        (Mamba2Shape(heads: 4, headSize: 8, state: 4, groups: 3), "groups"),
        (Mamba2Shape(heads: 4, headSize: 8, state: 4, groups: 8), "groups"),
        (Mamba2Shape(heads: 4, headSize: 8, state: 4, expand: 0), "expand"),
        (Mamba2Shape(heads: 4, headSize: 8, state: 4, taps: 0), "conv"),
        (Mamba2Shape(heads: 4, headSize: 8, state: 4, taps: 257), "conv"),
        (Mamba2Shape(heads: 4, headSize: 8, state: 4, normEpsilon: 0), "norm_eps"),
        (RWKV6Shape(heads: 0, headSize: 16), "num_heads"), (RWKV6Shape(heads: .max, headSize: 2), "num_heads"),
        (RWKV6Shape(heads: 3, headSize: 5), "num_heads"), (RWKV6Shape(heads: 2, headSize: 16), "num_heads"),
        (RWKV6Shape(heads: 2, headSize: 8, mixRank: 0), "mix_rank"),
        (RWKV6Shape(heads: 2, headSize: 8, mixRank: 65_537), "mix_rank"),
        (RWKV6Shape(heads: 2, headSize: 8, decayRank: -1), "decay_rank"),
        (RWKV6Shape(heads: 2, headSize: 8, decayRank: .max), "decay_rank"),
        (rwkv7(0, 16), "num_heads"), (rwkv7(3, 5), "num_heads"), (rwkv7(.max, .max), "num_heads"),
        (rwkv7(decay: 0), "decay_rank"), (rwkv7(rate: 65_537), "rate_rank"), (rwkv7(value: -1), "value_rank"),
        (rwkv7(gate: 0), "gate_rank"), (rwkv7(isFirst: false), "first"),
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
            RWKV6Shape(heads: 1, headSize: 16, mixRank: 65_536, decayRank: 1),
            RWKV6Shape(heads: 16, headSize: 1, mixRank: 1, decayRank: 65_536),
            Self.rwkv7(16, 1, decay: 65_536, rate: 65_536, value: 65_536, gate: 65_536),
            TransformerXLShape(heads: 1, headSize: 1, segment: 1, memory: 1 << 20 - 1, longestDistance: 1 << 20),
            TransformerXLShape(heads: 2, headSize: 8, segment: 1 << 20, memory: 0),
            MambaShape(hiddenSize: 16, states: 256, expansion: 65_536, taps: 256, rank: 65_536),
        ] as [any MixerShape] {
            #expect(config([shape]).impossibleField() == nil)
        }
    }

    @Test("In a model that is not causal only Monte Carlo Attention and windows work")
    func bidirectional() throws {
        for shape in Self.shapes {
            var config = config([MonteCarloShape(), shape])
            config.isCausal = false
            let isFine = shape is MonteCarloShape || shape is SlidingWindowShape
            #expect(config.impossibleField()?.field == (isFine ? nil : "mixers.1.kind"))
        }
        var looking = SlidingWindowShape(heads: 2, headSize: 8, window: 9)
        looking.isCausal = false
        #expect(config([looking]).impossibleField()?.field == "mixers.0.causal")
    }

    @Test("Layers of rwkv7 that blend their values with the first layer's need that it is one, and the only one")
    func firstValues() throws {
        let (first, later) = (Self.rwkv7(), Self.rwkv7(1, 16, isFirst: false, value: 2))
        let retention = RetentionShape(heads: 2, keySize: 8, valueSize: 16)
        for shapes in [
            [first, later], [first, retention, later, MonteCarloShape(), later], [first, later, first], [first, first],
            [MonteCarloShape(), first],
        ] as [[any MixerShape]] {
            #expect(config(shapes).impossibleField() == nil)
            let config = config(shapes)
            #expect(try reread(config) == config)
        }
        for (shapes, block, word) in [
            ([later], 0, "must be rwkv7"), ([MonteCarloShape(), first, later], 2, "must be rwkv7"),
            ([retention, later], 1, "must be rwkv7"), ([later, later], 0, "must be rwkv7"),
            ([first, later, first, later], 3, "mixers.2 before it"),
        ] as [([any MixerShape], Int, String)] {
            let found = try #require(config(shapes).impossibleField())
            #expect(found.field == "mixers.\(block).first" && found.problem.contains(word), "\(found)")
        }
        var repeated = config([first, later])
        repeated.recurrence = 2
        let found = try #require(repeated.impossibleField())
        #expect(found.field == "mixers.1.first" && found.problem.contains("recurrence is 2"))
        repeated.mixers = [LayerMixer(first), LayerMixer(first)]
        #expect(repeated.impossibleField() == nil)
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
        for (map, isNormalized) in [
            (LinearAttentionShape.FeatureMap.eluPlusOne, true), (.eluPlusOne, false), (.identity, true),
            (.identity, false),
        ] {
            let linear = LinearAttentionShape(
                heads: 3, keySize: 4, valueSize: 5, featureMap: map, isNormalized: isNormalized)
            #expect(
                shapes(linear) == [
                    "q_proj.weight": [12, 16], "k_proj.weight": [12, 16], "v_proj.weight": [15, 16],
                    "norm.weight": [5], "o_proj.weight": [16, 15],
                ])
            // Nothing else would give a scale to what is neither bounded nor divided.
            let isNeeded = map == .identity && !isNormalized
            #expect(linear.tensors(width: 16).filter(\.isOptional).map(\.name) == (isNeeded ? [] : ["norm.weight"]))
        }
        var transnormer = TransNormerShape(heads: 3, headSize: 5, layer: 1, layers: 2)
        let projections = [
            "q_proj.weight": [15, 16], "k_proj.weight": [15, 16], "v_proj.weight": [15, 16], "g_proj.weight": [15, 16],
            "o_proj.weight": [16, 15],
        ]
        #expect(shapes(transnormer) == projections)
        transnormer.hasAngles = true
        #expect(shapes(transnormer) == projections.merging(["theta": [3, 5]]) { $1 })
        #expect(transnormer.tensors(width: 16).allSatisfy { !$0.isOptional })
        let mamba2 = Mamba2Shape(heads: 4, headSize: 8, state: 5, groups: 2, taps: 3)
        #expect(
            shapes(mamba2) == [
                "in_proj.weight": [32 + 32 + 10 + 10 + 4, 16], "conv.weight": [52, 3], "conv.bias": [52],
                "dt_bias": [4], "A_log": [4], "D": [4], "norm.weight": [32], "o_proj.weight": [16, 32],
            ])
        #expect(mamba2.tensors(width: 16).allSatisfy { !$0.isOptional })

        let rwkv6 = RWKV6Shape(heads: 2, headSize: 8, mixRank: 3, decayRank: 5)
        #expect(
            shapes(rwkv6) == [
                "mu_x": [16], "mu_w": [16], "mu_k": [16], "mu_v": [16], "mu_r": [16], "mu_g": [16],
                "mix_w1": [16, 15], "mix_w2": [5, 3, 16], "decay": [16], "decay_w1": [16, 5], "decay_w2": [5, 16],
                "bonus": [2, 8], "r_proj.weight": [16, 16], "k_proj.weight": [16, 16], "v_proj.weight": [16, 16],
                "g_proj.weight": [16, 16], "norm.weight": [16], "norm.bias": [16], "o_proj.weight": [16, 16],
            ])

        var seven: [String: [Int]] = [
            "mu_r": [16], "mu_w": [16], "mu_k": [16], "mu_v": [16], "mu_a": [16], "mu_g": [16], "decay": [16],
            "decay_w1": [16, 3], "decay_w2": [3, 16], "rate": [16], "rate_w1": [16, 4], "rate_w2": [4, 16],
            "gate_w1": [16, 6], "gate_w2": [6, 16], "k_k": [16], "k_a": [16], "r_k": [2, 8],
            "r_proj.weight": [16, 16], "k_proj.weight": [16, 16], "v_proj.weight": [16, 16], "norm.weight": [16],
            "norm.bias": [16], "o_proj.weight": [16, 16],
        ]
        #expect(shapes(Self.rwkv7(decay: 3, rate: 4, value: 5, gate: 6)) == seven)
        seven.merge(["value": [16], "value_w1": [16, 5], "value_w2": [5, 16]]) { $1 }
        #expect(shapes(Self.rwkv7(isFirst: false, decay: 3, rate: 4, value: 5, gate: 6)) == seven)
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
            folder.file("model"), config: config([window, retention], hiddenSize: D), seed: 3, isReplacing: false)
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

    @Test("New linear attention and TransNormer begin as published, angles of all heads with falling frequencies")
    func initialValuesOfRecurrences() throws {
        let folder = try TemporaryFolder()
        let (linear, transnormer) = (
            LinearAttentionShape(heads: 2, keySize: 32, valueSize: 64),
            TransNormerShape(heads: 2, headSize: 32, layer: 0, layers: 2, hasAngles: true)
        )
        try Model.initialize(
            folder.file("model"), config: config([linear, transnormer], hiddenSize: 64), seed: 3, isReplacing: false)
        let model = try Model(directory: folder.file("model"))
        func values(_ name: String, _ shape: [Int]) throws -> [Double] {
            let tensor = try model.tensor(name)
            return (0..<shape.reduce(1, *)).map { Double(tensor.value($0)) }
        }
        for tensor in linear.tensors(width: 64) where tensor.shape.count == 2 {
            let bound = 0.17677669529663687 * (6 / Double(tensor.shape[0] + tensor.shape[1])).squareRoot()
            let largest = try values("blocks.0.mixer.\(tensor.name)", tensor.shape).map(abs).max() ?? 0
            #expect(largest <= bound * 1.000001 && largest > 0.99 * bound, "\(tensor.name)")
        }
        for tensor in transnormer.tensors(width: 64) {
            let values = try values("blocks.1.mixer.\(tensor.name)", tensor.shape)
            if tensor.name == "theta" {
                for (m, value) in values.enumerated() {
                    #expect(abs(value / pow(10_000, -2 * Double(m) / 64) - 1) < 1e-6)
                }
                continue
            }
            let squares = values.map { $0 * $0 }.reduce(0, +)
            #expect(abs((squares / Double(values.count)).squareRoot() - 0.02) < 0.001)
        }
    }

    @Test("New Mamba-2 has steps of 0.001 to 0.1, rates of 1 to 16, and uniform weights by their inputs")
    func initialValuesOfMamba2() throws {
        let folder = try TemporaryFolder()
        let mamba2 = Mamba2Shape(heads: 512, headSize: 4, state: 20)
        try Model.initialize(
            folder.file("model"), config: config([mamba2], hiddenSize: 1024), seed: 3, isReplacing: false)
        let model = try Model(directory: folder.file("model"))
        func values(_ name: String, _ count: Int) throws -> [Double] {
            let tensor = try model.tensor("blocks.0.mixer.\(name)")
            return (0..<count).map { Double(tensor.value($0)) }
        }
        let steps = try values("dt_bias", 512).map { log1p(exp($0)) }, rates = try values("A_log", 512).map { exp($0) }
        #expect(steps.allSatisfy { $0 > 0.00099 && $0 < 0.101 } && rates.allSatisfy { $0 > 0.99 && $0 < 16.01 })
        // Half of the steps are below their geometric mean, half of the rates below their mean.
        #expect(abs(steps.count { $0 < 0.01 } - 256) < 50 && abs(rates.count { $0 < 8.5 } - 256) < 50)
        #expect(try values("D", 512).allSatisfy { $0 == 1 } && values("norm.weight", 2048).allSatisfy { $0 == 1 })
        for (name, count, inputs) in [
            ("in_proj.weight", 100_000, 1024), ("conv.weight", 2088 * 4, 4), ("conv.bias", 2088, 4),
            ("o_proj.weight", 100_000, 2048),
        ] {
            let (bound, largest) = (1 / Double(inputs).squareRoot(), try values(name, count).map(abs).max() ?? 0)
            #expect(largest <= bound * 1.000001 && largest > 0.99 * bound, "\(name)")
        }
    }

    @Test("New rwkv6 layers begin with shares, decays and bonuses that go up feature by feature, layer by layer")
    func initialRamps() throws {
        let folder = try TemporaryFolder()
        let (D, shape) = (6, RWKV6Shape(heads: 2, headSize: 3, mixRank: 2, decayRank: 4))
        var config = config([shape, shape, shape], hiddenSize: D)
        config.positionalEncoding = .none
        try Model.initialize(folder.file("model"), config: config, seed: 3, isReplacing: false)
        let model = try Model(directory: folder.file("model"))
        func values(_ name: String, _ count: Int = 6) throws -> [Float] {
            let tensor = try model.tensor("blocks.\(name)")
            return (0..<count).map { tensor.value($0) }
        }
        func close(_ values: [Float], _ formula: (Double) -> Double) -> Bool {
            values.enumerated().allSatisfy { abs(Double($1) - formula(Double($0))) < 1e-6 }
        }
        for layer in 0..<3 {
            let (depth, rest) = (Double(layer) / 2, 1 - Double(layer) / 3)
            let name = "\(layer).mixer."
            for share in ["x", "w", "k"] {
                #expect(try close(values(name + "mu_\(share)")) { 1 - pow($0 / 6, rest) })
            }
            #expect(try close(values(name + "mu_v")) { 1 - pow($0 / 6, rest) - 0.3 * depth })
            for share in ["r", "g"] {
                #expect(try close(values(name + "mu_\(share)")) { 1 - pow($0 / 6, rest / 2) })
            }
            #expect(try close(values(name + "decay")) { -6 + 5 * pow($0 / 5, 0.7 + 1.3 * depth) })
            let waver = [0, 0.1, -0.1, 0, 0.1, -0.1]
            #expect(try close(values(name + "bonus")) { depth * (1 - $0 / 5) + waver[Int($0)] })
            #expect(try values(name + "mix_w1", 60).allSatisfy { $0 == 0 })
            #expect(try values(name + "decay_w1", 24).allSatisfy { $0 == 0 })
            for through in [try values(name + "mix_w2", 60), try values(name + "decay_w2", 24)] {
                #expect(through.allSatisfy { abs($0) <= 0.01 } && through.contains { abs($0) > 0.008 })
            }
            #expect(
                try values(name + "norm.weight") + values(name + "norm.bias") == [1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
        }
        // One layer is the first one.
        config.layers = 1
        try Model.initialize(folder.file("one"), config: config, seed: 3, isReplacing: false)
        let one = try Model(directory: folder.file("one")).tensor("blocks.0.mixer.decay")
        #expect(close((0..<6).map { one.value($0) }) { -6 + 5 * pow($0 / 5, 0.7) })
    }

    @Test("New rwkv7 layers begin as their authors have it")
    func initialOfRWKV7() throws {
        let folder = try TemporaryFolder()
        let D = 8
        let (first, later) = (
            Self.rwkv7(2, 4, decay: 3, rate: 12, value: 2, gate: 8),
            Self.rwkv7(2, 4, isFirst: false, decay: 3, rate: 2, value: 2, gate: 2)
        )
        try Model.initialize(
            folder.file("model"), config: config([first, later, later], hiddenSize: D), seed: 5, isReplacing: false)
        let model = try Model(directory: folder.file("model"))
        func values(_ name: String, _ count: Int = 8) throws -> [Double] {
            let tensor = try model.tensor("blocks.\(name)")
            return (0..<count).map { Double(tensor.value($0)) }
        }
        func close(_ values: [Double], _ formula: (Double) -> Double) -> Bool {
            values.enumerated().allSatisfy { abs($1 - formula(Double($0))) < 1e-6 }
        }
        // z·|z| of -1, -1/3, 1/3, 1 in each head of 4.
        func bow(_ i: Double) -> Double { [-1, -1.0 / 9, 1.0 / 9, 1][Int(i) % 4] }
        for layer in 0..<3 {
            let (name, depth, rest) = ("\(layer).mixer.", Double(layer) / 2, 1 - Double(layer) / 3)
            for (letter, exponent) in [("r", 0.2), ("w", 0.9), ("k", 0.7), ("v", 0.7), ("a", 0.9), ("g", 0.2)] {
                #expect(try close(values(name + "mu_" + letter)) { 1 - pow($0 / 8, exponent * rest) })
            }
            #expect(
                try close(values(name + "decay")) { -6 + 6 * pow($0 / 7, 1 + pow(depth, 0.3)) + 0.5 + 2.5 * bow($0) })
            #expect(try close(values(name + "rate")) { -0.19 + 0.3 * bow($0) + 0.4 * ($0 / 7 - 0.5) })
            if layer > 0 { #expect(try close(values(name + "value")) { 0.73 - 0.4 * ($0 / 7 - 0.5) }) }
            #expect(try close(values(name + "k_k")) { 0.71 - 0.1 * ($0 / 7 - 0.5) })
            #expect(try close(values(name + "k_a")) { _ in 1.02 } && close(values(name + "r_k")) { _ in -0.04 })
            for zero in ["decay_w1", "rate_w1", "gate_w1"] {
                #expect(try values(name + zero, 16).allSatisfy { $0 == 0 })
            }
            #expect(try values(name + "o_proj.weight", 64).allSatisfy { $0 == 0 })
            for (letter, gain) in [("r", 0.5), ("k", 0.05), ("v", 0.5)] {
                let (all, bound) = (try values(name + "\(letter)_proj.weight", 64), gain / 8.0.squareRoot())
                #expect(all.allSatisfy { abs($0) <= bound } && all.contains { abs($0) > 0.9 * bound })
            }
        }
        /// Products of a matrix's rows, or of its columns.
        func products(_ values: [Double], rows: Int, columns: Int) -> [Double] {
            let (count, length) = (min(rows, columns), max(rows, columns))
            let vectors = (0..<count).map { i in
                (0..<length).map { values[rows <= columns ? i * columns + $0 : $0 * columns + i] }
            }
            return (0..<count * count).map { i in zip(vectors[i / count], vectors[i % count]).map(*).reduce(0, +) }
        }
        for (name, rank) in [("0.mixer.decay_w2", 3), ("0.mixer.gate_w2", 8), ("0.mixer.rate_w2", 12)] {
            let count = min(rank, D)
            let square = 0.01 * max(1, Double(rank) / Double(D))
            let found = products(try values(name, rank * D), rows: rank, columns: D)
            #expect(close(found) { Int($0) / count == Int($0) % count ? square : 0 })
        }
    }

    @Test("New states fade as their kinds say: steps from 0.001 to 0.1, even in their logarithms, and rates 1 to N")
    func initialRates() throws {
        let folder = try TemporaryFolder()
        let mamba = MambaShape(hiddenSize: 64, states: 5, expansion: 4), s4d = S4DShape(hiddenSize: 64, states: 32)
        try Model.initialize(
            folder.file("model"), config: config([mamba, s4d], hiddenSize: 64), seed: 3, isReplacing: false)
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
        #expect(config([RWKV6Shape(heads: 2, headSize: 5, mixRank: 2, decayRank: 4)], hiddenSize: 10).hasEvenWidths)
        #expect(!config([RWKV6Shape(heads: 3, headSize: 5, mixRank: 2, decayRank: 4)], hiddenSize: 15).hasEvenWidths)
        #expect(!config([RWKV6Shape(heads: 2, headSize: 8, mixRank: 3, decayRank: 4)]).hasEvenWidths)
        #expect(!config([RWKV6Shape(heads: 2, headSize: 8, mixRank: 2, decayRank: 5)]).hasEvenWidths)
        #expect(config([Self.rwkv7(2, 5), Self.rwkv7(2, 5, isFirst: false)], hiddenSize: 10).hasEvenWidths)
        #expect(config([Self.rwkv7(value: 3)]).hasEvenWidths)
        for odd in [Self.rwkv7(decay: 3), Self.rwkv7(rate: 3), Self.rwkv7(gate: 3)] {
            #expect(!config([odd]).hasEvenWidths)
        }
        #expect(!config([Self.rwkv7(), Self.rwkv7(isFirst: false, value: 3)]).hasEvenWidths)
        #expect(!config([LinearAttentionShape(heads: 1, keySize: 4, valueSize: 5)]).hasEvenWidths)
        // Keys and values of an odd width are results, no factors, and angles are none either.
        #expect(config([LinearAttentionShape(heads: 1, keySize: 5, valueSize: 4)]).hasEvenWidths)
        #expect(
            config([TransNormerShape(heads: 2, headSize: 5, layer: 0, layers: 2, hasAngles: true)]).hasEvenWidths)
        // Nor are the taps of channels.
        #expect(config([Mamba2Shape(heads: 2, headSize: 5, state: 3, taps: 3)]).hasEvenWidths)
        #expect(!config([Mamba2Shape(heads: 1, headSize: 5, state: 4)]).hasEvenWidths)
        // Rates and convolutions of channels are no factors of products, nor are states.
        #expect(config([MambaShape(hiddenSize: 16, states: 3, expansion: 1, taps: 3, rank: 2)]).hasEvenWidths)
        #expect(!config([MambaShape(hiddenSize: 16, states: 4, rank: 3)]).hasEvenWidths)
        #expect(config([S4DShape(hiddenSize: 16, states: 6)]).hasEvenWidths)
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

    // MARK: Decays

    @Test("What a state of S4D loses has all its digits, however little that is")
    func losses() {
        let (re, im) = (-0.5, 3.0)
        for step in [1e-7, 1e-4, 0.1] {
            let (stays, output) = S4DShape.mode(step: step, re: re, im: im, coefficient: ComplexNumber(0.75, -2))
            let (loss, size) = (-expm1(2 * step * re), stays.re * stays.re + stays.im * stays.im)
            #expect(abs((1 - size) / loss - 1) < 1e-8)
            // Where steps are tiny, (Ā - 1) / A is nearly the step.
            if step > 1e-6 { continue }
            #expect(abs(output.re / (1.5 * step) - 1) < 1e-5)
            #expect(abs(output.im / (-4 * step) - 1) < 1e-5)
        }
    }

    @Test("TransNormer's slopes are ALiBi's, less and less of them from layer to layer")
    func slopes() {
        func shape(_ heads: Int, _ layer: Int = 0, of layers: Int = 2) -> TransNormerShape {
            TransNormerShape(heads: heads, headSize: 2, layer: layer, layers: layers)
        }
        #expect(shape(1).slopes == [1.0 / 256])
        #expect(shape(8).slopes == (1...8).map { exp2(-Double($0)) })
        // Of six: those of four, then the first and the third of eight.
        #expect(shape(6).slopes == [0.25, 0.0625, 1.0 / 64, 1.0 / 256, 0.5, 0.125])
        for (layer, share) in [(0, 1.00001), (1, 0.75001), (4, 0.00001)] {
            for (decay, slope) in zip(shape(8, layer, of: 5).decays, shape(8).slopes) {
                #expect(abs(decay - exp(-slope * share)) < 1e-15)
            }
        }
    }
}
