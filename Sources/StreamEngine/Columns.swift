import Geometry
import Support

/// Where the columns of the generation that a layer reads are in memory, for one step.
enum Columns {
    /// The whole generation is in memory.
    case resident(ResidentStates)
    /// What the step reads was brought into the cache.
    case cached(CachedColumns)

    /// The rows of column `column` of `block`: T of them, or what the last block has.
    func start(_ column: Int, ofBlock block: Int) throws -> UnsafeRawPointer {
        switch self {
        case .resident(let states): UnsafeRawPointer(states.column(column, ofBlock: block))
        case .cached(let columns): try columns.start(column, ofBlock: block)
        }
    }
}

/// A generation in memory as it would be on disk: block after block, in each block column after column, in the number
/// format of the states.
struct ResidentStates {
    let start: UnsafeMutablePointer<UInt8>
    let grid: BlockGrid
    /// P.
    let columns: Int
    let rowBytes: Int

    static func bytes(_ grid: BlockGrid, columns: Int, rowBytes: Int) -> Int { grid.patches * columns * rowBytes }

    /// The columns of a block follow one another.
    func column(_ column: Int, ofBlock block: Int) -> UnsafeMutablePointer<UInt8> {
        let patches = grid.patches(ofBlock: block)
        return start + (patches.lowerBound * columns + column * patches.count) * rowBytes
    }
}

/// The columns that one step reads, each in a slot of the cache until the step is done.
final class CachedColumns {
    /// Stands for a slot that is still to be found.
    static let awaited = Int.max

    private let columns: Int
    /// By block · P + column.
    private var slots: [Int: Int] = [:]
    private let slotStart: (Int) -> UnsafeMutablePointer<UInt8>

    /// - Parameter columns: P.
    init(columns: Int, slotStart: @escaping (Int) -> UnsafeMutablePointer<UInt8>) {
        self.columns = columns
        self.slotStart = slotStart
    }

    /// The slot of a column, or -1.
    func slot(_ column: Int, ofBlock block: Int) -> Int { slots[block * columns + column] ?? -1 }

    func place(_ column: Int, ofBlock block: Int, inSlot slot: Int) { slots[block * columns + column] = slot }

    /// Every slot in use.
    var held: some Collection<Int> { slots.values }

    func start(_ column: Int, ofBlock block: Int) throws -> UnsafeRawPointer {
        guard let slot = slots[block * columns + column] else {
            throw Fault(.inputOutput, "column \(column) of block \(block) was not planned to be read: this is a defect of bbp-stream")
        }
        return UnsafeRawPointer(slotStart(slot))
    }
}
