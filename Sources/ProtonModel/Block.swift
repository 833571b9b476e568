import Geometry
import Support

/// One block of BigBang-Proton on a tile, step by step as in Model.md. Symbols: n tokens, P patch size, G patches,
/// D hidden size, H heads, F intermediate size, K kernel; a tile has L rows.
///
/// Every row's result depends on that row's inputs alone. Rows beyond a tile's end are computed and not used.
extension TileArithmetic {
    /// Which rows of a context ask. A patch's local rows ask when the patch is in the window; its delegate rows ask
    /// when the tokens they come from are.
    public enum Queries {
        case local, delegates
    }

    /// A patch whose context is attended over, and which of its 2P rows ask: the local rows are 0..<P, the delegates
    /// P..<2P by place.
    public struct Visit {
        var patch: Int
        var asking: Range<Int>

        /// All local rows ask.
        public static func local(_ patch: Int, patchSize P: Int) -> Visit { Visit(patch: patch, asking: 0..<P) }

        /// The delegates ask that are in `slots`.
        public static func delegates(in slots: Range<Int>, of patch: Int, patchSize P: Int) -> Visit {
            let here = slots.clamped(to: patch * P..<(patch + 1) * P)
            return Visit(patch: patch, asking: here.lowerBound - patch * P + P..<here.upperBound - patch * P + P)
        }
    }

    // MARK: Rows in

    /// Loads `rows` contiguous stored rows as the delegates from row `row` of the tile on.
    public func loadDelegates(_ stored: UnsafeRawPointer, as input: InputRows, row: Int, rows: Int, firstToken: Int) {
        input.expand(stored, rows: rows, first: firstToken, step: geometry.patchSize, width: config.hiddenSize,
            into: delegates.start + row * config.hiddenSize, scratch: positionScratch.start, kernels: kernels)
    }

    /// Loads the local rows of `patches`, as the patches from `place` of the tile on, from columns: column j, row r of the stored rows is at `column(j) + r·rowBytes`,
    /// r counted from the first of `patches`.
    public func loadLocal(_ patches: Range<Int>, place: Int, as input: InputRows, column: (_ index: Int) throws -> UnsafeRawPointer) rethrows {
        let P = geometry.patchSize
        let rowBytes = input.rowBytes(width: config.hiddenSize)
        for index in 0..<P {
            let source = try column(index)
            for patch in 0..<patches.count {
                (UnsafeMutableRawPointer(gathered.start) + (patch * P + index) * rowBytes).copyMemory(from: source + patch * rowBytes, byteCount: rowBytes)
            }
        }
        input.expand(gathered.start, rows: patches.count * P, first: patches.lowerBound * P, step: 1, width: config.hiddenSize,
            into: local.start + place * P * config.hiddenSize, scratch: positionScratch.start, kernels: kernels)
    }

    /// Stores one row of states [D] in the states' number format.
    public func store(_ states: UnsafePointer<Float>, asBF16: Bool, into target: UnsafeMutableRawPointer) {
        if asBF16 {
            kernels.bf16_from_f32(states, Int64(config.hiddenSize), target.assumingMemoryBound(to: UInt16.self))
        } else {
            target.copyMemory(from: states, byteCount: config.hiddenSize * 4)
        }
    }

    // MARK: Steps 1 to 5

    /// Attention of the rows that ask over the contexts of the visited patches (at most a tile), before the output projection.
    ///
    /// `local` holds the patches' rows and `delegates` those in their slots, in the order of `visits`; rows that no query
    /// sees need not be loaded.
    /// The result of the query with origin t goes to row t - `firstToken` of `output` [·, D].
    ///
    /// - Parameter withOthers: whether any query sees a row of the other kind; their projections are left out where none does.
    public func attend(_ queries: Queries, _ visits: [Visit], withOthers: Bool, block: BlockWeights, output: UnsafeMutablePointer<Float>, firstToken: Int) throws {
        let (P, D) = (geometry.patchSize, config.hiddenSize)
        // 1. u = LayerNorm(x), and 2., 5. the projections: q, k, v of the rows that ask, k, v of the others.
        //    Delegates use Wqkv·Wd and Wqkv·bd, which is Wqkv·(Wd u + bd).
        let queriesLocal = queries == .local
        if queriesLocal || withOthers {
            layerNorm(local.start, block.preNorm, into: normalised.start)
            if queriesLocal {
                try qkvLocal.run(normalised.start, weight: block.localQKV, into: localProjections.start)
            } else {
                try kvLocal.run(normalised.start, weight: block.localQKV + D * D, into: localProjections.start)
            }
        }
        if !queriesLocal || withOthers {
            layerNorm(delegates.start, block.preNorm, into: normalised.start)
            if queriesLocal {
                try kvDelegate.run(normalised.start, weight: block.delegateQKV.start + D * D, bias: block.delegateBias.start + D, into: delegateProjections.start)
            } else {
                try qkvDelegate.run(normalised.start, weight: block.delegateQKV.start, bias: block.delegateBias.start, into: delegateProjections.start)
            }
        }
        // Rows that ask are q, k, v; the others k, v.
        let (localKeys, localStride) = queriesLocal ? (localProjections.start + D, 3 * D) : (localProjections.start, 2 * D)
        let (delegateKeys, delegateStride) = queriesLocal ? (delegateProjections.start, 2 * D) : (delegateProjections.start + D, 3 * D)

        let scale = 1 / Float(config.headSize).squareRoot()
        for (place, visit) in visits.enumerated() {
            // 3., 4. The context, each row with its origin, as far as the last row that asks can see.
            let (patch, asking, row) = (visit.patch, visit.asking, place * P)
            let limit = queries == .local ? patch * P + P - 1 : geometry.token(inSlot: patch * P + asking.upperBound - 1 - P)
            context.arrange(patch, in: geometry, limit: limit)
            // 5. Among the rows of the patch, each asking row over the prefix it may see.
            var count = 0
            for place in 0..<context.count {
                let member = Int(context.rows[place])
                let keys = UnsafePointer(member < P ? localKeys + (row + member) * localStride : delegateKeys + (row + member - P) * delegateStride)
                contextRows[place] = keys
                if asking.contains(member) {
                    queryRows[count] = keys - D
                    queryVisible[count] = context.visible[place]
                    outputRows[count] = output + (context.origins[place] - firstToken) * D
                    count += 1
                }
            }
            kernels.attend(Int64(count), queryRows.start, queryVisible.start, outputRows.start, Int64(context.count), contextRows.start,
                Int64(config.heads), Int64(config.headSize), scale, attentionScratch.start)
        }
    }

    // MARK: Steps 6 to 8

    /// s = LayerNorm(x + y; norm1) of a tile of own patches, whose x is in `local`.
    ///
    /// - Parameters:
    ///   - withGuests: whether a patch of the tile sees any of the delegates in its slots.
    ///   - s: on entry the attention of the tile's delegates, as `attend` left it; on return s. [patches·P, D]
    public func mix(_ patches: Range<Int>, withGuests: Bool, block: BlockWeights, s: UnsafeMutablePointer<Float>) throws {
        let (P, D) = (geometry.patchSize, config.hiddenSize)
        let count = patches.count * P
        try attend(.local, patches.map { .local($0, patchSize: P) }, withOthers: withGuests, block: block, output: attended.start, firstToken: patches.lowerBound * P)
        // 6., 7. y = (proj(local) + proj(delegate)) / 2 = proj((local + delegate) / 2): proj is affine.
        kernels.average(attended.start, s, Int64(count * D))
        try projection.run(attended.start, weight: block.projection.weight, bias: block.projection.bias, into: mixed.start)
        // 8. The residual stream is replaced by its normalised value.
        kernels.add(mixed.start, local.start, Int64(count * D))
        kernels.layer_norm(mixed.start, block.norm1.weight, block.norm1.bias, epsilon, Int64(count), Int64(D), s)
    }

    // MARK: Step 9

    /// x' = s + cov4(gelu(c)), c the causal convolution of s over time, for one tile.
    ///
    /// - Parameters:
    ///   - s: [K-1 + L, D]: the K-1 rows before the tile, then the tile's.
    ///   - output: [L, D].
    public func feedForward(_ s: UnsafePointer<Float>, block: BlockWeights, output: UnsafeMutablePointer<Float>) throws {
        let (D, F, K) = (config.hiddenSize, config.intermediateSize, config.kernelSize)
        try convolution.run(s, weight: block.cov3.start, bias: block.cov3Bias, into: convolved.start)
        kernels.gelu(convolved.start, Int64(rows * F))
        try cov4.run(convolved.start, weight: block.cov4.weight, bias: block.cov4.bias, into: output)
        kernels.add(output, s + (K - 1) * D, Int64(rows * D))
    }

    private func layerNorm(_ x: UnsafePointer<Float>, _ norm: (weight: UnsafePointer<Float>, bias: UnsafePointer<Float>), into u: UnsafeMutablePointer<Float>) {
        kernels.layer_norm(x, norm.weight, norm.bias, epsilon, Int64(rows), Int64(config.hiddenSize), u)
    }
}
