import Glibc

/// Owned, zeroed, 64-byte aligned memory for `count` values of `Element`.
///
/// Matrices are row-major; the owner states the shape. Every large allocation of the engine is one of these,
/// so the plan of the memory budget can name them all.
public final class Memory<Element>: @unchecked Sendable where Element: BitwiseCopyable {
    public let count: Int
    public let start: UnsafeMutablePointer<Element>

    /// - Throws: `Fault` (`inputOutput`) when the system has no memory left.
    public init(_ count: Int) throws {
        let (bytes, overflow) = max(count, 1).multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
        guard !overflow, count >= 0, let raw = aligned_alloc(64, (bytes + 63) & ~63) else {
            throw Fault(.inputOutput, "out of memory: \(count) values of \(Element.self)", advice: "Lower --memory or free memory.")
        }
        memset(raw, 0, bytes)
        self.count = count
        self.start = raw.bindMemory(to: Element.self, capacity: max(count, 1))
    }

    deinit { free(start) }

    public var bytes: UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: start, count: count * MemoryLayout<Element>.stride)
    }

    public subscript(index: Int) -> Element {
        get { start[index] }
        set { start[index] = newValue }
    }
}
