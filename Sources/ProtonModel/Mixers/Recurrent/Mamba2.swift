import Compute
import Geometry
import Glibc
import Support

/// A matrix of state a head, S_t = e^(step_t A) S_{t-1} + step_t B_t x_tᵀ, o_t = S_tᵀ C_t + D x_t, of rows that say
/// themselves how long their step is (Model.md, "Mixers").
///
/// Carried: S, in double precision, and the last K - 1 rows before the convolution. Chunks begin with their tile, as
/// those of `Recurrence`.
final class Mamba2: StreamingMixer {
    let shape: Mamba2Shape
    let computed: ComputedRows
    let norms: LayerNorms
    /// Of in_proj: gates; values, keys and queries; steps.
    let gate: any Matrix
    let inner: any Matrix
    let step: any Matrix
    let output: any Matrix
    let filter: ChannelFilter
    let decays: RowDecays
    /// D of each head.
    let skip: RowWeights
    let norm: RowWeights

    let access: any Access = OwnAccess()

    init(
        _ shape: Mamba2Shape, _ tensor: TensorReader, _ config: ModelConfig, geometry: SequenceGeometry,
        on backend: any Backend
    ) throws {
        self.shape = shape
        computed = ComputedRows(config, geometry)
        norms = try LayerNorms(tensor, config, on: backend)
        let (D, E, W, H) = (config.hiddenSize, shape.channels, shape.convolved, shape.heads)
        let weight = try tensor("mixer.in_proj.weight")
        gate = try backend.matrix(weight, bias: nil, inputs: D, outputs: E)
        inner = try backend.matrix(weight + E * D, bias: nil, inputs: D, outputs: W)
        step = try backend.matrix(weight + (E + W) * D, bias: nil, inputs: D, outputs: H)
        output = try backend.matrix(try tensor("mixer.o_proj.weight"), bias: nil, inputs: E, outputs: D)
        filter = try ChannelFilter(
            try tensor("mixer.conv.weight"), bias: try tensor("mixer.conv.bias"), channels: W, taps: shape.taps)
        let (bias, rates) = (try tensor("mixer.dt_bias"), try tensor("mixer.A_log"))
        decays = RowDecays(
            bias: (0..<H).map { bias[$0] }, rates: (0..<H).map { -exp(Double(rates[$0])) }, groups: shape.groups,
            keySize: shape.state, valueSize: shape.headSize, chunk: Mamba2Shape.chunk)
        skip = try tensor.weights("mixer.D", count: H)
        norm = try tensor.weights("mixer.norm.weight", count: E)
    }

    func stream(_ shape: StreamShape, on backend: any Backend) throws -> any MixerStream {
        try Mamba2Stream(self, shape, on: backend)
    }
}

/// Mamba-2 at work.
private final class Mamba2Stream: RowCarrier, @unchecked Sendable {
    private let mixer: Mamba2
    private let sizes: StreamShape
    private let tileChunks: Int
    private let convolved: ConvolvedRows
    /// [stretch, values, keys and queries] after the convolution.
    private let mixed: Rows
    // [stretch, E].
    private let gates: Rows
    private let outputs: Rows
    /// [stretch, H].
    private let steps: Rows
    /// [chunks · H, …]: as `RowDecays` has it.
    private let kept: Rows
    /// [chunks · H·N, P]: what each chunk adds to S, then S before it.
    private let states: Rows
    /// [H·N, 2·P]: S after the last row, in double precision.
    private let state: Rows

    private var shape: Mamba2Shape { mixer.shape }

    init(_ mixer: Mamba2, _ stream: StreamShape, on backend: any Backend) throws {
        self.mixer = mixer
        let shape = mixer.shape
        sizes = stream
        tileChunks = shape.chunks(ofTile: stream.tileRows)
        convolved = try ConvolvedRows(stream, channels: shape.convolved, taps: shape.taps, on: backend)
        mixed = try backend.rows(stream.rows, width: shape.convolved)
        gates = try backend.rows(stream.rows, width: shape.channels)
        outputs = try backend.rows(stream.rows, width: shape.channels)
        steps = try backend.rows(stream.rows, width: shape.heads)
        let chunks = stream.tiles * tileChunks
        kept = try backend.rows(chunks * shape.heads, width: mixer.decays.width)
        states = try backend.rows(chunks * shape.heads * shape.state, width: shape.headSize)
        state = try backend.rows(shape.heads * shape.state, width: 2 * shape.headSize)
    }

    /// What is kept of a tile's chunks, and their states.
    private func kept(ofTile tile: Range<Int>) -> Rows {
        let size = tileChunks * shape.heads
        return kept[tile.lowerBound / sizes.tileRows * size..<(tile.lowerBound / sizes.tileRows + 1) * size]
    }
    private func states(ofTile tile: Range<Int>) -> Rows {
        let size = tileChunks * shape.heads * shape.state
        return states[tile.lowerBound / sizes.tileRows * size..<(tile.lowerBound / sizes.tileRows + 1) * size]
    }

    /// Channels of a head's values, of a group's keys, of all keys and all queries.
    private func values(ofHead head: Int) -> Range<Int> { head * shape.headSize..<(head + 1) * shape.headSize }
    private func keys(ofGroup group: Int) -> Range<Int> {
        shape.channels + group * shape.state..<shape.channels + (group + 1) * shape.state
    }
    private var allKeys: Range<Int> { shape.channels..<shape.channels + shape.keyWidth }
    private var allQueries: Range<Int> { shape.channels + shape.keyWidth..<shape.convolved }

    func prepare(_ rows: Range<Int>, ofStretch stretch: Int, x: Rows, with tools: LaneTools) throws {
        let (lane, first) = (tools.lane, rows.lowerBound - stretch)
        let tokens = mixer.computed.tokens(from: rows.lowerBound, count: rows.count)
        if tokens == 0 { return }
        let own = first..<first + tokens
        convolved.each(
            own, x: x, mixer.norms.before, mixer.inner,
            others: [(matrix: mixer.gate, into: gates), (matrix: mixer.step, into: steps)], mixer.filter, into: mixed,
            on: lane
        ) { lane.apply(.silu, to: gates[$0]) }
        for tile in sizes.tiles(of: own) {
            let (kept, states) = (kept(ofTile: tile), states(ofTile: tile))
            lane.measure(steps[tile], mixer.decays, into: kept)
            for head in 0..<shape.heads {
                lane.retain(
                    keys: mixed[tile].columns(keys(ofGroup: head * shape.groups / shape.heads)),
                    values: mixed[tile].columns(values(ofHead: head)), head: head, decays: mixer.decays, kept: kept,
                    into: states)
            }
        }
    }

    var carryingTasks: Int { shape.heads }

    func carry(_ head: Int, over stretch: Range<Int>, with tools: LaneTools) throws {
        let tokens = mixer.computed.tokens(from: stretch.lowerBound, count: stretch.count)
        if tokens == 0 { return }
        for tile in sizes.tiles(of: 0..<tokens) {
            tools.lane.scan(
                states(ofTile: tile), rows: tile.count, head: head, decays: mixer.decays, kept: kept(ofTile: tile),
                state: state)
        }
        if head == 0 { convolved.carry(tokens, on: tools.lane) }
    }

    func mix(_ rows: Range<Int>, ofStretch stretch: Int, x: Rows, with tools: LaneTools, into s: Rows) throws {
        let (lane, first) = (tools.lane, rows.lowerBound - stretch)
        StreamRows(computed: mixer.computed, norm: mixer.norms.after).mix(rows, x: x, on: lane, into: s) { count in
            let own = first..<first + count
            for tile in sizes.tiles(of: own) {
                let mixed = mixed[tile]
                lane.recall(
                    queries: mixed.columns(allQueries), keys: mixed.columns(allKeys),
                    values: mixed.columns(0..<shape.channels), decays: mixer.decays, kept: kept(ofTile: tile),
                    states: states(ofTile: tile), into: outputs[tile])
            }
            lane.addHeads(
                mixed[own].columns(0..<shape.channels), weights: mixer.skip, gate: gates[own], to: outputs[own])
            lane.gateHeads(
                outputs[own], heads: shape.groups, weight: mixer.norm, epsilon: Float(shape.normEpsilon), gate: .none)
            lane.residual(
                outputs[own], mixer.output, adding: x[0..<count], mixer.norms.after, into: s[0..<count])
        }
    }

    var carried: [Rows] { [state, convolved.carried] }
}

extension Mamba2Shape: StreamingShape {
    /// Rows of a chunk: it makes a difference to the last bits.
    static let chunk = 64

    func chunks(ofTile rows: Int) -> Int { (rows + Self.chunk - 1) / Self.chunk }

    func mixer(_ tensor: TensorReader, _ config: ModelConfig, geometry: SequenceGeometry, on backend: any Backend)
        throws
        -> any StreamingMixer
    {
        try Mamba2(self, tensor, config, geometry: geometry, on: backend)
    }

    func needs(_ config: ModelConfig, tileRows: Int) -> LaneNeeds {
        var needs = LaneNeeds()
        (needs.width, needs.inputs) = (config.hiddenSize, max(config.hiddenSize, channels))
        (needs.recurrentKeys, needs.decayRows) = (state, Self.chunk)
        return needs
    }

    func weightBytes(_ config: ModelConfig, on backend: any Backend) -> Int {
        let D = config.hiddenSize
        return backend.matrixFootprint(inputs: D, outputs: channels)
            + backend.matrixFootprint(inputs: D, outputs: convolved)
            + backend.matrixFootprint(inputs: D, outputs: heads)
            + backend.matrixFootprint(inputs: channels, outputs: D) + 16 * D
            + ChannelFilter.footprint(channels: convolved, taps: taps) + RowDecays.footprint(heads: heads)
            + 4 * (heads + channels)
    }

    func streamBytes(_ shape: StreamShape) -> Int {
        let chunks = shape.tiles * chunks(ofTile: shape.tileRows)
        let rows = shape.rows * (convolved + 2 * channels + heads)
        return 4 * (rows + chunks * heads * 3 * Self.chunk + (chunks + 2) * channels * state)
            + ConvolvedRows.footprint(shape, channels: convolved, taps: taps)
    }

    var carryBytes: Int { 8 * channels * state + 4 * (taps - 1) * convolved }
}
