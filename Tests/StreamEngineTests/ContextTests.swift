import Compute
import Geometry
import ProtonModel
import TestSupport
import Testing

@testable import StreamEngine

/// The formula's numbers, and the wiring followed backwards held against a dense propagation forwards.
@Suite("Context") struct ContextTests {
    // MARK: Formula

    @Test("the formula for P = 32")
    func formula() {
        let counts = EffectiveContext.afterLayers(60, patchSize: 32)
        #expect(counts.prefix(3).map(\.exact) == [992, 32_736, 1_048_544])
        #expect(counts[2].grouped == "1 048 544")
        #expect(
            counts[59].digits
                == "65185151242703554760590262029100101153646988597309960020356494379340201592426774597868716000")
        #expect(counts[59].exact == nil)
        #expect(counts[59].isMore(than: .max))
        #expect(abs(counts[59].log10 - 91.814148) < 1e-5)
    }

    @Test("the formula at its ends")
    func extremes() {
        #expect(EffectiveContext.afterLayers(3, patchSize: 1).map(\.exact) == [0, 0, 0])
        #expect(EffectiveContext.afterLayers(0, patchSize: 8).isEmpty)
        let widest =
            "424910394253413678951670565241974901863674494181625538559555310560322847888681794191330001812183428535111463588997200812277263470122165"
            + "7915276159830132698815550650166683145752253824000"
        #expect(EffectiveContext.afterLayers(60, patchSize: 1024).last?.digits == widest)
        // Whole limbs of zeros stay in the digits.
        var count = ExactCount(1)
        for _ in 0..<4 { count.multiply(by: 100_000, adding: 0) }
        #expect(count.digits == "100000000000000000000")
        #expect(count.grouped == "100 000 000 000 000 000 000")
        #expect(abs(count.log10 - 20) < 1e-12)
    }

    @Test(
        "windows, segments and convolutions add their rows, patches multiply, and what sees all has no bound; Monte Carlo Attention alone has the article's numbers"
    )
    func layers() {
        var config = Shape(tokens: 9, P: 4).config(layers: 4)
        #expect(
            EffectiveContext.afterLayers(of: config).map { $0?.exact }
                == EffectiveContext.afterLayers(4, patchSize: 4).map(\.exact))
        let window = LayerMixer(SlidingWindowShape(heads: 2, headSize: 2, window: 10, dilations: [3, 2]))
        let segments = TransformerXLShape(heads: 1, headSize: 2, segment: 5, memory: 7)
        config.mixers = [
            window, .monteCarlo, LayerMixer(segments), LayerMixer(RetentionShape(heads: 1, keySize: 2, valueSize: 2)),
        ]
        config.recurrence = 2
        // A kernel of 3.
        #expect(
            EffectiveContext.afterLayers(of: config).map { $0?.exact }
                == [32, 64, 4 * 64 + 12 + 2, 4 * 270 + 12 + 2, 1094 + 13, 1107 + 13, nil, nil])
        config.mixers = [window, window, window, window]
        config.stack = [
            ConvolutionShape(kernelSize: 3, dilation: 4, channels: 8), ConvolutionShape(kernelSize: 2, channels: 8),
        ]
        config.recurrence = 1
        #expect(EffectiveContext.afterLayers(of: config).map { $0?.exact } == [39, 78, 117, 156])
    }

    // MARK: Reach

    struct Shape: CustomStringConvertible {
        var tokens: Int
        var P: Int
        var convolutions = [ConvolutionShape(kernelSize: 3, channels: 8)]
        var isCausal = true
        var delegation = Delegation.transpose
        var recurrence = 1
        /// Of each layer; nil for Monte Carlo Attention everywhere.
        var mixers: [LayerMixer]?
        var description: String {
            "\(mixers.map { $0.map(\.shape.summary) } ?? []) n \(tokens), P \(P), K \(convolutions.map { "\($0.kernelSize)x\($0.dilation)" }), \(isCausal ? "causal" : "not causal"), \(delegation.mode), R \(recurrence)"
        }

        func config(layers: Int) -> ModelConfig {
            var config = ModelConfig(
                hiddenSize: 8, intermediateSize: 8, layers: layers, heads: 1, patchSize: P, kernelSize: 1)
            config.stack = convolutions
            config.isCausal = isCausal
            config.delegation = delegation
            config.recurrence = recurrence
            if let mixers { config.mixers = mixers }
            return config
        }
    }

    static let shapes: [Shape] = {
        func stack(_ convolutions: [(Int, Int)]) -> [ConvolutionShape] {
            convolutions.map { ConvolutionShape(kernelSize: $0.0, dilation: $0.1, channels: 8) }
        }
        var shapes: [Shape] = []
        // Padding, fewer patches than P, one patch, P = 1, masks of more than one word.
        for (tokens, P) in [(12, 4), (61, 4), (43, 5), (20, 8), (7, 8), (9, 1), (50, 3), (40, 2)] {
            for convolutions in [stack([(3, 1)]), stack([(1, 1)]), stack([(4, 3)]), stack([(3, 1), (2, 2), (3, 4)])] {
                for isCausal in [true, false] {
                    for delegation in [Delegation.transpose, .monteCarlo(seed: 5)] {
                        shapes.append(
                            Shape(
                                tokens: tokens, P: P, convolutions: convolutions, isCausal: isCausal,
                                delegation: delegation))
                    }
                }
            }
        }
        for (tokens, P) in [(150, 70), (140, 129)] {
            for isCausal in [true, false] {
                shapes.append(
                    Shape(
                        tokens: tokens, P: P, convolutions: stack([(4, 3)]), isCausal: isCausal,
                        delegation: isCausal ? .monteCarlo(seed: 2) : .transpose))
            }
        }
        shapes.append(Shape(tokens: 120, P: 4, convolutions: stack([(33, 1)])))
        shapes.append(
            Shape(tokens: 90, P: 3, convolutions: stack([(1, 1)]), delegation: .monteCarlo(seed: 1), recurrence: 2))
        let retention = LayerMixer(RetentionShape(heads: 1, keySize: 2, valueSize: 2))
        func window(_ rows: Int, _ dilations: [Int] = [1]) -> LayerMixer {
            LayerMixer(SlidingWindowShape(heads: 6, headSize: 2, window: rows, dilations: dilations))
        }
        func segments(_ rows: Int, _ memory: Int, hasSameLength: Bool = false) -> LayerMixer {
            LayerMixer(
                TransformerXLShape(
                    heads: 1, headSize: 2, segment: rows, memory: memory, hasSameLength: hasSameLength))
        }
        let mixers: [[LayerMixer]] = [
            [segments(4, 3), segments(7, 0), segments(2, 9)], [segments(70, 5), .monteCarlo, segments(1, 2)],
            [segments(5, 6, hasSameLength: true), segments(3, 1, hasSameLength: true), segments(9, 40)],
            [window(2), window(5), window(1)], [window(3, [4]), window(3, [4]), window(3, [4])],
            [window(2, [1, 2, 7, 7, 3, 11]), .monteCarlo, window(40)], [.monteCarlo, window(4), .monteCarlo],
            [window(2), retention, window(3)], [retention, .monteCarlo, window(3)],
            [.monteCarlo, window(9), retention],
            [retention, retention, retention],
            [
                LayerMixer(LinearAttentionShape(heads: 1, keySize: 2, valueSize: 2)), .monteCarlo,
                LayerMixer(TransNormerShape(heads: 1, headSize: 2, layer: 0, layers: 2)),
                LayerMixer(Mamba2Shape(heads: 1, headSize: 2, state: 2)),
            ],
        ]
        for mixers in mixers {
            for (tokens, P) in [(61, 4), (43, 5), (150, 70), (9, 1)] {
                for (recurrence, delegation) in [(1, Delegation.transpose), (2, .monteCarlo(seed: 5))] {
                    shapes.append(
                        Shape(
                            tokens: tokens, P: P, convolutions: stack([(2, 3)]), delegation: delegation,
                            recurrence: recurrence, mixers: mixers))
                }
            }
        }
        return shapes
    }()

    /// A set of tokens below 256.
    private struct Bits: Equatable {
        var words = SIMD4<UInt64>()
        init(_ token: Int? = nil) { if let token { words[token / 64] = 1 << UInt64(token % 64) } }
        mutating func formUnion(_ other: Bits) { words |= other.words }
        var tokens: Set<Int> { Set((0..<256).filter { words[$0 / 64] >> UInt64($0 % 64) & 1 == 1 }) }
    }

    /// [generation][row]: the tokens that the row's new state can depend on, from the definition of a block, forwards.
    private func dense(_ shape: Shape, layers: Int) -> [[Bits]] {
        let P = shape.P
        let G = (shape.tokens + P - 1) / P
        let N = G * P
        var states = (0..<N).map { Bits($0 < shape.tokens ? $0 : nil) }
        var generations: [[Bits]] = []
        for pass in 0..<layers * shape.recurrence {
            var mixed = states
            switch shape.mixers?[pass / shape.recurrence].shape {
            case let window as SlidingWindowShape:
                for row in 0..<shape.tokens {
                    for head in 0..<window.heads {
                        for place in 1...window.window where row >= place * window.dilation(ofHead: head) {
                            mixed[row].formUnion(states[row - place * window.dilation(ofHead: head)])
                        }
                    }
                }
            case let memory as TransformerXLShape:
                for row in 0..<shape.tokens {
                    for other in 0..<row {
                        let isFar = memory.hasSameLength && other <= row - memory.memory
                        if other >= row / memory.segment * memory.segment - memory.memory && !isFar {
                            mixed[row].formUnion(states[other])
                        }
                    }
                }
            case is RetentionShape, is LinearAttentionShape, is TransNormerShape, is Mamba2Shape:
                for row in 0..<shape.tokens { for other in 0..<row { mixed[row].formUnion(states[other]) } }
            default:
                // Slot of every token, and the token of every slot.
                var holder = [Int](repeating: -1, count: N)
                for g in 0..<G {
                    var order = Array(0..<P).map(UInt16.init)
                    if case .monteCarlo(let seed) = shape.delegation {
                        var keys = [UInt64](repeating: 0, count: P)
                        keys.withUnsafeMutableBufferPointer { keys in
                            order.withUnsafeMutableBufferPointer { order in
                                if let start = order.baseAddress {
                                    DelegateDraw(
                                        seed: seed, block: pass / shape.recurrence, repeat: pass % shape.recurrence
                                    ).order(ofPatch: g, keys: keys, into: start)
                                }
                            }
                        }
                    }
                    for column in 0..<P { holder[column * G + g] = g * P + Int(order[column]) }
                }
                for b in 0..<G {
                    let rows = (0..<P).map { b * P + $0 } + (0..<P).map { holder[b * P + $0] }
                    for row in rows {
                        for other in rows where !shape.isCausal || other <= row { mixed[row].formUnion(states[other]) }
                    }
                }
            }
            var inner = mixed
            for convolution in shape.convolutions {
                let reach = (convolution.kernelSize - 1) * convolution.dilation
                let before = shape.isCausal ? reach : reach / 2
                inner = (0..<N).map { t in
                    var sum = Bits()
                    for k in 0..<convolution.kernelSize {
                        let tap = t - before + k * convolution.dilation
                        if (0..<N).contains(tap) { sum.formUnion(inner[tap]) }
                    }
                    return sum
                }
            }
            states = mixed
            for row in 0..<N { states[row].formUnion(inner[row]) }
            generations.append(states)
        }
        return generations
    }

    @Test("what is followed is what a dense propagation reaches", arguments: shapes)
    func against(shape: Shape) throws {
        let layers = 3
        let config = shape.config(layers: layers)
        let geometry = try #require(SequenceGeometry(tokens: shape.tokens, patchSize: shape.P))
        let expected = dense(shape, layers: layers)
        for token in Set([0, 1, shape.tokens / 3, shape.tokens / 2, shape.tokens - 2, shape.tokens - 1])
        where (0..<shape.tokens).contains(token) {
            let reached = try MeasuredReach.tokens(config, geometry, token: token, layers: config.depth)
            #expect(reached == expected.map { $0[token].tokens }, "token \(token)")
            let depths = try MeasuredReach.follow(config, geometry, token: token, layers: config.depth)
            #expect(depths.map(\.tokens) == reached.map(\.count))
            #expect(depths.map(\.layers) == Array(1...config.depth))
            #expect(depths.allSatisfy { $0.isExact })
            try reasons(depths, config, geometry, token)
        }
    }

    /// The causes given are true of the numbers beside them.
    private func reasons(
        _ depths: [MeasuredReach.Depth], _ config: ModelConfig, _ geometry: SequenceGeometry, _ token: Int
    ) throws {
        let formula = EffectiveContext.afterLayers(of: config)
        let causes = try ReachLimit.causes(depths, formula: formula, config, geometry, token: token)
        for (depth, (count, cause)) in zip(depths, zip(formula, causes)) {
            guard let count else {
                // No bound, and every token there is.
                #expect(cause == (token < geometry.tokens - 1 ? .allUpToToken : .allTokens))
                #expect(depth.tokens == token + 1)
                continue
            }
            let number = try #require(count.exact)
            // Windows, segments and convolutions never reach over more.
            if !config.hasGathering { #expect(depth.tokens <= number + 1) }
            #expect((cause == nil) == (depth.tokens >= number))
            switch cause {
            case nil, .notFollowed?: break
            case .allTokens?: #expect(depth.tokens == geometry.tokens)
            case .allUpToToken?: #expect(config.isCausal && depth.tokens == token + 1 && token < geometry.tokens - 1)
            case .length?: #expect(number > geometry.tokens)
            case .tokensUpToToken?: #expect(config.isCausal && number > token + 1)
            case .masks(let tokens, _)?: #expect(config.isCausal && tokens >= number)
            case .fewPatches(let patches)?: #expect(patches * 2 * config.patchSize < number)
            case .hiddenRows(let rows, let patches)?:
                #expect(config.isCausal && rows > 0 && patches * 2 * config.patchSize >= number)
            case .padding(let rows)?: #expect(depth.tokens + rows >= number && rows < config.patchSize)
            case .repeated(let patches)?: #expect(patches * 2 * config.patchSize >= number)
            case .overlaps?: #expect(config.hasStreaming && depth.tokens < token + 1)
            }
        }
    }

    @Test("the toy case's wiring: patch 0 receives 1, 5, 9 and 2")
    func toy() throws {
        // Without convolution or mask, the first token sees its own patch, which is also its delegate's.
        var shape = Shape(
            tokens: 12, P: 4, convolutions: [ConvolutionShape(kernelSize: 1, channels: 8)], isCausal: false)
        let geometry = try #require(SequenceGeometry(tokens: 12, patchSize: 4))
        #expect(
            try MeasuredReach.tokens(shape.config(layers: 1), geometry, token: 0, layers: 1) == [[0, 1, 2, 3, 4, 8]])
        shape.isCausal = true
        #expect(try MeasuredReach.tokens(shape.config(layers: 1), geometry, token: 0, layers: 1) == [[0]])
    }

    @Test("sequences far too long to hold are followed", arguments: [Delegation.transpose, .monteCarlo(seed: 9)])
    func long(delegation: Delegation) throws {
        let shape = Shape(
            tokens: 1_000_000_000_000_000, P: 8, convolutions: [ConvolutionShape(kernelSize: 9, channels: 8)],
            delegation: delegation)
        for tokens in [1_000_000_000_000_000, SequenceGeometry.largestLength - 8] {
            let geometry = try #require(SequenceGeometry(tokens: tokens, patchSize: 8))
            let depths = try MeasuredReach.follow(shape.config(layers: 3), geometry, token: tokens - 1, layers: 3)
            #expect(depths.allSatisfy { $0.isExact && !$0.isAll })
            #expect(
                depths[0].tokens > 56 && depths[1].tokens > 2 * depths[0].tokens
                    && depths[2].tokens > 2 * depths[1].tokens)
        }
    }

    @Test("all tokens before are seen in a sequence far too long to list them, and windows are counted exactly")
    func longStreams() throws {
        let tokens = 1_000_000_000_000_000
        let geometry = try #require(SequenceGeometry(tokens: tokens, patchSize: 8))
        var config = Shape(tokens: tokens, P: 8, convolutions: [ConvolutionShape(kernelSize: 1, channels: 8)])
            .config(layers: 3)
        let window = LayerMixer(SlidingWindowShape(heads: 1, headSize: 2, window: 1000))
        config.mixers = [LayerMixer(RetentionShape(heads: 1, keySize: 2, valueSize: 2)), window, .monteCarlo]
        for token in [tokens - 1, tokens / 3] {
            let depths = try MeasuredReach.follow(config, geometry, token: token, layers: 3)
            #expect(depths.allSatisfy { $0.isExact && $0.isAll && $0.tokens == token + 1 })
        }
        config.mixers = [window, window, window]
        let depths = try MeasuredReach.follow(config, geometry, token: tokens / 2, layers: 3)
        #expect(depths.map(\.tokens) == [1001, 2001, 3001])
    }

    @Test(
        "a set that grows too large is not followed, and the bound is sound",
        arguments: [Delegation.transpose, .monteCarlo(seed: 9)], [true, false])
    func tooLarge(delegation: Delegation, byWords: Bool) throws {
        let (tokens, token) = (1 << 60, 1 << 59)
        let geometry = try #require(SequenceGeometry(tokens: tokens, patchSize: 8))
        let config = Shape(
            tokens: tokens, P: 8, convolutions: [ConvolutionShape(kernelSize: 9, channels: 8)], delegation: delegation
        ).config(layers: 4)
        var limits = ReachFollower.Limits()
        if byWords { limits.words = 300 } else { limits.work = 60_000 }
        let depths = try MeasuredReach.follow(config, geometry, token: token, layers: 4, isMasked: true, limits: limits)
        { _ in }
        let exact = try MeasuredReach.follow(config, geometry, token: token, layers: 4)
        #expect(depths[0] == exact[0])
        #expect(!depths[3].isExact)
        for (depth, (before, truth)) in zip(depths.dropFirst(), zip(depths, exact.dropFirst())) {
            #expect(depth.isExact ? depth == truth : depth.tokens <= truth.tokens)
            #expect(depth.tokens >= before.tokens && (before.isExact || !depth.isExact))
            #expect(depth.moreThan < depth.tokens && depth.moreThan >= depth.tokens * 9 / 10 - 1)
        }
        #expect(
            try ReachLimit.causes(
                depths, formula: EffectiveContext.afterLayers(4, patchSize: 8), config, geometry, token: token)[3]
                == .notFollowed)
    }

    @Test("selective delegation is not followed")
    func selective() throws {
        let geometry = try #require(SequenceGeometry(tokens: 20, patchSize: 4))
        #expect(
            try MeasuredReach.follow(
                Shape(tokens: 20, P: 4, delegation: .selective).config(layers: 2), geometry, token: 3, layers: 2
            ).isEmpty)
    }
}
