import Geometry
import PageStore
import ProtonModel
import Support

/// A window's blocks: what their guests add, the rest of the layer, and the page that goes out.
extension LayerPass {
    /// s of one tile: its patches attend, with their guests, a group at a time.
    func mix(_ tile: Range<Int>, window: Range<Int>, columns: Columns, s: Memory<Float>, _ arithmetic: TileArithmetic)
        throws
    {
        for first in stride(from: tile.lowerBound, to: tile.upperBound, by: arithmetic.groupPatches) {
            let group = first..<min(tile.upperBound, first + arithmetic.groupPatches)
            try loadLocal(group, place: 0, from: columns, arithmetic)
            if visitsOnce {
                arithmetic.mix(
                    group, answers: engine.memory.answers.start + group.lowerBound * P * D, withGuests: false,
                    block: weights, s: row(of: group.lowerBound * P, window: window, s: s))
                continue
            }
            let seesGuests = try loadDelegates(inSlotsOf: group, seenBy: group, place: 0, from: columns, arithmetic)
            arithmetic.mix(
                group, withGuests: seesGuests, block: weights, s: row(of: group.lowerBound * P, window: window, s: s))
        }
    }

    /// x' of a few tiles of `block`, in the states' number format, and in the last layer the surprisal that follows
    /// from it.
    ///
    /// - Throws: `Fault` (`badData`) naming the first token whose values are not finite: they are never stored.
    func feedForward(
        _ patches: Range<Int>, window: Range<Int>, block: Range<Int>, s: Memory<Float>, _ outgoing: OutgoingBlock,
        _ worker: Worker
    ) throws {
        let arithmetic = worker.arithmetic
        let output = worker.output.start
        let first = patches.lowerBound * P
        arithmetic.feedForward(
            row(of: first, window: window, s: s) - reach.before * D, first: first, rows: patches.count * P,
            block: weights, output: output)
        let isStored = target != nil || writer?.record.holds(.states) == true
        let tokens = min(patches.count * P, geometry.tokens - first)
        if tokens > 0,
            let index = Finite.firstOverflow(output, count: tokens * D, storedAs: isStored ? engine.state : .f32)
        {
            throw overflow(output[index], "states", of: first + index / D)
        }
        if isStored {
            let rowBytes = D * engine.state.size
            let row = patches.lowerBound - block.lowerBound
            let (columns, indices) = staged(block.lowerBound / schedule.target.patchesPerBlock, outgoing)
            if let ordering { arithmetic.order(patches, states: output, by: ordering, into: worker.order.start) }
            arithmetic.store(
                output, patches: patches.count, order: ordering == nil ? nil : UnsafePointer(worker.order.start),
                asBF16: engine.state == .bf16
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
                head.head.surprisal(
                    output, targets: outgoing.tokens.start + first + 1, count: count,
                    bits: outgoing.bits.start + first + 1, with: arithmetic)
                if let index = Finite.firstOverflow(outgoing.bits.start + first + 1, count: count) {
                    throw overflow(
                        outgoing.bits[first + 1 + index], "surprisal", of: patches.lowerBound * P + 1 + index)
                }
            }
        }
    }

    private func overflow(_ value: Float, _ what: String, of token: Int) -> Fault {
        let isTooLong = value.isFinite
        return Fault(
            .badData,
            "\(engine.config.recurrence > 1 ? "pass" : "layer") \(layer) gives token \(token) \(what) of \(value.isNaN ? "NaN" : "\(value)"), "
                + (isTooLong
                    ? "which bf16 does not hold"
                    : "which is no result: the weights are finite, but what they compute overflows"),
            at: Place(file: engine.model.directory),
            advice: isTooLong ? "Use --state f32." : "The model cannot be run over this sequence.")
    }

    /// Joins the block to the one before: surprisal is added up in token order, and what the next block needs is kept.
    func finishBlock(_ block: Int, window: Range<Int>, s: Memory<Float>, _ outgoing: OutgoingBlock) {
        let patches = schedule.target.patches(ofBlock: block)
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
        progress.nextBlock = block + 1
        progress.carry = Array(
            UnsafeBufferPointer(
                start: row(of: patches.upperBound * P, window: window, s: s) - reach.before * D, count: reach.before * D
            ))
        outgoing.progress = progress
    }

    private func header(_ table: PageTable, _ block: Int) -> PageHeader {
        let patches = schedule.target.patches(ofBlock: block)
        return PageHeader(
            element: table == .states ? engine.state : .f32, generation: layer, block: block,
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
        if block == schedule.target.blocks - 1 || writer.uncommittedBytes >= engine.set.commitBytes {
            try writer.commit(progress: outgoing.progress.bytes)
        }
    }
}
