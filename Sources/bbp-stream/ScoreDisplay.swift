import StreamEngine
import Support

/// Shows what scoring will take and how far it is, over all files, on standard error.
final class ScoreDisplay: ScoringObserver {
    let line = ProgressLine(patience: 1)
    private(set) var scores: [Scoring.Score] = []
    var onScore: ((Scoring.Score) throws -> Void)?
    /// Goes on when nobody reads the scores any more.
    var isUnreadIgnored = false
    private(set) var isUnread = false
    private let model: String
    private var eta = Eta()
    private var expected: Double?
    private var told = -1.0
    private var notes: Set<String> = []

    init(model: String) { self.model = model }

    func reading(_ file: String, bytes: Int) {
        if bytes == 0 { return Console.note("reading \(file == "-" ? "standard input" : file.escaped)") }
        if line.seconds > 1 { line.show(share: 0) { "reading \(file.escaped)  \(ByteCount.text(bytes))" } }
    }

    func measuring() {
        let text = "measuring how fast \(model.escaped) is here"
        if Console.isRewritable && Console.mode == .line { line.show(share: 0) { text } } else { Console.note(text) }
    }

    func forecast(_ forecast: Scoring.Forecast) {
        expected = forecast.seconds
        let rate = Double(forecast.bytes) / max(forecast.seconds, 1e-9)
        switch Console.mode {
        case .none: break
        case .json:
            Console.event("forecast") { report in
                report.add("model", model)
                report.add("bytes", forecast.bytes)
                report.add("seconds", forecast.seconds)
                report.add("bytes per second", rate)
                report.add(
                    "faster",
                    objects: forecast.faster.map { other in
                        var row = Report()
                        row.add("model", other.name)
                        row.add("seconds", other.seconds)
                        return row
                    })
                if let place = forecast.keptIn {
                    report.add("kept in", place)
                    report.add("disk", bytes: forecast.diskBytes)
                }
            }
        case .line:
            guard forecast.seconds > 10 else { return }
            line.clear()
            Console.note(
                "\(exactBytes(forecast.bytes)) with \(model.escaped) take about \(duration(forecast.seconds)) (\(grouped(Int(rate))) bytes/s)."
            )
            for other in forecast.faster {
                Console.note("  With \(other.name) about \(duration(other.seconds)): --model \(other.name)")
            }
            if let place = forecast.keptIn {
                Console.note(
                    "  Ctrl-C stops and keeps what is done, in \(place.escaped) (up to \(ByteCount.text(forecast.diskBytes))); the same command goes on."
                )
            }
        }
    }

    func note(_ text: String) {
        // Runs over many files have the same to say.
        guard notes.insert(text).inserted else { return }
        line.close()
        Console.note(text)
    }

    func failed(_ fault: Fault) {
        line.close()
        Console.error(fault.message, status: fault.exitStatus)
    }

    func progress(_ progress: Scoring.Progress) {
        let (share, seconds) = (progress.share, line.seconds)
        if let expected, eta.expected == nil { eta.expected = expected * (1 - share) }
        let left = eta.left(share: share, seconds: seconds)
        switch Console.mode {
        case .none: break
        case .json:
            guard seconds - told >= 1 || (share >= 1 && told < .infinity) else { return }
            told = share >= 1 ? .infinity : seconds
            Console.event("progress") {
                $0.add("file", progress.file)
                $0.add("number", progress.number)
                $0.add("files", progress.files)
                $0.add("first layer", progress.firstLayer)
                $0.add("layer", progress.layer)
                $0.add("layers", progress.layers)
                $0.add("share", share)
                $0.add("seconds", seconds)
                $0.add("eta seconds", left ?? .nan)
            }
        case .line:
            line.show(share: share) {
                (progress.files > 1 ? "\(progress.number)/\(progress.files)  " : "")
                    + (progress.firstLayer...progress.layer).layerText(of: progress.layers)
                    + "  \(fixed(100 * share, digits: 1)) %"
                    + (left.map { "  ETA \(clock($0))" } ?? "") + "  \(progress.file.escaped)"
            }
        }
    }

    func scored(_ score: Scoring.Score) throws {
        scores.append(score)
        guard let onScore, !isUnread else { return }
        line.clear()
        do { try onScore(score) } catch let closed as Console.OutputClosed {
            guard isUnreadIgnored else { throw closed }
            isUnread = true
        }
    }
}
