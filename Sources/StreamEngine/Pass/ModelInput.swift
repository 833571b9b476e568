import Compute
import Geometry
import PageStore
import ProtonModel

/// The model's input of the stretches of a pass, embedded anew from the tokens: for layers that ask for it beside their
/// own input.
final class ModelInput: Sendable {
    let tokens: TargetTokens.Source
    private let embedding: Embedding
    private let computed: ComputedRows
    /// [rows, D] each: that of a stretch.
    private let stretches: [Rows]

    init(_ tokens: TargetTokens.Source, of engine: Engine) throws {
        self.tokens = tokens
        embedding = try Embedding(engine.model, length: engine.geometry.paddedTokens, on: engine.backend)
        computed = ComputedRows(engine.config, engine.geometry)
        let rows = engine.set.stretchPatches * engine.geometry.patchSize
        stretches = try (0..<engine.set.stretchesInFlight).map { _ in
            try engine.backend.rows(rows, width: engine.config.hiddenSize)
        }
    }

    /// Of a pass with layers that ask for it.
    static func footprint(_ needs: WorkingSetNeeds, _ set: WorkingSet) -> Int {
        set.stretchesInFlight * set.stretchPatches * needs.P * needs.config.hiddenSize * 4
            + Embedding.footprint(width: needs.config.hiddenSize)
    }

    func rows(_ stretch: Int) -> Rows { stretches[stretch % stretches.count] }

    /// Embeds the rows of a tile from token `first` on.
    ///
    /// - Parameter ids: of its tokens.
    func embed(_ ids: UnsafePointer<UInt16>, from first: Int, into rows: Rows, with tools: LaneTools) throws {
        let count = computed.tokens(from: first, count: rows.count)
        if count > 0 {
            try tools.room(StreamRoom.self).loader.embed(
                ids, from: first, with: embedding, into: rows[0..<count], on: tools.lane)
        }
        try tools.lane.finish()
    }
}
