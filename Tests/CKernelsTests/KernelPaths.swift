import CKernels
import Glibc
import TestSupport
import Testing

/// The vector paths, each tested against the plain one where the processor has it.
enum VectorPath: CaseIterable {
    case avx2, avx512

    /// The path's kernels; without them the test case ends here, reported as skipped.
    func kernels() throws -> bbp_kernels {
        guard let kernels = bbp_kernels_for(self == .avx2 ? BBP_AVX2 : BBP_AVX512) else {
            try Test.cancel("this processor lacks \(self)")
        }
        return kernels.pointee
    }
}

/// The oracle.
func plainKernels() throws -> bbp_kernels { try #require(bbp_kernels_for(BBP_PLAIN)).pointee }

/// Values that end where a page without access begins: a kernel that reads or writes past them dies.
final class Edge<Element: BitwiseCopyable> {
    let start: UnsafeMutablePointer<Element>
    let count: Int
    private let map: UnsafeMutableRawPointer
    private let mapBytes: Int

    init(_ values: [Element]) {
        let bytes = values.count * MemoryLayout<Element>.stride
        let page = 4096
        let whole = (bytes + page - 1) / page * page
        mapBytes = whole + page
        map = mmap(nil, mapBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        mprotect(map + whole, page, PROT_NONE)
        count = values.count
        start = (map + whole - bytes).bindMemory(to: Element.self, capacity: count)
        for (i, value) in values.enumerated() { start[i] = value }
    }

    deinit { munmap(map, mapBytes) }

    var values: [Element] { Array(UnsafeBufferPointer(start: start, count: count)) }
}

/// Scratch of so many floats, 64-byte aligned, in which nothing can be relied on.
func scratch(floats: Int64) -> Edge<Float> { Edge([Float](repeating: .nan, count: (Int(floats) + 15) / 16 * 16)) }

/// Random values, roughly normal.
func randomFloats(_ count: Int, _ numbers: inout TestNumbers) -> [Float] { (0..<count).map { _ in numbers.float() } }

extension Array where Element == Float {
    var bits: [UInt32] { map(\.bitPattern) }

    /// The largest difference from `other`; infinite where one of a pair alone is NaN.
    func distance(to other: [Float]) -> Float {
        zip(self, other).map { $0.isNaN || $1.isNaN ? ($0.isNaN == $1.isNaN ? 0 : .infinity) : abs($0 - $1) }.max() ?? 0
    }
}

@Test func pathsNameThemselves() throws {
    let name = { (path: bbp_path) in bbp_kernels_for(path).map { String(cString: $0.pointee.name) } }
    #expect(name(BBP_PLAIN) == "plain")
    #expect([nil, "avx2"].contains(name(BBP_AVX2)))
    #expect([nil, "avx512"].contains(name(BBP_AVX512)))
}
