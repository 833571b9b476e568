import Compute
import Geometry
import Glibc
import PageStore
import ProtonModel
import Support

/// A wholly streaming model over tokens that come as they come and need not end: no store, no length, a bounded memory.
///
/// Tokens are taken in blocks of a fixed number of patches, as `ForwardRun` takes them from a store, pass after pass
/// over a few blocks, each going on with the carries of the one before: the surprisal has the bits of one run over all of
/// them. The last, incomplete block is computed as often as is asked for, from the carries before it; rows after its
/// tokens hold any token, for no row of a causal model depends on what comes after it. That holds to the bit where
/// convolutions are computed directly, which is why they are.
package final class StreamRun {
    package let model: Model
    private let engine: Engine
    private let computation: String
    /// Tokens of a block.
    private let blockTokens: Int
    /// [blocks, P, T]: tokens of the blocks of a pass, column after column.
    private let columns: Memory<UInt16>
    /// [blocks · T · P + 1]: the same in their order, and the one after.
    private let targets: Memory<UInt16>
    /// How far whole blocks are.
    private var progress = RunProgress()
    /// Tokens from the first incomplete block on.
    private var pending: [UInt16] = []
    /// Tokens whose surprisal was handed out.
    package private(set) var reported = 0
    /// Of the byte tokens among them that have a predecessor, added up in their order.
    package private(set) var bits = 0.0
    package private(set) var bitsCount = 0

    /// Tokens taken in so far, whatever they are.
    package var tokens: Int { progress.nextBlock * blockTokens + pending.count }

    /// Tiles of a block: few enough that an incomplete one is soon computed, enough for the threads to share. A part of
    /// what is saved: it is the same for every machine.
    private static let tilesPerBlock = 8
    /// Blocks of a pass, at most.
    private static let blocksAtOnce = 8

    /// - Parameters:
    ///   - state: number format that layers hand rows on in; nil for bf16, as stored states have it.
    ///   - saved: goes on from here.
    /// - Throws: `Fault`: `usage` where the model does not stream, or the memory is too small; `badData` where `saved`
    ///   is of another model or computation.
    package init(
        _ model: Model, memory: Int? = nil, threads: Int? = nil, state: Element? = nil, compute: Compute? = nil,
        from saved: StreamState? = nil
    ) throws {
        let config = model.config
        guard config.isStreaming else {
            throw Fault(
                .usage, "this model's layers read rows from all over a sequence, which it needs as a whole, in a store",
                at: Place(file: model.directory))
        }
        self.model = model
        MemoryUse.followPlans()
        let kernels = try Kernels.select(config.hasEvenWidths ? compute ?? .f32 : .f32)
        let backend = CPUBackend(kernels)
        let P = config.patchSize
        let T = Tiling(patchSize: P).patchesPerTile * Self.tilesPerBlock
        blockTokens = T * P
        // As long as a sequence can be, in whole blocks: where it ends, nobody knows.
        let longest = SequenceGeometry.largestLength / 2 / blockTokens * blockTokens
        guard let geometry = SequenceGeometry(tokens: longest, patchSize: P) else {
            throw Fault(.badData, "patches of \(P) make no sequence", at: Place(file: model.directory))
        }
        let threads = threads ?? max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
        var needs = WorkingSetNeeds(
            sizes: try ModelSizes(config, geometry: geometry, way: .direct, on: backend),
            passes: PassPlan(config, isAllKept: false), state: state ?? .bf16, threads: threads,
            copiedWeightBytes: model.copiedBlockBytes, baseBytes: MemoryUse.program(threads: threads),
            tokenPatchesPerBlock: T, fixedPatchesPerBlock: T)
        columns = try Memory(Self.blocksAtOnce * blockTokens)
        targets = try Memory(Self.blocksAtOnce * blockTokens + 1)
        let own = 2 * (columns.count + targets.count) + (4 << 20)
        needs.baseBytes += own
        needs.isBegun = false
        let set = try needs.choose(budget: memory ?? MemoryUse.budget())
        engine = try Engine(model, needs: needs, set: set, kernels: kernels)
        computation = "\(ForwardRun.arithmetic(kernels, .direct)) states \(needs.state.name)"
        if let saved { try takeUp(saved) }
    }

    // MARK: Tokens in, surprisal out

    package func append(_ ids: some Sequence<UInt16>) { pending += ids }

    /// Computes whole blocks, and hands out what is new.
    ///
    /// - Parameters:
    ///   - isFlush: computes the incomplete block too, so that every token's surprisal is handed out.
    ///   - emit: surprisal of the tokens from `reported` on, f32 bits; NaN of the first token, which nothing predicts.
    /// - Throws: `Fault` (`badData`) where values overflow; what `emit` throws.
    package func compute(isFlush: Bool, _ emit: (UnsafeBufferPointer<Float>) throws -> Void) throws {
        // The last row of a block predicts the token after it.
        while !Interruption.isRequested, pending.count > blockTokens {
            let count = min((pending.count - 1) / blockTokens, Self.blocksAtOnce)
            let pass = try run(blocks: count, tokens: count * blockTokens + 1, emit)
            // A signal may have stopped it between two blocks.
            pending.removeFirst((pass.progress.nextBlock - progress.nextBlock) * blockTokens)
            progress = pass.progress
        }
        if isFlush, !Interruption.isRequested, reported < tokens { _ = try run(blocks: 1, tokens: pending.count, emit) }
    }

    /// A pass over the first `blocks` pending blocks, of which `tokens` tokens are known.
    private func run(blocks: Int, tokens: Int, _ emit: (UnsafeBufferPointer<Float>) throws -> Void) throws -> Pass {
        let (P, first) = (engine.geometry.patchSize, progress.nextBlock)
        let T = blockTokens / P
        for position in 0..<blocks * blockTokens {
            let id = position < tokens ? pending[position] : 0
            let (block, inBlock) = position.quotientAndRemainder(dividingBy: blockTokens)
            let (patch, column) = inBlock.quotientAndRemainder(dividingBy: P)
            columns[block * blockTokens + column * T + patch] = id
            targets[position] = id
        }
        targets[blocks * blockTokens] = blocks * blockTokens < tokens ? pending[blocks * blockTokens] : 0
        let input = ResidentStates(
            start: UnsafeMutableRawPointer(columns.start).assumingMemoryBound(to: UInt8.self), order: nil,
            grid: engine.grid, columns: P, rowBytes: 2, firstPatch: first * T)
        let tokensInOrder = TargetTokens.Source.natural(targets.start, first: first * blockTokens)
        let pass = try engine.pass(
            0, reading: .resident(input), shard: first..<first + blocks, isKept: false, writer: nil,
            targets: tokensInOrder, tokens: tokensInOrder, progress: progress)
        let scored = Locked<[Float]>([])
        pass.onScored = { values in scored.withLock { $0 += values } }
        for window in pass.plan.windows where !pass.isInterrupted { try pass.run(window: window) { _ in } }
        try pass.finish { _ in }
        let values = scored.withLock { $0 }
        let start = first * blockTokens
        let known = min(start + values.count, start + tokens)
        guard known > reported else { return pass }
        try values.withUnsafeBufferPointer {
            try emit(UnsafeBufferPointer(rebasing: $0[reported - start..<known - start]))
        }
        for token in reported..<known where token > 0 && targets[token - start] < 256 {
            bits += Double(values[token - start])
            bitsCount += 1
        }
        reported = known
        return pass
    }

    // MARK: Going on later

    /// All that a later run needs to go on with the same bits.
    package var state: StreamState {
        StreamState(
            fingerprint: model.fingerprint, computation: computation, blockTokens: blockTokens, reported: reported,
            bits: bits, bitsCount: bitsCount, pending: pending,
            progress: progress.nextBlock > 0 ? progress.bytes : [])
    }

    private func takeUp(_ saved: StreamState) throws {
        let place = Place(file: saved.path)
        func fail(_ problem: String, _ advice: String? = nil) -> Fault {
            Fault(.badData, problem, at: place, advice: advice)
        }
        guard saved.fingerprint == model.fingerprint else {
            throw fail("was saved by model \(saved.fingerprint), this one is \(model.fingerprint)")
        }
        guard saved.computation == computation else {
            throw fail(
                "was saved by a run with \(saved.computation), this one would go on with \(computation)",
                "They round differently.")
        }
        guard saved.blockTokens == blockTokens else { throw fail("has blocks of \(saved.blockTokens) tokens") }
        let sizes = engine.needs.sizes
        if !saved.progress.isEmpty {
            let bounds = RunProgress.Bounds(
                blocks: engine.grid.blocks - 1, committedBlocks: [], fileBytes: 0, tokens: engine.geometry.tokens,
                carryBytes: (1...model.config.depth).map { sizes.carryBytes(ofLayer: $0) },
                rowBytes: model.config.reach.before * model.config.hiddenSize * 4, scoredBlockTokens: blockTokens)
            // Advice on stores helps nobody here.
            do { progress = try RunProgress(saved.progress, within: bounds, at: place) } catch let fault as Fault {
                throw fail("is damaged: \(fault.problem)")
            }
        }
        let whole = progress.nextBlock * blockTokens
        guard (whole...whole + saved.pending.count).contains(saved.reported),
            saved.pending.allSatisfy({ $0 < Element.tokenIDs }), saved.bits.isFinite, saved.bits >= 0,
            (0...saved.reported).contains(saved.bitsCount)
        else { throw fail("contradicts itself") }
        (pending, reported, bits, bitsCount) = (saved.pending, saved.reported, saved.bits, saved.bitsCount)
    }
}
