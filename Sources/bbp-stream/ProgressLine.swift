import Support

/// One line that is rewritten on a terminal; elsewhere a plain line every tenth of the work or ten seconds.
final class ProgressLine {
    private let watch = Stopwatch()
    /// Seconds before the first line where none is rewritten, and between two: short work needs no word there.
    private let patience: Double
    private var shown = -60.0
    private var shownShare = -1.0
    private var isOpen = false

    init(patience: Double = 0) { self.patience = patience }

    /// Seconds since the line was made.
    var seconds: Double { watch.seconds }

    /// - Parameter text: made only when it is shown.
    func show(share: Double, _ text: () -> String) {
        guard Console.mode == .line else { return }
        let now = seconds
        if Console.isRewritable {
            guard now - shown > 0.1 || share >= 1 else { return }
            Console.write("\r\u{1b}[K" + text().escaped.fitting(columns: Console.width - 1))
            isOpen = true
        } else {
            guard now >= patience, now - shown >= patience,
                share - shownShare >= 0.1 || now - shown > 10 || (share >= 1 && shownShare < 1)
            else { return }
            Console.write(text().escaped + "\n")
        }
        shown = now
        shownShare = share
    }

    /// Leaves the line as it is and goes to the next.
    func close() {
        if isOpen { Console.write("\n") }
        isOpen = false
    }

    /// Takes the line away, for what follows says more.
    func clear() {
        if isOpen { Console.write("\r\u{1b}[K") }
        isOpen = false
    }
}

extension String {
    /// As much of the text as so many columns of a terminal hold.
    func fitting(columns: Int) -> String {
        var (width, end) = (0, unicodeScalars.startIndex)
        for index in unicodeScalars.indices {
            width += unicodeScalars[index].columns
            if width > columns { return String(unicodeScalars[..<end]) }
            end = unicodeScalars.index(after: index)
        }
        return self
    }
}

extension Unicode.Scalar {
    /// Columns that a terminal gives a sign: none to marks, two to those of East Asian scripts and to pictures.
    fileprivate var columns: Int {
        switch properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .format: return 0
        default: break
        }
        switch value {
        case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F,
            0xFF00...0xFF60, 0xFFE0...0xFFE6,
            0x1F300...0x1FAFF, 0x20000...0x3FFFD:
            return 2
        default: return 1
        }
    }
}
