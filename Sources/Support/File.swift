import Glibc

/// The few file operations that the engine needs, with errors that name the path.
public enum File {
    /// The size of a regular file in bytes; nil when there is none.
    public static func size(_ path: String) -> Int? {
        var info = stat()
        guard stat(path, &info) == 0, info.st_mode & S_IFMT == S_IFREG else { return nil }
        return info.st_size
    }

    public static func isDirectory(_ path: String) -> Bool {
        var info = stat()
        return stat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFDIR
    }

    public static func exists(_ path: String) -> Bool {
        var info = stat()
        return lstat(path, &info) == 0
    }

    /// Whether two paths lead to one file that is there.
    public static func isSame(_ path: String, _ other: String) -> Bool {
        var (mine, theirs) = (stat(), stat())
        return stat(path, &mine) == 0 && stat(other, &theirs) == 0 && mine.st_dev == theirs.st_dev && mine.st_ino == theirs.st_ino
    }

    /// Names in a folder, sorted; empty when it cannot be read.
    public static func names(in directory: String) -> [String] {
        guard let handle = opendir(directory) else { return [] }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Creates a folder; that it is there already is no error.
    public static func makeDirectory(_ path: String) throws {
        if mkdir(path, 0o755) == 0 || (errno == EEXIST && isDirectory(path)) { return }
        throw fault(.cannotCreate, "cannot create the folder", path)
    }

    /// Removes a file or a whole folder; that it is gone already is no error.
    public static func remove(_ path: String) throws {
        var info = stat()
        guard lstat(path, &info) == 0 else { return }
        if info.st_mode & S_IFMT == S_IFDIR {
            for name in names(in: path) { try remove("\(path)/\(name)") }
            guard rmdir(path) == 0 || errno == ENOENT else { throw fault(.inputOutput, "cannot remove", path) }
        } else {
            guard unlink(path) == 0 || errno == ENOENT else { throw fault(.inputOutput, "cannot remove", path) }
        }
    }

    /// A folder of this process's own under `parent`, by default $TMPDIR or /tmp.
    public static func makeTemporaryDirectory(_ name: String, in parent: String? = nil) throws -> String {
        let chosen = parent ?? getenv("TMPDIR").map { String(cString: $0) } ?? ""
        // mkdtemp puts letters in place of the last six.
        let path = "\(chosen.isEmpty ? "/tmp" : chosen)/\(name)-XXXXXX"
        var filled = Array(path.utf8CString)
        guard mkdtemp(&filled) != nil else { throw fault(.cannotCreate, "cannot create a temporary folder", path) }
        return String(decoding: filled.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// The whole of a small file.
    public static func read(_ path: String) throws -> [UInt8] {
        if isDirectory(path) { throw Fault(.noInput, "this is a folder, not a file", at: Place(file: path)) }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw fault(.noInput, "cannot read", path) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw fault(.inputOutput, "cannot read", path) }
            if count == 0 { return bytes }
            bytes.append(contentsOf: chunk[0..<count])
        }
    }

    /// Replaces `path` by `bytes` in one step: written beside it, synced, renamed, and the folder synced.
    /// A reader sees the old file or the new one, also after a power cut.
    public static func replace(_ path: String, with bytes: [UInt8]) throws {
        let output = try OutputFile(path)
        try bytes.withUnsafeBytes { try output.write($0) }
        try output.publish()
    }

    /// Makes names in a folder durable.
    public static func syncDirectory(_ path: String) throws {
        let descriptor = open(path.isEmpty ? "." : path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw fault(.inputOutput, "cannot open the folder", path) }
        defer { close(descriptor) }
        // Some file systems cannot sync a folder and say EINVAL; there is nothing more to ask of them.
        guard fsync(descriptor) == 0 || errno == EINVAL else { throw fault(.inputOutput, "cannot sync the folder", path) }
    }

    /// Bytes that an ordinary user can still write to the file system of `path`.
    public static func freeBytes(at path: String) -> Int? {
        var info = statvfs()
        guard statvfs(path, &info) == 0 else { return nil }
        let (bytes, overflow) = Int(clamping: info.f_bavail).multipliedReportingOverflow(by: Int(info.f_frsize))
        return overflow ? Int.max : bytes
    }

    /// Tells the system that what a file holds is not read again soon: its memory is for others. Only synced pages go.
    public static func forget(_ path: String) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
        close(descriptor)
    }

    /// The folder of a path: "." where it names none.
    public static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// An error with the system's own words for `errno`.
    public static func fault(_ kind: Fault.Kind, _ action: String, _ path: String, offset: Int? = nil) -> Fault {
        let code = errno
        let advice = code == ENOSPC ? "The disk is full: free space and run the same command again." : nil
        return Fault(kind, "\(action): \(String(cString: strerror(code)))", at: Place(file: path, byteOffset: offset), advice: advice)
    }
}

/// A file that appears under its name only when it is complete: written as `NAME.partial`, then renamed.
/// Dropped without `publish`, it leaves nothing behind.
public final class OutputFile {
    public let path: String
    /// What `path` leads to, links followed.
    private let target: String
    /// Where it is written until it is complete; nil for a device or pipe, which takes the bytes as they come.
    private let temporary: String?
    private let descriptor: Int32
    private var published = false

    public init(_ path: String) throws {
        self.path = path
        if File.isDirectory(path) { throw Fault(.cannotCreate, "this is a folder; a file is to be written here", at: Place(file: path)) }
        // A device or pipe, also one that a link leads to, is written to and stays what it is.
        var info = stat()
        let isSpecial = stat(path, &info) == 0 && info.st_mode & S_IFMT != S_IFREG
        let resolved = realpath(path, nil)
        target = resolved.map { String(cString: $0) } ?? path
        free(resolved)
        temporary = isSpecial ? nil : "\(target).partial"
        descriptor = isSpecial ? open(path, O_WRONLY | O_CLOEXEC) : open("\(target).partial", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw File.fault(.cannotCreate, "cannot create", path) }
    }

    /// Whether a file can be made here, asked without making one.
    public static func check(_ path: String) throws {
        if File.isDirectory(path) { throw Fault(.cannotCreate, "this is a folder; a file is to be written here", at: Place(file: path)) }
        let exists = File.exists(path) && File.size(path) == nil
        guard access(exists ? path : File.parent(of: path), W_OK) == 0 else { throw File.fault(.cannotCreate, "cannot create", path) }
    }

    deinit {
        if !published {
            close(descriptor)
            if let temporary { unlink(temporary) }
        }
    }

    public func write(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes
        while !rest.isEmpty {
            let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw File.fault(.inputOutput, "cannot write", path) }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    public func publish() throws {
        guard fsync(descriptor) == 0 || errno == EINVAL else { throw File.fault(.inputOutput, "cannot sync", path) }
        published = true
        close(descriptor)
        guard let temporary else { return }
        guard rename(temporary, target) == 0 else {
            let fault = File.fault(.cannotCreate, "cannot put the finished file in place", path)
            unlink(temporary)
            throw fault
        }
        try File.syncDirectory(File.parent(of: target))
    }
}
