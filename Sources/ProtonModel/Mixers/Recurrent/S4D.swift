import Compute
import Geometry
import Glibc
import Support

/// A linear recurrence of every feature with complex states (Model.md, "Mixers"; Gu et al., "On the parameterization
/// and initialization of diagonal state space models", 2022): x_t = Ā x_{t-1} + u_t, y_t = 2 Re Σ C̄ x_t + D u_t.
///
/// Carried: the states. Ā and C̄ are formed and states kept in double precision: rates never change, so that the
/// rounding of one, to floats, would be the same error in every row, and turn what is a thousand rows old by a
/// ten-thousandth; and a state may last far longer than 2^24 rows. What few rows add to a state is summed in floats,
/// in pieces that begin with their tile.
final class S4D: StreamingMixer {
    let shape: S4DShape
    let computed: ComputedRows
    let norms: LayerNorms
    let modes: ModeTables
    let output: any Matrix

    let access: any Access = OwnAccess()

    init(
        _ shape: S4DShape, _ tensor: TensorReader, _ config: ModelConfig, geometry: SequenceGeometry,
        on backend: any Backend
    ) throws {
        self.shape = shape
        computed = ComputedRows(config, geometry)
        norms = try LayerNorms(tensor, config, on: backend)
        let (D, count) = (config.hiddenSize, shape.states / 2)
        let steps = try tensor("mixer.log_dt"), fading = try tensor("mixer.log_A_real")
        let turning = try tensor("mixer.A_imag"), coefficients = try tensor("mixer.C")
        modes = try ModeTables(modes: count, channels: D, skip: try tensor("mixer.D")) { feature, number in
            let place = feature * count + number
            return S4DShape.mode(
                step: exp(Double(steps[feature])), re: -exp(Double(fading[place])), im: Double(turning[place]),
                coefficient: ComplexNumber(Double(coefficients[2 * place]), Double(coefficients[2 * place + 1])))
        }
        output = try backend.matrix(
            try tensor("mixer.o_proj.weight"), bias: try tensor("mixer.o_proj.bias"), inputs: D, outputs: 2 * D)
    }

    func stream(_ shape: StreamShape, on backend: any Backend) throws -> any MixerStream {
        try S4DStream(self, shape, on: backend)
    }
}

/// S4D at work.
private final class S4DStream: RowCarrier, @unchecked Sendable {
    private let mixer: S4D
    private let sizes: StreamShape
    /// [stretch, D]: u, then what the scan makes of it.
    private let values: Rows
    /// [tiles · rowsAtOnce, 2D]: what is made of some rows of a tile.
    private let rooms: Rows
    /// [N, 2D]: of each state its real and its imaginary parts, a double in the room of two.
    private let state: Rows

    private var shape: S4DShape { mixer.shape }

    init(_ mixer: S4D, _ shape: StreamShape, on backend: any Backend) throws {
        self.mixer = mixer
        let D = mixer.shape.hiddenSize
        sizes = shape
        values = try backend.rows(shape.rows, width: D)
        rooms = try backend.rows(S4DShape.roomRows(shape), width: 2 * D)
        state = try backend.rows(mixer.shape.states, width: 2 * D)
    }

    func prepare(_ rows: Range<Int>, ofStretch stretch: Int, x: Rows, with tools: LaneTools) throws {
        let first = rows.lowerBound - stretch
        let tokens = mixer.computed.tokens(from: rows.lowerBound, count: rows.count)
        if tokens == 0 { return }
        tools.lane.normalise(x[0..<tokens], mixer.norms.before, into: values[first..<first + tokens])
    }

    var carryingTasks: Int { (shape.hiddenSize + S4DShape.featuresAtOnce - 1) / S4DShape.featuresAtOnce }

    func carry(_ task: Int, over stretch: Range<Int>, with tools: LaneTools) throws {
        let tokens = mixer.computed.tokens(from: stretch.lowerBound, count: stretch.count)
        if tokens == 0 { return }
        let first = task * S4DShape.featuresAtOnce
        let end = min(shape.hiddenSize, first + S4DShape.featuresAtOnce)
        for tile in sizes.tiles(of: 0..<tokens) {
            tools.lane.scanModes(
                values[tile].columns(first..<end), by: mixer.modes, first: first, activation: .gelu,
                state: state.columns(2 * first..<2 * end))
        }
    }

    func mix(_ rows: Range<Int>, ofStretch stretch: Int, x: Rows, with tools: LaneTools, into s: Rows) throws {
        let (lane, start, most) = (tools.lane, rows.lowerBound - stretch, S4DShape.rowsAtOnce)
        let tile = start / sizes.tileRows
        StreamRows(computed: mixer.computed, norm: mixer.norms.after).mix(rows, x: x, on: lane, into: s) { count in
            for first in stride(from: 0, to: count, by: most) {
                let own = first..<min(count, first + most)
                let room = rooms[tile * most..<tile * most + own.count]
                lane.product(
                    values[start + own.lowerBound..<start + own.upperBound], mixer.output, adding: nil,
                    activation: nil, into: room)
                lane.gateHalves(room, adding: x[own], into: s[own])
                lane.normalise(s[own], mixer.norms.after, into: s[own])
            }
        }
    }

    var carried: [Rows] { [state] }
}

extension S4DShape: StreamingShape {
    /// Rows that are taken at a time: what is made of them stays in the near caches. It makes no difference to a row.
    static let rowsAtOnce = 96
    /// Features of a task that carries.
    static let featuresAtOnce = 16

    /// Ā = e^(ΔA) and 2 C̄ = 2 C (Ā - 1) / A.
    ///
    /// - Parameter re: of A, below 0.
    static func mode(step: Double, re: Double, im: Double, coefficient: ComplexNumber) -> (
        stays: ComplexNumber, output: ComplexNumber
    ) {
        let (size, angle) = (exp(step * re), step * im)
        let stays = ComplexNumber(size * cos(angle), size * sin(angle))
        // Ā - 1 without cancelling: e^a (cos b - 1) + (e^a - 1), cos b - 1 = -2 sin²(b / 2).
        let half = sin(angle / 2)
        let less = ComplexNumber(expm1(step * re) - 2 * size * half * half, stays.im)
        let (c, norm) = (coefficient, re * re + im * im)
        let product = ComplexNumber(c.re * less.re - c.im * less.im, c.re * less.im + c.im * less.re)
        return (
            stays,
            ComplexNumber(
                2 * (product.re * re + product.im * im) / norm, 2 * (product.im * re - product.re * im) / norm)
        )
    }

    static func roomRows(_ shape: StreamShape) -> Int { shape.tiles * rowsAtOnce }

    func mixer(_ tensor: TensorReader, _ config: ModelConfig, geometry: SequenceGeometry, on backend: any Backend)
        throws
        -> any StreamingMixer
    {
        try S4D(self, tensor, config, geometry: geometry, on: backend)
    }

    func needs(_ config: ModelConfig, tileRows: Int) -> LaneNeeds {
        var needs = LaneNeeds()
        (needs.width, needs.inputs) = (config.hiddenSize, config.hiddenSize)
        return needs
    }

    func weightBytes(_ config: ModelConfig, on backend: any Backend) -> Int {
        backend.matrixFootprint(inputs: hiddenSize, outputs: 2 * hiddenSize)
            + ModeTables.footprint(modes: states / 2, channels: hiddenSize) + 16 * hiddenSize
    }

    func streamBytes(_ shape: StreamShape) -> Int {
        4 * hiddenSize * (shape.rows + 2 * Self.roomRows(shape) + 2 * states)
    }

    var carryBytes: Int { 8 * states * hiddenSize }
}
