import CKernels
import Glibc
import Support

/// Tables of the rotary position embedding of one head size: angle t·f_i of pair i at token t, formed in double
/// precision and reduced, so that it is right far beyond 2^24 tokens.
package final class RotationTables: @unchecked Sendable {
    package let headSize: Int
    let tables: bbp_rotation_tables
    private let frequency: Memory<Double>
    private let middle: Memory<Double>
    private let fine: Memory<Double>

    /// - Parameters:
    ///   - frequencies: [headSize / 2] radians a token.
    ///   - isInterleaved: pair i is values 2i and 2i + 1, else i and i + headSize / 2.
    package init(headSize: Int, frequencies: [Double], isInterleaved: Bool) throws {
        self.headSize = headSize
        let (pairs, width) = (headSize / 2, (headSize / 2 + 7) / 8 * 8)
        let turns = try Memory<Double>(2 * pairs)
        for pair in 0..<pairs {
            // 1 / 2π as the nearest double and what that lacks.
            let (hi, lo) = (0.15915494309189535, -9.839338337591243e-18)
            let product = frequencies[pair] * hi
            let rest = (-product).addingProduct(frequencies[pair], hi)
            turns[2 * pair] = product
            turns[2 * pair + 1] = rest + frequencies[pair] * lo
        }
        func table(step: Int) throws -> Memory<Double> {
            let table = try Memory<Double>(64 * 2 * width)
            for m in 0..<64 {
                for pair in 0..<pairs {
                    let whole = Double(m * step) * turns[2 * pair]
                    let rest =
                        (-whole).addingProduct(Double(m * step), turns[2 * pair]) + Double(m * step)
                        * turns[2 * pair + 1]
                    let angle = 2 * Double.pi * (whole - floor(whole) + rest)
                    table[m * 2 * width + pair] = cos(angle)
                    table[(m * 2 + 1) * width + pair] = sin(angle)
                }
            }
            return table
        }
        frequency = turns
        middle = try table(step: 64)
        fine = try table(step: 1)
        tables = bbp_rotation_tables(
            head_size: Int64(headSize),
            layout: Int32((isInterleaved ? BBP_ROTATE_NEIGHBOURS : BBP_ROTATE_HALVES).rawValue),
            frequency: frequency.start, middle: middle.start, fine: fine.start)
    }

    package static func footprint(headSize: Int) -> Int {
        8 * headSize + 2 * 64 * 2 * ((headSize / 2 + 7) / 8 * 8) * 8
    }
}
