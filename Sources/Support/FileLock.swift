import Glibc

/// The right to write a file that is gone on with: an advisory lock, dropped with the process.
package final class FileLock {
    private let descriptor: Int32

    /// - Throws: `Fault` (`cannotCreate`) where another process has it, or the file cannot be opened.
    package init(_ path: String) throws {
        descriptor = File.descriptor(path, O_RDONLY)
        guard descriptor >= 0 else { throw File.fault(.cannotCreate, "cannot open", path) }
        do { try Self.take(descriptor, path) } catch {
            close(descriptor)
            throw error
        }
    }

    deinit { close(descriptor) }

    /// Locks an open file.
    package static func take(_ descriptor: Int32, _ path: String) throws {
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            throw Fault(
                .cannotCreate, "another bbp-stream is writing this file", at: Place(file: path),
                advice: "Wait for it to end, or name another file.")
        }
    }
}
