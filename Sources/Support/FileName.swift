import Glibc

/// File names are bytes, and Linux allows all but "/" and NUL in them. A Swift string holds Unicode only, so bytes that
/// are not UTF-8 stand in it as scalars of a private range, one for each byte: nothing is lost, and the way back is
/// exact.
package enum FileName {
    /// U+10FE00 + byte. A name that has such scalars of its own has their four bytes stand so, one by one.
    private static let base: UInt32 = 0x10_FE00
    private static let range = base...base + 0xFF

    /// The byte that a scalar stands for; nil for an ordinary one.
    static func byte(_ scalar: Unicode.Scalar) -> UInt8? {
        range.contains(scalar.value) ? UInt8(truncatingIfNeeded: scalar.value) : nil
    }

    private static func scalar(_ byte: UInt8) -> Unicode.Scalar { Unicode.Scalar(base + UInt32(byte)) ?? "\u{FFFD}" }

    /// The string that stands for a name's bytes.
    package static func text(_ bytes: some Collection<UInt8>) -> String {
        if let text = String(validating: bytes, as: UTF8.self),
            !text.unicodeScalars.contains(where: { byte($0) != nil })
        {
            return text
        }
        let bytes = Array(bytes)
        var text = String.UnicodeScalarView()
        var at = 0
        while at < bytes.count {
            // The longest scalar is four bytes; the shortest prefix that is valid is the scalar.
            let end = (at + 1...at + 4).first {
                $0 <= bytes.count && String(validating: bytes[at..<$0], as: UTF8.self) != nil
            }
            if let end, let scalar = String(decoding: bytes[at..<end], as: UTF8.self).unicodeScalars.first,
                byte(scalar) == nil
            {
                text.append(scalar)
                at = end
            } else {
                text.append(scalar(bytes[at]))
                at += 1
            }
        }
        return String(text)
    }

    /// The string that stands for a name as C has it.
    package static func text(_ name: UnsafePointer<CChar>) -> String {
        text(UnsafeRawBufferPointer(start: name, count: strlen(name)))
    }

    /// The bytes that a string stands for.
    package static func bytes(_ text: String) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count)
        for scalar in text.unicodeScalars {
            if let byte = byte(scalar) {
                bytes.append(byte)
            } else {
                bytes += UTF8.encode(scalar).map(Array.init) ?? []
            }
        }
        return bytes
    }

    /// The value of a variable of the environment, which may be a path; nil where it is not set or empty.
    package static func variable(_ name: String) -> String? {
        guard let value = getenv(name), value.pointee != 0 else { return nil }
        return text(value)
    }
}

extension String {
    /// Calls `body` with the name's bytes as C takes them: every path goes to the system through here.
    package func withFileName<R>(_ body: (UnsafePointer<CChar>) throws -> R) rethrows -> R {
        if !unicodeScalars.contains(where: { FileName.byte($0) != nil }) { return try withCString(body) }
        return try (FileName.bytes(self) + [0]).withUnsafeBufferPointer { bytes in
            try bytes.withMemoryRebound(to: CChar.self) { characters in
                guard let start = characters.baseAddress else { return try "".withCString(body) }
                return try body(start)
            }
        }
    }

    /// The text as it is safe to show: control characters, marks that turn the direction of text, line separators and
    /// bytes that are not UTF-8 are written out, `\n`, `\x1b`, `\xe9`, `\u{202e}`.
    package var escaped: String {
        if !unicodeScalars.contains(where: \.isUnsafeToShow) { return self }
        var text = ""
        for scalar in unicodeScalars {
            if let byte = FileName.byte(scalar) {
                text += "\\x" + byte.hexadecimal
            } else if !scalar.isUnsafeToShow {
                text.unicodeScalars.append(scalar)
            } else {
                switch scalar {
                case "\n": text += "\\n"
                case "\r": text += "\\r"
                case "\t": text += "\\t"
                default:
                    text +=
                        scalar.value < 0x80
                        ? "\\x" + UInt8(truncatingIfNeeded: scalar.value).hexadecimal
                        : "\\u{\(String(scalar.value, radix: 16))}"
                }
            }
        }
        return text
    }

    /// Several lines as they are safe to show: as `escaped`, but for their line ends.
    package var escapedLines: String {
        if !unicodeScalars.contains(where: { $0.isUnsafeToShow && $0 != "\n" }) { return self }
        return split(separator: "\n", omittingEmptySubsequences: false).map { String($0).escaped }.joined(
            separator: "\n")
    }
}

extension String {
    /// A JSON document with what `escaped` writes out as JSON writes it: such signs can stand in its strings only.
    /// Bytes that are not UTF-8, which JSON cannot have, stand there as people see them.
    package var escapedInJSON: String {
        if !unicodeScalars.contains(where: { $0.isUnsafeToShow && $0 != "\n" }) { return self }
        var text = ""
        for scalar in unicodeScalars {
            if FileName.byte(scalar) != nil {
                text += "\\" + String(scalar).escaped
            } else if scalar.isUnsafeToShow && scalar != "\n" {
                for unit in UTF16.encode(scalar) ?? UTF16.encodedReplacementCharacter {
                    let digits = String(unit, radix: 16)
                    text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                }
            } else {
                text.unicodeScalars.append(scalar)
            }
        }
        return text
    }
}

extension UInt8 {
    fileprivate var hexadecimal: String { (self < 16 ? "0" : "") + String(self, radix: 16) }
}

extension Unicode.Scalar {
    fileprivate var isUnsafeToShow: Bool {
        switch properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator: true
        // Byte order marks, directions, invisible signs; but what joins letters belongs to text.
        case .format: value != 0x200C && value != 0x200D && value != 0xAD
        default: FileName.byte(self) != nil
        }
    }
}
