import CLMDB
import Glibc
import Support

/// An LMDB environment: a folder with data.mdb. One for each generation, written once by appending, never changed
/// after.
///
/// Keys of numbered values are 8 bytes big-endian, so LMDB's order is numeric order.
final class Environment: @unchecked Sendable {
    let directory: String
    private let handle: OpaquePointer
    private(set) var pageSize = 4096
    var dataFile: String { "\(directory)/data.mdb" }

    enum Access {
        case read
        case write
        /// To write more to a file that this process has checked and written.
        case append
    }

    /// - Throws: `Fault` naming the file: missing, foreign, truncated, of another LMDB version, not writable.
    init(directory: String, access: Access) throws {
        self.directory = directory
        let file = "\(directory)/data.mdb"
        let size = File.size(file)
        // LMDB would wait for a pipe.
        if size == nil && File.exists(file) {
            throw Fault(.badData, "not a regular file", at: Place(file: file), advice: PageHeader.damageAdvice)
        }
        if access != .read {
            // What a link leads to belongs to somebody else.
            for path in [directory, file] where File.link(path) != nil {
                throw Fault(.badData, "this is a link; a store is written where it lies", at: Place(file: path))
            }
        }
        switch access {
        case .read:
            guard let size else {
                throw Fault(
                    .badData, "the generation's file is missing", at: Place(file: file), advice: PageHeader.damageAdvice
                )
            }
            try EnvironmentCheck.run(file)
            // No more address space than the file takes; what it was written with does not matter.
            let (opened, status) = try Self.open(directory, UInt32(MDB_RDONLY), mapBytes: size)
            try Self.check(status, "open", file)
            handle = opened
        case .write, .append:
            if let size, size > 0, access == .write {
                if Self.isUnmade(size) { try Self.removeUnmade(file) } else { try EnvironmentCheck.run(file) }
            }
            // Data is synced at each commit, the meta page with the next: sound after a power cut, at most the
            // last commit lost. No MDB_WRITEMAP: with it a full disk is a signal, not an error.
            let (opened, status) = try Self.open(directory, UInt32(MDB_NOMETASYNC), mapBytes: Self.room(for: size ?? 0))
            try Self.check(status, "open for writing", file)
            handle = opened
        }
        var stat = MDB_stat()
        try Self.check(mdb_env_stat(handle, &stat), "inspect", file)
        pageSize = Int(stat.ms_psize)
    }

    deinit { mdb_env_close(handle) }

    /// Whether a file is shorter than LMDB's two meta pages: its making was cut short, and nothing was ever in it.
    static func isUnmade(_ bytes: Int) -> Bool { bytes < 2 * Int(sysconf(Int32(_SC_PAGESIZE))) }

    /// Removes a file whose making by LMDB was cut short: the beginning of its first page, or nothing but zeros.
    private static func removeUnmade(_ file: String) throws {
        guard isBeginning(file) else {
            throw Fault(.badData, "this is no file of LMDB", at: Place(file: file), advice: PageHeader.damageAdvice)
        }
        try File.remove(file)
    }

    /// Whether a short file is the beginning of one of LMDB's, or nothing but zeros.
    static func isBeginning(_ file: String) -> Bool {
        guard let bytes = try? File.read(file) else { return false }
        let magic: [UInt8] = [0xde, 0xc0, 0xef, 0xbe]
        return bytes.allSatisfy { $0 == 0 } || (bytes.count >= 20 && Array(bytes[16..<20]) == magic)
    }

    /// Opens an environment. Where the status is not success the handle is closed already: LMDB cannot open one twice.
    private static func open(_ directory: String, _ flags: UInt32, mapBytes: Int) throws -> (OpaquePointer, Int32) {
        var created: OpaquePointer?
        try check(mdb_env_create(&created), "create an LMDB environment", directory)
        guard let environment = created else {
            throw Fault(.inputOutput, "LMDB made no environment", at: Place(file: directory))
        }
        var status = mdb_env_set_maxdbs(environment, 4)
        if status == MDB_SUCCESS { status = mdb_env_set_mapsize(environment, mapBytes) }
        // Own prefetch, so no read-ahead by the kernel; reads are not bound to the thread that began them. No lock file
        // of LMDB's: the store's own lock admits one writer, what is read is written no more, and on a full disk a
        // mapped lock file is a bus error.
        let common = UInt32(MDB_NORDAHEAD | MDB_NOTLS | MDB_NOLOCK)
        if status == MDB_SUCCESS {
            status = directory.withFileName { mdb_env_open(environment, $0, flags | common, 0o644) }
        }
        if status != MDB_SUCCESS { mdb_env_close(environment) }
        return (environment, status)
    }

    /// The descriptor that values are read through.
    func descriptor() throws -> Int32 {
        var fd: mdb_filehandle_t = -1
        try Self.check(mdb_env_get_fd(handle, &fd), "find its descriptor", dataFile)
        return fd
    }

    /// A map with room for the file and any one transaction: a power of two, for the size is written to the file, which
    /// is to be the same whenever it was opened.
    private static func room(for fileBytes: Int) -> Int {
        var room = 1 << 30
        while room < fileBytes + (1 << 29) && room < 1 << 62 { room <<= 1 }
        return room
    }

    /// Makes the last commits durable.
    func sync() throws {
        try Self.check(mdb_env_sync(handle, 1), "sync", dataFile)
    }

    func begin(isWriting: Bool) throws -> Transaction {
        var transaction: OpaquePointer?
        try Self.check(
            mdb_txn_begin(handle, nil, isWriting ? 0 : UInt32(MDB_RDONLY), &transaction), "begin a transaction",
            dataFile)
        guard let transaction else { throw Fault(.inputOutput, "LMDB made no transaction", at: Place(file: dataFile)) }
        return Transaction(transaction, of: self)
    }

    /// The one place where an LMDB status becomes an error.
    static func check(_ status: Int32, _ action: String, _ file: String) throws {
        guard status != MDB_SUCCESS else { return }
        let text = String(cString: mdb_strerror(status))
        switch status {
        case MDB_INVALID, MDB_CORRUPTED, MDB_PAGE_NOTFOUND, MDB_VERSION_MISMATCH, MDB_PANIC, MDB_BAD_VALSIZE,
            MDB_INCOMPATIBLE, MDB_BAD_TXN:
            throw Fault(.badData, "cannot \(action): \(text)", at: Place(file: file), advice: PageHeader.damageAdvice)
        case ENOSPC:
            throw Fault(
                .inputOutput, "the disk is full", at: Place(file: file),
                advice: "Free space, then run the same command again: it goes on from the last commit.")
        case ENOENT:
            throw Fault(.badData, "cannot \(action): \(text)", at: Place(file: file), advice: PageHeader.damageAdvice)
        case EIO where File.freeBytes(at: file).map { $0 < 1 << 20 } == true:
            // LMDB's word for a write that the disk took in part.
            throw Fault(
                .inputOutput, "the disk is full", at: Place(file: file),
                advice: "Free space, then run the same command again: it goes on from the last commit.")
        case EACCES, EROFS, EPERM:
            throw Fault(.cannotCreate, "cannot \(action): \(text)", at: Place(file: file))
        default:
            throw Fault(
                .inputOutput, "cannot \(action): \(text)", at: Place(file: file),
                advice: "Once the cause is gone, the same command goes on from the last commit.")
        }
    }
}

/// A transaction on one environment, which it keeps open. Commit consumes it; letting it go aborts it.
struct Transaction: ~Copyable {
    private let handle: OpaquePointer
    private let environment: Environment
    private var file: String { environment.dataFile }
    private var isOpen = true

    fileprivate init(_ handle: OpaquePointer, of environment: Environment) {
        self.handle = handle
        self.environment = environment
    }

    deinit { if isOpen { withExtendedLifetime(environment) { mdb_txn_abort(handle) } } }

    consuming func commit() throws {
        isOpen = false
        let status = withExtendedLifetime(environment) { mdb_txn_commit(handle) }
        try Environment.check(status, "commit", file)
    }

    /// A table by name; nil when the environment has none of that name.
    func table(_ name: String) throws -> Table? {
        var table: MDB_dbi = 0
        let status = mdb_dbi_open(handle, name, 0, &table)
        if status == MDB_NOTFOUND { return nil }
        try Environment.check(status, "open table \(name)", file)
        return Table(id: table)
    }

    /// A table by name, made where there is none.
    func createTable(_ name: String) throws -> Table {
        var table: MDB_dbi = 0
        try Environment.check(mdb_dbi_open(handle, name, UInt32(MDB_CREATE), &table), "create table \(name)", file)
        return Table(id: table)
    }

    func entries(_ table: Table) throws -> Int {
        var stat = MDB_stat()
        try Environment.check(mdb_stat(handle, table.id, &stat), "inspect", file)
        return stat.ms_entries
    }

    /// The value of `key`, valid until the transaction ends; nil when there is none.
    func value(_ table: Table, _ key: Table.Key) throws -> UnsafeRawBufferPointer? {
        var found = MDB_val()
        let status = key.withValue { mdb_get(handle, table.id, &$0, &found) }
        if status == MDB_NOTFOUND { return nil }
        try Environment.check(status, "read", file)
        return UnsafeRawBufferPointer(start: found.mv_data, count: found.mv_size)
    }

    /// - Parameter isAppending: the key is beyond every key of the table.
    func put(_ table: Table, _ key: Table.Key, _ bytes: UnsafeRawBufferPointer, isAppending: Bool = false) throws {
        var data = MDB_val(mv_size: bytes.count, mv_data: UnsafeMutableRawPointer(mutating: bytes.baseAddress))
        let status = key.withValue { mdb_put(handle, table.id, &$0, &data, isAppending ? UInt32(MDB_APPEND) : 0) }
        try Environment.check(status, "write", file)
    }
}

/// A table of an environment.
struct Table: Sendable {
    fileprivate let id: MDB_dbi

    enum Key {
        case number(Int)
        case name(String)

        fileprivate func withValue<R>(_ body: (inout MDB_val) -> R) -> R {
            var bytes: [UInt8]
            switch self {
            case .number(let number): bytes = withUnsafeBytes(of: UInt64(number).bigEndian, Array.init)
            case .name(let name): bytes = Array(name.utf8)
            }
            return bytes.withUnsafeMutableBytes { raw in
                var value = MDB_val(mv_size: raw.count, mv_data: raw.baseAddress)
                return body(&value)
            }
        }
    }
}
