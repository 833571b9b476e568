import Geometry
import ProtonModel
import Support
import TestSupport
import Testing

@testable import PageStore
@testable import StreamEngine

/// Runs fixtures through windows far smaller than any memory budget would choose, so that every way rows can come
/// (own, kept, read head, spare block, stray) is taken, and compares with the reference and bit by bit.
@Suite("Layer pass") struct LayerPassTests {
    struct Result {
        var layers: [[Float]]
        var bits: [Float]
        var traffic: [LayerTraffic]
        var stored: [Int]
    }

    /// Windows of `windowTiles` tiles in blocks of `blockTiles` tiles; nil for everything in one.
    private func run(_ name: String, state: Element, blockTiles: Int, windowBlocks: Int?, heads: Int, threads: Int, tokenPatches: Int? = nil) throws -> Result {
        let folder = try TemporaryFolder()
        let model = try Model(directory: Fixtures.path(name))
        _ = try Ingest.run(["\(Fixtures.path(name))/tokens.u16"], store: folder.file("store"), format: .tokens, patchSize: model.config.patchSize, replacing: false)
        let store = try Store.openForWriting(folder.file("store"))
        let geometry = try #require(store.geometry())
        let kernels = try Kernels.select()
        let tokens = try store.reader(0)
        let arithmetic = try TileArithmetic(model.config, geometry: geometry, kernels: kernels)
        let needs = WorkingSetNeeds(
            geometry: geometry, config: model.config, state: state, threads: threads, arithmeticBytes: 0, weightBytes: 0, baseBytes: 0,
            tokenPatchesPerBlock: tokens.grid.patchesPerBlock)
        let T = blockTiles * Tiling(patchSize: geometry.patchSize).patchesPerTile
        let W = windowBlocks.map { $0 * T } ?? (geometry.patches + T - 1) / T * T
        let set = needs.workingSet(T: T, W: W, heads: heads, commit: 1)
        let shared = try SharedMemory(needs, set)
        let workers = try (0..<threads).map { worker in
            try Worker(
                arithmetic: worker == 0 ? arithmetic : try TileArithmetic(model.config, geometry: geometry, kernels: kernels),
                pageBytes: needs.pageBytes(T: T), columnBytes: needs.columnBytes(T: T), spareBytes: needs.spareBytes(T: T, W: W, heads: heads), kernels: kernels)
        }
        let pool = try WorkerPool(workers: threads) { TileArithmetic.prepareThread() }
        var result = Result(layers: [], bits: [], traffic: [], stored: [])
        for layer in 1...model.config.layers {
            let isLast = layer == model.config.layers
            var record = GenerationRecord(
                index: layer, directory: "generation-\(layer)", element: state, patchesPerBlock: T, width: model.config.hiddenSize,
                tables: isLast ? [.states, .surprisal] : [.states])
            do {
                let writer = try GenerationWriter(store: store.directory, identity: store.identity(of: record), record: record)
                let pass = try LayerPass(
                    layer: layer, source: layer == 1 ? tokens : try store.reader(layer - 1),
                    input: layer == 1 ? .tokens(try Embedding(model, length: geometry.paddedTokens)) : state == .bf16 ? .bf16 : .f32,
                    weights: try BlockWeights(model, layer: layer - 1, arithmetic: arithmetic), writer: writer, head: isLast ? try Head(model) : nil, tokens: tokens,
                    state: state, set: set, shared: shared, workers: workers, pool: pool,
                    progress: RunProgress(carryValues: (model.config.kernelSize - 1) * model.config.hiddenSize))
                try pass.run { _ in }
                try writer.finish()
                record.complete = true
                record.storedBytes = pass.progress.storedBytes
                result.traffic.append(pass.io)
                result.stored.append(record.storedBytes)
            }
            var manifest = store.manifest
            manifest.generations.append(record)
            try store.publish(manifest)
            let out = folder.file("states.npy")
            _ = try Export.run(store: store.directory, generation: layer, range: nil, to: out)
            result.layers.append(try NpyArray(out).values)
        }
        try RowStream(store.reader(model.config.layers), .surprisal, kernels: kernels).read(0..<geometry.tokens) { _, rows in
            result.bits += rows.bindMemory(to: Float.self)
        }
        return result
    }

    private func same(_ a: [Float], _ b: [Float]) -> Bool { a.map(\.bitPattern) == b.map(\.bitPattern) }

    @Test("every window and thread count gives the reference's states, and the same bits", arguments: Fixtures.cases)
    func windows(name: String) throws {
        let heads = try Model(directory: Fixtures.path(name)).config.patchSize
        let whole = try run(name, state: .f32, blockTiles: 4, windowBlocks: nil, heads: 0, threads: 1)
        for (layer, file) in [(0, "layer1.npy"), (whole.layers.count - 1, "hidden.npy")] {
            var states = try NpyArray("\(Fixtures.path(name))/\(file)")
            let wanted = states
            states.values = whole.layers[layer]
            #expect(states.relativeError(to: wanted) < 2e-4)
        }
        let bits = try NpyArray("\(Fixtures.path(name))/nll_bits.npy").values
        #expect(bits.count == whole.bits.count && whole.bits[0].isNaN)
        #expect(zip(bits, whole.bits).dropFirst().allSatisfy { abs($0 - $1) < 1e-3 })

        for (blockTiles, windowBlocks, heads, threads) in [(1, 1, 0, 1), (1, 1, heads, 2), (1, 2, 1, 2), (2, 1, heads / 2, 1), (1, 3, 0, 3)] as [(Int, Int, Int, Int)] {
            let cut = try run(name, state: .f32, blockTiles: blockTiles, windowBlocks: windowBlocks, heads: heads, threads: threads)
            #expect(zip(cut.layers, whole.layers).allSatisfy(same), "blocks of \(blockTiles) tiles, windows of \(windowBlocks) blocks, \(heads) heads, \(threads) threads")
            #expect(same(cut.bits, whole.bits))
        }
    }

    @Test("bf16 states: the same bits for every window, and close to the reference", arguments: ["ragged", "odd", "wide"])
    func halfStates(name: String) throws {
        let whole = try run(name, state: .bf16, blockTiles: 4, windowBlocks: nil, heads: 0, threads: 2)
        let cut = try run(name, state: .bf16, blockTiles: 1, windowBlocks: 1, heads: 3, threads: 2)
        #expect(zip(cut.layers, whole.layers).allSatisfy(same) && same(cut.bits, whole.bits))
        let bits = try NpyArray("\(Fixtures.path(name))/nll_bits.npy").values
        let mean = zip(bits, whole.bits).dropFirst().map { Double($0 - $1) }.reduce(0, +) / Double(max(1, bits.count - 1))
        #expect(abs(mean) < 0.02)
    }
}
