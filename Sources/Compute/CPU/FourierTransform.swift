import CKernels
import Glibc
import Support

/// Tables of the Fourier transform that convolutions go through: `size` points, a power of two from 16 on.
final class FourierTransform: @unchecked Sendable {
    let size: Int
    /// Those that real rows need: size / 2 + 1.
    let frequencies: Int
    let tables: bbp_transform
    private let twiddles: Memory<Float>
    private let place: Memory<Int32>

    init(size: Int) throws {
        self.size = size
        frequencies = size / 2 + 1
        twiddles = try Memory(2 * size)
        place = try Memory(size)
        var (span, next) = (size, 0)
        while span > 8 {
            for j in 0..<span / 4 {
                for k in 1...3 {
                    let angle = -2 * Double.pi * Double(j * k) / Double(span)
                    twiddles[next] = Float(cos(angle))
                    twiddles[next + 1] = Float(sin(angle))
                    next += 2
                }
            }
            span /= 4
        }
        // Every radix-4 pass sorts by the frequency's lowest digit; the last radix comes out in order.
        for frequency in 0..<size {
            var (span, rest, at) = (size, frequency, 0)
            while span > 8 {
                span /= 4
                at += rest % 4 * span
                rest /= 4
            }
            place[frequency] = Int32(at + rest)
        }
        tables = bbp_transform(
            size: Int64(size), frequencies: Int64(frequencies), twiddles: twiddles.start, place: place.start)
    }

    var scratchValues: Int { Int(bbp_transform_scratch(Int64(size))) }

    /// cos and sin of 2π·f·m / size for m below `taps`: [taps, 2, frequencies].
    func waves(taps: Int) throws -> Memory<Double> {
        let waves = try Memory<Double>(taps * 2 * frequencies)
        for m in 0..<taps {
            for f in 0..<frequencies {
                let angle = 2 * Double.pi * Double(f * m % size) / Double(size)
                waves[m * 2 * frequencies + f] = cos(angle)
                waves[(m * 2 + 1) * frequencies + f] = sin(angle)
            }
        }
        return waves
    }
}
