import Compute
import Geometry
import Support

/// A mixer whose rows attend to rows before them, of which the keys and values of the last ones are carried.
protocol RingMixer: StreamingMixer {
    var computed: ComputedRows { get }
    var norms: LayerNorms { get }
    var query: any Matrix { get }
    var key: any Matrix { get }
    var value: any Matrix { get }
    var output: any Matrix { get }
    /// Turns queries and keys; nil for none.
    var rotation: RotationTables? { get }

    /// Attention of the rows of one tile, or of its beginning: from the stream's queries and ring to its answers.
    ///
    /// - Parameters:
    ///   - stretch: token index of the stretch's first row.
    ///   - plan: for this tile alone.
    func attend(_ tile: Range<Int>, ofStretch stretch: Int, in stream: RingStream, _ plan: AttentionPlan, _ lane: any Lane)
}

/// How much such a stream holds.
struct RingSizes {
    /// Rows before a row that it may see.
    let reach: Int
    /// Rows of a context before its first query: as many as are seen, to whole folds of the soft-max.
    let rowsBefore: Int
    /// Features of all queries, and of all keys.
    let queryWidth: Int
    let keyWidth: Int
    /// Contexts of a plan that are as long as can be.
    let contexts: Int

    /// - Parameter seen: rows before a row that it sees.
    init(reach: Int, seen: Int, queryWidth: Int, keyWidth: Int, contexts: Int = 1) {
        self.reach = reach
        rowsBefore = (seen + AttentionPlan.rowsAtOnce - 1) / AttentionPlan.rowsAtOnce * AttentionPlan.rowsAtOnce
        self.queryWidth = queryWidth
        self.keyWidth = keyWidth
        self.contexts = contexts
    }

    func planRows(tileRows: Int) -> Int { contexts * (rowsBefore + tileRows) }

    func bytes(_ shape: StreamShape) -> Int {
        8 * shape.rows * queryWidth
            + KeyValueRing.footprint(
                reach: reach, tileRows: shape.tileRows, stretchTiles: shape.tiles, width: keyWidth)
            + shape.tiles
            * AttentionPlan.footprint(rows: planRows(tileRows: shape.tileRows), queries: shape.tileRows)
    }

    var carryBytes: Int { KeyValueRing.carryBytes(reach: reach, width: keyWidth) }

    /// What a lane is asked for.
    func needs(width D: Int, headSize: Int, tileRows: Int) -> LaneNeeds {
        var needs = LaneNeeds()
        (needs.width, needs.inputs) = (D, max(D, queryWidth))
        (needs.contextRows, needs.queries, needs.headSize) = (rowsBefore + tileRows, tileRows, headSize)
        return needs
    }
}

/// Such a mixer at work.
final class RingStream: MixerStream, @unchecked Sendable {
    private let mixer: any RingMixer
    private let tileRows: Int
    private let keyWidth: Int
    /// [stretch, H·dh]: queries, and what they get.
    let queries: Rows
    let answers: Rows
    let ring: KeyValueRing
    /// A tile's each, for tiles are mixed at once.
    private let plans: [AttentionPlan]
    let carryBytes: Int

    init(_ mixer: any RingMixer, _ sizes: RingSizes, _ shape: StreamShape, on backend: any Backend) throws {
        self.mixer = mixer
        tileRows = shape.tileRows
        keyWidth = sizes.keyWidth
        queries = try backend.rows(shape.rows, width: sizes.queryWidth)
        answers = try backend.rows(shape.rows, width: sizes.queryWidth)
        ring = try KeyValueRing(
            reach: sizes.reach, tileRows: shape.tileRows, stretchTiles: shape.tiles, width: sizes.keyWidth, on: backend)
        plans = try (0..<shape.tiles).map { _ in
            try AttentionPlan(rows: sizes.planRows(tileRows: shape.tileRows), queries: shape.tileRows)
        }
        carryBytes = sizes.carryBytes
    }

    func prepare(_ rows: Range<Int>, ofStretch stretch: Int, x: Rows, with tools: LaneTools) throws {
        let tokens = mixer.computed.tokens(from: rows.lowerBound, count: rows.count)
        for piece in ring.pieces(rows.lowerBound..<rows.lowerBound + tokens) {
            let (first, stored) = (piece.lowerBound - rows.lowerBound, ring[piece])
            let q = queries[piece.lowerBound - stretch..<piece.upperBound - stretch]
            let k = stored.columns(0..<keyWidth)
            tools.lane.project(
                x[first..<first + piece.count], mixer.norms.before,
                [
                    (matrix: mixer.query, into: q), (matrix: mixer.key, into: k),
                    (matrix: mixer.value, into: stored.columns(keyWidth..<2 * keyWidth)),
                ])
            if let rotation = mixer.rotation {
                for turned in [q, k] {
                    tools.lane.rotate(
                        turned, first: piece.lowerBound, heads: turned.width / rotation.headSize, by: rotation)
                }
            }
        }
    }

    let carryingTasks = 0
    func carry(_ task: Int, over stretch: Range<Int>, with tools: LaneTools) throws {}

    func mix(_ rows: Range<Int>, ofStretch stretch: Int, x: Rows, with tools: LaneTools, into s: Rows) throws {
        let lane = tools.lane
        StreamRows(computed: mixer.computed, norm: mixer.norms.after).mix(rows, x: x, on: lane, into: s) { count in
            for tile in ring.pieces(rows.lowerBound..<rows.lowerBound + count) {
                mixer.attend(tile, ofStretch: stretch, in: self, plans[(tile.lowerBound - stretch) / tileRows], lane)
            }
            let first = rows.lowerBound - stretch
            lane.residual(
                answers[first..<first + count], mixer.output, adding: x[0..<count], mixer.norms.after,
                into: s[0..<count])
        }
    }

    func save(before next: Int, to bytes: UnsafeMutableRawBufferPointer, with tools: LaneTools) throws {
        try ring.save(before: next, to: bytes, mixer.computed, with: tools)
    }

    func restore(_ bytes: UnsafeRawBufferPointer, before next: Int, with tools: LaneTools) throws {
        try ring.restore(bytes, before: next, with: tools)
    }
}
