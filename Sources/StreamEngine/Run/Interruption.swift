import Glibc
import Support
import Synchronization

/// SIGINT, SIGTERM and SIGHUP as a question that long work asks itself where it can stop cleanly.
///
/// The first signal asks; work ends at its next commit. The second ends the process at once, which loses nothing that
/// was committed; what is half made is removed first (`Cleanup`). A third does not wait for that.
package enum Interruption {
    private static let signals = Atomic<Int>(0)
    private static let isSpeakingJSON = Atomic<Bool>(false)
    /// A byte in this pipe ends the process: its exit status. A signal's handler may do little more than write it.
    private static let ending = Atomic<Int32>(-1)

    /// Takes over the signals. Without SA_RESTART, so that a read from a pipe or terminal wakes up.
    ///
    /// - Parameter isSpeakingJSON: every line of standard error is a JSON object.
    package static func install(isSpeakingJSON: Bool = false) {
        Self.isSpeakingJSON.store(isSpeakingJSON, ordering: .relaxed)
        startEnding()
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { _ in
            let count = Interruption.signals.wrappingAdd(1, ordering: .relaxed).newValue
            if count == 2 { Interruption.end(75) }
            if count > 2 { _exit(75) }
        }
        sigaction(SIGINT, &action, nil)
        sigaction(SIGTERM, &action, nil)
        // `nohup` has it ignored.
        var hangup = sigaction()
        sigaction(SIGHUP, nil, &hangup)
        if unsafeBitCast(hangup.__sigaction_handler.sa_handler, to: Int.self) != unsafeBitCast(SIG_IGN, to: Int.self) {
            sigaction(SIGHUP, &action, nil)
        }
        // Model weights and LMDB's index are mapped: a file cut short or a disk that fails while they are read is this
        // signal.
        signal(SIGBUS) { _ in
            let people: StaticString =
                "bbp-stream: a mapped file cannot be read: it was cut short, or its disk failed. What was committed is kept.\n"
            let programs: StaticString = """
                {"event": "error", "status": 74, "text": "a mapped file cannot be read: it was cut short, or its disk failed"}

                """
            let text = Interruption.isSpeakingJSON.load(ordering: .relaxed) ? programs : people
            write(2, text.utf8Start, text.utf8CodeUnitCount)
            Interruption.end(74)
            // The thread cannot go on from here.
            while true { pause() }
        }
        // A reader that goes away is an error of the write, not the end of the process.
        signal(SIGPIPE, SIG_IGN)
        // And so is a file that may not grow further.
        signal(SIGXFSZ, SIG_IGN)
    }

    package static var isRequested: Bool { signals.load(ordering: .relaxed) > 0 }

    /// - Throws: `Fault` (`interrupted`) when a signal came; `state` says what became of the work.
    static func check(_ state: () -> String) throws {
        if isRequested { throw Fault(.interrupted, "interrupted: \(state())") }
    }

    /// A thread that waits for a signal's word to end the process, removes what is half made, and ends it.
    private static func startEnding() {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let argument = UnsafeMutablePointer<Int32>.allocate(capacity: 1)
        argument.initialize(to: ends[0])
        var thread = pthread_t()
        let status = pthread_create(
            &thread, nil,
            { argument in
                guard let word = argument?.assumingMemoryBound(to: Int32.self).pointee else { return nil }
                var status: UInt8 = 0
                while read(word, &status, 1) != 1 { if errno != EINTR { return nil } }
                Cleanup.run()
                _exit(Int32(status))
            }, argument)
        if status == 0 { ending.store(ends[1], ordering: .relaxed) }
    }

    private static func end(_ status: UInt8) {
        let pipe = ending.load(ordering: .relaxed)
        var status = status
        if pipe < 0 || write(pipe, &status, 1) != 1 { _exit(Int32(status)) }
    }
}
