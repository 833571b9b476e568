import Compute
import Geometry
import Support

/// What a pass's input rows are before arithmetic: token ids for the first, stored states for the others.
package enum InputRows: Sendable {
    /// UInt16 ids, embedded on the fly.
    case tokens(Embedding)
    case states(RowFormat)

    /// Bytes of one row as stored.
    package func rowBytes(width: Int) -> Int {
        switch self {
        case .tokens: 2
        case .states(let format): format.size * width
        }
    }
}

/// Where the columns of the generation that a pass reads are in the host's memory, for one step.
package protocol StoredColumns {
    var grid: BlockGrid { get }

    /// Column `column` of `block`, T rows or what the last block has, from row `row` on.
    ///
    /// - Throws: `Fault` (`inputOutput`) where the step was not planned to read it.
    func column(_ column: Int, ofBlock block: Int, from row: Int) throws -> StoredColumn
}

/// Rows of one column as they are stored: one of each of consecutive patches.
package struct StoredColumn {
    package var rows: UnsafeRawPointer
    /// Which token of its patch each row is; nil where it is the column's number.
    package var indices: UnsafePointer<UInt16>?

    package init(rows: UnsafeRawPointer, indices: UnsafePointer<UInt16>?) {
        self.rows = rows
        self.indices = indices
    }
}

/// Brings stored rows of whole patches into a back end, in natural order.
package final class PatchLoader {
    private let geometry: SequenceGeometry
    private let computed: ComputedRows
    /// Token ids gathered before they are embedded, and their positions.
    let ids: Memory<UInt16>
    let positions: Memory<Int64>
    private var pieces: [StoredRows] = []
    private var isLoaded: [Bool] = []

    /// - Parameter rows: that are loaded at a time, at most.
    package init(_ computed: ComputedRows, rows: Int) throws {
        self.computed = computed
        geometry = computed.geometry
        ids = try Memory(rows)
        positions = try Memory(rows)
    }

    package static func footprint(rows: Int) -> Int { rows * (2 + 8) }

    /// Loads `patches`; of tokens, no padding that is not computed.
    ///
    /// - Parameter rows: [patches·P, D].
    /// - Throws: `Fault` (`badData`, naming the block) where a token of a patch is in two columns.
    package func load(
        _ patches: Range<Int>, from columns: any StoredColumns, as input: InputRows, into rows: Rows, on lane: any Lane
    ) throws {
        let P = geometry.patchSize
        for (block, piece) in columns.grid.pieces(of: patches) {
            let skipped = piece.lowerBound - columns.grid.patches(ofBlock: block).lowerBound
            let first = (piece.lowerBound - patches.lowerBound) * P
            let target = rows[first..<first + piece.count * P]
            switch input {
            case .states(let format):
                try gather(piece, block, skipped, columns, rowBytes: format.size * rows.width)
                lane.load(pieces, as: format, into: target)
            case .tokens(let embedding):
                try gatherIDs(piece, block, skipped, columns)
                let count = computed.rows(from: piece.lowerBound * P, count: piece.count * P)
                for row in 0..<count { positions[row] = Int64(piece.lowerBound * P + row) }
                lane.embed(ids.start, positions: positions.start, with: embedding.table, into: target[0..<count])
            }
        }
    }

    /// Embeds tokens in natural order, from token `first` on, no more than are loaded at a time.
    ///
    /// - Parameter ids: [rows].
    package func embed(
        _ ids: UnsafePointer<UInt16>, from first: Int, with embedding: Embedding, into rows: Rows, on lane: any Lane
    ) {
        for start in stride(from: 0, to: rows.count, by: positions.count) {
            let count = min(positions.count, rows.count - start)
            for row in 0..<count { positions[row] = Int64(first + start + row) }
            lane.embed(
                ids + start, positions: positions.start, with: embedding.table, into: rows[start..<start + count])
        }
    }

    /// The rows of a block's columns, and where they go.
    private func gather(
        _ patches: Range<Int>, _ block: Int, _ skipped: Int, _ columns: any StoredColumns, rowBytes: Int
    ) throws {
        let P = geometry.patchSize
        pieces.removeAll(keepingCapacity: true)
        isLoaded.removeAll(keepingCapacity: true)
        for number in 0..<P {
            let stored = try columns.column(number, ofBlock: block, from: skipped)
            guard let indices = stored.indices else {
                pieces.append(StoredRows(stored.rows, count: patches.count, first: number, step: P))
                continue
            }
            for patch in 0..<patches.count {
                let row = patch * P + Int(indices[patch])
                try check(row, of: patches, block: block)
                pieces.append(StoredRows(stored.rows + patch * rowBytes, count: 1, first: row, step: 1))
            }
        }
    }

    /// The token ids of a block's columns, in natural order: ids are short, and positions come cheapest so.
    private func gatherIDs(_ patches: Range<Int>, _ block: Int, _ skipped: Int, _ columns: any StoredColumns) throws {
        let P = geometry.patchSize
        isLoaded.removeAll(keepingCapacity: true)
        for number in 0..<P {
            let stored = try columns.column(number, ofBlock: block, from: skipped)
            let stands = stored.rows.assumingMemoryBound(to: UInt16.self)
            guard let indices = stored.indices else {
                for patch in 0..<patches.count { ids[patch * P + number] = stands[patch] }
                continue
            }
            for patch in 0..<patches.count {
                let row = patch * P + Int(indices[patch])
                try check(row, of: patches, block: block)
                ids[row] = stands[patch]
            }
        }
    }

    /// Notes that a row was loaded: where tokens stand in an order, nothing else says that every token of a patch is
    /// there.
    private func check(_ row: Int, of patches: Range<Int>, block: Int) throws {
        let P = geometry.patchSize
        if isLoaded.isEmpty { isLoaded = Array(repeating: false, count: patches.count * P) }
        guard !isLoaded[row] else {
            throw Fault(
                .badData, "token \(row % P) of patch \(patches.lowerBound + row / P) is in two columns",
                at: Place(block: block))
        }
        isLoaded[row] = true
    }
}

/// Binary Patch Encoding: row `token` of the codebook, plus the position term if the model has one. A position without
/// a token is a zero vector before the position term (Model.md).
package final class Embedding: Sendable {
    package let table: any EmbeddingTable

    /// - Parameter length: N.
    package init(_ model: Model, length: Int, on backend: any Backend) throws {
        let tensor = TensorReader(model)
        defer { withExtendedLifetime(tensor) {} }
        let width = model.config.hiddenSize
        let position =
            model.config.positionalEncoding == .none
            ? nil
            : try PositionTerm(
                weight: tensor("coord_conv.conv.weight"), scale: tensor("coord_conv.scale").pointee, width: width,
                length: length)
        table = try backend.embedding(
            codebook: tensor("codebook"), vocabulary: ModelConfig.vocabulary, width: width, position: position)
    }

    package static func footprint(width: Int) -> Int {
        PositionTerm.footprint(width: width) + ModelConfig.vocabulary * width * 4
    }
}
