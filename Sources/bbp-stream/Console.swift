import Glibc
import StreamEngine
import Support

/// Results go to standard output, everything else to standard error.
enum Console {
    static var errorIsTerminal: Bool { isatty(2) == 1 }

    static func say(_ text: String) {
        write(text + "\n")
    }

    static func error(_ text: String) {
        say("bbp-stream: \(text)")
    }

    static func print(_ text: String) throws { try emit(text + "\n") }

    /// Prints a piece of a result, without a line end.
    ///
    /// - Throws: `Fault` when it cannot be written, for a full disk say.
    static func emit(_ piece: String) throws {
        if put(piece, on: 1) { return }
        // Whoever read (`| head`) has seen enough.
        if errno == EPIPE { exit(0) }
        throw File.fault(.inputOutput, "cannot write", "standard output")
    }

    /// Writes to standard error without a line end.
    static func write(_ text: String) {
        _ = put(text, on: 2)
    }

    private static func put(_ text: String, on descriptor: Int32) -> Bool {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            if count <= 0 { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    /// Lines `key : value`, keys aligned.
    ///
    /// - Parameter width: of the longest key of all lines, where these are but some of them.
    static func aligned(_ rows: [(key: String, value: String)], width: Int = 0) -> String {
        let width = max(width, rows.map(\.key.count).max() ?? 0)
        return rows.map { $0.key + String(repeating: " ", count: width - $0.key.count) + " : " + $0.value }.joined(separator: "\n")
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
