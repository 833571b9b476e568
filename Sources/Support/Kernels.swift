import CKernels
import Glibc

/// What matrix products are computed in. Sums, norms, soft-max and the residual stream are f32 either way.
public enum Compute: String, Sendable, CaseIterable {
    /// Both factors as they are, IEEE single.
    case f32
    /// Both factors rounded to bfloat16.
    case bf16
}

/// The kernels of this processor, chosen once.
package enum Kernels {
    /// Forces a path: plain, avx2 or avx512.
    package static let variable = "BBP_KERNELS"

    /// The widest path that the processor has, or the one that the environment forces; f32 where it has no products of
    /// `compute`, which `compute(of:)` tells.
    ///
    /// - Throws: `Fault` (`usage`) when the forced path is unknown or not available here.
    package static func select(_ compute: Compute = .f32) throws -> KernelTable {
        let forced = getenv(variable).map { String(cString: $0) } ?? ""
        if compute == .bf16 {
            // The plain path has everything, slowly: only where it is asked for.
            if forced == "plain", let plain = bbp_bf16_kernels_for(BBP_PLAIN) { return plain }
            if forced.isEmpty || forced == "avx512", let kernels = bbp_bf16_kernels_for(BBP_AVX512) { return kernels }
        }
        return try selectF32()
    }

    /// The oracle's, which every processor has.
    package static var plain: KernelTable? { bbp_kernels_for(BBP_PLAIN) }

    /// What the products of `kernels` are computed in.
    package static func compute(of kernels: KernelTable) -> Compute {
        kernels.pointee.rounds_products != 0 ? .bf16 : .f32
    }

    /// Whether they round as the plain ones do; all others agree.
    package static func isPlain(_ kernels: KernelTable) -> Bool {
        String(cString: kernels.pointee.name).hasPrefix("plain")
    }

    private static func selectF32() throws -> KernelTable {
        let paths: [(name: String, path: bbp_path)] = [
            ("avx512", BBP_AVX512), ("avx2", BBP_AVX2), ("plain", BBP_PLAIN),
        ]
        if let forced = getenv(variable).map({ String(cString: $0) }), !forced.isEmpty {
            guard let choice = paths.first(where: { $0.name == forced }) else {
                throw Fault(.usage, "\(variable) is '\(forced)'; it must be plain, avx2 or avx512")
            }
            guard let kernels = bbp_kernels_for(choice.path) else {
                throw Fault(.usage, "\(variable) asks for \(forced), which this processor does not have")
            }
            return kernels
        }
        for choice in paths {
            if let kernels = bbp_kernels_for(choice.path) { return kernels }
        }
        throw Fault(.inputOutput, "no kernels were built for this processor")
    }
}

/// The kernels of one path, as C hands them out.
package typealias KernelTable = UnsafePointer<bbp_kernels>
