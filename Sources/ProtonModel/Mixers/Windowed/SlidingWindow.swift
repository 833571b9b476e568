import Compute
import Geometry
import Support

/// Causal attention of every row over itself and w rows before it, d rows apart (Model.md, "Mixers"; Beltagy et al.,
/// "Longformer", 2020).
///
/// Carried: keys and values of the last w·d rows. Rows take one soft-max over what they see, folded over contexts that
/// begin a whole number of `attentionRows` rows before the tile that the row is in: the bits depend on no stretch.
/// Windows that see later rows too are `CentredWindow`'s.
final class SlidingWindow: RingMixer {
    let shape: SlidingWindowShape
    let computed: ComputedRows
    private let weights: WindowWeights
    var norms: LayerNorms { weights.norms }
    var query: any Matrix { weights.query }
    var key: any Matrix { weights.key }
    var value: any Matrix { weights.value }
    var output: any Matrix { weights.output }
    var rotation: RotationTables? { weights.rotation }

    let access: any Access = OwnAccess()

    init(
        _ shape: SlidingWindowShape, _ tensor: TensorReader, _ config: ModelConfig, geometry: SequenceGeometry,
        on backend: any Backend
    ) throws {
        self.shape = shape
        computed = ComputedRows(config, geometry)
        weights = try WindowWeights(shape, tensor, config, on: backend)
    }

    func stream(_ shape: StreamShape, on backend: any Backend) throws -> any MixerStream {
        try RingStream(self, self.shape.ring, shape, on: backend)
    }

    func attend(
        _ tile: Range<Int>, ofStretch stretch: Int, in stream: RingStream, _ plan: AttentionPlan, _ lane: any Lane
    ) {
        shape.attend(
            tile, queries: stream.queries, first: stretch, keys: stream.ring.rows, place: stream.ring.place,
            end: tile.upperBound, into: stream.answers, plan, lane)
    }
}

/// Norms and projections of a layer of windows.
struct WindowWeights: Sendable {
    let norms: LayerNorms
    let query: any Matrix
    let key: any Matrix
    let value: any Matrix
    let output: any Matrix
    /// Turns queries and keys; nil for none.
    let rotation: RotationTables?

    init(_ shape: SlidingWindowShape, _ tensor: TensorReader, _ config: ModelConfig, on backend: any Backend) throws {
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

    /// Turns queries or keys of the rows from `first` on.
    func turn(_ rows: Rows, first: Int, on lane: any Lane) {
        guard let rotation else { return }
        lane.rotate(rows, first: first, heads: rows.width / rotation.headSize, by: rotation)
    }
}

extension SlidingWindowShape {
    /// Attention of the rows of one tile, or of its beginning.
    ///
    /// - Parameters:
    ///   - queries: [·, H·dh], that of row t at t - `first`, where its answer goes in `answers`.
    ///   - keys: [·, 2·keyWidth] keys and values; those of row t are at `place`(t).
    ///   - end: the first row that is not there.
    ///   - plan: for this tile alone.
    func attend(
        _ tile: Range<Int>, queries: Rows, first: Int, keys: Rows, place: (Int) -> Int, end: Int, into answers: Rows,
        _ plan: AttentionPlan, _ lane: any Lane
    ) {
        func attend(_ dilation: Int, heads: Range<Int>, keyHead: Int, group: Int) {
            self.attend(
                tile, queries: queries.columns(heads.lowerBound * headSize..<heads.upperBound * headSize), first: first,
                keys: keys.columns(keyHead * headSize..<2 * keyWidth), place: place, end: end, dilation: dilation,
                group: group, into: answers.columns(heads.lowerBound * headSize..<heads.upperBound * headSize), plan,
                lane)
        }
        if Set(dilations).count == 1 {
            return attend(dilations[0], heads: 0..<heads, keyHead: 0, group: heads / keyValueHeads)
        }
        for head in 0..<heads {
            attend(dilation(ofHead: head), heads: head..<head + 1, keyHead: head * keyValueHeads / heads, group: 1)
        }
    }

    /// Attention of some heads of one dilation. Rows of the same remainder see one another: of each such class of rows
    /// there is a context.
    private func attend(
        _ tile: Range<Int>, queries: Rows, first: Int, keys: Rows, place: (Int) -> Int, end: Int, dilation: Int,
        group: Int, into answers: Rows, _ plan: AttentionPlan, _ lane: any Lane
    ) {
        func flush() {
            lane.attend(
                plan,
                heads: AttentionHeads(
                    count: queries.width / headSize, group: group, size: headSize, valueOffset: keyWidth),
                queries: queries, keysValues: keys, into: [answers])
            plan.clear()
        }
        plan.clear()
        // Rows before the first query: whole folds of them, whether they are there or not.
        let before = ring.rowsBefore
        for class_ in 0..<min(dilation, tile.count) {
            let start = tile.lowerBound + class_
            let count = (tile.upperBound - start + dilation - 1) / dilation
            // Of these as many as there are.
            let after = min(windowAfter, max(0, (end - 1 - start) / dilation - count + 1))
            if !plan.hasRoom(rows: before + count + after, queries: count) { flush() }
            plan.beginContext()
            for number in -before..<count + after {
                let row = start + number * dilation
                // What is not there is seen by nobody.
                plan.add(row: row >= 0 && number >= -window ? place(row) : 0)
            }
            for number in 0..<count {
                let row = start + number * dilation
                let (seen, later) = (min(window, row / dilation), min(windowAfter, (end - 1 - row) / dilation))
                plan.add(
                    query: row - first, sees: before + number - seen..<before + number + 1 + later, target: 0,
                    output: row - first)
            }
            plan.endContext()
        }
        flush()
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

    /// One context of all rows, or several of few rows each.
    var ring: RingSizes {
        RingSizes(reach: reach, seen: window, queryWidth: queryWidth, keyWidth: keyWidth, contexts: 2)
    }

    func needs(_ config: ModelConfig, tileRows: Int) -> LaneNeeds {
        var needs = ring.needs(width: config.hiddenSize, headSize: headSize, tileRows: tileRows)
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

    func streamBytes(_ shape: StreamShape) -> Int { ring.bytes(shape) }
    var carryBytes: Int { ring.carryBytes }
}
