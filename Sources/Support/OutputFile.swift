import Glibc

/// A file that appears under its name only when it is complete.
///
/// It is written without a name, in the folder it will be in, and gets its name at the end: dropped without `publish`,
/// or with the process killed, it leaves nothing behind. Where the file system cannot do that, it has a name of its own
/// until then, which nobody else uses. A stream, a device or a pipe takes the bytes as they come.
package final class OutputFile {
    /// What an output path stands for.
    enum Place: Equatable {
        /// A descriptor that the process was given: "-", /dev/stdout, /dev/fd/3, or a link to one of these.
        case stream(Int32)
        /// A device or named pipe.
        case special
        /// A file, there or not, links followed.
        case file(String)
    }

    package let path: String
    private let place: Place
    private let descriptor: Int32
    /// The folder of a file, as it was at the start: a link put in its place later leads nowhere.
    private let folder: Folder?
    /// The name until it is complete; nil where it has none.
    private var temporary: Temporary?
    private var isPublished = false

    /// A file under a name that nobody else uses, locked as long as somebody writes it.
    private struct Temporary {
        var name: String
        /// Removes it should the process be stopped.
        var cleanup: Cleanup.Entry
    }

    /// - Parameters:
    ///   - isNameless: write without a name where the file system can.
    ///   - isFollowingLinks: links, streams and devices are what they stand for; else the name is replaced.
    /// - Throws: `Fault` (`cannotCreate`).
    package init(_ path: String, isNameless: Bool = true, isFollowingLinks: Bool = true) throws {
        self.path = path
        place = try isFollowingLinks ? Self.place(of: path) : .file(path)
        switch place {
        case .stream(let given):
            folder = nil
            descriptor = fcntl(given, F_DUPFD_CLOEXEC, 3)
        case .special:
            folder = nil
            descriptor = File.descriptor(path, O_WRONLY)
            if descriptor < 0 && errno == EINTR {
                throw Fault(.interrupted, "interrupted: nobody has read from here yet", at: Support.Place(file: path))
            }
        case .file(let target):
            let folder = try Folder(of: target, for: path)
            self.folder = folder
            for name in File.names(in: folder.path) where Self.isTemporary(name) {
                Leftover.remove("\(folder.path)/\(name)")
            }
            let nameless = isNameless && File.isAccessible("/proc/self/fd", X_OK) ? folder.nameless() : -1
            if nameless >= 0 {
                descriptor = nameless
                // It has a name of its own for a moment, and is not to be taken for abandoned then.
                flock(nameless, LOCK_EX | LOCK_NB)
            } else {
                (descriptor, temporary) = try Self.makeNamed(in: folder, for: path)
            }
            // What replaces a file may be read by whom that was read by.
            if let old = File.info(target), old.isRegular { fchmod(descriptor, old.st_mode & 0o777) }
        }
        guard descriptor >= 0 else { throw File.fault(.cannotCreate, "cannot create", path) }
    }

    /// Whether an output can be made here, asked without making one.
    package static func check(_ path: String) throws {
        switch try place(of: path) {
        case .stream(let given):
            let flags = fcntl(given, F_GETFL)
            if flags >= 0 && flags & O_ACCMODE == O_RDONLY { errno = EBADF }
            guard flags >= 0, flags & O_ACCMODE != O_RDONLY else {
                throw File.fault(.cannotCreate, "cannot write to the stream", path)
            }
        case .special:
            guard File.isAccessible(path, W_OK) else { throw File.fault(.cannotCreate, "cannot create", path) }
        case .file(let target):
            guard File.isAccessible(File.parent(of: target), W_OK | X_OK),
                !File.exists(target) || File.isAccessible(target, W_OK)
            else {
                throw File.fault(.cannotCreate, "cannot create", path)
            }
        }
    }

    /// Whether what is written goes to standard output, which then has room for nothing else.
    package static func isStandardOutput(_ path: String) -> Bool { (try? place(of: path)) == .stream(1) }

    /// What is there now under an output's name, or behind the stream; nil where there is nothing.
    package static func info(_ path: String) throws -> stat? {
        switch try place(of: path) {
        case .stream(let given):
            var info = stat()
            return fstat(given, &info) == 0 ? info : nil
        case .special: return File.info(path)
        case .file(let target): return File.info(target)
        }
    }

    /// The file that an output becomes, links followed; nil for a stream or device.
    package static func target(_ path: String) throws -> String? {
        if case .file(let target) = try place(of: path) { return target }
        return nil
    }

    static func place(of path: String) throws -> Place {
        func fail(_ problem: String) -> Fault { Fault(.cannotCreate, problem, at: Support.Place(file: path)) }
        if path == "-" { return .stream(1) }
        guard !path.isEmpty else { throw fail("the output has no name") }
        guard !path.utf8.elementsEqual("/".utf8), path.utf8.last != UInt8(ascii: "/"), !File.isDirectory(path) else {
            throw fail("this is a folder; a file is to be written here")
        }
        // Link by link, for what a link to a stream is called says which stream; what is behind it does not.
        var target = path
        for _ in 0..<40 {
            let folder = File.resolved(File.parent(of: target)) ?? File.parent(of: target)
            let name = File.name(of: target)
            // /proc/PID/fd, or that of one thread.
            let parts = folder.split(separator: "/")
            if parts.first == "proc", parts.last == "fd", parts.count >= 3, let given = Int32(name) {
                if parts[1] != "\(getpid())" { return .special }
                if StandardStreams.isGiven(given) { return .stream(given) }
                errno = EBADF
                throw File.fault(.cannotCreate, "cannot write to the stream", path)
            }
            target = folder == "/" ? "/\(name)" : "\(folder)/\(name)"
            guard let next = File.link(target) else {
                if let info = File.info(target), !info.isRegular { return .special }
                return .file(target)
            }
            target = next.utf8.first == UInt8(ascii: "/") ? next : "\(folder)/\(next)"
        }
        throw fail("too many links, one to the other")
    }

    // MARK: Names until it is complete

    private static let prefix = ".bbp-stream-"
    private static let suffix = ".partial"

    /// Whether a name is one that an output has until it is complete.
    package static func isTemporary(_ name: String) -> Bool { name.hasPrefix(prefix) && name.hasSuffix(suffix) }

    private static func makeNamed(in folder: Folder, for path: String) throws -> (Int32, Temporary) {
        let name = unusedName()
        // Nobody takes it for abandoned before it is locked: until then it is called otherwise.
        let made = name + ".new"
        let descriptor = folder.create(made)
        guard descriptor >= 0 else { throw File.fault(.cannotCreate, "cannot create", path) }
        flock(descriptor, LOCK_EX | LOCK_NB)
        guard folder.rename(made, to: name) else {
            let fault = File.fault(.cannotCreate, "cannot create", path)
            folder.unlink(made)
            close(descriptor)
            throw fault
        }
        return (descriptor, Temporary(name: name, cleanup: Cleanup.add { folder.unlink(name) }))
    }

    private static func unusedName() -> String {
        "\(prefix)\(String(UInt64.random(in: 0...UInt64.max), radix: 36))\(suffix)"
    }

    // MARK: Writing

    deinit {
        if isPublished { return }
        close(descriptor)
        drop()
    }

    private func drop() {
        guard let temporary else { return }
        folder?.unlink(temporary.name)
        Cleanup.cancel(temporary.cleanup)
    }

    package func write(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes
        while !rest.isEmpty {
            let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw File.fault(.inputOutput, "cannot write", path) }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    /// Makes the file durable and gives it its name, in place of what had it before.
    package func publish() throws {
        guard case .file(let target) = place else {
            isPublished = true
            // Pipes and terminals cannot be synced.
            let isSynced = fsync(descriptor) == 0 || errno == EINVAL || errno == EROFS
            guard close(descriptor) == 0, isSynced else { throw File.fault(.inputOutput, "cannot write", path) }
            return
        }
        guard fsync(descriptor) == 0 || errno == EINVAL else { throw File.fault(.inputOutput, "cannot sync", path) }
        guard let folder else { return }
        if temporary == nil { try giveName(in: folder) }
        isPublished = true
        close(descriptor)
        guard let name = temporary?.name else { return }
        guard folder.rename(name, to: File.name(of: target)) else {
            let fault = File.fault(.cannotCreate, "cannot put the finished file in place", path)
            drop()
            throw fault
        }
        if let temporary { Cleanup.cancel(temporary.cleanup) }
        try folder.sync(for: path)
    }

    /// A name for a file without one: what had the final name can only be replaced by a rename.
    private func giveName(in folder: Folder) throws {
        for _ in 0..<100 {
            let name = Self.unusedName()
            if folder.link(descriptor, as: name) {
                temporary = Temporary(name: name, cleanup: Cleanup.add { folder.unlink(name) })
                return
            }
            guard errno == EEXIST else { break }
        }
        throw File.fault(.cannotCreate, "cannot put the finished file in place", path)
    }
}

/// An open folder: names in it mean the same files whatever its path leads to by now.
private final class Folder: Sendable {
    let path: String
    private let descriptor: Int32

    init(of target: String, for output: String) throws {
        path = File.parent(of: target)
        // Not opened for reading: one may write into a folder that one may not list.
        descriptor = File.descriptor(path, 0o10_000_000 | O_DIRECTORY)
        guard descriptor >= 0 else { throw File.fault(.cannotCreate, "cannot create", output) }
    }

    deinit { close(descriptor) }

    /// A new file without a name, or -1.
    func nameless() -> Int32 { openat(descriptor, ".", File.temporaryFlag | O_WRONLY | O_CLOEXEC, 0o644) }

    /// A new file, or -1.
    func create(_ name: String) -> Int32 {
        name.withFileName { openat(descriptor, $0, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o644) }
    }

    func link(_ file: Int32, as name: String) -> Bool {
        name.withFileName { linkat(AT_FDCWD, "/proc/self/fd/\(file)", descriptor, $0, AT_SYMLINK_FOLLOW) } == 0
    }

    func rename(_ name: String, to other: String) -> Bool {
        name.withFileName { from in other.withFileName { renameat(descriptor, from, descriptor, $0) } } == 0
    }

    func unlink(_ name: String) { _ = name.withFileName { unlinkat(descriptor, $0, 0) } }

    /// Makes its names durable. A folder that may not be read cannot be synced, and some file systems sync none.
    func sync(for output: String) throws {
        let readable = openat(descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if readable < 0 && errno == EACCES { return }
        defer { if readable >= 0 { close(readable) } }
        guard readable >= 0, fsync(readable) == 0 || errno == EINVAL else {
            throw File.fault(.inputOutput, "cannot sync the folder", output)
        }
    }
}

extension File {
    /// O_TMPFILE, which Swift cannot import: a macro of two flags.
    fileprivate static let temporaryFlag: Int32 = 0o20_000_000 | O_DIRECTORY

    /// A new file in `folder` that has no name, or -1 where the file system cannot make one.
    package static func nameless(in folder: String, _ flags: Int32, mode: mode_t = 0o644) -> Int32 {
        descriptor(folder, flags | temporaryFlag, mode: mode)
    }
}
