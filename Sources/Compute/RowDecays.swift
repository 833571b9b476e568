import Glibc
import Support

/// A recurrence in which every row says how long it takes, and states fade by as much: of head h in row t
/// step_t = log(1 + e^(dt_t + bias_h)), decay e^(rate_h · step_t).
///
/// What follows of the rows of a chunk is kept as [chunks · heads, 3 · chunk]: the logarithm to base 2 of what a state
/// has faded by since the chunk began, a row's own decay included, as a float and what that lacks, and the steps.
package final class RowDecays: Sendable {
    package let heads: Int
    /// How many keys and queries there are; heads h with the same h · groups div heads share one.
    package let groups: Int
    package let keySize: Int
    package let valueSize: Int
    /// Rows of a chunk.
    package let chunk: Int
    private let bias: [Float]
    private let rates: [Double]

    /// - Parameter rates: of each head, below 0.
    package init(bias: [Float], rates: [Double], groups: Int, keySize: Int, valueSize: Int, chunk: Int) {
        precondition(bias.count == rates.count && bias.count % groups == 0)
        heads = bias.count
        self.groups = groups
        self.keySize = keySize
        self.valueSize = valueSize
        self.chunk = chunk
        self.bias = bias
        self.rates = rates
    }

    package static func footprint(heads: Int) -> Int { heads * 12 }

    /// Chunks of as many rows.
    func chunks(_ rows: Int) -> Int { (rows + chunk - 1) / chunk }

    func group(ofHead head: Int) -> Int { head * groups / heads }

    /// Values that are kept of a chunk of one head.
    package var width: Int { 3 * chunk }

    /// What is kept of the rows of one chunk.
    ///
    /// - Parameters:
    ///   - dt: [rows, heads], `stride` values from row to row.
    ///   - kept: [heads, width].
    func measure(
        _ dt: UnsafePointer<Float>, stride: Int, rows: Int, into kept: UnsafeMutablePointer<Float>
    ) {
        for head in 0..<heads {
            let log = kept + head * width, rest = log + chunk, steps = rest + chunk
            let rate = rates[head] / M_LN2
            var sum = 0.0
            for row in 0..<chunk {
                if row < rows {
                    let x = Double(dt[row * stride + head]) + Double(bias[head])
                    // Written so that the power cannot overflow.
                    let step = max(x, 0) + log1p(exp(-abs(x)))
                    sum += rate * step
                    steps[row] = Float(step)
                } else {
                    steps[row] = 0
                }
                log[row] = Float(sum)
                rest[row] = Float(sum - Double(log[row]))
            }
        }
    }

    /// What is left of a state after the first `rows` rows of a chunk.
    func decay(_ kept: UnsafePointer<Float>, rows: Int) -> Double {
        exp2(Double(kept[rows - 1]) + Double(kept[chunk + rows - 1]))
    }

    /// What a state before a chunk is multiplied with at each of its rows.
    func before(_ kept: UnsafePointer<Float>, rows: Int, into factors: UnsafeMutablePointer<Float>) {
        for row in 0..<rows { factors[row] = Float(decay(kept, rows: row + 1)) }
    }

    /// What each row is multiplied with in the state after a chunk of `rows` rows, the last one first.
    func after(_ kept: UnsafePointer<Float>, rows: Int, into factors: UnsafeMutablePointer<Float>) {
        let (end, rest) = (Double(kept[rows - 1]), Double(kept[chunk + rows - 1]))
        for row in 0..<rows {
            let left = exp2((end - Double(kept[row])) + (rest - Double(kept[chunk + row])))
            factors[rows - 1 - row] = Float(left * Double(kept[2 * chunk + row]))
        }
    }
}

/// Weights of a convolution of every channel by itself, on the host.
package final class ChannelFilter: Sendable {
    /// K.
    package let taps: Int
    package let channels: Int
    /// [taps, channels].
    let weight: Memory<Float>
    let bias: Memory<Float>

    /// - Parameters:
    ///   - weight: [channels, taps], the last one of the present row.
    ///   - bias: [channels].
    package init(_ weight: UnsafePointer<Float>, bias: UnsafePointer<Float>, channels: Int, taps: Int) throws {
        self.taps = taps
        self.channels = channels
        self.weight = try Memory(taps * channels)
        self.bias = try Memory(channels)
        for channel in 0..<channels {
            for tap in 0..<taps { self.weight[tap * channels + channel] = weight[channel * taps + tap] }
        }
        self.bias.start.update(from: bias, count: channels)
    }

    package static func footprint(channels: Int, taps: Int) -> Int { 4 * channels * (taps + 1) }
}
