import Compute
import Geometry
import PageStore
import ProtonModel
import Support

/// A pass made ready.
extension Engine {
    /// What a pass reads.
    enum PassInput {
        case stored(any ColumnSource)
        /// The generation before it, or tokens, in memory.
        case resident(ResidentStates)
    }

    /// The windows of pass `index`, how it reads, and how many columns it keeps.
    ///
    /// - Parameters:
    ///   - isResident: all that it reads is in memory.
    ///   - shard: the blocks to write; nil for all.
    func plan(_ index: Int, isResident: Bool, shard: Range<Int>? = nil) -> (
        plan: WindowPlan, access: any Access, slots: Int
    ) {
        let isFirst = index == 0
        let (T, W) = (set.patchesPerBlock, set.windowPatches)
        // Tokens in memory stand in blocks as states do.
        let shape = isFirst && !isResident ? needs.tokenShape(T: T, W: W) : needs.stateShape(T: T, W: W)
        let slots = min(
            shape.allColumns, isFirst ? set.tokenSlots : set.isResident ? shape.allColumns : set.stateSlots)
        let access = needs.access(ofPass: index)
        return (
            WindowPlan(shape, parts: access.parts(shape, slots: isResident ? Int.max : slots), shard: shard), access,
            slots
        )
    }

    /// The cache of columns of a pass: real, or where only its order matters, without memory.
    func cache(
        _ index: Int, _ plan: WindowPlan, _ access: any Access, slots: Int, isOrdered: Bool,
        memory: UnsafeMutablePointer<UInt8>, order: ColumnCache.Order = .latestNextUse
    ) throws -> ColumnCache {
        try ColumnCache(
            memory, slots: slots,
            shape: ColumnShape(
                plan.source, rowBytes: index == 0 ? 2 : config.hiddenSize * state.size, isOrdered: isOrdered),
            grid: plan.source, columns: geometry.patchSize, order: order
        ) { access.nextUse(ofColumn: $0, block: $1, after: $2, in: plan) }
    }

    /// Pass `index`.
    ///
    /// - Parameters:
    ///   - shard: the blocks to write; nil for those that `progress` leaves.
    ///   - isKept: the new generation stays in memory as a whole.
    ///   - targets: tokens to be predicted, by the last pass; nil where nothing is scored.
    ///   - tokens: all of the pass, for layers that ask for the model's input.
    func pass(
        _ index: Int, reading input: PassInput, shard: Range<Int>? = nil, isKept: Bool, writer: GenerationWriter?,
        targets: TargetTokens.Source?, tokens: TargetTokens.Source, progress: RunProgress,
        order: ColumnCache.Order = .latestNextUse
    ) throws -> Pass {
        let layers = needs.passes.passes[index]
        let (source, layer) = (layers.lowerBound - 1, layers.upperBound)
        let isResident = if case .resident = input { true } else { false }
        let shard = shard ?? progress.nextBlock..<max(progress.nextBlock, grid.blocks)
        let (plan, access, slots) = plan(index, isResident: isResident, shard: shard)
        let from: Pass.Source
        switch input {
        case .resident(let states): from = .resident(states)
        case .stored(let columns):
            from = .stored(
                columns,
                Admission(
                    try cache(
                        index, plan, access, slots: slots, isOrdered: columns.record.order != nil,
                        memory: states(of: source).start, order: order),
                    access: access, plan: plan, stepsInFlight: set.stepsInFlight))
        }
        let isScored = layer == config.depth && targets != nil
        return try Pass(
            layers, engine: self, plan: plan, source: from,
            input: index == 0
                ? .tokens(try Embedding(model, length: geometry.paddedTokens, on: backend)) : .states(state.format),
            modelInput: layers.contains(where: config.isInputNeeded) ? try ModelInput(tokens, of: self) : nil,
            target: isKept ? residentStates(layer) : nil, writer: writer,
            ordering: try DelegateOrdering(model, readBy: layer + 1, on: backend),
            head: isScored ? try targets.map { (try Head(model, on: backend), $0) } : nil, progress: progress)
    }
}
