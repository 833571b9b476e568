import Geometry
import PageStore
import Support

/// Generations that are in memory alone, brought to disk where the work in them would be lost.
extension ForwardRun {
    /// A run in memory writes the states of a finished pass to disk when this long has passed since anything was durable.
    static let checkpointSeconds = 300.0

    /// Writes a finished pass's states to disk, so that little is lost if the machine stops. That it cannot be written is no
    /// reason to stop: the run needs no disk for it.
    func checkpoint(_ layer: Int, _ engine: Engine, plan: ForwardPlan) {
        observer.note("Writing layer \(layer) to disk, so that little is lost if the machine stops.")
        do {
            try spill(layer, engine, plan: plan)
        } catch {
            observer.note("It could not be written: \(error)")
            engine.pipeline.recover()
            lastDurable = Stopwatch()
        }
    }

    /// Writes generation `layer`, which is complete in memory, and publishes it.
    func spill(_ layer: Int, _ engine: Engine, plan: ForwardPlan) throws {
        // Named in the manifest when it is whole: until then it is a leftover.
        var record = newRecord(layer, plan: plan)
        do {
            record.storedBytes = try writeBlocks(
                0..<engine.grid.blocks, of: layer, record: record, progress: nil, engine)
        } catch {
            // The run may go on without it, on a disk that is full of it.
            try? File.remove("\(store.directory)/\(record.directory)")
            throw error
        }
        record.isComplete = true
        try publish(record, plan: plan)
    }

    /// Writes what is in memory alone of what `pass` reads and has made, so that another process goes on from there.
    func spillBegun(_ pass: Pass, _ engine: Engine, plan: ForwardPlan) throws {
        let source = pass.layers.lowerBound - 1
        if source > 0 && store.manifest.generation(source) == nil { try spill(source, engine, plan: plan) }
        if pass.writer != nil || pass.progress.nextBlock == 0 { return }
        let record = newRecord(pass.layers.upperBound, plan: plan)
        _ = try writeBlocks(
            0..<pass.progress.nextBlock, of: pass.layers.upperBound, record: record, progress: pass.progress, engine)
        // Named when its last block and its progress are there: until then it is a leftover.
        try name(record)
    }

    /// Encodes and appends blocks of a generation in memory.
    ///
    /// - Parameter progress: committed with the last of them; nil for a whole generation.
    /// - Returns: bytes of the pages.
    private func writeBlocks(
        _ blocks: Range<Int>, of layer: Int, record: GenerationRecord, progress: RunProgress?, _ engine: Engine
    ) throws -> Int {
        let states = engine.residentStates(layer)
        observer.note(
            "Writing \(ByteCount.text(states.grid.patches(ofBlock: blocks.upperBound - 1).upperBound * states.columns * states.rowBytes)) of layer \(layer) from memory."
        )
        let P = engine.geometry.patchSize
        let writer = try GenerationWriter(store: store.directory, identity: store.identity(of: record), record: record)
        // The writer alone adds to it; the lock is for the compiler, once a block.
        let stored = Locked(0)
        var gone: [Pipeline.Stage] = []
        for block in blocks {
            let patches = engine.grid.patches(ofBlock: block)
            let header = PageHeader(
                element: engine.state, generation: layer, block: block, firstPatch: patches.lowerBound,
                patches: patches.count, columns: P, width: record.width,
                isOrdered: states.order != nil)
            let pages = engine.memory.outgoing[block % engine.memory.outgoing.count].pages
            let isFree =
                gone.count >= engine.memory.outgoing.count ? [gone[gone.count - engine.memory.outgoing.count]] : []
            let encode = engine.pipeline.add(P, after: isFree) { worker, column in
                pages.encode(
                    column, of: header, values: states.column(column, ofBlock: block),
                    indices: states.indices(column, ofBlock: block), with: engine.workers[worker].reader.codec)
            }
            gone.append(
                engine.pipeline.add(after: [encode] + gone.suffix(1), lane: .writer) { _, _ in
                    let page = pages.finish(header)
                    try writer.append(.states, block: block, page: page)
                    let bytes = stored.withLock { stored in
                        stored += page.count
                        return stored
                    }
                    if block == blocks.upperBound - 1 {
                        var progress = progress
                        progress?.storedBytes = bytes
                        try writer.commit(progress: progress?.bytes ?? [])
                    } else if writer.uncommittedBytes >= engine.set.commitBytes {
                        try writer.commit(progress: [])
                    }
                })
            // Stages are many where blocks are; those long done are let go.
            if gone.count > 64 {
                try engine.pipeline.wait(for: gone[32])
                gone.removeFirst(32)
            }
        }
        try engine.pipeline.drain()
        // With progress it is a part, whose next block another process computes.
        if progress == nil { try writer.finish() } else { try writer.sync() }
        return stored.withLock { $0 }
    }
}
