import CKernels
import Geometry
import Support

/// The tools of one worker for the arithmetic of a block, and room for the rows between steps. `Block.swift` says what is
/// computed with them.
///
/// Attention takes a group of patches at a time, few enough rows for the caches; the feed-forward takes whole tiles, as
/// many as make it worth while to read the convolution's weights. Neither number changes a result.
public final class TileArithmetic {
    public let config: ModelConfig
    public let geometry: SequenceGeometry
    /// Patches attended over at a time.
    public let groupPatches: Int
    /// Tiles that go through the feed-forward at a time, at most.
    public let tilesAtOnce: Int
    let kernels: KernelTable
    let epsilon: Float

    /// [group, D] the group's own rows, or a host's; [group, D] the delegates in its slots.
    public let local: Memory<Float>
    public let delegates: Memory<Float>
    // Between steps: u [a few, D], projections [group, 3D] each, attention and mix [group, D], convolution [tiles, F].
    let normalised: Memory<Float>
    let localProjections: Memory<Float>
    let delegateProjections: Memory<Float>
    let attended: Memory<Float>
    let mixed: Memory<Float>
    let convolved: Memory<Float>
    let logits: Memory<Float>
    /// Token ids gathered before they are embedded.
    let gathered: Memory<UInt16>
    let positionScratch: Memory<Double>
    let attentionScratch: Memory<Float>
    let convolutionScratch: Memory<Float>
    /// Rows rounded to bfloat16, where products do that.
    let halves: Memory<UInt16>
    var context: PatchContext
    let contextRows: Memory<UnsafePointer<Float>?>
    let queryRows: Memory<UnsafePointer<Float>?>
    let outputRows: Memory<UnsafeMutablePointer<Float>?>
    let queryVisible: Memory<Int32>

    let convolution: CausalConvolution

    /// Rows that are normalised and projected at a time: they stay in the near caches, and the weights serve all of them.
    static let rowsAtOnce = 96

    public init(_ config: ModelConfig, geometry: SequenceGeometry, kernels: KernelTable) throws {
        let (D, F, P) = (config.hiddenSize, config.intermediateSize, geometry.patchSize)
        let sizes = Sizes(config, patchSize: P)
        let rows = sizes.groupPatches * P
        self.config = config
        self.geometry = geometry
        self.kernels = kernels
        groupPatches = sizes.groupPatches
        tilesAtOnce = sizes.tilesAtOnce
        epsilon = Float(config.layerNormEpsilon)
        convolution = try CausalConvolution(config, tileRows: sizes.tileRows)
        local = try Memory(rows * D)
        delegates = try Memory(rows * D)
        normalised = try Memory(Self.rowsAtOnce * D)
        localProjections = try Memory(rows * 3 * D)
        delegateProjections = try Memory(rows * 3 * D)
        attended = try Memory(rows * D)
        mixed = try Memory(rows * D)
        convolved = try Memory(tilesAtOnce * sizes.tileRows * F)
        logits = try Memory(rows * ModelConfig.vocabulary)
        gathered = try Memory(rows)
        positionScratch = try Memory(4 * D)
        attentionScratch = try Memory(Int(bbp_attention_scratch(Int64(2 * P), Int64(config.headSize))))
        convolutionScratch = try Memory(convolution.scratchValues(tiles: tilesAtOnce))
        let roundedValues = max(PreparedMatrix.scratchValues(stride: max(D, F), inputs: max(D, F)), convolution.halvesValues)
        halves = try Memory(kernels.pointee.rounds_products != 0 ? roundedValues : 0)
        context = try PatchContext(patchSize: P)
        contextRows = try Memory(2 * P)
        queryRows = try Memory(2 * P)
        outputRows = try Memory(2 * P)
        queryVisible = try Memory(2 * P)
    }

    /// Rows that go through the feed-forward at a time, about: wider models have more weights to read for them.
    static func rowsConvolvedAtOnce(_ config: ModelConfig) -> Int { min(4608, config.hiddenSize * 24) }

    /// How much is done at a time.
    struct Sizes {
        let groupPatches: Int
        let tileRows: Int
        let tilesAtOnce: Int

        init(_ config: ModelConfig, patchSize P: Int) {
            tileRows = Tiling(patchSize: P).rows
            groupPatches = max(1, 256 / P)
            tilesAtOnce = max(1, TileArithmetic.rowsConvolvedAtOnce(config) / tileRows)
        }
    }

    /// Values of the states that the feed-forward makes at a time.
    public var outputValues: Int { tilesAtOnce * convolution.tileRows * config.hiddenSize }

    /// Bytes that one worker's tools own.
    public var ownedBytes: Int {
        let floats: [Memory<Float>] = [
            local, delegates, normalised, localProjections, delegateProjections, attended, mixed, convolved, logits, attentionScratch, convolutionScratch,
        ]
        return floats.map(\.count).reduce(0, +) * 4 + (gathered.count + halves.count) * 2 + positionScratch.count * 8 + PatchContext.footprint(patchSize: geometry.patchSize) + geometry.patchSize * 72
    }

    /// Bytes of one block's prepared weights, of preparing them, and of the head's.
    public var blockWeightBytes: Int { BlockWeights.footprint(config) + convolution.weightBytes + convolution.preparationBytes + Head.footprint(config) }
}
