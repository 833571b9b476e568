import Foundation
import Glibc
import TestSupport
import Testing

/// What a run of the program came to.
struct Outcome {
    /// The exit status, or the negated number of the signal that ended it.
    var status: Int32
    var output: String
    var error: String

    /// Standard output as a JSON object.
    func json(sourceLocation: SourceLocation = #_sourceLocation) throws -> [String: Any] {
        try #require(
            JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any], sourceLocation: sourceLocation)
    }

    /// The least that --memory may be, as the program says it when it is too little.
    var leastMemory: String? {
        let parts = error.components(separatedBy: "the least that works here is ")
        return parts.count == 2 ? parts[1].split(whereSeparator: \.isWhitespace).first.map(String.init) : nil
    }

    /// Records an issue unless the program ended with `status`; shows what it said.
    @discardableResult
    func expect(_ expected: Int32, _ words: String..., sourceLocation: SourceLocation = #_sourceLocation) -> Outcome {
        #expect(status == expected, "it said: \(error)\(output)", sourceLocation: sourceLocation)
        for word in words { #expect(error.contains(word), sourceLocation: sourceLocation) }
        return self
    }
}

/// The program as its users run it: a process with arguments, streams and an exit status.
final class Program {
    /// Beside the test's own executable, wherever the build put both.
    static let path: String = {
        let test =
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
        return URL(fileURLWithPath: test).deletingLastPathComponent().appendingPathComponent("bbp-stream").path
    }()

    /// A memory budget, as a flag says it. What a sanitizer adds to the program's own memory comes on top.
    static func memory(_ mebibytes: Int) -> String { "\(mebibytes + sanitizerMebibytes)MiB" }

    /// What the program takes more where it and the tests were built with ThreadSanitizer or AddressSanitizer.
    static let sanitizerMebibytes =
        if dlsym(nil, "__tsan_init") != nil { 23 } else if dlsym(nil, "__asan_init") != nil { 12 } else { 0 }

    private let process: pid_t
    private let streams: TemporaryFolder
    private var ended: Int32?

    /// Starts the program.
    ///
    /// - Parameters:
    ///   - executable: another program, which runs this one.
    ///   - input: what standard input holds.
    ///   - outputFile: where standard output goes, if not into the outcome.
    init(_ arguments: [String], executable: String = Program.path, input: [UInt8] = [], outputFile: String? = nil)
        throws
    {
        streams = try TemporaryFolder()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, try streams.write("input", input), O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, outputFile ?? streams.file("output"), O_WRONLY | O_CREAT, 0o644)
        posix_spawn_file_actions_addopen(&actions, 2, streams.file("error"), O_WRONLY | O_CREAT, 0o644)
        // The threads that tests run on block signals, and a process inherits that.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        let environment = ProcessInfo.processInfo.environment.map { "\($0.key)=\($0.value)" }
        var words = ([executable] + arguments).map { strdup($0) } + [nil]
        var settings = environment.map { strdup($0) } + [nil]
        defer { (words + settings).forEach { free($0) } }
        var process: pid_t = 0
        let status = posix_spawn(&process, executable, &actions, &attributes, &words, &settings)
        try #require(status == 0, "cannot start \(executable): \(String(cString: strerror(status)))")
        self.process = process
    }

    deinit { if ended == nil { stop(SIGKILL) } }

    /// What it has written to standard error by now.
    var errorSoFar: String { (try? String(contentsOfFile: streams.file("error"), encoding: .utf8)) ?? "" }

    func send(_ signal: Int32) { if !hasEnded { kill(process, signal) } }

    /// Whether the process is gone.
    var hasEnded: Bool {
        if ended != nil { return true }
        var status: Int32 = 0
        guard waitpid(process, &status, WNOHANG) == process else { return false }
        let signal = status & 0x7f
        ended = signal == 0 ? (status >> 8) & 0xff : -signal
        return true
    }

    /// A number of /proc/PID/status in bytes, "VmHWM" say; 0 once it has ended.
    func memory(_ field: String) -> Int {
        let text = (try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)) ?? ""
        let words = text.split(separator: "\n").first { $0.hasPrefix("\(field):") }?.split(
            whereSeparator: \.isWhitespace)
        return (words?.dropFirst().first.flatMap { Int($0) } ?? 0) << 10
    }

    /// Waits until it ends or says `word` on standard error.
    func wait(for word: String) { while !hasEnded && !errorSoFar.contains(word) { usleep(1000) } }

    /// Waits until it ends; one that takes minutes is taken to hang.
    func outcome() throws -> Outcome {
        let limit = Date() + 180
        while !hasEnded {
            if Date() > limit { stop(SIGKILL) }
            usleep(1000)
        }
        let output = (try? String(contentsOfFile: streams.file("output"), encoding: .utf8)) ?? ""
        return Outcome(status: ended ?? -SIGKILL, output: output, error: errorSoFar)
    }

    private func stop(_ signal: Int32) {
        kill(process, signal)
        var status: Int32 = 0
        waitpid(process, &status, 0)
        ended = -signal
    }
}

/// Runs the program to its end.
@discardableResult
func run(_ arguments: String..., input: [UInt8] = [], outputFile: String? = nil) throws -> Outcome {
    try Program(arguments, input: input, outputFile: outputFile).outcome()
}

func run(_ arguments: [String], input: [UInt8] = []) throws -> Outcome {
    try Program(arguments, input: input).outcome()
}
