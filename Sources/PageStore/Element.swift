import CKernels
import Support

/// The number format of a page's values.
public enum Element: UInt16, Sendable, CaseIterable {
    /// Token ids: UInt16, 0...258; 65535 where the padded length has no token.
    case token = 1
    /// States, bfloat16: the upper half of an IEEE single, rounded to nearest even.
    case bf16 = 2
    /// States or surprisal, IEEE single.
    case f32 = 3

    /// The name in manifests, on the command line and in dumps.
    public var name: String {
        switch self {
        case .token: "u16"
        case .bf16: "bf16"
        case .f32: "f32"
        }
    }

    package init?(name: String) {
        guard let found = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = found
    }

    /// Bytes of a value, and the number of its byte planes.
    public var size: Int { self == .f32 ? 4 : 2 }

    /// Floating-point values are rotated left by one bit before their bytes are separated, so that the sign leaves
    /// the exponent's byte, which then compresses.
    var isSignRotated: Bool { self != .token }

    /// Token ids are below this.
    package static let tokenIDs: UInt16 = 259

    /// The token id of a position that holds no token.
    package static let noToken: UInt16 = 0xffff
}

extension Element {
    /// Separates `count` values into `size` byte planes of `count` bytes.
    func split(_ values: UnsafeRawPointer, count: Int, planes: UnsafeMutablePointer<UInt8>, with kernels: KernelTable) {
        let rotate: Int32 = isSignRotated ? 1 : 0
        if self == .f32 {
            kernels.pointee.split32(values.assumingMemoryBound(to: UInt32.self), Int64(count), rotate, planes)
        } else {
            kernels.pointee.split16(values.assumingMemoryBound(to: UInt16.self), Int64(count), rotate, planes)
        }
    }

    /// The inverse of `split`.
    func merge(_ planes: UnsafePointer<UInt8>, count: Int, values: UnsafeMutableRawPointer, with kernels: KernelTable) {
        let rotate: Int32 = isSignRotated ? 1 : 0
        if self == .f32 {
            kernels.pointee.merge32(planes, Int64(count), rotate, values.assumingMemoryBound(to: UInt32.self))
        } else {
            kernels.pointee.merge16(planes, Int64(count), rotate, values.assumingMemoryBound(to: UInt16.self))
        }
    }
}
