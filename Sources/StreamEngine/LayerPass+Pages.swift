import Geometry
import PageStore
import ProtonModel
import Support

/// A block's results: states and surprisal become pages.
extension LayerPass {
    /// Puts a tile's new states into the block's columns, in the states' number format.
    func stage(_ tile: Range<Int>, of block: Range<Int>, from output: UnsafePointer<Float>, _ arithmetic: TileArithmetic) {
        let row = D * state.size
        for patch in tile {
            for index in 0..<P {
                let target = shared.staged.start + (index * block.count + patch - block.lowerBound) * row
                let values = output + ((patch - tile.lowerBound) * P + index) * D
                arithmetic.store(values, asBF16: state == .bf16, into: target)
            }
        }
    }

    /// The block's tokens in natural order, and the one after, which the last row predicts.
    func loadTokens(of patches: Range<Int>) throws {
        let next = patches.upperBound..<min(geometry.patches, patches.upperBound + 1)
        shared.tokens[patches.count * P] = Element.noToken
        for (block, piece) in tokens.grid.pieces(of: patches) + tokens.grid.pieces(of: next) {
            let held = tokens.grid.patches(ofBlock: block)
            if shared.tokenBlockHeld != block {
                try count(\.tokens) {
                    try workers[0].reader.read(tokens, block: block, columns: 0..<P, rows: 0..<held.count) { UnsafeMutableRawPointer(shared.tokenBlock.start + $0 * held.count) }
                }
                shared.tokenBlockHeld = block
            }
            for patch in piece {
                for index in 0..<P {
                    let (token, position) = (patch * P + index, (patch - patches.lowerBound) * P + index)
                    let id = shared.tokenBlock[index * held.count + patch - held.lowerBound]
                    guard token < geometry.tokens ? id < ModelConfig.vocabulary : id == Element.noToken else {
                        throw Fault(.badData, "token \(token) has id \(id), which a sequence of \(geometry.tokens) tokens cannot have there",
                            at: Place(file: tokens.file, generation: 0, block: block, column: index), advice: PageHeader.damageAdvice)
                    }
                    if position < shared.tokens.count { shared.tokens[position] = id }
                }
            }
        }
    }

    func predict(_ tile: Range<Int>, of block: Range<Int>, from output: UnsafeMutablePointer<Float>, _ head: Head, _ arithmetic: TileArithmetic) throws {
        let first = (tile.lowerBound - block.lowerBound) * P
        let last = min(tile.count * P, geometry.tokens - 1 - tile.lowerBound * P)
        if last > 0 { try head.surprisal(output, targets: shared.tokens.start + first + 1, count: last, bits: shared.bits.start + first + 1, with: arithmetic) }
    }

    func writePages(_ block: Int, _ patches: Range<Int>) throws {
        var states = PageHeader(element: state, generation: layer, block: block, firstPatch: patches.lowerBound, patches: patches.count, columns: P, width: D)
        let surprisal = PageHeader(element: .f32, generation: layer, block: block, firstPatch: patches.lowerBound, patches: patches.count, columns: P, width: 1)
        let keepsStates = writer.record.holds(.states)
        if head != nil { finishBits(patches) }
        try pool.run(P) { worker, index in
            let codec = workers[worker].reader.codec
            if keepsStates { shared.pages.encode(index, of: states, values: shared.staged.start + index * states.columnBytes, with: codec) }
            if head != nil {
                let column = shared.bitColumns.start + index * patches.count
                for patch in 0..<patches.count { column[patch] = shared.bits[patch * P + index] }
                shared.surprisalPages.encode(index, of: surprisal, values: column, with: codec)
            }
        }
        if keepsStates {
            let page = shared.pages.finish(states)
            states.pageBytes = page.count
            try writer.append(.states, block: block, page: page)
            progress.storedBytes += page.count
            io.written += page.count
        }
        if head != nil {
            let page = shared.surprisalPages.finish(surprisal)
            try writer.append(.surprisal, block: block, page: page)
            io.results += page.count
        }
        progress.nextBlock = block + 1
    }

    /// Joins the block's surprisal to the one before and adds up what counts, in token order.
    private func finishBits(_ patches: Range<Int>) {
        let count = patches.count * P
        let first = patches.lowerBound * P
        shared.bits[0] = progress.nextBits
        progress.nextBits = first + count < geometry.tokens ? shared.bits[count] : .nan
        for position in 0..<count {
            let token = first + position
            if token >= geometry.tokens { shared.bits[position] = .nan }
            if token >= 1 && token < geometry.tokens && shared.tokens[position] < 256 {
                progress.bits += Double(shared.bits[position])
                progress.bitsCount += 1
            }
        }
    }
}
