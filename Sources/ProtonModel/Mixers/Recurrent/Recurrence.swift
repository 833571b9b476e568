import Compute
import Geometry
import Support

/// A shape whose mixer keeps a matrix of state a head that fades at a fixed rate, row by row: S_t = γ S_{t-1} +
/// k_t v_tᵀ, o_t = S_tᵀ q_t. The kinds differ in how keys, values and queries are made of a row, and in what is made
/// of o.
protocol RecurrentShape: StreamingShape {
    /// H.
    var heads: Int { get }
    /// Features of a head's keys and values as its state has them.
    var stateKeySize: Int { get }
    var stateValueSize: Int { get }
    /// Of a head's values as `o_proj` takes them; they are no more than those of the state.
    var outputSize: Int { get }
    /// γ of each head, in (0, 1].
    var decays: [Double] { get }
    /// What queries and keys go through after their projection.
    var featureFunction: RowFunction? { get }
    /// Whether there is a gate for every value.
    var isGated: Bool { get }

    func parts(_ tensor: TensorReader, width D: Int, on backend: any Backend) throws -> RecurrenceParts

    /// Bytes of what is in `parts` beside matrices, and that making them takes meanwhile.
    func partBytes(width D: Int) -> Int
    /// Of each head that is turned by its position; nil where none is.
    var rotatedSize: Int? { get }

    /// What `o_proj` takes, from o of all heads.
    ///
    /// - Parameters:
    ///   - outputs: [rows, H · values of the state]; of no meaning afterwards.
    ///   - gates: [rows, H · values of the output].
    ///   - room: [rows, H · values of the output], for what does not fit into `outputs` as it is.
    /// - Returns: `outputs` or `room`.
    func read(_ outputs: Rows, gates: Rows?, norm: RowWeights?, room: Rows, on lane: any Lane) -> Rows
}

/// Weights of a recurrence, made ready.
struct RecurrenceParts {
    var query: any Matrix
    var key: any Matrix
    var value: any Matrix
    var gate: (any Matrix)?
    var output: any Matrix
    var norm: RowWeights?
    var rotation: RotationTables?
}

extension RecurrentShape {
    /// Rows of a chunk: wider states are worth more rows each. Depends on the shape alone, for it makes a difference to
    /// the last bits.
    var chunk: Int { stateKeySize < 48 ? 64 : 128 }

    func chunks(ofTile rows: Int) -> Int { (rows + chunk - 1) / chunk }

    func mixer(_ tensor: TensorReader, _ config: ModelConfig, geometry: SequenceGeometry, on backend: any Backend)
        throws
        -> any StreamingMixer
    {
        try Recurrence(self, tensor, config, geometry: geometry, on: backend)
    }

    func needs(_ config: ModelConfig, tileRows: Int) -> LaneNeeds {
        var needs = LaneNeeds()
        (needs.width, needs.inputs) = (config.hiddenSize, max(config.hiddenSize, heads * outputSize))
        needs.recurrentKeys = stateKeySize
        needs.rotatedHead = rotatedSize ?? 0
        return needs
    }

    func weightBytes(_ config: ModelConfig, on backend: any Backend) -> Int {
        let (D, keys, values, outputs) = (
            config.hiddenSize, heads * stateKeySize, heads * stateValueSize, heads * outputSize
        )
        return 2 * backend.matrixFootprint(inputs: D, outputs: keys)
            + backend.matrixFootprint(inputs: D, outputs: values)
            + (isGated ? backend.matrixFootprint(inputs: D, outputs: outputs) : 0)
            + backend.matrixFootprint(inputs: outputs, outputs: D) + 16 * D + partBytes(width: D)
            + DecayTables.footprint(heads: heads, chunk: chunk)
            + (rotatedSize.map { RotationTables.footprint(headSize: $0) } ?? 0)
    }

    func streamBytes(_ shape: StreamShape) -> Int {
        let (keys, values, gates) = (heads * stateKeySize, heads * stateValueSize, isGated ? heads * outputSize : 0)
        return 4
            * (shape.rows * (2 * keys + 2 * values + gates) + (shape.tiles * chunks(ofTile: shape.tileRows) + 2) * keys
                * stateValueSize)
    }

    var carryBytes: Int { heads * stateKeySize * stateValueSize * 8 }
}

/// A recurrence of any such kind.
///
/// Carried: S, in double precision, for with little or no decay its sums are of as many terms as there are rows. Rows
/// are taken in chunks that begin with their tile: what every chunk adds to S is computed at once, S passes over the
/// chunks, and every chunk's outputs follow from S before it and its own rows.
final class Recurrence: StreamingMixer {
    let shape: any RecurrentShape
    let computed: ComputedRows
    let norms: LayerNorms
    let query: any Matrix
    let key: any Matrix
    let value: any Matrix
    let gate: (any Matrix)?
    let output: any Matrix
    let headNorm: RowWeights?
    let rotation: RotationTables?
    let decay: DecayTables

    let access: any Access = OwnAccess()

    init(
        _ shape: any RecurrentShape, _ tensor: TensorReader, _ config: ModelConfig, geometry: SequenceGeometry,
        on backend: any Backend
    ) throws {
        self.shape = shape
        computed = ComputedRows(config, geometry)
        norms = try LayerNorms(tensor, config, on: backend)
        let parts = try shape.parts(tensor, width: config.hiddenSize, on: backend)
        (query, key, value, gate, output) = (parts.query, parts.key, parts.value, parts.gate, parts.output)
        headNorm = parts.norm
        rotation = parts.rotation
        decay = try DecayTables(
            decays: shape.decays, keySize: shape.stateKeySize, valueSize: shape.stateValueSize, chunk: shape.chunk)
    }

    func stream(_ shape: StreamShape, on backend: any Backend) throws -> any MixerStream {
        try RecurrenceStream(self, shape, on: backend)
    }
}

/// A recurrence at work.
private final class RecurrenceStream: RowCarrier, @unchecked Sendable {
    private let mixer: Recurrence
    private let sizes: StreamShape
    private let tileChunks: Int
    // [stretch, H·dk] and [stretch, H·dv], sizes of the state.
    private let queries: Rows
    private let keys: Rows
    private let values: Rows
    private let outputs: Rows
    /// [stretch, H·dv], sizes of the output.
    private let gates: Rows?
    /// [chunks · H·dk, dv]: what each chunk adds to S, then S before it.
    private let states: Rows
    /// [H·dk, 2·dv]: S after the last row, in double precision.
    private let state: Rows

    private var shape: any RecurrentShape { mixer.shape }

    init(_ mixer: Recurrence, _ shape: StreamShape, on backend: any Backend) throws {
        self.mixer = mixer
        let heads = mixer.shape.heads
        let (keyWidth, valueWidth) = (heads * mixer.shape.stateKeySize, heads * mixer.shape.stateValueSize)
        sizes = shape
        tileChunks = mixer.shape.chunks(ofTile: shape.tileRows)
        queries = try backend.rows(shape.rows, width: keyWidth)
        keys = try backend.rows(shape.rows, width: keyWidth)
        values = try backend.rows(shape.rows, width: valueWidth)
        outputs = try backend.rows(shape.rows, width: valueWidth)
        gates = mixer.gate == nil ? nil : try backend.rows(shape.rows, width: heads * mixer.shape.outputSize)
        states = try backend.rows(shape.tiles * tileChunks * keyWidth, width: mixer.shape.stateValueSize)
        state = try backend.rows(keyWidth, width: 2 * mixer.shape.stateValueSize)
    }

    /// The states of a tile's chunks.
    private func states(ofTile tile: Range<Int>) -> Rows {
        let size = tileChunks * shape.heads * shape.stateKeySize
        let first = tile.lowerBound / sizes.tileRows * size
        return states[first..<first + size]
    }

    func prepare(_ rows: Range<Int>, ofStretch stretch: Int, x: Rows, with tools: LaneTools) throws {
        let (lane, first) = (tools.lane, rows.lowerBound - stretch)
        let tokens = mixer.computed.tokens(from: rows.lowerBound, count: rows.count)
        if tokens == 0 { return }
        let own = first..<first + tokens
        var products = [
            (matrix: mixer.query, into: queries[own]), (matrix: mixer.key, into: keys[own]),
            (matrix: mixer.value, into: values[own]),
        ]
        if let gate = mixer.gate, let gates { products.append((matrix: gate, into: gates[own])) }
        lane.project(x[0..<tokens], mixer.norms.before, products)
        for features in [queries[own], keys[own]] {
            if let function = shape.featureFunction { lane.apply(function, to: features) }
            if let rotation = mixer.rotation {
                lane.rotate(
                    features, first: rows.lowerBound, heads: features.width / rotation.headSize, by: rotation)
            }
        }
        for tile in sizes.tiles(of: own) {
            lane.retain(keys: keys[tile], values: values[tile], decay: mixer.decay, into: states(ofTile: tile))
        }
    }

    var carryingTasks: Int { shape.heads }

    func carry(_ head: Int, over stretch: Range<Int>, with tools: LaneTools) throws {
        let tokens = mixer.computed.tokens(from: stretch.lowerBound, count: stretch.count)
        for tile in sizes.tiles(of: 0..<tokens) {
            tools.lane.scan(states(ofTile: tile), rows: tile.count, head: head, decay: mixer.decay, state: state)
        }
    }

    func mix(_ rows: Range<Int>, ofStretch stretch: Int, x: Rows, with tools: LaneTools, into s: Rows) throws {
        let (lane, first) = (tools.lane, rows.lowerBound - stretch)
        StreamRows(computed: mixer.computed, norm: mixer.norms.after).mix(rows, x: x, on: lane, into: s) { count in
            let own = first..<first + count
            for tile in sizes.tiles(of: own) {
                lane.recall(
                    queries: queries[tile], keys: keys[tile], values: values[tile], decay: mixer.decay,
                    states: states(ofTile: tile), into: outputs[tile])
            }
            // Nobody asks for the values any more.
            let room = values[own].reshaped(count, width: shape.heads * shape.outputSize)
            let read = shape.read(
                outputs[own], gates: gates?[own], norm: mixer.headNorm, room: room, on: lane)
            lane.residual(read, mixer.output, adding: x[0..<count], mixer.norms.after, into: s[0..<count])
        }
    }

    var carried: [Rows] { [state] }
}

// MARK: Making the parts

/// Makes matrices of a layer's tensors.
struct MatrixMaker {
    let tensor: TensorReader
    /// D.
    let width: Int
    let backend: any Backend

    /// A projection of the mixer's input as it is.
    func projection(_ name: String, outputs: Int) throws -> any Matrix {
        try backend.matrix(try tensor(name), bias: nil, inputs: width, outputs: outputs)
    }

    /// y of the mixer, D values of `inputs`.
    func output(inputs: Int) throws -> any Matrix {
        try backend.matrix(try tensor("mixer.o_proj.weight"), bias: nil, inputs: inputs, outputs: width)
    }

    /// A projection whose rows are scaled, `gap` more outputs after each `run` of them: `filling`, whatever the input.
    func spaced(
        _ name: String, outputs: Int, scale: Float = 1, run: Int = 1, gap: Int = 0, filling: Float = 0
    ) throws -> any Matrix {
        let rows = outputs / run * (run + gap)
        let weight = try tensor(name)
        let wide = try Memory<Float>(rows * width)
        let bias = try Memory<Float>(rows)
        for row in 0..<rows {
            let place = row % (run + gap)
            if place >= run {
                bias[row] = filling
                continue
            }
            let source = (row / (run + gap) * run + place) * width
            for column in 0..<width { wide[row * width + column] = weight[source + column] * scale }
        }
        return try backend.matrix(
            wide.start, bias: filling == 0 ? nil : UnsafePointer(bias.start), inputs: width, outputs: rows)
    }

    /// Bytes that `spaced` takes while it makes so many rows.
    static func spacedBytes(rows: Int, width: Int) -> Int { 4 * rows * (width + 1) }

    /// The mixer's `norm.weight`, where it has one.
    func norm(size: Int) throws -> RowWeights? {
        try tensor.ifPresent("mixer.norm.weight").map { _ in
            try tensor.weights("mixer.norm.weight", count: size)
        }
    }
}
