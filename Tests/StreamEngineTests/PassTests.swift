import CKernels
import Compute
import Geometry
import ProtonModel
import Support
import TestSupport
import Testing

@testable import PageStore
@testable import StreamEngine

/// Runs fixtures through windows and caches far smaller than any memory budget would choose, so that every way rows can
/// come (kept, read again, stray) is taken, and compares with the reference and bit by bit.
@Suite("Pass") struct PassTests {
    struct Result {
        /// The layers whose states were stored, from 1, and these.
        var generations: [Int] = []
        var layers: [[Float]] = []
        var bits: [Float] = []
        var traffic: [PassTraffic] = []
        var stored: [Int] = []
    }

    /// Sizes that memory would decide. Windows are of `windowBlocks` blocks of `blockTiles` tiles; nil for everything
    /// in one.
    struct Cut: CustomStringConvertible {
        var blockTiles = 1
        var windowBlocks: Int?
        /// Columns kept beyond the least that works.
        var spare = 0
        var overlap = WorkingSetNeeds.Overlap.none
        var resident = false
        var once = false
        var threads = 1
        var way = ConvolutionWay.direct
        var order = ColumnCache.Order.latestNextUse
        /// Every layer's generation is written; else streaming layers share passes.
        var isAllKept = true
        /// Tiles that go from layer to layer together; nil for as many as memory would have it.
        var stretchTiles: Int?
        var description: String {
            "blocks of \(blockTiles) tiles, windows of \(windowBlocks ?? 0) blocks, stretches of \(stretchTiles ?? 0) tiles, "
                + "\(spare) columns to spare, overlap \(overlap), resident \(resident), hosts visited once \(once), "
                + "\(threads) threads, \(way), all kept \(isAllKept)"
        }
    }

    private func run(_ name: String, state: Element, _ cut: Cut) throws -> Result {
        try Self.run(name, state: state, cut, on: CPUBackend(Kernels.select()))
    }

    private func run(model: String, tokens: String, state: Element, _ cut: Cut) throws -> Result {
        try Self.run(model: model, tokens: tokens, state: state, cut, on: CPUBackend(Kernels.select()))
    }

    static func run(_ name: String, state: Element, _ cut: Cut, on backend: any Backend) throws -> Result {
        try run(model: Fixtures.path(name), tokens: "\(Fixtures.path(name))/tokens.u16", state: state, cut, on: backend)
    }

    static func run(
        model directory: String, tokens file: String, state: Element, _ cut: Cut, on backend: any Backend
    ) throws -> Result {
        let folder = try TemporaryFolder()
        let model = try Model(directory: directory)
        _ = try Ingest.run(
            [file], store: folder.file("store"), format: .tokens, patchSize: model.config.patchSize, isReplacing: false)
        let store = try Store.openForWriting(folder.file("store"))
        let geometry = try #require(store.geometry())
        let kernels = try Kernels.select()
        let passes = PassPlan(model.config, isAllKept: cut.isAllKept)
        let needs = WorkingSetNeeds(
            sizes: try ModelSizes(model.config, geometry: geometry, way: cut.way, on: backend), passes: passes,
            state: state, threads: cut.threads, copiedWeightBytes: 0, baseBytes: 0,
            tokenPatchesPerBlock: store.manifest.generations[0].patchesPerBlock)
        let T = cut.blockTiles * Tiling(patchSize: geometry.patchSize).patchesPerTile
        // No narrower than what the window before looks ahead to.
        let ahead = (model.config.reach.after + geometry.patchSize * T - 1) / (geometry.patchSize * T)
        let W = cut.windowBlocks.map { max(ahead, $0) * T } ?? (geometry.patches + T - 1) / T * T
        let stateShape = needs.stateShape(T: T, W: W)
        // Of passes over states: the first one reads tokens.
        let least = passes.passes.indices.dropFirst().map { needs.access(ofPass: $0).demand(stateShape).least }.max()
        let slots = min(stateShape.allColumns, (least ?? 0) + cut.spare)
        var set = needs.workingSet(
            T: T, W: W, slots: cut.resident ? nil : slots, isVisitedOnce: cut.once, overlap: cut.overlap, commit: 1)
        if let tiles = cut.stretchTiles, model.config.reach.after == 0 {
            set.stretchPatches = min(T, tiles * Tiling(patchSize: geometry.patchSize).patchesPerTile)
        }
        let engine = try Engine(model, needs: needs, set: set, kernels: kernels)
        if model.orderName(readBy: 1) != nil { try Repage.run(store, for: model, engine: engine) { _ in } }
        let tokens = try store.reader(0)
        var begun = store.manifest
        begun.run = RunRecord(
            modelFingerprint: model.fingerprint, isTrained: true, layers: model.config.depth,
            hiddenSize: model.config.hiddenSize, state: state.name,
            patchesPerBlock: T, keep: "all")
        try store.publish(begun)
        var result = Result()
        for (index, layers) in passes.passes.enumerated() {
            let (source, layer) = (layers.lowerBound - 1, layers.upperBound)
            let isLast = layer == model.config.depth
            var record = GenerationRecord(
                index: layer, directory: "generation-\(layer)", element: state, patchesPerBlock: T,
                width: model.config.hiddenSize,
                tables: isLast ? [.states, .surprisal] : [.states], order: model.orderName(readBy: layer + 1))
            do {
                let writer = try GenerationWriter(
                    store: store.directory, identity: store.identity(of: record), record: record)
                let reader = source == 0 ? tokens : cut.resident ? nil : try store.reader(source)
                let pass = try engine.pass(
                    index,
                    reading: reader.map { .stored(StoredGeneration($0)) } ?? .resident(engine.residentStates(source)),
                    isKept: cut.resident, writer: writer, targets: isLast ? .stored(tokens) : nil,
                    tokens: .stored(tokens), progress: RunProgress(),
                    order: cut.order)
                for window in pass.plan.windows { try pass.run(window: window) { _ in } }
                try pass.finish { _ in }
                try writer.finish()
                record.isComplete = true
                record.storedBytes = pass.appended.storedBytes
                result.traffic.append(pass.traffic.withLock { $0 })
                result.stored.append(record.storedBytes)
            }
            var manifest = store.manifest
            manifest.generations.append(record)
            manifest.run?.isComplete = isLast
            try store.publish(manifest)
            let out = folder.file("states.npy")
            _ = try Export.run(store: store.directory, generation: layer, range: nil, to: out)
            result.generations.append(layer)
            result.layers.append(try NpyArray(out).values)
        }
        try RowStream(store.reader(model.config.depth), .surprisal, kernels: kernels).read(0..<geometry.tokens) {
            _, rows in
            result.bits += rows.bindMemory(to: Float.self)
        }
        return result
    }

    private static func same(_ a: [Float], _ b: [Float]) -> Bool { a.map(\.bitPattern) == b.map(\.bitPattern) }

    private func same(_ result: Result, as whole: Result) -> Bool { Self.same(result, as: whole) }

    /// Whether a run gave the bits of one that stored the states of every layer.
    static func same(_ result: Result, as whole: Result) -> Bool {
        result.generations.last == whole.generations.last && same(result.bits, whole.bits)
            && zip(result.generations, result.layers).allSatisfy { same($1, whole.layers[$0 - 1]) }
    }

    /// Holds states and surprisal of a run in f32 that stored every layer against a fixture's.
    static func compare(_ whole: Result, withReferenceOf name: String) throws {
        for (layer, file) in [(0, "layer1.npy"), (whole.layers.count - 1, "hidden.npy")] {
            var states = try NpyArray("\(Fixtures.path(name))/\(file)")
            let wanted = states
            states.values = whole.layers[layer]
            #expect(states.relativeError(to: wanted) < 2e-4)
        }
        let bits = try NpyArray("\(Fixtures.path(name))/nll_bits.npy").values
        #expect(bits.count == whole.bits.count && whole.bits[0].isNaN)
        #expect(zip(bits, whole.bits).dropFirst().allSatisfy { abs($0 - $1) < 1e-3 })
    }

    /// Streaming layers alone, and together in one pass.
    private func fusions(_ cuts: [Cut]) -> [Cut] {
        cuts
            + cuts.map {
                var cut = $0
                cut.isAllKept = false
                return cut
            }
    }

    @Test(
        "every window, cache and thread count gives the reference's states, and the same bits",
        arguments: Fixtures.cases)
    func windows(name: String) throws {
        let whole = try run(name, state: .f32, Cut(blockTiles: 4, resident: true))
        try Self.compare(whole, withReferenceOf: name)

        let cuts = [
            Cut(windowBlocks: 1), Cut(windowBlocks: 1, spare: 40, overlap: .full, threads: 2),
            Cut(windowBlocks: 2, spare: 7, threads: 2),
            Cut(blockTiles: 2, windowBlocks: 1, overlap: .full),
            Cut(windowBlocks: 3, spare: 300, overlap: .full, threads: 3),
            Cut(windowBlocks: 1, resident: true, threads: 2),
            Cut(windowBlocks: 2, spare: 50, overlap: .full, threads: 2, order: .leastRecentlyUsed),
            Cut(overlap: .full, resident: true, once: true, threads: 2),
            Cut(blockTiles: 3, overlap: .full, resident: true, once: true),
        ]
        // Where streaming layers share a pass, a block in one stretch, and in as many as there are.
        let stretches = [
            Cut(blockTiles: 3, overlap: .full, stretchTiles: 1), Cut(blockTiles: 4, stretchTiles: 2),
            Cut(blockTiles: 2, windowBlocks: 1, spare: 20, overlap: .full, threads: 3, stretchTiles: 1),
            Cut(blockTiles: 3, overlap: .full, resident: true, threads: 2, stretchTiles: 3),
        ]
        // Most of the wider family's cases are one tile long, and every cut the same to them.
        let isShort = Fixtures.family.contains(name) && !name.hasPrefix("long-")
        let isMixed = Fixtures.mixers.contains(name)
        for cut in isShort ? [cuts[1], cuts[5], cuts[7]] : isMixed ? fusions(cuts + stretches) : cuts {
            let other = try run(name, state: .f32, cut)
            #expect(same(other, as: whole), "\(cut)")
        }
    }

    @Test(
        "what a layer reads and writes: 2.1 N + 1.03 N, bidirectional 3.1 N + 1.03 N, orders included; N is that of the published block"
    )
    func traffic() throws {
        let folder = try TemporaryFolder()
        let (tokens, P) = (24_000, 8)
        var numbers = TestNumbers(8)
        try folder.write("tokens.u16", (0..<tokens).flatMap { _ in [UInt8.random(in: 0...255, using: &numbers), 0] })
        func run(_ family: (inout ModelConfig) -> Void) throws -> Result {
            var config = ModelConfig(
                hiddenSize: 32, intermediateSize: 32, layers: 2, heads: 2, patchSize: P, kernelSize: 3)
            family(&config)
            try Model.initialize(folder.file("model"), config: config, seed: 1, isReplacing: true)
            // The blocks that runs of hosts stand on are kept, and not much beside them.
            return try self.run(
                model: folder.file("model"), tokens: folder.file("tokens.u16"), state: .bf16,
                Cut(windowBlocks: 4, spare: 70, overlap: .full, threads: 2))
        }
        let published = try run { _ in }
        let N = Double(published.stored[0])
        let others: [(String, (inout ModelConfig) -> Void)] = [
            ("monte-carlo", { $0.delegation = .monteCarlo(seed: 1) }), ("selective", { $0.delegation = .selective }),
            (
                "recurrence",
                {
                    $0.recurrence = 2; $0.layers = 1
                }
            ),
            (
                "stack",
                {
                    $0.stack = [
                        ConvolutionShape(kernelSize: 3, dilation: 4, channels: 16),
                        ConvolutionShape(kernelSize: 2, channels: 32),
                    ]
                }
            ),
        ]
        for (name, result) in try [("published", published)] + others.map({ ($0.0, try run($0.1)) }) {
            for (traffic, stored) in zip(result.traffic, result.stored).dropFirst() {
                #expect(Double(traffic.own + traffic.hosts + traffic.guests) / N <= 2.1, "\(name) reads \(traffic)")
                #expect(Double(stored) / N <= 1.03, "\(name) writes")
            }
        }
        let both = try run { $0.isCausal = false }
        for traffic in both.traffic.dropFirst() {
            #expect(Double(traffic.own + traffic.hosts + traffic.guests) / N <= 3.1)
            // It does see what a causal model does not.
            #expect(traffic.hosts + traffic.guests > published.traffic[1].hosts + published.traffic[1].guests)
        }
    }

    // MARK: Streaming layers

    /// Layers of all kinds in any order, sizes that divide nothing, and tokens for a few tiles.
    private func randomModel(_ numbers: inout TestNumbers) -> (config: ModelConfig, tokens: Int) {
        func one<T>(_ values: [T]) -> T { values[Int.random(in: 0..<values.count, using: &numbers)] }
        var config = ModelConfig(
            hiddenSize: one([8, 12, 24]), intermediateSize: 8, layers: one([1, 2, 3, 5]), heads: one([1, 2, 4]),
            patchSize: one([1, 4, 7, 16, 50]), kernelSize: one([1, 3, 33]))
        if config.hiddenSize % 8 > 0 { config.positionalEncoding = .none }
        config.recurrence = one([1, 1, 2])
        config.delegation = one([.transpose, .monteCarlo(seed: 3), .selective])
        if one([true, false, false]) {
            config.stack = [
                ConvolutionShape(kernelSize: 3, dilation: one([1, 50]), channels: 12),
                ConvolutionShape(kernelSize: 2, channels: config.hiddenSize),
            ]
        }
        let isSeven = config.recurrence == 1 && one([true, false, false])
        config.mixers = (0..<config.layers).map { layer in
            let heads = one([1, 2, 3])
            if isSeven && layer == 0 { return LayerMixer(Self.rwkv7(config, isFirst: true)) }
            switch one([0, 1, 1, 2, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10]) {
            case 0: return .monteCarlo
            case 1:
                return LayerMixer(
                    SlidingWindowShape(
                        heads: heads, keyValueHeads: one([1, heads]), headSize: one([2, 6]),
                        window: one([1, 30, 700, 1600]),
                        dilations: one([[1], [3], (0..<heads).map { 1 + 2 * $0 }]), hasBias: one([true, false]),
                        rope: one([nil, RotaryEncoding()])))
            case 3:
                return LayerMixer(
                    LinearAttentionShape(
                        heads: heads, keySize: one([2, 6]), valueSize: one([3, 8]),
                        featureMap: one([.eluPlusOne, .identity]), isNormalized: one([true, false])))
            case 4:
                return LayerMixer(
                    TransNormerShape(
                        heads: heads, headSize: one([3, 6]), layer: one([0, 1]), layers: 2,
                        hasAngles: one([true, false])))
            case 5:
                return LayerMixer(
                    Mamba2Shape(
                        heads: heads, headSize: config.hiddenSize, state: one([2, 50]), groups: one([1, heads]),
                        expand: heads, taps: one([1, 4, 100])))
            case 6:
                return LayerMixer(RWKV6Shape(heads: 4, headSize: config.hiddenSize / 4, mixRank: 2, decayRank: 5))
            case 7: return LayerMixer(Self.rwkv7(config, isFirst: !isSeven))
            case 8:
                return LayerMixer(
                    TransformerXLShape(
                        heads: heads, headSize: one([2, 5]), segment: one([1, 30, 900]),
                        memory: one([1, 40, 1200]), hasSameLength: one([true, false, false]),
                        longestDistance: one([nil, 25])))
            case 9:
                return LayerMixer(
                    MambaShape(
                        hiddenSize: config.hiddenSize, states: one([1, 5, 16]), expansion: one([1, 2]),
                        taps: one([1, 4, 100])))
            case 10: return LayerMixer(S4DShape(hiddenSize: config.hiddenSize, states: one([2, 10])))
            default:
                return LayerMixer(
                    RetentionShape(
                        heads: heads, keySize: one([2, 6]), valueSize: one([3, 8]),
                        rope: one([
                            nil, RotaryEncoding(layout: .interleaved),
                        ])))
            }
        }
        return (config, one([1, 2, 100, 769, 2500, 5000]))
    }

    private static func rwkv7(_ config: ModelConfig, isFirst: Bool) -> RWKV7Shape {
        RWKV7Shape(
            heads: 2, headSize: config.hiddenSize / 2, isFirst: isFirst, decayRank: 3, rateRank: 2, valueRank: 4,
            gateRank: 5)
    }

    @Test(
        "layers of any kind, order and size: the same bits for every cut, in passes of one layer or of several",
        arguments: 1...60)
    func anyLayers(seed: Int) throws {
        let folder = try TemporaryFolder()
        var numbers = TestNumbers(UInt64(seed))
        let (config, tokens) = randomModel(&numbers)
        #expect(config.impossibleField() == nil)
        try Model.initialize(folder.file("model"), config: config, seed: UInt64(seed), isReplacing: true)
        try folder.write("tokens.u16", (0..<tokens).flatMap { _ in [UInt8.random(in: 0...255, using: &numbers), 0] })
        func run(_ cut: Cut, _ state: Element) throws -> Result {
            var cut = cut
            cut.way = seed % 3 == 0 ? .fourier : .direct
            return try self.run(
                model: folder.file("model"), tokens: folder.file("tokens.u16"), state: state, cut)
        }
        for state in [Element.f32, .bf16] {
            let whole = try run(Cut(blockTiles: 8, resident: true, stretchTiles: 1), state)
            for cut in fusions([
                Cut(windowBlocks: 1, overlap: .full, threads: 2),
                Cut(blockTiles: 3, windowBlocks: 2, spare: 30, overlap: .full, threads: 3, stretchTiles: 2),
            ]) {
                #expect(same(try run(cut, state), as: whole), "\(cut), \(config.json)")
            }
        }
    }

    @Test("a pass of streaming layers reads its own rows once and no others, one behind delegates as much as theirs")
    func streamedTraffic() throws {
        let folder = try TemporaryFolder()
        var numbers = TestNumbers(8)
        try folder.write("tokens.u16", (0..<24_000).flatMap { _ in [UInt8.random(in: 0...255, using: &numbers), 0] })
        var config = ModelConfig(
            hiddenSize: 32, intermediateSize: 32, layers: 4, heads: 2, patchSize: 8, kernelSize: 3)
        let (window, retention) = (
            LayerMixer(SlidingWindowShape(heads: 2, headSize: 16, window: 100)),
            LayerMixer(RetentionShape(heads: 2, keySize: 16, valueSize: 32))
        )
        func run(_ mixers: [LayerMixer], isAllKept: Bool) throws -> Result {
            config.layers = mixers.count
            config.mixers = mixers
            try Model.initialize(folder.file("model"), config: config, seed: 1, isReplacing: true)
            return try self.run(
                model: folder.file("model"), tokens: folder.file("tokens.u16"), state: .bf16,
                Cut(windowBlocks: 4, spare: 70, overlap: .full, threads: 2, isAllKept: isAllKept))
        }
        let alone = try run([.monteCarlo, window, retention, .monteCarlo], isAllKept: true)
        #expect(alone.generations == [1, 2, 3, 4])
        for layer in 1...2 {
            let traffic = alone.traffic[layer]
            // Every page once.
            #expect(traffic.own == alone.stored[layer - 1])
            #expect(traffic.hosts == 0 && traffic.guests == 0 && traffic.tokens == 0)
        }
        let together = try run([.monteCarlo, window, retention, .monteCarlo], isAllKept: false)
        #expect(together.generations == [3, 4] && together.stored.first == alone.stored[2])
        let (N, second) = (Double(together.stored[0]), together.traffic[1])
        #expect(Double(second.own + second.hosts + second.guests) / N <= 2.1)
        #expect(second.hosts > 0 && second.guests > 0)
        let streaming = try run([window, retention, window], isAllKept: false)
        #expect(streaming.generations == [3])
        #expect(streaming.traffic[0].hosts == 0 && streaming.traffic[0].guests == 0)
        // Tokens: 2 bytes each, as they are stored.
        #expect(streaming.traffic[0].own < 24_000 * 3)
    }

    @Test("rows that see further ahead than a block give the same bits for every window", arguments: [2400])
    func farAhead(dilation: Int) throws {
        let folder = try TemporaryFolder()
        var numbers = TestNumbers(9)
        try folder.write("tokens.u16", (0..<7000).flatMap { _ in [UInt8.random(in: 0...255, using: &numbers), 0] })
        var config = ModelConfig(hiddenSize: 8, intermediateSize: 8, layers: 2, heads: 2, patchSize: 8, kernelSize: 1)
        config.stack = [ConvolutionShape(kernelSize: 3, dilation: dilation, channels: 8)]
        config.isCausal = false
        try Model.initialize(folder.file("model"), config: config, seed: 1, isReplacing: true)
        let tokens = folder.file("tokens.u16")
        let whole = try run(
            model: folder.file("model"), tokens: tokens, state: .f32, Cut(blockTiles: 4, resident: true))
        // Blocks of 768 rows.
        for cut in [
            Cut(windowBlocks: 1), Cut(windowBlocks: 5, spare: 40, overlap: .full, threads: 3),
            Cut(windowBlocks: 3, resident: true, threads: 2),
        ] {
            let other = try run(model: folder.file("model"), tokens: tokens, state: .f32, cut)
            #expect(same(other, as: whole), "\(cut)")
        }
    }

    @Test(
        "convolutions through transforms: the reference's states, and the same bits for every window",
        arguments: ["ragged", "carlo", "recurrent-selective"])
    func transforms(name: String) throws {
        let whole = try run(name, state: .f32, Cut(blockTiles: 4, resident: true, way: .fourier))
        var states = try NpyArray("\(Fixtures.path(name))/hidden.npy")
        let wanted = states
        states.values = whole.layers[whole.layers.count - 1]
        #expect(states.relativeError(to: wanted) < 2e-4)
        for cut in [
            Cut(windowBlocks: 1, way: .fourier),
            Cut(windowBlocks: 2, spare: 7, overlap: .full, threads: 2, way: .fourier),
        ] {
            let other = try run(name, state: .f32, cut)
            #expect(same(other, as: whole), "\(cut)")
        }
    }

    @Test("AVX2 gives the bits of AVX-512", arguments: Fixtures.mixers)
    func paths(name: String) throws {
        let results = try [BBP_AVX2, BBP_AVX512].map { path in
            guard let kernels = bbp_kernels_for(path) else { try Test.cancel("this processor lacks a path") }
            return try Self.run(name, state: .f32, Cut(blockTiles: 4, resident: true), on: CPUBackend(kernels))
        }
        #expect(same(results[0], as: results[1]))
    }

    // MARK: Sixteen bits

    /// What is rounded to bf16.
    enum Rounding: CaseIterable {
        case states, products, plainProducts, statesAndProducts

        var state: Element { self == .states || self == .statesAndProducts ? .bf16 : .f32 }

        /// nil where the processor has none.
        var kernels: KernelTable? {
            switch self {
            case .states: try? Kernels.select()
            case .products, .statesAndProducts: bbp_bf16_kernels_for(BBP_AVX512)
            case .plainProducts: bbp_bf16_kernels_for(BBP_PLAIN)
            }
        }
    }

    /// Products of bf16 numbers take pairs.
    private static func canRound(_ name: String, _ rounding: Rounding) -> Bool {
        rounding == .states || (try? Model(directory: Fixtures.path(name)).config.hasEvenWidths) == true
    }

    /// Root of the mean square.
    private static func root(_ values: some Collection<Double>) -> Double {
        (values.reduce(0) { $0 + $1 * $1 } / Double(max(1, values.count))).squareRoot()
    }

    @Test(
        "rounded to bf16, the same bits for every window and thread count, and close to the reference",
        arguments: ["ragged", "odd", "wide", "carlo", "stack-bidirectional"] + Fixtures.mixers, Rounding.allCases)
    func rounded(name: String, rounding: Rounding) throws {
        guard let kernels = rounding.kernels, Self.canRound(name, rounding) else { return }
        func run(_ cut: Cut) throws -> Result {
            try Self.run(name, state: rounding.state, cut, on: CPUBackend(kernels))
        }
        let whole = try run(Cut(blockTiles: 4, resident: true, threads: 2))
        let cuts = [
            Cut(windowBlocks: 1, spare: 3, overlap: .full, threads: 2),
            Cut(blockTiles: 3, windowBlocks: 1, resident: true, threads: 3, stretchTiles: 1),
        ]
        for cut in Fixtures.mixers.contains(name) ? fusions(cuts) : [cuts[0]] {
            #expect(same(try run(cut), as: whole), "\(cut)")
        }
        let wanted = try NpyArray("\(Fixtures.path(name))/hidden.npy").values
        let last = try #require(whole.layers.last)
        let error = Self.root(zip(last, wanted).map { Double($0 - $1) }) / Self.root(wanted.map(Double.init))
        let bits = try NpyArray("\(Fixtures.path(name))/nll_bits.npy").values.dropFirst()
        let differences = zip(bits, whole.bits.dropFirst()).map { Double($0 - $1) }
        let mean = differences.reduce(0, +) / Double(max(1, differences.count))
        // Something was rounded. One layer takes weights as large as these by up to a fortieth.
        #expect(error > 1e-4 && error < 0.03 * Double(whole.layers.count), "\(error)")
        #expect(abs(mean) < 0.02)
    }

    @Test("every kind of mixer is in cases that products in bf16 can take, and beside two kinds of other families")
    func kinds() throws {
        func kinds(_ name: String) throws -> Set<String> {
            Set(try Model(directory: Fixtures.path(name)).config.mixers.map(\.kind))
        }
        let all = Set(LayerMixer.kinds.map { $0.kind })
        #expect(try kinds("every-kind") == all && Self.canRound("every-kind", .products))
        let pairs = try Fixtures.pairs.filter { Self.canRound($0, .products) }.map(kinds)
        for kind in all { #expect(pairs.count { $0.contains(kind) } >= 2, "\(kind)") }
    }
}
