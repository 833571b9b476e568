import CKernels
import Glibc

/// The kernels of this processor, chosen once.
public enum Kernels {
    /// Forces a path: plain, avx2 or avx512.
    public static let variable = "BBP_KERNELS"

    /// The widest path that the processor has, or the one that the environment forces.
    ///
    /// - Throws: `Fault` (`usage`) when the forced path is unknown or not available here.
    public static func select() throws -> KernelTable {
        let paths: [(name: String, path: bbp_path)] = [("avx512", BBP_AVX512), ("avx2", BBP_AVX2), ("plain", BBP_PLAIN)]
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
public typealias KernelTable = UnsafePointer<bbp_kernels>
