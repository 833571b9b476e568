import Compute
import Geometry
import PageStore
import ProtonModel
import Support

/// The end of a pass: new states are checked, stored and scored, and blocks go out.
extension Pass {
    /// Whether new states are stored, in memory or on disk.
    var isStored: Bool { target != nil || writer?.record.holds(.states) == true }

    /// Refuses states that are not finite, which must never pass for results.
    ///
    /// - Parameter isStored: whether they are rounded to the states' number format.
    /// - Throws: `Fault` (`badData`) naming the first token.
    func check(_ states: Rows, _ patches: Range<Int>, of layer: Int, isStored: Bool, on lane: any Lane) throws {
        let first = patches.lowerBound * P
        let tokens = min(patches.count * P, geometry.tokens - first)
        let limit = (isStored ? engine.state.format : .f32).limit
        guard tokens > 0, let index = try lane.firstAbove(limit, in: states[0..<tokens]) else { return }
        var row = [Float](repeating: 0, count: D)
        lane.download(states[index / D..<index / D + 1], to: &row)
        try lane.finish()
        throw overflow(row[index % D], "states", layer: layer, token: first + index / D)
    }

    private func overflow(_ value: Float, _ what: String, layer: Int, token: Int) -> Fault {
        let isTooLong = value.isFinite
        return Fault(
            .badData,
            "layer \(layer) gives token \(token) \(what) of \(value.isNaN ? "NaN" : "\(value)"), "
                + (isTooLong
                    ? "which bf16 does not hold"
                    : "which is no result: the weights are finite, but what they compute overflows"),
            at: Place(file: engine.model.directory),
            advice: isTooLong ? nil : "The model cannot be run over this sequence.",
            remedies: isTooLong ? [.storeF32] : [])
    }

    /// Stores the new states of a few tiles of a block in the states' number format, and in the last pass scores what
    /// follows from them.
    func deliver(_ states: Rows, _ patches: Range<Int>, of number: Int, _ outgoing: OutgoingBlock, _ worker: Worker)
        throws
    {
        let block = plan.target.patches(ofBlock: number)
        let lane = worker.tools.lane
        if isStored {
            let rowBytes = D * engine.state.size
            let row = patches.lowerBound - block.lowerBound
            let (columns, indices) = staged(number, outgoing)
            if let ordering {
                try worker.tools.room(OrderingRoom.self).order(
                    patches, states: states, by: ordering, on: lane, into: worker.order.start)
            }
            lane.store(
                states, columns: P, order: ordering == nil ? nil : UnsafePointer(worker.order.start),
                as: engine.state.format
            ) {
                UnsafeMutableRawPointer(columns + ($0 * block.count + row) * rowBytes)
            }
            if let indices {
                for column in 0..<P {
                    for patch in 0..<patches.count {
                        indices[column * block.count + row + patch] = worker.order[patch * P + column]
                    }
                }
            }
        }
        if let head {
            let first = (patches.lowerBound - block.lowerBound) * P
            let count = min(patches.count * P, geometry.tokens - 1 - patches.lowerBound * P)
            if count > 0 {
                let bits = outgoing.bits.start + first + 1
                head.head.surprisal(
                    states[0..<count], targets: outgoing.tokens.start + first + 1, on: lane, bits: bits)
                try lane.finish()
                if let index = Finite.firstOverflow(bits, count: count) {
                    throw overflow(
                        bits[index], "surprisal", layer: layers.upperBound, token: patches.lowerBound * P + 1 + index)
                }
            }
        }
    }

    /// The columns that a block's new states go to, and the token indices of their rows.
    private func staged(_ block: Int, _ outgoing: OutgoingBlock) -> (
        rows: UnsafeMutablePointer<UInt8>, indices: UnsafeMutablePointer<UInt16>?
    ) {
        if let target {
            return (target.column(0, ofBlock: block), ordering == nil ? nil : target.indices(0, ofBlock: block))
        }
        return (outgoing.staged.start, ordering == nil ? nil : outgoing.indices.start)
    }

    /// Joins the block to the one before: surprisal is added up in token order.
    func finishBlock(_ block: Int, _ outgoing: OutgoingBlock) {
        let patches = plan.target.patches(ofBlock: block)
        let count = patches.count * P
        if head != nil {
            let first = patches.lowerBound * P
            outgoing.bits[0] = progress.nextBits
            progress.nextBits = first + count < geometry.tokens ? outgoing.bits[count] : .nan
            for position in 0..<count {
                let token = first + position
                if token >= geometry.tokens { outgoing.bits[position] = .nan }
                if token >= 1 && token < geometry.tokens && outgoing.tokens[position] < 256 {
                    progress.bits += Double(outgoing.bits[position])
                    progress.bitsCount += 1
                }
            }
        }
        if head != nil, let onScored {
            onScored(UnsafeBufferPointer(start: UnsafePointer(outgoing.bits.start), count: count))
        }
        progress.nextBlock = block + 1
        progress.carries = outgoing.carries
        outgoing.progress = progress
    }

    private func header(_ table: PageTable, _ block: Int) -> PageHeader {
        let patches = plan.target.patches(ofBlock: block)
        return PageHeader(
            element: table == .states ? engine.state : .f32, generation: layers.upperBound, block: block,
            firstPatch: patches.lowerBound, patches: patches.count, columns: P,
            width: table == .states ? D : 1, isOrdered: table == .states && ordering != nil)
    }

    func encodeColumn(_ column: Int, of block: Int, _ outgoing: OutgoingBlock, _ codec: ColumnCodec) {
        guard let record = writer?.record else { return }
        if record.holds(.states) {
            let header = header(.states, block)
            let (rows, indices) = staged(block, outgoing)
            outgoing.pages.encode(
                column, of: header, values: rows + column * header.columnBytes,
                indices: indices.map { $0 + column * header.patches }, with: codec)
        }
        if record.holds(.surprisal) {
            let header = header(.surprisal, block)
            let values = outgoing.bitColumns.start + column * header.patches
            for patch in 0..<header.patches { values[patch] = outgoing.bits[patch * P + column] }
            outgoing.surprisalPages.encode(column, of: header, values: values, with: codec)
        }
    }

    /// Appended bytes that make a commit due. Where surprisal alone is written, about as many rows do as where states
    /// are, and eight times what the progress takes.
    private func dueBytes(_ writer: GenerationWriter, carries: [[UInt8]]) -> Int {
        let commit = engine.set.commitBytes
        if writer.record.holds(.states) { return commit }
        let carried = carries.reduce(0) { $0 + $1.count }
        return min(commit, max(commit / (D * engine.state.size / Element.f32.size + 1), 8 * carried))
    }

    /// Appends the block's pages; commits when enough has gathered, and after the last block.
    func append(_ block: Int, _ outgoing: OutgoingBlock, to writer: GenerationWriter) throws {
        if writer.record.holds(.states) {
            let page = outgoing.pages.finish(header(.states, block))
            try writer.append(.states, block: block, page: page)
            appended.storedBytes += page.count
            traffic.withLock { $0.written += page.count }
        }
        if writer.record.holds(.surprisal) {
            let page = outgoing.surprisalPages.finish(header(.surprisal, block))
            try writer.append(.surprisal, block: block, page: page)
            traffic.withLock { $0.results += page.count }
        }
        appended.blocks = block + 1
        outgoing.progress.storedBytes = appended.storedBytes
        let isLast = block == plan.target.blocks - 1
        if block == plan.shard.upperBound - 1 || writer.uncommittedBytes >= dueBytes(writer, carries: outgoing.carries)
        {
            // Nothing goes on in a model that reads rows from all over the sequence.
            let tail = isLast && engine.config.isStreaming ? progressBefore.tail : nil
            try writer.commit(progress: outgoing.progress.bytes, tail: tail)
        }
        progressBefore = outgoing.progress
    }
}

/// Pages in.
extension Pass {
    /// Reads and decodes columns of one block into their slots.
    func read(
        _ load: ColumnCache.Load, from generation: any ColumnSource, into cache: ColumnCache, with pages: PageReader
    ) throws {
        let (bytes, seconds) = (pages.bytesRead, pages.readSeconds)
        // Columns come in the order in which they are asked for.
        var slots = load.columns.map(\.slot).makeIterator()
        var slot = 0
        try generation.read(
            block: load.block, columns: load.columns.map(\.column), with: pages,
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
        of generation: any ColumnSource
    ) throws {
        let rowBytes = input.rowBytes(width: D)
        let patches = generation.grid.patches(ofBlock: block)
        let isLast = patches.upperBound == geometry.patches
        // A column's rows are of consecutive patches: padding is in the last one alone.
        for rows in isLast ? [0..<patches.count - 1, patches.count - 1..<patches.count] : [0..<patches.count] {
            let bytes = UnsafeRawBufferPointer(
                rebasing: values[rows.lowerBound * rowBytes..<rows.upperBound * rowBytes])
            guard let index = Finite.firstOverflow(bytes, of: generation.element) else { continue }
            let row = rows.lowerBound + index * generation.element.size / rowBytes
            let token = (patches.lowerBound + row) * P + (indices.map { Int($0[row]) } ?? column)
            if token >= geometry.tokens { continue }
            throw Fault(
                .badData, "the states of token \(token) are not finite",
                at: Place(
                    file: generation.file(ofBlock: block), generation: generation.record.index, block: block,
                    column: column),
                advice: PageHeader.damageAdvice)
        }
    }
}
