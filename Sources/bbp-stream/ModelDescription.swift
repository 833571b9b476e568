import ProtonModel
import Support

extension Console {
    /// Says which fields of config.json were ignored, if any were.
    static func noteIgnoredFields(of config: ModelConfig) {
        if let ignored = config.ignoredText { note("config.json: ignored \(ignored)") }
    }
}

/// A model's shape, for people.
extension ModelConfig {
    /// In one line.
    var summary: String {
        var words = [
            "\(layers) layer\(layers == 1 ? "" : "s")" + mixerCounts
                + (recurrence > 1 ? ", each \(recurrence) times" : ""),
            "hidden size \(hiddenSize)", "\(heads) head\(heads == 1 ? "" : "s")",
            (stack == nil ? "" : "convolutions ") + convolutionText,
        ]
        words += options
        return words.joined(separator: ", ")
    }

    /// Neighbouring layers with the same mixer; layers from 1.
    var mixerRuns: [(layers: ClosedRange<Int>, mixer: LayerMixer)] {
        var runs: [(layers: ClosedRange<Int>, mixer: LayerMixer)] = []
        for (index, mixer) in mixers.enumerated() {
            if let last = runs.last, last.mixer == mixer {
                runs[runs.count - 1].layers = last.layers.lowerBound...index + 1
            } else {
                runs.append((index + 1...index + 1, mixer))
            }
        }
        return runs
    }

    /// The layers' mixers, a line for each run of the same one.
    var mixerRows: [(String, String)] {
        mixerRuns.enumerated().map { ($0 == 0 ? "mixers" : "", "\($1.layers.text): \($1.mixer.shape.summary)") }
    }

    /// "4", "4, each 2 times".
    var layersText: String { "\(layers)" + (recurrence > 1 ? ", each \(recurrence) times" : "") }

    /// Whether a layer of this mixer streams here: none does where rows see later ones.
    func isStreaming(_ mixer: LayerMixer) -> Bool { isCausal && mixer.shape.isStreaming }

    /// "2-4, 6": layers that need no more of earlier rows than fits in memory.
    var streamingLayers: String {
        var ranges: [ClosedRange<Int>] = []
        for run in mixerRuns where isStreaming(run.mixer) {
            if let last = ranges.last, last.upperBound + 1 == run.layers.lowerBound {
                ranges[ranges.count - 1] = last.lowerBound...run.layers.upperBound
            } else {
                ranges.append(run.layers)
            }
        }
        return ranges.isEmpty ? "none" : ranges.map(\.text).joined(separator: ", ")
    }

    /// " (2 monte-carlo, 1 retention)": how many layers each kind mixes; nothing where all are Monte Carlo Attention.
    private var mixerCounts: String {
        let mixers = mixers
        if mixers.allSatisfy(\.isMonteCarlo) { return "" }
        let counts = LayerMixer.kinds.compactMap { kind in
            let count = mixers.count { $0.kind == kind.kind }
            return count > 0 ? "\(count) \(kind.kind)" : nil
        }
        return " (\(counts.joined(separator: ", ")))"
    }

    /// "kernel 33", or "3x1:64 3x2:64": kernel size x dilation : channels.
    var convolutionText: String {
        guard let stack else { return "kernel \(kernelSize)" }
        return stack.map { "\($0.kernelSize)x\($0.dilation):\($0.channels)" }.joined(separator: " ")
    }

    var delegationText: String {
        if case .monteCarlo(let seed) = delegation { return "\(delegation.mode) (seed \(seed))" }
        return delegation.mode
    }

    /// Fields of config.json that were ignored, in one line; nil where there are none.
    var ignoredText: String? {
        if ignoredFields.isEmpty { return nil }
        let shown = ignoredFields.prefix(20)
        let more = ignoredFields.count - shown.count
        return shown.map(\.shortened.escaped).joined(separator: ", ") + (more > 0 ? " and \(grouped(more)) more" : "")
    }

    /// What differs from the published model beside sizes.
    private var options: [String] {
        var options: [String] = []
        if delegation != .transpose { options.append("\(delegationText) delegation") }
        if activation != .gelu { options.append(activation.rawValue) }
        if positionalEncoding == .none { options.append("no position term") }
        if !isCausal { options.append("bidirectional") }
        return options
    }
}

extension ClosedRange<Int> {
    /// "3", "2-4".
    var text: String { lowerBound == upperBound ? "\(lowerBound)" : "\(lowerBound)-\(upperBound)" }

    /// Of layers: "layer 3", "layers 2-4".
    var layerText: String { "layer\(count == 1 ? "" : "s") \(text)" }

    /// Of so many layers: "layer 3/4", "layers 2-4 of 4".
    func layerText(of layers: Int) -> String { layerText + (count == 1 ? "/" : " of ") + "\(layers)" }
}
