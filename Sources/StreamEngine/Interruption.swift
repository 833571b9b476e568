import Glibc
import Support
import Synchronization

/// SIGINT and SIGTERM as a question that long work asks itself where it can stop cleanly.
///
/// The first signal asks; work ends at its next commit. The second stops the process at once, which loses nothing
/// that was committed.
public enum Interruption {
    private static let signals = Atomic<Int>(0)

    /// Takes over SIGINT and SIGTERM. Without SA_RESTART, so that a read from a pipe or terminal wakes up.
    public static func install() {
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { _ in
            if Interruption.signals.wrappingAdd(1, ordering: .relaxed).newValue > 1 { _exit(75) }
        }
        sigaction(SIGINT, &action, nil)
        sigaction(SIGTERM, &action, nil)
        // Model weights and LMDB's index are mapped: a file cut short or a disk that fails while they are read is this signal.
        signal(SIGBUS) { _ in
            let text: StaticString = "bbp-stream: a mapped file cannot be read: it was cut short, or its disk failed. What was committed is kept.\n"
            write(2, text.utf8Start, text.utf8CodeUnitCount)
            _exit(74)
        }
        // A reader that goes away is an error of the write, not the end of the process.
        signal(SIGPIPE, SIG_IGN)
    }

    public static var isRequested: Bool { signals.load(ordering: .relaxed) > 0 }

    /// - Throws: `Fault` (`interrupted`) when a signal came; `state` says what became of the work.
    static func check(_ state: () -> String) throws {
        if isRequested { throw Fault(.interrupted, "interrupted: \(state())") }
    }
}
