import Compute
import Geometry
import Support

/// Causal attention of every row over itself and w rows before it, d rows apart (Model.md, "Mixers"; Beltagy et al.,
/// "Longformer", 2020).
///
/// Carried: keys and values of the last w·d rows. Rows take one soft-max over what they see, folded over contexts that
/// begin a whole number of `attentionRows` rows before the tile that the row is in: the bits depend on no stretch.
final class SlidingWindow: StreamingMixer {
    let shape: SlidingWindowShape
    let computed: ComputedRows
    let norms: LayerNorms
    let query: any Matrix
    let key: any Matrix
    let value: any Matrix
    let output: any Matrix
    let rotation: RotationTables?

    let access: any Access = OwnAccess()

    init(
        _ shape: SlidingWindowShape, _ tensor: TensorReader, _ config: ModelConfig, geometry: SequenceGeometry,
        on backend: any Backend
    ) throws {
        self.shape = shape
        computed = ComputedRows(config, geometry)
        norms = try LayerNorms(tensor, config, on: backend)
        let (D, inner, keys) = (config.hiddenSize, shape.queryWidth, shape.keyWidth)
        func matrix(_ name: String, _ inputs: Int, _ outputs: Int) throws -> any Matrix {
            try backend.matrix(
                try tensor("mixer.\(name).weight"), bias: shape.hasBias ? try tensor("mixer.\(name).bias") : nil,
                inputs: inputs, outputs: outputs)
        }
        query = try matrix("q_proj", D, inner)
        key = try matrix("k_proj", D, keys)
        value = try matrix("v_proj", D, keys)
        output = try matrix("o_proj", inner, D)
        rotation = try shape.rope?.tables(headSize: shape.headSize)
    }

    func stream(_ shape: StreamShape, on backend: any Backend) throws -> any MixerStream {
        try SlidingWindowStream(self, shape, on: backend)
    }
}

/// A window at work.
private final class SlidingWindowStream: MixerStream, @unchecked Sendable {
    private let mixer: SlidingWindow
    private let sizes: SlidingWindowShape.StreamSizes
    /// [stretch, H·dh]: queries, and what they get.
    private let queries: Rows
    private let answers: Rows
    private let ring: KeyValueRing
    /// A tile's each, for tiles are mixed at once.
    private let plans: [AttentionPlan]

    private var shape: SlidingWindowShape { mixer.shape }
    private var tileRows: Int { sizes.tileRows }

    init(_ mixer: SlidingWindow, _ shape: StreamShape, on backend: any Backend) throws {
        self.mixer = mixer
        sizes = SlidingWindowShape.StreamSizes(mixer.shape, shape)
        queries = try backend.rows(shape.rows, width: mixer.shape.queryWidth)
        answers = try backend.rows(shape.rows, width: mixer.shape.queryWidth)
        ring = try KeyValueRing(
            reach: mixer.shape.reach, tileRows: sizes.tileRows, stretchTiles: sizes.stretchTiles,
            width: mixer.shape.keyWidth, on: backend)
        let (rows, queries) = (sizes.planRows, sizes.planQueries)
        plans = try (0..<sizes.stretchTiles).map { _ in try AttentionPlan(rows: rows, queries: queries) }
    }

    // MARK: Work

    func prepare(_ rows: Range<Int>, ofStretch stretch: Int, x: Rows, with tools: LaneTools) throws {
        let tokens = mixer.computed.tokens(from: rows.lowerBound, count: rows.count)
        for piece in ring.pieces(rows.lowerBound..<rows.lowerBound + tokens) {
            let (first, count) = (piece.lowerBound - stretch, piece.count)
            let q = queries[first..<first + count]
            let stored = ring[piece]
            let (k, v) = (
                stored.columns(0..<shape.keyWidth), stored.columns(shape.keyWidth..<2 * shape.keyWidth)
            )
            let local = piece.lowerBound - rows.lowerBound
            tools.lane.project(
                x[local..<local + count], mixer.norms.before,
                [(matrix: mixer.query, into: q), (matrix: mixer.key, into: k), (matrix: mixer.value, into: v)])
            if let rotation = mixer.rotation {
                tools.lane.rotate(q, first: piece.lowerBound, heads: shape.heads, by: rotation)
                tools.lane.rotate(k, first: piece.lowerBound, heads: shape.keyValueHeads, by: rotation)
            }
        }
    }

    let carryingTasks = 0
    func carry(_ task: Int, over stretch: Range<Int>, with tools: LaneTools) throws {}

    func mix(_ rows: Range<Int>, ofStretch stretch: Int, x: Rows, with tools: LaneTools, into s: Rows) throws {
        let lane = tools.lane
        StreamRows(computed: mixer.computed, norm: mixer.norms.after).mix(rows, x: x, on: lane, into: s) { count in
            for tile in ring.pieces(rows.lowerBound..<rows.lowerBound + count) { attend(tile, stretch, lane) }
            let first = rows.lowerBound - stretch
            lane.residual(
                answers[first..<first + count], mixer.output, adding: x[0..<count], mixer.norms.after,
                into: s[0..<count])
        }
    }

    /// Attention of the rows of one tile.
    private func attend(_ tile: Range<Int>, _ stretch: Int, _ lane: any Lane) {
        let plan = plans[(tile.lowerBound - stretch) / tileRows]
        if Set(shape.dilations).count == 1 {
            attend(
                tile, stretch, dilation: shape.dilations[0], plan, heads: 0..<shape.heads, keyHead: 0,
                group: shape.heads / shape.keyValueHeads, lane)
            return
        }
        for head in 0..<shape.heads {
            attend(
                tile, stretch, dilation: shape.dilation(ofHead: head), plan, heads: head..<head + 1,
                keyHead: head * shape.keyValueHeads / shape.heads, group: 1, lane)
        }
    }

    /// Attention of some heads of one dilation. Rows of the same remainder see one another: of each such class of rows
    /// there is a context.
    private func attend(
        _ tile: Range<Int>, _ stretch: Int, dilation: Int, _ plan: AttentionPlan, heads: Range<Int>, keyHead: Int,
        group: Int, _ lane: any Lane
    ) {
        let (dh, window) = (shape.headSize, shape.window)
        func flush() {
            lane.attend(
                plan,
                heads: AttentionHeads(count: heads.count, group: group, size: dh, valueOffset: shape.keyWidth),
                queries: queries.columns(heads.lowerBound * dh..<heads.upperBound * dh),
                keysValues: ring.rows.columns(keyHead * dh..<2 * shape.keyWidth),
                into: [answers.columns(heads.lowerBound * dh..<heads.upperBound * dh)])
            plan.clear()
        }
        plan.clear()
        // Rows before the first query: whole folds of them, whether they are there or not.
        let before = sizes.rowsBefore
        for class_ in 0..<min(dilation, tile.count) {
            let first = tile.lowerBound + class_
            let count = (tile.upperBound - first + dilation - 1) / dilation
            if !plan.hasRoom(rows: before + count, queries: count) { flush() }
            plan.beginContext()
            for number in -before..<count {
                let row = first + number * dilation
                // What is not there is seen by nobody.
                plan.add(row: row >= 0 && number >= -window ? ring.place(row) : 0)
            }
            for number in 0..<count {
                let row = first + number * dilation
                let seen = min(window, row / dilation)
                plan.add(
                    query: row - stretch, sees: before + number - seen..<before + number + 1, target: 0,
                    output: row - stretch)
            }
            plan.endContext()
        }
        flush()
    }

    // MARK: The carry

    var carryBytes: Int { shape.carryBytes }

    func save(before next: Int, to bytes: UnsafeMutableRawBufferPointer, with tools: LaneTools) throws {
        try ring.save(before: next, to: bytes, mixer.computed, with: tools)
    }

    func restore(_ bytes: UnsafeRawBufferPointer, before next: Int, with tools: LaneTools) throws {
        try ring.restore(bytes, before: next, with: tools)
    }
}

extension SlidingWindowShape: StreamingShape {
    /// Features of all queries, and of all keys.
    var queryWidth: Int { heads * headSize }
    var keyWidth: Int { keyValueHeads * headSize }

    func mixer(_ tensor: TensorReader, _ config: ModelConfig, geometry: SequenceGeometry, on backend: any Backend)
        throws
        -> any StreamingMixer
    {
        try SlidingWindow(self, tensor, config, geometry: geometry, on: backend)
    }

    func needs(_ config: ModelConfig, tileRows: Int) -> LaneNeeds {
        var needs = LaneNeeds()
        (needs.width, needs.inputs) = (config.hiddenSize, max(config.hiddenSize, queryWidth))
        (needs.contextRows, needs.queries, needs.headSize) = (rowsBefore + tileRows, tileRows, headSize)
        if rope != nil { needs.rotatedHead = headSize }
        return needs
    }

    func weightBytes(_ config: ModelConfig, on backend: any Backend) -> Int {
        let D = config.hiddenSize
        return backend.matrixFootprint(inputs: D, outputs: queryWidth) + 2
            * backend.matrixFootprint(inputs: D, outputs: keyWidth)
            + backend.matrixFootprint(inputs: queryWidth, outputs: D) + 16 * D
            + (rope == nil ? 0 : RotationTables.footprint(headSize: headSize))
    }

    /// Rows of a context before its first query: as many as are seen, to whole folds of the soft-max.
    var rowsBefore: Int {
        (window + AttentionPlan.rowsAtOnce - 1) / AttentionPlan.rowsAtOnce * AttentionPlan.rowsAtOnce
    }

    /// How much a stream holds.
    struct StreamSizes {
        let tileRows: Int
        let stretchTiles: Int
        let rowsBefore: Int
        let planRows: Int
        let planQueries: Int

        init(_ window: SlidingWindowShape, _ shape: StreamShape) {
            tileRows = shape.tileRows
            stretchTiles = (shape.rows + tileRows - 1) / tileRows
            rowsBefore = window.rowsBefore
            // One context of all rows, or several of few rows each.
            planRows = 2 * (rowsBefore + tileRows)
            planQueries = tileRows
        }
    }

    func streamBytes(_ shape: StreamShape) -> Int {
        let sizes = StreamSizes(self, shape)
        return 8 * shape.rows * queryWidth
            + KeyValueRing.footprint(
                reach: reach, tileRows: sizes.tileRows, stretchTiles: sizes.stretchTiles, width: keyWidth)
            + sizes.stretchTiles * AttentionPlan.footprint(rows: sizes.planRows, queries: sizes.planQueries)
    }

    var carryBytes: Int { KeyValueRing.carryBytes(reach: reach, width: keyWidth) }
}
