/// A piece of a back end's memory for f32 values. Whoever has a handle to it keeps it.
open class RowMemory: @unchecked Sendable {
    /// Values that it has room for.
    public let capacity: Int

    public init(capacity: Int) { self.capacity = capacity }
}

/// Rows of values in a back end's memory: a handle, never a pointer. Only the lanes of the back end that made it look
/// inside.
public struct Rows: @unchecked Sendable {
    public let memory: RowMemory
    /// The first value of the first row.
    public let offset: Int
    public let count: Int
    /// Values of a row, and from one row to the next.
    public let width: Int
    public let stride: Int

    /// The whole of a memory, or as many rows as fit into it.
    public init(_ memory: RowMemory, count: Int, width: Int) {
        precondition(count >= 0 && width >= 0 && count * width <= memory.capacity)
        self.init(memory, offset: 0, count: count, width: width, stride: width)
    }

    private init(_ memory: RowMemory, offset: Int, count: Int, width: Int, stride: Int) {
        self.memory = memory
        self.offset = offset
        self.count = count
        self.width = width
        self.stride = stride
    }

    /// Rows `range` of these, counted from the first.
    public subscript(range: Range<Int>) -> Rows {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "rows \(range) of \(count)")
        return Rows(
            memory, offset: offset + range.lowerBound * stride, count: range.count, width: width, stride: stride)
    }

    /// These rows and the `count` before them: where they are part of longer ones, as a tile's rows are of a stretch's.
    package func withRowsBefore(_ count: Int) -> Rows {
        precondition(count >= 0 && offset >= count * stride, "\(count) rows before value \(offset)")
        return Rows(memory, offset: offset - count * stride, count: self.count + count, width: width, stride: stride)
    }

    /// Values `range` of every row.
    public func columns(_ range: Range<Int>) -> Rows {
        precondition(range.lowerBound >= 0 && range.upperBound <= width, "values \(range) of \(width)")
        return Rows(memory, offset: offset + range.lowerBound, count: count, width: range.count, stride: stride)
    }

    /// The same memory as rows of another width, one after another: for room that serves several operations in turn.
    public func reshaped(_ count: Int, width: Int) -> Rows {
        precondition(isContiguous && count * width <= self.count * self.width, "\(count) x \(width) do not fit")
        return Rows(memory, offset: offset, count: count, width: width, stride: width)
    }

    /// Whether rows follow one another without gaps.
    public var isContiguous: Bool { stride == width || count <= 1 }

    // MARK: For back ends

    /// `count` of these rows: row `first` and every `step`-th after it.
    func spaced(first: Int, count: Int, step: Int) -> Rows {
        precondition(
            count == 0 || first >= 0 && step > 0 && first + (count - 1) * step < self.count,
            "\(count) rows from \(first) on, \(step) apart, of \(self.count)")
        return Rows(memory, offset: offset + first * stride, count: count, width: width, stride: stride * step)
    }

    /// The same place in another memory.
    func moved(to memory: RowMemory) -> Rows {
        Rows(memory, offset: offset, count: count, width: width, stride: stride)
    }

    /// Whether both are the same rows, value for value.
    func isSame(as other: Rows) -> Bool {
        memory === other.memory && offset == other.offset && count == other.count && width == other.width
            && (stride == other.stride || count <= 1)
    }

    /// Whether any value is in both.
    func overlaps(_ other: Rows) -> Bool {
        guard memory === other.memory, let (a, b) = unbroken, let (c, d) = other.unbroken else { return false }
        let (few, many) = a.count <= c.count ? (a, c) : (c, a)
        guard a.offset < d, c.offset < b else { return false }
        return (0..<few.count).contains { row in
            let first = few.offset + row * few.stride
            // Rows of `many` that end after `first` and begin before the row's end.
            let (after, before) = (first - many.width - many.offset, first + few.width - 1 - many.offset)
            let lowest = after < 0 ? 0 : after / many.stride + 1
            return before >= 0 && lowest <= min(before / many.stride, many.count - 1)
        }
    }

    /// The rows, as one where no gaps are between them, and where they end; nil for none.
    private var unbroken: (rows: Rows, end: Int)? {
        guard count > 0, width > 0 else { return nil }
        let rows =
            isContiguous
            ? Rows(memory, offset: offset, count: 1, width: count * width, stride: count * width) : self
        return (rows, rows.offset + (rows.count - 1) * rows.stride + rows.width)
    }
}
