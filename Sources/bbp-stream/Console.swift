import Glibc
import StreamEngine
import Support

/// Results go to standard output, everything else to standard error.
enum Console {
    /// How standard error is spoken on: known before the arguments are, for errors in them are said there too.
    enum Mode: String, CaseIterable {
        /// Lines for people, and progress in one that is rewritten where a terminal can do that.
        case line
        /// One JSON object a line, whatever is said.
        case json
        /// Errors only, for people.
        case none
    }

    /// What --progress and --quiet say, the last one first.
    static let mode: Mode = {
        var mode = Mode.line
        var rest = arguments.dropFirst()[...]
        while let argument = rest.popFirst(), argument != "--" {
            if argument == "--quiet" || argument == "-q" { mode = .none }
            if argument == "--progress" { mode = rest.first.flatMap(Mode.init) ?? mode }
            if argument.hasPrefix("--progress=") { mode = Mode(rawValue: String(argument.dropFirst(11))) ?? mode }
        }
        return mode
    }()

    /// The program's arguments; names that are not UTF-8 stay what they are (`FileName`).
    static let arguments: [String] = (0..<Int(CommandLine.argc)).compactMap {
        CommandLine.unsafeArgv[$0].map { FileName.text($0) }
    }

    /// What the program is to do, by its name.
    static var command: String? { arguments.dropFirst().first }

    /// Whether standard error is a terminal on which a line can be rewritten.
    static let isRewritable = isatty(2) == 1 && !["dumb", ""].contains(FileName.variable("TERM") ?? "")

    /// Columns of the terminal.
    static var width: Int {
        var size = winsize()
        if ioctl(2, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 { return Int(size.ws_col) }
        return FileName.variable("COLUMNS").flatMap { Int($0) } ?? 80
    }

    /// Something that a user may want to know: `text` for people, or an object.
    static func note(_ text: String) {
        switch mode {
        case .line: write(text.escapedLines + "\n")
        case .json: event("note") { $0.add("text", text) }
        case .none: break
        }
    }

    static func error(_ text: String, status: Int32) {
        switch mode {
        case .line, .none: write("bbp-stream: \(text.escapedLines)\n")
        case .json:
            event("error") {
                $0.add("status", Int(status))
                $0.add("text", text)
            }
        }
    }

    /// A line of standard error for programs, whatever the mode.
    static func event(_ name: String, _ fill: (inout Report) -> Void) {
        var report = Report()
        report.add("event", name)
        fill(&report)
        write(report.json + "\n")
    }

    /// Writes to standard error as it is.
    static func write(_ text: String) {
        _ = put(text, on: 2)
    }

    /// Standard output was closed by its reader (`| head`), who has seen enough.
    struct OutputClosed: Error {}

    /// Prints a result for people.
    ///
    /// - Throws: `OutputClosed`, or `Fault` when it cannot be written, for a full disk say.
    static func print(_ text: String) throws {
        if resultDescriptor == 2 && mode == .json { return event("result") { $0.add("text", text) } }
        try printSafe(text.escapedLines)
    }

    /// Prints a result for programs.
    ///
    /// - Throws: as `print(_:)`.
    static func print(json text: String) throws {
        // One line an object, where it stands among others.
        if resultDescriptor == 2 && mode == .json {
            return write(
                #"{"event": "result", "result": \#(text.split(separator: "\n").joined(separator: " ").escapedInJSON)}"#
                    + "\n")
        }
        try printSafe(text.escapedInJSON)
    }

    private static func printSafe(_ text: String) throws { try emit(text + "\n") }

    /// Prints a piece of a result as it is, without a line end.
    ///
    /// - Throws: as `print(_:)`.
    static func emit(_ piece: String) throws {
        if resultDescriptor == 2 && mode == .none { return }
        if put(piece, on: resultDescriptor) { return }
        if errno == EPIPE { throw OutputClosed() }
        throw File.fault(.inputOutput, "cannot write", "standard output")
    }

    /// Where results go: to standard output, unless an array goes there.
    nonisolated(unsafe) private static var resultDescriptor: Int32 = 1

    /// Leaves standard output to `output`, where that is what it names; results for people go to standard error then.
    static func leaveOutput(to output: String?) {
        if let output, OutputFile.isStandardOutput(output) { resultDescriptor = 2 }
    }

    private static func put(_ text: String, on descriptor: Int32) -> Bool {
        var text = text
        return text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while !rest.isEmpty {
                let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
                if count < 0 && errno == EINTR { continue }
                if count <= 0 { return false }
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            }
            return true
        }
    }

    /// Lines `key : value`, keys aligned.
    ///
    /// - Parameter width: of the longest key of all lines, where these are but some of them.
    static func aligned(_ rows: [(key: String, value: String)], width: Int = 0) -> String {
        let width = max(width, rows.map(\.key.count).max() ?? 0)
        return rows.map { $0.key + String(repeating: " ", count: width - $0.key.count) + " : " + $0.value }.joined(
            separator: "\n")
    }
}

/// "1 048 576": an exact number, easy to read.
func grouped(_ number: Int) -> String { (number < 0 ? "-" : "") + groupedDigits(String(number.magnitude)) }

/// "1 048 576 (1.00 MiB)"
func exactBytes(_ bytes: Int) -> String {
    bytes == 1 ? "1 byte" : bytes < 1024 ? "\(bytes) bytes" : "\(grouped(bytes)) bytes (\(ByteCount.text(bytes)))"
}

/// "0:12", "3:04:05"
func clock(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 1e9 else { return "?" }
    let total = Int(seconds.rounded())
    let (hours, minutes, rest) = (total / 3600, total / 60 % 60, total % 60)
    func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
    return hours > 0 ? "\(hours):\(two(minutes)):\(two(rest))" : "\(minutes):\(two(rest))"
}

/// "40 seconds", "18 minutes", "10 hours 28 minutes", "3 days": as precise as an estimate is.
func duration(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 1e12 else { return "no one knows how long" }
    func count(_ value: Int, _ unit: String) -> String { "\(grouped(value)) \(unit)\(value == 1 ? "" : "s")" }
    if seconds < 100 { return count(max(1, Int(seconds.rounded())), "second") }
    let minutes = Int((seconds / 60).rounded())
    if minutes < 120 { return count(minutes, "minute") }
    if minutes < 48 * 60 {
        return count(minutes / 60, "hour") + (minutes % 60 == 0 ? "" : " " + count(minutes % 60, "minute"))
    }
    return count(Int((seconds / 86400).rounded()), "day")
}
