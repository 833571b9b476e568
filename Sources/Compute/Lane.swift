import Support

/// One thread of work on a back end: operations on row handles, in order. What they compute is there for other lanes
/// and for the host after `finish`.
///
/// A row's result depends on its own inputs alone, to the last bit, whatever else is in the call; in a convolution by
/// transforms, on the rows of its block. Rows do not overlap unless an operation says so. Host memory that an operation
/// reads may change after the call; what it writes is there after `finish`.
package protocol Lane: AnyObject {
    // MARK: Rows in and out

    /// Copies rows of the host into rows of the lane, in f32.
    func load(_ pieces: [StoredRows], as format: RowFormat, into rows: Rows)

    /// Rows of tokens: a row of the codebook each, none where the id is no token, and the position term.
    ///
    /// - Parameters:
    ///   - ids: [rows].
    ///   - positions: [rows] token indices.
    func embed(
        _ ids: UnsafePointer<UInt16>, positions: UnsafePointer<Int64>, with table: any EmbeddingTable, into rows: Rows)

    /// Copies rows to the host, column by column as they are stored: the row of patch p whose place is in column c goes
    /// to `column(c) + p · rowBytes`.
    ///
    /// - Parameters:
    ///   - rows: [patches · columns], patch after patch.
    ///   - order: [patches · columns]: which row of its patch goes to each column; nil for its own.
    func store(
        _ rows: Rows, columns: Int, order: UnsafePointer<UInt16>?, as format: RowFormat,
        to column: (Int) -> UnsafeMutableRawPointer)

    /// Copies rows to the host and back, in f32.
    func download(_ rows: Rows, to values: UnsafeMutablePointer<Float>)
    func upload(_ values: UnsafePointer<Float>, to rows: Rows)

    /// Rounds rows to a format in which they are stored, in place.
    func round(_ rows: Rows, to format: RowFormat)

    func zero(_ rows: Rows)
    /// Rows without gaps between them may overlap.
    func copy(_ rows: Rows, to target: Rows)

    /// The first value of `rows`, counted row by row, whose bits without the sign are above `limit`: infinity and NaN
    /// are above every limit. Finishes what the lane has to do.
    func firstAbove(_ limit: UInt32, in rows: Rows) throws -> Int?

    // MARK: Row by row

    /// LayerNorm; u may be x.
    func normalise(_ x: Rows, _ norm: any Norm, into u: Rows)

    /// y = act(x · weightᵀ + bias + addend); the addend may be y.
    func product(_ x: Rows, _ matrix: any Matrix, adding addend: Rows?, activation: Activation?, into y: Rows)

    /// x = (x + y) / 2.
    func average(_ x: Rows, with y: Rows)
    /// x = x + y.
    func add(_ y: Rows, to x: Rows)

    /// Turns the queries or keys of heads side by side by their positions (RoPE), in place.
    ///
    /// - Parameter first: token index of the first row.
    func rotate(_ x: Rows, first: Int, heads: Int, by tables: RotationTables)

    /// A function of every value, in place.
    func apply(_ function: RowFunction, to x: Rows)

    /// Per head of each row: x = x / √(mean x² + ε) · weight, then as `gate` says.
    ///
    /// - Parameter weight: of one head's values, or of all heads' one after another; nil for ones.
    func gateHeads(_ x: Rows, heads: Int, weight: RowWeights?, epsilon: Float, gate: HeadGate)

    /// Per head of each row: all values but the last one, divided by the last one and ε.
    ///
    /// - Parameters:
    ///   - x: [rows, heads · (size + 1)].
    ///   - y: [rows, heads · size].
    func divideHeads(_ x: Rows, heads: Int, epsilon: Float, into y: Rows)

    /// x = x · y, value by value.
    func multiply(_ x: Rows, by y: Rows)

    /// out = a + (b - a) · (share + plus), value by value. a and b may overlap, as a row and the one before it do; out
    /// may be a.
    ///
    /// - Parameters:
    ///   - share: [width], for every row; nil for 0.
    ///   - plus: rows as a's; nil for 0.
    func blend(_ a: Rows, with b: Rows, share: RowWeights?, plus: Rows?, into out: Rows)

    /// LayerNorm of each head of each row, in place, with `weight` and `bias` [width].
    func normaliseHeads(_ x: Rows, heads: Int, weight: RowWeights, bias: RowWeights, epsilon: Float)

    /// Per head of each row: x = x + (Σ a · b · weight) v, with `weight` [width].
    func addHeadProducts(_ a: Rows, _ b: Rows, heads: Int, weight: RowWeights, times v: Rows, to x: Rows)

    /// Bits of surprisal of `targets[r]` by the logits that follow from row r: normalised, then multiplied.
    ///
    /// - Parameters:
    ///   - targets: [rows].
    ///   - bits: [rows] of the host.
    func surprisal(
        _ states: Rows, _ norm: any Norm, _ matrix: any Matrix, targets: UnsafePointer<UInt16>,
        bits: UnsafeMutablePointer<Float>)

    // MARK: Across rows

    /// Soft-max attention of queries over contexts, as `plan` has them.
    ///
    /// - Parameters:
    ///   - queries: rows that the plan's queries count in, heads side by side.
    ///   - keysValues: rows that its contexts count in: the keys of `heads.keyHeads` heads side by side, and their
    ///     values `heads.valueOffset` values after the keys' beginning.
    ///   - distances: what scores gain by the distance of query and row; nil for nothing. The plan's contexts say how
    ///     far their first ones are apart.
    ///   - outputs: where answers go, by the plan's targets.
    func attend(
        _ plan: AttentionPlan, heads: AttentionHeads, queries: Rows, keysValues: Rows, distances: DistanceTable?,
        into outputs: [Rows])

    /// One convolution over time, its bias and activation: row r of c sees rows r to r + (K - 1)·dilation of s.
    ///
    /// - Parameter c: whole tiles of the convolution, but for the last one.
    func convolve(_ s: Rows, _ weights: any ConvolutionWeights, into c: Rows)

    /// What the rows of each chunk add to the states of a decayed recurrence, chunk by chunk and head by head:
    /// Σ γ^(rows-1-r) k_rᵀ v_r.
    ///
    /// - Parameters:
    ///   - keys: [rows, heads · key size]: chunks of `decay.chunk` rows, the last one what is left.
    ///   - deltas: [chunks · heads · key size, value size].
    func retain(keys: Rows, values: Rows, decay: DecayTables, into deltas: Rows)

    /// Turns what each chunk adds to one head's state into the state before it, chunk after chunk, in place.
    ///
    /// - Parameters:
    ///   - deltas: [chunks · heads · key size, value size].
    ///   - rows: of all chunks together.
    ///   - state: [heads · key size, 2 · value size]: before the first chunk, on return after the last one. In double
    ///     precision, a value in the room of two.
    func scan(_ deltas: Rows, rows: Int, head: Int, decay: DecayTables, state: Rows)

    /// The outputs of each chunk: γ^(r+1) q_r S + Σ_{s≤r} γ^(r-s) (q_r · k_s) v_s, head by head.
    ///
    /// - Parameter states: [chunks · heads · key size, value size]: S before each chunk.
    func recall(queries: Rows, keys: Rows, values: Rows, decay: DecayTables, states: Rows, into outputs: Rows)

    /// A convolution of each of some channels by itself, its bias and silu: row r of y sees rows r to r + K - 1 of x.
    ///
    /// - Parameters:
    ///   - x: [rows + K - 1, channels].
    ///   - first: the channel of the filter that x begins with.
    ///   - y: [rows, channels].
    func convolveChannels(_ x: Rows, _ filter: ChannelFilter, from first: Int, into y: Rows)

    /// What is kept of rows that say how states fade, chunk by chunk.
    ///
    /// - Parameters:
    ///   - dt: [rows, heads]: chunks of `decays.chunk` rows, the last one what is left.
    ///   - kept: [chunks · heads, decays.width].
    func measure(_ dt: Rows, _ decays: RowDecays, into kept: Rows)

    /// What the rows of each chunk add to the states of one head: Σ decay(r→end) · step_r · k_rᵀ v_r.
    ///
    /// - Parameters:
    ///   - keys: [rows, key size], those of the head's group.
    ///   - values: [rows, value size] of the head.
    ///   - deltas: [chunks · heads · key size, value size], of which the head's are written.
    func retain(keys: Rows, values: Rows, head: Int, decays: RowDecays, kept: Rows, into deltas: Rows)

    /// Turns what each chunk adds to one head's state into the state before it, as above.
    func scan(_ deltas: Rows, rows: Int, head: Int, decays: RowDecays, kept: Rows, state: Rows)

    /// The outputs of each chunk: decay(start→r) q_r S + Σ_{s≤r} decay(s→r) · step_s · (q_r · k_s) v_s, head by head.
    ///
    /// - Parameters:
    ///   - queries: [rows, groups · key size], as keys are.
    ///   - values: [rows, heads · value size], as outputs are.
    ///   - states: [chunks · heads · key size, value size]: S before each chunk.
    func recall(
        queries: Rows, keys: Rows, values: Rows, decays: RowDecays, kept: Rows, states: Rows, into outputs: Rows)

    /// Per head of each row: x = (x + weight · y) · gate.
    ///
    /// - Parameter weights: [heads].
    func addHeads(_ y: Rows, weights: RowWeights, gate: Rows, to x: Rows)

    /// A matrix whose rows fade, each by a share of its own, over some rows: o_r = q_r S, then S_d = S_d + k_rd v_r -
    /// loss_rd S_d. Columns of values are independent of one another, so that any of them can be asked for alone.
    ///
    /// - Parameters:
    ///   - queries: [rows, key size], as keys and losses, and as far apart as theirs.
    ///   - values: [rows, value size], as outputs.
    ///   - state: [key size, value size]: before the first row, on return after the last one.
    func fade(queries: Rows, keys: Rows, losses: Rows, values: Rows, state: Rows, into outputs: Rows)

    /// Directions of a delta rule, per head of each row: n = k · scale / max(|k · scale|, 10⁻¹²), k = k (1 + (rate - 1)
    /// share), rate = n · rate.
    ///
    /// - Parameters:
    ///   - scale, share: [width].
    ///   - directions: rows as the keys', which get n.
    func directKeys(
        _ keys: Rows, rates: Rows, heads: Int, scale: RowWeights, share: RowWeights, into directions: Rows)

    /// As `fade`, for a state that first gives up what it says of a direction, and is asked after each row: h = n_r S,
    /// S_d = S_d + k_rd v_r - loss_rd S_d - back_rd h, o_r = q_r S.
    ///
    /// - Parameters:
    ///   - directions: n, [rows, key size] like the keys; so are `backs`.
    func fadeAndCorrect(
        queries: Rows, keys: Rows, losses: Rows, directions: Rows, backs: Rows, values: Rows, state: Rows,
        into outputs: Rows)

    /// Channels of a recurrence whose states fade by steps that the rows say, gated, in place: row by row and of every
    /// state n, with d = log(1 + e^step), s_n = e^(-d·rate_n) s_n + d·x·entering_n; x = (Σ leaving_n·s_n + skip·x) ·
    /// silu(gate).
    ///
    /// - Parameters:
    ///   - x: [rows, channels], as steps and gates are.
    ///   - entering: [rows, states], as `leaving` is; their rows are equally far apart.
    ///   - first: the first of these channels among those of `rates`.
    ///   - state: [2 · states, channels]: before the first row, on return after the last one. Of each state two rows
    ///     whose sum it is.
    func scanSelectively(
        _ x: Rows, steps: Rows, entering: Rows, leaving: Rows, gates: Rows, by rates: SelectionRates, first: Int,
        state: Rows)

    /// Channels of a linear recurrence with complex states, in place: row by row and of every mode n, s_n = stays_n·s_n
    /// + x; x = act(Re Σ output_n·s_n + skip·x). What pieces of a few rows add up to is rounded as a whole, the first
    /// piece begins with the first row: for the same bits, calls begin with a tile.
    ///
    /// - Parameters:
    ///   - x: [rows, channels].
    ///   - first: the first of these channels among those of `modes`.
    ///   - state: [2 · modes, 2 · channels]: before the first row, on return after the last one. Of each mode a row of
    ///     real parts and one of imaginary ones, in double precision, a value in the room of two.
    func scanModes(_ x: Rows, by modes: ModeTables, first: Int, activation: Activation?, state: Rows)

    /// y = start + a · 1 / (1 + e^-b), a the first half of x and b the second; y may be start.
    func gateHalves(_ x: Rows, adding start: Rows, into y: Rows)

    // MARK: In one go, where that is worth while

    /// u = LayerNorm(x), and products of it.
    func project(_ x: Rows, _ norm: any Norm, _ products: [(matrix: any Matrix, into: Rows)])

    /// s = LayerNorm(x + h · weightᵀ + bias).
    func residual(_ h: Rows, _ matrix: any Matrix, adding x: Rows, _ norm: any Norm, into s: Rows)

    /// Waits until all that was asked for is done.
    ///
    /// - Throws: `Fault` (`inputOutput`) where the back end failed.
    func finish() throws
}

extension Lane {
    /// Attention whose scores know of no distance.
    package func attend(
        _ plan: AttentionPlan, heads: AttentionHeads, queries: Rows, keysValues: Rows, into outputs: [Rows]
    ) {
        attend(plan, heads: heads, queries: queries, keysValues: keysValues, distances: nil, into: outputs)
    }
}

/// Formats of rows in a store.
package enum RowFormat: Sendable, Equatable {
    case bf16, f32

    package var size: Int { self == .bf16 ? 2 : 4 }
    /// Bits of the largest magnitude that stays finite when it is stored so.
    package var limit: UInt32 { self == .bf16 ? 0x7f7f_7fff : 0x7f7f_ffff }
}

/// Rows of the host, one after another as they are stored, and where they go: to row `first` and every `step`-th after
/// it.
package struct StoredRows {
    package var bytes: UnsafeRawPointer
    package var count: Int
    package var first: Int
    package var step: Int

    package init(_ bytes: UnsafeRawPointer, count: Int, first: Int, step: Int) {
        self.bytes = bytes
        self.count = count
        self.first = first
        self.step = step
    }
}

/// Weights on the host: one for every value of a row, for every value of a head, or for every head.
package typealias RowWeights = Memory<Float>

/// A function of single values.
package enum RowFunction: Sendable, CaseIterable {
    case tanh
    /// σ(x) = 1 / (1 + e^-x).
    case logistic
    /// x · σ(x).
    case silu
    /// e^x where x is below 0, else x + 1.
    case eluPlusOne
    /// What a state loses from one row to the next where e^(-e^x) of it stays.
    case loss
    /// The same where e^(-σ(x) / √e) of it stays.
    case logisticLoss
}

/// What normalised values are multiplied with.
package enum HeadGate {
    case none
    case linear(Rows)
    /// Silu of these.
    case silu(Rows)

    /// [rows, values] as what they are for.
    var rows: Rows? {
        switch self {
        case .none: nil
        case .linear(let rows), .silu(let rows): rows
        }
    }
}

/// How the heads of an attention lie in their rows.
package struct AttentionHeads: Sendable, Equatable {
    /// H, and how many query heads share a key head.
    package var count: Int
    package var group: Int
    package var size: Int
    /// Values from the beginning of a context row's keys to that of its values.
    package var valueOffset: Int

    package init(count: Int, group: Int = 1, size: Int, valueOffset: Int) {
        self.count = count
        self.group = group
        self.size = size
        self.valueOffset = valueOffset
    }

    package var scale: Float { 1 / Float(size).squareRoot() }
}
