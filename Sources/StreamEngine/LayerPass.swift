import Geometry
import PageStore
import ProtonModel
import Support

/// One pass over the states: layer `layer` reads generation layer-1 and makes generation layer, window by window.
///
/// A window needs three things and finishes at once (Schedule.md): its **own** rows; its **hosts**, the patches that
/// its delegates visit; its **guests**, the delegates that visit it. Hosts come first, for they give every token of the
/// window its delegate's answer; then block by block the guests, the mix, the feed-forward, and the page goes out.
///
/// This file turns the steps of a window into stages of a pipeline: what each waits for, and nothing else, is said
/// here.
final class LayerPass {
    /// Where the generation that is read comes from.
    enum Source {
        case pages(GenerationReader, ColumnCache)
        case resident(ResidentStates)

        var grid: BlockGrid {
            switch self {
            case .pages(let reader, _): reader.grid
            case .resident(let states): states.grid
            }
        }
    }

    /// The pass: repeats of a block count.
    let layer: Int
    let engine: Engine
    let schedule: LayerSchedule
    let source: Source
    let input: InputRows
    let weights: BlockWeights
    /// The order of the states for the pass that reads them next; nil for the tokens' own.
    let ordering: DelegateOrdering?
    /// Where the new generation is in memory as a whole; nil where blocks of it are gone once they are written.
    let target: ResidentStates?
    /// nil where it stays in memory only.
    let writer: GenerationWriter?
    /// Set in the last layer, with the tokens that it predicts.
    let head: (head: Head, tokens: GenerationReader)?

    var geometry: SequenceGeometry { engine.geometry }
    var pipeline: Pipeline { engine.pipeline }
    var D: Int { engine.config.hiddenSize }
    var P: Int { engine.geometry.patchSize }
    /// Rows of s that a row's feed-forward sees before and after it.
    let reach: (before: Int, after: Int)
    let rowBytes: Int
    /// The one window is the whole sequence, and there is memory for the answers to all local rows: hosts are visited
    /// for both.
    let visitsOnce: Bool

    /// How far the layer is: touched by the stages that finish blocks, one after another.
    var progress: RunProgress
    /// Blocks and bytes that went to the store: touched by the writer.
    var appended: (blocks: Int, storedBytes: Int)
    /// A signal stopped the pass before its end.
    private(set) var isInterrupted = false
    let traffic = Locked(LayerTraffic())

    // Stages that later ones wait for, by block or window.
    private var carried: [Int: Pipeline.Stage] = [:]
    private var lookedAhead: [Int: Pipeline.Stage] = [:]
    private var hosted: [Int: [Pipeline.Stage]] = [:]
    private var mixed: [Int: Pipeline.Stage] = [:]
    /// Blocks whose mix was added, and the rest not yet.
    private var unfinished: [Int] = []
    private var targeted: Pipeline.Stage?
    private var finished: [Int: Pipeline.Stage] = [:]
    private var gone: [Int: Pipeline.Stage] = [:]
    private var loading: [Pipeline.Stage] = []
    /// Steps whose columns are held, oldest first, and the stage after which they are let go.
    private var underWay: [(step: LayerSchedule.Step, columns: Columns, last: Pipeline.Stage)] = []
    private var lastTime = -1

    init(
        _ layer: Int, engine: Engine, schedule: LayerSchedule, source: Source, input: InputRows, weights: BlockWeights,
        target: ResidentStates?, writer: GenerationWriter?,
        ordering: DelegateOrdering?, head: (Head, GenerationReader)?, progress: RunProgress
    ) {
        self.layer = layer
        self.engine = engine
        self.schedule = schedule
        self.source = source
        self.input = input
        self.weights = weights
        self.ordering = ordering
        self.target = target
        self.writer = writer
        self.head = head.map { (head: $0.0, tokens: $0.1) }
        self.progress = progress
        appended = (progress.nextBlock, progress.storedBytes)
        rowBytes = input.rowBytes(width: engine.config.hiddenSize)
        reach = engine.config.reach
        visitsOnce = engine.set.visitsOnce && schedule.windows == 0..<1 && schedule.firstBlock == 0
        engine.memory.targets.reset()
        if let first = schedule.windows.first {
            s(first).start.update(from: progress.carry, count: progress.carry.count)
        }
    }

    /// Adds a window's steps to the pipeline, as far as memory allows; its end may still be under way at return. Stops
    /// between two steps, and says so in `isInterrupted`, when a signal asks for it.
    ///
    /// - Parameter report: called with the share of the pass that is done.
    func run(window: Int, report: (Double) -> Void) throws {
        do {
            for step in schedule.steps(ofWindow: window) {
                if Interruption.isRequested {
                    isInterrupted = true
                    return
                }
                while underWay.count >= engine.set.stepsInFlight { try endOldest(report) }
                let (columns, loads) = try admit(step, report)
                switch step {
                case .hosts(let window, let group):
                    underWay.append((step, columns, addHosts(window, group, columns, after: loads)))
                case .block(let block): underWay.append((step, columns, addBlock(block, columns, after: loads)))
                }
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
                // The last block that went out knows how far the layer is.
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
    private func admit(_ step: LayerSchedule.Step, _ report: (Double) -> Void) throws -> (Columns, [Pipeline.Stage]) {
        switch source {
        case .resident(let states):
            return (.resident(states), [])
        case .pages(let reader, let cache):
            let (needs, time) = (schedule.needs(of: step), schedule.time(of: step))
            while true {
                if let (columns, loads) = try cache.admit(needs) {
                    lastTime = time
                    for load in loads {
                        for run in load.runs { reader.prefetch(.states, block: load.block, columns: run) }
                    }
                    let stage = pipeline.add(loads.count, named: "read") { [self] worker, task in
                        try read(loads[task], from: reader, into: cache, with: engine.workers[worker].reader)
                    }
                    // What an earlier step loads may be among these columns.
                    loading = loading.suffix(engine.set.stepsInFlight) + [stage]
                    return (.cached(columns), loading)
                }
                guard !underWay.isEmpty else {
                    throw Fault(
                        .inputOutput,
                        "a window's columns do not fit in the memory that was planned for them: this is a defect of bbp-stream",
                        advice: "Another --memory may avoid it.")
                }
                try endOldest(report)
            }
        }
    }

    /// Reads and decodes columns of one block into their slots.
    private func read(
        _ load: ColumnCache.Load, from generation: GenerationReader, into cache: ColumnCache, with pages: PageReader
    ) throws {
        let (bytes, seconds) = (pages.bytesRead, pages.readSeconds)
        // Columns come in the order in which they are asked for.
        var slots = load.columns.map(\.slot).makeIterator()
        var slot = 0
        try pages.read(
            generation, block: load.block, columns: load.columns.map(\.column),
            into: { _ in
                slot = slots.next() ?? slot
                return cache.values(ofSlot: slot)
            },
            indices: { _ in cache.indices(ofSlot: slot) },
            found: { column, offset, bytes in
                cache.note(offset, bytes, ofSlot: slot)
                try checkFinite(
                    UnsafeRawBufferPointer(cache.values(ofSlot: slot)), indices: cache.indices(ofSlot: slot),
                    column: column, block: load.block, of: generation)
            })
        traffic.withLock { $0.add(pages.bytesRead - bytes, load.role, seconds: pages.readSeconds - seconds) }
    }

    /// Refuses states that are not finite, whatever their checksums say; padding may hold anything.
    private func checkFinite(
        _ values: UnsafeRawBufferPointer, indices: UnsafeMutableBufferPointer<UInt16>?, column: Int, block: Int,
        of generation: GenerationReader
    ) throws {
        let patches = generation.grid.patches(ofBlock: block)
        let last = patches.upperBound == geometry.patches
        // A column's rows are of consecutive patches: padding is in the last one alone.
        for rows in last ? [0..<patches.count - 1, patches.count - 1..<patches.count] : [0..<patches.count] {
            let bytes = UnsafeRawBufferPointer(
                rebasing: values[rows.lowerBound * rowBytes..<rows.upperBound * rowBytes])
            guard let index = Finite.firstOverflow(bytes, of: generation.element) else { continue }
            let row = rows.lowerBound + index * generation.element.size / rowBytes
            let token = (patches.lowerBound + row) * P + (indices.map { Int($0[row]) } ?? column)
            if token >= geometry.tokens { continue }
            throw Fault(
                .badData, "the states of token \(token) are not finite",
                at: Place(file: generation.file, generation: generation.record.index, block: block, column: column),
                advice: PageHeader.damageAdvice)
        }
    }

    /// Waits for the oldest step under way and lets its columns go.
    private func endOldest(_ report: (Double) -> Void) throws {
        guard let oldest = underWay.first else { return }
        try pipeline.wait(for: oldest.last) { report(share(oldest.step, $0)) }
        underWay.removeFirst()
        report(share(oldest.step, 1))
        guard case .pages(let reader, let cache) = source, case .cached(let columns) = oldest.columns else { return }
        for place in cache.release(columns, at: lastTime) { reader.forget(offset: place.offset, bytes: place.bytes) }
    }

    // MARK: Stages

    /// The window's delegates ask in the patches that host them.
    private func addHosts(_ index: Int, _ group: Int, _ columns: Columns, after loads: [Pipeline.Stage])
        -> Pipeline.Stage
    {
        let window = schedule.patches(ofWindow: index)
        if group == 0 { addCarry(to: index) }
        // The buffer is free when the window before in it is done, and the one after that has taken its carry from it.
        let buffers = engine.memory.s.count
        let before = loads + [windowEnd(index - buffers), carried[index - buffers + 1]].compactMap { $0 }
        let bundles = hostBundles(of: window, group: group)
        let parts = parts(ofBundles: bundles.count)
        let stage = pipeline.add(bundles.count * parts, named: "hosts", after: before) { [self] worker, task in
            try visitHosts(
                of: window, asking: bundles[task / parts], part: task % parts, of: parts, columns: columns, s: s(index),
                worker: engine.workers[worker])
        }
        hosted[index, default: []].append(stage)
        return stage
    }

    /// The last rows of s that the next window sees go to its front.
    private func addCarry(to index: Int) {
        guard index > schedule.windows.lowerBound else { return }
        let window = schedule.patches(ofWindow: index - 1)
        let (from, to, count) = (s(index - 1).start + window.count * P * D, s(index).start, reach.before * D)
        let mixes = schedule.target.blocks(of: window).compactMap { mixed[$0] }
        carried[index] = pipeline.add(
            named: "carry",
            after: mixes + [windowEnd(index - engine.memory.s.count), carried[index - 1]].compactMap { $0 }
        ) { _, _ in to.update(from: from, count: count) }
    }

    /// Patches that rows see after their own, at most.
    private var patchesAhead: Int { (reach.after + P - 1) / P }

    /// The first rows of the next window that this one's last rows see go behind them; zeros where the sequence ends.
    /// Their mix has been added.
    private func lookAhead(from index: Int) -> Pipeline.Stage {
        if let stage = lookedAhead[index] { return stage }
        let window = schedule.patches(ofWindow: index)
        let tail = s(index).start + (reach.before + window.count * P) * D
        let next = window.upperBound..<min(geometry.patches, window.upperBound + patchesAhead)
        let (ahead, present) = (reach.after * D, min(reach.after, next.count * P) * D)
        let from = s(index + 1).start + reach.before * D
        let mixes = [schedule.target.blocks(of: window), schedule.target.blocks(of: next)].joined().compactMap {
            mixed[$0]
        }
        let stage = pipeline.add(named: "carry", after: mixes) { _, _ in
            if present > 0 { tail.update(from: from, count: present) }
            (tail + present).update(repeating: 0, count: ahead - present)
        }
        lookedAhead[index] = stage
        return stage
    }

    /// Guests and mix; and the rest of every block whose rows see nothing that is not mixed by then.
    private func addBlock(_ block: Int, _ columns: Columns, after loads: [Pipeline.Stage]) -> Pipeline.Stage {
        let index = schedule.window(ofBlock: block)
        let window = schedule.patches(ofWindow: index)
        let patches = schedule.target.patches(ofBlock: block)
        let tiles = engine.tiling.tiles(of: patches)
        let mix = pipeline.add(tiles.count, named: "mix", after: loads + (hosted[index] ?? [])) { [self] worker, task in
            try self.mix(tiles[task], window: window, columns: columns, s: s(index), engine.workers[worker].arithmetic)
        }
        mixed[block] = mix
        unfinished.append(block)
        while let first = unfinished.first, isSeen(by: first) <= patches.upperBound {
            unfinished.removeFirst()
            finishLater(first)
        }
        return mix
    }

    /// Where the patches end whose mix the rest of `block` waits for: those that its rows see, and all that its window
    /// looks ahead to where some of them are in the next one.
    private func isSeen(by block: Int) -> Int {
        let end = schedule.target.patches(ofBlock: block).upperBound + patchesAhead
        let window = schedule.patches(ofWindow: schedule.window(ofBlock: block))
        return min(geometry.patches, end <= window.upperBound ? end : window.upperBound + patchesAhead)
    }

    /// Feed-forward, and the page goes out.
    private func finishLater(_ block: Int) {
        let index = schedule.window(ofBlock: block)
        let window = schedule.patches(ofWindow: index)
        let patches = schedule.target.patches(ofBlock: block)
        let outgoing = engine.memory.outgoing[block % engine.memory.outgoing.count]
        let isFree = gone[block - engine.memory.outgoing.count].map { [$0] } ?? []
        if let tokens = head?.tokens {
            targeted = pipeline.add(named: "targets", after: isFree + (targeted.map { [$0] } ?? [])) {
                [self] worker, _ in
                let reader = engine.workers[worker].reader
                let before = reader.bytesRead
                try engine.memory.targets.load(patches, of: tokens, with: reader, into: outgoing.tokens)
                traffic.withLock { $0.tokens += reader.bytesRead - before }
            }
        }
        // The convolution sees the carry, blocks of this window, and the first rows of the next one.
        let seen = (patches.lowerBound - (reach.before + P - 1) / P..<patches.upperBound + patchesAhead)
        let reached = schedule.target.blocks(of: seen.clamped(to: window)).compactMap { mixed[$0] }
        let ahead = reach.after > 0 && seen.upperBound > window.upperBound ? lookAhead(from: index) : nil
        let strides = engine.feedForwardStrides(of: patches)
        let feed = pipeline.add(
            strides.count, named: "feed_forward",
            after: reached + isFree + [carried[index], ahead, targeted].compactMap { $0 }
        ) { [self] worker, task in
            try feedForward(
                strides[task], window: window, block: patches, s: s(index), outgoing, engine.workers[worker])
        }
        let finish = pipeline.add(named: "finish", after: [feed] + (finished[block - 1].map { [$0] } ?? [])) {
            [self] _, _ in
            finishBlock(block, window: window, s: s(index), outgoing)
        }
        finished[block] = finish
        if let writer {
            let encode = pipeline.add(P, named: "encode", after: [finish]) { [self] worker, column in
                encodeColumn(column, of: block, outgoing, engine.workers[worker].reader.codec)
            }
            gone[block] = pipeline.add(after: [encode] + (gone[block - 1].map { [$0] } ?? []), lane: .writer) {
                [self] _, _ in try append(block, outgoing, to: writer)
            }
        } else {
            gone[block] = finish
        }
    }

    /// The stage after which a window's s is read no more; nil where there is no such window.
    private func windowEnd(_ window: Int) -> Pipeline.Stage? {
        schedule.windows.contains(window)
            ? schedule.target.blocks(of: schedule.patches(ofWindow: window)).last.flatMap { finished[$0] } : nil
    }

    /// Stages of windows long past are waited for by nobody.
    private func forget(before window: Int) {
        guard
            let first = schedule.target.blocks(
                of: schedule.patches(ofWindow: max(schedule.windows.lowerBound, window - 2))
            ).first
        else { return }
        let kept = min(first, unfinished.first ?? first) - engine.memory.outgoing.count
        for block in mixed.keys where block < kept { mixed[block] = nil }
        for block in finished.keys where block < kept { finished[block] = nil }
        for block in gone.keys where block < kept { gone[block] = nil }
        (carried[window - 3], lookedAhead[window - 3], hosted[window - 3]) = (nil, nil, nil)
    }

    // MARK: Places

    func s(_ window: Int) -> Memory<Float> { engine.memory.s[window % engine.memory.s.count] }

    /// Row `token` of s.
    func row(of token: Int, window: Range<Int>, s: Memory<Float>) -> UnsafeMutablePointer<Float> {
        s.start + (reach.before + token - window.lowerBound * P) * D
    }

    /// The columns that a block's new states go to, and the token indices of their rows.
    func staged(_ block: Int, _ outgoing: OutgoingBlock) -> (
        rows: UnsafeMutablePointer<UInt8>, indices: UnsafeMutablePointer<UInt16>?
    ) {
        if let target {
            return (target.column(0, ofBlock: block), ordering == nil ? nil : target.indices(0, ofBlock: block))
        }
        return (outgoing.staged.start, ordering == nil ? nil : outgoing.indices.start)
    }

    /// The share of the pass that is done when `part` of `step` is.
    private func share(_ step: LayerSchedule.Step, _ part: Double) -> Double {
        // Of a window's time, about this goes to its hosts.
        let forHosts = visitsOnce ? 0.5 : 0.25
        switch step {
        case .hosts(let window, let group):
            let window = schedule.patches(ofWindow: window)
            return
                (Double(window.lowerBound) + forHosts * Double(window.count) * (Double(group) + part)
                / Double(schedule.groups)) / Double(geometry.patches)
        case .block(let block):
            let (window, patches) = (
                schedule.patches(ofWindow: schedule.window(ofBlock: block)), schedule.target.patches(ofBlock: block)
            )
            let inWindow = Double(patches.lowerBound - window.lowerBound) + part * Double(patches.count)
            return (Double(window.lowerBound) + forHosts * Double(window.count) + (1 - forHosts) * inWindow)
                / Double(geometry.patches)
        }
    }
}
