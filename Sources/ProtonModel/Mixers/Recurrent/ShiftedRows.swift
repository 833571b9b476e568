import Compute
import Geometry
import Support

/// u of the rows of a stretch, each beside that of the row before it: for mixers whose inputs are blends of both.
///
/// Carried: u of the last row; before row 0 it is zero. Inside a stretch a tile computes it anew from x, so that tiles
/// wait for nothing.
final class ShiftedRows: Sendable {
    /// Rows that are taken at a time: what is made of them stays in the near caches. It makes no difference to a row.
    static let rowsAtOnce = 96

    private let tileRows: Int
    /// [1 + tiles, D]: u of the row before the stretch, and of the last row of each tile.
    private let edges: Rows
    /// [tiles · (1 + rowsAtOnce), D]: u of some rows of a tile, after that of the row before them.
    private let rows: Rows

    init(_ shape: StreamShape, width: Int, on backend: any Backend) throws {
        tileRows = shape.tileRows
        edges = try backend.rows(1 + shape.tiles, width: width)
        rows = try backend.rows(shape.tiles * (1 + Self.rowsAtOnce), width: width)
    }

    static func footprint(_ shape: StreamShape, width: Int) -> Int {
        (1 + shape.tiles * (2 + rowsAtOnce)) * width * 4
    }

    /// Some rows of a stretch.
    struct Group {
        /// Which rows of the stretch.
        let rows: Range<Int>
        /// u of them, and of the row before each.
        let u: Rows
        let before: Rows
        /// The first of `rowsAtOnce` rows that are the tile's own in what a stream allocates for every tile.
        let room: Range<Int>
    }

    /// Calls `body` with the rows of a tile, some at a time.
    ///
    /// - Parameters:
    ///   - own: rows of the stretch, all of tokens, from the beginning of a tile on.
    ///   - x: the layer's input of these rows, inside that of the stretch.
    func each(_ own: Range<Int>, x: Rows, _ norm: any Norm, on lane: any Lane, _ body: (Group) throws -> Void) rethrows
    {
        let tile = own.lowerBound / tileRows
        let room = rows[tile * (1 + Self.rowsAtOnce)..<(tile + 1) * (1 + Self.rowsAtOnce)]
        if tile == 0 {
            lane.copy(edges[0..<1], to: room[0..<1])
        } else {
            lane.normalise(x.withRowsBefore(1)[0..<1], norm, into: room[0..<1])
        }
        for first in stride(from: 0, to: own.count, by: Self.rowsAtOnce) {
            let count = min(Self.rowsAtOnce, own.count - first)
            if first > 0 { lane.copy(room[Self.rowsAtOnce..<Self.rowsAtOnce + 1], to: room[0..<1]) }
            let u = room[1..<1 + count]
            lane.normalise(x[first..<first + count], norm, into: u)
            try body(
                Group(
                    rows: own.lowerBound + first..<own.lowerBound + first + count, u: u, before: room[0..<count],
                    room: tile * Self.rowsAtOnce..<tile * Self.rowsAtOnce + count))
        }
        let last = (own.count - 1) % Self.rowsAtOnce + 1
        let edge = 1 + (own.upperBound - 1) / tileRows
        lane.copy(room[last..<last + 1], to: edges[edge..<edge + 1])
    }

    /// Takes u of the last of `tokens` rows of a stretch, of which there are some, for that before the next one.
    func carry(_ tokens: Int, on lane: any Lane) {
        let edge = 1 + (tokens - 1) / tileRows
        lane.copy(edges[edge..<edge + 1], to: edges[0..<1])
    }

    /// [1, D]: what is carried.
    var carried: Rows { edges[0..<1] }
}
