/// The delegate transpose: token t = (g, j) of patch g and index j goes to slot q = j·G + g, the transpose of the G×P
/// matrix of tokens (Model.md, step 3). Slot q belongs to patch q div P.
///
/// With a delegate order (`DelegateOrder`) a token goes where its column says: c = ρ(j) takes the place of j, and
/// everything below speaks of columns.
///
/// This file is the whole of it. The engine never moves data to transpose: it asks here which columns of which patches
/// hold what a window needs, and reads those (Schedule.md).
extension SequenceGeometry {
    /// The slot that token `token` is delegated to, in natural order. A bijection of 0..<N.
    package func slot(ofToken token: Int) -> Int {
        (token % patchSize) * patches + token / patchSize
    }

    /// The token that slot `slot` holds: the inverse of `slot(ofToken:)`.
    package func token(inSlot slot: Int) -> Int {
        (slot % patches) * patchSize + slot / patches
    }

    /// Hosts of a window: the patches whose slots hold the delegates in column `column` of the patches `window`, about
    /// W/P consecutive ones.
    package func hosts(of window: Range<Int>, column: Int) -> Range<Int> {
        hosts(ofSlots: slots(of: window, column: column))
    }

    /// The patches that the slots `slots`, at least one, are in.
    package func hosts(ofSlots slots: Range<Int>) -> Range<Int> {
        slots.lowerBound / patchSize..<(slots.upperBound - 1) / patchSize + 1
    }

    /// The slots that the delegates in column `column` of the patches `window` go to: W consecutive ones.
    package func slots(of window: Range<Int>, column: Int) -> Range<Int> {
        column * patches + window.lowerBound..<column * patches + window.upperBound
    }

    /// What the slots of the patches `patches` hold, in slot order: runs of consecutive source patches with one
    /// column each. Nearly always one run or two; up to P of them where G is small.
    package func guests(of patches: Range<Int>) -> [DelegateRun] {
        var runs: [DelegateRun] = []
        var slot = patches.lowerBound * patchSize
        let end = patches.upperBound * patchSize
        while slot < end {
            let column = slot / self.patches
            let source = slot % self.patches
            let length = min(end - slot, self.patches - source)
            runs.append(DelegateRun(firstSlot: slot, column: column, sources: source..<source + length))
            slot += length
        }
        return runs
    }
}

/// Consecutive slots whose delegates come from consecutive patches and share one column.
package struct DelegateRun: Sendable, Equatable {
    package var firstSlot: Int
    package var column: Int
    /// The patches that the delegates come from, in slot order.
    package var sources: Range<Int>

    package init(firstSlot: Int, column: Int, sources: Range<Int>) {
        self.firstSlot = firstSlot
        self.column = column
        self.sources = sources
    }
}
