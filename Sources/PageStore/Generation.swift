import Geometry
import Glibc
import Support

/// What an environment says of itself, so that a foreign one is told apart: kept in its `about` table.
package struct GenerationIdentity: Sendable, Equatable {
    let text: String

    package init(store: String, record: GenerationRecord, patchSize: Int) {
        text =
            "store \(store) generation \(record.index) element \(record.element) patch_size \(patchSize) "
            + "patches_per_block \(record.patchesPerBlock) width \(record.width)"
            + (record.order.map { " order \($0)" } ?? "")
            + (record.id.map { Self.idWord + $0 } ?? "") + (record.computation.map { " computed by \($0)" } ?? "")
    }

    private static let idWord = " id "
    static let table = "about"
    static let key = Table.Key.name("identity")
    static let progress = Table.Key.name("progress")
    /// Set when the generation is whole: until then nothing of it was handed out.
    static let complete = Table.Key.name("complete")

    /// What an environment states.
    struct Statement {
        var identity: String
        var isComplete: Bool

        /// Whether it is a generation of `store` whose writer never finished it. Older versions marked neither.
        func isAbandoned(of store: String) -> Bool {
            !isComplete && identity.hasPrefix("store \(store) generation ")
                && identity.contains(GenerationIdentity.idWord)
        }
    }

    /// Whether the environment in a folder was never written to: its making was cut short, or it holds no table.
    static func isBlank(in directory: String) -> Bool {
        let file = "\(directory)/data.mdb"
        guard let size = File.size(file) else { return false }
        if Environment.isUnmade(size) { return Environment.isBeginning(file) }
        guard let environment = try? Environment(directory: directory, access: .read),
            let transaction = try? environment.begin(isWriting: false)
        else {
            return false
        }
        return [table, PageTable.states.rawValue, PageTable.surprisal.rawValue].allSatisfy { name in
            if case .some(.none) = try? transaction.table(name) { true } else { false }
        }
    }

    /// What the environment in a folder states; nil where there is none, or where its making was cut short.
    ///
    /// - Throws: `Fault` where there is a file that cannot be read as one.
    static func statement(in directory: String) throws -> Statement? {
        guard let size = File.size("\(directory)/data.mdb"), !Environment.isUnmade(size) else { return nil }
        let transaction = try Environment(directory: directory, access: .read).begin(isWriting: false)
        guard let about = try transaction.table(table), let identity = try transaction.value(about, key) else {
            return nil
        }
        return Statement(
            identity: String(decoding: identity, as: UTF8.self),
            isComplete: try transaction.value(about, complete) != nil)
    }
}

/// Where a page lies in its generation's file.
public struct PageLocation: Sendable, Equatable {
    /// Bytes from the start of data.mdb.
    public var offset: Int
    /// Bytes of the page.
    public var bytes: Int
}

/// A complete generation, read by any number of threads.
package final class GenerationReader: @unchecked Sendable {
    package let record: GenerationRecord
    package let geometry: SequenceGeometry
    package let grid: BlockGrid
    package let element: Element
    let environment: Environment
    private let descriptor: Int32
    private let tables: [PageTable: Table]
    private let fileBytes: Int

    package var file: String { environment.dataFile }

    init(store: String, identity: GenerationIdentity, record: GenerationRecord, geometry: SequenceGeometry) throws {
        self.record = record
        self.geometry = geometry
        self.grid = BlockGrid(patches: geometry.patches, patchesPerBlock: record.patchesPerBlock)
        self.element = Element(name: record.element) ?? .f32
        environment = try Environment(directory: "\(store)/\(record.directory)", access: .read)
        descriptor = try environment.descriptor()
        fileBytes = File.size(environment.dataFile) ?? 0
        posix_fadvise(descriptor, 0, 0, POSIX_FADV_RANDOM)

        let place = Place(file: environment.dataFile, generation: record.index)
        let transaction = try environment.begin(isWriting: false)
        guard let about = try transaction.table(GenerationIdentity.table),
            let stated = try transaction.value(about, GenerationIdentity.key)
        else {
            throw Fault(
                .badData, "the environment does not say which store it belongs to", at: place,
                advice: PageHeader.damageAdvice)
        }
        guard Array(stated) == Array(identity.text.utf8) else {
            throw Fault(
                .badData,
                "the environment belongs elsewhere: it is \(String(decoding: stated, as: UTF8.self)); expected \(identity.text)",
                at: place, advice: PageHeader.damageAdvice)
        }
        var tables: [PageTable: Table] = [:]
        for kind in PageTable.allCases where record.holds(kind) {
            guard let table = try transaction.table(kind.rawValue) else {
                throw Fault(
                    .badData, "the table '\(kind.rawValue)' is missing", at: place, advice: PageHeader.damageAdvice)
            }
            tables[kind] = table
        }
        self.tables = tables
        // Handles of named tables live on only if the transaction that opened them commits.
        try transaction.commit()
    }

    /// What a page of this table must say of itself.
    package func expectedHeader(_ table: PageTable, block: Int) -> PageHeader {
        let patches = grid.patches(ofBlock: block)
        return PageHeader(
            element: table == .states ? element : .f32, generation: record.index, block: block,
            firstPatch: patches.lowerBound,
            patches: patches.count, columns: geometry.patchSize, width: table == .states ? record.width : 1,
            isOrdered: table == .states && record.order != nil)
    }

    /// Finds a block's page in the file.
    ///
    /// LMDB hands out an address inside its map. Every page of its file begins with its own number, so the address
    /// also tells the place in the file, and the value is read from there: a read can fail with an error, a mapped
    /// page only with a signal.
    package func locate(_ table: PageTable, block: Int) throws -> PageLocation {
        let place = Place(file: file, generation: record.index, block: block)
        guard let id = tables[table] else {
            throw Fault(.usage, "generation \(record.index) holds no \(table.rawValue)", at: place)
        }
        let transaction = try environment.begin(isWriting: false)
        guard let value = try transaction.value(id, .number(block)), let address = value.baseAddress else {
            throw Fault(.badData, "the block is missing", at: place, advice: PageHeader.damageAdvice)
        }
        let inPage = Int(bitPattern: address) % environment.pageSize
        let page = (address - inPage).loadUnaligned(as: UInt64.self)
        guard let number = Int(exactly: page), number <= fileBytes / environment.pageSize,
            number * environment.pageSize + inPage <= fileBytes - value.count
        else {
            throw Fault(.badData, "the block's page lies outside the file", at: place, advice: PageHeader.damageAdvice)
        }
        return PageLocation(offset: number * environment.pageSize + inPage, bytes: value.count)
    }

    /// Blocks present in a table.
    package func blocksPresent(_ table: PageTable) throws -> Int {
        guard let id = tables[table] else { return 0 }
        return try environment.begin(isWriting: false).entries(id)
    }

    /// Bytes of all pages of a table, by what LMDB's index says of them: the pages themselves are not touched.
    package func storedBytes(_ table: PageTable) throws -> Int {
        guard let id = tables[table] else { return 0 }
        let transaction = try environment.begin(isWriting: false)
        return try (0..<grid.blocks).reduce(0) { sum, block in
            guard let page = try transaction.value(id, .number(block)) else {
                throw Fault(
                    .badData, "the block is missing", at: Place(file: file, generation: record.index, block: block),
                    advice: PageHeader.damageAdvice)
            }
            return sum + page.count
        }
    }

    /// Reads exactly `target.count` bytes of the file.
    func read(at offset: Int, into target: UnsafeMutableRawBufferPointer, place: @autoclosure () -> Place) throws {
        var done = 0
        while done < target.count {
            let count = pread(descriptor, target.baseAddress! + done, target.count - done, offset + done)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else {
                var place = place()
                place.byteOffset = offset + done
                let problem =
                    count == 0
                    ? "the file ends here, inside a page" : "cannot read: \(String(cString: strerror(errno)))"
                throw Fault(count == 0 ? .badData : .inputOutput, problem, at: place)
            }
            done += count
        }
    }

    /// Asks the system to read columns of a block ahead. Where columns lie inside a page is guessed from the page's
    /// length.
    package func prefetch(_ table: PageTable, block: Int, columns: ClosedRange<Int>) {
        guard let location = try? locate(table, block: block) else { return }
        let P = geometry.patchSize
        let directory = PageHeader.size + expectedHeader(table, block: block).directoryBytes
        let column = (location.bytes - directory) / P
        let first = columns.lowerBound == 0 ? 0 : directory + column * columns.lowerBound - column / 2
        let last =
            columns.upperBound == P - 1
            ? location.bytes : min(location.bytes, directory + column * (columns.upperBound + 1) + column / 2)
        if first > 0 { posix_fadvise(descriptor, location.offset, directory, POSIX_FADV_WILLNEED) }
        if last > first { posix_fadvise(descriptor, location.offset + first, last - first, POSIX_FADV_WILLNEED) }
    }

    /// Tells the system that a part of the file is not read again soon: its memory is for others.
    package func forget(offset: Int, bytes: Int) {
        posix_fadvise(descriptor, offset, bytes, POSIX_FADV_DONTNEED)
    }
}

/// A generation being written: pages appended in block order, committed with the progress that describes them.
///
/// The environment is opened anew for every transaction. LMDB recycles pages of one transaction in the next, with old
/// bytes in their gaps; begun afresh each time, a file is the same byte for byte however often its writer was killed.
///
/// Sendable, but of one thread at a time: tasks of a pipeline's writer, or the thread that added them once they are
/// done.
package final class GenerationWriter: @unchecked Sendable {
    package let record: GenerationRecord
    private let directory: String
    private var open: OpenTransaction?
    /// Committed pages leave the page cache, for nobody reads them soon.
    package var isCommittedForgotten = false
    /// The progress of the last commit, if any: opaque to the store.
    package let progress: [UInt8]?
    /// Blocks that every table held then, and the length of the file.
    package let committedBlocks: [PageTable: Int]
    package let committedBytes: Int
    /// Bytes appended since the last commit: LMDB holds them in memory until then.
    package private(set) var uncommittedBytes = 0

    /// What is appended to until the next commit.
    private struct OpenTransaction: ~Copyable {
        let transaction: Transaction
        let about: Table
        let tables: [PageTable: Table]

        consuming func commit() throws { try transaction.commit() }
    }

    /// Opens the environment of `record`, creating it where there is none.
    package init(store: String, identity: GenerationIdentity, record: GenerationRecord) throws {
        self.record = record
        directory = "\(store)/\(record.directory)"
        try File.makeDirectory(directory)
        let environment = try Environment(directory: directory, access: .write)
        let transaction = try environment.begin(isWriting: true)
        let about = try transaction.createTable(GenerationIdentity.table)
        var blocks: [PageTable: Int] = [:]
        for kind in PageTable.allCases where record.holds(kind) {
            let table = try transaction.createTable(kind.rawValue)
            let count = try transaction.entries(table)
            for block in 0..<count where try transaction.value(table, .number(block)) == nil {
                throw Fault(
                    .badData, "the block is missing among \(count)",
                    at: Place(file: environment.dataFile, generation: record.index, block: block),
                    remedies: [.restart])
            }
            blocks[kind] = count
        }
        committedBlocks = blocks
        if let stated = try transaction.value(about, GenerationIdentity.key) {
            guard Array(stated) == Array(identity.text.utf8) else {
                throw Fault(
                    .badData, "the environment belongs elsewhere: it is \(String(decoding: stated, as: UTF8.self))",
                    at: Place(file: environment.dataFile, generation: record.index), remedies: [.restart]
                )
            }
        } else {
            try Array(identity.text.utf8).withUnsafeBytes { try transaction.put(about, GenerationIdentity.key, $0) }
        }
        progress = try transaction.value(about, GenerationIdentity.progress).map(Array.init)
        try transaction.commit()
        committedBytes = File.size(environment.dataFile) ?? 0
    }

    /// Appends the page of block `block`, which is beyond every block of the table.
    package func append(_ table: PageTable, block: Int, page: UnsafeRawBufferPointer) throws {
        try begin()
        guard let id = open?.tables[table] else {
            throw Fault(.usage, "generation \(record.index) keeps no \(table.rawValue)")
        }
        try open?.transaction.put(id, .number(block), page, isAppending: true)
        uncommittedBytes += page.count
    }

    private func begin() throws {
        guard open == nil else { return }
        let environment = try Environment(directory: directory, access: .append)
        let transaction = try environment.begin(isWriting: true)
        let about = try transaction.createTable(GenerationIdentity.table)
        var tables: [PageTable: Table] = [:]
        for kind in PageTable.allCases where record.holds(kind) {
            tables[kind] = try transaction.createTable(kind.rawValue)
        }
        open = OpenTransaction(transaction: transaction, about: about, tables: tables)
    }

    /// Makes everything appended durable, together with `progress`.
    package func commit(progress: [UInt8]) throws {
        try begin()
        if let about = open?.about {
            try progress.withUnsafeBytes { try open?.transaction.put(about, GenerationIdentity.progress, $0) }
        }
        // A commit consumes its transaction, whether it succeeds or not.
        if let ending = open.take() { try ending.commit() }
        uncommittedBytes = 0
        if isCommittedForgotten { File.forget("\(directory)/data.mdb") }
    }

    /// Syncs data and meta page of a generation that is not whole yet.
    package func sync() throws {
        try Environment(directory: directory, access: .append).sync()
        try File.syncDirectory(directory)
    }

    /// Marks the generation as complete and syncs data and meta page: it is whole and durable, and may be named so in
    /// the manifest.
    package func finish() throws {
        let environment = try Environment(directory: directory, access: .append)
        let transaction = try environment.begin(isWriting: true)
        let about = try transaction.createTable(GenerationIdentity.table)
        // Written once: a writer that was stopped after this leaves the same bytes.
        if try transaction.value(about, GenerationIdentity.complete) == nil {
            try Array("yes".utf8).withUnsafeBytes { try transaction.put(about, GenerationIdentity.complete, $0) }
            try transaction.commit()
        }
        try environment.sync()
        try File.syncDirectory(directory)
    }
}
