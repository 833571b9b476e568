import CKernels
import Support

/// What a layer's input rows are before arithmetic: token ids for layer 1, stored states for the others.
public enum InputRows: Sendable {
    /// UInt16 ids, embedded on the fly.
    case tokens(Embedding)
    case bf16
    case f32

    /// Bytes of one row as stored.
    public func rowBytes(width: Int) -> Int {
        switch self {
        case .tokens: 2
        case .bf16: 2 * width
        case .f32: 4 * width
        }
    }

    /// x in f32 from `rows` contiguous stored rows.
    ///
    /// - Parameters:
    ///   - positions: [rows] token indices, for tokens.
    ///   - x: `rows` rows of D values, `stride` values from one to the next; tokens need them contiguous.
    func expand(
        _ stored: UnsafeRawPointer, rows: Int, positions: UnsafePointer<Int64>?, into x: UnsafeMutablePointer<Float>,
        stride: Int, with arithmetic: TileArithmetic
    ) {
        let width = arithmetic.config.hiddenSize
        switch self {
        case .tokens(let embedding):
            embedding.expand(
                stored.assumingMemoryBound(to: UInt16.self), rows: rows, positions: positions, into: x,
                scratch: arithmetic.positionScratch.start, kernels: arithmetic.kernels)
        case .bf16:
            arithmetic.kernels.pointee.f32_from_bf16(
                stored.assumingMemoryBound(to: UInt16.self), Int64(width), Int64(rows), Int64(width), x, Int64(stride))
        case .f32:
            for row in 0..<rows {
                (x + row * stride).update(from: stored.assumingMemoryBound(to: Float.self) + row * width, count: width)
            }
        }
    }
}

/// Binary Patch Encoding: row `token` of the codebook, plus the position term if the model has one. A position without
/// a token is a zero vector before the position term (Model.md).
public final class Embedding: Sendable {
    private let codebook: Tensor
    private let position: PositionTerm?
    private let width: Int

    /// - Parameter length: N.
    public init(_ model: Model, length: Int) throws {
        let tensor = TensorReader(model)
        defer { withExtendedLifetime(tensor) {} }
        width = model.config.hiddenSize
        codebook = try model.tensor("codebook")
        position =
            model.config.positionalEncoding == .none
            ? nil
            : try PositionTerm(
                weight: tensor("coord_conv.conv.weight"), scale: tensor("coord_conv.scale").pointee, width: width,
                length: length)
    }

    public static func footprint(width: Int) -> Int { PositionTerm.footprint(width: width) }

    func expand(
        _ tokens: UnsafePointer<UInt16>, rows: Int, positions: UnsafePointer<Int64>?,
        into x: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Double>, kernels: KernelTable
    ) {
        for row in 0..<rows {
            let token = Int(tokens[row])
            if token < ModelConfig.vocabulary {
                (x + row * width).update(from: codebook.values + token * width, count: width)
            } else {
                (x + row * width).update(repeating: 0, count: width)
            }
        }
        guard let position, let positions else { return }
        withUnsafePointer(to: position.tables) { kernels.pointee.position($0, positions, Int64(rows), x, scratch) }
    }
}
