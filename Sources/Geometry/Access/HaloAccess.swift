/// A window's own rows, and so many patches before and after it: what attention over neighbours on both sides needs.
///
/// A window gathers block by block, so that few columns are held at a time; its blocks' own rows are read again when they
/// are mixed.
package struct HaloAccess: Access, Equatable {
    /// Patches before and after a window.
    package let before: Int
    package let after: Int

    package init(before: Int, after: Int) {
        self.before = before
        self.after = after
    }

    /// The window's patches with those around it.
    package func patches(ofWindow window: Int, of plan: WindowPlan) -> Range<Int> {
        let own = plan.patches(ofWindow: window)
        if own.isEmpty { return own }
        return max(0, own.lowerBound - before)..<min(plan.geometry.patches, own.upperBound + after)
    }

    /// The patches that a part of a window's gathering takes: those of a block of the source; none in parts that are one
    /// too many.
    package func patches(ofPart part: Int, ofWindow window: Int, of plan: WindowPlan) -> Range<Int> {
        let all = patches(ofWindow: window, of: plan)
        let blocks = plan.source.blocks(of: all)
        guard part < blocks.count else { return 0..<0 }
        return plan.source.patches(ofBlock: blocks.lowerBound + part).clamped(to: all)
    }

    package func parts(_ shape: WindowShape, slots: Int) -> Int {
        shape.sourceBlocks(min(shape.geometry.patches, shape.windowPatches + before + after))
    }

    package func reads(_ step: WindowPlan.Step, of plan: WindowPlan) -> [ColumnRun] {
        guard case .gather(let window, let part) = step else { return OwnAccess().reads(step, of: plan) }
        let (patches, own) = (patches(ofPart: part, ofWindow: window, of: plan), plan.patches(ofWindow: window))
        if patches.isEmpty { return [] }
        return [
            ColumnRun(
                block: plan.source.blocks(of: patches).lowerBound, columns: 0..<plan.geometry.patchSize,
                role: patches.overlaps(own) ? .own : .host)
        ]
    }

    package func nextUse(ofColumn column: Int, block: Int, after time: Int, in plan: WindowPlan) -> Int? {
        let own = OwnAccess().nextUse(ofColumn: column, block: block, after: time, in: plan)
        let patches = plan.source.patches(ofBlock: block)
        let W = max(1, plan.windowPatches)
        let windows = (max(0, patches.lowerBound - after) / W..<(patches.upperBound - 1 + before) / W + 1)
            .clamped(to: plan.windows)
        let gathering = windows.lazy.compactMap { window -> Int? in
            let first = plan.source.blocks(of: self.patches(ofWindow: window, of: plan)).lowerBound
            let next = plan.time(of: .gather(window: window, part: block - first))
            return block >= first && next > time ? next : nil
        }.first { _ in true }
        return [own, gathering].compactMap { $0 }.min()
    }

    package func demand(_ shape: WindowShape) -> (least: Int, comfortable: Int) {
        let (P, all) = (shape.geometry.patchSize, shape.allColumns)
        let block = OwnAccess().demand(shape)
        // The window with what is around it, and two blocks more.
        let (window, overflow) = P.multipliedReportingOverflow(
            by: shape.sourceBlocks(min(shape.geometry.patches, shape.windowPatches + before + after)))
        return (block.least, overflow ? all : min(all, window + block.comfortable))
    }
}
