import Compute
import Geometry
import Support

/// Attention of every row over itself and w rows before and after it, d rows apart (Model.md, "Mixers"; Beltagy et al.,
/// "Longformer", 2020); or, in a model whose other layers see later rows, over those before it alone.
///
/// The feed-forward of such a model sees rows after its own, so layers are passes of their own. A window gathers the
/// keys and values of its rows and of those around it, each once; the bits are those of any other window.
final class CentredWindow: GatheringMixer {
    private let shape: SlidingWindowShape
    private let computed: ComputedRows
    private let weights: WindowWeights
    private let halo: HaloAccess
    private let isDivided: Bool

    var access: any Access { halo }
    private var geometry: SequenceGeometry { computed.geometry }
    private var P: Int { geometry.patchSize }

    init(
        _ shape: SlidingWindowShape, _ tensor: TensorReader, _ config: ModelConfig, geometry: SequenceGeometry,
        on backend: any Backend
    ) throws {
        self.shape = shape
        computed = ComputedRows(config, geometry)
        weights = try WindowWeights(shape, tensor, config, on: backend)
        halo = shape.halo(patchSize: geometry.patchSize)
        isDivided = backend.isDivided
    }

    // MARK: Gathering

    func answers(rows: Int, workers: Int, isOnce: Bool, on backend: any Backend) throws -> any GatheredAnswers {
        WindowKeys(try backend.rows(rows + (halo.before + halo.after) * P, width: 2 * shape.keyWidth), around: halo)
    }

    func isAnswered(by answers: any GatheredAnswers) -> Bool {
        guard let keys = answers as? WindowKeys else { return false }
        return keys.halo == halo && keys.rows.width == 2 * shape.keyWidth
    }

    func gatheringShare(in plan: WindowPlan, answers: any GatheredAnswers) -> Double { 0.2 }

    func tasks(ofPart part: Int, ofWindow window: Int, in plan: WindowPlan, answers: any GatheredAnswers) -> Int {
        pieces(ofPart: part, ofWindow: window, in: plan).count
    }

    /// The patches of a part, in pieces that a room holds; on a back end that takes all at once, one list of them a task.
    private func pieces(ofPart part: Int, ofWindow window: Int, in plan: WindowPlan) -> [[Range<Int>]] {
        let pieces = Tiling(patchSize: P).tiles(of: halo.patches(ofPart: part, ofWindow: window, of: plan))
        if pieces.isEmpty { return [] }
        return isDivided ? pieces.map { [$0] } : [pieces]
    }

    func gather(
        _ task: Int, of tasks: Int, part: Int, window: Int, in plan: WindowPlan, from columns: any StoredColumns,
        as input: InputRows, into answers: any GatheredAnswers, with tools: LaneTools
    ) throws {
        let (room, keys) = (try tools.room(WindowRoom.self), try WindowKeys.of(answers))
        let first = halo.patches(ofWindow: window, of: plan).lowerBound * P
        for patches in pieces(ofPart: part, ofWindow: window, in: plan)[task] {
            let row = patches.lowerBound * P
            let tokens = computed.tokens(from: row, count: patches.count * P)
            if tokens == 0 { continue }
            let x = room.x[0..<patches.count * P]
            try room.loader.load(patches, from: columns, as: input, into: x, on: tools.lane)
            let stored = keys.rows[row - first..<row - first + tokens]
            let k = stored.columns(0..<shape.keyWidth)
            tools.lane.project(
                x[0..<tokens], weights.norms.before,
                [
                    (matrix: weights.key, into: k),
                    (matrix: weights.value, into: stored.columns(shape.keyWidth..<2 * shape.keyWidth)),
                ])
            weights.turn(k, first: row, on: tools.lane)
        }
        try tools.lane.finish()
    }

    // MARK: Mixing

    func mix(
        _ patches: Range<Int>, window: Int, in plan: WindowPlan, from columns: any StoredColumns, as input: InputRows,
        answers: any GatheredAnswers, with tools: LaneTools, into s: Rows
    ) throws {
        let (room, keys, lane) = (try tools.room(WindowRoom.self), try WindowKeys.of(answers), tools.lane)
        let first = halo.patches(ofWindow: window, of: plan).lowerBound * P
        for tile in Tiling(patchSize: P).tiles(of: patches) {
            let rows = tile.lowerBound * P..<tile.upperBound * P
            let (x, place) = (room.x[0..<rows.count], (tile.lowerBound - patches.lowerBound) * P)
            try room.loader.load(tile, from: columns, as: input, into: x, on: lane)
            let mixed = s[place..<place + rows.count]
            StreamRows(computed: computed, norm: weights.norms.after).mix(rows, x: x, on: lane, into: mixed) { count in
                let q = room.queries[0..<count].columns(0..<shape.queryWidth)
                lane.project(x[0..<count], weights.norms.before, [(matrix: weights.query, into: q)])
                weights.turn(q, first: rows.lowerBound, on: lane)
                let answered = room.answers[0..<count].columns(0..<shape.queryWidth)
                shape.attend(
                    rows.lowerBound..<rows.lowerBound + count, queries: q, first: rows.lowerBound, keys: keys.rows,
                    place: { $0 - first }, end: geometry.tokens, into: answered, room.plan, lane)
                lane.residual(
                    answered, weights.output, adding: x[0..<count], weights.norms.after, into: mixed[0..<count])
            }
        }
        try lane.finish()
    }

    /// [halo + window + halo, 2·keyWidth]: keys, then values, from the first row around the window on.
    private final class WindowKeys: GatheredAnswers {
        let rows: Rows
        let halo: HaloAccess

        init(_ rows: Rows, around halo: HaloAccess) {
            self.rows = rows
            self.halo = halo
        }

        static func of(_ answers: any GatheredAnswers) throws -> WindowKeys {
            guard let keys = answers as? WindowKeys else {
                throw Fault(.inputOutput, "a window has another kind's answers: this is a defect of bbp-stream")
            }
            return keys
        }
    }
}

/// A worker's rows for `CentredWindow`: a tile of them, as wide as the widest layer's.
package final class WindowRoom {
    let x: Rows
    /// [tile, H·dh]: queries, and what they get.
    let queries: Rows
    let answers: Rows
    let loader: PatchLoader
    let plan: AttentionPlan

    init(_ shapes: [SlidingWindowShape], _ config: ModelConfig, geometry: SequenceGeometry, on backend: any Backend)
        throws
    {
        let (rows, sizes) = (Tiling(patchSize: geometry.patchSize).rows, WindowRoom.sizes(shapes, geometry.patchSize))
        x = try backend.rows(rows, width: config.hiddenSize)
        queries = try backend.rows(rows, width: sizes.width)
        answers = try backend.rows(rows, width: sizes.width)
        loader = try PatchLoader(ComputedRows(config, geometry), rows: rows)
        plan = try AttentionPlan(rows: sizes.planRows, queries: rows)
    }

    private static func sizes(_ shapes: [SlidingWindowShape], _ P: Int) -> (width: Int, planRows: Int) {
        let rows = Tiling(patchSize: P).rows
        return (
            shapes.map(\.queryWidth).max() ?? 0,
            shapes.map { $0.ring.planRows(tileRows: rows + $0.windowAfter) }.max() ?? 0
        )
    }

    static func footprint(_ shapes: [SlidingWindowShape], _ config: ModelConfig, patchSize P: Int) -> Int {
        let (rows, sizes) = (Tiling(patchSize: P).rows, sizes(shapes, P))
        return 4 * rows * (config.hiddenSize + 2 * sizes.width) + PatchLoader.footprint(rows: rows)
            + AttentionPlan.footprint(rows: sizes.planRows, queries: rows)
    }
}

extension SlidingWindowShape: GatheringShape {
    /// Rows after its own that a row sees, `dilation` rows apart.
    var windowAfter: Int { isCausal ? 0 : window }

    func halo(patchSize P: Int) -> HaloAccess {
        let patches = (reach + P - 1) / P
        return HaloAccess(before: patches, after: isCausal ? 0 : patches)
    }

    func gatheringMixer(
        _ tensor: TensorReader, _ config: ModelConfig, geometry: SequenceGeometry, on backend: any Backend
    ) throws -> any GatheringMixer {
        try CentredWindow(self, tensor, config, geometry: geometry, on: backend)
    }

    func access(_ config: ModelConfig) -> any Access { halo(patchSize: config.patchSize) }

    func gatheringNeeds(_ config: ModelConfig) -> LaneNeeds {
        let rows = Tiling(patchSize: config.patchSize).rows
        var needs = needs(config, tileRows: rows)
        needs.contextRows += windowAfter
        return needs
    }

    func gatheringWeightBytes(_ config: ModelConfig, on backend: any Backend) -> Int {
        weightBytes(config, on: backend)
    }

    func answerBytes(_ config: ModelConfig, rows: Int, isOnce: Bool) -> Int {
        let halo = halo(patchSize: config.patchSize)
        return (rows + (halo.before + halo.after) * config.patchSize) * 2 * keyWidth * 4
    }
}
