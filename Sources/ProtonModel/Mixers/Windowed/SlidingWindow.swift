import Compute
import Geometry
import Support

/// Causal attention of every row over itself and w rows before it, d rows apart (Model.md, "Mixers"; Beltagy et al.,
/// "Longformer", 2020).
///
/// Carried: keys and values of the last w·d rows. Rows take one soft-max over what they see, folded over contexts that
/// begin a whole number of `attentionRows` rows before the tile that the row is in: the bits depend on no stretch.
final class SlidingWindow: RingMixer {
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
        try RingStream(self, self.shape.ring, shape, on: backend)
    }

    // MARK: Attention

    func attend(
        _ tile: Range<Int>, ofStretch stretch: Int, in stream: RingStream, _ plan: AttentionPlan, _ lane: any Lane
    ) {
        if Set(shape.dilations).count == 1 {
            attend(
                tile, stretch, in: stream, dilation: shape.dilations[0], plan, heads: 0..<shape.heads, keyHead: 0,
                group: shape.heads / shape.keyValueHeads, lane)
            return
        }
        for head in 0..<shape.heads {
            attend(
                tile, stretch, in: stream, dilation: shape.dilation(ofHead: head), plan, heads: head..<head + 1,
                keyHead: head * shape.keyValueHeads / shape.heads, group: 1, lane)
        }
    }

    /// Attention of some heads of one dilation. Rows of the same remainder see one another: of each such class of rows
    /// there is a context.
    private func attend(
        _ tile: Range<Int>, _ stretch: Int, in stream: RingStream, dilation: Int, _ plan: AttentionPlan,
        heads: Range<Int>, keyHead: Int, group: Int, _ lane: any Lane
    ) {
        let (dh, window) = (shape.headSize, shape.window)
        func flush() {
            lane.attend(
                plan,
                heads: AttentionHeads(count: heads.count, group: group, size: dh, valueOffset: shape.keyWidth),
                queries: stream.queries.columns(heads.lowerBound * dh..<heads.upperBound * dh),
                keysValues: stream.ring.rows.columns(keyHead * dh..<2 * shape.keyWidth),
                into: [stream.answers.columns(heads.lowerBound * dh..<heads.upperBound * dh)])
            plan.clear()
        }
        plan.clear()
        // Rows before the first query: whole folds of them, whether they are there or not.
        let before = shape.ring.rowsBefore
        for class_ in 0..<min(dilation, tile.count) {
            let first = tile.lowerBound + class_
            let count = (tile.upperBound - first + dilation - 1) / dilation
            if !plan.hasRoom(rows: before + count, queries: count) { flush() }
            plan.beginContext()
            for number in -before..<count {
                let row = first + number * dilation
                // What is not there is seen by nobody.
                plan.add(row: row >= 0 && number >= -window ? stream.ring.place(row) : 0)
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
