import Geometry
import ProtonModel
import StreamEngine
import Support

/// What `context` found, as text and as JSON.
struct ContextTable {
    var config: ModelConfig
    /// From depth 1, as all that follows; nil where it has no bound.
    var formula: [ExactCount?]
    var sequence: (geometry: SequenceGeometry, token: Int)?
    var measured: [MeasuredReach.Depth] = []
    var causes: [ReachLimit?] = []
    /// Empty where nothing was perturbed.
    var perturbed: [Int] = []

    init(config: ModelConfig, formula: [ExactCount?]) {
        self.config = config
        self.formula = formula
    }

    var title: String {
        "Context by depth: P = \(config.patchSize), \(config.delegationText), \(config.isCausal ? "causal" : "bidirectional")"
    }

    /// The data decide what depends on what.
    private var isSelective: Bool { config.delegation == .selective && config.hasDelegates }

    private var convolutions: String {
        config.convolutions.map { "\($0.kernelSize)" + ($0.dilation > 1 ? " (every \($0.dilation) rows)" : "") }.joined(
            separator: ", ")
    }

    // MARK: Text

    var text: String {
        var rows = [
            ("patch size (P)", "\(config.patchSize)"), ("kernel size (K)", convolutions),
            ("delegation", config.delegationText),
            ("causal", config.isCausal ? "yes" : "no"), ("layers", config.layersText),
        ]
        if config.hasOtherMixers { rows += config.mixerRows }
        if let (geometry, token) = sequence {
            rows.append(
                (
                    "tokens (n)",
                    "\(grouped(geometry.tokens)), in \(grouped(geometry.patches)) \(geometry.patches == 1 ? "patch" : "patches")"
                ))
            rows.append(("token followed", "\(grouped(token))" + (token == geometry.tokens - 1 ? ", the last" : "")))
        }
        return ([Console.aligned(rows), "", table] + notes).joined(separator: "\n")
    }

    private var table: String {
        let powers = formula.map(Self.power)
        var columns: [(head: String, cells: [String])] = [
            ("depth", formula.indices.map { "\($0 + 1)" }), ("formula", formula.map { $0?.grouped ?? "all before" }),
        ]
        if powers.contains(where: { !$0.isEmpty }) { columns.append(("about", powers)) }
        if !measured.isEmpty {
            columns.append(
                ("measured", measured.map { $0.isExact ? grouped($0.tokens) : "more than \(grouped($0.moreThan))" }))
        }
        if !perturbed.isEmpty { columns.append(("perturbed", perturbed.map(grouped))) }
        let reasons = formula.indices.map(cause)
        let widths = columns.map { column in (column.cells + [column.head]).map(\.count).max() ?? 0 }
        /// Right-aligned, except the reasons, which have no width.
        func line(_ cells: [String]) -> String {
            var text = ""
            for (index, cell) in cells.enumerated() {
                text +=
                    (index > 0 ? "  " : "")
                    + String(repeating: " ", count: max(0, (index < widths.count ? widths[index] : 0) - cell.count))
                    + cell
            }
            while text.last == " " { text.removeLast() }
            return text
        }
        if !reasons.allSatisfy(\.isEmpty) { columns.append(("why less", reasons)) }
        return ([line(columns.map(\.head))] + formula.indices.map { row in line(columns.map { $0.cells[row] }) })
            .joined(separator: "\n")
    }

    /// "~10^80" beside numbers too long to count their digits; "" beside others.
    private static func power(_ count: ExactCount?) -> String {
        guard let count, count.log10 >= 15 else { return "" }
        return "~10^\(Int(count.log10.rounded()))"
    }

    private func cause(_ row: Int) -> String {
        guard row < causes.count, let cause = causes[row], let (geometry, token) = sequence else { return "" }
        return cause.text(geometry, token: token)
    }

    private var notes: [String] {
        var notes: [String] = []
        if config.hasOtherMixers {
            notes.append(
                "The formula goes layer by layer: "
                    + (config.hasDelegates ? "patches make C tokens P·C + P·(P - 1); " : "")
                    + "a window of w rows d apart adds w·d, segments of S rows with M before them S - 1 + M, "
                    + "convolutions (K - 1)·d each; a layer that sees all rows before has no bound.")
        }
        if config.hasDelegates, zip(formula, measured).contains(where: { ($0?.exact ?? .max) < $1.tokens }) {
            notes.append(
                "Where more is measured than the formula says: every row that convolutions, windows and segments "
                    + "reach looks into two patches, its own and its delegate's, of 2P rows each; the formula "
                    + "multiplies by P a layer" + (config.hasOtherMixers ? "." : " and leaves the convolutions out."))
        }
        if !perturbed.isEmpty {
            notes.append(
                "Perturbed: bytes that change the token's row when they are changed. Influences below the resolution of f32 are not seen"
                    + (isSelective ? "." : ": it is never more than what is measured."))
        }
        guard let (geometry, _) = sequence else { return notes.isEmpty ? [] : [""] + notes }
        if isSelective {
            notes.append(
                "Nothing is found by following the wiring: selective delegation depends on the data."
                    + (perturbed.isEmpty ? " --perturb measures it." : ""))
        }
        if config.hasDelegates { notes.append(Self.wiring(config, geometry)) }
        return [""] + notes
    }

    /// Patch 0 and what it receives; tokens counted from one.
    private static func wiring(_ config: ModelConfig, _ geometry: SequenceGeometry) -> String {
        func list(_ tokens: [Int]) -> String {
            tokens.prefix(8).map { $0 < geometry.tokens ? "\($0 + 1)" : "(padding)" }.joined(separator: " ")
                + (tokens.count > 8 ? " ..." : "")
        }
        let start = "patch 0 holds tokens \(list(Array(0..<geometry.patchSize)))"
        guard let delegates = delegates(config, geometry) else {
            return start + "; whose delegates it receives depends on the data"
        }
        var end = ""
        if case .monteCarlo = config.delegation {
            let layer = firstLayer(config)
            end = ", in layer \(layer + 1)"
        }
        return "\(start) and receives the delegates of tokens \(list(delegates))\(end) (counted from one)"
    }

    /// The first layer with delegates, from 0.
    private static func firstLayer(_ config: ModelConfig) -> Int {
        config.mixers.firstIndex(where: \.isMonteCarlo) ?? 0
    }

    /// The tokens whose delegates patch 0 receives in the first layer that has any, by slot; nil where the data decide.
    private static func delegates(_ config: ModelConfig, _ geometry: SequenceGeometry) -> [Int]? {
        let P = geometry.patchSize
        let transposed = (0..<P).map(geometry.token(inSlot:))
        switch config.delegation {
        case .selective: return nil
        case .transpose: return transposed
        case .monteCarlo(let seed):
            let draw = DelegateDraw(seed: seed, block: firstLayer(config), repeat: 0)
            var (keys, order) = ([UInt64](repeating: 0, count: P), [UInt16](repeating: 0, count: P))
            return transposed.map { token in
                // The index that the transpose would take is the column here.
                let (patch, column) = token.quotientAndRemainder(dividingBy: P)
                keys.withUnsafeMutableBufferPointer { keys in
                    order.withUnsafeMutableBufferPointer { order in
                        if let start = order.baseAddress { draw.order(ofPatch: patch, keys: keys, into: start) }
                    }
                }
                return patch * P + Int(order[column])
            }
        }
    }

    // MARK: JSON

    /// One object; whole numbers past 2^53 are strings of digits. Tokens are counted from 0.
    var json: String {
        var report = Report()
        report.add("patch size", config.patchSize)
        report.add(
            "convolutions",
            objects: config.convolutions.map { convolution in
                var object = Report()
                object.add("kernel size", convolution.kernelSize)
                object.add("dilation", convolution.dilation)
                return object
            })
        report.add("causality", config.isCausal ? "causal" : "none")
        report.add("delegation", config.delegation.mode)
        if case .monteCarlo(let seed) = config.delegation { Self.add("delegation seed", ExactCount(seed), to: &report) }
        report.add("layers", config.depth)
        if let (geometry, token) = sequence {
            Self.add("tokens", ExactCount(geometry.tokens), to: &report)
            Self.add("patches", ExactCount(geometry.patches), to: &report)
            Self.add("token", ExactCount(token), to: &report)
            report.add("patch 0 tokens", (0..<geometry.patchSize).map { .number($0, shown: "\($0)") })
            if config.hasDelegates, let delegates = Self.delegates(config, geometry) {
                report.add(
                    "patch 0 delegates", delegates.map { $0 < 1 << 53 ? .number($0, shown: "\($0)") : .text("\($0)") })
            }
        }
        report.add("depths", objects: formula.indices.map(depth))
        return report.json
    }

    private func depth(_ row: Int) -> Report {
        var object = Report()
        object.add("depth", row + 1)
        Self.add("formula", formula[row], to: &object)
        if row < measured.count {
            let found = measured[row]
            Self.add(
                found.isExact ? "measured" : "measured more than",
                ExactCount(found.isExact ? found.tokens : found.moreThan), to: &object)
        }
        if row < perturbed.count { object.add("perturbed", perturbed[row]) }
        let reason = cause(row)
        if !reason.isEmpty { object.add("why less", reason) }
        return object
    }

    private static func add(_ key: String, _ count: ExactCount?, to report: inout Report) {
        guard let count else { return report.add(key, Double.nan) }
        if let number = count.exact, number <= 1 << 53 {
            report.add(key, number)
        } else {
            report.add(key, count.digits)
        }
    }
}
