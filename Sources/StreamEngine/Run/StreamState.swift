import Glibc
import PageStore
import Support

/// What a `StreamRun` goes on from, in a file: tokens not yet in a whole block, and the progress before them.
///
/// Little-endian: "BBPS", version u32, bytes in all u64; fingerprint and computation, each its bytes u32 and UTF-8;
/// tokens of a block, tokens reported u64; bits f64; bytes counted u64; pending tokens u64 and u16 each; progress
/// (`RunProgress`) u64 bytes and these; XXH3-64 of all that.
package struct StreamState {
    var fingerprint: String
    var computation: String
    var blockTokens: Int
    var reported: Int
    var bits: Double
    var bitsCount: Int
    var pending: [UInt16]
    var progress: [UInt8]
    /// Where it was read.
    var path = ""

    private static let magic: [UInt8] = Array("BBPS".utf8)
    private static let version: UInt32 = 1

    init(
        fingerprint: String, computation: String, blockTokens: Int, reported: Int, bits: Double, bitsCount: Int,
        pending: [UInt16], progress: [UInt8]
    ) {
        self.fingerprint = fingerprint
        self.computation = computation
        self.blockTokens = blockTokens
        self.reported = reported
        self.bits = bits
        self.bitsCount = bitsCount
        self.pending = pending
        self.progress = progress
    }

    /// - Throws: `Fault`: `noInput` where there is no such file, `badData` where it is none, or damaged.
    package init(path: String) throws {
        guard File.exists(path) else {
            throw Fault(.noInput, "there is no such file", at: Place(file: path))
        }
        let bytes = try File.read(path)
        func fail(_ problem: String) -> Fault { Fault(.badData, problem, at: Place(file: path)) }
        guard bytes.count >= 24, Array(bytes[..<4]) == Self.magic else { throw fail("this is no saved state") }
        var reader = Reader(bytes: bytes)
        reader.offset = 4
        let version = reader.number(UInt32.self)
        guard version == Self.version else {
            throw fail("is of version \(version ?? 0), and this program reads version \(Self.version)")
        }
        let end = bytes.count - 8
        guard reader.number(UInt64.self) == UInt64(bytes.count),
            bytes[..<end].withUnsafeBytes({ checksum($0) }) == Reader(bytes: bytes, offset: end).peek(UInt64.self)
        else { throw fail("is damaged: it does not match its length and checksum") }
        guard let fingerprint = reader.text(), let computation = reader.text(),
            let blockTokens = reader.size(), let reported = reader.size(),
            let bits = reader.number(UInt64.self), let bitsCount = reader.size(),
            let count = reader.size(), let pending = reader.tokens(count),
            let length = reader.size(), let progress = reader.take(length), reader.offset == end
        else { throw fail("is damaged: its parts do not fit together") }
        self.init(
            fingerprint: fingerprint, computation: computation, blockTokens: blockTokens, reported: reported,
            bits: Double(bitPattern: bits), bitsCount: bitsCount, pending: pending, progress: Array(progress))
        self.path = path
    }

    /// Takes the file's parts one after another; nil where one goes beyond its end.
    private struct Reader {
        let bytes: [UInt8]
        var offset = 0

        func peek<T: FixedWidthInteger>(_ type: T.Type) -> T? {
            guard offset <= bytes.count - MemoryLayout<T>.size else { return nil }
            return bytes.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: T.self)) }
        }

        mutating func number<T: FixedWidthInteger>(_ type: T.Type) -> T? {
            guard let value = peek(type) else { return nil }
            offset += MemoryLayout<T>.size
            return value
        }

        mutating func size() -> Int? { number(UInt64.self).flatMap { Int(exactly: $0) } }

        mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
            guard count >= 0, count <= bytes.count - offset else { return nil }
            defer { offset += count }
            return bytes[offset..<offset + count]
        }

        mutating func text() -> String? {
            guard let count = number(UInt32.self), let bytes = take(Int(count)) else { return nil }
            return String(validating: bytes, as: UTF8.self)
        }

        mutating func tokens(_ count: Int) -> [UInt16]? {
            guard count <= bytes.count / 2, let taken = take(2 * count) else { return nil }
            return stride(from: taken.startIndex, to: taken.endIndex, by: 2).map {
                UInt16(taken[$0]) | UInt16(taken[$0 + 1]) << 8
            }
        }
    }

    package var bytes: [UInt8] {
        var bytes: [UInt8] = Self.magic
        func put(_ value: some FixedWidthInteger) { withUnsafeBytes(of: value.littleEndian) { bytes += $0 } }
        func put(_ text: String) {
            put(UInt32(text.utf8.count))
            bytes += text.utf8
        }
        put(Self.version)
        let lengths = 8 + fingerprint.utf8.count + computation.utf8.count + 2 * pending.count + progress.count
        put(UInt64(4 + 4 + 8 + lengths + 4 * 8 + 2 * 8 + 8))
        put(fingerprint)
        put(computation)
        put(UInt64(blockTokens))
        put(UInt64(reported))
        put(bits.bitPattern)
        put(UInt64(bitsCount))
        put(UInt64(pending.count))
        for id in pending { put(id) }
        put(UInt64(progress.count))
        bytes += progress
        put(bytes.withUnsafeBytes { checksum($0) })
        return bytes
    }

    /// Puts a file in place of the one there, whole.
    package func write(to path: String) throws {
        let output = try OutputFile(path)
        try bytes.withUnsafeBytes { try output.write($0) }
        try output.publish()
    }
}
