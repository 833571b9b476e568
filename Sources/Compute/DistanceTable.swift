import CKernels
import Support

/// What scores of attention gain by how far apart query and row are: of each head, at every distance, a row that
/// queries are multiplied with as they are with keys, and a number that is added.
package final class DistanceTable: @unchecked Sendable {
    package let heads: Int
    package let headSize: Int
    /// Distances, from 0 on.
    package let count: Int
    let table: bbp_distances
    private let memory: Memory<Float>

    /// Distances that are computed at a time.
    package static let countAtOnce = 64

    /// - Parameters:
    ///   - distinct: how many distances differ, at least 1: from `distinct` on all are like the one before.
    ///   - compute: writes a range of the distinct ones, [heads, headSize + 1, its length]: the rows, feature by
    ///     feature, and then the numbers.
    package init(
        heads: Int, headSize: Int, count: Int, distinct: Int,
        compute: (_ distances: Range<Int>, _ values: UnsafeMutablePointer<Float>) throws -> Void
    ) throws {
        (self.heads, self.headSize, self.count) = (heads, headSize, count)
        let (stride, lines, margin) = (Self.stride(count), heads * (headSize + 1), Int(BBP_DISTANCE_MARGIN))
        memory = try Memory(lines * stride)
        let piece = try Memory<Float>(lines * Self.countAtOnce)
        let computed = min(count, distinct)
        for first in Swift.stride(from: 0, to: computed, by: Self.countAtOnce) {
            let part = first..<min(computed, first + Self.countAtOnce)
            try compute(part, piece.start)
            for line in 0..<lines {
                (memory.start + line * stride + margin + first).update(
                    from: piece.start + line * part.count, count: part.count)
            }
        }
        for line in 0..<lines {
            let values = memory.start + line * stride + margin
            for distance in computed..<max(computed, count) { values[distance] = values[computed - 1] }
        }
        table = bbp_distances(distances: Int64(count), stride: Int64(stride), values: memory.start)
    }

    /// Values from feature to feature. An odd multiple of a cache line: lines of neighbouring features do not meet in
    /// the same place of a cache.
    private static func stride(_ count: Int) -> Int {
        (count + 2 * Int(BBP_DISTANCE_MARGIN) + 15) / 16 / 2 * 32 + 16
    }

    /// Bytes of a table, and of what making it takes.
    package static func footprint(heads: Int, headSize: Int, count: Int) -> Int {
        4 * heads * (headSize + 1) * (stride(count) + countAtOnce)
    }
}
