import Geometry
import PageStore
import Support

/// More tokens at the end of a store.
extension Ingest {
    /// Reads `inputs` ("-" is standard input) behind the tokens of the store at `directory`.
    ///
    /// Tokens that are there are not written again, but those of the last block; states and surprisal of a model whose
    /// layers all stream stay, and `ForwardRun` goes on with them. Those of other models are dropped, for every token's
    /// may be others now; how they were computed stays known. The store is as it was until all is durable, and stays so if this fails.
    ///
    /// - Parameter onNote: told what is dropped, before it is.
    /// - Throws: `Fault`: `noInput` for a store or an input that is missing, or empty; `badData` for a damaged store, or
    ///   ids that are none; `cannotCreate` where another process writes the store; `interrupted` where a signal came.
    public static func append(
        _ inputs: [String], store directory: String, format: Format, onNote: (String) -> Void = { _ in },
        onProgress: (Int) -> Void = { _ in }
    ) throws -> Summary {
        try check(inputs, store: directory)
        let store = try Store.openForWriting(directory)
        for note in store.takeNotes() { onNote(note) }
        if let run = store.manifest.run, run.isStreaming != true {
            onNote(
                "States and surprisal of these tokens are dropped: their model needs the sequence as a whole, and "
                    + "forward computes everything anew.")
        }
        try store.mergeSupplements { try Interruption.check { "nothing was appended" } }
        do {
            return try append(inputs, to: store, format, onNote, onProgress)
        } catch {
            store.removeUnnamed()
            throw error
        }
    }

    /// Whether a run has blocks as short as a short sequence's, which a long one is better without: what there is of it
    /// is soon computed anew.
    private static func isShort(_ run: RunRecord, patchSize: Int, from old: Int, to new: Int) -> Bool {
        let block = run.patchesPerBlock * patchSize
        return block < 4096 && old < 32_768 && new > 8 * block
    }

    private static func append(
        _ inputs: [String], to store: Store, _ format: Format, _ onNote: (String) -> Void,
        _ onProgress: (Int) -> Void
    ) throws -> Summary {
        let old = store.manifest
        let writer = try writer(after: store)
        // Those of the last block, or, where the layout does not go on, all.
        try RowStream(store.reader(0), kernels: Kernels.select()).read(writer.tokens..<old.tokens) { _, rows in
            try Interruption.check { "nothing was appended" }
            for id in rows.bindMemory(to: UInt16.self) { try writer.append(id) }
        }
        let read = try read(inputs, format, into: writer, onProgress)
        guard let geometry = SequenceGeometry(tokens: writer.tokens, patchSize: old.patchSize) else {
            throw Fault(.badData, "\(writer.tokens) tokens make no sequence", at: Place(file: store.directory))
        }
        let tokens = try writer.finish(isMarking: false)
        var manifest = old
        manifest.tokens = geometry.tokens
        manifest.documents += read.documents
        let section = TokenSection(tokens: geometry.tokens - old.tokens, fingerprint: read.fingerprint)
        let sections =
            (old.sections ?? [TokenSection(tokens: old.tokens, fingerprint: old.tokensFingerprint)]) + [section]
        (manifest.sections, manifest.tokensFingerprint) = (sections, Manifest.fingerprint(of: sections))
        manifest.generations = [tokens]
        if let run = old.run, run.isStreaming == true {
            if isShort(run, patchSize: old.patchSize, from: old.tokens, to: geometry.tokens) {
                onNote("What was computed of the few tokens that were there is computed anew, in longer blocks.")
            } else {
                manifest.generations += try old.generations.dropFirst().compactMap(store.continued)
            }
        }
        manifest.run?.isComplete = false
        try store.publish(manifest)
        writer.mark()
        return Summary(
            tokens: geometry.tokens, newTokens: section.tokens, inputBytes: read.bytes, storedBytes: tokens.storedBytes,
            patches: geometry.patches, documents: read.documents.count, notes: store.takeNotes())
    }

    /// A writer of the tokens from the last block on; from the first on where they stand in another order than their
    /// own, which blocks that are added could not have.
    private static func writer(after store: Store) throws -> TokenWriter {
        let (manifest, tokens) = (store.manifest, store.manifest.generations[0])
        let last = try store.reader(0)
        let first = last.grid.blocks - 1
        let isGoingOn =
            tokens.order == nil && tokens.patchesPerBlock == TokenWriter.patchesPerBlock(patchSize: manifest.patchSize)
        var continued: (record: GenerationRecord, storedBytes: Int)?
        if isGoingOn, let record = store.supplemented(tokens, from: first) {
            continued = (record, max(0, tokens.storedBytes - (try last.locate(.states, block: first).bytes)))
        }
        return try TokenWriter(
            store: store.directory, identity: store.identity, patchSize: manifest.patchSize, continuing: continued,
            kernels: Kernels.select())
    }
}
