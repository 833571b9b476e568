import Glibc
import PageStore
import Support

/// What lies in a folder, by path: enough to see whether anything was written, added or removed.
struct Snapshot: Equatable {
    struct Entry: Equatable {
        var mode: UInt32
        var bytes: Int
        var inode: UInt
        /// When it was written last; nothing of a folder, whose names are looked at instead.
        var seconds: Int
        var nanoseconds: Int
    }

    private(set) var entries: [String: Entry] = [:]

    init(_ folder: String) { add(folder, "") }

    private mutating func add(_ folder: String, _ prefix: String) {
        for name in File.names(in: folder) {
            let path = "\(folder)/\(name)"
            var info = stat()
            guard lstat(path, &info) == 0 else { continue }
            let isFolder = info.st_mode & S_IFMT == S_IFDIR
            entries[prefix + name] = Entry(
                mode: info.st_mode, bytes: isFolder ? 0 : info.st_size, inode: info.st_ino,
                seconds: isFolder ? 0 : info.st_mtim.tv_sec, nanoseconds: isFolder ? 0 : info.st_mtim.tv_nsec)
            if isFolder { add(path, "\(prefix)\(name)/") }
        }
    }

    /// Makes everything in `folder` look long unwritten: a file system's clock is too coarse to tell two writes apart.
    static func age(_ folder: String) {
        var times = [timespec(tv_sec: 1_000_000_000, tv_nsec: 0), timespec(tv_sec: 1_000_000_000, tv_nsec: 0)]
        for name in Snapshot(folder).entries.keys {
            utimensat(AT_FDCWD, "\(folder)/\(name)", &times, AT_SYMLINK_NOFOLLOW)
        }
    }

    /// The first difference in words; nil where there is none.
    ///
    /// - Parameter counts: what is looked at; everything else may differ.
    func difference(from before: Snapshot, where counts: (String) -> Bool = { _ in true }) -> String? {
        for name in Set(entries.keys).union(before.entries.keys).sorted() where counts(name) {
            switch (before.entries[name], entries[name]) {
            case (nil, _): return "\(name) was made"
            case (_, nil): return "\(name) was deleted"
            case (let old?, let new?): if old != new { return "\(name) was changed" }
            }
        }
        return nil
    }
}

enum Files {
    /// Whether a folder between `folder` and `path` is a link.
    static func isBehindLink(_ path: String, in folder: String) -> Bool {
        var parent = File.parent(of: path)
        while parent.count > folder.count {
            var info = stat()
            if lstat(parent, &info) == 0, info.st_mode & S_IFMT == S_IFLNK { return true }
            parent = File.parent(of: parent)
        }
        return false
    }

    /// The bytes of a regular file; nothing of what cannot be read.
    static func read(_ path: String) -> [UInt8] {
        // A pipe that an earlier change made would have it wait.
        let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        var info = stat()
        guard fstat(descriptor, &info) == 0, info.st_mode & S_IFMT == S_IFREG else { return [] }
        return [UInt8](unsafeUninitializedCapacity: info.st_size) { buffer, count in
            while count < buffer.count {
                let more = Glibc.read(descriptor, buffer.baseAddress! + count, buffer.count - count)
                if more <= 0 { break }
                count += more
            }
        }
    }

    static func write(_ path: String, _ bytes: [UInt8]) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw File.fault(.cannotCreate, "cannot create", path) }
        defer { close(descriptor) }
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress! + done, bytes.count - done)
            }
            guard count > 0 else { throw File.fault(.inputOutput, "cannot write", path) }
            done += count
        }
    }

    static func copy(_ folder: String, to target: String) throws {
        try File.makeDirectory(target)
        for name in File.names(in: folder) {
            let (from, to) = ("\(folder)/\(name)", "\(target)/\(name)")
            if File.isDirectory(from) { try copy(from, to: to) } else { try write(to, read(from)) }
        }
    }
}
