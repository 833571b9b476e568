import CKernels
import Glibc
import Support

/// How fast the states of a selective recurrence fade for a step of 1, and what goes past them.
package final class SelectionRates: @unchecked Sendable {
    /// Of every channel.
    package let states: Int
    package let channels: Int
    let table: bbp_selection
    /// [states, channels] and [channels].
    private let rate: Memory<Float>
    private let skip: Memory<Float>

    package static let statesLimit = Int(BBP_SELECTION_STATES)

    /// - Parameters:
    ///   - logarithms: [channels, states]: a state is multiplied with e^(-step · e^logarithm).
    ///   - skip: [channels].
    package init(logarithms: UnsafePointer<Float>, skip: UnsafePointer<Float>, states: Int, channels: Int) throws {
        (self.states, self.channels) = (states, channels)
        rate = try Memory(states * channels)
        self.skip = try Memory(channels)
        for channel in 0..<channels {
            for state in 0..<states {
                // In powers of two.
                let fading = exp(Double(logarithms[channel * states + state])) / log(2)
                rate[state * channels + channel] = -Float(fading)
            }
        }
        self.skip.start.update(from: skip, count: channels)
        table = bbp_selection(
            states: Int64(states), width: Int64(channels), rate: rate.start, skip: self.skip.start)
    }

    package static func footprint(states: Int, channels: Int) -> Int { 4 * (states + 1) * channels }
}

/// A complex number of one mode of a recurrence.
package struct ComplexNumber: Sendable, Equatable {
    package var re: Double
    package var im: Double

    package init(_ re: Double, _ im: Double) { (self.re, self.im) = (re, im) }
}

/// What the complex states of a linear recurrence are multiplied with, from one row to the next and for the output.
package final class ModeTables: @unchecked Sendable {
    /// Of every channel.
    package let modes: Int
    package let channels: Int
    let table: bbp_modes
    private let values: Memory<Double>
    private let skip: Memory<Float>

    /// - Parameters:
    ///   - skip: [channels].
    ///   - mode: of a channel and a number: what stays of a state after a row, and what an output has of it.
    package init(
        modes: Int, channels: Int, skip: UnsafePointer<Float>,
        mode: (_ channel: Int, _ number: Int) -> (stays: ComplexNumber, output: ComplexNumber)
    ) throws {
        (self.modes, self.channels) = (modes, channels)
        values = try Memory(4 * modes * channels)
        self.skip = try Memory(channels)
        for number in 0..<modes {
            for channel in 0..<channels {
                let (stays, output) = mode(channel, number)
                for (place, value) in [stays.re, stays.im, output.re, output.im].enumerated() {
                    values[(4 * number + place) * channels + channel] = value
                }
            }
        }
        self.skip.start.update(from: skip, count: channels)
        table = bbp_modes(
            modes: Int64(modes), width: Int64(channels), values: values.start, skip: self.skip.start)
    }

    package static func footprint(modes: Int, channels: Int) -> Int { 32 * modes * channels + 4 * channels }
}
