import PageStore
import ProtonModel
import Support

/// Lays generation 0 out as a model reads it: in its patch size, and in the delegate order of its first pass. Which
/// layout a store has follows from the first model that runs over it; tokens are one byte where states are hundreds.
/// Scores, where they decide the order, are computed by all workers.
enum Repage {
    /// - Parameter progress: called with the share that is done.
    static func run(_ store: Store, for model: Model, engine: Engine, progress: (Double) -> Void) throws {
        let old = store.manifest
        let patchSize = model.config.patchSize
        var order: (name: String, ordering: TokenWriter.Ordering)?
        let kernels = engine.kernels
        if let name = model.tokenOrderName(kernels: kernels),
            let ordering = try DelegateOrdering(model, readBy: 1, on: engine.backend)
        {
            let embedding = try Embedding(model, length: engine.geometry.paddedTokens, on: engine.backend)
            order = (
                name,
                { patches, ids, order in
                    let share = (patches.count + engine.workers.count - 1) / engine.workers.count
                    let parts = stride(from: patches.lowerBound, to: patches.upperBound, by: share).map {
                        $0..<min(patches.upperBound, $0 + share)
                    }
                    // Each part has ids and an order of its own, and they stay until all are done.
                    nonisolated(unsafe) let (ids, order) = (ids, order)
                    try engine.pipeline.wait(
                        for: engine.pipeline.add(parts.count, named: "order") { worker, task in
                            let skipped = (parts[task].lowerBound - patches.lowerBound) * patchSize
                            let tools = engine.workers[worker].tools
                            try tools.room(OrderingRoom.self).order(
                                parts[task], ids: ids + skipped, embedding: embedding, by: ordering, on: tools.lane,
                                into: order + skipped)
                        })
                }
            )
        }
        let writer = try TokenWriter(
            store: store.directory,
            identity: { GenerationIdentity(store: old.store, record: $0, patchSize: patchSize) }, patchSize: patchSize,
            order: order, kernels: kernels)
        let (fingerprint, check) = (try TokenFingerprint(), try TokenCheck(old))
        try RowStream(store.reader(0), kernels: kernels).read(0..<old.tokens) { first, rows in
            try Interruption.check { "the store is unchanged" }
            progress(Double(first) / Double(old.tokens))
            fingerprint.add(rows)
            check.add(rows)
            for id in rows.bindMemory(to: UInt16.self) { try writer.append(id) }
        }
        guard check.isPassed else {
            throw Fault(
                .badData, "the tokens do not match the fingerprint in the manifest",
                at: Place(file: store.directory, generation: 0), remedies: [.ingestAgain])
        }
        var manifest = old
        manifest.patchSize = patchSize
        (manifest.sections, manifest.tokensFingerprint) = (nil, fingerprint.text)
        manifest.generations = [try writer.finish()]
        try store.publish(manifest)
    }
}
