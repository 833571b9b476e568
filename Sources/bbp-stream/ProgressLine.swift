import Support

/// One line that is rewritten on a terminal; elsewhere a plain line every tenth of the work or ten seconds.
final class ProgressLine {
    private let began = ContinuousClock.now
    private var shown = ContinuousClock.now - .seconds(60)
    private var shownShare = -1.0
    private var open = false

    /// Seconds since the line was made.
    var seconds: Double {
        let (seconds, attoseconds) = (ContinuousClock.now - began).components
        return Double(seconds) + Double(attoseconds) * 1e-18
    }

    /// - Parameter text: made only when it is shown.
    func show(share: Double, _ text: () -> String) {
        let now = ContinuousClock.now
        if Console.errorIsTerminal {
            guard now - shown > .milliseconds(100) || share >= 1 else { return }
            Console.write("\r\u{1b}[K" + text())
            open = true
        } else {
            guard share - shownShare >= 0.1 || now - shown > .seconds(10) || (share >= 1 && shownShare < 1) else { return }
            Console.say(text())
        }
        shown = now
        shownShare = share
    }

    /// Leaves the line as it is and goes to the next.
    func close() {
        if open { Console.write("\n") }
        open = false
    }
}
