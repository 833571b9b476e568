import Geometry
import PageStore
import ProtonModel
import Support

/// The tokens that rows of states are to predict, in natural order. The block of generation 0 read last stays decoded.
final class TargetTokens {
    private let geometry: SequenceGeometry
    /// P columns.
    private let decoded: Memory<UInt16>
    private var held = -1

    init(blockBytes: Int, geometry: SequenceGeometry) throws {
        self.geometry = geometry
        decoded = try Memory(blockBytes / 2)
    }

    /// Forgets what it holds: another layer, or another store, begins.
    func reset() { held = -1 }

    /// Writes the tokens of `patches` and the one after to `target`, which has room for all of them. One caller at a time.
    func load(_ patches: Range<Int>, of tokens: GenerationReader, with reader: PageReader, into target: Memory<UInt16>) throws {
        let P = geometry.patchSize
        let count = patches.count * P
        target[count] = Element.noToken
        let needed = patches.lowerBound..<min(geometry.patches, patches.upperBound + 1)
        for (block, piece) in tokens.grid.pieces(of: needed) {
            let inBlock = tokens.grid.patches(ofBlock: block)
            if held != block {
                held = -1
                try reader.read(tokens, block: block, columns: 0..<P, into: { UnsafeMutableRawPointer(decoded.start + $0 * inBlock.count) })
                held = block
            }
            for patch in piece {
                for index in 0..<P {
                    let (token, position) = (patch * P + index, (patch - patches.lowerBound) * P + index)
                    let id = decoded[index * inBlock.count + patch - inBlock.lowerBound]
                    guard token < geometry.tokens ? id < ModelConfig.vocabulary : id == Element.noToken else {
                        throw Fault(.badData, "token \(token) has id \(id), which a sequence of \(geometry.tokens) tokens cannot have there",
                            at: Place(file: tokens.file, generation: 0, block: block, column: index), advice: PageHeader.damageAdvice)
                    }
                    if position <= count { target[position] = id }
                }
            }
        }
    }
}
