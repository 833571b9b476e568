import Compute
import Geometry
import Support

/// A matrix of state a head that is corrected by a delta rule (Model.md, "Mixers", rwkv7):
/// S_t = S_{t-1} diag(w_t) - (S_{t-1} n_t)(n_t ⊙ a_t)ᵀ + v_t k_tᵀ, o_t = S_t r_t.
///
/// Carried: S and u of the last row, and where values are blended with those of the model's first layer also u of that
/// layer's last row: its values are computed anew from the tokens, in every layer that needs them, whatever passes the
/// layers are in. S passes over the rows one after another, every slice of a head's values by itself. It is kept in
/// single precision, as that of `RWKV6` and for the same reasons; what it loses a row is at most 1 - e^(-1/√e), 0.45.
final class RWKV7: StreamingMixer {
    let shape: RWKV7Shape
    let computed: ComputedRows
    let norms: LayerNorms
    /// [D] each: the share of the row before in what r, w, k, v, a, g are made of.
    let shares: [RowWeights]
    let queryProjection: any Matrix
    let keyProjection: any Matrix
    let valueProjection: any Matrix
    /// Maps [D] -> [rank] -> [D]; the second ones of decays, rates and values have biases.
    let decay: (into: any Matrix, out: any Matrix)
    let rate: (into: any Matrix, out: any Matrix)
    let gate: (into: any Matrix, out: any Matrix)
    let value: (into: any Matrix, out: any Matrix)?
    let keyScale: RowWeights
    let keyShare: RowWeights
    let bonus: RowWeights
    let normWeight: RowWeights
    let normBias: RowWeights
    let output: any Matrix
    /// Values of the model's first layer.
    let first: FirstValues?

    /// What the values of the model's first layer follow from.
    struct FirstValues: Sendable {
        let norm: any Norm
        let share: RowWeights
        let projection: any Matrix
    }

    let access: any Access = OwnAccess()

    init(
        _ shape: RWKV7Shape, _ tensor: TensorReader, _ config: ModelConfig, geometry: SequenceGeometry,
        on backend: any Backend
    ) throws {
        self.shape = shape
        computed = ComputedRows(config, geometry)
        norms = try LayerNorms(tensor, config, on: backend)
        let D = config.hiddenSize
        func square(_ tensor: TensorReader, _ name: String) throws -> any Matrix {
            try backend.matrix(try tensor("mixer.\(name)_proj.weight"), bias: nil, inputs: D, outputs: D)
        }
        func through(_ name: String, _ rank: Int, hasBias: Bool = true) throws -> (into: any Matrix, out: any Matrix) {
            (
                try tensor.transposed("mixer.\(name)_w1", inputs: D, outputs: rank, on: backend),
                try tensor.transposed(
                    "mixer.\(name)_w2", inputs: rank, outputs: D, bias: hasBias ? "mixer.\(name)" : nil, on: backend)
            )
        }
        shares = try ["r", "w", "k", "v", "a", "g"].map { try tensor.weights("mixer.mu_\($0)", count: D) }
        queryProjection = try square(tensor, "r")
        keyProjection = try square(tensor, "k")
        valueProjection = try square(tensor, "v")
        decay = try through("decay", shape.decayRank)
        rate = try through("rate", shape.rateRank)
        gate = try through("gate", shape.gateRank, hasBias: false)
        value = shape.isFirst ? nil : try through("value", shape.valueRank)
        keyScale = try tensor.weights("mixer.k_k", count: D)
        keyShare = try tensor.weights("mixer.k_a", count: D)
        bonus = try tensor.weights("mixer.r_k", count: D)
        normWeight = try tensor.weights("mixer.norm.weight", count: D)
        normBias = try tensor.weights("mixer.norm.bias", count: D)
        output = try square(tensor, "o")
        if shape.isFirst {
            first = nil
        } else {
            let model = tensor.ofBlock(0)
            defer { withExtendedLifetime(model) {} }
            first = FirstValues(
                norm: try model.norm("pre_norm.norm", config: config, on: backend),
                share: try model.weights("mixer.mu_v", count: D), projection: try square(model, "v"))
        }
    }

    func stream(_ shape: StreamShape, on backend: any Backend) throws -> any MixerStream {
        try RWKV7Stream(self, shape, on: backend)
    }
}

/// At work.
private final class RWKV7Stream: RowCarrier, @unchecked Sendable {
    private let mixer: RWKV7
    private let shifted: ShiftedRows
    // [stretch, D]: what S loses, k, v, r, n, n ⊙ a, the gate and o.
    private let losses: Rows
    private let keys: Rows
    private let values: Rows
    private let queries: Rows
    private let directions: Rows
    private let backs: Rows
    private let gates: Rows
    private let outputs: Rows
    // For some rows of every tile: a blend, what it is mapped to first, and the shares of first values.
    private let blends: Rows
    private let ranks: Rows
    private let parts: Rows
    /// [H·p, p]: Sᵀ.
    private let state: Rows
    /// Of the model's first layer: u, and [stretch, D] values.
    private let first: (shifted: ShiftedRows, values: Rows)?

    private var shape: RWKV7Shape { mixer.shape }

    init(_ mixer: RWKV7, _ shape: StreamShape, on backend: any Backend) throws {
        self.mixer = mixer
        let D = mixer.shape.width
        shifted = try ShiftedRows(shape, width: D, on: backend)
        losses = try backend.rows(shape.rows, width: D)
        keys = try backend.rows(shape.rows, width: D)
        values = try backend.rows(shape.rows, width: D)
        queries = try backend.rows(shape.rows, width: D)
        directions = try backend.rows(shape.rows, width: D)
        backs = try backend.rows(shape.rows, width: D)
        gates = try backend.rows(shape.rows, width: D)
        outputs = try backend.rows(shape.rows, width: D)
        let rows = shape.tiles * ShiftedRows.rowsAtOnce
        blends = try backend.rows(rows, width: D)
        ranks = try backend.rows(rows, width: mixer.shape.largestRank)
        parts = try backend.rows(rows, width: D)
        state = try backend.rows(D, width: mixer.shape.headSize)
        first =
            mixer.first == nil
            ? nil : (try ShiftedRows(shape, width: D, on: backend), try backend.rows(shape.rows, width: D))
    }

    var isInputNeeded: Bool { first != nil }

    func prepare(_ rows: Range<Int>, ofStretch stretch: Int, x: Rows, with tools: LaneTools) throws {
        try prepare(rows, ofStretch: stretch, x: x, input: nil, with: tools)
    }

    func prepare(_ rows: Range<Int>, ofStretch stretch: Int, x: Rows, input: Rows?, with tools: LaneTools) throws {
        let (lane, start) = (tools.lane, rows.lowerBound - stretch)
        let tokens = mixer.computed.tokens(from: rows.lowerBound, count: rows.count)
        if tokens == 0 { return }
        let own = start..<start + tokens
        if let first, let weights = mixer.first {
            guard let input else {
                throw Fault(.inputOutput, "a layer lacks the model's input: this is a defect of bbp-stream")
            }
            first.shifted.each(own, x: input[0..<tokens], weights.norm, on: lane) { group in
                let blend = blends[group.room]
                lane.blend(group.u, with: group.before, share: weights.share, plus: nil, into: blend)
                lane.product(blend, weights.projection, adding: nil, activation: nil, into: first.values[group.rows])
            }
        }
        shifted.each(own, x: x, mixer.norms.before, on: lane) { group in
            let blend = blends[group.room]
            /// The blend of one letter.
            func blended(_ letter: Int) -> Rows {
                lane.blend(group.u, with: group.before, share: mixer.shares[letter], plus: nil, into: blend)
                return blend
            }
            func map(_ x: Rows, _ maps: (into: any Matrix, out: any Matrix), _ function: RowFunction?, into y: Rows) {
                let between = ranks[group.room].reshaped(group.rows.count, width: maps.into.outputs)
                lane.product(x, maps.into, adding: nil, activation: nil, into: between)
                if let function { lane.apply(function, to: between) }
                lane.product(between, maps.out, adding: nil, activation: nil, into: y)
            }
            let (queries, keys, values) = (queries[group.rows], keys[group.rows], values[group.rows])
            lane.product(blended(0), mixer.queryProjection, adding: nil, activation: nil, into: queries)
            map(blended(1), mixer.decay, .tanh, into: losses[group.rows])
            lane.apply(.logisticLoss, to: losses[group.rows])
            lane.product(blended(2), mixer.keyProjection, adding: nil, activation: nil, into: keys)
            lane.product(blended(3), mixer.valueProjection, adding: nil, activation: nil, into: values)
            if let first, let maps = mixer.value {
                let part = parts[group.room]
                map(blend, maps, nil, into: part)
                lane.apply(.logistic, to: part)
                lane.blend(values, with: first.values[group.rows], share: nil, plus: part, into: values)
            }
            let rates = backs[group.rows]
            map(blended(4), mixer.rate, nil, into: rates)
            lane.apply(.logistic, to: rates)
            lane.directKeys(
                keys, rates: rates, heads: shape.heads, scale: mixer.keyScale, share: mixer.keyShare,
                into: directions[group.rows])
            map(blended(5), mixer.gate, .logistic, into: gates[group.rows])
        }
    }

    var carryingTasks: Int { shape.heads * shape.slices }

    func carry(_ task: Int, over stretch: Range<Int>, with tools: LaneTools) throws {
        let tokens = mixer.computed.tokens(from: stretch.lowerBound, count: stretch.count)
        if tokens == 0 { return }
        if task == 0 {
            shifted.carry(tokens, on: tools.lane)
            first?.shifted.carry(tokens, on: tools.lane)
        }
        let (head, values) = shape.slice(task)
        let own = shape.features(ofHead: head)
        let columns = own.lowerBound + values.lowerBound..<own.lowerBound + values.upperBound
        func keyed(_ rows: Rows) -> Rows { rows[0..<tokens].columns(own) }
        tools.lane.fadeAndCorrect(
            queries: keyed(queries), keys: keyed(keys), losses: keyed(losses), directions: keyed(directions),
            backs: keyed(backs), values: self.values[0..<tokens].columns(columns), state: state[own].columns(values),
            into: outputs[0..<tokens].columns(columns))
    }

    func mix(_ rows: Range<Int>, ofStretch stretch: Int, x: Rows, with tools: LaneTools, into s: Rows) throws {
        let (lane, start) = (tools.lane, rows.lowerBound - stretch)
        StreamRows(computed: mixer.computed, norm: mixer.norms.after).mix(rows, x: x, on: lane, into: s) { count in
            let own = start..<start + count
            lane.normaliseHeads(
                outputs[own], heads: shape.heads, weight: mixer.normWeight, bias: mixer.normBias,
                epsilon: RWKV7Shape.normEpsilon)
            lane.addHeadProducts(
                queries[own], keys[own], heads: shape.heads, weight: mixer.bonus, times: values[own], to: outputs[own])
            lane.multiply(outputs[own], by: gates[own])
            lane.residual(
                outputs[own], mixer.output, adding: x[0..<count], mixer.norms.after, into: s[0..<count])
        }
    }

    var carried: [Rows] { [state, shifted.carried] + (first.map { [$0.shifted.carried] } ?? []) }
}

extension RWKV7Shape: StreamingShape, HeadSlices {
    /// Of the maps that the layer has.
    var largestRank: Int { max(decayRank, rateRank, gateRank, isFirst ? 0 : valueRank) }

    var isInputNeeded: Bool { !isFirst }

    func mixer(_ tensor: TensorReader, _ config: ModelConfig, geometry: SequenceGeometry, on backend: any Backend)
        throws
        -> any StreamingMixer
    {
        try RWKV7(self, tensor, config, geometry: geometry, on: backend)
    }

    func needs(_ config: ModelConfig, tileRows: Int) -> LaneNeeds {
        var needs = LaneNeeds()
        (needs.width, needs.inputs) = (width, max(width, largestRank))
        return needs
    }

    func weightBytes(_ config: ModelConfig, on backend: any Backend) -> Int {
        let D = width
        func through(_ rank: Int) -> Int {
            backend.matrixFootprint(inputs: D, outputs: rank) + backend.matrixFootprint(inputs: rank, outputs: D)
        }
        let squares = (isFirst ? 4 : 5) * backend.matrixFootprint(inputs: D, outputs: D)
        let maps = through(decayRank) + through(rateRank) + through(gateRank) + (isFirst ? 0 : through(valueRank))
        // The norms, shares, k_k, k_a, r_k and norm of heads, the first layer's norm and share; and the largest matrix
        // that is turned.
        return squares + maps + (4 + 6 + 5 + (isFirst ? 0 : 3)) * D * 4 + D * largestRank * 4
    }

    func streamBytes(_ shape: StreamShape) -> Int {
        let rows = shape.tiles * ShiftedRows.rowsAtOnce
        let first = isFirst ? 0 : ShiftedRows.footprint(shape, width: width) + 4 * shape.rows * width
        return ShiftedRows.footprint(shape, width: width) + first
            + 4 * (8 * shape.rows * width + rows * (2 * width + largestRank) + width * headSize)
    }

    var carryBytes: Int { 4 * (width * headSize + (isFirst ? 1 : 2) * width) }
}
