import Compute
import Geometry
import Support

/// A recurrence of every channel whose steps the rows themselves say (Model.md, "Mixers"; Gu and Dao, "Mamba", 2023):
/// s_t = e^(ΔA) s_{t-1} + Δ x_t B_t, out_t = s_t·C_t.
///
/// Carried: s, and the rows before the next one that the convolution sees, before it. A channel's states go row by row:
/// the bits depend on no stretch. How long a state lasts is up to the rows, and may be as long as the sequence; sums of
/// so many small changes are kept in two floats each, high and low, which no rounding error piles up in.
final class Mamba: StreamingMixer {
    let shape: MambaShape
    let computed: ComputedRows
    let norms: LayerNorms
    let input: any Matrix
    let gate: any Matrix
    let filter: ChannelFilter
    /// To what the steps are made of, B and C.
    let selection: any Matrix
    let step: any Matrix
    let rates: SelectionRates
    let output: any Matrix

    let access: any Access = OwnAccess()

    init(
        _ shape: MambaShape, _ tensor: TensorReader, _ config: ModelConfig, geometry: SequenceGeometry,
        on backend: any Backend
    ) throws {
        self.shape = shape
        computed = ComputedRows(config, geometry)
        norms = try LayerNorms(tensor, config, on: backend)
        let (D, E, rank) = (config.hiddenSize, shape.channels, shape.rank)
        let both = try tensor("mixer.in_proj.weight")
        input = try backend.matrix(both, bias: nil, inputs: D, outputs: E)
        gate = try backend.matrix(both + E * D, bias: nil, inputs: D, outputs: E)
        filter = try ChannelFilter(
            try tensor("mixer.conv.weight"), bias: try tensor("mixer.conv.bias"), channels: E, taps: shape.taps)
        selection = try backend.matrix(
            try tensor("mixer.x_proj.weight"), bias: nil, inputs: E, outputs: shape.selectionWidth)
        step = try backend.matrix(
            try tensor("mixer.dt_proj.weight"), bias: try tensor("mixer.dt_proj.bias"), inputs: rank, outputs: E)
        rates = try SelectionRates(
            logarithms: try tensor("mixer.A_log"), skip: try tensor("mixer.D"), states: shape.states, channels: E)
        output = try backend.matrix(try tensor("mixer.o_proj.weight"), bias: nil, inputs: E, outputs: D)
    }

    func stream(_ shape: StreamShape, on backend: any Backend) throws -> any MixerStream {
        try MambaStream(self, shape, on: backend)
    }
}

/// Mamba at work.
private final class MambaStream: RowCarrier, @unchecked Sendable {
    private let mixer: Mamba
    /// [stretch, E]: channels after the convolution, then what the scan makes of them.
    private let values: Rows
    // [stretch, E].
    private let steps: Rows
    private let gates: Rows
    /// [stretch, rank + 2N].
    private let selections: Rows
    private let convolved: ConvolvedRows
    /// [2N, E]: of each state its high and its low part.
    private let state: Rows

    private var shape: MambaShape { mixer.shape }

    init(_ mixer: Mamba, _ shape: StreamShape, on backend: any Backend) throws {
        self.mixer = mixer
        let E = mixer.shape.channels
        values = try backend.rows(shape.rows, width: E)
        steps = try backend.rows(shape.rows, width: E)
        gates = try backend.rows(shape.rows, width: E)
        selections = try backend.rows(shape.rows, width: mixer.shape.selectionWidth)
        convolved = try ConvolvedRows(shape, channels: E, taps: mixer.shape.taps, on: backend)
        state = try backend.rows(2 * mixer.shape.states, width: E)
    }

    func prepare(_ rows: Range<Int>, ofStretch stretch: Int, x: Rows, with tools: LaneTools) throws {
        let (lane, first, rank) = (tools.lane, rows.lowerBound - stretch, shape.rank)
        let tokens = mixer.computed.tokens(from: rows.lowerBound, count: rows.count)
        if tokens == 0 { return }
        convolved.each(
            first..<first + tokens, x: x, mixer.norms.before, mixer.input, others: [(matrix: mixer.gate, into: gates)],
            mixer.filter, into: values, on: lane
        ) { own in
            lane.product(values[own], mixer.selection, adding: nil, activation: nil, into: selections[own])
            lane.product(
                selections[own].columns(0..<rank), mixer.step, adding: nil, activation: nil, into: steps[own])
        }
    }

    var carryingTasks: Int { (shape.channels + MambaShape.channelsAtOnce - 1) / MambaShape.channelsAtOnce }

    func carry(_ task: Int, over stretch: Range<Int>, with tools: LaneTools) throws {
        let tokens = mixer.computed.tokens(from: stretch.lowerBound, count: stretch.count)
        if tokens == 0 { return }
        let first = task * MambaShape.channelsAtOnce, (N, rank) = (shape.states, shape.rank)
        let channels = first..<min(shape.channels, first + MambaShape.channelsAtOnce)
        tools.lane.scanSelectively(
            values[0..<tokens].columns(channels), steps: steps[0..<tokens].columns(channels),
            entering: selections[0..<tokens].columns(rank..<rank + N),
            leaving: selections[0..<tokens].columns(rank + N..<rank + 2 * N),
            gates: gates[0..<tokens].columns(channels), by: mixer.rates, first: channels.lowerBound,
            state: state.columns(channels))
        if task == 0 { convolved.carry(tokens, on: tools.lane) }
    }

    func mix(_ rows: Range<Int>, ofStretch stretch: Int, x: Rows, with tools: LaneTools, into s: Rows) throws {
        let (lane, first) = (tools.lane, rows.lowerBound - stretch)
        StreamRows(computed: mixer.computed, norm: mixer.norms.after).mix(rows, x: x, on: lane, into: s) { count in
            lane.residual(
                values[first..<first + count], mixer.output, adding: x[0..<count], mixer.norms.after,
                into: s[0..<count])
        }
    }

    var carried: [Rows] { [state, convolved.carried] }
}

extension MambaShape: StreamingShape {
    /// Channels of a task that carries.
    static let channelsAtOnce = 32

    /// Values of a row that say how it is selected: those that steps are made of, B and C.
    var selectionWidth: Int { rank + 2 * states }

    func mixer(_ tensor: TensorReader, _ config: ModelConfig, geometry: SequenceGeometry, on backend: any Backend)
        throws
        -> any StreamingMixer
    {
        try Mamba(self, tensor, config, geometry: geometry, on: backend)
    }

    func needs(_ config: ModelConfig, tileRows: Int) -> LaneNeeds {
        var needs = LaneNeeds()
        needs.width = config.hiddenSize
        needs.inputs = max(config.hiddenSize, channels, selectionWidth)
        return needs
    }

    func weightBytes(_ config: ModelConfig, on backend: any Backend) -> Int {
        let (D, E) = (config.hiddenSize, channels)
        return 2 * backend.matrixFootprint(inputs: D, outputs: E)
            + backend.matrixFootprint(inputs: E, outputs: selectionWidth)
            + backend.matrixFootprint(inputs: rank, outputs: E) + backend.matrixFootprint(inputs: E, outputs: D)
            + ChannelFilter.footprint(channels: E, taps: taps)
            + SelectionRates.footprint(states: states, channels: E) + 16 * D
    }

    func streamBytes(_ shape: StreamShape) -> Int {
        4 * (shape.rows * (3 * channels + selectionWidth) + 2 * states * channels)
            + ConvolvedRows.footprint(shape, channels: channels, taps: taps)
    }

    var carryBytes: Int { 4 * (2 * states + taps - 1) * channels }
}
