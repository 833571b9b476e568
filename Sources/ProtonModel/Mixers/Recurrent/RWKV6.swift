import Compute
import Geometry
import Support

/// A matrix of state a head whose rows fade at rates that follow from the tokens (Model.md, "Mixers", rwkv6):
/// o_t = S_{t-1}ᵀ r_t + (r_t · (bonus ⊙ k_t)) v_t, S_t = diag(w_t) S_{t-1} + k_t v_tᵀ.
///
/// Carried: S and u of the last row. S passes over the rows one after another, every slice of a head's values by
/// itself, so that no sum depends on where stretches begin.
///
/// S is kept in single precision, with what it loses, 1 - w, in the place of w: 1 - w has 24 bits however near w is to
/// 1, so that a row of S that remembers 10⁶ tokens forgets at the right rate. Rounding S adds at most 6·10⁻⁸ of it a
/// token, as often up as down, and that fades as everything does: with a memory of M tokens about 2·10⁻⁸ √M of S in
/// all, 2·10⁻⁵ where M is 10⁶. Beyond 10⁷ a loss is less than what rounding keeps; decays of trained models are far
/// from there, and their authors keep S in single precision too.
final class RWKV6: StreamingMixer {
    let shape: RWKV6Shape
    let computed: ComputedRows
    let norms: LayerNorms
    /// [D] each: the share of the row before in what z is made of, and in w, k, v, r, g.
    let firstShare: RowWeights
    let shares: [RowWeights]
    /// [D] -> [5·r], and five of [r] -> [D].
    let mixIn: any Matrix
    let mixOut: [any Matrix]
    let decayIn: any Matrix
    /// Its bias is `decay`.
    let decayOut: any Matrix
    /// Of k, v, r, g.
    let projections: [any Matrix]
    let bonus: RowWeights
    let normWeight: RowWeights
    let normBias: RowWeights
    let output: any Matrix

    package let access: any Access = OwnAccess()

    init(
        _ shape: RWKV6Shape, _ tensor: TensorReader, _ config: ModelConfig, geometry: SequenceGeometry,
        on backend: any Backend
    ) throws {
        self.shape = shape
        computed = ComputedRows(config, geometry)
        norms = try LayerNorms(tensor, config, on: backend)
        let (D, rank) = (config.hiddenSize, shape.mixRank)
        func square(_ name: String) throws -> any Matrix {
            try backend.matrix(try tensor("mixer.\(name)_proj.weight"), bias: nil, inputs: D, outputs: D)
        }
        firstShare = try tensor.weights("mixer.mu_x", count: D)
        shares = try ["w", "k", "v", "r", "g"].map { try tensor.weights("mixer.mu_\($0)", count: D) }
        mixIn = try tensor.transposed("mixer.mix_w1", inputs: D, outputs: 5 * rank, on: backend)
        mixOut = try (0..<5).map {
            try tensor.transposed("mixer.mix_w2", part: $0, inputs: rank, outputs: D, on: backend)
        }
        decayIn = try tensor.transposed("mixer.decay_w1", inputs: D, outputs: shape.decayRank, on: backend)
        decayOut = try tensor.transposed(
            "mixer.decay_w2", inputs: shape.decayRank, outputs: D, bias: "mixer.decay", on: backend)
        projections = try ["k", "v", "r", "g"].map(square)
        bonus = try tensor.weights("mixer.bonus", count: D)
        normWeight = try tensor.weights("mixer.norm.weight", count: D)
        normBias = try tensor.weights("mixer.norm.bias", count: D)
        output = try square("o")
    }

    package func stream(_ shape: StreamShape, on backend: any Backend) throws -> any MixerStream {
        try RWKV6Stream(self, shape, on: backend)
    }
}

/// At work.
private final class RWKV6Stream: RowCarrier, @unchecked Sendable {
    private let mixer: RWKV6
    private let shifted: ShiftedRows
    // [stretch, D]: what S loses, k, v, r, the gate and o.
    private let losses: Rows
    private let keys: Rows
    private let values: Rows
    private let queries: Rows
    private let gates: Rows
    private let outputs: Rows
    // For some rows of every tile: z, its part of a blend, the blend, and tanh of the map to decays.
    private let mixed: Rows
    private let parts: Rows
    private let blends: Rows
    private let decays: Rows
    /// [H·p, p]: S.
    private let state: Rows

    private var shape: RWKV6Shape { mixer.shape }

    init(_ mixer: RWKV6, _ shape: StreamShape, on backend: any Backend) throws {
        self.mixer = mixer
        let D = mixer.shape.width
        shifted = try ShiftedRows(shape, width: D, on: backend)
        losses = try backend.rows(shape.rows, width: D)
        keys = try backend.rows(shape.rows, width: D)
        values = try backend.rows(shape.rows, width: D)
        queries = try backend.rows(shape.rows, width: D)
        gates = try backend.rows(shape.rows, width: D)
        outputs = try backend.rows(shape.rows, width: D)
        let rows = shape.tiles * ShiftedRows.rowsAtOnce
        mixed = try backend.rows(rows, width: 5 * mixer.shape.mixRank)
        parts = try backend.rows(rows, width: D)
        blends = try backend.rows(rows, width: D)
        decays = try backend.rows(rows, width: mixer.shape.decayRank)
        state = try backend.rows(D, width: mixer.shape.headSize)
    }

    func prepare(_ rows: Range<Int>, ofStretch stretch: Int, x: Rows, with tools: LaneTools) throws {
        let (lane, first) = (tools.lane, rows.lowerBound - stretch)
        let tokens = mixer.computed.tokens(from: rows.lowerBound, count: rows.count)
        if tokens == 0 { return }
        shifted.each(first..<first + tokens, x: x, mixer.norms.before, on: lane) { group in
            let (z, part, blend) = (mixed[group.room], parts[group.room], blends[group.room])
            lane.blend(group.u, with: group.before, share: mixer.firstShare, plus: nil, into: blend)
            lane.product(blend, mixer.mixIn, adding: nil, activation: nil, into: z)
            lane.apply(.tanh, to: z)
            let rank = shape.mixRank
            for index in 0..<5 {
                lane.product(
                    z.columns(index * rank..<(index + 1) * rank), mixer.mixOut[index], adding: nil, activation: nil,
                    into: part)
                lane.blend(group.u, with: group.before, share: mixer.shares[index], plus: part, into: blend)
                if index == 0 {
                    let decay = decays[group.room]
                    lane.product(blend, mixer.decayIn, adding: nil, activation: nil, into: decay)
                    lane.apply(.tanh, to: decay)
                    lane.product(decay, mixer.decayOut, adding: nil, activation: nil, into: losses[group.rows])
                    lane.apply(.loss, to: losses[group.rows])
                } else {
                    let target = [keys, values, queries, gates][index - 1][group.rows]
                    lane.product(blend, mixer.projections[index - 1], adding: nil, activation: nil, into: target)
                }
            }
            lane.apply(.silu, to: gates[group.rows])
        }
    }

    var carryingTasks: Int { shape.heads * shape.slices }

    func carry(_ task: Int, over stretch: Range<Int>, with tools: LaneTools) throws {
        let tokens = mixer.computed.tokens(from: stretch.lowerBound, count: stretch.count)
        if tokens == 0 { return }
        if task == 0 { shifted.carry(tokens, on: tools.lane) }
        let (head, values) = shape.slice(task)
        let own = shape.features(ofHead: head)
        let columns = own.lowerBound + values.lowerBound..<own.lowerBound + values.upperBound
        tools.lane.fade(
            queries: queries[0..<tokens].columns(own), keys: keys[0..<tokens].columns(own),
            losses: losses[0..<tokens].columns(own), values: self.values[0..<tokens].columns(columns),
            state: state[own].columns(values), into: outputs[0..<tokens].columns(columns))
    }

    func mix(_ rows: Range<Int>, ofStretch stretch: Int, x: Rows, with tools: LaneTools, into s: Rows) throws {
        let (lane, first) = (tools.lane, rows.lowerBound - stretch)
        StreamRows(computed: mixer.computed, norm: mixer.norms.after).mix(rows, x: x, on: lane, into: s) { count in
            let own = first..<first + count
            lane.addHeadProducts(
                queries[own], keys[own], heads: shape.heads, weight: mixer.bonus, times: values[own], to: outputs[own])
            lane.normaliseHeads(
                outputs[own], heads: shape.heads, weight: mixer.normWeight, bias: mixer.normBias,
                epsilon: RWKV6Shape.normEpsilon)
            lane.multiply(outputs[own], by: gates[own])
            lane.residual(
                outputs[own], mixer.output, adding: x[0..<count], mixer.norms.after, into: s[0..<count])
        }
    }

    var carried: [Rows] { [state, shifted.carried] }
}

/// Heads whose features lie side by side, and slices of their values, which are worked on at once.
protocol HeadSlices {
    /// H and p.
    var heads: Int { get }
    var headSize: Int { get }
}

extension HeadSlices {
    /// Of the LayerNorm of a head's outputs, as published.
    static var normEpsilon: Float { 64e-5 }

    /// D.
    var width: Int { heads * headSize }

    func features(ofHead head: Int) -> Range<Int> { head * headSize..<(head + 1) * headSize }

    /// Values of a slice: 32 suit the kernels best, fewer give two threads something to do. It makes no difference to
    /// what a value is.
    private var sliceSize: Int { heads * ((headSize + 31) / 32) >= 4 ? 32 : 16 }

    /// Slices of a head.
    var slices: Int { (headSize + sliceSize - 1) / sliceSize }

    /// The head of slice `task` of all, and its values in the head.
    func slice(_ task: Int) -> (head: Int, values: Range<Int>) {
        let first = task % slices * sliceSize
        return (task / slices, first..<min(headSize, first + sliceSize))
    }
}

extension RWKV6Shape: StreamingShape, HeadSlices {
    func mixer(_ tensor: TensorReader, _ config: ModelConfig, geometry: SequenceGeometry, on backend: any Backend)
        throws
        -> any StreamingMixer
    {
        try RWKV6(self, tensor, config, geometry: geometry, on: backend)
    }

    func needs(_ config: ModelConfig, tileRows: Int) -> LaneNeeds {
        var needs = LaneNeeds()
        (needs.width, needs.inputs) = (width, max(width, 5 * mixRank, decayRank))
        return needs
    }

    func weightBytes(_ config: ModelConfig, on backend: any Backend) -> Int {
        let D = width
        let matrices =
            5 * backend.matrixFootprint(inputs: D, outputs: D)
            + backend.matrixFootprint(inputs: D, outputs: 5 * mixRank)
            + 5 * backend.matrixFootprint(inputs: mixRank, outputs: D)
            + backend.matrixFootprint(inputs: D, outputs: decayRank)
            + backend.matrixFootprint(inputs: decayRank, outputs: D)
        // The norms, shares, bonus and norm of heads; and the largest matrix that is turned.
        return matrices + (4 + 6 + 3) * D * 4 + D * max(5 * mixRank, decayRank) * 4
    }

    func streamBytes(_ shape: StreamShape) -> Int {
        let rows = shape.tiles * ShiftedRows.rowsAtOnce
        return ShiftedRows.footprint(shape, width: width)
            + 4 * (6 * shape.rows * width + rows * (5 * mixRank + 2 * width + decayRank) + width * headSize)
    }

    var carryBytes: Int { 4 * (width * headSize + width) }
}
