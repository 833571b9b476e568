import Glibc
import Synchronization

/// Counts what memories take that are made under it, in bytes: what owners say they take is held against it.
package final class MemoryLedger: Sendable {
    @TaskLocal fileprivate static var current: MemoryLedger?
    private let held = Atomic<Int>(0)

    package var bytes: Int { held.load(ordering: .relaxed) }

    package init() {}

    /// Memories that `body` makes on this thread are charged to the ledger, until they go.
    package func charged<R>(_ body: () throws -> R) rethrows -> R {
        try Self.$current.withValue(self, operation: body)
    }

    fileprivate func add(_ bytes: Int) { held.add(bytes, ordering: .relaxed) }
}

/// Owned, zeroed, 64-byte aligned memory for `count` values of `Element`.
///
/// Matrices are row-major; the owner states the shape. Every large allocation of the engine is one of these,
/// so the plan of the memory budget can name them all. Large ones come straight from the system and take memory only
/// as far as they are used.
package final class Memory<Element>: @unchecked Sendable where Element: BitwiseCopyable {
    package let count: Int
    package let start: UnsafeMutablePointer<Element>
    /// Bytes mapped; 0 where the allocator gave them.
    private let mappedBytes: Int
    private let ledger: MemoryLedger?

    /// - Throws: `Fault` (`inputOutput`) when the system has no memory left.
    package init(_ count: Int) throws {
        func none() -> Fault {
            Fault(
                .inputOutput, "out of memory: \(count) values of \(Element.self)",
                remedies: [.lessMemory])
        }
        let (bytes, overflow) = max(count, 1).multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
        guard !overflow, count >= 0 else { throw none() }
        if bytes >= 1 << 20 {
            guard let raw = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
                raw != MAP_FAILED
            else { throw none() }
            if bytes >= 4 << 20 { madvise(raw, bytes, MADV_HUGEPAGE) }
            mappedBytes = bytes
            start = raw.bindMemory(to: Element.self, capacity: count)
        } else {
            guard let raw = aligned_alloc(64, (bytes + 63) & ~63) else { throw none() }
            memset(raw, 0, bytes)
            mappedBytes = 0
            start = raw.bindMemory(to: Element.self, capacity: max(count, 1))
        }
        self.count = count
        ledger = MemoryLedger.current
        ledger?.add(count * MemoryLayout<Element>.stride)
    }

    deinit {
        ledger?.add(-count * MemoryLayout<Element>.stride)
        if mappedBytes > 0 { munmap(start, mappedBytes) } else { free(start) }
    }

    package var bytes: UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: start, count: count * MemoryLayout<Element>.stride)
    }

    package var values: UnsafeMutableBufferPointer<Element> { UnsafeMutableBufferPointer(start: start, count: count) }

    /// Piece `index` of consecutive pieces of `length` values; empty where it does not lie inside.
    package func piece(_ index: Int, of length: Int) -> UnsafeMutableBufferPointer<Element> {
        let (first, overflow) = index.multipliedReportingOverflow(by: length)
        guard !overflow, first >= 0, length >= 0, first <= count - length else {
            return UnsafeMutableBufferPointer(start: nil, count: 0)
        }
        return UnsafeMutableBufferPointer(start: start + first, count: length)
    }

    // Hot loops of other targets go through it, which are to have it inlined.
    @inlinable package subscript(index: Int) -> Element {
        get { start[index] }
        set { start[index] = newValue }
    }
}
