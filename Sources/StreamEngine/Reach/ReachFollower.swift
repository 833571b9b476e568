import Compute
import Geometry
import ProtonModel
import Support

/// One layer backwards, as often as wanted.
struct ReachFollower {
    /// How far sets are followed.
    struct Limits {
        /// Of a set's masks: 4 194 304 patches of up to 64 tokens.
        var words = 1 << 22
        /// Rows and delegates looked at, all depths together, with `Cost` for the rest: a few seconds of it.
        var work = 300_000_000
    }

    /// What steps take beside looking at one row, about.
    enum Cost {
        /// A patch in a set.
        static let patch = 8
        /// One that is new there, and likely in nobody's cache.
        static let newPatch = 24
        /// A drawn order, and each of its columns.
        static let draw = 64
        static let drawnColumn = 6
    }

    let config: ModelConfig
    let geometry: SequenceGeometry
    let token: Int
    let isMasked: Bool
    let limits: Limits
    private var work = 0

    /// - Parameter isMasked: rows of a patch see none that come after them.
    init(config: ModelConfig, geometry: SequenceGeometry, token: Int, isMasked: Bool, limits: Limits) {
        (self.config, self.geometry, self.token, self.isMasked, self.limits) = (
            config, geometry, token, isMasked, limits
        )
    }

    var output: PatchSet {
        var set = PatchSet(patchSize: geometry.patchSize)
        set.insert(patch: token / geometry.patchSize, index: token % geometry.patchSize)
        return set
    }

    /// Replaces `set`, rows after layer `layer`, by the rows before it that they depend on.
    ///
    /// - Returns: false when it became too large: then `found` holds a number of tokens that are certainly reached.
    mutating func follow(_ set: inout PatchSet, through layer: Int, _ found: inout MeasuredReach.Depth) throws -> Bool {
        try Interruption.check { "nothing was written" }
        let view = config.mixers[config.block(ofLayer: layer).index].shape.view
        if view == .all {
            // Such layers are in causal models alone. Where the tokens are too many to be listed, their number says it.
            if let all = tokens(through: token) { set = all }
            (found.tokens, found.padding, found.isAll) = (token + 1, 0, true)
            return true
        }
        guard let rows = tapped(set), let seen = try seen(by: rows, view, layer, &found) else {
            // Every row sees itself, so what was found before stays.
            found.tokens = max(found.tokens, set.count(below: geometry.tokens))
            found.isExact = false
            return false
        }
        set = seen
        found.tokens = set.count(below: geometry.tokens)
        found.padding = set.count(below: geometry.paddedTokens) - found.tokens
        // Without masks in the patches nothing keeps a row from later ones; with them nothing later is seen.
        found.isAll = found.tokens == (isMasked ? token + 1 : geometry.tokens)
        return true
    }

    /// The rows of x that rows of s depend on; nil when these are too many.
    private mutating func seen(by rows: PatchSet, _ view: MixerView, _ layer: Int, _ found: inout MeasuredReach.Depth)
        throws -> PatchSet?
    {
        switch view {
        case .patches:
            let orders = try ColumnOrders(config, layer: layer)
            guard let asked = ask(rows, orders) else { return nil }
            return look(asked, orders, &found)
        case .window(let count, let steps):
            var seen = rows
            for step in steps {
                guard let more = run(of: rows, first: 0, step: -step, count: count + 1),
                    add(more, movedBy: 0, to: &seen)
                else { return nil }
            }
            return seen
        case .around(let count, let steps):
            var seen = rows
            for step in steps {
                for side in [-step, step] {
                    guard let more = run(of: rows, first: 0, step: side, count: count + 1),
                        add(more, movedBy: 0, to: &seen)
                    else { return nil }
                }
            }
            return seen
        case .segments(let count, let before): return segments(of: rows, count, before: before)
        case .all: return tokens(through: token)
        }
    }

    /// The rows of segments up to those of `rows`, and `before` rows before each segment.
    private mutating func segments(of rows: PatchSet, _ count: Int, before: Int) -> PatchSet? {
        let P = geometry.patchSize
        // Of each segment the last row that looks.
        var last: [Int: Int] = [:]
        for (entry, patch) in rows.patches.enumerated() {
            var latest = -1
            func note() { if latest >= 0 { last[latest / count] = max(last[latest / count] ?? 0, latest) } }
            rows.forEachIndex(ofEntry: entry) { index in
                let row = patch * P + index
                if row / count != latest / count { note() }
                latest = row
            }
            note()
            work += P + Cost.patch
        }
        var seen = PatchSet(patchSize: P)
        for (segment, row) in last.sorted(by: { $0.key < $1.key }) {
            let first = max(0, segment * count - before), known = seen.patches.count
            for patch in first / P...row / P {
                seen.insert(patch: patch, indices: max(first - patch * P, 0)...min(row - patch * P, P - 1))
            }
            work += (row / P - first / P + 1) * Cost.patch + (seen.patches.count - known) * Cost.newPatch
            if isTooMuch(seen.patches.count) { return nil }
        }
        return seen
    }

    /// nil where they are too many.
    private mutating func tokens(through token: Int) -> PatchSet? {
        let (P, last) = (geometry.patchSize, token / geometry.patchSize)
        if isTooMuch(last + 1) { return nil }
        var set = PatchSet(patchSize: P)
        for patch in 0...last { set.insert(patch: patch, through: patch < last ? P - 1 : token % P) }
        work += (last + 1) * (P + Cost.newPatch)
        return set
    }

    /// Step 9: the rows of s that the new states of `set` depend on: themselves, and what the convolutions tap.
    private mutating func tapped(_ set: PatchSet) -> PatchSet? {
        var taps = set
        // One convolution after another, last first: rows outside 0..<N do not exist between them either.
        for convolution in config.convolutions.reversed() {
            guard let more = tapped(taps, by: convolution) else { return nil }
            taps = more
        }
        return add(set, movedBy: 0, to: &taps) ? taps : nil
    }

    private mutating func tapped(_ set: PatchSet, by convolution: ConvolutionShape) -> PatchSet? {
        var alone = config
        alone.stack = [convolution]
        let (before, dilation) = (alone.reach.before, convolution.dilation)
        // Taps at t - before + k · dilation, those up to t and those after it apart: whatever lies between t and a row
        // that exists, exists.
        let upTo = min(before / dilation + 1, convolution.kernelSize)
        guard var taps = run(of: set, first: -(before % dilation), step: -dilation, count: upTo) else { return nil }
        if convolution.kernelSize == upTo { return taps }
        guard
            let after = run(
                of: set, first: dilation - before % dilation, step: dilation, count: convolution.kernelSize - upTo)
        else { return nil }
        return add(after, movedBy: 0, to: &taps) ? taps : nil
    }

    /// The tokens of `set` moved by `first`, `first` + `step`, ... (`count` of them), doubling what is there.
    private mutating func run(of set: PatchSet, first: Int, step: Int, count: Int) -> PatchSet? {
        var result = PatchSet(patchSize: set.patchSize)
        guard add(set, movedBy: first, to: &result) else { return nil }
        var done = 1
        while done < count {
            let more = min(done, count - done)
            let present = result
            guard add(present, movedBy: more * step, to: &result) else { return nil }
            done += more
        }
        return result
    }

    /// - Returns: false when the set is too large, or all this has taken too long.
    private mutating func add(_ other: PatchSet, movedBy offset: Int, to set: inout PatchSet) -> Bool {
        let known = set.patches.count
        set.formUnion(other, movedBy: offset, patches: geometry.patches)
        work += other.patches.count * (other.words + Cost.patch) + (set.patches.count - known) * Cost.newPatch
        return !isTooMuch(set.patches.count)
    }

    private func isTooMuch(_ patches: Int) -> Bool {
        patches * ((geometry.patchSize + 63) / 64) > limits.words || work > limits.work
    }

    /// Patches that rows look into, each with the last token that looks.
    private struct Askers {
        var table = PatchTable()
        var last: [Int] = []

        mutating func note(_ patch: Int, _ token: Int) {
            let entry = table.entry(of: patch)
            if entry == last.count { last.append(token) } else if last[entry] < token { last[entry] = token }
        }
    }

    /// Every row looks into its own patch, and as a delegate into the patch of its slot.
    private mutating func ask(_ rows: PatchSet, _ orders: ColumnOrders) -> Askers? {
        let (P, G) = (geometry.patchSize, geometry.patches)
        var asked = Askers()
        for (entry, patch) in rows.patches.enumerated() {
            let known = asked.last.count
            asked.note(patch, patch * P + rows.largestIndex(ofEntry: entry))
            orders.forEachColumn(of: patch) { column, index in
                guard rows.has(entry: entry, index: index) else { return }
                asked.note((column * G + patch) / P, patch * P + index)
            }
            work += P + Cost.patch + (asked.last.count - known) * Cost.newPatch + orders.takeWork()
            if isTooMuch(asked.last.count) { return nil }
        }
        return asked
    }

    /// What the patches show: their own P rows and the P delegates in their slots, up to the last token that looks.
    private mutating func look(_ asked: Askers, _ orders: ColumnOrders, _ found: inout MeasuredReach.Depth) -> PatchSet?
    {
        let (P, G) = (geometry.patchSize, geometry.patches)
        var seen = PatchSet(patchSize: P)
        var hidden = 0
        for (patch, token) in zip(asked.table.patches, asked.last) {
            let known = seen.patches.count
            let last = isMasked ? min(P - 1, token - patch * P) : P - 1
            if last >= 0 { seen.insert(patch: patch, through: last) }
            hidden += P - 1 - max(last, -1)
            let slot = patch * P
            var (column, source) = slot.quotientAndRemainder(dividingBy: G)
            for _ in 0..<P {
                // A patch that comes after the token shows nothing, whatever its order.
                if isMasked && source * P > token {
                    hidden += 1
                } else {
                    let index = orders.index(column: column, of: source)
                    if isMasked && source * P + index > token {
                        hidden += 1
                    } else {
                        seen.insert(patch: source, index: index)
                    }
                }
                source += 1
                if source == G { (column, source) = (column + 1, 0) }
            }
            work += P + Cost.patch + (seen.patches.count - known) * Cost.newPatch + orders.takeWork()
            if isTooMuch(seen.patches.count) {
                found.tokens = max(found.tokens, seen.count(below: geometry.tokens))
                return nil
            }
        }
        (found.visited, found.hidden) = (asked.last.count, hidden)
        return seen
    }
}

/// Which token of a patch stands in which column in one layer.
private final class ColumnOrders {
    /// Tokens whose columns are remembered.
    private static let remembered = 1 << 22

    private let patchSize: Int
    /// nil for the transpose: index j in column j.
    private let draw: DelegateDraw?
    private let keys: Memory<UInt64>
    /// [places, P], and the patch whose order lies in each place.
    private let orders: Memory<UInt16>
    private var held: [Int]
    private var work = 0

    init(_ config: ModelConfig, layer: Int) throws {
        patchSize = config.patchSize
        var places = 1
        if case .monteCarlo(let seed) = config.delegation {
            let block = config.block(ofLayer: layer)
            draw = DelegateDraw(seed: seed, block: block.index, repeat: block.repeat)
            while 2 * places * patchSize <= Self.remembered { places *= 2 }
        } else {
            draw = nil
        }
        keys = try Memory(patchSize)
        orders = try Memory(places * patchSize)
        held = [Int](repeating: -1, count: places)
    }

    /// The index of the token in column `column` of patch `patch`.
    @inline(__always) func index(column: Int, of patch: Int) -> Int {
        draw == nil ? column : Int(order(of: patch)[column])
    }

    @inline(__always) func forEachColumn(of patch: Int, _ body: (_ column: Int, _ index: Int) -> Void) {
        if draw == nil {
            for column in 0..<patchSize { body(column, column) }
        } else {
            let order = order(of: patch)
            for column in 0..<patchSize { body(column, Int(order[column])) }
        }
    }

    /// What was drawn since this was last asked.
    func takeWork() -> Int {
        defer { work = 0 }
        return work
    }

    private func order(of patch: Int) -> UnsafeMutablePointer<UInt16> {
        let place = patch & (held.count - 1)
        let order = orders.start + place * patchSize
        if held[place] != patch, let draw {
            draw.order(
                ofPatch: patch, keys: UnsafeMutableBufferPointer(start: keys.start, count: patchSize), into: order)
            held[place] = patch
            work += ReachFollower.Cost.draw + patchSize * ReachFollower.Cost.drawnColumn
        }
        return order
    }
}
