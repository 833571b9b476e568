import CKernels
import Glibc
import Support

/// Powers of the decays of a recurrence's heads, for the rows of a chunk.
package final class DecayTables: Sendable {
    package let heads: Int
    package let keySize: Int
    package let valueSize: Int
    /// Rows of a chunk.
    package let chunk: Int
    /// [heads, chunk + 1]: γ^0 … γ^chunk.
    let powers: Memory<Float>
    /// [heads]: γ^chunk in double precision, for the state.
    private let decays: [Double]

    /// - Parameter decays: γ of each head, in (0, 1].
    package init(decays: [Double], keySize: Int, valueSize: Int, chunk: Int) throws {
        self.decays = decays
        heads = decays.count
        self.keySize = keySize
        self.valueSize = valueSize
        self.chunk = chunk
        powers = try Memory(heads * (chunk + 1))
        for head in 0..<heads {
            for power in 0...chunk {
                powers[head * (chunk + 1) + power] = Float(pow(decays[head], Double(power)))
            }
        }
    }

    func powers(ofHead head: Int) -> UnsafePointer<Float> { UnsafePointer(powers.start + head * (chunk + 1)) }

    /// γ^rows of a head.
    package func decay(ofHead head: Int, rows: Int) -> Double { pow(decays[head], Double(rows)) }

    /// Chunks of as many rows.
    func chunks(_ rows: Int) -> Int { (rows + chunk - 1) / chunk }

    package static func footprint(heads: Int, chunk: Int) -> Int { heads * (chunk + 1) * 4 }
}
