import FoundationEssentials
import Geometry
import Glibc
import Support

/// A store: a folder with manifest.json, one LMDB environment a generation, and a lock file.
///
/// What the manifest names is complete and synced, or is being computed and says so. Publishing replaces the
/// manifest in one step; whatever it stopped naming is removed after.
public final class Store {
    public let directory: String
    public private(set) var manifest: Manifest
    private let lock: StoreLock?

    private init(directory: String, manifest: Manifest, lock: StoreLock?) {
        self.directory = directory
        self.manifest = manifest
        self.lock = lock
    }

    public var manifestFile: String { "\(directory)/manifest.json" }

    /// Opens a store to look at: no lock, nothing is written.
    public static func open(_ directory: String) throws -> Store {
        Store(directory: directory, manifest: try Manifest.read("\(directory)/manifest.json", store: directory), lock: nil)
    }

    /// Opens a store to compute in: takes its lock and clears what an interrupted command left.
    public static func openForWriting(_ directory: String) throws -> Store {
        _ = try Manifest.read("\(directory)/manifest.json", store: directory)
        let lock = try StoreLock(directory)
        // Read again: what stood there before the lock was ours may have changed.
        let store = Store(directory: directory, manifest: try Manifest.read("\(directory)/manifest.json", store: directory), lock: lock)
        try store.removeLeftovers()
        return store
    }

    /// Prepares a folder to become a store: creates it, takes its lock, refuses one that holds anything else.
    ///
    /// - Parameter replacing: an existing store there may be replaced; it stays whole until `publish`.
    public static func prepare(_ directory: String, replacing: Bool) throws -> StoreLock {
        if File.exists(directory) {
            guard File.isDirectory(directory) else { throw Fault(.cannotCreate, "this is a file; a store is a folder", at: Place(file: directory)) }
            let isStore = File.exists("\(directory)/manifest.json")
            if isStore && !replacing {
                throw Fault(.cannotCreate, "there is a store here already", at: Place(file: directory), advice: "Use --force to replace it, or another --store.")
            }
            if let foreign = File.names(in: directory).first(where: { !isOwnName($0) }) {
                throw Fault(.cannotCreate, "the folder holds '\(foreign.escaped)', which is not part of a store", at: Place(file: directory), advice: "Nothing was touched. Choose an empty folder.")
            }
        } else {
            try File.makeDirectory(directory)
        }
        return try StoreLock(directory)
    }

    /// Publishes a new store in a prepared folder.
    public static func create(_ directory: String, manifest: Manifest, lock: StoreLock) throws -> Store {
        let store = Store(directory: directory, manifest: manifest, lock: lock)
        try store.publish(manifest)
        return store
    }

    /// Replaces the manifest and removes what it no longer names.
    public func publish(_ manifest: Manifest) throws {
        var manifest = manifest
        manifest.version = Manifest.version
        // What could not be read again is not written.
        try manifest.check(manifestFile)
        try File.replace(manifestFile, with: manifest.encoded())
        self.manifest = manifest
        try removeLeftovers()
    }

    /// A folder name for generation `index` that nothing uses yet.
    public static func unusedDirectory(_ store: String, generation index: Int) -> String {
        let plain = "generation-\(index)"
        if !File.exists("\(store)/\(plain)") { return plain }
        return (1...).lazy.map { "\(plain).\($0)" }.first { !File.exists("\(store)/\($0)") } ?? plain
    }

    /// Whether a name in a store's folder is one that stores have.
    public static func isOwnName(_ name: String) -> Bool {
        name == "manifest.json" || name == "manifest.json.partial" || name == StoreLock.name || isGeneration(name) || OutputFile.isTemporary(name)
    }

    /// "generation-3" or "generation-3.1": a folder that `unusedDirectory` names.
    private static func isGeneration(_ name: String) -> Bool {
        guard name.hasPrefix("generation-") else { return false }
        let parts = name.dropFirst("generation-".count).split(separator: ".", omittingEmptySubsequences: false)
        return parts.count <= 2 && parts.allSatisfy { !$0.isEmpty && $0.allSatisfy(\.isNumber) }
    }

    private func removeLeftovers() throws {
        let named = Set(manifest.generations.map(\.directory))
        for name in File.names(in: directory) where Self.isGeneration(name) && !named.contains(name) {
            try File.remove("\(directory)/\(name)")
        }
        try File.remove("\(manifestFile).partial")
    }

    public func geometry() -> SequenceGeometry? {
        SequenceGeometry(tokens: manifest.tokens, patchSize: manifest.patchSize)
    }

    /// Opens a complete generation for reading.
    ///
    /// - Throws: `Fault` with kind `usage` when the store has none of that index.
    public func reader(_ index: Int) throws -> GenerationReader {
        let held = manifest.generations.filter(\.complete).map { String($0.index) }.joined(separator: ", ")
        guard let record = manifest.generation(index), record.complete, let geometry = geometry() else {
            throw Fault(.usage, "the store holds no complete generation \(index)", at: Place(file: directory), advice: "It holds: \(held). `forward --keep all` keeps every one.")
        }
        return try GenerationReader(store: directory, identity: identity(of: record), record: record, geometry: geometry)
    }

    public func identity(of record: GenerationRecord) -> GenerationIdentity {
        GenerationIdentity(store: manifest.store, record: record, patchSize: manifest.patchSize)
    }

    /// A new store's name.
    public static func newName() -> String { UUID().uuidString.lowercased() }
}

/// The right to write a store: an advisory lock that the system drops with the process.
public final class StoreLock {
    static let name = "lock"
    private let descriptor: Int32

    init(_ directory: String) throws {
        let path = "\(directory)/\(Self.name)"
        descriptor = File.descriptor(path, O_RDWR | O_CREAT, mode: 0o644)
        guard descriptor >= 0 else { throw File.fault(.cannotCreate, "cannot open the store's lock", path) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw Fault(.cannotCreate, "another bbp-stream is writing this store", at: Place(file: directory), advice: "Wait for it to end, or stop it.")
        }
    }

    deinit {
        // Not left to `close`: a child being started at this moment holds the descriptor too, until it runs its program.
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }
}
