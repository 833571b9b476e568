import Compute
import Geometry
import PageStore
import ProtonModel
import Support
import TestSupport
import Testing

@testable import StreamEngine

@Suite("Working set") struct WorkingSetTests {
    private func needs(
        tokens: Int, P: Int = 32, D: Int = 64, layers: Int = 2, state: Element = .bf16,
        family: (inout ModelConfig) -> Void = { _ in }
    ) throws -> WorkingSetNeeds {
        let geometry = try #require(SequenceGeometry(tokens: tokens, patchSize: P))
        var config = ModelConfig(
            hiddenSize: D, intermediateSize: 2 * D, layers: layers, heads: 4, patchSize: P, kernelSize: 33)
        family(&config)
        return WorkingSetNeeds(
            sizes: try ModelSizes(config, geometry: geometry, way: .fourier, on: CPUBackend(try Kernels.select())),
            passes: PassPlan(config, isAllKept: false), state: state, threads: 2, copiedWeightBytes: 1 << 20,
            baseBytes: 16 << 20, tokenPatchesPerBlock: TokenWriter.patchesPerBlock(patchSize: P))
    }

    @Test(
        "stays within the budget, and the least that it names works",
        arguments: [
            (1, 32), (5000, 32), (1 << 26, 32), (1 << 42, 32), (1 << 50, 5), (1 << 30, 1), (20_000, 1024),
            (1 << 30, 1024), (300_000, 4096), (1 << 24, 4096), (1 << 34, 4096),
        ] as [(Int, Int)])
    func budgets(tokens: Int, P: Int) throws {
        let needs = try needs(tokens: tokens, P: P)
        var least = 0
        do {
            _ = try needs.choose(budget: 1 << 20)
            Issue.record("a budget of 1 MiB was accepted")
        } catch let fault as Fault {
            #expect(fault.kind == .usage)
            let named = try #require(fault.problem.split(separator: " ").last.flatMap { ByteCount.parse(String($0)) })
            least = named
        }
        var widest = 0
        for budget in [least, least + 1 << 20, 2 * least, 256 << 20, 2 << 30, 16 << 30] where budget >= least {
            let set = try needs.choose(budget: budget)
            #expect(set.totalBytes <= budget)
            #expect(
                set.patchesPerBlock % Tiling(patchSize: P).patchesPerTile == 0
                    && set.windowPatches % set.patchesPerBlock == 0 && set.stateSlots * P >= 0)
            widest = max(widest, set.windowPatches)
        }
        #expect(widest >= min(needs.geometry.patches, Tiling(patchSize: P).patchesPerTile * P))
    }

    @Test(
        "a small budget is used to its end, and goes to columns before it goes to wide windows",
        arguments: [false, true])
    func smallBudgets(isMixed: Bool) throws {
        let needs = try needs(tokens: 1 << 22, layers: 4) {
            guard isMixed else { return }
            $0.mixers = [
                .monteCarlo, LayerMixer(SlidingWindowShape(heads: 4, headSize: 16, window: 256)),
                LayerMixer(RetentionShape(heads: 4, keySize: 16, valueSize: 32)), .monteCarlo,
            ]
        }
        var enough = 0
        for budget in stride(from: 32 << 20, through: 120 << 20, by: 1 << 20) {
            guard let set = try? needs.choose(budget: budget) else { continue }
            let shape = needs.stateShape(T: set.patchesPerBlock, W: set.windowPatches)
            #expect(!set.isResident && set.totalBytes <= budget)
            #expect(budget - set.totalBytes < 64 << 10, "\(budget >> 20) MiB")
            let comfortable = DelegateAccess(isCausal: true).demand(shape).comfortable
            // From some budget on, always.
            if enough > 0 || set.stateSlots >= comfortable {
                enough = enough == 0 ? budget : enough
                #expect(set.stateSlots >= comfortable, "\(budget >> 20) MiB: \(set)")
            }
        }
        #expect(enough > 0 && enough < 60 << 20, "\(enough >> 20) MiB")
    }

    @Test("a run that fits stays in memory; one that nearly fits keeps every column of one generation")
    func everything() throws {
        let needs = try needs(tokens: 1_000_000)
        let resident = try needs.choose(budget: 2 << 30)
        #expect(resident.isResident && resident.statesBytes >= needs.geometry.paddedTokens * 128)
        let next = try needs.choose(budget: 250 << 20)
        #expect(
            !next.isResident
                && next.stateSlots == needs.stateShape(T: next.patchesPerBlock, W: next.windowPatches).allColumns
        )
    }

    @Test(
        "where both generations are in memory, one of them has room for every column of the other's pages",
        arguments: [1, 1852, 5000, 33_333, 1_000_001], [8, 32, 128])
    func residentColumns(tokens: Int, P: Int) throws {
        let needs = try needs(tokens: tokens, P: P, D: 256)
        let set = try needs.choose(budget: 4 << 30)
        #expect(set.isResident)
        let (T, W) = (set.patchesPerBlock, set.windowPatches)
        #expect(
            set.statesBytes / needs.stateColumns(T: T).columnBytes >= needs.stateShape(T: T, W: W).allColumns)
        let least = needs.access(ofPass: 0).demand(needs.tokenShape(T: T, W: W)).least
        #expect(
            set.statesBytes / needs.tokenColumns.columnBytes >= set.tokenSlots && set.tokenSlots >= least)
    }

    @Test(
        "a window holds what the one before it looks ahead to, and there are two of them",
        arguments: [5000, 1 << 20, 1 << 42])
    func lookingAhead(tokens: Int) throws {
        let needs = try needs(tokens: tokens) {
            $0.isCausal = false
            $0.stack = [ConvolutionShape(kernelSize: 9, dilation: 700, channels: 64)]
        }
        #expect(needs.config.reach == (2800, 2800))
        for budget in [64 << 20, 256 << 20, 4 << 30] {
            let set = try needs.choose(budget: budget)
            #expect(
                set.totalBytes <= budget
                    && (set.windowPatches >= needs.geometry.patches
                        || set.windowPatches * 32 >= 2800 && set.windowsInFlight == 2)
            )
        }
    }

    @Test("orders of tokens are planned for")
    func orders() throws {
        let plain = try needs(tokens: 1 << 20), ordered = try needs(tokens: 1 << 20) { $0.delegation = .selective }
        #expect(ordered.stateColumns(T: 96).columnBytes == plain.stateColumns(T: 96).columnBytes + 192)
        let set = try ordered.choose(budget: 2 << 30)
        #expect(set.isResident && set.parts.contains { $0.name == "orders of their tokens" && $0.bytes == 4 << 20 })
    }

    @Test("a begun run keeps its T")
    func fixedBlocks() throws {
        var needs = try needs(tokens: 1 << 26)
        needs.fixedPatchesPerBlock = 48
        #expect(try needs.choose(budget: 1 << 30).patchesPerBlock == 48)
    }

    @Test(
        "every owner takes what it says, part by part",
        arguments: [(3000, 32, 64), (70_000, 8, 24), (5000, 1100, 16), (1, 4, 8)],
        [Delegation.transpose, .selective, .monteCarlo(seed: 1)])
    func owners(sizes: (Int, Int, Int), delegation: Delegation) throws {
        let (tokens, P, D) = sizes
        let folder = try TemporaryFolder()
        let families = Self.families
        for (index, isResident) in [(0, true), (0, false), (1, false), (2, true)] {
            let family = families[index]
            let needs = try needs(tokens: tokens, P: P, D: D) {
                $0.delegation = delegation
                family(&$0)
            }
            let directory = folder.file("model-\(index)")
            try Model.initialize(directory, config: needs.config, seed: 1, isReplacing: true)
            let model = try Model(directory: directory)
            let T = 2 * needs.tile
            let set = needs.workingSet(
                T: T, W: 2 * T, slots: isResident ? nil : 50, isVisitedOnce: isResident, overlap: .full,
                commit: 1 << 20)
            let backend = needs.sizes.backend
            func taken<Owner>(_ what: String, plan: Int, _ owner: () throws -> Owner) throws {
                let ledger = MemoryLedger()
                let made = try ledger.charged(owner)
                let bytes = ledger.bytes
                withExtendedLifetime(made) {}
                // Single values here and there.
                #expect(bytes <= plan && plan <= bytes + bytes / 16 + 4096, "\(what): planned \(plan), took \(bytes)")
            }
            try taken("tools", plan: needs.sizes.toolBytes) { try needs.sizes.tools() }
            // What zstd takes for itself is planned, and not seen here.
            let worker = MemoryLedger()
            let made = try worker.charged { try Worker(needs, set, kernels: Kernels.select()) }
            withExtendedLifetime(made) {}
            #expect(worker.bytes <= Worker.footprint(needs, set))
            try taken("outgoing", plan: OutgoingBlock.footprint(needs, set) - 3 * needs.carryBytes) {
                try OutgoingBlock(needs, set)
            }
            if needs.config.hasGathering {
                try taken("mixed", plan: MixedRows.footprint(needs, set)) { try MixedRows(needs, set) }
                let rows = set.windowPatches * P
                try taken("answers", plan: needs.sizes.answerBytes(rows: rows, isOnce: set.isVisitedOnce)) {
                    try DelegateAnswers(needs.config, rows: rows, isOnce: set.isVisitedOnce, workers: 2, on: backend)
                }
            }
            try taken(
                "targets",
                plan: TargetTokens.footprint(blockRows: needs.tokenBlockRows, isOrdered: needs.areTokensOrdered)
            ) {
                try TargetTokens(
                    blockRows: needs.tokenBlockRows, isOrdered: needs.areTokensOrdered, geometry: needs.geometry)
            }
            try taken("embedding", plan: Embedding.footprint(width: D)) {
                try Embedding(model, length: needs.geometry.paddedTokens, on: backend)
            }
            try taken("head", plan: Head.footprint(needs.config, on: backend)) { try Head(model, on: backend) }
            for layer in 1...needs.config.depth {
                // What preparing takes is gone by then.
                let ledger = MemoryLedger()
                let made = try ledger.charged {
                    try Layer(
                        model, block: needs.config.block(ofLayer: layer).index, feedForward: needs.sizes.feedForward,
                        geometry: needs.geometry, on: backend)
                }
                let bytes = ledger.bytes
                withExtendedLifetime(made) {}
                #expect(bytes <= needs.sizes.weightBytes(ofLayer: layer), "weights of layer \(layer)")
            }
            let ledger = MemoryLedger()
            let engine = try ledger.charged { try Engine(model, needs: needs, set: set, kernels: Kernels.select()) }
            let planned = set.parts.filter {
                ![
                    "program", "weights of a pass", "their places", "answers to windows", "streaming layers",
                    "uncommitted pages", "2 workers",
                ].contains($0.name)
            }.map(\.bytes).reduce(0, +)
            let took = ledger.bytes - 2 * worker.bytes
            #expect(took <= planned && planned <= took + took / 8 + 65536, "engine: planned \(planned), took \(took)")
            withExtendedLifetime(engine) {}
        }
    }

    @Test(
        "a streaming layer takes what it says",
        arguments: [(3000, 32, 64), (70_000, 8, 24), (5000, 1100, 16), (1, 4, 8)], 0..<3)
    func streams(size: (tokens: Int, P: Int, D: Int), group: Int) throws {
        let (tokens, P, D) = size
        let folder = try TemporaryFolder()
        func seven(isFirst: Bool) -> LayerMixer {
            LayerMixer(
                RWKV7Shape(
                    heads: 2, headSize: D / 2, isFirst: isFirst, decayRank: 3, rateRank: 32, valueRank: 40, gateRank: 7)
            )
        }
        let groups: [[LayerMixer]] = [
            [
                LayerMixer(RetentionShape(heads: 2, keySize: 5, valueSize: 16, rope: nil)),
                LayerMixer(SlidingWindowShape(heads: 4, keyValueHeads: 2, headSize: 6, window: 300, dilations: [3])),
                .monteCarlo,
                LayerMixer(SlidingWindowShape(heads: 1, headSize: 8, window: 2, rope: RotaryEncoding())),
                LayerMixer(LinearAttentionShape(heads: 3, keySize: 8, valueSize: 40, isNormalized: true)),
                LayerMixer(TransNormerShape(heads: 2, headSize: 12, layer: 0, layers: 2, hasAngles: true)),
                LayerMixer(Mamba2Shape(heads: 4, headSize: D / 2, state: 7, groups: 2, taps: 9)),
            ],
            [
                seven(isFirst: true), LayerMixer(RWKV6Shape(heads: 4, headSize: D / 4, mixRank: 5)), .monteCarlo,
                seven(isFirst: false),
            ],
            [
                LayerMixer(S4DShape(hiddenSize: D, states: 4)),
                LayerMixer(TransformerXLShape(heads: 1, headSize: 8, segment: 4, memory: 0, longestDistance: 2)),
                .monteCarlo, LayerMixer(TransformerXLShape(heads: 3, headSize: 5, segment: 100, memory: 1000)),
                LayerMixer(MambaShape(hiddenSize: D, states: 5, taps: 9)),
                LayerMixer(S4DShape(hiddenSize: D, states: 10)),
            ],
        ]
        let mixers = groups[group]
        let isInputNeeded = group == 1
        let needs = try needs(tokens: tokens, P: P, D: D, layers: mixers.count) { $0.mixers = mixers }
        try Model.initialize(folder.file("model"), config: needs.config, seed: 1, isReplacing: true)
        let model = try Model(directory: folder.file("model"))
        let T = 3 * needs.tile
        for overlap in [WorkingSetNeeds.Overlap.none, .full] {
            let set = needs.workingSet(T: T, W: T, slots: 500, overlap: overlap, commit: 1 << 20)
            let engine = try Engine(model, needs: needs, set: set, kernels: Kernels.select())
            for layer in 1...mixers.count where layer != 3 {
                let ledger = MemoryLedger()
                let made = try ledger.charged { try engine.layers(layer...layer)[0] }
                #expect(
                    ledger.bytes <= needs.sizes.weightBytes(ofLayer: layer), "weights of layer \(layer)")
                let streamed = MemoryLedger()
                let layers = try streamed.charged { try StreamedLayer(made, number: layer, of: engine) }
                withExtendedLifetime(layers) {}
                let plan = StreamedLayer.footprint(needs, set, layer: layer)
                #expect(
                    streamed.bytes <= plan && plan <= streamed.bytes + streamed.bytes / 16 + 4096,
                    "layer \(layer): planned \(plan), took \(streamed.bytes)")
            }
            let input = MemoryLedger(), ids = try Memory<UInt8>(1)
            let tokens = ResidentStates(start: ids.start, order: nil, grid: engine.grid, columns: P, rowBytes: 2)
            let modelInput = try input.charged { try ModelInput(.resident(tokens), of: engine) }
            withExtendedLifetime((modelInput, ids)) {}
            let inputBytes = set.parts.first { $0.name == "the model's input" }?.bytes
            #expect(
                isInputNeeded
                    ? inputBytes.map { $0 >= input.bytes && $0 <= input.bytes + 4096 } == true : inputBytes == 0)
            let most = set.parts.first { $0.name == "streaming layers" }?.bytes
            #expect(
                most == (1...2).map { StreamedLayer.footprint(needs, set, layer: $0) }.reduce(0, +)
                    || most == (4...mixers.count).map { StreamedLayer.footprint(needs, set, layer: $0) }.reduce(0, +))
        }
    }

    private static var families: [(inout ModelConfig) -> Void] {
        [
            { _ in },
            { $0.isCausal = false },
            {
                $0.stack = [
                    ConvolutionShape(kernelSize: 3, dilation: 4, channels: 16),
                    ConvolutionShape(kernelSize: 2, channels: 40),
                    ConvolutionShape(kernelSize: 5, channels: 24),
                ]
            },
        ]
    }
}
