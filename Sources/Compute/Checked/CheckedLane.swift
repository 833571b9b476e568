import Support

/// Keeps what it is asked until `finish`. What it does is in CheckedLane+Operations.swift.
final class CheckedLane: SteppedLane {
    let needs: LaneNeeds
    private let backend: CheckedBackend
    private let host: CPULane
    private let room: Rows
    private var operations: [CheckedOperation] = []
    /// Memories that know of these.
    private var touched: [ObjectIdentifier: CheckedRows] = [:]

    init(_ needs: LaneNeeds, _ backend: CheckedBackend) throws {
        self.needs = needs
        self.backend = backend
        host = try CPULane(needs, kernels: backend.kernels)
        room = try backend.rows(backend.rowsAtOnce, width: needs.width)
    }

    deinit { forget() }

    /// Checks an operation and keeps it.
    ///
    /// - Parameter describe: says what it touches, and gives what does it.
    func ask(_ name: String, _ describe: (inout CheckedOperation) throws -> CheckedOperation.Work) {
        backend.begin(name)
        var operation = CheckedOperation(name, backend)
        do {
            let work = try describe(&operation)
            try operation.checkOverlaps()
            for access in operation.accesses { try note(access, of: operation) }
            operation.work = work
        } catch {
            operation.accesses = []
            operation.work = { _ in throw error }
        }
        operations.append(operation)
    }

    /// Refuses what another lane may be doing at the same time.
    private func note(_ access: Access, of operation: CheckedOperation) throws {
        guard let memory = access.rows.memory as? CheckedRows else { return }
        touched[ObjectIdentifier(memory)] = memory
        if let other = memory.begin(operation.name, access, on: ObjectIdentifier(self)) {
            throw operation.fault(
                "\(access.role) are \(other.role) of '\(other.operation)', which another lane has not finished")
        }
    }

    func finish() throws {
        defer {
            backend.end(operations.count)
            forget()
        }
        for operation in operations { try operation.run(on: host) }
    }

    private func forget() {
        operations = []
        for memory in touched.values { memory.end(ObjectIdentifier(self)) }
        touched = [:]
    }

    func between(_ count: Int, width: Int) -> Rows {
        guard width <= needs.width else {
            ask("project") { throw $0.fault("rows of \(width) values, where the lane was made for \(needs.width)") }
            return room[0..<0]
        }
        return room.reshaped(min(count, backend.rowsAtOnce), width: width)
    }
}

/// An operation that was asked for: what it touches, and what does it.
struct CheckedOperation {
    typealias Work = (CPULane) throws -> Void

    let name: String
    private let backend: CheckedBackend
    var accesses: [Access] = []
    var work: Work = { _ in }

    init(_ name: String, _ backend: CheckedBackend) {
        self.name = name
        self.backend = backend
    }

    /// Does it, where all that it reads was written.
    func run(on lane: CPULane) throws {
        for access in accesses where access.isRead {
            guard let found = (access.rows.memory as? CheckedRows)?.firstUnwritten(access.rows) else { continue }
            throw fault("nothing wrote value \(found.value) of row \(found.row) of \(access.role)")
        }
        try work(lane)
        for access in accesses where access.isWrite { (access.rows.memory as? CheckedRows)?.markWritten(access.rows) }
    }

    // MARK: Demands

    func fault(_ problem: String) -> Fault {
        Fault(.inputOutput, "operation '\(name)': \(problem): this is a defect of bbp-stream")
    }

    func demand(_ isMet: Bool, _ problem: @autoclosure () -> String) throws {
        if !isMet { throw fault(problem()) }
    }

    /// Refuses a lane that was made for less.
    func demand(_ size: Int, _ what: String, atMost limit: Int) throws {
        try demand(size <= limit, "\(what) of \(size), where the lane was made for \(limit)")
    }

    /// The CPU's rows behind a handle.
    func host(_ rows: Rows, _ role: String, isContiguous: Bool = false) throws -> Rows {
        guard let memory = rows.memory as? CheckedRows, memory.backend === backend else {
            throw fault("\(role) are of another back end")
        }
        let (length, overflow) = max(0, rows.count - 1).multipliedReportingOverflow(by: rows.stride)
        try demand(
            !overflow && rows.offset >= 0 && rows.count >= 0 && rows.width >= 0
                && (rows.count == 0 || length <= memory.capacity - rows.offset - rows.width),
            "\(role) are outside their memory")
        try demand(!isContiguous || rows.isContiguous, "\(role) have gaps between them")
        return memory.host(rows)
    }

    /// The CPU's weights behind those of the back end.
    func host<Host: Sendable>(_ weights: AnyObject, as type: Host.Type) throws -> Host {
        guard let weights = weights as? CheckedWeights<Host>, weights.backend === backend else {
            throw fault("weights are of another back end")
        }
        return weights.host
    }

    // MARK: Rows

    mutating func reads(_ rows: Rows, _ role: String, isContiguous: Bool = false) throws -> Rows {
        try uses(rows, role, isContiguous, isRead: true, isWrite: false)
    }

    mutating func writes(_ rows: Rows, _ role: String, isContiguous: Bool = false) throws -> Rows {
        try uses(rows, role, isContiguous, isRead: false, isWrite: true)
    }

    /// Reads rows and writes them.
    mutating func updates(_ rows: Rows, _ role: String, isContiguous: Bool = false) throws -> Rows {
        try uses(rows, role, isContiguous, isRead: true, isWrite: true)
    }

    private mutating func uses(_ rows: Rows, _ role: String, _ isContiguous: Bool, isRead: Bool, isWrite: Bool) throws
        -> Rows
    {
        let host = try host(rows, role, isContiguous: isContiguous)
        accesses.append(Access(role: role, rows: rows, isRead: isRead, isWrite: isWrite))
        return host
    }

    /// Says that those of `rows` are used that `isUsed` says.
    mutating func uses(_ rows: Rows, _ role: String, where isUsed: [Bool], isRead: Bool, isWrite: Bool) {
        // Runs of rows that are equally far apart.
        var numbers = isUsed.indices.lazy.filter { isUsed[$0] }.makeIterator()
        var (first, last, count, step) = (0, 0, 0, 1)
        func end() -> Access {
            Access(
                role: role, rows: rows.spaced(first: first, count: count, step: step), isRead: isRead, isWrite: isWrite)
        }
        while let number = numbers.next() {
            if count == 1 { step = number - first }
            if count > 0 && number - last != step {
                accesses.append(end())
                (first, count, step) = (number, 0, 1)
            }
            if count == 0 { first = number }
            last = number
            count += 1
        }
        if count > 0 { accesses.append(end()) }
    }

    /// Refuses rows that are written and used in another role too; those of one role are apart from one another.
    func checkOverlaps() throws {
        for written in accesses where written.isWrite {
            for other in accesses where other.role != written.role && written.rows.overlaps(other.rows) {
                throw fault("\(written.role) overlap \(other.role)")
            }
        }
    }
}
