import CXXHash
import Support

/// A model directory: config.json and model.safetensors, checked against each other, the weights mapped.
public final class Model: Sendable {
    public let directory: String
    public let config: ModelConfig
    /// XXH3-64 over the configuration and every weight, in hexadecimal: the same for the same model, wherever it lies.
    public let fingerprint: String
    /// What `model init` left in the file; nil for weights from anywhere else.
    public let untrained: String?
    private let weights: SafeTensors
    /// Copies of misaligned weights; empty for files with padded headers, which is what every common writer makes.
    private let realigned: [String: Memory<Float>]

    static let trainingKey = "training"

    /// Opens and checks a model.
    ///
    /// - Throws: `Fault` naming file and field: missing or extra tensor, wrong type or shape, a value that is not finite.
    public init(directory: String) throws {
        self.directory = directory
        config = try ModelConfig(directory: directory)
        let file = "\(directory)/model.safetensors"
        weights = try SafeTensors(file)
        untrained = weights.metadata[Self.trainingKey]
        func fail(_ name: String, _ problem: String) -> Fault { Fault(.badData, problem, at: Place(file: file, field: name)) }

        guard let state = XXH3_createState() else { throw Fault(.inputOutput, "out of memory") }
        defer { XXH3_freeState(state) }
        XXH3_64bits_reset(state)
        func add(_ text: String) { Array(text.utf8).withUnsafeBytes { _ = XXH3_64bits_update(state, $0.baseAddress, $0.count) } }
        add(config.json)

        let layout = TensorLayout(config)
        var realigned: [String: Memory<Float>] = [:]
        var known = layout.unused
        for (name, shape) in layout.shapes {
            known.insert(name)
            guard let tensor = weights.tensors[name] else { throw fail(name, "the tensor is missing") }
            guard tensor.dtype == "F32" else { throw fail(name, "is \(tensor.dtype); only F32 weights are read") }
            // A score's weights are one row, however they say so.
            guard tensor.shape == shape || (name.hasSuffix("select.weight") && tensor.shape.filter { $0 != 1 } == shape.filter { $0 != 1 }) else { throw fail(name, "has shape \(tensor.shape); config.json asks for \(shape)") }
            let bytes = weights.bytes(tensor)
            if !weights.isAligned(tensor) {
                let copy = try Memory<Float>(bytes.count / 4)
                copy.bytes.copyMemory(from: bytes)
                realigned[name] = copy
            }
            let values = UnsafeBufferPointer(start: realigned[name].map { UnsafePointer($0.start) } ?? bytes.baseAddress?.assumingMemoryBound(to: Float.self), count: bytes.count / 4)
            if let index = values.firstIndex(where: { !$0.isFinite }) { throw fail(name, "value \(index) is \(values[index])") }
            add(name)
            XXH3_64bits_update(state, bytes.baseAddress, bytes.count)
        }
        if let extra = weights.tensors.keys.filter({ !known.contains($0) }).sorted().first { throw fail(extra, "not a tensor of this model") }
        self.realigned = realigned
        let digest = String(XXH3_64bits_digest(state), radix: 16)
        fingerprint = String(repeating: "0", count: 16 - digest.count) + digest
    }

    /// The values of a tensor of the model, where the file's map holds them.
    func tensor(_ name: String) throws -> UnsafePointer<Float> {
        if let copy = realigned[name] { return UnsafePointer(copy.start) }
        guard let tensor = weights.tensors[name], let start = weights.bytes(tensor).baseAddress else {
            throw Fault(.badData, "the tensor is missing", at: Place(file: directory, field: name))
        }
        return start.assumingMemoryBound(to: Float.self)
    }
}
