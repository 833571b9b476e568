import Glibc
import PageStore
import ProtonModel
import StreamEngine
import Support

/// Scores standard input as it comes, without a store and without an end: surprisal within a second of its bytes.
struct StreamScore {
    var model: Model
    var nll: String?
    var memory: Int?
    var threads: Int?
    var state: Element?
    var compute: Compute?
    /// Files that a run goes on from, and that the next one can.
    var resumed: String?
    var saved: String?

    struct Result {
        var bytes: Int
        var bits: Double
        /// Of these, read by earlier runs.
        var earlier: Int
        var seconds: Double
        var isInterrupted: Bool
        /// Bytes that came and were not scored before a signal.
        var unscored: Int

        var bitsPerByte: Double { bits / Double(max(1, bytes)) }
    }

    /// Bytes read at a time.
    private static let chunk = 1 << 18
    /// Seconds between two looks at what is not yet a whole block.
    private static let patience = 1.0

    /// Reads until the input ends or a signal asks to stop; then saves the state, where one is wanted.
    ///
    /// - Parameter report: called about every second.
    func run(report: (_ bytes: Int, _ bitsPerByte: Double) -> Void) throws -> Result {
        var kept = OutputGuard()
        kept.keep(model: model.directory)
        kept.keep(input: "-")
        if let saved { try kept.check(saved, option: "save-state") }
        if let resumed { kept.keep(input: resumed) }
        if let nll {
            try kept.check(nll, option: "nll")
            if let saved, let target = try OutputFile.target(nll), try OutputFile.target(saved) == target {
                throw Fault(
                    .usage, "the state is to be saved in the same file", at: Place(file: nll, option: "nll"),
                    advice: "Name another file.")
            }
        }
        let watch = Stopwatch()
        let run = try StreamRun(
            model, memory: memory, threads: threads, state: state, compute: compute,
            from: resumed.map { try StreamState(path: $0) })
        let earlier = run.tokens
        // Documents begin with BOS, as `ingest` has it; an end there may never be.
        if run.tokens == 0 { run.append([256]) }
        // Of an earlier run's values those that are there stay, and nothing is made before there are bytes.
        let written = resumed == nil ? nil : max(0, run.reported - 1)
        var array: GrowingArray?
        if let nll, resumed != nil { array = try GrowingArray(nll, after: written) }
        let chunk = try Memory<UInt8>(Self.chunk)
        var (flushed, isEnded) = (watch.seconds, false)
        while !isEnded && !Interruption.isRequested {
            let count = try read(chunk, atMost: max(0, flushed + Self.patience - watch.seconds))
            if let count {
                isEnded = count == 0
                if count > 0, array == nil, let nll { array = try GrowingArray(nll) }
                run.append((0..<count).map { UInt16(chunk[$0]) })
            }
            let isDue = isEnded || watch.seconds - flushed >= Self.patience
            do {
                try run.compute(isFlush: isDue && run.tokens > 1) { values in
                    // Nothing is said of BOS, which is no byte.
                    let first = run.reported == 0 ? 1 : 0
                    try array?.write(UnsafeBufferPointer(rebasing: values[first...]))
                }
            } catch {
                // The bytes do not come again.
                if let saved { try? run.state.write(to: saved) }
                throw error
            }
            if isDue {
                flushed = watch.seconds
                report(run.bitsCount, run.bits / Double(max(1, run.bitsCount)))
            }
        }
        if isEnded && run.tokens <= 1 { throw Fault(.noInput, "the input is empty", at: Place(file: "-")) }
        if let saved { try run.state.write(to: saved) }
        try array?.close()
        return Result(
            bytes: run.bitsCount, bits: run.bits, earlier: max(0, earlier - 1), seconds: watch.seconds,
            isInterrupted: !isEnded, unscored: max(0, run.tokens - max(1, run.reported)))
    }

    /// What has come; nil where nothing did within `seconds`, or a signal came. 0 at the end.
    private func read(_ chunk: Memory<UInt8>, atMost seconds: Double) throws -> Int? {
        var waiting = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
        let ready = poll(&waiting, 1, Int32((1000 * seconds).rounded(.up)))
        if ready == 0 || (ready < 0 && errno == EINTR) { return nil }
        let count = Glibc.read(0, chunk.start, chunk.count)
        if count < 0 && (errno == EINTR || errno == EAGAIN) { return nil }
        guard count >= 0 else { throw File.fault(.inputOutput, "cannot read", "-") }
        return count
    }
}
