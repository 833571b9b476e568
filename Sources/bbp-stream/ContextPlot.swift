import StreamEngine
import Support

/// Reach against depth as an SVG drawing: layers to the right, tokens upward by powers of ten.
struct ContextPlot {
    var title: String
    /// `EffectiveContext`, from depth 1; drawn as far as it has a bound.
    var formula: [ExactCount?]
    var formulaName = "formula, P^(L+1) - P"
    /// From depth 1; drawn as far as it is exact.
    var measured: [MeasuredReach.Depth] = []
    /// Tokens found by changing bytes, from depth 1.
    var perturbed: [Int] = []
    /// n, where there is a sequence.
    var tokens: Int?

    init(title: String, formula: [ExactCount?]) {
        self.title = title
        self.formula = formula
    }

    /// Puts the drawing in place in one step.
    func write(to path: String) throws { try File.replace(path, with: Array(svg.utf8)) }

    private enum Frame {
        static let (width, height) = (760.0, 480.0)
        static let (left, right, top, bottom) = (70.0, 735.0, 56.0, 420.0)
        static let (ink, pale, back) = ("#24292f", "#e3e7ec", "#fcfcfd")
    }

    private struct Series {
        var name: String
        var color: String
        /// Depth and log10 of tokens.
        var points: [(depth: Int, power: Double)]
        var hasLine = true
        var radius = 0.0
    }

    private var series: [Series] {
        func points(_ counts: [ExactCount?]) -> [(Int, Double)] {
            // No tokens have no place on this axis.
            counts.enumerated().compactMap { depth, count in
                count.flatMap { $0.log10.isFinite ? (depth + 1, $0.log10) : nil }
            }
        }
        var all = [Series(name: formulaName, color: "#2563eb", points: points(formula))]
        let exact = measured.prefix { $0.isExact }.map { ExactCount($0.tokens) }
        if !exact.isEmpty {
            all.append(
                Series(name: "measured: the wiring followed", color: "#d9480f", points: points(exact), radius: 4))
        }
        if !perturbed.isEmpty {
            all.append(
                Series(
                    name: "perturbed: bytes changed", color: "#0f766e",
                    points: points(perturbed.map { ExactCount($0) }), hasLine: false, radius: 6.5))
        }
        return all
    }

    /// The whole file.
    var svg: String {
        let series = self.series
        let length = tokens.map { ExactCount($0).log10 }
        let highest = (series.flatMap(\.points).map(\.power) + [length ?? 0]).max() ?? 0
        let depths = max(1, formula.count)
        let powerStep = Self.step(over: highest, ticks: 9)
        let top = max(powerStep, Int((highest / Double(powerStep)).rounded(.up)) * powerStep)
        func x(_ depth: Int) -> Double {
            Frame.left + (Frame.right - Frame.left) * (Double(depth) - 0.5) / Double(depths)
        }
        func y(_ power: Double) -> Double { Frame.bottom - (Frame.bottom - Frame.top) * power / Double(top) }
        var parts = [
            #"<rect width="100%" height="100%" fill="\#(Frame.back)"/>"#,
            Self.text(title, (Frame.left + Frame.right) / 2, 30, anchor: "middle", size: 16),
        ]
        for power in stride(from: 0, through: top, by: powerStep) {
            let place = y(Double(power))
            parts.append(Self.line((Frame.left, place), (Frame.right, place), Frame.pale))
            parts.append(
                #"<text x="\#(Self.number(Frame.left - 8))" y="\#(Self.number(place + 4))" text-anchor="end" font-size="12">10<tspan dy="-5" font-size="9">\#(power)</tspan></text>"#
            )
        }
        for depth in stride(from: 1, through: depths, by: Self.step(over: Double(depths), ticks: 20)) {
            parts.append(Self.line((x(depth), Frame.bottom), (x(depth), Frame.bottom + 5), Frame.ink))
            parts.append(Self.text("\(depth)", x(depth), Frame.bottom + 20, anchor: "middle", size: 12))
        }
        parts.append(Self.line((Frame.left, Frame.top), (Frame.left, Frame.bottom), Frame.ink))
        parts.append(Self.line((Frame.left, Frame.bottom), (Frame.right, Frame.bottom), Frame.ink))
        parts.append(Self.text("layers", (Frame.left + Frame.right) / 2, Frame.bottom + 42, anchor: "middle", size: 13))
        parts.append(
            #"<g transform="translate(20 \#(Self.number((Frame.top + Frame.bottom) / 2))) rotate(-90)">\#(Self.text("tokens", 0, 0, anchor: "middle", size: 13))</g>"#
        )
        if let length {
            parts.append(Self.line((Frame.left, y(length)), (Frame.right, y(length)), "#6b7280", dashes: "7 5"))
        }
        for one in series { parts += drawing(one) { (x($0.depth), y($0.power)) } }
        parts += legend(series)
        return """
            <?xml version="1.0" encoding="UTF-8"?>
            <svg xmlns="http://www.w3.org/2000/svg" width="\(Int(Frame.width))" height="\(Int(Frame.height))" viewBox="0 0 \(Int(Frame.width)) \(Int(Frame.height))" \
            font-family="Helvetica, Arial, sans-serif" fill="\(Frame.ink)">
            \(parts.joined(separator: "\n"))
            </svg>

            """
    }

    private func drawing(_ series: Series, _ place: ((depth: Int, power: Double)) -> (Double, Double)) -> [String] {
        let places = series.points.map(place)
        var parts: [String] = []
        if series.hasLine && places.count > 1 {
            let path = places.map { "\(Self.number($0.0)),\(Self.number($0.1))" }.joined(separator: " ")
            parts.append(
                #"<polyline points="\#(path)" fill="none" stroke="\#(series.color)" stroke-width="2" stroke-linejoin="round"/>"#
            )
        }
        // A line of one point would not be seen.
        let radius = series.radius > 0 || places.count > 1 ? series.radius : 3
        if radius > 0 { parts += places.map { Self.mark($0, series, radius) } }
        return parts
    }

    /// A full circle on a line, a ring by itself.
    private static func mark(_ place: (Double, Double), _ series: Series, _ radius: Double) -> String {
        #"<circle cx="\#(number(place.0))" cy="\#(number(place.1))" r="\#(number(radius))" "#
            + (series.hasLine
                ? #"fill="\#(series.color)"/>"# : #"fill="none" stroke="\#(series.color)" stroke-width="2"/>"#)
    }

    private func legend(_ series: [Series]) -> [String] {
        let rows = series.count + (tokens == nil ? 0 : 1)
        let pitch = 20.0
        // Reach grows: this corner is free.
        let (left, first) = (Frame.right - 284, Frame.bottom - pitch * Double(rows) - 8)
        var parts = [
            #"<rect x="\#(Self.number(left))" y="\#(Self.number(first - 15))" width="270" height="\#(Self.number(pitch * Double(rows) + 10))" rx="4" fill="\#(Frame.back)" "#
                + #"fill-opacity="0.92" stroke="\#(Frame.pale)"/>"#
        ]
        for (index, one) in series.enumerated() {
            let y = first + pitch * Double(index)
            if one.hasLine { parts.append(Self.line((left + 10, y), (left + 38, y), one.color, width: 2)) }
            if one.radius > 0 { parts.append(Self.mark((left + 24, y), one, one.radius)) }
            parts.append(Self.text(one.name, left + 48, y + 4, anchor: "start", size: 12))
        }
        if let tokens {
            let y = first + pitch * Double(series.count)
            parts.append(Self.line((left + 10, y), (left + 38, y), "#6b7280", dashes: "7 5"))
            parts.append(Self.text("n = \(ExactCount(tokens).grouped)", left + 48, y + 4, anchor: "start", size: 12))
        }
        return parts
    }

    /// 1, 2 or 5 times a power of ten, so that there are about `ticks` at most.
    private static func step(over range: Double, ticks: Double) -> Int {
        var unit = 1
        while unit < 1_000_000 {
            for step in [unit, 2 * unit, 5 * unit] where range / Double(step) <= ticks { return step }
            unit *= 10
        }
        return unit
    }

    private static func number(_ value: Double) -> String { fixed(value, digits: 1) }

    private static func line(
        _ from: (Double, Double), _ to: (Double, Double), _ color: String, width: Double = 1, dashes: String? = nil
    ) -> String {
        #"<line x1="\#(number(from.0))" y1="\#(number(from.1))" x2="\#(number(to.0))" y2="\#(number(to.1))" stroke="\#(color)" stroke-width="\#(number(width))""#
            + (dashes.map { #" stroke-dasharray="\#($0)""# } ?? "") + "/>"
    }

    private static func text(_ text: String, _ x: Double, _ y: Double, anchor: String, size: Int) -> String {
        var escaped = ""
        for character in text {
            switch character {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            default: escaped.append(character)
            }
        }
        return
            #"<text x="\#(number(x))" y="\#(number(y))" text-anchor="\#(anchor)" font-size="\#(size)">\#(escaped)</text>"#
    }
}
