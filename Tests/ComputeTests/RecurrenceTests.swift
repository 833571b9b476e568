import Foundation
import Support
import TestSupport
import Testing

@testable import Compute

/// What recurrences keep up over more rows than single precision can count.
@Suite("Recurrences") struct RecurrenceTests {
    @Test("Sums that forget nothing go on past 2^24")
    func sums() throws {
        let backend = CPUBackend(try Kernels.select())
        let lane = try backend.lane(LaneNeeds())
        let decay = try DecayTables(decays: [1], keySize: 1, valueSize: 1, chunk: 1)
        let deltas = try backend.rows(4, width: 1), state = try backend.rows(1, width: 2)
        lane.zero(state)
        lane.upload([16_777_216, 1, 1, 0], to: deltas)
        lane.scan(deltas, rows: 4, head: 0, decay: decay, state: state)
        var before = [Float](repeating: 0, count: 4)
        lane.download(deltas, to: &before)
        try lane.finish()
        #expect(before == [0, 16_777_216, 16_777_216, 16_777_218])
    }

    @Test("Decays that rows say are differences of logarithms with all their digits")
    func logarithms() {
        let (rows, rate) = (64, -1.3)
        let decays = RowDecays(bias: [0.25], rates: [rate], groups: 1, keySize: 1, valueSize: 1, chunk: rows)
        var numbers = TestNumbers(31)
        let dt = (0..<rows).map { _ in numbers.float() }
        var kept = [Float](repeating: 0, count: decays.width), after = [Float](repeating: 0, count: rows)
        decays.measure(dt, stride: 1, rows: rows, into: &kept)
        decays.after(kept, rows: rows, into: &after)
        let steps = dt.map { log1p(exp(Double($0) + 0.25)) }
        var sum = steps.reduce(0, +)
        #expect(abs(decays.decay(kept, rows: rows) / exp(rate * sum) - 1) < 1e-9)
        for row in 0..<rows {
            sum -= steps[row]
            #expect(abs(Double(after[rows - 1 - row]) / (steps[row] * exp(rate * sum)) - 1) < 2e-7)
        }
    }
}
