import Geometry

/// How a column of the generation that a pass reads lies in memory.
struct ColumnShape: Equatable {
    /// Bytes of a row.
    let rowBytes: Int
    /// Bytes of a column of a full block, with the token indices of its rows where there are any.
    let columnBytes: Int
    /// Where those begin; nil where tokens stand in their own order.
    let indexOffset: Int?

    init(_ grid: BlockGrid, rowBytes: Int, isOrdered: Bool) {
        self.rowBytes = rowBytes
        let rows = min(grid.patchesPerBlock, grid.patches)
        let rowsBytes = rows * rowBytes
        // Rows of whatever is in the next slot stay aligned.
        indexOffset = isOrdered ? rowsBytes : nil
        columnBytes = isOrdered ? (rowsBytes + 2 * rows + 63) / 64 * 64 : rowsBytes
    }
}
