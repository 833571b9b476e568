/// The delegate transpose: token t = (g, j) of patch g and index j goes to slot q = j·G + g, the transpose of the
/// G×P matrix of tokens (Model.md, step 3). Slot q belongs to patch q div P.
///
/// This file is the whole of it. The engine never moves data to transpose: it asks here which columns of which
/// patches hold what a window needs, and reads those (Schedule.md).
extension SequenceGeometry {
    /// The slot that token `token` is delegated to. A bijection of 0..<N.
    public func slot(ofToken token: Int) -> Int {
        (token % patchSize) * patches + token / patchSize
    }

    /// The token that slot `slot` holds: the inverse of `slot(ofToken:)`.
    public func token(inSlot slot: Int) -> Int {
        (slot % patches) * patchSize + slot / patches
    }

    /// Hosts of a window: the patches whose slots hold the delegates with token index `index` of the patches
    /// `window`, about W/P consecutive ones.
    public func hosts(of window: Range<Int>, index: Int) -> Range<Int> {
        let slots = self.slots(of: window, index: index)
        return slots.lowerBound / patchSize..<(slots.upperBound - 1) / patchSize + 1
    }

    /// The slots that the delegates with token index `index` of the patches `window` go to: W consecutive ones.
    public func slots(of window: Range<Int>, index: Int) -> Range<Int> {
        index * patches + window.lowerBound..<index * patches + window.upperBound
    }

    /// What the slots of the patches `patches` hold, in slot order: runs of consecutive source patches with one
    /// token index each. Nearly always one run or two; up to P of them where G is small.
    public func guests(of patches: Range<Int>) -> [DelegateRun] {
        var runs: [DelegateRun] = []
        var slot = patches.lowerBound * patchSize
        let end = patches.upperBound * patchSize
        while slot < end {
            let index = slot / self.patches
            let source = slot % self.patches
            let length = min(end - slot, self.patches - source)
            runs.append(DelegateRun(firstSlot: slot, index: index, sources: source..<source + length))
            slot += length
        }
        return runs
    }
}

/// Consecutive slots whose delegates come from consecutive patches and share one token index, that is one column.
public struct DelegateRun: Sendable, Equatable {
    public var firstSlot: Int
    /// j: the token index, and the column it is stored in.
    public var index: Int
    /// The patches that the delegates come from, in slot order.
    public var sources: Range<Int>

    public init(firstSlot: Int, index: Int, sources: Range<Int>) {
        self.firstSlot = firstSlot
        self.index = index
        self.sources = sources
    }
}

extension SequenceGeometry {
    /// Visits the P slots of patch `patch` in order: `body(place, token)` with the token that the slot holds.
    /// The same map as `token(inSlot:)`, stepped instead of divided.
    @inlinable public func forEachDelegate(ofPatch patch: Int, _ body: (_ place: Int, _ token: Int) -> Void) {
        let slot = patch * patchSize
        var index = slot / patches
        var source = slot % patches
        for place in 0..<patchSize {
            body(place, source * patchSize + index)
            source += 1
            if source == patches {
                source = 0
                index += 1
            }
        }
    }
}
