import Compute
import Geometry
import PageStore
import ProtonModel
import Support

/// One pass over the states: it reads one generation, takes each window through its layers, and makes one.
///
///     for step in plan.steps(ofWindow: window) {
///         columns = admit(step)                                  // what the access of the first mixer says
///         gather:  the mixer gathers a part of what the window's rows need from elsewhere
///         block:   for stretch in block {
///                      s = mix (gathered answers), x' = feed-forward(s)          // the first layer, where it gathers
///                      for layer in streams { s = mix (carry), x' = feed-forward(s) }
///                      sink: store x', or surprisal
///                  }
///                  encode, append, commit
///     }
///
/// This file turns the steps of a window into stages of a pipeline: what each waits for, and nothing else, is said
/// here.
///
/// Sendable for the tasks of its stages. They read what `init` set, and write only what is theirs while they run: rows,
/// slots and places in memory that the stages before them left free, `traffic` under its lock, `progress` in the stages
/// that finish blocks, one after another, `appended` and `progressBefore` in the writer. All else that changes is the caller's alone,
/// the one thread that `run` and `finish` are called on; it looks at `progress` and `appended` when nothing runs any more.
final class Pass: @unchecked Sendable {
    /// Where the generation that is read comes from.
    enum Source {
        case stored(any ColumnSource, Admission)
        case resident(ResidentStates)
    }

    /// The layers that it takes rows through; repeats of a block count.
    let layers: ClosedRange<Int>
    let engine: Engine
    let plan: WindowPlan
    let cut: Stretches
    let source: Source
    let input: InputRows
    /// The first layer, where its rows gather from all over the sequence.
    let gathering: Gathering?
    /// The layers after it, or all of them.
    let streams: [StreamedLayer]
    /// The order of the states for the pass that reads them next; nil for the tokens' own.
    let ordering: DelegateOrdering?
    /// Where the new generation is in memory as a whole; nil where blocks of it are let go once they are written.
    let target: ResidentStates?
    /// nil where it stays in memory only.
    let writer: GenerationWriter?
    /// The model's input of stretches, for layers that ask for it; nil where none does.
    let modelInput: ModelInput?
    /// Set in the last pass, with the tokens that it predicts.
    let head: (head: Head, tokens: TargetTokens.Source)?
    /// Told the surprisal of each block's tokens when it is finished; blocks come in their order, one at a time.
    var onScored: (@Sendable (UnsafeBufferPointer<Float>) -> Void)?

    /// A layer that gathers, and its mixer by that kind.
    struct Gathering {
        let layer: Layer
        let mixer: any GatheringMixer
        let mixed: MixedRows
    }

    var geometry: SequenceGeometry { engine.geometry }
    var pipeline: Pipeline { engine.pipeline }
    var D: Int { engine.config.hiddenSize }
    var P: Int { engine.geometry.patchSize }
    /// Rows of s that a row's feed-forward sees before and after it.
    let reach: (before: Int, after: Int)

    /// How far the pass is: touched by the stages that finish blocks, one after another.
    var progress: RunProgress
    /// Blocks and bytes that went to the store: touched by the writer.
    var appended: (blocks: Int, storedBytes: Int)
    /// Progress before the block that is appended next, where it may be the last and go on when tokens are appended.
    var progressBefore: RunProgress
    /// A signal stopped the pass before its end.
    private(set) var isInterrupted = false
    let traffic = Locked(PassTraffic())

    // Stages that later ones wait for.
    private var windows: [Int: WindowRecord] = [:]
    private var blocks: [Int: BlockRecord] = [:]
    private var stretches: [Int: StretchRecord] = [:]
    private var spans: [Int: SpanRecord] = [:]
    /// Stretches that were mixed, and the rest not yet.
    private var unfinished: [Int] = []
    private var targeted: Pipeline.Stage?
    private var loading: [Pipeline.Stage] = []
    /// Steps whose columns are held, oldest first, and the stage after which they are let go.
    private var underWay: [(step: WindowPlan.Step, last: Pipeline.Stage)] = []

    private struct WindowRecord {
        /// The parts that were gathered.
        var gathered: [Pipeline.Stage] = []
    }

    private struct BlockRecord {
        /// All of it, and every block before it, was mixed: what its window gathered is not needed for it any more.
        var mixed: Pipeline.Stage?
        /// What its layers carry on was kept.
        var kept: [Pipeline.Stage] = []
        /// Its last stretches went through the feed-forward.
        var fed: [Pipeline.Stage] = []
        var finished: Pipeline.Stage?
        var written: Pipeline.Stage?
    }

    private struct StretchRecord {
        var mixed: Pipeline.Stage
    }

    private struct SpanRecord {
        /// The rows before it are there; those after it are.
        var carried: Pipeline.Stage?
        var lookedAhead: Pipeline.Stage?
        /// Stages that read it.
        var readers: [Pipeline.Stage] = []
    }

    init(
        _ layers: ClosedRange<Int>, engine: Engine, plan: WindowPlan, source: Source,
        input: InputRows, modelInput: ModelInput?, target: ResidentStates?, writer: GenerationWriter?,
        ordering: DelegateOrdering?, head: (Head, TargetTokens.Source)?, progress: RunProgress
    ) throws {
        self.layers = layers
        self.engine = engine
        self.plan = plan
        self.source = source
        self.input = input
        self.modelInput = modelInput
        self.ordering = ordering
        self.target = target
        self.writer = writer
        self.head = head.map { (head: $0.0, tokens: $0.1) }
        self.progress = progress
        appended = (progress.nextBlock, progress.storedBytes)
        progressBefore = progress
        reach = engine.config.reach
        cut = Stretches(plan: plan, length: engine.set.stretchPatches, isLookingAhead: reach.after > 0)
        var prepared = try engine.layers(layers)
        if let mixer = prepared[0].mixer as? any GatheringMixer, let mixed = engine.memory.mixed {
            gathering = Gathering(layer: prepared.removeFirst(), mixer: mixer, mixed: mixed)
        } else {
            gathering = nil
        }
        streams = try zip(layers.suffix(prepared.count), prepared).map { number, layer in
            try StreamedLayer(layer, number: number, of: engine)
        }
        engine.memory.targets.reset()
        try takeUp(progress.carries)
    }

    /// Goes on where an earlier run, or the rank before, was: at the first block that is to be written.
    ///
    /// - Parameter carries: of every layer; empty at the beginning of the sequence, before which all rows are zero.
    private func takeUp(_ carries: [[UInt8]]) throws {
        guard !plan.shard.isEmpty else { return }
        let (lane, first) = (engine.workers[0].tools.lane, cut.inBlock(plan.shard.lowerBound).lowerBound)
        var carries = carries[...]
        if gathering != nil {
            let rows = s(cut.span(of: first))[0..<reach.before]
            if let carry = carries.popFirst() {
                carry.withUnsafeBytes { bytes in
                    bytes.withMemoryRebound(to: Float.self) { values in
                        if let start = values.baseAddress { lane.upload(start, to: rows) }
                    }
                }
            } else {
                // The memory is that of the pass before.
                lane.zero(rows)
            }
        }
        let next = plan.target.patches(ofBlock: plan.shard.lowerBound).lowerBound * P
        for (stream, carry) in zip(streams, carries) {
            try stream.restore(carry, before: next, of: first, with: engine.workers[0].tools)
        }
        try lane.finish()
    }

    /// Adds a window's steps to the pipeline, as far as memory allows; its end may still be under way at return. Stops
    /// between two steps, and says so in `isInterrupted`, when a signal asks for it.
    ///
    /// - Parameter report: called with the share of the pass that is done.
    func run(window: Int, report: (Double) -> Void) throws {
        do {
            for step in plan.steps(ofWindow: window) {
                if Interruption.isRequested {
                    isInterrupted = true
                    return
                }
                let (columns, loads) = try admit(step, report)
                let last =
                    switch step {
                    case .gather(let window, let part): try gather(window, part: part, columns, after: loads)
                    case .block(let block): try addBlock(block, columns, after: loads)
                    }
                underWay.append((step, last))
            }
            forget(before: window)
        } catch {
            pipeline.abandon()
            throw error
        }
    }

    /// Waits until all that was added is done; commits what a stop left uncommitted.
    func finish(report: (Double) -> Void) throws {
        do {
            while !underWay.isEmpty { try endOldest(report) }
            try pipeline.drain()
            if let writer, isInterrupted, writer.uncommittedBytes > 0 {
                // The last block that went out knows how far the pass is.
                let last = engine.memory.outgoing[(appended.blocks - 1) % engine.memory.outgoing.count]
                pipeline.add(lane: .writer) { _, _ in try writer.commit(progress: last.progress.bytes) }
                try pipeline.drain()
            }
        } catch {
            pipeline.abandon()
            throw error
        }
    }

    // MARK: Columns in

    /// Brings what `step` reads into memory: where it is, and the stages after which it is there.
    private func admit(_ step: WindowPlan.Step, _ report: (Double) -> Void) throws -> (Columns, [Pipeline.Stage]) {
        switch source {
        case .resident(let states):
            while underWay.count >= engine.set.stepsInFlight { try endOldest(report) }
            return (.resident(states), [])
        case .stored(let generation, let admission):
            let (columns, loads) = try admission.admit(step) { try endOldest(report) }
            for load in loads {
                for run in load.runs { generation.prefetch(block: load.block, columns: run) }
            }
            let cache = admission.cache
            let stage = pipeline.add(loads.count, named: "read") { [self] worker, task in
                try read(loads[task], from: generation, into: cache, with: engine.workers[worker].reader)
            }
            // What an earlier step loads may be among these columns.
            loading = loading.suffix(engine.set.stepsInFlight) + [stage]
            return (.cached(columns), loading)
        }
    }

    /// Waits for the oldest step under way and lets its columns go.
    private func endOldest(_ report: (Double) -> Void) throws {
        guard let oldest = underWay.first else { return }
        try pipeline.wait(for: oldest.last) { report(share(oldest.step, $0)) }
        underWay.removeFirst()
        report(share(oldest.step, 1))
        guard case .stored(let generation, let admission) = source else { return }
        for place in admission.endOldest() {
            generation.forget(block: place.block, offset: place.offset, bytes: place.bytes)
        }
    }

    // MARK: Stages of a window

    /// A part of what the window's rows gather.
    private func gather(_ index: Int, part: Int, _ columns: Columns, after loads: [Pipeline.Stage]) throws
        -> Pipeline.Stage
    {
        guard let gathering else { return pipeline.add(0, after: loads) { _, _ in } }
        let answers = try engine.answers(of: index, to: gathering.mixer)
        // The memory is free when the window before in it was mixed.
        let before = index - engine.set.windowsInFlight
        let whenFree =
            plan.windows.contains(before)
            ? plan.blocks(ofWindow: before).last.flatMap { blocks[$0]?.mixed }.map { [$0] } ?? [] : []
        let tasks = gathering.mixer.tasks(ofPart: part, ofWindow: index, in: plan, answers: answers)
        let stage = pipeline.add(tasks, named: "hosts", after: loads + whenFree) { [self] worker, task in
            try placed {
                try gathering.mixer.gather(
                    task, of: tasks, part: part, window: index, in: plan, from: columns, as: input, into: answers,
                    with: engine.workers[worker].tools)
            }
        }
        windows[index, default: WindowRecord()].gathered.append(stage)
        return stage
    }

    /// Says where stored rows lie that are not what they can be.
    private func placed<R>(_ body: () throws -> R) throws -> R {
        do {
            return try body()
        } catch var fault as Fault {
            guard case .stored(let reader, _) = source, fault.place.file == nil, fault.kind == .badData else {
                throw fault
            }
            (fault.place.file, fault.place.generation) = (reader.file, reader.record.index)
            fault.advice = PageHeader.damageAdvice
            throw fault
        }
    }

    // MARK: Stages of a block

    /// A block through all layers, stretch by stretch.
    ///
    /// - Returns: the stage after which its columns are not read any more.
    private func addBlock(_ block: Int, _ columns: Columns, after loads: [Pipeline.Stage]) throws -> Pipeline.Stage {
        let all = cut.inBlock(block)
        var read: [Pipeline.Stage] = []
        for index in all {
            if gathering != nil {
                let mixed = try mix(index, ofBlock: block, columns, after: loads)
                read.append(mixed)
                unfinished.append(index)
                let end = cut.patches(of: index).upperBound
                while let first = unfinished.first, lookAheadEnd(of: first) <= end {
                    unfinished.removeFirst()
                    feed(first)
                }
            } else {
                let loaded = streams[0].load(
                    cut.patches(of: index), from: columns, as: input, after: loads, at: index
                ) { [self] body in try placed(body) }
                read.append(loaded)
                stream(index, after: [loaded])
            }
        }
        let before = block > plan.shard.lowerBound ? blocks[block - 1]?.mixed.map { [$0] } ?? [] : []
        let mixed = pipeline.add(0, after: read + before) { _, _ in }
        blocks[block, default: BlockRecord()].mixed = mixed
        return mixed
    }

    /// s of a stretch in the layer that gathers.
    private func mix(_ index: Int, ofBlock block: Int, _ columns: Columns, after loads: [Pipeline.Stage]) throws
        -> Pipeline.Stage
    {
        guard let gathering else { return pipeline.add(0, after: loads) { _, _ in } }
        let window = plan.window(ofBlock: block)
        let answers = try engine.answers(of: window, to: gathering.mixer)
        let patches = cut.patches(of: index)
        let span = cut.span(of: index)
        let rows = row(ofPatch: patches.lowerBound, inSpan: span)
        let s = s(span)
        carry(to: span)
        let whenFree = openSpan(span)
        let tiles = engine.tiles(of: patches)
        let mixed = pipeline.add(
            tiles.count, named: "mix", after: loads + (windows[window]?.gathered ?? []) + whenFree
        ) { [self] worker, task in
            let tile = tiles[task]
            let first = rows + (tile.lowerBound - patches.lowerBound) * P
            try placed {
                try gathering.mixer.mix(
                    tile, window: window, in: plan, from: columns, as: input, answers: answers,
                    with: engine.workers[worker].tools, into: s[first..<first + tile.count * P])
            }
        }
        stretches[index] = StretchRecord(mixed: mixed)
        return mixed
    }

    /// Where the patches end whose mix the rest of a stretch waits for: those that its rows see, and all that its span
    /// looks ahead to where some of them are in the next one.
    private func lookAheadEnd(of index: Int) -> Int {
        let end = cut.patches(of: index).upperBound + patchesAhead
        let span = cut.patches(ofSpan: cut.span(of: index))
        return min(geometry.patches, end <= span.upperBound ? end : span.upperBound + patchesAhead)
    }

    /// The feed-forward of the layer that gathers, and what follows.
    private func feed(_ index: Int) {
        guard let gathering else { return }
        let patches = cut.patches(of: index)
        let span = cut.span(of: index)
        let spanPatches = cut.patches(ofSpan: span)
        // The convolution sees the rows before the span, stretches of it, and the first rows of the next one.
        let seen = (patches.lowerBound - (reach.before + P - 1) / P..<patches.upperBound + patchesAhead)
        let reached = cut.holding(seen.clamped(to: spanPatches)).compactMap { stretches[$0]?.mixed }
        let ahead = reach.after > 0 && seen.upperBound > spanPatches.upperBound ? lookAhead(from: span) : nil
        let first = row(ofPatch: patches.lowerBound, inSpan: span)
        let s = s(span)
        let before = reached + [spans[span]?.carried, ahead].compactMap { $0 }
        let fed = add(
            gathering.layer.feedForward, of: layers.lowerBound, index,
            s: { [self] in
                s[first - reach.before + $0..<first + $1 + reach.after]
            }, after: before, next: streams.first)
        spans[span, default: SpanRecord()].readers.append(fed)
        let block = cut.block(of: index)
        if index == cut.inBlock(block).upperBound - 1 {
            keep(block, after: reached + before) { [self] carry, tools in
                // The last rows of the block.
                let end = first + patches.count * P
                carry = Array(repeating: 0, count: reach.before * D * 4)
                carry.withUnsafeMutableBytes {
                    $0.withMemoryRebound(to: Float.self) { values in
                        guard let start = values.baseAddress else { return }
                        tools.lane.download(s[end - reach.before..<end], to: start)
                    }
                }
                try tools.lane.finish()
            }.map { spans[span, default: SpanRecord()].readers.append($0) }
        }
        if streams.isEmpty { sink(index, after: fed) } else { stream(index, after: [fed]) }
    }

    /// A stretch through the streaming layers, whose input is there after `before`.
    private func stream(_ index: Int, after before: [Pipeline.Stage]) {
        let patches = cut.patches(of: index)
        let block = cut.block(of: index)
        let isLast = index == cut.inBlock(block).upperBound - 1
        let (rows, end) = (patches.count * P, patches.upperBound * P)
        var before = before
        let input = modelInput.map { embed(index, patches, of: block, with: $0) }
        for (number, layer) in streams.enumerated() {
            let mixed = layer.mix(
                index, patches, input: input?.rows, previous: cut.before(index),
                after: before + (number == 0 ? input.map { [$0.ready] } ?? [] : []))
            let fed = add(
                layer.layer.feedForward, of: layer.number, index, s: { [self] in layer.s(index, $0, $1, reach) },
                after: mixed, next: number + 1 < streams.count ? streams[number + 1] : nil)
            layer.fed(index, fed)
            if isLast {
                keep(block, after: mixed) { carry, tools in
                    carry = try layer.save(before: end, of: index, rows: rows, with: tools)
                }.map { layer.keeps(index, $0) }
            }
            before = [fed]
        }
        if let last = before.first { sink(index, after: last) }
    }

    /// The model's input of a stretch, and the stage after which it is there.
    private func embed(_ index: Int, _ patches: Range<Int>, of block: Int, with input: ModelInput) -> (
        rows: Rows, ready: Pipeline.Stage
    ) {
        let rows = input.rows(index)
        let tiles = engine.tiles(of: patches)
        let (outgoing, first) = (outgoing(block), plan.target.patches(ofBlock: block).lowerBound)
        // The last layer is the last one that reads what was in its memory.
        let whenFree = streams.last?.whenFree(index) ?? []
        let stage = pipeline.add(tiles.count, named: "embed", after: free(block) + whenFree) { [self] worker, task in
            let tile = tiles[task]
            let own = (tile.lowerBound - patches.lowerBound) * P..<(tile.upperBound - patches.lowerBound) * P
            try input.embed(
                outgoing.tokens.start + (tile.lowerBound - first) * P, from: tile.lowerBound * P, into: rows[own],
                with: engine.workers[worker].tools)
        }
        return (rows, stage)
    }

    /// The feed-forward of a stretch.
    ///
    /// - Parameters:
    ///   - s: gives the rows that rows of the stretch see, by the first of these and the end.
    ///   - next: the layer whose input it makes; nil for the last one's states.
    private func add(
        _ feedForward: FeedForward, of layer: Int, _ index: Int, s: @escaping @Sendable (Int, Int) -> Rows,
        after before: [Pipeline.Stage], next: StreamedLayer?
    ) -> Pipeline.Stage {
        let patches = cut.patches(of: index)
        let strides = engine.feedForwardStrides(of: patches)
        let block = cut.block(of: index)
        let outgoing = outgoing(block)
        let whenFree = next.map { $0.whenFree(index) } ?? free(block)
        return pipeline.add(strides.count, named: "feed_forward", after: before + whenFree) { [self] worker, task in
            let stride = strides[task]
            let worker = engine.workers[worker]
            let room = try worker.tools.room(FeedForwardRoom.self)
            let rows = (stride.lowerBound - patches.lowerBound) * P..<(stride.upperBound - patches.lowerBound) * P
            let output = next.map { $0.x(index)[rows] } ?? room.output[0..<rows.count]
            feedForward.run(
                s(rows.lowerBound, rows.upperBound), first: stride.lowerBound * P, with: room, on: worker.tools.lane,
                into: output)
            try check(output, stride, of: layer, isStored: next != nil || isStored, on: worker.tools.lane)
            if next != nil {
                // As if they had been stored, so that the bits are those of layer after layer.
                worker.tools.lane.round(output, to: engine.state.format)
            } else {
                try deliver(output, stride, of: block, outgoing, worker)
            }
            try worker.tools.lane.finish()
        }
    }

    /// Keeps what a layer carries on from the end of a block; layers come in their order.
    private func keep(
        _ block: Int, after before: [Pipeline.Stage],
        _ body: @escaping @Sendable (_ carry: inout [UInt8], LaneTools) throws -> Void
    ) -> Pipeline.Stage? {
        let outgoing = outgoing(block)
        let place = blocks[block]?.kept.count ?? 0
        // One after another: they share a list.
        let earlier = blocks[block]?.kept.last.map { [$0] } ?? []
        let stage = pipeline.add(named: "keep", after: before + earlier + free(block)) { [self] worker, _ in
            if place == 0 { outgoing.carries = [] }
            var carry: [UInt8] = []
            try body(&carry, engine.workers[worker].tools)
            outgoing.carries.append(carry)
        }
        blocks[block, default: BlockRecord()].kept.append(stage)
        return stage
    }

    /// The stretch's new states were delivered: with the last one, the block is finished and goes out.
    private func sink(_ index: Int, after fed: Pipeline.Stage) {
        let block = cut.block(of: index)
        blocks[block, default: BlockRecord()].fed.append(fed)
        guard index == cut.inBlock(block).upperBound - 1, let record = blocks[block] else { return }
        let outgoing = outgoing(block)
        let before = block > plan.shard.lowerBound ? blocks[block - 1] : nil
        let finish = pipeline.add(
            named: "finish", after: record.fed + record.kept + (before?.finished.map { [$0] } ?? [])
        ) { [self] _, _ in
            finishBlock(block, outgoing)
        }
        blocks[block]?.finished = finish
        guard let writer else {
            blocks[block]?.written = finish
            return
        }
        let encode = pipeline.add(P, named: "encode", after: [finish]) { [self] worker, column in
            encodeColumn(column, of: block, outgoing, engine.workers[worker].reader.codec)
        }
        blocks[block]?.written = pipeline.add(
            after: [encode] + (before?.written.map { [$0] } ?? []), lane: .writer
        ) { [self] _, _ in try append(block, outgoing, to: writer) }
    }

    /// The block's place on its way out, and the stages after which it is free: the block before in it went out, and
    /// its tokens are there, where they are to be predicted or embedded.
    private func outgoing(_ block: Int) -> OutgoingBlock {
        engine.memory.outgoing[block % engine.memory.outgoing.count]
    }

    private func free(_ block: Int) -> [Pipeline.Stage] {
        if let known = freed, known.block == block { return known.stages }
        let written = blocks[block - engine.memory.outgoing.count]?.written.map { [$0] } ?? []
        var stages = written
        if let tokens = modelInput?.tokens ?? head?.tokens {
            let (patches, outgoing) = (plan.target.patches(ofBlock: block), outgoing(block))
            let stage = pipeline.add(named: "targets", after: written + (targeted.map { [$0] } ?? [])) {
                [self] worker, _ in
                let reader = engine.workers[worker].reader
                let before = reader.bytesRead
                try engine.memory.targets.load(patches, of: tokens, with: reader, into: outgoing.tokens)
                traffic.withLock { $0.tokens += reader.bytesRead - before }
            }
            targeted = stage
            stages.append(stage)
        }
        freed = (block, stages)
        return stages
    }
    private var freed: (block: Int, stages: [Pipeline.Stage])?

    // MARK: Spans of s

    /// Patches that rows see after their own, at most.
    private var patchesAhead: Int { (reach.after + P - 1) / P }

    /// - Returns: the stages after which the memory of a span is free.
    private func openSpan(_ span: Int) -> [Pipeline.Stage] {
        guard let count = gathering?.mixed.spans.count, let before = spans[span - count] else { return [] }
        // What reads it, and the one after that takes its first rows from it.
        return before.readers + [spans[span - count + 1]?.carried].compactMap { $0 }
    }

    /// The last rows of s that the next span sees go to its front.
    private func carry(to span: Int) {
        guard spans[span]?.carried == nil, let earlier = cut.spanBefore(span) else {
            spans[span] = spans[span] ?? SpanRecord()
            return
        }
        let patches = cut.patches(ofSpan: earlier)
        let (from, to, before) = (s(earlier), s(span), reach.before)
        let mixes = cut.holding(patches).compactMap { stretches[$0]?.mixed }
        let count = patches.count * P
        let stage = pipeline.add(
            named: "carry", after: mixes + openSpan(span) + [spans[earlier]?.carried].compactMap { $0 }
        ) { [self] worker, _ in
            let lane = engine.workers[worker].tools.lane
            lane.copy(from[count..<count + before], to: to[0..<before])
            try lane.finish()
        }
        spans[span, default: SpanRecord()].carried = stage
    }

    /// The first rows of the next span that this one's last rows see go behind them; zeros where the sequence ends.
    /// Their mix has been added.
    private func lookAhead(from span: Int) -> Pipeline.Stage {
        if let stage = spans[span]?.lookedAhead { return stage }
        let patches = cut.patches(ofSpan: span)
        let end = reach.before + patches.count * P
        let tail = s(span)[end..<end + reach.after]
        let next = patches.upperBound..<min(geometry.patches, patches.upperBound + patchesAhead)
        let present = min(reach.after, next.count * P)
        let from = s(span + 1)[reach.before..<reach.before + present]
        let mixes = [cut.holding(patches), cut.holding(next)].joined().compactMap { stretches[$0]?.mixed }
        let stage = pipeline.add(named: "carry", after: mixes) { [self] worker, _ in
            let lane = engine.workers[worker].tools.lane
            if present > 0 { lane.copy(from, to: tail[0..<present]) }
            if present < tail.count { lane.zero(tail[present..<tail.count]) }
            try lane.finish()
        }
        spans[span, default: SpanRecord()].lookedAhead = stage
        if present > 0 { spans[span + 1, default: SpanRecord()].readers.append(stage) }
        return stage
    }

    /// Stages of windows long past are waited for by nobody.
    private func forget(before window: Int) {
        let oldest = plan.blocks(ofWindow: max(plan.windows.lowerBound, window - 2)).lowerBound
        let kept = min(oldest, unfinished.first.map(cut.block(of:)) ?? oldest) - engine.memory.outgoing.count - 1
        blocks = blocks.filter { $0.key >= kept }
        windows = windows.filter { $0.key >= window - 2 }
        let stretch = cut.inBlock(max(0, kept)).lowerBound
        stretches = stretches.filter { $0.key >= stretch }
        let span = cut.span(of: stretch)
        spans = spans.filter { $0.key >= span - 1 }
        for stream in streams { stream.forget(before: stretch) }
    }

    // MARK: Places

    private func s(_ span: Int) -> Rows {
        guard let spans = gathering?.mixed.spans else { return streams[0].x(0) }
        return spans[span % spans.count]
    }

    /// Where a patch's rows begin in its span.
    private func row(ofPatch patch: Int, inSpan span: Int) -> Int {
        reach.before + (patch - cut.patches(ofSpan: span).lowerBound) * P
    }

    /// The share of the pass that is done when `part` of `step` is.
    private func share(_ step: WindowPlan.Step, _ part: Double) -> Double {
        let gathered =
            gathering.map { gathering in
                (try? engine.answers(of: 0, to: gathering.mixer)).map {
                    gathering.mixer.gatheringShare(in: plan, answers: $0)
                } ?? 0
            } ?? 0
        switch step {
        case .gather(let window, let index):
            let window = plan.patches(ofWindow: window)
            return
                (Double(window.lowerBound) + gathered * Double(window.count) * (Double(index) + part)
                / Double(plan.parts)) / Double(geometry.patches)
        case .block(let block):
            let (window, patches) = (
                plan.patches(ofWindow: plan.window(ofBlock: block)), plan.target.patches(ofBlock: block)
            )
            let inWindow = Double(patches.lowerBound - window.lowerBound) + part * Double(patches.count)
            return (Double(window.lowerBound) + gathered * Double(window.count) + (1 - gathered) * inWindow)
                / Double(geometry.patches)
        }
    }
}

extension Element {
    /// The format of stored states; tokens are none.
    var format: RowFormat { self == .bf16 ? .bf16 : .f32 }
}
