import CKernels
import Geometry
import Support

/// The tools of one worker for the arithmetic of a block, and room for the rows between steps. `Block.swift` says what
/// is computed with them.
///
/// Attention takes a group of patches at a time, few enough rows for the caches; the feed-forward takes whole tiles, as
/// many as make it worth while to read the convolution's weights. Neither number changes a result.
public final class TileArithmetic {
    /// Counts changes of the arithmetic that change bits of a result: raise it with each of them. A run goes on only
    /// under the revision that began it.
    public static let revision = 1

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
    /// [group] the tokens that the delegates come from; `noOrigin` where none was loaded.
    let delegateOrigins: Memory<Int64>
    static let noOrigin = Int64.max
    // Between steps: u [a few, D], projections [group, 3D] each, attention and mix [group, D], convolutions [tiles,
    // channels].
    let normalised: Memory<Float>
    let localProjections: Memory<Float>
    let delegateProjections: Memory<Float>
    let attended: Memory<Float>
    let mixed: Memory<Float>
    let convolved: Memory<Float>
    let between: [Memory<Float>]
    let logits: Memory<Float>
    /// Token ids gathered before they are embedded, and their positions.
    let gathered: Memory<UInt16>
    let positions: Memory<Int64>
    /// Keys that a patch's tokens are sorted by, and their scores.
    let orderKeys: Memory<UInt64>
    let scores: Memory<Float>
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

    let convolution: TemporalConvolution
    /// How its convolutions are computed.
    public let way: ConvolutionWay
    /// Rows of a tile.
    let tileRows: Int

    /// Rows that are normalised and projected at a time: they stay in the near caches, and the weights serve all of
    /// them.
    static let rowsAtOnce = 96

    public init(_ config: ModelConfig, geometry: SequenceGeometry, way: ConvolutionWay, kernels: KernelTable) throws {
        let (D, F, P) = (config.hiddenSize, config.innerSize, geometry.patchSize)
        let tileRows = Tiling(patchSize: P).rows
        convolution = try TemporalConvolution(config, tileRows: tileRows, way: way)
        let sizes = Sizes(config, patchSize: P, repeatedRows: convolution.repeatedRows)
        self.way = way
        self.tileRows = tileRows
        let rows = sizes.groupPatches * P
        self.config = config
        self.geometry = geometry
        self.kernels = kernels
        groupPatches = sizes.groupPatches
        tilesAtOnce = sizes.tilesAtOnce
        epsilon = Float(config.layerNormEpsilon)
        local = try Memory(rows * D)
        delegates = try Memory(rows * D)
        delegateOrigins = try Memory(rows)
        normalised = try Memory(Self.rowsAtOnce * D)
        localProjections = try Memory(rows * 3 * D)
        delegateProjections = try Memory(rows * 3 * D)
        attended = try Memory(rows * D)
        mixed = try Memory(rows * D)
        convolved = try Memory(config.hasProjectionBack ? tilesAtOnce * tileRows * F : 0)
        let valuesBetween = convolution.valuesBetween(rows: tilesAtOnce * tileRows)
        let stacked = convolution.convolutions.count
        between = [try Memory(stacked > 1 ? valuesBetween : 0), try Memory(stacked > 2 ? valuesBetween : 0)]
        logits = try Memory(rows * ModelConfig.vocabulary)
        gathered = try Memory(rows)
        positions = try Memory(rows)
        orderKeys = try Memory(P)
        scores = try Memory(config.delegation == .selective ? Self.rowsAtOnce : 0)
        positionScratch = try Memory(4 * D)
        attentionScratch = try Memory(Int(bbp_attention_scratch(Int64(2 * P), Int64(config.headSize))))
        convolutionScratch = try Memory(convolution.scratchValues(tiles: tilesAtOnce))
        let roundedValues = max(
            PreparedMatrix.scratchValues(stride: max(D, F), inputs: max(D, F)), convolution.halvesValues)
        halves = try Memory(kernels.pointee.rounds_products != 0 ? roundedValues : 0)
        context = try PatchContext(patchSize: P)
        contextRows = try Memory(2 * P)
        queryRows = try Memory(2 * P)
        outputRows = try Memory(2 * P)
        queryVisible = try Memory(2 * P)
    }

    /// Rows that go through the feed-forward at a time, about: wider models have more weights to read for them.
    static func rowsConvolvedAtOnce(hiddenSize: Int) -> Int { min(4608, hiddenSize * 24) }

    /// How much is done at a time.
    struct Sizes {
        let groupPatches: Int
        let tilesAtOnce: Int

        /// - Parameter repeatedRows: computed again for every piece of the feed-forward.
        init(_ config: ModelConfig, patchSize P: Int, repeatedRows: Int) {
            groupPatches = max(1, 256 / P)
            tilesAtOnce = max(
                1,
                max(TileArithmetic.rowsConvolvedAtOnce(hiddenSize: config.hiddenSize), min(4 * repeatedRows, 1 << 16))
                    / Tiling(patchSize: P).rows)
        }
    }

    /// Values of the states that the feed-forward makes at a time.
    public var outputValues: Int { tilesAtOnce * tileRows * config.hiddenSize }

    /// Bytes that one worker's tools own.
    public var ownedBytes: Int {
        let floats: [Memory<Float>] =
            [
                local, delegates, normalised, localProjections, delegateProjections, attended, mixed, convolved, logits,
                attentionScratch, convolutionScratch, scores,
            ] + between
        return floats.map(\.count).reduce(0, +) * 4 + (gathered.count + halves.count) * 2
            + (positionScratch.count + positions.count + delegateOrigins.count + orderKeys.count) * 8
            + PatchContext.footprint(patchSize: geometry.patchSize) + geometry.patchSize * 72
    }

    /// Bytes of one block's prepared weights, of preparing them, and of the head's.
    public var blockWeightBytes: Int {
        BlockWeights.footprint(config) + convolution.weightBytes + convolution.preparationBytes + Head.footprint(config)
    }
}
