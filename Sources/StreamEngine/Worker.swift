import CKernels
import Geometry
import PageStore
import ProtonModel
import Support

/// What one worker thread owns for the whole run: arithmetic, reader and codec, and room of its own.
final class Worker {
    let arithmetic: TileArithmetic
    let reader: PageReader
    /// [L, D] a tile's new states.
    let output: Memory<Float>
    /// A decoded block of hosts whose run has no read head.
    let spare: Memory<UInt8>
    var spareBlock = -1
    /// Rows of delegates from outside the window: P of them.
    let strays: Memory<UInt8>

    init(arithmetic: TileArithmetic, pageBytes: Int, columnBytes: Int, spareBytes: Int, kernels: KernelTable) throws {
        self.arithmetic = arithmetic
        reader = try PageReader(pageBytes: pageBytes, columnBytes: columnBytes, kernels: kernels)
        output = try Memory(arithmetic.rows * arithmetic.config.hiddenSize)
        spare = try Memory(spareBytes)
        strays = try Memory(arithmetic.geometry.patchSize * arithmetic.config.hiddenSize * 4)
    }
}

/// What all workers share for the whole run: the window, the heads, the block being written.
final class SharedMemory {
    /// P columns of W + P-1 stored rows.
    let own: Memory<UInt8>
    /// [K-1 + W·P + L, D]: the carry, then the window. First the attention of the window's delegates, then s.
    let s: Memory<Float>
    let heads: [Memory<UInt8>]
    /// T·P stored rows: what the slots of one block hold.
    let guests: Memory<UInt8>
    /// P columns of one block's new states.
    let staged: Memory<UInt8>
    let pages: PageEncoder
    let surprisalPages: PageEncoder
    /// P columns of the token block that the head is at, and which it is, or -1.
    let tokenBlock: Memory<UInt16>
    var tokenBlockHeld = -1
    /// [T·P + 1]: the block's tokens and the one after.
    let tokens: Memory<UInt16>
    /// [T·P + 1]: surprisal of the same tokens.
    let bits: Memory<Float>
    /// [P, T]: surprisal as columns.
    let bitColumns: Memory<Float>

    init(_ needs: WorkingSetNeeds, _ set: WorkingSet) throws {
        let (P, D, K) = (needs.geometry.patchSize, needs.config.hiddenSize, needs.config.kernelSize)
        let (T, W) = (set.patchesPerBlock, set.windowPatches)
        let row = needs.rowBytes
        own = try Memory(P * (W + min(P - 1, needs.geometry.patches)) * row)
        s = try Memory((K - 1 + W * P + Tiling(patchSize: P).rows) * D)
        heads = try (0..<set.heads).map { _ in try Memory(needs.inputBlockBytes(T: T)) }
        guests = try Memory(T * P * row)
        staged = try Memory(T * P * D * needs.state.size)
        pages = try PageEncoder(largest: PageHeader(element: needs.state, generation: 1, block: 0, firstPatch: 0, patches: T, columns: P, width: D))
        surprisalPages = try PageEncoder(largest: PageHeader(element: .f32, generation: 1, block: 0, firstPatch: 0, patches: T, columns: P, width: 1))
        tokenBlock = try Memory(needs.tokenBlockBytes / 2)
        tokens = try Memory(T * P + 1)
        bits = try Memory(T * P + 1)
        bitColumns = try Memory(T * P)
    }
}
