import CKernels
import Glibc
import Support

/// The position term (CoordConv, Model.md): scale · conv(pe)[t], pe[t] = (sin t·w_i, cos t·w_i), w_i = 50000^(-2i/D).
///
/// A tap of the convolution sees pe one step earlier or later, which is a rotation of the pairs at t. So the three
/// taps fold into one 8×8 matrix a group, applied to the pairs at t; the two ends of the padded sequence, where a tap
/// sees zeros, have matrices of their own.
package final class PositionTerm: Sendable {
    nonisolated(unsafe) let tables: bbp_position_tables
    // Owners of what `tables` points to.
    private let doubles: [Memory<Double>]
    private let matrices: [Memory<Float>]

    /// - Parameters:
    ///   - weight: `coord_conv.conv.weight` [D, 8, 3]; groups of 8 channels.
    ///   - length: N.
    package init(weight: UnsafePointer<Float>, scale: Float, width D: Int, length: Int) throws {
        let pairs = D / 2
        let frequency = try Memory<Double>(pairs)
        for i in 0..<pairs { frequency[i] = exp(Double(2 * i) * (-log(50_000) / Double(D))) }
        func rotations(step: Int) throws -> Memory<Double> {
            let table = try Memory<Double>(64 * D)
            for m in 0..<64 {
                for i in 0..<pairs {
                    let angle = Double(m * step) * frequency[i]
                    table[m * D + 2 * i] = cos(angle)
                    table[m * D + 2 * i + 1] = sin(angle)
                }
            }
            return table
        }
        /// Folds the taps in `taps` (0: t-1, 1: t, 2: t+1) into matrices [D/8, 8 in, 8 out].
        func folded(_ taps: ClosedRange<Int>) throws -> Memory<Float> {
            let matrix = try Memory<Float>(D * 8)
            for group in 0..<D / 8 {
                for output in 0..<8 {
                    for pair in 0..<4 {
                        var (forSine, forCosine) = (0.0, 0.0)
                        for tap in taps {
                            let row = ((group * 8 + output) * 8 + 2 * pair) * 3 + tap
                            let (a, b) = (Double(weight[row]), Double(weight[row + 3]))
                            let angle = Double(tap - 1) * frequency[group * 4 + pair]
                            // a·sin(x + θ) + b·cos(x + θ) in terms of sin x and cos x.
                            forSine += a * cos(angle) - b * sin(angle)
                            forCosine += a * sin(angle) + b * cos(angle)
                        }
                        matrix[(group * 8 + 2 * pair) * 8 + output] = Float(forSine * Double(scale))
                        matrix[(group * 8 + 2 * pair + 1) * 8 + output] = Float(forCosine * Double(scale))
                    }
                }
            }
            return matrix
        }
        doubles = [frequency, try rotations(step: 64), try rotations(step: 1)]
        matrices = [try folded(0...2), try folded(1...2), try folded(0...1), try folded(1...1)]
        tables = bbp_position_tables(
            width: Int64(D), length: Int64(length), frequency: doubles[0].start, middle: doubles[1].start,
            fine: doubles[2].start,
            inside: matrices[0].start, at_start: matrices[1].start, at_end: matrices[2].start, alone: matrices[3].start)
    }

    /// Bytes of the tables.
    package static func footprint(width D: Int) -> Int { 2 * 64 * D * 8 + D * 4 + 4 * D * 8 * 4 }
}
