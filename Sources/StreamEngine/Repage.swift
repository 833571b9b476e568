import PageStore
import ProtonModel
import Support

/// Lays generation 0 out as a model reads it: in its patch size, and in the delegate order of its first pass. Which layout a store
/// has follows from the first model that runs over it; tokens are one byte where states are hundreds, so this costs little.
enum Repage {
    /// - Parameter arithmetic: of the model, over the store's sequence in the model's patches.
    static func run(_ store: Store, for model: Model, with arithmetic: TileArithmetic, kernels: KernelTable) throws {
        let old = store.manifest
        let patchSize = model.config.patchSize
        var order: (name: String, ordering: TokenWriter.Ordering)?
        if let name = model.orderName(readBy: 1), let ordering = try DelegateOrdering(model, readBy: 1, kernels: kernels) {
            let embedding = try Embedding(model, length: arithmetic.geometry.paddedTokens)
            order = (name, { arithmetic.order($0, ids: $1, embedding: embedding, by: ordering, into: $2) })
        }
        let writer = try TokenWriter(
            store: store.directory, identity: { GenerationIdentity(store: old.store, record: $0, patchSize: patchSize) }, patchSize: patchSize, order: order, kernels: kernels)
        let fingerprint = TokenFingerprint()
        try RowStream(store.reader(0), kernels: kernels).read(0..<old.tokens) { _, rows in
            try Interruption.check { "the store is unchanged" }
            fingerprint.add(rows)
            for id in rows.bindMemory(to: UInt16.self) { try writer.append(id) }
        }
        guard fingerprint.text == old.tokensFingerprint else {
            throw Fault(.badData, "the tokens do not match the fingerprint in the manifest", at: Place(file: store.directory, generation: 0), advice: "Ingest again with --force.")
        }
        var manifest = old
        manifest.patchSize = patchSize
        manifest.generations = [try writer.finish()]
        try store.publish(manifest)
    }
}
