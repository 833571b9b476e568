import Foundation

/// A NumPy array of f4 or u2 read back, for comparing.
package struct NpyArray {
    package var shape: [Int]
    package var values: [Float]

    package init(_ path: String) throws {
        let data = try Data(contentsOf: URL(fileURLWithPath: path))
        struct Malformed: Error {}
        guard data.count > 10, data[0] == 0x93, data[1...5].elementsEqual("NUMPY".utf8) else { throw Malformed() }
        let length = Int(data[8]) | Int(data[9]) << 8
        let header = String(decoding: data[10..<10 + length], as: UTF8.self)
        guard let open = header.range(of: "'shape': ("), let close = header[open.upperBound...].firstIndex(of: ")")
        else { throw Malformed() }
        shape = header[open.upperBound..<close].split(separator: ",").compactMap {
            Int($0.trimmingCharacters(in: .whitespaces))
        }
        let body = data[(10 + length)...]
        let isTransposed = header.contains("'fortran_order': True")
        guard !isTransposed || shape.count == 2 && !header.contains("<u2") else { throw Malformed() }
        values = body.withUnsafeBytes { raw in
            if header.contains("<u2") { return raw.bindMemory(to: UInt16.self).map(Float.init) }
            return (0..<raw.count / 4).map { raw.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
        }
        // Column by column.
        if isTransposed {
            let columns = values
            for place in values.indices {
                values[place] = columns[place % shape[1] * shape[0] + place / shape[1]]
            }
        }
    }

    /// Largest difference over the largest magnitude of `other`.
    package func relativeError(to other: NpyArray) -> Float {
        let scale = other.values.map(abs).max() ?? 1
        return (zip(values, other.values).map { abs($0 - $1) }.max() ?? 0) / max(scale, .leastNormalMagnitude)
    }
}
