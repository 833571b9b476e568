import CXXHash
import Support

/// A model directory: config.json and model.safetensors, checked against each other, the weights mapped.
public final class Model: Sendable {
    /// The model's folder, as it was named.
    public let directory: String
    /// Its shape, as config.json says.
    public let config: ModelConfig
    /// XXH3-64 over the configuration and every weight's name, number format, shape and bytes, in hexadecimal: the same
    /// for the same model, wherever it lies.
    public let fingerprint: String
    /// What `model init` left in the file; nil for weights from anywhere else.
    public let untrained: String?
    /// As safetensors calls the formats of the weights: "F32", "BF16 and F32".
    public let weightFormats: String
    /// Values of all weights in the file.
    public let parameters: Int
    /// Bytes of all weights in the file.
    public let weightBytes: Int
    /// Bytes that the copies of one block's weights take while they are prepared: those that the file does not hold in
    /// f32.
    package let copiedBlockBytes: Int
    private let weights: SafeTensors
    private let formats: [String: WeightFormat]

    static let trainingKey = "training"

    /// Opens and checks a model.
    ///
    /// - Throws: `Fault` naming file and field: missing or extra tensor, wrong type or shape, a value that is not
    ///   finite.
    public init(directory: String) throws {
        self.directory = directory
        config = try ModelConfig(directory: directory)
        let file = "\(directory)/model.safetensors"
        weights = try SafeTensors(file)
        let training = weights.metadata[Self.trainingKey]
        untrained = if case .string(let text)? = training { text } else { nil }
        func fail(_ name: String, _ problem: String) -> Fault {
            Fault(.badData, problem, at: Place(file: file, field: name))
        }

        let digest = try Digest()
        digest.add(config.json)

        let layout = TensorLayout(config)
        var formats: [String: WeightFormat] = [:]
        var copied: [Substring: Int] = [:]
        var (total, values) = (0, 0)
        var known = layout.unused
        for description in layout.tensors {
            let (name, shape) = (description.name, description.shape)
            known.insert(name)
            guard let tensor = weights.tensors[name] else {
                if description.isOptional { continue }
                throw fail(name, "the tensor is missing")
            }
            guard let format = WeightFormat(rawValue: tensor.dtype) else {
                throw fail(name, "is \(tensor.dtype); only F32, F16 and BF16 weights are read")
            }
            // A score's weights are one row, however they say so.
            guard
                tensor.shape == shape
                    || (name.hasSuffix("select.weight") && tensor.shape.filter { $0 != 1 } == shape.filter { $0 != 1 })
            else { throw fail(name, "has shape \(tensor.shape); config.json asks for \(shape)") }
            let bytes = weights.bytes(tensor)
            if let index = format.firstNotFinite(bytes) {
                throw fail(name, "value \(index) is \(try Tensor(tensor, format: format, in: weights).value(index))")
            }
            if Tensor.takesCopy(tensor, format: format, in: weights) {
                copied[name.blockNumber, default: 0] += shape.reduce(4, *)
            }
            formats[name] = format
            total += bytes.count
            values += tensor.shape.reduce(1, *)
            // Zeros, which are in no name, say where each ends.
            digest.add("\0\(name)\0\(format.rawValue)\0\(shape.map(String.init).joined(separator: ","))\0")
            digest.add(bytes)
        }
        if let extra = weights.tensors.keys.filter({ !known.contains($0) }).sorted().first {
            throw fail(extra, "not a tensor of this model")
        }
        self.formats = formats
        weightFormats = Set(formats.values.map(\.rawValue)).sorted().joined(separator: " and ")
        weightBytes = total
        parameters = values
        copiedBlockBytes = copied.values.max() ?? 0
        fingerprint = digest.text
    }

    /// The fingerprint of programs that left number formats and shapes out of it: two models can share it. For runs
    /// that they recorded, and nothing else.
    package func legacyFingerprint() throws -> String {
        let digest = try Digest()
        digest.add(config.json)
        for name in TensorLayout(config).tensors.map(\.name) {
            guard let tensor = weights.tensors[name] else { continue }
            digest.add(name)
            digest.add(weights.bytes(tensor))
        }
        return digest.text
    }

    /// XXH3-64 of what is added, piece by piece.
    private final class Digest {
        private let state: OpaquePointer

        init() throws {
            guard let state = XXH3_createState() else { throw Fault(.inputOutput, "out of memory") }
            XXH3_64bits_reset(state)
            self.state = state
        }

        deinit { XXH3_freeState(state) }

        func add(_ bytes: UnsafeRawBufferPointer) { XXH3_64bits_update(state, bytes.baseAddress, bytes.count) }
        func add(_ text: String) { Array(text.utf8).withUnsafeBytes { add($0) } }

        var text: String { XXH3_64bits_digest(state).hexDigits }
    }

    func tensor(_ name: String) throws -> Tensor {
        guard let tensor = try tensorIfPresent(name) else {
            throw Fault(.badData, "the tensor is missing", at: Place(file: directory, field: name))
        }
        return tensor
    }

    /// An optional tensor: nil where the model comes without it.
    func tensorIfPresent(_ name: String) throws -> Tensor? {
        guard let tensor = weights.tensors[name], let format = formats[name] else { return nil }
        return try Tensor(tensor, format: format, in: weights)
    }
}

extension String {
    /// "7" of "blocks.7.norm1.norm.bias"; empty outside blocks.
    fileprivate var blockNumber: Substring { hasPrefix("blocks.") ? split(separator: ".").prefix(2).last ?? "" : "" }
}
