import Compute
import Geometry
import Support

/// A matrix of state a head that forgets at a fixed rate (Model.md, "Mixers"; Sun et al., "Retentive network", 2023):
/// S_t = γ S_{t-1} + k_t v_tᵀ, o_t = S_tᵀ q_t / √dk.
///
/// Carried: S, in double precision. Rows are taken in chunks that begin with their tile: what every chunk adds to S is
/// computed at once, S passes over the chunks, and every chunk's outputs follow from S before it and its own rows.
final class Retention: StreamingMixer {
    let shape: RetentionShape
    let computed: ComputedRows
    let norms: LayerNorms
    /// Its weights are divided by √dk.
    let query: any Matrix
    let key: any Matrix
    let value: any Matrix
    let gate: any Matrix
    let output: any Matrix
    let headNorm: HeadNorm?
    let rotation: RotationTables?
    let decay: DecayTables

    let access: any Access = OwnAccess()

    init(
        _ shape: RetentionShape, _ tensor: TensorReader, _ config: ModelConfig, geometry: SequenceGeometry,
        on backend: any Backend
    ) throws {
        self.shape = shape
        computed = ComputedRows(config, geometry)
        norms = try LayerNorms(tensor, config, on: backend)
        let (D, keys, values) = (config.hiddenSize, shape.heads * shape.keySize, shape.heads * shape.valueSize)
        let scaled = try Memory<Float>(keys * D)
        let weight = try tensor("mixer.q_proj.weight")
        let scale = 1 / Float(shape.keySize).squareRoot()
        for index in 0..<scaled.count { scaled[index] = weight[index] * scale }
        query = try backend.matrix(scaled.start, bias: nil, inputs: D, outputs: keys)
        key = try backend.matrix(try tensor("mixer.k_proj.weight"), bias: nil, inputs: D, outputs: keys)
        value = try backend.matrix(try tensor("mixer.v_proj.weight"), bias: nil, inputs: D, outputs: values)
        gate = try backend.matrix(try tensor("mixer.g_proj.weight"), bias: nil, inputs: D, outputs: values)
        output = try backend.matrix(try tensor("mixer.o_proj.weight"), bias: nil, inputs: values, outputs: D)
        headNorm = try tensor.ifPresent("mixer.norm.weight").map { weight in
            let copy = try Memory<Float>(shape.valueSize)
            copy.start.update(from: weight, count: shape.valueSize)
            return copy
        }
        rotation = try shape.rope?.tables(headSize: shape.keySize)
        decay = try DecayTables(
            decays: shape.decays, keySize: shape.keySize, valueSize: shape.valueSize, chunk: shape.chunk)
    }

    func stream(_ shape: StreamShape, on backend: any Backend) throws -> any MixerStream {
        try RetentionStream(self, shape, on: backend)
    }
}

/// Retention at work.
private final class RetentionStream: MixerStream, @unchecked Sendable {
    private let mixer: Retention
    private let tileRows: Int
    private let tileChunks: Int
    // [stretch, H·dk] and [stretch, H·dv].
    private let queries: Rows
    private let keys: Rows
    private let values: Rows
    private let gates: Rows
    private let outputs: Rows
    /// [chunks · H·dk, dv]: what each chunk adds to S, then S before it.
    private let states: Rows
    /// [H·dk, 2·dv]: S after the last row, in double precision.
    private let state: Rows

    private var shape: RetentionShape { mixer.shape }

    init(_ mixer: Retention, _ shape: StreamShape, on backend: any Backend) throws {
        self.mixer = mixer
        let (keyWidth, valueWidth) = (
            mixer.shape.heads * mixer.shape.keySize, mixer.shape.heads * mixer.shape.valueSize
        )
        tileRows = shape.tileRows
        tileChunks = mixer.shape.chunks(ofTile: tileRows)
        queries = try backend.rows(shape.rows, width: keyWidth)
        keys = try backend.rows(shape.rows, width: keyWidth)
        values = try backend.rows(shape.rows, width: valueWidth)
        gates = try backend.rows(shape.rows, width: valueWidth)
        outputs = try backend.rows(shape.rows, width: valueWidth)
        let tiles = (shape.rows + tileRows - 1) / tileRows
        states = try backend.rows(tiles * tileChunks * keyWidth, width: mixer.shape.valueSize)
        state = try backend.rows(keyWidth, width: 2 * mixer.shape.valueSize)
    }

    /// The tiles of some rows of a stretch, as rows of it.
    private func tiles(_ rows: Range<Int>) -> [Range<Int>] {
        stride(from: rows.lowerBound, to: rows.upperBound, by: tileRows).map {
            $0..<min(rows.upperBound, $0 + tileRows)
        }
    }

    /// The states of a tile's chunks.
    private func states(ofTile tile: Range<Int>) -> Rows {
        let size = tileChunks * shape.heads * shape.keySize
        let first = tile.lowerBound / tileRows * size
        return states[first..<first + size]
    }

    func prepare(_ rows: Range<Int>, ofStretch stretch: Int, x: Rows, with tools: LaneTools) throws {
        let (lane, first) = (tools.lane, rows.lowerBound - stretch)
        let tokens = mixer.computed.tokens(from: rows.lowerBound, count: rows.count)
        if tokens == 0 { return }
        let own = first..<first + tokens
        lane.project(
            x[0..<tokens], mixer.norms.before,
            [
                (matrix: mixer.query, into: queries[own]), (matrix: mixer.key, into: keys[own]),
                (matrix: mixer.value, into: values[own]), (matrix: mixer.gate, into: gates[own]),
            ])
        if let rotation = mixer.rotation {
            lane.rotate(queries[own], first: rows.lowerBound, heads: shape.heads, by: rotation)
            lane.rotate(keys[own], first: rows.lowerBound, heads: shape.heads, by: rotation)
        }
        for tile in tiles(own) {
            lane.retain(keys: keys[tile], values: values[tile], decay: mixer.decay, into: states(ofTile: tile))
        }
    }

    var carryingTasks: Int { shape.heads }

    func carry(_ head: Int, over stretch: Range<Int>, with tools: LaneTools) throws {
        let tokens = mixer.computed.tokens(from: stretch.lowerBound, count: stretch.count)
        for tile in tiles(0..<tokens) {
            tools.lane.scan(states(ofTile: tile), rows: tile.count, head: head, decay: mixer.decay, state: state)
        }
    }

    func mix(_ rows: Range<Int>, ofStretch stretch: Int, x: Rows, with tools: LaneTools, into s: Rows) throws {
        let (lane, first) = (tools.lane, rows.lowerBound - stretch)
        StreamRows(computed: mixer.computed, norm: mixer.norms.after).mix(rows, x: x, on: lane, into: s) { count in
            let own = first..<first + count
            for tile in tiles(own) {
                lane.recall(
                    queries: queries[tile], keys: keys[tile], values: values[tile], decay: mixer.decay,
                    states: states(ofTile: tile), into: outputs[tile])
            }
            lane.gateHeads(
                outputs[own], heads: shape.heads, weight: mixer.headNorm, epsilon: Float(shape.normEpsilon),
                gate: gates[own])
            lane.residual(
                outputs[own], mixer.output, adding: x[0..<count], mixer.norms.after, into: s[0..<count])
        }
    }

    // MARK: The carry

    var carryBytes: Int { shape.carryBytes }

    func save(before next: Int, to bytes: UnsafeMutableRawBufferPointer, with tools: LaneTools) throws {
        guard let start = bytes.bindMemory(to: Float.self).baseAddress else { return }
        tools.lane.download(state, to: start)
        try tools.lane.finish()
    }

    func restore(_ bytes: UnsafeRawBufferPointer, before next: Int, with tools: LaneTools) throws {
        guard let start = bytes.bindMemory(to: Float.self).baseAddress else { return }
        tools.lane.upload(start, to: state)
        try tools.lane.finish()
    }
}

extension RetentionShape: StreamingShape {
    /// γ_h = 1 - 2^(-5-h).
    var decays: [Double] { (0..<heads).map { 1 - Double(sign: .plus, exponent: -5 - $0, significand: 1) } }

    /// Rows of a chunk: wider states are worth more rows each. Depends on the shape alone, for it makes a difference to
    /// the last bits.
    var chunk: Int { keySize < 48 ? 64 : 128 }

    func chunks(ofTile rows: Int) -> Int { (rows + chunk - 1) / chunk }

    func mixer(_ tensor: TensorReader, _ config: ModelConfig, geometry: SequenceGeometry, on backend: any Backend)
        throws
        -> any StreamingMixer
    {
        try Retention(self, tensor, config, geometry: geometry, on: backend)
    }

    func needs(_ config: ModelConfig, tileRows: Int) -> LaneNeeds {
        var needs = LaneNeeds()
        (needs.width, needs.inputs) = (config.hiddenSize, max(config.hiddenSize, heads * valueSize))
        needs.recurrentKeys = keySize
        if rope != nil { needs.rotatedHead = keySize }
        return needs
    }

    func weightBytes(_ config: ModelConfig, on backend: any Backend) -> Int {
        let (D, keys, values) = (config.hiddenSize, heads * keySize, heads * valueSize)
        return 2 * backend.matrixFootprint(inputs: D, outputs: keys) + 2
            * backend.matrixFootprint(inputs: D, outputs: values) + backend.matrixFootprint(inputs: values, outputs: D)
            + 16 * D + 4 * keys * D + 4 * valueSize + DecayTables.footprint(heads: heads, chunk: chunk)
            + (rope == nil ? 0 : RotationTables.footprint(headSize: keySize))
    }

    func streamBytes(_ shape: StreamShape) -> Int {
        let (keys, values) = (heads * keySize, heads * valueSize)
        let tiles = (shape.rows + shape.tileRows - 1) / shape.tileRows
        return 4
            * (shape.rows * (2 * keys + 3 * values) + (tiles * chunks(ofTile: shape.tileRows) + 2) * keys * valueSize)
    }

    var carryBytes: Int { heads * keySize * valueSize * 8 }
}
