import FoundationEssentials
import Geometry
import Glibc
import Support

/// A store: a folder with manifest.json, one LMDB environment a generation, and a lock file.
///
/// What the manifest names is complete and synced, or is being computed and says so. Publishing replaces the manifest
/// in one step; what it stopped naming stands in its list `dropped` until it is removed. A folder that no manifest gave
/// up is removed only where its environment says that it is an unfinished generation of this store, whose writer is
/// dead.
public final class Store {
    /// The store's folder, as it was named.
    public let directory: String
    /// What the store holds, as it was read or last published.
    public private(set) var manifest: Manifest
    private let lock: StoreLock?
    /// What was not removed, and why: for people, who can.
    private var notes: [String] = []
    /// What `checkLength` found right.
    private var checkedLength: LengthCheck?

    /// What the length of the sequence is told by.
    private struct LengthCheck: Equatable {
        let tokens: Int
        let record: GenerationRecord

        init(_ manifest: Manifest) {
            tokens = manifest.tokens
            record = manifest.generations[0]
        }
    }

    private init(directory: String, manifest: Manifest, lock: StoreLock?) {
        self.directory = directory
        self.manifest = manifest
        self.lock = lock
    }

    package var manifestFile: String { Self.manifestFile(directory) }
    private static func manifestFile(_ directory: String) -> String { "\(directory)/manifest.json" }
    private func folder(_ name: String) -> String { "\(directory)/\(name)" }

    /// Opens a store to look at: no lock, nothing is written.
    ///
    /// - Throws: `Fault`: `noInput` where there is none, `badData` where its manifest is damaged or of another format.
    public static func open(_ directory: String) throws -> Store {
        Store(directory: directory, manifest: try Manifest.read(manifestFile(directory), store: directory), lock: nil)
    }

    /// Opens a store to compute in: takes its lock and clears what an interrupted command left.
    ///
    /// - Parameter isDroppingStates: its states are going to be dropped, and need not be whole.
    /// - Throws: `Fault` (`badData`) where a folder that the manifest names is not what it should be; nothing is
    ///   removed then.
    package static func openForWriting(_ directory: String, isDroppingStates: Bool = false) throws -> Store {
        let file = manifestFile(directory)
        _ = try Manifest.read(file, store: directory)
        let lock = try StoreLock(directory)
        // Read again: what stood there before the lock was ours may have changed.
        let store = Store(directory: directory, manifest: try Manifest.read(file, store: directory), lock: lock)
        try store.checkFolders(isDroppingStates: isDroppingStates)
        try store.removeDropped()
        try store.removeLeftovers()
        return store
    }

    /// Prepares a folder to become a store: creates it, takes its lock, refuses one that holds anything else.
    ///
    /// - Parameters:
    ///   - name: of the store to be made; what an ingest under this name leaves when it is killed is known by it.
    ///   - isReplacing: an existing store there may be replaced; it stays whole until `publish`.
    package static func prepare(_ directory: String, name: String, isReplacing: Bool) throws -> StoreLock {
        let isThere = File.exists(directory)
        if isThere { try checkPlace(directory, isReplacing: isReplacing) } else { try File.makeDirectory(directory) }
        let lock = try StoreLock(directory, isNew: !isThere)
        // Asked again: until the lock was ours, others may have made a store here.
        try checkPlace(directory, isReplacing: isReplacing)
        try removeAbandoned(in: directory, by: lock)
        lock.announce(name)
        return lock
    }

    private static func checkPlace(_ directory: String, isReplacing: Bool) throws {
        let place = Place(file: directory)
        guard File.isDirectory(directory) else {
            throw Fault(.cannotCreate, "this is a file; a store is a folder", at: place)
        }
        if File.exists(manifestFile(directory)) && !isReplacing {
            throw Fault(
                .cannotCreate, "there is a store here already", at: place,
                remedies: [.replaceStore, .otherStore])
        }
        if let foreign = try File.list(directory).first(where: { !isOwnName($0) }) {
            throw Fault(
                .cannotCreate, "the folder holds '\(foreign.escaped)', which is not part of a store", at: place,
                advice: "Nothing was touched. Choose an empty folder.")
        }
    }

    /// Gives up a store that was being made: removes the generation that it has so far, and the folder where `lock`
    /// made it, unless somebody put something else there.
    package static func abandon(_ directory: String, generation: String?, lock: StoreLock) {
        if let generation { try? removeEnvironment("\(directory)/\(generation)") }
        lock.settle()
        lock.removeIfNew()
    }

    /// Publishes a new store in a prepared folder. Of a store that it replaces the generations go; where that one's
    /// manifest cannot be read, nobody knows which these are, and all folders stay.
    package static func create(_ directory: String, manifest: Manifest, lock: StoreLock) throws -> Store {
        let replaced = try? Manifest.read(manifestFile(directory), store: directory)
        let store = Store(directory: directory, manifest: replaced ?? manifest, lock: lock)
        try store.publish(manifest)
        lock.settle()
        try store.removeLeftovers()
        return store
    }

    /// Replaces the manifest and removes what it no longer names.
    package func publish(_ manifest: Manifest) throws {
        let kept = Set(manifest.generations.flatMap(\.directories))
        let dropped = self.manifest.generations.filter { !isFurther($0) }.flatMap { record in
            zip(record.directories, identities(of: record)).filter { !kept.contains($0.0) }.map {
                DroppedGeneration(directory: $0, identity: $1.text)
            }
        }
        var manifest = manifest
        manifest.version = manifest.isContinued ? Manifest.newestVersion : Manifest.version
        // A name that is taken again was free: what it was dropped with is removed already.
        manifest.dropped = ((self.manifest.dropped ?? []) + dropped).filter { !kept.contains($0.directory) }
        if manifest.dropped?.isEmpty == true { manifest.dropped = nil }
        // What could not be read again is not written.
        try manifest.check(manifestFile)
        try File.replace(manifestFile, with: manifest.encoded(), isFollowingLinks: false)
        self.manifest = manifest
        try removeDropped()
    }

    /// A folder name for generation `index` that nothing uses yet.
    package static func unusedDirectory(_ store: String, generation index: Int) -> String {
        let plain = "generation-\(index)"
        if !File.exists("\(store)/\(plain)") { return plain }
        return (1...).lazy.map { "\(plain).\($0)" }.first { !File.exists("\(store)/\($0)") } ?? plain
    }

    /// Whether a folder is that of a store, as far as its names tell.
    package static func isStore(_ directory: String) -> Bool {
        File.exists(manifestFile(directory)) && File.exists("\(directory)/\(StoreLock.name)")
    }

    /// Whether a process is writing a store at this moment.
    package static func isBeingWritten(_ directory: String) -> Bool {
        let descriptor = File.descriptor("\(directory)/\(StoreLock.name)", O_RDWR | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return flock(descriptor, LOCK_EX | LOCK_NB) != 0
    }

    /// Whether a name in a store's folder is one that stores have.
    package static func isOwnName(_ name: String) -> Bool {
        name == "manifest.json" || name == "manifest.json.partial" || name == StoreLock.name || isGeneration(name)
            || OutputFile.isTemporary(name)
    }

    /// "generation-3" or "generation-3.1": a folder that `unusedDirectory` names.
    static func isGeneration(_ name: String) -> Bool {
        guard name.hasPrefix("generation-") else { return false }
        let parts = name.utf8.dropFirst("generation-".utf8.count).split(
            separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        return parts.count <= 2
            && parts.allSatisfy {
                !$0.isEmpty && $0.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
            }
    }

    // MARK: What is there

    /// Checks that the folders that the manifest names are the generations that it takes them for.
    ///
    /// - Parameter isDroppingStates: only the tokens need be.
    package func checkFolders(isDroppingStates: Bool = false) throws {
        for record in manifest.generations where record.index == 0 || !isDroppingStates {
            for (name, wanted) in zip(record.directories, identities(of: record).map(\.text)) {
                try check(name, is: wanted, of: record)
            }
        }
    }

    private func check(_ name: String, is wanted: String, of record: GenerationRecord) throws {
        let folder = folder(name)
        let found = try GenerationIdentity.statement(in: folder)?.identity
        // One that is being computed need not have been begun.
        if found == wanted || (found == nil && !record.isComplete && record.supplements == nil) { return }
        let problem =
            found.map { "the environment belongs elsewhere: it is \($0); expected \(wanted)" }
            ?? "the generation's file is missing or cut short"
        let elsewhere = File.names(in: directory).first {
            Self.isGeneration($0) && (try? GenerationIdentity.statement(in: self.folder($0)))?.identity == wanted
        }
        throw Fault(
            .badData, problem, at: Place(file: "\(folder)/data.mdb", generation: record.index),
            advice: elsewhere.map {
                "The folder '\($0)' says that it is the one wanted: the manifest names another. Nothing was removed."
            } ?? "Nothing was removed.",
            remedies: elsewhere != nil
                ? [.restore("manifest.json")]
                : record.index == 0 ? [.restore("the store"), .ingestAgain] : [.restart])
    }

    // MARK: What goes

    /// What was not removed, and why; each is told once.
    package func takeNotes() -> [String] {
        defer { notes = [] }
        return notes
    }

    /// Whether a generation is whole that the manifest takes for unfinished: an older manifest was put back, and what
    /// it does not know of is not given up by it.
    private func isFurther(_ record: GenerationRecord) -> Bool {
        !record.isComplete
            && record.directories.last.map { last in
                (try? GenerationIdentity.statement(in: folder(last)))?.isComplete == true
            } == true
    }

    /// Removes what the manifest has dropped, where it is still what was dropped, and forgets the list.
    private func removeDropped() throws {
        guard let dropped = manifest.dropped else { return }
        for entry in dropped where File.exists(folder(entry.directory)) {
            if Self.removeIfEmpty(folder(entry.directory)) { continue }
            if (try? GenerationIdentity.statement(in: folder(entry.directory)))?.identity == entry.identity {
                try Self.removeEnvironment(folder(entry.directory))
            }
        }
        var manifest = manifest
        manifest.dropped = nil
        try File.replace(manifestFile, with: manifest.encoded(), isFollowingLinks: false)
        self.manifest = manifest
    }

    /// Removes generations of this store that dead writers left unfinished. All other folders of generations stay, and
    /// are noted.
    private func removeLeftovers() throws {
        let named = Set(manifest.generations.flatMap(\.directories))
        for name in File.names(in: directory) where Self.isGeneration(name) && !named.contains(name) {
            let folder = folder(name)
            if Self.removeIfEmpty(folder) { continue }
            let statement = try? GenerationIdentity.statement(in: folder)
            if statement?.isAbandoned(of: manifest.store) == true || GenerationIdentity.isBlank(in: folder) {
                try Self.removeEnvironment(folder)
                continue
            }
            let reason =
                statement.map { "it says that it is \($0.isComplete ? "all" : "part") of \($0.identity)" }
                ?? "it does not say what it is"
            notes.append(
                "\(folder) stays, \(Self.size(of: folder)): the manifest does not name it, and \(reason). Remove it if nothing needs it."
            )
        }
        // Older versions wrote manifests so.
        let partial = "\(manifestFile).partial"
        if File.infoOfLink(partial)?.isRegular == true { try File.remove(partial) }
    }

    /// Removes what a command that failed was making. Where that fails too, the next one that writes does it.
    package func removeUnnamed() { try? removeLeftovers() }

    /// Removes what a killed ingest into this folder left. Where a manifest cannot be read, nobody knows what it names.
    private static func removeAbandoned(in directory: String, by lock: StoreLock) throws {
        guard let name = lock.announced else { return }
        var named: Set<String> = []
        if File.exists(manifestFile(directory)) {
            guard let manifest = try? Manifest.read(manifestFile(directory), store: directory) else { return }
            named = Set(manifest.generations.flatMap(\.directories))
        }
        for entry in File.names(in: directory) where isGeneration(entry) && !named.contains(entry) {
            guard let statement = try? GenerationIdentity.statement(in: "\(directory)/\(entry)"),
                statement.isAbandoned(of: name)
            else { continue }
            try removeEnvironment("\(directory)/\(entry)")
        }
    }

    /// An empty folder holds nothing that could be missed.
    private static func removeIfEmpty(_ folder: String) -> Bool { folder.withFileName { rmdir($0) } == 0 }

    /// Removes an environment's folder, but nothing else that somebody put into it, and nothing that a link leads to.
    private static func removeEnvironment(_ folder: String) throws {
        guard File.infoOfLink(folder)?.isDirectory == true else { return }
        for name in ["data.mdb", "lock.mdb"] where File.infoOfLink("\(folder)/\(name)")?.isRegular == true {
            try File.remove("\(folder)/\(name)")
        }
        _ = removeIfEmpty(folder)
    }

    private static func size(of folder: String) -> String {
        ByteCount.text(File.names(in: folder).map { File.size("\(folder)/\($0)") ?? 0 }.reduce(0, +))
    }

    // MARK: Generations

    /// The sequence cut into patches; nil where the manifest's numbers make none, which `open` refuses.
    public func geometry() -> SequenceGeometry? {
        SequenceGeometry(tokens: manifest.tokens, patchSize: manifest.patchSize)
    }

    /// Opens a complete generation for reading. The first time, the sequence's length is checked.
    ///
    /// - Parameter isCheckingLength: false where the caller calls `checkLength` by itself.
    /// - Throws: `Fault` with kind `usage` when the store has none of that index.
    package func reader(_ index: Int, isCheckingLength: Bool = true) throws -> GenerationReader {
        let held = manifest.generations.filter(\.isComplete).map { String($0.index) }.joined(separator: ", ")
        if let record = manifest.generation(index), record.isContinued {
            throw Fault(
                .usage, "generation \(index) is not complete since tokens were appended", at: Place(file: directory),
                advice: "`forward` goes on with it.")
        }
        guard let record = manifest.generation(index), record.isComplete, let geometry = geometry() else {
            throw Fault(
                .usage, "the store holds no complete generation \(index)", at: Place(file: directory),
                advice: "It holds: \(held).", remedies: [.keepAll])
        }
        if isCheckingLength && checkedLength != LengthCheck(manifest) { try checkLength() }
        return try GenerationReader(
            store: directory, identity: identity(of: record), record: record, geometry: geometry)
    }

    /// Checks n against the tokens: the last block of generation 0 has n's last token, and no token after it.
    package func checkLength() throws {
        let tokens = try reader(0, isCheckingLength: false)
        let (P, n, last) = (tokens.geometry.patchSize, tokens.geometry.tokens, tokens.grid.blocks - 1)
        let present = try tokens.blocksPresent(.states)
        let place = Place(file: tokens.file, generation: 0)
        let advice = "The manifest's number of tokens or generation 0 was changed."
        let remedies: [Remedy] = [.restore("the store"), .ingestAgain]
        guard present == tokens.grid.blocks else {
            throw Fault(
                .badData,
                "generation 0 holds \(present) blocks, \(tokens.grid.blocks) belong to \(n) tokens: blocks are missing or too many",
                at: place, advice: advice, remedies: remedies)
        }
        let kernels = try Kernels.select()
        let pageBytes = try tokens.locate(.states, block: last).bytes
        // The header first: what it says of sizes must be true before anything is as large as the manifest says.
        let header = try PageReader(pageBytes: pageBytes, columnBytes: 0, kernels: kernels).directory(
            tokens, .states, block: last
        ).header
        let pages = try PageReader(pageBytes: pageBytes, columnBytes: header.columnBytes, kernels: kernels)
        let ids = try Memory<UInt16>(header.patches),
            indices = try Memory<UInt16>(header.isOrdered ? header.patches : 0)
        try pages.read(
            tokens, block: last, columns: 0..<P, into: { _ in ids.bytes },
            indices: { _ in header.isOrdered ? indices.values : nil },
            found: { column, _, _ in
                for row in 0..<header.patches {
                    let token = (header.firstPatch + row) * P + (header.isOrdered ? Int(indices[row]) : column)
                    guard token < n ? ids[row] < Element.tokenIDs : ids[row] == Element.noToken else {
                        throw Fault(
                            .badData,
                            "token \(token) has id \(ids[row]), which a sequence of \(n) tokens cannot have there",
                            at: tokens.place(last, column: column), advice: advice,
                            remedies: remedies)
                    }
                }
            })
        checkedLength = LengthCheck(manifest)
    }

    package func identity(of record: GenerationRecord) -> GenerationIdentity {
        GenerationIdentity(store: manifest.store, record: record, patchSize: manifest.patchSize)
    }

    /// Of all its environments, in the order of `directories`.
    private func identities(of record: GenerationRecord) -> [GenerationIdentity] {
        let first = identity(of: record)
        return [first] + (record.supplements ?? []).map(first.of)
    }

    /// Bytes of the files of a generation.
    package func fileBytes(of record: GenerationRecord) -> Int {
        record.directories.map { File.size("\(folder($0))/data.mdb") ?? 0 }.reduce(0, +)
    }

    /// A new store's name.
    package static func newName() -> String { UUID().uuidString.lowercased() }
}

/// The right to write a store: an advisory lock that the system drops with the process.
///
/// While a store is being made, the file says under which name: no manifest tells yet.
package final class StoreLock: Sendable {
    static let name = "lock"
    private static let word = "ingest "
    private let descriptor: Int32
    /// The store that an ingest which did not come to its end was making here.
    let announced: String?

    private let directory: String
    /// The folder was made for the store.
    private let isNew: Bool

    init(_ directory: String, isNew: Bool = false) throws {
        self.directory = directory
        self.isNew = isNew
        let path = "\(directory)/\(Self.name)"
        descriptor = File.descriptor(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, mode: 0o644)
        guard descriptor >= 0 else { throw File.fault(.cannotCreate, "cannot open the store's lock", path) }
        var info = stat()
        // Who gave up a new store removed its lock: one that has no name any more keeps nobody out.
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0, fstat(descriptor, &info) == 0,
            File.infoOfLink(path)?.identity == info.identity
        else {
            close(descriptor)
            throw Fault(
                .cannotCreate, "another bbp-stream is writing this store", at: Place(file: directory),
                advice: "Wait for it to end, or stop it.")
        }
        var bytes = [UInt8](repeating: 0, count: 128)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        let text = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
        announced =
            text.hasPrefix(Self.word) ? String(text.dropFirst(Self.word.count).prefix { !$0.isWhitespace }) : nil
        isOurs = count == 0 || announced != nil
    }

    /// Whether the file holds nothing that somebody else wrote.
    private let isOurs: Bool

    /// Says which store is being made. That it cannot be said is no reason to stop: a kill then leaves what nobody
    /// removes.
    func announce(_ name: String) {
        guard isOurs, ftruncate(descriptor, 0) == 0 else { return }
        let bytes = Array("\(Self.word)\(name)\n".utf8)
        _ = pwrite(descriptor, bytes, bytes.count, 0)
    }

    /// Removes the lock and the folder that was made for a store which is given up; a folder that holds anything else
    /// stays.
    func removeIfNew() {
        guard isNew, isOurs, File.names(in: directory) == [Self.name] else { return }
        _ = "\(directory)/\(Self.name)".withFileName { unlink($0) }
        _ = directory.withFileName { rmdir($0) }
    }

    /// The store is made, or given up.
    package func settle() {
        if isOurs { _ = ftruncate(descriptor, 0) }
    }

    deinit {
        // Not left to `close`: a child being started at this moment holds the descriptor too, until it runs its
        // program.
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }
}
