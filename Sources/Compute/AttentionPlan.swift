import CKernels
import Support

/// Who looks at what: contexts one after another, each with the queries over it. Row numbers, no rows.
///
/// The queries of a context come in the order of what they see: neither the first nor the last row that one sees comes
/// before that of the one before it.
package final class AttentionPlan {
    /// A context and its queries, as ranges of the lists below.
    package struct Context {
        package var rows: Range<Int>
        package var queries: Range<Int>
        /// Where it matters: how many rows the first query comes after the first row, and each query is one row after
        /// the one before it, as the rows are.
        package var distance = 0
    }

    package private(set) var contexts: [Context] = []
    /// Rows of keys and values, context after context.
    package let rows: Memory<Int32>
    /// Of each query: its row, the target that its answer goes to and the row there, and which rows of its context it
    /// sees, counted from the context's first.
    package let query: Memory<Int32>
    package let target: Memory<UInt8>
    package let output: Memory<Int32>
    package let from: Memory<Int32>
    package let to: Memory<Int32>
    /// Whether every query sees its context from the first row on.
    package private(set) var isFirstSeen = true
    private var rowCount = 0
    private var queryCount = 0

    /// - Parameters:
    ///   - rows: of all contexts of a plan together, at most.
    ///   - queries: of all of them, at most.
    package init(rows: Int, queries: Int) throws {
        self.rows = try Memory(rows)
        query = try Memory(queries)
        target = try Memory(queries)
        output = try Memory(queries)
        from = try Memory(queries)
        to = try Memory(queries)
    }

    /// A plan of the same contexts and queries.
    func copy() throws -> AttentionPlan {
        let copy = try AttentionPlan(rows: rowCount, queries: queryCount)
        copy.rows.start.update(from: rows.start, count: rowCount)
        copy.query.start.update(from: query.start, count: queryCount)
        copy.target.start.update(from: target.start, count: queryCount)
        copy.output.start.update(from: output.start, count: queryCount)
        copy.from.start.update(from: from.start, count: queryCount)
        copy.to.start.update(from: to.start, count: queryCount)
        (copy.contexts, copy.isFirstSeen) = (contexts, isFirstSeen)
        (copy.rowCount, copy.queryCount) = (rowCount, queryCount)
        return copy
    }

    package static func footprint(rows: Int, queries: Int) -> Int { 4 * rows + 17 * queries }

    /// Rows that a soft-max is folded over at a time, from a context's first row on: as many more before them change no
    /// bit.
    package static let rowsAtOnce = Int(BBP_ATTENTION_ROWS)

    package func hasRoom(rows count: Int, queries: Int) -> Bool {
        rowCount + count <= rows.count && queryCount + queries <= query.count
    }

    package func clear() {
        contexts.removeAll(keepingCapacity: true)
        (rowCount, queryCount, isFirstSeen) = (0, 0, true)
    }

    /// - Parameter distance: of the context.
    package func beginContext(distance: Int = 0) {
        contexts.append(Context(rows: rowCount..<rowCount, queries: queryCount..<queryCount, distance: distance))
    }

    /// Adds a row to the last context.
    @inline(__always)
    package func add(row: Int) {
        rows[rowCount] = Int32(truncatingIfNeeded: row)
        rowCount += 1
    }

    /// Adds a query to the last context.
    @inline(__always)
    package func add(query row: Int, sees: Range<Int>, target index: Int, output place: Int) {
        query[queryCount] = Int32(truncatingIfNeeded: row)
        target[queryCount] = UInt8(truncatingIfNeeded: index)
        output[queryCount] = Int32(truncatingIfNeeded: place)
        from[queryCount] = Int32(truncatingIfNeeded: sees.lowerBound)
        to[queryCount] = Int32(truncatingIfNeeded: sees.upperBound)
        if sees.lowerBound > 0 { isFirstSeen = false }
        queryCount += 1
    }

    package func endContext() {
        let last = contexts.count - 1
        contexts[last].rows = contexts[last].rows.lowerBound..<rowCount
        contexts[last].queries = contexts[last].queries.lowerBound..<queryCount
    }
}
