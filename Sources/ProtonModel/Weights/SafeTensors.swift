import Glibc
import Support

/// A safetensors file, mapped: 8-byte little-endian header length, JSON header, then the tensors' bytes.
///
/// The header must describe the file exactly: every byte of data belongs to one tensor, none to two.
package final class SafeTensors: @unchecked Sendable {
    package struct Tensor: Sendable {
        package var dtype: String
        package var shape: [Int]
        /// Bytes from the start of the data section.
        package var range: Range<Int>
    }

    package let file: String
    package let tensors: [String: Tensor]
    /// `__metadata__`, whose values are strings.
    package let metadata: JSONObject
    private let map: UnsafeMutableRawBufferPointer
    private let dataStart: Int

    /// The header may not be longer: a hostile length must not be believed.
    static let largestHeader = 100 << 20
    private static let mostDimensions = 64
    /// Bytes of a value, for the number formats of the safetensors format.
    private static let sizes = [
        "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2,
        "U8": 1, "BOOL": 1,
    ]

    package init(_ file: String) throws {
        self.file = file
        func fail(_ problem: String, field: String? = nil, offset: Int? = nil) -> Fault {
            Fault(.badData, problem, at: Place(file: file, byteOffset: offset, field: field?.shortened))
        }
        guard File.exists(file) else { throw Fault(.noInput, "the model has no weights", at: Place(file: file)) }
        guard let size = File.size(file) else { throw Fault(.noInput, "not a regular file", at: Place(file: file)) }
        let descriptor = File.descriptor(file, O_RDONLY)
        guard descriptor >= 0 else { throw File.fault(.noInput, "cannot read", file) }
        defer { close(descriptor) }
        guard size >= 8 else { throw fail("\(size) bytes are too few for a safetensors file") }
        guard let address = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else {
            throw File.fault(.inputOutput, "cannot map", file)
        }
        map = UnsafeMutableRawBufferPointer(start: address, count: size)
        do {
            let length = UInt64(littleEndian: map.loadUnaligned(as: UInt64.self))
            guard length <= UInt64(Self.largestHeader) else {
                throw fail("a header of \(length) bytes is more than the allowed \(Self.largestHeader)", offset: 0)
            }
            guard Int(length) <= size - 8 else {
                throw fail("a header of \(length) bytes does not fit a file of \(size)", offset: 0)
            }
            dataStart = 8 + Int(length)
            let text = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(map)[8..<dataStart])
            let header = try JSONValue.object(text, file: file, origin: 8)
            var tensors: [String: Tensor] = [:]
            var metadata = JSONObject()
            for (name, value) in header.fields {
                // Keeps names that differ in bytes from being one key: only ASCII has no two spellings of one text.
                guard name.utf8.allSatisfy({ $0 < 0x80 }) else {
                    throw fail("a tensor's name must be ASCII", field: name)
                }
                guard case .object(let fields) = value else { throw fail("must be an object", field: name) }
                if name == "__metadata__" {
                    guard fields.fields.allSatisfy({ if case .string = $0.value { true } else { false } }) else {
                        throw fail("values must be strings", field: name)
                    }
                    metadata = fields
                } else {
                    tensors[name] = try Self.tensor(name, fields, file: file)
                }
            }
            var end = 0
            for (name, tensor) in tensors.sorted(by: {
                ($0.value.range.lowerBound, $0.value.range.upperBound) < (
                    $1.value.range.lowerBound, $1.value.range.upperBound
                )
            }) {
                guard tensor.range.lowerBound == end else {
                    throw fail(
                        tensor.range.lowerBound < end
                            ? "its data overlap another tensor's"
                            : "bytes \(end)..<\(tensor.range.lowerBound) before it belong to no tensor", field: name)
                }
                end = tensor.range.upperBound
                guard end <= size - dataStart else {
                    throw fail(
                        "its data end at byte \(end) of \(size - dataStart): the file is cut short", field: name,
                        offset: size)
                }
            }
            guard end == size - dataStart else {
                throw fail(
                    "\(size - dataStart - end) bytes after the last tensor belong to none", offset: dataStart + end)
            }
            self.tensors = tensors
            self.metadata = metadata
        } catch {
            munmap(address, size)
            throw error
        }
    }

    deinit { munmap(map.baseAddress, map.count) }

    private static func tensor(_ name: String, _ fields: JSONObject, file: String) throws -> Tensor {
        func fail(_ problem: String) -> Fault { Fault(.badData, problem, at: Place(file: file, field: name.shortened)) }
        func integers(_ value: JSONValue?) -> [Int]? {
            guard case .array(let items) = value else { return nil }
            let numbers = items.compactMap { item -> Int? in
                guard case .integer(let number) = item, number >= 0 else { return nil }
                return number
            }
            return numbers.count == items.count ? numbers : nil
        }
        let known = ["dtype", "shape", "data_offsets"]
        if let extra = fields.fields.first(where: { !known.contains(where: $0.name.hasSameBytes) }) {
            throw fail("unknown field '\(extra.name.shortened)'")
        }
        guard case .string(let dtype)? = fields["dtype"], dtype.utf8.count <= 4,
            let valueSize = sizes[dtype]
        else { throw fail("unknown dtype") }
        guard let shape = integers(fields["shape"]), shape.count <= mostDimensions else {
            throw fail("shape must be a list of at most \(mostDimensions) non-negative integers")
        }
        guard let offsets = integers(fields["data_offsets"]), offsets.count == 2, offsets[0] <= offsets[1] else {
            throw fail("data_offsets must be two ascending non-negative integers")
        }
        guard let bytes = (shape + [valueSize]).checkedProduct, bytes == offsets[1] - offsets[0] else {
            throw fail("shape \(shape) of \(dtype) does not take \(offsets[1] - offsets[0]) bytes")
        }
        return Tensor(dtype: dtype, shape: shape, range: offsets[0]..<offsets[1])
    }

    /// The bytes of a tensor, in the map.
    package func bytes(_ tensor: Tensor) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(
            rebasing: UnsafeRawBufferPointer(map)[
                dataStart + tensor.range.lowerBound..<dataStart + tensor.range.upperBound])
    }

    /// Whether a tensor's values of four bytes can be used where they lie.
    func isAligned(_ tensor: Tensor) -> Bool { (dataStart + tensor.range.lowerBound) % 4 == 0 }

    /// Writes a file of F32 tensors, one after another in the given order.
    ///
    /// - Parameter fill: writes the values of tensor `name`.
    static func write(
        _ file: String, shapes: [(name: String, shape: [Int])], metadata: [String: String],
        fill: (_ name: String, _ values: UnsafeMutableBufferPointer<Float>) -> Void
    ) throws {
        func quoted(_ text: String) -> String {
            "\"" + text.map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : String($0) }.joined() + "\""
        }
        var entries =
            metadata.isEmpty
            ? []
            : [
                "\"__metadata__\":{"
                    + metadata.sorted { $0.key < $1.key }.map { "\(quoted($0.key)):\(quoted($0.value))" }.joined(
                        separator: ",") + "}"
            ]
        var end = 0
        for (name, shape) in shapes {
            let start = end
            end += shape.reduce(4, *)
            entries.append(
                "\(quoted(name)):{\"dtype\":\"F32\",\"shape\":[\(shape.map(String.init).joined(separator: ","))],\"data_offsets\":[\(start),\(end)]}"
            )
        }
        var header = Array("{\(entries.joined(separator: ","))}".utf8)
        header += Array(repeating: UInt8(ascii: " "), count: -header.count & 7)
        let output = try OutputFile(file)
        try withUnsafeBytes(of: UInt64(header.count).littleEndian) { try output.write($0) }
        try header.withUnsafeBytes { try output.write($0) }
        for (name, shape) in shapes {
            let values = try Memory<Float>(shape.reduce(1, *))
            fill(name, UnsafeMutableBufferPointer(start: values.start, count: values.count))
            try output.write(UnsafeRawBufferPointer(values.bytes))
        }
        try output.publish()
    }
}
