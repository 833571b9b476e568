import Geometry
import Support

/// One block of BigBang-Proton, step by step as in Model.md. Symbols: n tokens, P patch size, G patches, D hidden size,
/// H heads, F intermediate size, K kernel; a tile has L rows.
///
/// Every row's result depends on that row's inputs alone; in a convolution by transforms, to its last bits (and where states
/// are not finite), on the other rows of its block, which is anchored in its tile.
extension TileArithmetic {
    /// A patch whose context is attended over, and which of its 2P rows ask.
    public struct Visit {
        var patch: Int
        /// Whether the local rows ask: they do when the patch is in the window.
        var local: Bool
        /// Which delegates ask, by place: those that come from the window.
        var delegates: Range<Int>

        /// All local rows ask.
        public static func local(_ patch: Int) -> Visit { Visit(patch: patch, local: true, delegates: 0..<0) }

        /// The delegates ask that are in `slots`; and the local rows, where `local` says so and the first of the patch's slots is
        /// among them.
        public static func delegates(in slots: Range<Int>, of patch: Int, patchSize P: Int, local: Bool = false) -> Visit {
            let here = slots.clamped(to: patch * P..<(patch + 1) * P)
            return Visit(patch: patch, local: local && here.lowerBound == patch * P, delegates: here.lowerBound - patch * P..<here.upperBound - patch * P)
        }
    }

    // MARK: Rows in and out

    /// Loads `rows` contiguous stored rows as the delegates from row `row` of the group on.
    public func loadDelegates(_ stored: UnsafeRawPointer, as input: InputRows, row: Int, rows: Int, firstToken: Int) {
        input.expand(stored, rows: rows, first: firstToken, step: geometry.patchSize, into: delegates.start + row * config.hiddenSize, stride: config.hiddenSize, with: self)
    }

    /// Loads the local rows of `patches`, as the patches from `place` of the group on, from columns: column j, row r of the stored rows is at `column(j) + r·rowBytes`,
    /// r counted from the first of `patches`.
    public func loadLocal(_ patches: Range<Int>, place: Int, as input: InputRows, column: (_ index: Int) throws -> UnsafeRawPointer) rethrows {
        let (P, D) = (geometry.patchSize, config.hiddenSize)
        let rows = local.start + place * P * D
        guard case .tokens = input else {
            for index in 0..<P {
                input.expand(try column(index), rows: patches.count, first: patches.lowerBound * P + index, step: P, into: rows + index * D, stride: P * D, with: self)
            }
            return
        }
        // Ids are short, and positions come cheapest in their order.
        for index in 0..<P {
            let ids = try column(index).assumingMemoryBound(to: UInt16.self)
            for patch in 0..<patches.count { gathered[patch * P + index] = ids[patch] }
        }
        input.expand(gathered.start, rows: patches.count * P, first: patches.lowerBound * P, step: 1, into: rows, stride: D, with: self)
    }

    /// Stores the states of `patches`, rows [patches·P, D], in the states' number format: column j, row r goes to `column(j) + r·rowBytes`.
    public func store(_ states: UnsafePointer<Float>, patches: Int, asBF16: Bool, column: (_ index: Int) -> UnsafeMutableRawPointer) {
        let (P, D) = (geometry.patchSize, config.hiddenSize)
        for index in 0..<P {
            let target = column(index)
            if asBF16 {
                kernels.pointee.bf16_from_f32(states + index * D, Int64(P * D), Int64(patches), Int64(D), target.assumingMemoryBound(to: UInt16.self), Int64(D))
            } else {
                for patch in 0..<patches { (target + patch * D * 4).copyMemory(from: states + (patch * P + index) * D, byteCount: D * 4) }
            }
        }
    }

    // MARK: Steps 1 to 5

    /// Attention of the rows that ask over the contexts of the visited patches (at most a group), before the output projection.
    ///
    /// `local` holds the patches' rows and `delegates` those in their slots, in the order of `visits`; rows that no query
    /// sees need not be loaded. The result of the query with origin t goes to row t - `firstToken` of its kind's output [·, D].
    ///
    /// - Parameters:
    ///   - seesOthers: whether any query sees a row of the other kind; their projections are left out where none does.
    ///   - toLocal: where answers to local rows go; nil where none asks.
    ///   - toDelegates: where answers to delegates go; nil where none asks.
    public func attend(
        _ visits: [Visit], seesOthers: Bool, block: BlockWeights, toLocal: UnsafeMutablePointer<Float>?, toDelegates: UnsafeMutablePointer<Float>?, firstToken: Int
    ) {
        let (P, D) = (geometry.patchSize, config.hiddenSize)
        // 1. u = LayerNorm(x), and 2., 5. the projections: q, k, v of the rows that ask, k, v of the others.
        //    Delegates use Wqkv·Wd and Wqkv·bd, which is Wqkv·(Wd u + bd).
        let rows = visits.count * P
        if toLocal != nil || seesOthers {
            project(local.start, rows: rows, block.preNorm, query: toLocal == nil ? nil : block.localQuery, keyValue: block.localKeyValue, into: localProjections.start)
        }
        if toDelegates != nil || seesOthers {
            project(delegates.start, rows: rows, block.preNorm, query: toDelegates == nil ? nil : block.delegateQuery, keyValue: block.delegateKeyValue, into: delegateProjections.start)
        }

        let scale = 1 / Float(config.headSize).squareRoot()
        for (place, visit) in visits.enumerated() {
            // 3., 4. The context, each row with its origin, as far as the last row that asks can see.
            let (patch, row) = (visit.patch, place * P)
            let lastLocal = visit.local ? patch * P + P - 1 : -1
            let lastDelegate = visit.delegates.isEmpty ? -1 : geometry.token(inSlot: patch * P + visit.delegates.upperBound - 1)
            context.arrange(patch, in: geometry, limit: max(lastLocal, lastDelegate))
            // 5. Among the rows of the patch, each asking row over the prefix it may see.
            var count = 0
            for place in 0..<context.count {
                let member = Int(context.rows[place])
                let isLocal = member < P
                let projected = UnsafePointer(isLocal ? localProjections.start + (row + member) * 3 * D : delegateProjections.start + (row + member - P) * 3 * D)
                contextRows[place] = projected + D
                if let answers = isLocal ? toLocal : toDelegates, isLocal ? visit.local : visit.delegates.contains(member - P) {
                    queryRows[count] = projected
                    queryVisible[count] = context.visible[place]
                    outputRows[count] = answers + (context.origins[place] - firstToken) * D
                    count += 1
                }
            }
            kernels.pointee.attend(Int64(count), queryRows.start, queryVisible.start, outputRows.start, Int64(context.count), contextRows.start,
                Int64(config.heads), Int64(config.headSize), scale, attentionScratch.start)
        }
    }

    /// Rows of q, k, v [rows, 3D] from u = LayerNorm(x), a few at a time; without q where `query` is nil.
    private func project(_ x: UnsafePointer<Float>, rows: Int, _ norm: Norm, query: PreparedMatrix?, keyValue: PreparedMatrix, into projections: UnsafeMutablePointer<Float>) {
        let D = config.hiddenSize
        let u = normalised.start
        inGroups(of: Self.rowsAtOnce, rows) { first, count in
            layerNorm(x + first * D, rows: count, norm, into: u)
            query?.multiply(u, rows: count, into: projections + first * 3 * D, yStride: 3 * D, kernels: kernels, scratch: halves)
            keyValue.multiply(u, rows: count, into: projections + first * 3 * D + D, yStride: 3 * D, kernels: kernels, scratch: halves)
        }
    }

    // MARK: Steps 6 to 8

    /// s = LayerNorm(x + y; norm1) of a group of own patches, whose x is in `local`.
    ///
    /// - Parameters:
    ///   - answers: the attention of the local rows, overwritten; nil where it is still to be computed. [patches·P, D]
    ///   - withGuests: whether a patch of the group sees any of the delegates in its slots.
    ///   - s: on entry the attention of the group's delegates, as `attend` left it; on return s. [patches·P, D]
    public func mix(_ patches: Range<Int>, answers: UnsafeMutablePointer<Float>? = nil, withGuests: Bool, block: BlockWeights, s: UnsafeMutablePointer<Float>) {
        let (P, D) = (geometry.patchSize, config.hiddenSize)
        if answers == nil {
            attend(patches.map { .local($0) }, seesOthers: withGuests, block: block, toLocal: attended.start, toDelegates: nil, firstToken: patches.lowerBound * P)
        }
        let answers = answers ?? attended.start
        inGroups(of: Self.rowsAtOnce, patches.count * P) { first, count in
            let (answers, s) = (answers + first * D, s + first * D)
            // 6., 7. y = (proj(local) + proj(delegate)) / 2 = proj((local + delegate) / 2): proj is affine; and x + y.
            kernels.pointee.average(answers, s, Int64(count * D))
            block.projection.multiply(answers, rows: count, adding: local.start + first * D, into: mixed.start, kernels: kernels, scratch: halves)
            // 8. The residual stream is replaced by its normalised value.
            layerNorm(mixed.start, rows: count, block.norm1, into: s)
        }
    }

    // MARK: Step 9

    /// x' = s + cov4(gelu(c)), c the causal convolution of s over time, for up to `tilesAtOnce` tiles.
    ///
    /// - Parameters:
    ///   - s: [K-1 + rows, D]: the K-1 rows before the first tile, then the tiles'.
    ///   - output: [rows, D].
    public func feedForward(_ s: UnsafePointer<Float>, rows: Int, block: BlockWeights, output: UnsafeMutablePointer<Float>) {
        convolution.run(s, rows: rows, weights: block.cov3, scratch: convolutionScratch, into: convolved.start, kernels: kernels, halves: halves)
        block.cov4.multiply(convolved.start, rows: rows, adding: s + (config.kernelSize - 1) * config.hiddenSize, into: output, kernels: kernels, scratch: halves)
    }

    typealias Norm = (weight: UnsafePointer<Float>, bias: UnsafePointer<Float>)

    func layerNorm(_ x: UnsafePointer<Float>, rows: Int, _ norm: Norm, into u: UnsafeMutablePointer<Float>) {
        kernels.pointee.layer_norm(x, norm.weight, norm.bias, epsilon, Int64(rows), Int64(config.hiddenSize), u)
    }

    func inGroups(of size: Int, _ rows: Int, _ body: (_ first: Int, _ count: Int) -> Void) {
        for first in stride(from: 0, to: rows, by: size) { body(first, min(size, rows - first)) }
    }
}
