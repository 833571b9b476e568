import Glibc
import Support

/// Values of an array that nobody knows the length of, written as they come.
///
/// A file is a NumPy array at every moment: values are appended first, and then its header counts them. What cannot be
/// gone back in, a pipe or a device, takes the values alone, little-endian f32.
///
/// A file that holds what an earlier run wrote is gone on with.
package final class GrowingArray {
    private let path: String
    /// nil where what is written is a stream.
    private let descriptor: Int32?
    private let stream: OutputFile?
    private var count = 0
    private static let headerBytes = 128

    /// - Parameters:
    ///   - path: "-" for standard output.
    ///   - earlier: values that earlier runs wrote. A file that is there is gone on with after as many, and left as it is
    ///     where it has fewer; one that is not there begins with the values of this run. nil: what is there is
    ///     replaced.
    /// - Throws: `Fault`: `cannotCreate`; `usage` where a file holds fewer values.
    package init(_ path: String, after earlier: Int? = nil) throws {
        self.path = path
        guard let target = try OutputFile.target(path) else {
            stream = try OutputFile(path)
            descriptor = nil
            return
        }
        stream = nil
        let isThere = earlier != nil && (File.size(target) ?? 0) > 0
        let descriptor = File.descriptor(target, O_RDWR | O_CREAT, mode: 0o644)
        guard descriptor >= 0 else { throw File.fault(.cannotCreate, "cannot create", path) }
        self.descriptor = descriptor
        try FileLock.take(descriptor, path)
        // Nothing is cut before it is ours.
        if !isThere, ftruncate(descriptor, 0) != 0, errno != EINVAL {
            throw File.fault(.cannotCreate, "cannot cut", path)
        }
        guard isThere, let earlier else {
            try writeHeader()
            return
        }
        count = earlier
        var found = [UInt8](repeating: 0, count: Self.headerBytes)
        let length = found.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, 0) }
        let size = File.size(target) ?? 0
        guard length == Self.headerBytes, let stated = Self.count(found), stated >= earlier,
            size >= Self.headerBytes + 4 * earlier
        else {
            throw Fault(
                .usage, "this is no array of \(earlier) values, which is what the saved state goes on from",
                at: Place(file: path), advice: "Name the file that they were written to, or another one.")
        }
        // Values after those come again: of a run that was killed, or of the end of an input that has more now.
        if stated > earlier || size > Self.headerBytes + 4 * earlier {
            try writeHeader()
            guard ftruncate(descriptor, off_t(Self.headerBytes + 4 * earlier)) == 0 else {
                throw File.fault(.inputOutput, "cannot cut", path)
            }
        }
    }

    /// How many values a header counts; nil where it is none of this kind.
    private static func count(_ header: [UInt8]) -> Int? {
        let text = String(decoding: header, as: UTF8.self)
        guard let start = text.firstIndex(of: "("),
            let count = Int(text[text.index(after: start)...].prefix { $0.isNumber }),
            header == NpyFile.header(type: "<f4", shape: [count])
        else { return nil }
        return count
    }

    deinit { if let descriptor { close(descriptor) } }

    /// As long for every number of values: one of 1 to 19 digits takes 68 to 86 bytes before it is filled up.
    private var header: [UInt8] { NpyFile.header(type: "<f4", shape: [count]) }

    private func writeHeader() throws {
        guard let descriptor else { return }
        try header.withUnsafeBytes { try put($0, at: 0, of: descriptor) }
    }

    private func put(_ bytes: UnsafeRawBufferPointer, at offset: Int, of descriptor: Int32) throws {
        var done = 0
        while done < bytes.count {
            let written = pwrite(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done, offset + done)
            if written < 0 && errno == EINTR { continue }
            guard written > 0 else { throw File.fault(.inputOutput, "cannot write", path) }
            done += written
        }
    }

    /// Appends values, f32.
    ///
    /// - Throws: `Fault` (`inputOutput`) where they cannot be written, or nobody could find them: the file was removed.
    package func write(_ values: UnsafeBufferPointer<Float>) throws {
        if values.isEmpty { return }
        guard let descriptor else {
            try stream?.write(UnsafeRawBufferPointer(values))
            return
        }
        var info = stat()
        if fstat(descriptor, &info) == 0, info.st_nlink == 0 {
            throw Fault(.inputOutput, "the file was removed while it was written", at: Place(file: path))
        }
        try put(UnsafeRawBufferPointer(values), at: Self.headerBytes + 4 * count, of: descriptor)
        count += values.count
        try writeHeader()
    }

    /// Makes what was written durable, where that can be.
    package func close() throws {
        if let stream { return try stream.publish() }
        if let descriptor, fsync(descriptor) != 0, errno != EINVAL {
            throw File.fault(.inputOutput, "cannot sync", path)
        }
    }

    private func close(_ descriptor: Int32) { _ = Glibc.close(descriptor) }
}
