import Geometry
import Support

/// Generations that go on after tokens were appended: their supplements.
extension Store {
    /// A generation with a supplement more, from `block` on, that nothing is written to yet; nil where `block` is the
    /// first, and the generation begins anew. One that held no more than that block is replaced.
    package func supplemented(_ record: GenerationRecord, from block: Int) -> GenerationRecord? {
        guard block > 0 else { return nil }
        var record = record
        var supplements = record.supplements ?? []
        if supplements.last?.firstBlock == block { supplements.removeLast() }
        supplements.append(
            Supplement(firstBlock: block, directory: Self.unusedDirectory(directory, generation: record.index)))
        record.supplements = supplements
        return record
    }

    /// Generation `record` of a run as it goes on when tokens are appended, its new supplement made and durable.
    ///
    /// - Returns: nil where nothing of it stays; the same where it had not come to its last block.
    /// - Throws: `Fault` (`badData`) where it does not say rightly what it goes on from.
    package func continued(_ record: GenerationRecord) throws -> GenerationRecord? {
        guard let last = record.directories.last, let geometry = geometry() else { return record }
        let file = "\(directory)/\(last)/data.mdb"
        // It need not have been begun.
        guard File.exists(file), let tail = try Tail.read(in: "\(directory)/\(last)") else {
            return record.isComplete ? nil : record
        }
        let blocks = BlockGrid(patches: geometry.patches, patchesPerBlock: record.patchesPerBlock).blocks
        guard tail.firstBlock == blocks - 1 else {
            throw Fault(
                .badData, "says that block \(tail.firstBlock) of \(blocks) is its last",
                at: Place(file: file, generation: record.index), advice: PageHeader.damageAdvice, remedies: [.restart])
        }
        // Its last block was written, and perhaps nothing after that.
        try GenerationWriter(store: directory, identity: identity(of: record), record: record).finish()
        guard var record = supplemented(record, from: tail.firstBlock) else { return nil }
        record.isComplete = false
        let writer = try GenerationWriter(store: directory, identity: identity(of: record), record: record)
        try writer.commit(progress: tail.progress)
        try writer.sync()
        return record
    }

    /// Joins the last supplements of complete generations where they hold, together, at least half as many blocks as the
    /// one before them: so there are never more than a few, however often tokens are appended, and a page is copied
    /// about once for every doubling of what was appended.
    ///
    /// - Parameter check: called between pages; what it throws ends this, and the store is as it was.
    package func mergeSupplements(check: () throws -> Void) throws {
        for record in manifest.generations where record.isComplete {
            guard let supplements = record.supplements, let geometry = geometry() else { continue }
            let blocks = BlockGrid(patches: geometry.patches, patchesPerBlock: record.patchesPerBlock).blocks
            var first = supplements.count - 1
            func start(_ index: Int) -> Int { supplements[index].firstBlock }
            while first > 0, 2 * (blocks - start(first)) >= start(first) - start(first - 1) { first -= 1 }
            if first == supplements.count - 1 { continue }
            var merged = record
            merged.supplements = Array(supplements[..<first])
            guard let merged = supplemented(merged, from: start(first)) else { continue }
            let writer = try copy(start(first)..<blocks, of: record, to: merged, check)
            var manifest = manifest
            manifest.generations = manifest.generations.map { $0.index == merged.index ? merged : $0 }
            try publish(manifest)
            // Once it is named: a killed writer's is known by the missing mark, and removed.
            try? writer.finish()
        }
    }

    /// Copies pages as they are: their checksums go with them.
    private func copy(
        _ blocks: Range<Int>, of old: GenerationRecord, to new: GenerationRecord, _ check: () throws -> Void
    )
        throws -> GenerationWriter
    {
        let reader = try reader(old.index, isCheckingLength: false)
        let writer = try GenerationWriter(store: directory, identity: identity(of: new), record: new)
        let tail = try old.directories.last.flatMap { try Tail.read(in: "\(directory)/\($0)") }
        for block in blocks {
            try check()
            for table in PageTable.allCases where new.holds(table) {
                let location = try reader.locate(table, block: block)
                guard location.bytes <= reader.expectedHeader(table, block: block).largestPageBytes else {
                    throw Fault(
                        .badData, "the page has \(location.bytes) bytes, more than its geometry allows",
                        at: reader.place(block), advice: PageHeader.damageAdvice)
                }
                let page = try Memory<UInt8>(location.bytes)
                try reader.read(at: location.offset, ofBlock: block, into: page.bytes, place: reader.place(block))
                try writer.append(table, block: block, page: UnsafeRawBufferPointer(page.bytes))
            }
            if block == blocks.upperBound - 1 {
                try writer.commit(progress: [], tail: tail)
            } else if writer.uncommittedBytes >= 1 << 20 {
                try writer.commit(progress: [])
            }
        }
        try writer.sync()
        return writer
    }
}
