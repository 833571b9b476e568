import Compute
import Support

/// A projection of u of the rows of a stretch, each of its channels through a convolution over K rows.
///
/// Carried: the projections of the last K - 1 rows; before row 0 they are zero. Inside a stretch a tile computes those
/// of the rows before it anew from x, so that tiles wait for nothing.
final class ConvolvedRows: Sendable {
    /// Rows that are taken at a time: what is made of them stays in the near caches. It makes no difference to a row.
    static let rowsAtOnce = 96

    private let tileRows: Int
    /// K - 1.
    private let before: Int
    /// [(1 + tiles) · (K - 1), channels]: of the rows before the stretch, and of the last rows of each tile.
    private let edges: Rows
    /// [tiles · (K - 1 + rowsAtOnce), channels]: of some rows of a tile, after those of the rows before them.
    private let rooms: Rows

    init(_ shape: StreamShape, channels: Int, taps: Int, on backend: any Backend) throws {
        tileRows = shape.tileRows
        before = taps - 1
        edges = try backend.rows((1 + shape.tiles) * (taps - 1), width: channels)
        rooms = try backend.rows(shape.tiles * (taps - 1 + Self.rowsAtOnce), width: channels)
    }

    static func footprint(_ shape: StreamShape, channels: Int, taps: Int) -> Int {
        ((1 + shape.tiles) * (taps - 1) + shape.tiles * (taps - 1 + rowsAtOnce)) * channels * 4
    }

    private func edge(_ number: Int) -> Rows { edges[number * before..<(number + 1) * before] }

    /// Convolves rows of a tile, some at a time, and calls `body` with each of them.
    ///
    /// - Parameters:
    ///   - own: rows of the stretch, all of tokens, from the beginning of a tile on.
    ///   - x: the layer's input of these rows, inside that of the stretch.
    ///   - others: more projections of u, and where those of the stretch go.
    ///   - convolved: of the stretch.
    func each(
        _ own: Range<Int>, x: Rows, _ norm: any Norm, _ matrix: any Matrix,
        others: [(matrix: any Matrix, into: Rows)], _ filter: ChannelFilter, into convolved: Rows, on lane: any Lane,
        _ body: (Range<Int>) -> Void
    ) {
        let most = Self.rowsAtOnce
        // A call may be of several tiles.
        for start in stride(from: 0, to: own.count, by: tileRows) {
            let tile = (own.lowerBound + start) / tileRows
            let room = rooms[tile * (before + most)..<(tile + 1) * (before + most)]
            if tile == 0 {
                lane.copy(edge(0), to: room[0..<before])
            } else if before > 0 {
                lane.project(
                    x[start..<own.count].withRowsBefore(before)[0..<before], norm,
                    [(matrix: matrix, into: room[0..<before])])
            }
            let end = min(own.count, start + tileRows)
            var last = 0
            for first in stride(from: start, to: end, by: most) {
                let count = min(most, end - first)
                let rows = own.lowerBound + first..<own.lowerBound + first + count
                if first > start { lane.copy(room[most..<most + before], to: room[0..<before]) }
                lane.project(
                    x[first..<first + count], norm,
                    [(matrix: matrix, into: room[before..<before + count])]
                        + others.map { (matrix: $0.matrix, into: $0.into[rows]) })
                lane.convolveChannels(room[0..<before + count], filter, from: 0, into: convolved[rows])
                body(rows)
                last = count
            }
            lane.copy(room[last..<last + before], to: edge(1 + tile))
        }
    }

    /// Takes the last of `tokens` rows of a stretch, of which there are some, for those before the next one.
    func carry(_ tokens: Int, on lane: any Lane) {
        lane.copy(edge(1 + (tokens - 1) / tileRows), to: edge(0))
    }

    /// [K - 1, channels]: what is carried.
    var carried: Rows { edge(0) }
}
