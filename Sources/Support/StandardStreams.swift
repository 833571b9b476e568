import Glibc

/// Descriptors 0, 1 and 2 belong to the standard streams, whatever the process was started with.
public enum StandardStreams {
    /// Opens /dev/null on those that are closed: the next file that is opened would take their number, and receive what is
    /// meant for people.
    public static func occupy() {
        for descriptor: Int32 in 0...2 where fcntl(descriptor, F_GETFD) < 0 && errno == EBADF {
            // The lowest number that is free: this one.
            _ = open("/dev/null", descriptor == 0 ? O_RDONLY : O_WRONLY)
        }
    }
}
