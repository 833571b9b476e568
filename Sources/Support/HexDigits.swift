extension UInt64 {
    /// All sixteen hexadecimal digits, as fingerprints and checksums are written.
    package var hexDigits: String {
        let digits = String(self, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
