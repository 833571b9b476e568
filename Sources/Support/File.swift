import Glibc

/// The few file operations that the engine needs, with errors that name the path.
package enum File {
    /// What the system says of the file that a path leads to, links followed; nil when there is none.
    package static func info(_ path: String) -> stat? {
        var info = stat()
        return path.withFileName { stat($0, &info) } == 0 ? info : nil
    }

    /// The same of a link itself.
    package static func infoOfLink(_ path: String) -> stat? {
        var info = stat()
        return path.withFileName { lstat($0, &info) } == 0 ? info : nil
    }

    /// A descriptor that programs started from here do not get, or -1 with `errno`.
    package static func descriptor(_ path: String, _ flags: Int32, mode: mode_t = 0) -> Int32 {
        path.withFileName { open($0, flags | O_CLOEXEC, mode) }
    }

    /// The size of a regular file in bytes; nil when there is none.
    package static func size(_ path: String) -> Int? { info(path).flatMap { $0.isRegular ? Int($0.st_size) : nil } }

    package static func isDirectory(_ path: String) -> Bool { info(path)?.isDirectory == true }

    /// Whether there is anything under this name, a link that leads nowhere too.
    package static func exists(_ path: String) -> Bool { infoOfLink(path) != nil }

    /// Whether the process may use what a path leads to as `mode` says: R_OK, W_OK, X_OK.
    package static func isAccessible(_ path: String, _ mode: Int32) -> Bool {
        path.withFileName { access($0, mode) } == 0
    }

    /// What a path leads to, links followed and spelled in one way; nil where that is not there.
    package static func resolved(_ path: String) -> String? {
        guard let resolved = path.withFileName({ realpath($0, nil) }) else { return nil }
        defer { free(resolved) }
        return FileName.text(resolved)
    }

    /// What a link says; nil where `path` is no link.
    package static func link(_ path: String) -> String? {
        var bytes = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        return path.withFileName { readlink($0, &bytes, bytes.count - 1) } > 0 ? FileName.text(bytes) : nil
    }

    /// Names in a folder; empty when it cannot be read.
    package static func names(in directory: String) -> [String] { (try? list(directory)) ?? [] }

    /// Names in a folder, in one order always.
    ///
    /// - Throws: `Fault` (`inputOutput`) when it cannot be read.
    package static func list(_ directory: String) throws -> [String] {
        guard let handle = directory.withFileName(opendir) else {
            throw fault(.inputOutput, "cannot read the folder", directory)
        }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { FileName.text($0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Creates a folder; that it is there already is no error.
    package static func makeDirectory(_ path: String) throws {
        if path.withFileName({ mkdir($0, 0o755) }) == 0 || (errno == EEXIST && isDirectory(path)) { return }
        throw fault(.cannotCreate, "cannot create the folder", path)
    }

    /// Removes a file or a whole folder; that it is not there is no error.
    package static func remove(_ path: String) throws {
        guard let info = infoOfLink(path) else { return }
        if info.isDirectory { for name in names(in: path) { try remove("\(path)/\(name)") } }
        let status = path.withFileName { info.isDirectory ? rmdir($0) : unlink($0) }
        guard status == 0 || errno == ENOENT else { throw fault(.inputOutput, "cannot remove", path) }
    }

    /// Gives a file or folder another name, in one step.
    package static func rename(_ path: String, to other: String) throws {
        let status = path.withFileName { from in other.withFileName { Glibc.rename(from, $0) } }
        guard status == 0 else { throw fault(.cannotCreate, "cannot put in place", other) }
    }

    /// $TMPDIR or /tmp.
    package static var temporaryFolder: String { FileName.variable("TMPDIR") ?? "/tmp" }

    /// Bytes that `read` takes at most.
    private static let largestRead = 256 << 20

    /// The whole of a small regular file: a pipe would have it wait, and a device has no end.
    package static func read(_ path: String) throws -> [UInt8] {
        // Opening a pipe that nobody writes would wait, too.
        let descriptor = descriptor(path, O_RDONLY | O_NONBLOCK)
        guard descriptor >= 0 else { throw fault(.noInput, "cannot read", path) }
        defer { close(descriptor) }
        var info = stat()
        guard fstat(descriptor, &info) == 0, info.isRegular else {
            throw Fault(
                .noInput, info.isDirectory ? "this is a folder, not a file" : "not a regular file",
                at: Place(file: path))
        }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw fault(.inputOutput, "cannot read", path) }
            if count == 0 { return bytes }
            guard bytes.count <= largestRead - count else {
                throw Fault(
                    .badData,
                    "the file is longer than \(ByteCount.text(largestRead)), which is no length for what it is",
                    at: Place(file: path))
            }
            bytes.append(contentsOf: chunk[0..<count])
        }
    }

    /// Replaces `path` by `bytes` in one step: written beside it, synced, renamed, and the folder synced.
    /// A reader sees the old file or the new one, also after a power cut.
    ///
    /// - Parameter isFollowingLinks: what a link leads to is replaced; else the name itself is, whatever stands there.
    package static func replace(_ path: String, with bytes: [UInt8], isFollowingLinks: Bool = true) throws {
        let output = try OutputFile(path, isFollowingLinks: isFollowingLinks)
        try bytes.withUnsafeBytes { try output.write($0) }
        try output.publish()
    }

    /// Makes names in a folder durable.
    package static func syncDirectory(_ path: String) throws {
        let descriptor = descriptor(path.isEmpty ? "." : path, O_RDONLY | O_DIRECTORY)
        guard descriptor >= 0 else { throw fault(.inputOutput, "cannot open the folder", path) }
        defer { close(descriptor) }
        // Some file systems cannot sync a folder and say EINVAL; there is nothing more to ask of them.
        guard fsync(descriptor) == 0 || errno == EINVAL else {
            throw fault(.inputOutput, "cannot sync the folder", path)
        }
    }

    /// Bytes that an ordinary user can still write to the file system of `path`.
    package static func freeBytes(at path: String) -> Int? {
        var info = statvfs()
        guard path.withFileName({ statvfs($0, &info) }) == 0 else { return nil }
        let (bytes, overflow) = Int(clamping: info.f_bavail).multipliedReportingOverflow(by: Int(info.f_frsize))
        return overflow ? Int.max : bytes
    }

    /// Tells the system that what a file holds is not read again soon: its memory is for others. Only synced pages go.
    package static func forget(_ path: String) {
        let descriptor = descriptor(path, O_RDONLY)
        guard descriptor >= 0 else { return }
        posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
        close(descriptor)
    }

    /// The folder of a path: "." where it names none.
    package static func parent(of path: String) -> String {
        guard let slash = path.unicodeScalars.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// A path without slashes at its end, as a completed name of a folder has.
    package static func withoutEndingSlashes(_ path: String) -> String {
        var scalars = path.unicodeScalars[...]
        while scalars.count > 1, scalars.last == "/" { scalars.removeLast() }
        return String(scalars)
    }

    /// The last part of a path.
    package static func name(of path: String) -> String {
        path.unicodeScalars.lastIndex(of: "/").map { String(path[path.unicodeScalars.index(after: $0)...]) } ?? path
    }

    /// An error with the system's own words for `errno`.
    package static func fault(_ kind: Fault.Kind, _ action: String, _ path: String, offset: Int? = nil) -> Fault {
        let code = errno
        let advice = code == ENOSPC ? "The disk is full: free space and run the same command again." : nil
        return Fault(
            kind, "\(action): \(String(cString: strerror(code)))", at: Place(file: path, byteOffset: offset),
            advice: advice)
    }
}

extension stat {
    package var isRegular: Bool { st_mode & S_IFMT == S_IFREG }
    package var isDirectory: Bool { st_mode & S_IFMT == S_IFDIR }
    /// The file itself, whatever it is called.
    package var identity: FileIdentity { FileIdentity(device: UInt64(st_dev), number: UInt64(st_ino)) }
}

/// One file, by all its names.
package struct FileIdentity: Hashable, Sendable {
    let device: UInt64
    let number: UInt64
}
