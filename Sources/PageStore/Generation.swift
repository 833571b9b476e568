import Geometry
import Glibc
import Support

/// What an environment says of itself, so that a foreign one is told apart: kept in its `about` table.
package struct GenerationIdentity: Sendable, Equatable {
    let text: String
    private let store: String
    private let record: GenerationRecord
    private let patchSize: Int

    package init(store: String, record: GenerationRecord, patchSize: Int) {
        self.init(store, record, patchSize, id: record.id, firstBlock: 0)
    }

    private init(_ store: String, _ record: GenerationRecord, _ patchSize: Int, id: String?, firstBlock: Int) {
        (self.store, self.record, self.patchSize) = (store, record, patchSize)
        text =
            "store \(store) generation \(record.index) element \(record.element) patch_size \(patchSize) "
            + "patches_per_block \(record.patchesPerBlock) width \(record.width)"
            + (record.order.map { " order \($0)" } ?? "") + (firstBlock > 0 ? " from_block \(firstBlock)" : "")
            + (id.map { Self.idWord + $0 } ?? "") + (record.computation.map { " computed by \($0)" } ?? "")
    }

    /// That of an environment that continues the generation.
    package func of(_ supplement: Supplement) -> Self {
        Self(store, record, patchSize, id: supplement.id, firstBlock: supplement.firstBlock)
    }

    package static func == (first: Self, second: Self) -> Bool { first.text == second.text }

    private static let idWord = " id "
    static let table = "about"
    static let key = Table.Key.name("identity")
    static let progress = Table.Key.name("progress")
    /// Set when the generation is whole: until then nothing of it was handed out.
    static let complete = Table.Key.name("complete")
    /// What goes on when tokens are appended (`Tail`).
    static let tail = Table.Key.name("tail")

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

/// What a complete generation goes on from when tokens are appended: the last block is made anew, for it ended with the
/// sequence, from the progress that was made before it.
package struct Tail: Sendable, Equatable {
    /// The last block.
    package var firstBlock: Int
    /// Opaque to the store.
    package var progress: [UInt8]

    package init(firstBlock: Int, progress: [UInt8]) {
        self.firstBlock = firstBlock
        self.progress = progress
    }

    /// The block, u64, and the progress.
    fileprivate var bytes: [UInt8] {
        withUnsafeBytes(of: UInt64(firstBlock).littleEndian, Array.init) + progress
    }

    /// What the environment in a folder goes on from; nil where its last block was not written.
    ///
    /// - Throws: `Fault` (`badData`) where it says so and is damaged.
    package static func read(in directory: String) throws -> Tail? {
        let environment = try Environment(directory: directory, access: .read)
        let transaction = try environment.begin(isWriting: false)
        guard let about = try transaction.table(GenerationIdentity.table),
            let bytes = try transaction.value(about, GenerationIdentity.tail)
        else { return nil }
        guard bytes.count >= 8,
            let block = Int(exactly: UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self)))
        else {
            throw Fault(
                .badData, "does not say what it goes on from", at: Place(file: environment.dataFile),
                advice: PageHeader.damageAdvice, remedies: [.restart])
        }
        return Tail(firstBlock: block, progress: Array(bytes[8...]))
    }
}

/// Where a page lies in its generation's file.
public struct PageLocation: Sendable, Equatable {
    /// Bytes from the start of its environment's data.mdb.
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
    /// The environments, in the order of their blocks.
    private let parts: [Part]

    /// An environment: the first holds blocks from 0 on.
    fileprivate struct Part {
        let firstBlock: Int
        let environment: Environment
        let descriptor: Int32
        let tables: [PageTable: Table]
        let fileBytes: Int
    }

    /// The first environment's.
    package var file: String { parts[0].environment.dataFile }
    /// That of the environment that holds a block.
    package func file(ofBlock block: Int) -> String { part(block).environment.dataFile }
    /// Bytes of all environments' files.
    package var fileBytes: Int { parts.reduce(0) { $0 + $1.fileBytes } }

    /// Where a block lies, for errors.
    package func place(_ block: Int, column: Int? = nil) -> Place {
        Place(file: file(ofBlock: block), generation: record.index, block: block, column: column)
    }

    private func part(_ block: Int) -> Part { parts.last { $0.firstBlock <= block } ?? parts[0] }

    init(store: String, identity: GenerationIdentity, record: GenerationRecord, geometry: SequenceGeometry) throws {
        self.record = record
        self.geometry = geometry
        self.grid = BlockGrid(patches: geometry.patches, patchesPerBlock: record.patchesPerBlock)
        self.element = Element(name: record.element) ?? .f32
        parts =
            try [Part("\(store)/\(record.directory)", is: identity, of: record, from: 0)]
            + (record.supplements ?? []).map {
                try Part("\(store)/\($0.directory)", is: identity.of($0), of: record, from: $0.firstBlock)
            }
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
        let part = part(block)
        let environment = part.environment
        let place = Place(file: environment.dataFile, generation: record.index, block: block)
        guard let id = part.tables[table] else {
            throw Fault(.usage, "generation \(record.index) holds no \(table.rawValue)", at: place)
        }
        let transaction = try environment.begin(isWriting: false)
        guard let value = try transaction.value(id, .number(block)), let address = value.baseAddress else {
            throw Fault(.badData, "the block is missing", at: place, advice: PageHeader.damageAdvice)
        }
        let inPage = Int(bitPattern: address) % environment.pageSize
        let page = (address - inPage).loadUnaligned(as: UInt64.self)
        guard let number = Int(exactly: page), number <= part.fileBytes / environment.pageSize,
            number * environment.pageSize + inPage <= part.fileBytes - value.count
        else {
            throw Fault(.badData, "the block's page lies outside the file", at: place, advice: PageHeader.damageAdvice)
        }
        return PageLocation(offset: number * environment.pageSize + inPage, bytes: value.count)
    }

    /// Blocks present in a table, without a gap from the first on.
    package func blocksPresent(_ table: PageTable) throws -> Int {
        var present = 0
        for (index, part) in parts.enumerated() where part.firstBlock == present {
            guard let id = part.tables[table] else { return 0 }
            let count = part.firstBlock + (try part.environment.begin(isWriting: false).entries(id))
            // Its last block is that of the next one.
            present = index + 1 < parts.count ? min(count, parts[index + 1].firstBlock) : count
        }
        return present
    }

    /// Bytes of all pages of a table, by what LMDB's index says of them: the pages themselves are not touched.
    package func storedBytes(_ table: PageTable) throws -> Int {
        guard record.holds(table) else { return 0 }
        return try (0..<grid.blocks).reduce(0) { try $0 + locate(table, block: $1).bytes }
    }

    /// Reads exactly `target.count` bytes of the file that holds a block.
    func read(
        at offset: Int, ofBlock block: Int, into target: UnsafeMutableRawBufferPointer, place: @autoclosure () -> Place
    ) throws {
        let descriptor = part(block).descriptor
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
        let (P, descriptor) = (geometry.patchSize, part(block).descriptor)
        let directory = PageHeader.size + expectedHeader(table, block: block).directoryBytes
        let column = (location.bytes - directory) / P
        let first = columns.lowerBound == 0 ? 0 : directory + column * columns.lowerBound - column / 2
        let last =
            columns.upperBound == P - 1
            ? location.bytes : min(location.bytes, directory + column * (columns.upperBound + 1) + column / 2)
        if first > 0 { posix_fadvise(descriptor, location.offset, directory, POSIX_FADV_WILLNEED) }
        if last > first { posix_fadvise(descriptor, location.offset + first, last - first, POSIX_FADV_WILLNEED) }
    }

    /// Tells the system that a piece of the file that holds a block is not read again soon: its memory is for others.
    package func forget(block: Int, offset: Int, bytes: Int) {
        posix_fadvise(part(block).descriptor, offset, bytes, POSIX_FADV_DONTNEED)
    }
}

extension GenerationReader.Part {
    init(_ directory: String, is identity: GenerationIdentity, of record: GenerationRecord, from firstBlock: Int) throws
    {
        let environment = try Environment(directory: directory, access: .read)
        let descriptor = try environment.descriptor()
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
        // Handles of named tables live on only if the transaction that opened them commits.
        try transaction.commit()
        self.init(
            firstBlock: firstBlock, environment: environment, descriptor: descriptor, tables: tables,
            fileBytes: File.size(environment.dataFile) ?? 0)
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
    /// The block after the last one that every table held then.
    package let committedBlocks: [PageTable: Int]
    /// Its first block.
    package let firstBlock: Int
    /// Bytes appended since the last commit: LMDB holds them in memory until then.
    package private(set) var uncommittedBytes = 0

    /// What is appended to until the next commit.
    private struct OpenTransaction: ~Copyable {
        let transaction: Transaction
        let about: Table
        let tables: [PageTable: Table]

        consuming func commit() throws { try transaction.commit() }
    }

    package var file: String { "\(directory)/data.mdb" }

    /// Opens the last environment of `record`, creating it where there is none.
    package init(store: String, identity: GenerationIdentity, record: GenerationRecord) throws {
        self.record = record
        let supplement = record.supplements?.last
        let firstBlock = supplement?.firstBlock ?? 0
        let identity = supplement.map(identity.of) ?? identity
        self.firstBlock = firstBlock
        directory = "\(store)/\(supplement?.directory ?? record.directory)"
        try File.makeDirectory(directory)
        let environment = try Environment(directory: directory, access: .write)
        let transaction = try environment.begin(isWriting: true)
        let about = try transaction.createTable(GenerationIdentity.table)
        var blocks: [PageTable: Int] = [:]
        for kind in PageTable.allCases where record.holds(kind) {
            let table = try transaction.createTable(kind.rawValue)
            let count = try transaction.entries(table)
            for block in firstBlock..<firstBlock + count where try transaction.value(table, .number(block)) == nil {
                throw Fault(
                    .badData, "the block is missing among \(count)",
                    at: Place(file: environment.dataFile, generation: record.index, block: block),
                    remedies: [.restart])
            }
            blocks[kind] = firstBlock + count
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
    ///
    /// - Parameter tail: with the last block, what goes on from it when tokens are appended.
    package func commit(progress: [UInt8], tail: Tail? = nil) throws {
        try begin()
        if let about = open?.about {
            try progress.withUnsafeBytes { try open?.transaction.put(about, GenerationIdentity.progress, $0) }
            try tail?.bytes.withUnsafeBytes { try open?.transaction.put(about, GenerationIdentity.tail, $0) }
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
