import Compute
import Support

/// Keys and values of the latest rows, in a ring of tiles: rows of tile t are at place t modulo the number of tiles.
struct KeyValueRing: Sendable {
    /// [tiles · tileRows, 2·width]: keys, then values.
    let rows: Rows
    private let tileRows: Int
    private let tiles: Int
    /// Rows that are carried.
    private let reach: Int

    /// - Parameters:
    ///   - reach: rows before a row that it may see.
    ///   - stretchTiles: tiles that are worked on at once.
    ///   - width: values of a row's keys.
    init(reach: Int, tileRows: Int, stretchTiles: Int, width: Int, on backend: any Backend) throws {
        (self.reach, self.tileRows) = (reach, tileRows)
        tiles = Self.tiles(reach: reach, tileRows: tileRows, stretchTiles: stretchTiles)
        rows = try backend.rows(tiles * tileRows, width: 2 * width)
    }

    private static func tiles(reach: Int, tileRows: Int, stretchTiles: Int) -> Int {
        (reach + tileRows - 1) / tileRows + stretchTiles
    }

    static func footprint(reach: Int, tileRows: Int, stretchTiles: Int, width: Int) -> Int {
        tiles(reach: reach, tileRows: tileRows, stretchTiles: stretchTiles) * tileRows * 2 * width * 4
    }

    /// Where a row's keys and values are.
    func place(_ row: Int) -> Int { row / tileRows % tiles * tileRows + row % tileRows }

    /// Rows cut where tiles end: each piece lies together in the ring.
    func pieces(_ rows: Range<Int>) -> [Range<Int>] {
        if rows.isEmpty { return [] }
        return (rows.lowerBound / tileRows...(rows.upperBound - 1) / tileRows).map {
            ($0 * tileRows..<($0 + 1) * tileRows).clamped(to: rows)
        }
    }

    /// The keys and values of a piece.
    subscript(piece: Range<Int>) -> Rows {
        let first = place(piece.lowerBound)
        return rows[first..<first + piece.count]
    }

    // MARK: The carry

    /// Bytes of the carry of `reach` rows.
    static func carryBytes(reach: Int, width: Int) -> Int { reach * 2 * width * 4 }

    /// The rows whose keys and values are carried past row `next`; some may lie before the sequence.
    private func carried(_ next: Int) -> (skipped: Int, rows: Range<Int>) {
        (max(0, reach - next), max(0, next - reach)..<next)
    }

    func save(
        before next: Int, to bytes: UnsafeMutableRawBufferPointer, _ computed: ComputedRows, with tools: LaneTools
    ) throws {
        let (skipped, rows) = carried(next)
        let tokens = computed.tokens(from: rows.lowerBound, count: rows.count)
        let values = bytes.bindMemory(to: Float.self)
        values.update(repeating: 0)
        guard let start = values.baseAddress else { return }
        for piece in pieces(rows.lowerBound..<rows.lowerBound + tokens) {
            let at = (skipped + piece.lowerBound - rows.lowerBound) * self.rows.width
            tools.lane.download(self[piece], to: start + at)
        }
        try tools.lane.finish()
    }

    func restore(_ bytes: UnsafeRawBufferPointer, before next: Int, with tools: LaneTools) throws {
        let (skipped, rows) = carried(next)
        guard let start = bytes.bindMemory(to: Float.self).baseAddress else { return }
        for piece in pieces(rows) {
            let at = (skipped + piece.lowerBound - rows.lowerBound) * self.rows.width
            tools.lane.upload(start + at, to: self[piece])
        }
        try tools.lane.finish()
    }
}
