import Geometry
import Support

/// One block of BigBang-Proton, step by step as in Model.md. Symbols: n tokens, P patch size, G patches, D hidden size,
/// H heads, F intermediate size, K kernel; a tile has L rows.
///
/// Every row's result depends on that row's inputs alone; in a convolution by transforms, to its last bits (and where
/// states are not finite), on the other rows of its block, which is anchored in its tile.
extension TileArithmetic {
    /// A patch whose context is attended over, and which of its 2P rows ask.
    public struct Visit {
        public private(set) var patch: Int
        /// Whether the local rows ask: they do when the patch is in the window.
        var local: Bool
        /// Which delegates ask, by place, and of those the ones that come from these tokens, the window's.
        var delegates: Range<Int>
        var tokens: Range<Int64>
        /// Of all rows that ask those in stripe `part` of the context, and in every `parts`-th stripe after it: the
        /// others ask in visits of their own, which take about as long.
        private(set) var part = 0
        private(set) var parts = 1

        /// All local rows ask.
        public static func local(_ patch: Int) -> Visit {
            Visit(patch: patch, local: true, delegates: 0..<0, tokens: 0..<0)
        }

        /// The delegates of the patches `window` ask that are in `slots`; and the local rows, where `local` says so and
        /// the first of the patch's slots is among them.
        public static func delegates(
            of window: Range<Int>, in slots: Range<Int>, at patch: Int, patchSize P: Int, local: Bool = false,
            part: Int = 0, of parts: Int = 1
        ) -> Visit {
            let here = slots.clamped(to: patch * P..<(patch + 1) * P)
            return Visit(
                patch: patch, local: local && here.lowerBound == patch * P,
                delegates: here.lowerBound - patch * P..<here.upperBound - patch * P,
                tokens: Int64(window.lowerBound * P)..<Int64(window.upperBound * P), part: part, parts: parts)
        }

        /// The same patch, visited by delegates of the same window in later slots: one visit for both.
        public mutating func join(_ later: Visit) {
            local = local || later.local
            delegates = delegates.lowerBound..<later.delegates.upperBound
        }

        /// Whether the row at a place of the sorted context is this part's.
        func includes(_ place: Int) -> Bool { parts == 1 || place / Self.stripeRows % parts == part }

        /// Rows next to each other see nearly the same rows, which the attention's kernel reads once for many of them.
        private static let stripeRows = 128

        /// Whether the delegate at a place asks, which comes from token `origin`.
        func asks(place: Int, origin: Int64) -> Bool { delegates.contains(place) && tokens.contains(origin) }
    }

    // MARK: Rows in and out

    /// Rows of one column as they are stored: one of each of consecutive patches.
    public struct Column {
        var rows: UnsafeRawPointer
        /// Which token of its patch each row is; nil where it is the column's number.
        var indices: UnsafePointer<UInt16>?

        public init(rows: UnsafeRawPointer, indices: UnsafePointer<UInt16>?) {
            self.rows = rows
            self.indices = indices
        }
    }

    /// Forgets what delegates the slots of `patches` patches from place `place` of the group on held.
    public func forgetDelegates(place: Int, patches: Int) {
        (delegateOrigins.start + place * geometry.patchSize).update(
            repeating: Self.noOrigin, count: patches * geometry.patchSize)
    }

    /// Loads rows of column `column`, one of each of `sources`, as the delegates from row `row` of the group on; but
    /// padding that is not computed.
    public func loadDelegates(_ stored: Column, as input: InputRows, row: Int, sources: Range<Int>, column: Int) {
        let (P, D) = (geometry.patchSize, config.hiddenSize)
        let origins = delegateOrigins.start + row
        for (place, patch) in sources.enumerated() {
            origins[place] = Int64(patch * P + (stored.indices.map { Int($0[place]) } ?? column))
        }
        var count = sources.count
        if count > 0 && rowsComputed(Int(origins[count - 1]), rows: 1) == 0 {
            count -= 1
            origins[count] = Self.noOrigin
        }
        input.expand(
            stored.rows, rows: count, positions: origins, into: delegates.start + row * D, stride: D, with: self)
    }

    /// Loads the local rows of `patches`, as the patches from `place` of the group on, in natural order, from columns
    /// whose first row is that of the first of `patches`.
    public func loadLocal(
        _ patches: Range<Int>, place: Int, as input: InputRows, column: (_ column: Int) throws -> Column
    ) throws {
        let (P, D) = (geometry.patchSize, config.hiddenSize)
        let rows = local.start + place * P * D
        let count = patches.count
        guard case .tokens = input else {
            let rowBytes = input.rowBytes(width: D)
            // Which rows were loaded: where tokens stand in an order, nothing else says that every token of a patch is
            // there.
            var isLoaded: [Bool] = []
            for number in 0..<P {
                let stored = try column(number)
                guard let indices = stored.indices else {
                    input.expand(
                        stored.rows, rows: count, positions: nil, into: rows + number * D, stride: P * D, with: self)
                    continue
                }
                if isLoaded.isEmpty { isLoaded = Array(repeating: false, count: count * P) }
                for patch in 0..<count {
                    let row = patch * P + Int(indices[patch])
                    try Self.check(&isLoaded[row], patch: patches.lowerBound + patch, index: Int(indices[patch]))
                    input.expand(
                        stored.rows + patch * rowBytes, rows: 1, positions: nil, into: rows + row * D, stride: D,
                        with: self)
                }
            }
            return
        }
        // Ids are short, and positions come cheapest in their order.
        var isLoaded: [Bool] = []
        for number in 0..<P {
            let stored = try column(number)
            let ids = stored.rows.assumingMemoryBound(to: UInt16.self)
            guard let indices = stored.indices else {
                for patch in 0..<count { gathered[patch * P + number] = ids[patch] }
                continue
            }
            if isLoaded.isEmpty { isLoaded = Array(repeating: false, count: count * P) }
            for patch in 0..<count {
                let row = patch * P + Int(indices[patch])
                try Self.check(&isLoaded[row], patch: patches.lowerBound + patch, index: Int(indices[patch]))
                gathered[row] = ids[patch]
            }
        }
        let computed = rowsComputed(patches.lowerBound * P, rows: count * P)
        for row in 0..<computed { positions[row] = Int64(patches.lowerBound * P + row) }
        input.expand(gathered.start, rows: computed, positions: positions.start, into: rows, stride: D, with: self)
    }

    /// Notes that a token of a patch was loaded.
    ///
    /// - Throws: `Fault` (`badData`) where it was already, so that another is missing.
    private static func check(_ isLoaded: inout Bool, patch: Int, index: Int) throws {
        guard !isLoaded else { throw Fault(.badData, "token \(index) of patch \(patch) is in two columns") }
        isLoaded = true
    }

    /// Stores the states of `patches`, rows [patches·P, D], in the states' number format: row r of a column goes to
    /// `column(c) + r·rowBytes`.
    ///
    /// - Parameter order: [patches·P] which token of each patch goes to each column; nil for its own.
    public func store(
        _ states: UnsafePointer<Float>, patches: Int, order: UnsafePointer<UInt16>? = nil, asBF16: Bool,
        column: (_ column: Int) -> UnsafeMutableRawPointer
    ) {
        let (P, D) = (geometry.patchSize, config.hiddenSize)
        func put(_ from: UnsafePointer<Float>, rows: Int, to target: UnsafeMutableRawPointer) {
            if asBF16 {
                kernels.pointee.bf16_from_f32(
                    from, Int64(P * D), Int64(rows), Int64(D), target.assumingMemoryBound(to: UInt16.self), Int64(D))
            } else {
                for row in 0..<rows { (target + row * D * 4).copyMemory(from: from + row * P * D, byteCount: D * 4) }
            }
        }
        let rowBytes = D * (asBF16 ? 2 : 4)
        for number in 0..<P {
            let target = column(number)
            guard let order else {
                put(states + number * D, rows: patches, to: target)
                continue
            }
            for patch in 0..<patches {
                put(states + (patch * P + Int(order[patch * P + number])) * D, rows: 1, to: target + patch * rowBytes)
            }
        }
    }

    // MARK: Steps 1 to 5

    /// Attention of the rows that ask over the contexts of the visited patches (at most a group), before the output
    /// projection.
    ///
    /// `local` holds the patches' rows and `delegates` those in their slots, in the order of `visits`; rows that no
    /// query sees need not be loaded. The result of the query with origin t goes to row t - `firstToken` of its kind's
    /// output [·, D].
    ///
    /// - Parameters:
    ///   - seesOthers: whether any query sees a row of the other kind; their projections are left out where none does.
    ///   - toLocal: where answers to local rows go; nil where none asks.
    ///   - toDelegates: where answers to delegates go; nil where none asks.
    public func attend(
        _ visits: [Visit], seesOthers: Bool, block: BlockWeights, toLocal: UnsafeMutablePointer<Float>?,
        toDelegates: UnsafeMutablePointer<Float>?, firstToken: Int
    ) {
        let (P, D) = (geometry.patchSize, config.hiddenSize)
        // The last token that asks in a visit. Padding, which nothing depends on, does not.
        func limit(_ visit: Visit, _ guests: UnsafePointer<Int64>) -> Int64 {
            guard config.isCausal else { return Self.noOrigin - 1 }
            var last = visit.local ? Int64((visit.patch + 1) * P - 1) : -1
            for place in visit.delegates where visit.tokens.contains(guests[place]) { last = max(last, guests[place]) }
            return paddingCounts ? last : min(last, Int64(geometry.tokens - 1))
        }
        guard let last = visits.last else { return }
        let before = (visits.count - 1) * P
        let lastGuests = UnsafePointer(delegateOrigins.start + before)
        let lastLimit = limit(last, lastGuests)

        // 1. u = LayerNorm(x), and 2., 5. the projections: q, k, v of the rows that ask, k, v of the others, as far as
        // some row of the last patch sees them. Delegates use Wqkv·Wd and Wqkv·bd, which is Wqkv·(Wd u + bd).
        if toLocal != nil || seesOthers {
            let seen = max(0, min(Int64(P), lastLimit - Int64(last.patch * P) + 1))
            project(
                local.start, rows: before + Int(seen), block.preNorm, query: toLocal == nil ? nil : block.localQuery,
                keyValue: block.localKeyValue, into: localProjections.start)
        }
        if toDelegates != nil || seesOthers {
            let seen = (0..<P).last { lastGuests[$0] <= lastLimit }.map { $0 + 1 } ?? 0
            project(
                delegates.start, rows: before + seen, block.preNorm,
                query: toDelegates == nil ? nil : block.delegateQuery, keyValue: block.delegateKeyValue,
                into: delegateProjections.start)
        }

        let scale = 1 / Float(config.headSize).squareRoot()
        for (place, visit) in visits.enumerated() {
            // 3., 4. The context, each row with its origin, as far as the last row that asks can see.
            let (patch, row) = (visit.patch, place * P)
            let guests = UnsafePointer(delegateOrigins.start + row)
            context.arrange(patch, patchSize: P, guests: guests, limit: limit(visit, guests), isCausal: config.isCausal)
            // 5. Among the rows of the patch, each asking row over the prefix it may see.
            var count = 0
            for place in 0..<context.count {
                let member = Int(context.rows[place])
                let isLocal = member < P
                let projected = UnsafePointer(
                    isLocal
                        ? localProjections.start + (row + member) * 3 * D
                        : delegateProjections.start + (row + member - P) * 3 * D)
                contextRows[place] = projected + D
                if let answers = isLocal ? toLocal : toDelegates, visit.includes(place),
                    isLocal ? visit.local : visit.asks(place: member - P, origin: context.origins[place])
                {
                    queryRows[count] = projected
                    queryVisible[count] = context.visible[place]
                    outputRows[count] = answers + (Int(context.origins[place]) - firstToken) * D
                    count += 1
                }
            }
            kernels.pointee.attend(
                Int64(count), queryRows.start, nil, queryVisible.start, outputRows.start, Int64(context.count),
                contextRows.start, Int64(config.heads), 1, Int64(config.headSize), Int64(D), scale,
                attentionScratch.start)
        }
    }

    /// Rows of q, k, v [rows, 3D] from u = LayerNorm(x), a few at a time; without q where `query` is nil.
    private func project(
        _ x: UnsafePointer<Float>, rows: Int, _ norm: Norm, query: PreparedMatrix?, keyValue: PreparedMatrix,
        into projections: UnsafeMutablePointer<Float>
    ) {
        let D = config.hiddenSize
        let u = normalised.start
        inGroups(of: Self.rowsAtOnce, rows) { first, count in
            layerNorm(x + first * D, rows: count, norm, into: u)
            query?.multiply(
                u, rows: count, into: projections + first * 3 * D, yStride: 3 * D, kernels: kernels, scratch: halves)
            keyValue.multiply(
                u, rows: count, into: projections + first * 3 * D + D, yStride: 3 * D, kernels: kernels, scratch: halves
            )
        }
    }

    // MARK: Steps 6 to 8

    /// s = LayerNorm(x + y; norm1) of a group of own patches, whose x is in `local`; zero where padding is not
    /// computed.
    ///
    /// - Parameters:
    ///   - answers: the attention of the local rows, overwritten; nil where it is still to be computed. [patches·P, D]
    ///   - withGuests: whether a patch of the group sees any of the delegates in its slots.
    ///   - s: on entry the attention of the group's delegates, as `attend` left it; on return s. [patches·P, D]
    public func mix(
        _ patches: Range<Int>, answers: UnsafeMutablePointer<Float>? = nil, withGuests: Bool, block: BlockWeights,
        s: UnsafeMutablePointer<Float>
    ) {
        let (P, D) = (geometry.patchSize, config.hiddenSize)
        if answers == nil {
            attend(
                patches.map { .local($0) }, seesOthers: withGuests, block: block, toLocal: attended.start,
                toDelegates: nil, firstToken: patches.lowerBound * P)
        }
        let answers = answers ?? attended.start
        let computed = rowsComputed(patches.lowerBound * P, rows: patches.count * P)
        (s + computed * D).update(repeating: 0, count: (patches.count * P - computed) * D)
        inGroups(of: Self.rowsAtOnce, computed) { first, count in
            let (answers, s) = (answers + first * D, s + first * D)
            // 6., 7. y = (proj(local) + proj(delegate)) / 2 = proj((local + delegate) / 2): proj is affine; and x + y.
            kernels.pointee.average(answers, s, Int64(count * D))
            block.projection.multiply(
                answers, rows: count, adding: local.start + first * D, into: mixed.start, kernels: kernels,
                scratch: halves)
            // 8. The residual stream is replaced by its normalised value.
            layerNorm(mixed.start, rows: count, block.norm1, into: s)
        }
    }

    // MARK: Step 9

    /// x' = s + cov4(act(c)), c the convolution of s over time, or the stack of them, for up to `tilesAtOnce` tiles;
    /// zero where padding is not computed.
    ///
    /// - Parameters:
    ///   - s: [before + rows + after, D]: the rows that the tiles' rows see (`ModelConfig.reach`); zero outside 0..<N.
    ///   - first: token index of the first tile's first row.
    ///   - output: [rows, D].
    public func feedForward(
        _ s: UnsafePointer<Float>, first: Int, rows: Int, block: BlockWeights, output: UnsafeMutablePointer<Float>
    ) {
        let D = config.hiddenSize
        let computed = rowsComputed(first, rows: rows)
        (output + computed * D).update(repeating: 0, count: (rows - computed) * D)
        if computed == 0 { return }
        let own = s + config.reach.before * D
        let inner = block.cov4 == nil ? output : convolved.start
        convolution.run(
            s, first: first, rows: computed, length: geometry.paddedTokens, weights: block.convolutions, with: self,
            into: inner)
        if let cov4 = block.cov4 {
            cov4.multiply(inner, rows: computed, adding: own, into: output, kernels: kernels, scratch: halves)
        } else {
            kernels.pointee.add(output, own, Int64(computed * D))
        }
    }

    /// Whether states of padding reach those of tokens: where rows see what comes after them, and where the order of a
    /// patch's delegates hangs on all of its rows.
    private var paddingCounts: Bool { !config.isCausal || config.delegation == .selective }

    /// How many of `rows` rows from token `first` on are computed: all but padding, and padding where it counts.
    private func rowsComputed(_ first: Int, rows: Int) -> Int {
        paddingCounts ? rows : max(0, min(rows, geometry.tokens - first))
    }

    func layerNorm(_ x: UnsafePointer<Float>, rows: Int, _ norm: Norm, into u: UnsafeMutablePointer<Float>) {
        kernels.pointee.layer_norm(
            x, norm.weight.values, norm.bias.values, epsilon, Int64(rows), Int64(config.hiddenSize), u)
    }

    func inGroups(of size: Int, _ rows: Int, _ body: (_ first: Int, _ count: Int) -> Void) {
        for first in stride(from: 0, to: rows, by: size) { body(first, min(size, rows - first)) }
    }
}
