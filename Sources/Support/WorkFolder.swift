import Glibc

/// A folder for what a command needs while it runs: removed when the object goes, when the process is stopped, or,
/// after a kill, when the next process makes one in the same place.
///
/// Its maker holds a lock on it, which the system drops with the process: so a folder in use is told from an abandoned
/// one.
package final class WorkFolder {
    package let path: String
    private let descriptor: Int32
    private let cleanup: Cleanup.Entry

    /// Makes `parent`/`name`-XXXXXX, and removes abandoned folders of that name.
    ///
    /// - Parameter parent: $TMPDIR or /tmp if not given.
    package init(_ name: String, in parent: String? = nil) throws {
        let parent = parent ?? File.temporaryFolder
        for other in File.names(in: parent) where other.hasPrefix(name + "-") && other.utf8.count == name.utf8.count + 7
        {
            Leftover.remove("\(parent)/\(other)")
        }
        // mkdtemp puts letters in place of the last six. Nobody takes the folder for abandoned before it is locked:
        // until then it is called otherwise.
        let template = "\(parent)/.new-\(name)-XXXXXX"
        var filled = FileName.bytes(template) + [0]
        let isMade =
            filled.withUnsafeMutableBytes {
                $0.baseAddress.map { mkdtemp($0.assumingMemoryBound(to: CChar.self)) } ?? nil
            } != nil
        guard isMade else { throw File.fault(.cannotCreate, "cannot create a temporary folder", parent) }
        let made = FileName.text(filled.dropLast())
        let path = "\(parent)/\(name)-\(made.suffix(6))"
        descriptor = File.descriptor(made, O_RDONLY | O_DIRECTORY)
        self.path = path
        cleanup = Cleanup.add { try? File.remove(path) }
        guard descriptor >= 0, flock(descriptor, LOCK_EX | LOCK_NB) == 0, (try? File.rename(made, to: path)) != nil
        else {
            let fault = File.fault(.cannotCreate, "cannot create a temporary folder", parent)
            try? File.remove(made)
            throw fault
        }
    }

    deinit {
        try? File.remove(path)
        Cleanup.cancel(cleanup)
        if descriptor >= 0 { close(descriptor) }
    }
}

/// What a killed process left behind.
enum Leftover {
    /// Removes a file or folder that this user's process made and locked, and whose lock nobody holds any more.
    static func remove(_ path: String) {
        let descriptor = File.descriptor(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var info = stat()
        guard fstat(descriptor, &info) == 0, info.isRegular || info.isDirectory, info.st_uid == geteuid(),
            flock(descriptor, LOCK_EX | LOCK_NB) == 0
        else { return }
        try? File.remove(path)
    }
}
