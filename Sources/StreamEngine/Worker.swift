import CKernels
import PageStore
import ProtonModel
import Support

/// What one worker thread owns for the whole run: arithmetic, reader and codec, and room of its own.
final class Worker {
    let arithmetic: TileArithmetic
    let reader: PageReader
    /// [tiles, D] new states of the tiles that go through the feed-forward at a time.
    let output: Memory<Float>
    /// [tiles] which token of its patch goes to which column, where that is not the tokens' own order.
    let order: Memory<UInt16>

    init(arithmetic: TileArithmetic, pageBytes: Int, columnBytes: Int, kernels: KernelTable) throws {
        self.arithmetic = arithmetic
        reader = try PageReader(pageBytes: pageBytes, columnBytes: columnBytes, kernels: kernels)
        output = try Memory(arithmetic.outputValues)
        order = try Memory(
            arithmetic.config.delegation == .transpose ? 0 : arithmetic.outputValues / arithmetic.config.hiddenSize)
    }
}
