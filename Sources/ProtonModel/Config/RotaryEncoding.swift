import Support

/// Rotary position encoding of queries and keys: `rope` of config.json (Model.md, "Mixers").
package struct RotaryEncoding: Sendable, Equatable {
    /// Which two features of a head make a pair.
    package enum Layout: String, Sendable, CaseIterable {
        /// i and i + dh/2.
        case half
        /// 2i and 2i + 1.
        case interleaved
    }

    /// The frequency of pair i.
    package enum Spacing: String, Sendable, CaseIterable {
        /// theta^(-2i/dh).
        case standard
        /// theta^(-i/(dh/2 - 1)): the last one is 1/theta.
        case inclusive
    }

    package var theta: Double
    package var layout: Layout
    package var spacing: Spacing

    package init(theta: Double = 10_000, layout: Layout = .half, spacing: Spacing = .standard) {
        self.theta = theta
        self.layout = layout
        self.spacing = spacing
    }

    private static let thetas = 1.0...1e12

    /// Takes the field `rope`: nil where it is absent or null.
    static func take(_ fields: inout JSONFields) throws -> RotaryEncoding? {
        guard var inner = try fields.object("rope") else { return nil }
        let rope = RotaryEncoding(
            theta: try inner.number("theta", in: thetas, default: 10_000),
            layout: try inner.choice("layout", default: .half),
            spacing: try inner.choice("spacing", default: .standard))
        try inner.finish()
        return rope
    }

    /// - Parameters:
    ///   - headSize: features of a query's head.
    ///   - field: its name.
    func impossibleField(headSize: Int, _ field: String) -> (field: String, problem: String)? {
        if !Self.thetas.contains(theta) {
            return ("rope.theta", "is \(theta); must be \(Self.thetas.lowerBound) to \(Self.thetas.upperBound)")
        }
        if headSize % 2 != 0 {
            return (field, "is \(headSize); rope, which turns pairs of features, needs an even one")
        }
        if spacing == .inclusive && headSize < 4 {
            return (field, "is \(headSize); rope of inclusive spacing needs at least 4")
        }
        return nil
    }

    /// The field, spacing where it is not the default.
    var json: String {
        let spacing = spacing == .standard ? "" : #", "spacing": "\#(spacing.rawValue)""#
        return #""rope": {"theta": \#(theta), "layout": "\#(layout.rawValue)"\#(spacing)}"#
    }

    /// What new models take.
    static let newField: JSONObject.Field = ("rope", .object(JSONObject()))

    var summary: String {
        let words =
            (layout == .half ? [] : [layout.rawValue]) + (spacing == .standard ? [] : [spacing.rawValue])
            + (theta == 10_000 ? [] : ["theta \(theta)"])
        return "rope" + (words.isEmpty ? "" : " (\(words.joined(separator: ", ")))")
    }
}
