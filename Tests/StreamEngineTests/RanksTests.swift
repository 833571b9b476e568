import Cluster
import Compute
import Geometry
import ProtonModel
import Support
import TestSupport
import Testing

@testable import PageStore
@testable import StreamEngine

/// Several ranks in one process, each with a store of its own for its blocks: the bits of one.
@Suite("Ranks") struct RanksTests {
    /// What a rank made of its shard.
    private struct Part {
        /// By generation: the rows of its blocks.
        var states: [[UInt8]] = []
        var bits: [Float] = []
        var sum = 0.0
        /// Bytes of columns that came from others, and columns that it read in all.
        var taken = 0
    }

    /// Runs a fixture on `count` ranks, blocks of one tile each and windows of two.
    private func run(_ name: String, ranks count: Int, lengths: [Int]? = nil) throws -> [Part] {
        let peers = Loopback.ranks(count)
        let parts = Locked([Part](repeating: Part(), count: count))
        let errors = try onEveryRank(peers) { peer in
            let part = try Self.rank(name, peer, lengths: lengths)
            parts.withLock { $0[peer.rank] = part }
        }
        if let error = errors.compactMap({ $0 }).first { throw error }
        return parts.withLock { $0 }
    }

    private static func rank(_ name: String, _ peers: any Peers, lengths: [Int]?) throws -> Part {
        let folder = try TemporaryFolder()
        let model = try Model(directory: Fixtures.path(name))
        _ = try Ingest.run(
            ["\(Fixtures.path(name))/tokens.u16"], store: folder.file("store"), format: .tokens,
            patchSize: model.config.patchSize, isReplacing: false)
        let store = try Store.openForWriting(folder.file("store"))
        let geometry = try #require(store.geometry())
        let kernels = try Kernels.select()
        let passes = PassPlan(model.config, isAllKept: false)
        let needs = WorkingSetNeeds(
            sizes: try ModelSizes(model.config, geometry: geometry, way: .direct, on: CPUBackend(kernels)),
            passes: passes, state: .bf16, threads: 2, copiedWeightBytes: 0, baseBytes: 0,
            tokenPatchesPerBlock: store.manifest.generations[0].patchesPerBlock)
        let T = Tiling(patchSize: geometry.patchSize).patchesPerTile
        let W = 2 * T
        let least = DelegateAccess(isCausal: true).demand(needs.stateShape(T: T, W: W)).least
        let set = needs.workingSet(T: T, W: W, slots: least + 7, overlap: .full, commit: 1)
        let engine = try Engine(model, needs: needs, set: set, kernels: kernels)
        if model.orderName(readBy: 1) != nil { try Repage.run(store, for: model, engine: engine) { _ in } }
        var begun = store.manifest
        begun.run = RunRecord(
            modelFingerprint: model.fingerprint, isTrained: true, layers: model.config.depth,
            hiddenSize: model.config.hiddenSize, state: "bf16", patchesPerBlock: T, keep: "all")
        try store.publish(begun)
        // Every rank has all tokens, a hundredth of the states.
        let tokens = try store.reader(0)
        let shards = try lengths.map { try Shards(engine.grid, lengths: $0) } ?? Shards(engine.grid, ranks: peers.count)
        let shard = shards.blocks(ofRank: peers.rank)
        var part = Part()
        let servers = try Pipeline(workers: max(1, peers.count))
        let readers = try (0..<peers.count).map { _ in
            try PageReader(
                pageBytes: needs.pageBytes(T: T), columnBytes: needs.columnBytes(T: T), kernels: kernels)
        }
        for (index, layers) in passes.passes.enumerated() {
            let (source, layer) = (layers.lowerBound - 1, layers.upperBound)
            let isLast = layer == model.config.depth
            try peers.agree(on: "pass \(index)")
            var record = GenerationRecord(
                index: layer, directory: "generation-\(layer)", element: .bf16, patchesPerBlock: T,
                width: model.config.hiddenSize, tables: isLast ? [.states, .surprisal] : [.states],
                order: model.orderName(readBy: layer + 1))
            let writer = try GenerationWriter(
                store: store.directory, identity: store.identity(of: record), record: record)
            var columns: PeerColumns?
            if source > 0 {
                let all = PeerColumns(try store.reader(source), shards, peers: peers)
                columns = all
                servers.add(peers.count) { _, other in
                    if other != peers.rank { try all.serve(other, pass: index, of: engine, with: readers[other]) }
                }
            }
            // The rank before is at its end: what its layers carry goes on here.
            let bounds = RunProgress.Bounds(
                blocks: engine.grid.blocks, committedBlocks: [], fileBytes: Int.max, tokens: geometry.tokens,
                carryBytes: layers.map { needs.sizes.carryBytes(ofLayer: $0) },
                rowBytes: model.config.reach.before * model.config.hiddenSize * 4, scoredBlockTokens: nil)
            let progress = try peers.takeCarry(layer: layer) { bytes in
                // Nothing where no rank before had a block.
                bytes.isEmpty
                    ? RunProgress() : try RunProgress(Array(bytes), within: bounds, at: Place(generation: layer))
            }
            let pass = try engine.pass(
                index, reading: .stored(columns ?? StoredGeneration(tokens)), shard: shard, isKept: false,
                writer: writer, targets: isLast ? .stored(tokens) : nil, tokens: .stored(tokens),
                progress: progress ?? RunProgress())
            for window in pass.plan.windows { try pass.run(window: window) { _ in } }
            try pass.finish { _ in }
            // Before this rank waits for the others to take what they read of it: they wait for this.
            let carried = pass.progress.carries.isEmpty ? [] : pass.progress.bytes
            try carried.withUnsafeBytes { try peers.handOn($0, layer: layer) }
            try servers.drain()
            try writer.finish()
            record.isComplete = true
            record.storedBytes = pass.appended.storedBytes
            var manifest = store.manifest
            manifest.generations.append(record)
            manifest.run?.isComplete = isLast
            try store.publish(manifest)
            part.states.append(try rows(of: try store.reader(layer), shard, kernels))
            (part.bits, part.sum) = (
                isLast ? try bits(of: try store.reader(layer), shard, kernels) : [], pass.progress.bits
            )
        }
        return part
    }

    private static func rows(of generation: GenerationReader, _ shard: Range<Int>, _ kernels: KernelTable) throws
        -> [UInt8]
    {
        var all: [UInt8] = []
        let rows = try RowStream(generation, kernels: kernels)
        for block in shard {
            let patches = generation.grid.patches(ofBlock: block)
            let P = generation.geometry.patchSize
            let tokens = patches.lowerBound * P..<min(patches.upperBound * P, generation.geometry.tokens)
            try rows.read(tokens) { all += $1 }
        }
        return all
    }

    private static func bits(of generation: GenerationReader, _ shard: Range<Int>, _ kernels: KernelTable) throws
        -> [Float]
    {
        var all: [Float] = []
        let rows = try RowStream(generation, .surprisal, kernels: kernels)
        for block in shard {
            let patches = generation.grid.patches(ofBlock: block)
            let P = generation.geometry.patchSize
            let tokens = patches.lowerBound * P..<min(patches.upperBound * P, generation.geometry.tokens)
            try rows.read(tokens) { all += $1.bindMemory(to: Float.self) }
        }
        return all
    }

    @Test(
        "two and three ranks give the bits of one",
        arguments: [
            "deep", "ragged", "longest", "long-selective", "wide", "hybrid", "streaming", "retention-long", "linear",
            "transnormer", "mamba2", "rwkv6-long", "rwkv7-long", "rwkv7-hybrid", "seven",
            "xl-long", "hybrid-xl", "mamba", "hybrid-mamba", "s4d", "hybrid-s4d", "every-kind",
        ])
    func same(name: String) throws {
        let one = try run(name, ranks: 1)[0]
        for count in [2, 3] {
            let parts = try run(name, ranks: count)
            for generation in one.states.indices {
                #expect(parts.flatMap { $0.states[generation] } == one.states[generation], "\(count) ranks")
            }
            let bits = parts.flatMap(\.bits)
            #expect(bits.map(\.bitPattern) == one.bits.map(\.bitPattern))
            #expect(parts[count - 1].sum.bitPattern == one.sum.bitPattern)
        }
    }

    @Test("shards of any lengths give the same bits, empty ones too")
    func uneven() throws {
        let one = try run("deep", ranks: 1)[0]
        for lengths in [[1, 3], [3, 0, 1], [0, 1, 3]] {
            let parts = try run("deep", ranks: lengths.count, lengths: lengths)
            #expect(parts.flatMap(\.bits).map(\.bitPattern) == one.bits.map(\.bitPattern), "\(lengths)")
        }
    }
}
