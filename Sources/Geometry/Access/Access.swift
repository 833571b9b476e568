/// Which columns of the generation that is read a pass needs, and when: 64-bit index arithmetic and nothing else.
///
/// A mixer states its access; the engine reads, keeps and drops columns by it and knows nothing of the mixer.
package protocol Access: Sendable {
    /// How many parts a window's gathering is cut into for its steps to take at most `slots` columns; 0 where nothing is
    /// gathered.
    func parts(_ shape: WindowShape, slots: Int) -> Int

    /// The columns that a step reads; some may be named more than once.
    func reads(_ step: WindowPlan.Step, of plan: WindowPlan) -> [ColumnRun]

    /// The time of the first step after `time` that reads a column; nil when none does. It may come too late for a
    /// handful of columns, never too early.
    func nextUse(ofColumn column: Int, block: Int, after time: Int, in plan: WindowPlan) -> Int?

    /// Columns that must be held for any step, and columns with which hardly any is read twice, two more steps being
    /// read ahead.
    func demand(_ shape: WindowShape) -> (least: Int, comfortable: Int)
}

/// Columns of one block that a step reads.
package struct ColumnRun: Sendable, Equatable {
    /// Why a column is read: for its own rows, for patches that the window's rows visit, for rows that visit it.
    package enum Role: Sendable { case own, host, guest }

    package var block: Int
    package var columns: Range<Int>
    package var role: Role

    package init(block: Int, columns: Range<Int>, role: Role) {
        self.block = block
        self.columns = columns
        self.role = role
    }
}

/// A block's own rows, and nothing else: enough for every mixer that carries its past along.
package struct OwnAccess: Access {
    package init() {}

    package func parts(_ shape: WindowShape, slots: Int) -> Int { 0 }

    package func reads(_ step: WindowPlan.Step, of plan: WindowPlan) -> [ColumnRun] {
        guard case .block(let block) = step else { return [] }
        return plan.source.blocks(of: plan.target.patches(ofBlock: block)).map {
            ColumnRun(block: $0, columns: 0..<plan.geometry.patchSize, role: .own)
        }
    }

    package func nextUse(ofColumn column: Int, block: Int, after time: Int, in plan: WindowPlan) -> Int? {
        // Of the blocks that it is read for, in ascending order, the first that is still to come.
        plan.target.blocks(of: plan.source.patches(ofBlock: block)).clamped(to: plan.shard).lazy
            .map { plan.time(of: .block($0)) }.first { $0 > time }
    }

    package func demand(_ shape: WindowShape) -> (least: Int, comfortable: Int) {
        let block = shape.geometry.patchSize * shape.sourceBlocks(shape.target.patchesPerBlock)
        return (min(shape.allColumns, block), min(shape.allColumns, 3 * block))
    }
}
