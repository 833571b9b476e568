import Support

/// A NumPy array file, version 1.0, C order, little-endian, written front to back.
package final class NpyFile {
    private let output: OutputFile
    private let expected: Int
    private var written = 0

    /// - Parameter type: NumPy's name of the number format: "<f4" or "<u2".
    package init(_ path: String, type: String, shape: [Int]) throws {
        let expected = shape.reduce((type == "<u2" ? 2 : 4, false)) { product, size in
            let (bytes, overflow) = product.0.multipliedReportingOverflow(by: size)
            return (bytes, overflow || product.1)
        }
        guard !expected.1 else {
            throw Fault(.badData, "an array of shape \(shape) is larger than any file", at: Place(file: path))
        }
        let output = try OutputFile(path)
        try Self.header(type: type, shape: shape).withUnsafeBytes { try output.write($0) }
        self.output = output
        self.expected = expected.0
    }

    /// The bytes before the data, which begins at a multiple of 64.
    static func header(type: String, shape: [Int]) -> [UInt8] {
        let sizes = shape.map(String.init).joined(separator: ", ") + (shape.count == 1 ? "," : "")
        var header = "{'descr': '\(type)', 'fortran_order': False, 'shape': (\(sizes)), }"
        // Magic, version and length take 10 bytes.
        header += String(repeating: " ", count: 63 - (10 + header.utf8.count) % 64) + "\n"
        let length = withUnsafeBytes(of: UInt16(header.utf8.count).littleEndian, Array.init)
        return [0x93] + Array("NUMPY".utf8) + [1, 0] + length + Array(header.utf8)
    }

    package func write(_ values: UnsafeRawBufferPointer) throws {
        try output.write(values)
        written += values.count
    }

    /// Puts the complete file in place.
    package func publish() throws {
        guard written == expected else {
            throw Fault(
                .inputOutput, "\(written) bytes were produced for an array of \(expected)", at: Place(file: output.path)
            )
        }
        try output.publish()
    }
}
