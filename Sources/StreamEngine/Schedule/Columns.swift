import Geometry
import ProtonModel
import Support

/// Where the columns of the generation that a pass reads are in memory, for one step.
enum Columns: StoredColumns, Sendable {
    /// The whole generation is in memory.
    case resident(ResidentStates)
    /// What the step reads was brought into the cache.
    case cached(CachedColumns)

    var grid: BlockGrid {
        switch self {
        case .resident(let states): states.grid
        case .cached(let columns): columns.grid
        }
    }

    func column(_ column: Int, ofBlock block: Int, from row: Int) throws -> StoredColumn {
        switch self {
        case .resident(let states):
            StoredColumn(
                rows: states.column(column, ofBlock: block) + row * states.rowBytes,
                indices: states.indices(column, ofBlock: block).map { $0 + row })
        case .cached(let columns):
            try columns.column(column, ofBlock: block, from: row)
        }
    }
}

/// A generation in memory as it would be on disk: block after block, in each block column after column, in the number
/// format of the states.
///
/// Sendable because its memory is the run's, and two tasks at once never write the same columns, nor one what another
/// reads: stages follow one another where they would.
struct ResidentStates: @unchecked Sendable {
    let start: UnsafeMutablePointer<UInt8>
    /// Token indices of all rows, in the same order; nil where tokens stand in their own.
    var order: UnsafeMutablePointer<UInt16>?
    let grid: BlockGrid
    /// P.
    let columns: Int
    let rowBytes: Int
    /// A multiple of T: patches before it are not in memory.
    var firstPatch = 0

    static func bytes(_ grid: BlockGrid, columns: Int, rowBytes: Int) -> Int { grid.patches * columns * rowBytes }

    /// The columns of a block follow one another.
    private func row(ofColumn column: Int, ofBlock block: Int) -> Int {
        let patches = grid.patches(ofBlock: block)
        return (patches.lowerBound - firstPatch) * columns + column * patches.count
    }

    func column(_ column: Int, ofBlock block: Int) -> UnsafeMutablePointer<UInt8> {
        start + row(ofColumn: column, ofBlock: block) * rowBytes
    }

    func indices(_ column: Int, ofBlock block: Int) -> UnsafeMutablePointer<UInt16>? {
        order.map { $0 + row(ofColumn: column, ofBlock: block) }
    }
}

/// The columns that one step reads, each in a slot of the cache until the step is done.
///
/// Sendable because it is filled before the step's first task is added, and only read from then on.
final class CachedColumns: @unchecked Sendable {
    /// Stands for a slot that is still to be found.
    static let awaited = Int.max

    private let columns: Int
    /// By block · P + column.
    private var slots: [Int: Int] = [:]
    let grid: BlockGrid
    private let slotStart: (Int) -> UnsafeMutablePointer<UInt8>
    private let shape: ColumnShape

    /// - Parameter columns: P.
    init(grid: BlockGrid, columns: Int, shape: ColumnShape, slotStart: @escaping (Int) -> UnsafeMutablePointer<UInt8>) {
        self.grid = grid
        self.columns = columns
        self.shape = shape
        self.slotStart = slotStart
    }

    /// The slot of a column, or -1.
    func slot(_ column: Int, ofBlock block: Int) -> Int { slots[block * columns + column] ?? -1 }

    func place(_ column: Int, ofBlock block: Int, inSlot slot: Int) { slots[block * columns + column] = slot }

    /// Every slot in use.
    var held: some Collection<Int> { slots.values }

    func column(_ column: Int, ofBlock block: Int, from row: Int) throws -> StoredColumn {
        guard let slot = slots[block * columns + column] else {
            throw Fault(
                .inputOutput,
                "column \(column) of block \(block) was not planned to be read: this is a defect of bbp-stream")
        }
        let start = UnsafeRawPointer(slotStart(slot))
        return StoredColumn(
            rows: start + row * shape.rowBytes,
            indices: shape.indexOffset.map { (start + $0).assumingMemoryBound(to: UInt16.self) + row })
    }
}
