import Compute
import Geometry
import Support

/// Monte Carlo Attention, step by step as in Model.md. Symbols: n tokens, P patch size, G patches, D hidden size, H heads.
///
/// A window gathers by visits: its delegates ask in the patches that host them, and the answers wait until the window's
/// own patches are mixed.
package final class DelegateMixer: GatheringMixer {
    private let config: ModelConfig
    private let computed: ComputedRows
    private let delegates: DelegateAccess
    private let isDivided: Bool
    private let norms: LayerNorms
    /// Queries, and keys with values, of local rows; no bias.
    private let localQuery: any Matrix
    private let localKeyValue: any Matrix
    /// The same of delegates: Wqkv·Wd and Wqkv·bd, the delegate map folded into its projections, so that
    /// Wqkv·(Wd u + bd) takes one product (Model.md, "What the code makes of it").
    private let delegateQuery: any Matrix
    private let delegateKeyValue: any Matrix
    private let projection: any Matrix

    package var access: any Access { delegates }
    private var geometry: SequenceGeometry { computed.geometry }
    private var P: Int { geometry.patchSize }
    private var D: Int { config.hiddenSize }

    /// - Parameter tensor: of the layer's block.
    init(_ tensor: TensorReader, _ config: ModelConfig, geometry: SequenceGeometry, on backend: any Backend) throws {
        self.config = config
        computed = ComputedRows(config, geometry)
        delegates = DelegateAccess(isCausal: config.isCausal)
        isDivided = backend.isDivided
        norms = try LayerNorms(tensor, config, on: backend)
        let D = config.hiddenSize
        let qkv = try tensor("self_attn.qkv.weight")
        localQuery = try backend.matrix(qkv, bias: nil, inputs: D, outputs: D)
        localKeyValue = try backend.matrix(qkv + D * D, bias: nil, inputs: D, outputs: 2 * D)
        let folded = try Memory<Float>(3 * D * D), foldedBias = try Memory<Float>(3 * D)
        Products.exact(
            qkv, try tensor("cov1_delegate.weight"), rows: 3 * D, inner: D, columns: D, into: folded.start)
        Products.exact(
            qkv, try tensor("cov1_delegate.bias"), rows: 3 * D, inner: D, columns: 1, into: foldedBias.start)
        delegateQuery = try backend.matrix(folded.start, bias: foldedBias.start, inputs: D, outputs: D)
        delegateKeyValue = try backend.matrix(
            folded.start + D * D, bias: foldedBias.start + D, inputs: D, outputs: 2 * D)
        projection = try backend.matrix(
            try tensor("self_attn.proj.weight"), bias: try tensor("self_attn.proj.bias"), inputs: D, outputs: D)
    }

    /// Bytes of the weights, and of what preparing them takes.
    static func weightBytes(_ config: ModelConfig, on backend: any Backend) -> Int {
        let D = config.hiddenSize
        return 3 * backend.matrixFootprint(inputs: D, outputs: D) + 2
            * backend.matrixFootprint(inputs: D, outputs: 2 * D) + 16 * D + (3 * D * D + 3 * D) * 4
    }

    static func needs(_ config: ModelConfig, patchSize P: Int) -> LaneNeeds {
        var needs = LaneNeeds()
        (needs.width, needs.inputs) = (config.hiddenSize, config.hiddenSize)
        (needs.contextRows, needs.queries, needs.headSize) = (2 * P, 2 * P, config.headSize)
        return needs
    }

    private func room(_ tools: LaneTools) throws -> DelegateRoom { try tools.room(DelegateRoom.self) }

    // MARK: Gathering

    package func answers(rows: Int, workers: Int, isOnce: Bool, on backend: any Backend) throws -> any GatheredAnswers {
        try DelegateAnswers(config, rows: rows, isOnce: isOnce, workers: workers, on: backend)
    }

    package func isAnswered(by answers: any GatheredAnswers) -> Bool { answers is DelegateAnswers }

    /// Whether hosts are visited once for local rows and delegates: the one window is the whole sequence, so that its
    /// hosts are its own patches, and there is memory for the answers to all local rows.
    private func isVisitedOnce(_ plan: WindowPlan, _ answers: DelegateAnswers) -> Bool {
        answers.local != nil && plan.windows == 0..<1 && plan.shard == 0..<plan.target.blocks
    }

    package func gatheringShare(in plan: WindowPlan, answers: any GatheredAnswers) -> Double {
        isVisitedOnce(plan, DelegateAnswers.of(answers)) ? 0.5 : 0.25
    }

    package func tasks(
        ofPart part: Int, ofWindow window: Int, in plan: WindowPlan, answers: any GatheredAnswers
    ) -> Int {
        let workers = DelegateAnswers.of(answers).workers
        let bundles = bundles(ofPart: part, ofWindow: window, in: plan, workers: workers)
        return bundles.count * shares(ofBundles: bundles.count, workers: workers)
    }

    /// The slots of a part's runs, shared out in bundles whose patches fill several groups; but enough bundles for all
    /// workers.
    private func bundles(ofPart part: Int, ofWindow window: Int, in plan: WindowPlan, workers: Int) -> [Range<Int>] {
        let (columns, G) = (delegates.columns(ofPart: part, of: plan), geometry.patches)
        let slots = columns.lowerBound * G..<columns.upperBound * G
        if slots.isEmpty { return [] }
        if !isDivided { return [slots] }
        let groupPatches = DelegateRoom.groupPatches(P)
        // Slots that visits are not divided at: a column's, or where a patch holds several columns, a patch's.
        let unit = max(G, P)
        let units = (slots.count + unit - 1) / unit
        // A narrow window visits a patch or two in each run: a full group matters more than a task for everyone.
        let perUnit = G < P ? 1 : plan.patches(ofWindow: window).count / P + 1
        let (least, most) = (groupPatches / perUnit, 16 * groupPatches / perUnit)
        let bundle = max(1, min((units + workers - 1) / workers, max(least, min(most, units / (4 * workers))))) * unit
        return stride(from: slots.lowerBound / unit * unit, to: slots.upperBound, by: bundle).map {
            ($0..<$0 + bundle).clamped(to: slots)
        }
    }

    /// How many tasks share each of `bundles` bundles: where these are few and patches long, the rows that ask are
    /// shared out. Each projects all rows that are seen, for less than the attention costs.
    private func shares(ofBundles bundles: Int, workers: Int) -> Int {
        if !isDivided { return 1 }
        let projections = Double(3 * D) / Double(3 * D + 2 * P)
        func seconds(_ shares: Int) -> Double {
            Double((bundles * shares + workers - 1) / workers)
                * (projections + (1 - projections) / Double(shares))
        }
        // A share of a full context has eight stripes.
        return (1...max(1, P / 512)).min { seconds($0) < seconds($1) } ?? 1
    }

    /// Visits the hosts of the delegates of one bundle that come from the window, a group of patches at a time, each
    /// patch once; of the rows that ask there, this share's ask. Where hosts are visited once, the local rows ask too.
    package func gather(
        _ task: Int, of tasks: Int, part: Int, window index: Int, in plan: WindowPlan, from columns: any StoredColumns,
        as input: InputRows, into answers: any GatheredAnswers, with tools: LaneTools
    ) throws {
        let answers = DelegateAnswers.of(answers)
        let bundles = bundles(ofPart: part, ofWindow: index, in: plan, workers: answers.workers)
        let shares = max(1, tasks / max(1, bundles.count))
        let (asking, share) = (bundles[task / shares], task % shares)
        let room = try room(tools)
        let window = plan.patches(ofWindow: index)
        let firstToken = window.lowerBound * P
        let seen = delegates.seen(by: window, in: geometry)
        let isOnce = isVisitedOnce(plan, answers)
        var visits: [Visit] = []
        var areLocalSeen = false
        func attend() {
            self.attend(
                visits, areOthersSeen: areLocalSeen, toLocal: isOnce ? answers.local : nil,
                toDelegates: answers.delegates,
                firstToken: firstToken, room, tools.lane)
            visits.removeAll(keepingCapacity: true)
            areLocalSeen = false
        }
        for column in asking.lowerBound / geometry.patches...(asking.upperBound - 1) / geometry.patches {
            let slots = geometry.slots(of: window, column: column).clamped(to: asking)
            if slots.isEmpty { continue }
            var hosts = geometry.hosts(ofSlots: slots)
            func visit(_ patch: Int) -> Visit {
                .delegates(of: window, in: slots, at: patch, patchSize: P, isLocal: isOnce, share: share, of: shares)
            }
            // The column before may end in the patch that this one begins in.
            if let last = visits.indices.last, visits[last].patch == hosts.lowerBound {
                visits[last].join(visit(hosts.lowerBound))
                hosts.removeFirst()
            }
            while !hosts.isEmpty {
                if visits.count == room.patches { attend() }
                let taken = hosts.prefix(room.patches - visits.count)
                if try loadLocal(
                    taken.clamped(to: 0..<max(taken.lowerBound, seen.upperBound)), place: visits.count, from: columns,
                    as: input, room, tools.lane)
                {
                    areLocalSeen = true
                }
                try loadDelegates(
                    inSlotsOf: taken, seenBy: window, place: visits.count, from: columns, as: input, room, tools.lane)
                visits += taken.map(visit)
                hosts.removeFirst(taken.count)
            }
        }
        if !visits.isEmpty { attend() }
        try tools.lane.finish()
    }

    // MARK: Mixing

    /// The patches attend, with their guests, a group at a time.
    package func mix(
        _ patches: Range<Int>, window index: Int, in plan: WindowPlan, from columns: any StoredColumns,
        as input: InputRows, answers: any GatheredAnswers, with tools: LaneTools, into s: Rows
    ) throws {
        let answers = DelegateAnswers.of(answers)
        let room = try room(tools)
        let window = plan.patches(ofWindow: index)
        let isOnce = isVisitedOnce(plan, answers)
        for first in stride(from: patches.lowerBound, to: patches.upperBound, by: room.patches) {
            let group = first..<min(patches.upperBound, first + room.patches)
            let gathered = (group.lowerBound - window.lowerBound) * P..<(group.upperBound - window.lowerBound) * P
            try loadLocal(group, place: 0, from: columns, as: input, room, tools.lane)
            let local: Rows
            if isOnce, let answers = answers.local {
                local = answers[gathered]
            } else {
                let areGuestsSeen = try loadDelegates(
                    inSlotsOf: group, seenBy: group, place: 0, from: columns, as: input, room, tools.lane)
                local = room.attended
                attend(
                    group.map { .local($0) }, areOthersSeen: areGuestsSeen, toLocal: local, toDelegates: nil,
                    firstToken: group.lowerBound * P, room, tools.lane)
            }
            let rows = (group.lowerBound - patches.lowerBound) * P..<(group.upperBound - patches.lowerBound) * P
            mix(group, local: local, delegates: answers.delegates[gathered], room, tools.lane, into: s[rows])
        }
        try tools.lane.finish()
    }

    /// s = LayerNorm(x + y; norm1) of a group of own patches, whose x is in the room; zero where padding is not
    /// computed.
    ///
    /// - Parameter local: the attention of the local rows, overwritten.
    private func mix(
        _ group: Range<Int>, local: Rows, delegates: Rows, _ room: DelegateRoom, _ lane: any Lane, into s: Rows
    ) {
        let count = computed.rows(from: group.lowerBound * P, count: s.count)
        if count < s.count { lane.zero(s[count..<s.count]) }
        if count == 0 { return }
        // 6., 7. y = (proj(local) + proj(delegate)) / 2 = proj((local + delegate) / 2): proj is affine.
        lane.average(local[0..<count], with: delegates[0..<count])
        // 8. The residual stream is replaced by its normalised value.
        lane.residual(
            local[0..<count], projection, adding: room.local[0..<count], norms.after, into: s[0..<count])
    }

    // MARK: Rows in

    /// Loads the local rows of `patches`, from place `place` of the group on.
    ///
    /// - Returns: whether there were any.
    @discardableResult
    private func loadLocal(
        _ patches: Range<Int>, place: Int, from columns: any StoredColumns, as input: InputRows, _ room: DelegateRoom,
        _ lane: any Lane
    ) throws -> Bool {
        if patches.isEmpty { return false }
        try room.loader.load(
            patches, from: columns, as: input, into: room.local[place * P..<(place + patches.count) * P], on: lane)
        return true
    }

    /// Loads the delegates in the slots of `patches` that some row of `asking` may see, from place `place` of the group
    /// on; but padding that is not computed.
    ///
    /// - Returns: whether there were any.
    @discardableResult
    private func loadDelegates(
        inSlotsOf patches: Range<Int>, seenBy asking: Range<Int>, place: Int, from columns: any StoredColumns,
        as input: InputRows, _ room: DelegateRoom, _ lane: any Lane
    ) throws -> Bool {
        var hasAny = false
        let origins = room.origins
        (origins.start + place * P).update(repeating: DelegateRoom.noOrigin, count: patches.count * P)
        room.pieces.removeAll(keepingCapacity: true)
        for run in geometry.guests(of: patches) {
            let sources = run.sources.clamped(to: delegates.seen(by: asking, in: geometry))
            for (block, piece) in columns.grid.pieces(of: sources) {
                let skipped = piece.lowerBound - columns.grid.patches(ofBlock: block).lowerBound
                let slot = run.firstSlot + piece.lowerBound - run.sources.lowerBound
                let row = slot + (place - patches.lowerBound) * P
                let stored = try columns.column(run.column, ofBlock: block, from: skipped)
                for (offset, patch) in piece.enumerated() {
                    origins[row + offset] = Int64(patch * P + (stored.indices.map { Int($0[offset]) } ?? run.column))
                }
                var count = piece.count
                if computed.rows(from: Int(origins[row + count - 1]), count: 1) == 0 {
                    count -= 1
                    origins[row + count] = DelegateRoom.noOrigin
                }
                switch input {
                case .states:
                    room.pieces.append(StoredRows(stored.rows, count: count, first: row, step: 1))
                case .tokens(let embedding):
                    lane.embed(
                        stored.rows.assumingMemoryBound(to: UInt16.self), positions: origins.start + row,
                        with: embedding.table, into: room.delegates[row..<row + count])
                }
                hasAny = true
            }
        }
        if case .states(let format) = input { lane.load(room.pieces, as: format, into: room.delegates) }
        return hasAny
    }

    // MARK: Steps 1 to 5

    /// Attention of the rows that ask over the contexts of the visited patches (at most a group), before the output
    /// projection.
    ///
    /// The room holds the patches' rows and the delegates in their slots, in the order of `visits`; rows that no query
    /// sees need not be loaded. The result of the query with origin t goes to row t - `firstToken` of its kind's output
    /// [·, D].
    ///
    /// - Parameters:
    ///   - areOthersSeen: whether any query sees a row of the other kind; their projections are left out where none
    ///     does.
    ///   - toLocal: where answers to local rows go; nil where none asks.
    ///   - toDelegates: where answers to delegates go; nil where none asks.
    private func attend(
        _ visits: [Visit], areOthersSeen: Bool, toLocal: Rows?, toDelegates: Rows?, firstToken: Int,
        _ room: DelegateRoom,
        _ lane: any Lane
    ) {
        // The last token that asks in a visit. Padding, which nothing depends on, does not.
        func limit(_ visit: Visit, _ guests: UnsafePointer<Int64>) -> Int64 {
            guard config.isCausal else { return DelegateRoom.noOrigin - 1 }
            var last = visit.isLocal ? Int64((visit.patch + 1) * P - 1) : -1
            for place in visit.delegates where visit.tokens.contains(guests[place]) { last = max(last, guests[place]) }
            return computed.hasPadding ? last : min(last, Int64(geometry.tokens - 1))
        }
        guard let last = visits.last else { return }
        let before = (visits.count - 1) * P
        let lastGuests = UnsafePointer(room.origins.start + before)
        let lastLimit = limit(last, lastGuests)

        // 1. u = LayerNorm(x), and 2., 5. the projections: q, k, v of the rows that ask, k, v of the others, as far as
        // some row of the last patch sees them. Delegates use Wqkv·Wd and Wqkv·bd, which is Wqkv·(Wd u + bd).
        if toLocal != nil || areOthersSeen {
            let seen = max(0, min(Int64(P), lastLimit - Int64(last.patch * P) + 1))
            project(
                room.local[0..<before + Int(seen)], query: toLocal == nil ? nil : localQuery, keyValue: localKeyValue,
                into: room.projections[0..<before + Int(seen)], lane)
        }
        if toDelegates != nil || areOthersSeen {
            let seen = (0..<P).last { lastGuests[$0] <= lastLimit }.map { $0 + 1 } ?? 0
            project(
                room.delegates[0..<before + seen], query: toDelegates == nil ? nil : delegateQuery,
                keyValue: delegateKeyValue, into: room.projections[room.rows..<room.rows + before + seen], lane)
        }

        let plan = room.plan
        plan.clear()
        for (place, visit) in visits.enumerated() {
            // 3., 4. The context, each row with its origin, as far as the last row that asks can see.
            let row = place * P
            let guests = UnsafePointer(room.origins.start + row)
            room.context.arrange(
                visit.patch, patchSize: P, guests: guests, limit: limit(visit, guests), isCausal: config.isCausal)
            // 5. Among the rows of the patch, each asking row over the prefix it may see.
            let context = room.context
            plan.beginContext()
            for place in 0..<context.count {
                let member = Int(context.rows[place])
                let isLocal = member < P
                let projected = isLocal ? row + member : room.rows + row + member - P
                plan.add(row: projected)
                if (isLocal ? toLocal : toDelegates) != nil, visit.includes(place),
                    isLocal ? visit.isLocal : visit.asks(place: member - P, origin: context.origins[place])
                {
                    plan.add(
                        query: projected, sees: 0..<Int(context.visible[place]), target: isLocal ? 0 : 1,
                        output: Int(context.origins[place]) - firstToken)
                }
            }
            plan.endContext()
        }
        guard let any = toLocal ?? toDelegates else { return }
        lane.attend(
            plan, heads: AttentionHeads(count: config.heads, size: config.headSize, valueOffset: D),
            queries: room.projections.columns(0..<D), keysValues: room.projections.columns(D..<3 * D),
            into: [toLocal ?? any, toDelegates ?? any])
    }

    /// Rows of q, k, v [rows, 3D] from u = LayerNorm(x); without q where `query` is nil.
    private func project(
        _ x: Rows, query: (any Matrix)?, keyValue: any Matrix, into projections: Rows, _ lane: any Lane
    ) {
        if x.count == 0 { return }
        let keysValues = (matrix: keyValue, into: projections.columns(D..<3 * D))
        if let query {
            lane.project(x, norms.before, [(matrix: query, into: projections.columns(0..<D)), keysValues])
        } else {
            lane.project(x, norms.before, [keysValues])
        }
    }

    /// A patch whose context is attended over, and which of its 2P rows ask.
    private struct Visit {
        private(set) var patch: Int
        /// Whether the local rows ask: they do when the patch is in the window.
        var isLocal: Bool
        /// Which delegates ask, by place, and of those the ones that come from these tokens, the window's.
        var delegates: Range<Int>
        var tokens: Range<Int64>
        /// Of all rows that ask those in stripe `share` of the context, and in every `shares`-th stripe after it: the
        /// others ask in visits of their own, which take about as long.
        private(set) var share = 0
        private(set) var shares = 1

        /// All local rows ask.
        static func local(_ patch: Int) -> Visit { Visit(patch: patch, isLocal: true, delegates: 0..<0, tokens: 0..<0) }

        /// The delegates of the patches `window` ask that are in `slots`; and the local rows, where `isLocal` says so and
        /// the first of the patch's slots is among them.
        static func delegates(
            of window: Range<Int>, in slots: Range<Int>, at patch: Int, patchSize P: Int, isLocal: Bool, share: Int,
            of shares: Int
        ) -> Visit {
            let here = slots.clamped(to: patch * P..<(patch + 1) * P)
            return Visit(
                patch: patch, isLocal: isLocal && here.lowerBound == patch * P,
                delegates: here.lowerBound - patch * P..<here.upperBound - patch * P,
                tokens: Int64(window.lowerBound * P)..<Int64(window.upperBound * P), share: share, shares: shares)
        }

        /// The same patch, visited by delegates of the same window in later slots: one visit for both.
        mutating func join(_ later: Visit) {
            isLocal = isLocal || later.isLocal
            delegates = delegates.lowerBound..<later.delegates.upperBound
        }

        /// Whether the row at a place of the sorted context is this share's.
        func includes(_ place: Int) -> Bool { shares == 1 || place / Self.stripeRows % shares == share }

        /// Rows next to each other see nearly the same rows, which the attention's kernel reads once for many of them.
        private static let stripeRows = 128

        /// Whether the delegate at a place asks, which comes from token `origin`.
        func asks(place: Int, origin: Int64) -> Bool { delegates.contains(place) && tokens.contains(origin) }
    }
}

/// The attention of a window's delegates, and of its local rows where hosts are visited once for both.
package final class DelegateAnswers: GatheredAnswers {
    /// [W·P, D] each.
    let delegates: Rows
    let local: Rows?
    /// Workers that gathering is shared out to.
    let workers: Int

    /// - Parameters:
    ///   - rows: of a window.
    ///   - isOnce: whether there is to be room for the answers to local rows.
    package init(_ config: ModelConfig, rows: Int, isOnce: Bool, workers: Int, on backend: any Backend) throws {
        delegates = try backend.rows(rows, width: config.hiddenSize)
        local = isOnce ? try backend.rows(rows, width: config.hiddenSize) : nil
        self.workers = workers
    }

    package static func footprint(_ config: ModelConfig, rows: Int, isOnce: Bool) -> Int {
        (isOnce ? 2 : 1) * rows * config.hiddenSize * 4
    }

    static func of(_ answers: any GatheredAnswers) -> DelegateAnswers {
        unsafeDowncast(answers, to: DelegateAnswers.self)
    }
}

/// A worker's rows for Monte Carlo Attention: a group of patches at a time, few enough rows for the caches. Their number
/// does not change a result.
package final class DelegateRoom {
    /// Patches attended over at a time, and their rows.
    let patches: Int
    let rows: Int
    /// [group, D] the group's own rows, or a host's; [group, D] the delegates in its slots.
    let local: Rows
    let delegates: Rows
    /// [group] the tokens that the delegates come from; `noOrigin` where none was loaded.
    let origins: Memory<Int64>
    static let noOrigin = Int64.max
    /// [2 group, 3D]: q, k, v of local rows, then of delegates.
    let projections: Rows
    /// [group, D] the attention of local rows.
    let attended: Rows
    let loader: PatchLoader
    var pieces: [StoredRows] = []
    var context: PatchContext
    let plan: AttentionPlan

    static func groupPatches(_ P: Int) -> Int { max(1, 256 / P) }

    package init(_ config: ModelConfig, geometry: SequenceGeometry, on backend: any Backend) throws {
        let (D, P) = (config.hiddenSize, geometry.patchSize)
        patches = Self.groupPatches(P)
        rows = patches * P
        local = try backend.rows(rows, width: D)
        delegates = try backend.rows(rows, width: D)
        origins = try Memory(rows)
        projections = try backend.rows(2 * rows, width: 3 * D)
        attended = try backend.rows(rows, width: D)
        loader = try PatchLoader(ComputedRows(config, geometry), rows: rows)
        context = try PatchContext(patchSize: P)
        plan = try AttentionPlan(rows: 2 * rows, queries: 2 * rows)
    }

    package static func footprint(_ config: ModelConfig, patchSize P: Int) -> Int {
        let rows = groupPatches(P) * P
        return 4 * rows * config.hiddenSize * 9 + 8 * rows + PatchLoader.footprint(rows: rows)
            + PatchContext.footprint(patchSize: P) + AttentionPlan.footprint(rows: 2 * rows, queries: 2 * rows)
    }
}
