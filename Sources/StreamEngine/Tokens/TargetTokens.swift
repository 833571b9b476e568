import Geometry
import PageStore
import ProtonModel
import Support

/// Tokens in natural order: those that rows of states are to predict, or that are to be embedded anew. The block of
/// generation 0 read last stays decoded.
///
/// Sendable because one caller has it at a time: the stages that load targets follow one another.
final class TargetTokens: @unchecked Sendable {
    private let geometry: SequenceGeometry
    /// P columns, and the token indices of their rows where they are ordered.
    private let decoded: Memory<UInt16>
    private let indices: Memory<UInt16>
    private var held = -1

    /// - Parameter blockRows: tokens of the largest block.
    init(blockRows: Int, isOrdered: Bool, geometry: SequenceGeometry) throws {
        self.geometry = geometry
        decoded = try Memory(blockRows)
        indices = try Memory(isOrdered ? blockRows : 0)
    }

    static func footprint(blockRows: Int, isOrdered: Bool) -> Int { blockRows * (isOrdered ? 4 : 2) }

    /// Forgets what it holds: another layer, or another store, begins.
    func reset() { held = -1 }

    /// Where tokens are. Nobody writes to memory while a pass runs.
    enum Source: @unchecked Sendable {
        case stored(GenerationReader)
        /// In columns.
        case resident(ResidentStates)
        /// In natural order, from token `first` on: those of the pass and the one after.
        case natural(UnsafePointer<UInt16>, first: Int)
    }

    /// Writes the tokens of `patches` and the one after to `target`, which has room for all of them. One caller at a
    /// time.
    func load(_ patches: Range<Int>, of tokens: Source, with reader: PageReader, into target: Memory<UInt16>) throws {
        switch tokens {
        case .stored(let stored): try load(patches, of: stored, with: reader, into: target)
        case .natural(let start, let first):
            let P = geometry.patchSize
            target.start.update(from: start + (patches.lowerBound * P - first), count: patches.count * P + 1)
        case .resident(let states):
            let P = geometry.patchSize
            target[patches.count * P] = Element.noToken
            for (block, piece) in states.grid.pieces(
                of: patches.lowerBound..<min(geometry.patches, patches.upperBound + 1))
            {
                let skipped = states.grid.patches(ofBlock: block).lowerBound
                for column in 0..<P {
                    let ids = UnsafeRawPointer(states.column(column, ofBlock: block)).assumingMemoryBound(
                        to: UInt16.self)
                    let indices = states.indices(column, ofBlock: block)
                    for patch in piece {
                        let index = indices.map { Int($0[patch - skipped]) } ?? column
                        let position = (patch - patches.lowerBound) * P + index
                        if position <= patches.count * P { target[position] = ids[patch - skipped] }
                    }
                }
            }
        }
    }

    /// Writes the tokens of `patches` and the one after to `target`, which has room for all of them. One caller at a
    /// time.
    private func load(
        _ patches: Range<Int>, of tokens: GenerationReader, with reader: PageReader, into target: Memory<UInt16>
    ) throws {
        let P = geometry.patchSize
        let count = patches.count * P
        target[count] = Element.noToken
        let needed = patches.lowerBound..<min(geometry.patches, patches.upperBound + 1)
        for (block, piece) in tokens.grid.pieces(of: needed) {
            let inBlock = tokens.grid.patches(ofBlock: block)
            if held != block {
                held = -1
                try reader.read(
                    tokens, block: block, columns: 0..<P,
                    into: { UnsafeMutableRawBufferPointer(decoded.piece($0, of: inBlock.count)) },
                    indices: { indices.count > 0 ? indices.piece($0, of: inBlock.count) : nil })
                held = block
            }
            for patch in piece {
                for column in 0..<P {
                    let row = column * inBlock.count + patch - inBlock.lowerBound
                    let index = indices.count > 0 ? Int(indices[row]) : column
                    let (token, position) = (patch * P + index, (patch - patches.lowerBound) * P + index)
                    let id = decoded[row]
                    guard token < geometry.tokens ? id < Element.tokenIDs : id == Element.noToken else {
                        throw Fault(
                            .badData,
                            "token \(token) has id \(id), which a sequence of \(geometry.tokens) tokens cannot have there",
                            at: tokens.place(block, column: column),
                            advice: PageHeader.damageAdvice)
                    }
                    if position <= count { target[position] = id }
                }
            }
        }
    }
}
