import CKernels
import Compute
import Support

/// How a file stores the values of weights, as safetensors calls it.
enum WeightFormat: String {
    case f32 = "F32"
    case f16 = "F16"
    case bf16 = "BF16"

    /// The first of `bytes`' values that is not finite.
    func firstNotFinite(_ bytes: UnsafeRawBufferPointer) -> Int? {
        // All bits of the exponent are set.
        func first<Bits: FixedWidthInteger>(_ exponent: Bits) -> Int? {
            let size = MemoryLayout<Bits>.size
            return (0..<bytes.count / size).first {
                bytes.loadUnaligned(fromByteOffset: $0 * size, as: Bits.self) & exponent == exponent
            }
        }
        switch self {
        case .f32: return first(0x7f80_0000 as UInt32)
        case .f16: return first(0x7c00 as UInt16)
        case .bf16: return first(0x7f80 as UInt16)
        }
    }
}

/// A tensor of a model: its values in f32, where the file's map holds them so, else a copy.
///
/// Whoever keeps a pointer to the values keeps the tensor.
final class Tensor: Sendable {
    nonisolated(unsafe) let values: UnsafePointer<Float>
    private let copy: Memory<Float>?
    private let file: SafeTensors

    init(_ tensor: SafeTensors.Tensor, format: WeightFormat, in file: SafeTensors) throws {
        self.file = file
        let bytes = file.bytes(tensor)
        if let start = bytes.baseAddress, !Self.takesCopy(tensor, format: format, in: file) {
            copy = nil
            values = start.assumingMemoryBound(to: Float.self)
            return
        }
        let count = tensor.shape.reduce(1, *)
        let copy = try Memory<Float>(count)
        switch format {
        case .f32: copy.bytes.copyMemory(from: bytes)
        case .f16: bbp_f32_from_f16(bytes.baseAddress, Int64(count), copy.start)
        case .bf16: bbp_f32_from_bf16(bytes.baseAddress, Int64(count), copy.start)
        }
        self.copy = copy
        values = UnsafePointer(copy.start)
    }

    func value(_ index: Int) -> Float { withExtendedLifetime(self) { values[index] } }

    /// Whether the values cannot be used where they lie: 16-bit ones, and misaligned ones, which no common writer
    /// makes.
    static func takesCopy(_ tensor: SafeTensors.Tensor, format: WeightFormat, in file: SafeTensors) -> Bool {
        format != .f32 || !file.isAligned(tensor)
    }
}

/// Looks tensors up while weights are prepared, and keeps them until then.
///
/// Whoever makes one ends with `withExtendedLifetime`.
final class TensorReader {
    private let model: Model
    private let prefix: String
    private var tensors: [Tensor] = []

    init(_ model: Model, prefix: String = "") {
        self.model = model
        self.prefix = prefix
    }

    /// Looks up those of another block.
    func ofBlock(_ block: Int) -> TensorReader { TensorReader(model, prefix: "blocks.\(block).") }

    func callAsFunction(_ name: String) throws -> UnsafePointer<Float> {
        let tensor = try model.tensor(prefix + name)
        tensors.append(tensor)
        return tensor.values
    }

    /// An optional tensor; nil where the model comes without it.
    func ifPresent(_ name: String) throws -> UnsafePointer<Float>? {
        guard let tensor = try model.tensorIfPresent(prefix + name) else { return nil }
        tensors.append(tensor)
        return tensor.values
    }

    /// The LayerNorm of this name.
    func norm(_ name: String, config: ModelConfig, on backend: any Backend) throws -> any Norm {
        try backend.norm(
            weight: self("\(name).weight"), bias: self("\(name).bias"), width: config.hiddenSize,
            epsilon: Float(config.layerNormEpsilon))
    }
}
