import PageStore
import Support

/// Lays generation 0 out in patches of another size. Which P a store has follows from the first model that runs over
/// it; tokens are one byte where states are hundreds, so this costs little.
enum Repage {
    static func run(_ store: Store, patchSize: Int) throws {
        let old = store.manifest
        let kernels = try Kernels.select()
        let writer = try TokenWriter(
            store: store.directory, identity: { GenerationIdentity(store: old.store, record: $0, patchSize: patchSize) }, patchSize: patchSize, kernels: kernels)
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
