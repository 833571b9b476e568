import Glibc

/// Descriptors 0, 1 and 2 belong to the standard streams, whatever the process was started with.
package enum StandardStreams {
    /// Descriptors from 3 on that were open at the start; nil where nobody asked then.
    private static let given = Locked<Set<Int32>?>(nil)

    /// Whether a descriptor came with the process, and is not one that it has opened for itself.
    static func isGiven(_ descriptor: Int32) -> Bool {
        (0...2).contains(descriptor) || given.withLock { $0?.contains(descriptor) ?? true }
    }

    /// Opens /dev/null on those that are closed: the next file that is opened would take their number, and receive what
    /// is meant for people.
    ///
    /// Called before anything else is opened; it notes which other streams the process was given.
    package static func occupy() {
        for descriptor: Int32 in 0...2 where fcntl(descriptor, F_GETFD) < 0 && errno == EBADF {
            // The lowest number that is free: this one.
            _ = open("/dev/null", descriptor == 0 ? O_RDONLY : O_WRONLY)
        }
        var limit = rlimit()
        let end =
            getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0
            ? Int32(clamping: min(limit.rlim_cur, 65_536)) : 1024
        given.withLock { $0 = Set((3..<max(3, end)).filter { fcntl($0, F_GETFD) >= 0 }) }
    }
}
