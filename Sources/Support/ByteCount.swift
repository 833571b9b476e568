/// Bytes as people read them.
public enum ByteCount {
    private static let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]

    /// "1.5 MiB"; exact below 1 KiB.
    public static func text(_ bytes: Int) -> String {
        if bytes < 1024 { return "\(bytes) B" }
        var value = Double(bytes)
        var unit = 0
        while value >= 1024 && unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        return "\(fixed(value, digits: value < 10 ? 2 : value < 100 ? 1 : 0)) \(units[unit])"
    }

    /// A number of MiB, rounded up, as `parse` reads it.
    package static func roundedUp(_ bytes: Int) -> String { "\(bytes >> 20 + (bytes % (1 << 20) == 0 ? 0 : 1))MiB" }

    /// Reads "256MiB", "2GiB", "1.5g", "512m", "1000000"; nil when it is none of these.
    public static func parse(_ text: String) -> Int? {
        let lower = text.lowercased()
        let number = lower.prefix { $0.isNumber || $0 == "." }
        guard let value = Double(number), value > 0 else { return nil }
        let factors: [String: Double] = [
            "": 1, "b": 1, "k": 1024, "kb": 1000, "kib": 1024, "m": 1_048_576, "mb": 1e6, "mib": 1_048_576,
            "g": 1_073_741_824, "gb": 1e9, "gib": 1_073_741_824, "t": 1_099_511_627_776, "tb": 1e12,
            "tib": 1_099_511_627_776,
        ]
        guard let factor = factors[String(lower.dropFirst(number.count)).filter { $0 != " " }], value * factor < 9e18
        else { return nil }
        return Int(value * factor)
    }
}

/// A number with so many digits after the point.
package func fixed(_ value: Double, digits: Int) -> String {
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    guard abs(value) < 1e15, abs(value) * scale < 9e18 else { return "\(value)" }
    let rounded = Int((abs(value) * scale).rounded())
    let whole = "\(rounded / Int(scale))"
    let sign = value < 0 && rounded != 0 ? "-" : ""
    if digits == 0 { return sign + whole }
    let fraction = String(rounded % Int(scale))
    return sign + whole + "." + String(repeating: "0", count: digits - fraction.count) + fraction
}

/// "1 048 576" of "1048576".
package func groupedDigits(_ digits: String) -> String {
    var text = ""
    for (index, digit) in digits.enumerated() {
        if index > 0 && (digits.count - index) % 3 == 0 { text.append(" ") }
        text.append(digit)
    }
    return text
}
