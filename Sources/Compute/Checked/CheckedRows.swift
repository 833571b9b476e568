import Glibc
import Support

/// Memory of a checked back end, which knows of every value whether anything wrote it. What nothing wrote is NaN.
final class CheckedRows: RowMemory, @unchecked Sendable {
    let backend: CheckedBackend
    /// The same values as rows of the CPU's back end.
    let values: HostRows
    private let isWritten: Memory<Bool>
    /// What lanes were asked to do with it and have not finished.
    private let unfinished = Locked<[Unfinished]>([])

    private struct Unfinished {
        var lane: ObjectIdentifier
        var operation: String
        var access: Access
    }

    init(_ count: Int, _ backend: CheckedBackend) throws {
        self.backend = backend
        values = HostRows(try Memory(count))
        isWritten = try Memory(count)
        super.init(capacity: count)
        Poison.fill(values.values.start, bytes: 4 * count)
    }

    /// The same rows of the CPU's back end.
    func host(_ rows: Rows) -> Rows { rows.moved(to: values) }

    // MARK: What was written

    func markWritten(_ rows: Rows) {
        for (first, count) in pieces(rows) { (isWritten.start + first).update(repeating: true, count: count) }
    }

    func zero(_ rows: Rows) {
        for (first, count) in pieces(rows) { (values.values.start + first).update(repeating: 0, count: count) }
        markWritten(rows)
    }

    /// Row and place of the first value that nothing wrote.
    func firstUnwritten(_ rows: Rows) -> (row: Int, value: Int)? {
        for (first, count) in pieces(rows) {
            guard let found = memchr(isWritten.start + first, 0, count) else { continue }
            let value = isWritten.start.distance(to: found.assumingMemoryBound(to: Bool.self)) - rows.offset
            return (value / rows.stride, value % rows.stride)
        }
        return nil
    }

    /// Values that follow one another: all of the rows, or each of them.
    private func pieces(_ rows: Rows) -> [(first: Int, count: Int)] {
        if rows.count == 0 || rows.width == 0 { return [] }
        if rows.isContiguous { return [(rows.offset, rows.count * rows.width)] }
        return (0..<rows.count).map { (rows.offset + $0 * rows.stride, rows.width) }
    }

    // MARK: Lanes side by side

    /// Notes what a lane was asked to do.
    ///
    /// - Returns: what another lane has not finished of the same values, where one of the two writes.
    func begin(_ operation: String, _ access: Access, on lane: ObjectIdentifier) -> (operation: String, role: String)? {
        unfinished.withLock { list in
            list.append(Unfinished(lane: lane, operation: operation, access: access))
            return list.first {
                $0.lane != lane && ($0.access.isWrite || access.isWrite) && $0.access.rows.overlaps(access.rows)
            }.map { ($0.operation, $0.access.role) }
        }
    }

    /// Forgets what a lane was asked to do.
    func end(_ lane: ObjectIdentifier) { unfinished.withLock { $0.removeAll { $0.lane == lane } } }
}

/// What an operation does with some rows.
struct Access {
    /// What they are to the operation.
    var role: String
    var rows: Rows
    var isRead: Bool
    var isWrite: Bool
}

/// Bytes that are NaN in every format of numbers.
enum Poison {
    static func fill(_ start: UnsafeMutableRawPointer, bytes: Int) { memset(start, 0xff, bytes) }
}
