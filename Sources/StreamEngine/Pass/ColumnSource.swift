import Geometry
import PageStore
import Support

/// Where the columns of the generation that a pass reads come from: this machine's store, or other ranks' too.
protocol ColumnSource: AnyObject, Sendable {
    var record: GenerationRecord { get }
    var grid: BlockGrid { get }
    var element: Element { get }
    /// For errors.
    var file: String { get }
    /// The file that holds a block.
    func file(ofBlock block: Int) -> String

    /// Asks for columns of a block ahead.
    func prefetch(block: Int, columns: ClosedRange<Int>)

    /// Decodes columns of a block, checking every one, as `PageReader.read` does.
    ///
    /// - Parameter found: told where a column lies in the file: from which byte, and how many; none where it came from
    ///   elsewhere.
    func read(
        block: Int, columns: [Int], with reader: PageReader,
        into target: (_ column: Int) -> UnsafeMutableRawBufferPointer,
        indices: (_ column: Int) -> UnsafeMutableBufferPointer<UInt16>?,
        found: (_ column: Int, _ offset: Int, _ bytes: Int) throws -> Void) throws

    /// A piece of the file that holds a block is not read again soon.
    func forget(block: Int, offset: Int, bytes: Int)
}

/// A generation that is whole on this machine.
final class StoredGeneration: ColumnSource {
    let reader: GenerationReader

    init(_ reader: GenerationReader) { self.reader = reader }

    var record: GenerationRecord { reader.record }
    var grid: BlockGrid { reader.grid }
    var element: Element { reader.element }
    var file: String { reader.file }
    func file(ofBlock block: Int) -> String { reader.file(ofBlock: block) }

    func prefetch(block: Int, columns: ClosedRange<Int>) { reader.prefetch(.states, block: block, columns: columns) }

    func read(
        block: Int, columns: [Int], with pages: PageReader,
        into target: (_ column: Int) -> UnsafeMutableRawBufferPointer,
        indices: (_ column: Int) -> UnsafeMutableBufferPointer<UInt16>?,
        found: (_ column: Int, _ offset: Int, _ bytes: Int) throws -> Void
    ) throws {
        try pages.read(reader, block: block, columns: columns, into: target, indices: indices, found: found)
    }

    func forget(block: Int, offset: Int, bytes: Int) {
        if bytes > 0 { reader.forget(block: block, offset: offset, bytes: bytes) }
    }
}

/// Which columns a pass brings into its cache with each step, and which it lets go of: the same on every rank that plans
/// the same pass.
final class Admission {
    let cache: ColumnCache
    private let access: any Access
    private let plan: WindowPlan
    /// Steps whose columns are held at once.
    private let stepsInFlight: Int
    private var held: [CachedColumns] = []
    private var lastTime = -1

    init(_ cache: ColumnCache, access: any Access, plan: WindowPlan, stepsInFlight: Int) {
        self.cache = cache
        self.access = access
        self.plan = plan
        self.stepsInFlight = stepsInFlight
    }

    /// Finds a place for everything that `step` reads.
    ///
    /// - Parameter end: ends the oldest step that is held, with `endOldest`, when there is no room beside it.
    /// - Returns: where it is, and what is to be loaded.
    func admit(_ step: WindowPlan.Step, end: () throws -> Void) throws -> (CachedColumns, [ColumnCache.Load]) {
        while held.count >= stepsInFlight { try end() }
        let reads = access.reads(step, of: plan)
        while true {
            if let (columns, loads) = try cache.admit(reads) {
                lastTime = plan.time(of: step)
                held.append(columns)
                return (columns, loads)
            }
            guard !held.isEmpty else {
                throw Fault(
                    .inputOutput,
                    "a window's columns do not fit in the memory that was planned for them: this is a defect of bbp-stream",
                    remedies: [.otherMemory])
            }
            try end()
        }
    }

    /// Lets the columns of the oldest step go.
    ///
    /// - Returns: where in the file the columns lie that no later step reads.
    func endOldest() -> [(block: Int, offset: Int, bytes: Int)] { cache.release(held.removeFirst(), at: lastTime) }
}
