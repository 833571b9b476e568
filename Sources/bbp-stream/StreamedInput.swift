import Glibc
import PageStore
import ProtonModel
import StreamEngine
import Support

/// Runs a model over standard input as it comes, without a store and without an end: surprisal within a second of its
/// bytes.
struct StreamedInput {
    var model: Model
    /// What there is a value for.
    var values: Values
    var nll: String?
    var memory: Int?
    var threads: Int?
    var state: Element?
    var compute: Compute?
    /// Files that a run goes on from, and that the next one can.
    var resumed: String?
    var saved: String?

    enum Values {
        /// Every byte.
        case bytes
        /// Every token, BOS and EOS included, as a run over a store has it. The end of the input is that of the document.
        case tokens
    }

    struct Result {
        /// Tokens that were given to the model, those of earlier runs included.
        var tokens: Int
        var bytes: Int
        var bits: Double
        /// Of these, read by earlier runs.
        var earlier: Int
        var seconds: Double
        var isInterrupted: Bool
        /// Bytes that came and were not scored before a signal.
        var unscored: Int

        var bitsPerByte: Double { bits / Double(max(1, bytes)) }

        /// - Parameter saved: where the state was saved, if it was.
        /// - Throws: `Fault` (`interrupted`) where a signal came, saying what is kept.
        func checkInterruption(saved: String?) throws {
            if !isInterrupted { return }
            let hasMore = unscored > 0
            let scored =
                hasMore ? "\(exactBytes(unscored)) more came and are not scored" : "all that came is scored"
            let next = saved.map {
                "the next run can go on from \($0.escaped)\(hasMore ? ", which holds them" : "")"
            }
            throw Fault(.interrupted, "interrupted: \(scored); \(next ?? "no state was to be saved")")
        }
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
        for (option, state) in [("save-state", saved), ("from-state", resumed)] where state == "-" {
            throw Fault(
                .usage, "a state is a file, which can be put in place whole", at: Place(option: option),
                advice: "Name a file.")
        }
        if let saved { try kept.check(saved, option: "save-state") }
        // Two runs that go on from one state would each put their own in its place.
        let lock = try saved.flatMap { File.exists($0) ? try FileLock($0) : nil }
        defer { withExtendedLifetime(lock) {} }
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
        let written = resumed == nil ? nil : max(0, run.reported - (values == .bytes ? 1 : 0))
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
                try run.compute(isFlush: isDue && run.tokens > 1) { try write($0, from: run.reported, to: array) }
            } catch var fault as Fault {
                // The bytes do not come again.
                if let saved, (try? run.state.write(to: saved)) != nil {
                    fault.advice =
                        "\(saved.escaped) holds all \(exactBytes(run.tokens - 1)) that came; the next run goes on from there."
                }
                throw fault
            }
            if isDue {
                flushed = watch.seconds
                report(run.bitsCount, run.bits / Double(max(1, run.bitsCount)))
            }
        }
        if isEnded && run.tokens <= 1 { throw Fault(.noInput, "the input is empty", at: Place(file: "-")) }
        if let saved { try run.state.write(to: saved) }
        if isEnded, values == .tokens {
            // What is saved goes on with the document.
            run.append([257])
            try run.compute(isFlush: true) { try write($0, from: run.reported, to: array) }
        }
        try array?.close()
        return Result(
            tokens: run.reported, bytes: run.bitsCount, bits: run.bits, earlier: max(0, earlier - 1),
            seconds: watch.seconds,
            isInterrupted: !isEnded, unscored: max(0, run.tokens - max(1, run.reported)))
    }

    /// - Parameter first: the token that the first value is of.
    private func write(_ surprisal: UnsafeBufferPointer<Float>, from first: Int, to array: GrowingArray?) throws {
        // Nothing is said of BOS, which is no byte.
        let skipped = values == .bytes && first == 0 ? 1 : 0
        try array?.write(UnsafeBufferPointer(rebasing: surprisal[skipped...]))
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

    /// The same, shown as it goes on.
    func runShown() throws -> Result {
        let line = ProgressLine(patience: 1)
        defer { line.close() }
        return try run { bytes, bitsPerByte in
            if Console.mode == .json {
                Console.event("progress") {
                    $0.add("file", "-")
                    $0.add("bytes", bytes)
                    $0.add("bits per byte", bitsPerByte)
                    $0.add("seconds", line.seconds)
                }
            } else {
                line.show(share: 0) { "\(exactBytes(bytes))  \(fixed(bitsPerByte, digits: 4)) bits per byte" }
            }
        }
    }
}
