import CKernels
import Geometry
import Support

/// The tools of one worker for the arithmetic of a tile: matrix products of the model's shapes and room for the rows
/// between steps. `Block.swift` says what is computed with them.
public final class TileArithmetic {
    public let config: ModelConfig
    public let geometry: SequenceGeometry
    /// L: rows of a tile.
    public let rows: Int
    let kernels: bbp_kernels
    let epsilon: Float

    /// [L, D] the tile's own rows, or a host's.
    public let local: Memory<Float>
    /// [L, D] the delegates in the tile's slots.
    public let delegates: Memory<Float>
    // Between steps: u [L, D], projections [L, 3D] each, attention and mix [L, D], convolution [L, F], logits [L, 259].
    let normalised: Memory<Float>
    let localProjections: Memory<Float>
    let delegateProjections: Memory<Float>
    let attended: Memory<Float>
    let mixed: Memory<Float>
    let convolved: Memory<Float>
    let logits: Memory<Float>
    /// Room for stored rows gathered before they are expanded: [L, D], up to 4 bytes a value.
    let gathered: Memory<UInt8>
    let positionScratch: Memory<Double>
    let attentionScratch: Memory<Float>
    var context: PatchContext
    let contextRows: Memory<UnsafePointer<Float>?>
    let queryRows: Memory<UnsafePointer<Float>?>
    let outputRows: Memory<UnsafeMutablePointer<Float>?>
    let queryVisible: Memory<Int32>

    let qkvLocal: MatrixProduct
    let kvLocal: MatrixProduct
    let qkvDelegate: MatrixProduct
    let kvDelegate: MatrixProduct
    let projection: MatrixProduct
    let cov4: MatrixProduct
    let head: MatrixProduct
    let convolution: CausalConvolution

    public init(_ config: ModelConfig, geometry: SequenceGeometry, kernels: KernelTable) throws {
        let (D, F, P) = (config.hiddenSize, config.intermediateSize, geometry.patchSize)
        let L = Tiling(patchSize: P).rows
        self.config = config
        self.geometry = geometry
        self.kernels = kernels.pointee
        rows = L
        epsilon = Float(config.layerNormEpsilon)
        local = try Memory(L * D)
        delegates = try Memory(L * D)
        normalised = try Memory(L * D)
        localProjections = try Memory(L * 3 * D)
        delegateProjections = try Memory(L * 3 * D)
        attended = try Memory(L * D)
        mixed = try Memory(L * D)
        convolved = try Memory(L * F)
        logits = try Memory(L * ModelConfig.vocabulary)
        gathered = try Memory(L * D * 4)
        positionScratch = try Memory(4 * D)
        attentionScratch = try Memory(Int(bbp_attention_scratch(Int64(2 * P), Int64(config.headSize))))
        context = try PatchContext(patchSize: P)
        contextRows = try Memory(2 * P)
        queryRows = try Memory(P)
        outputRows = try Memory(P)
        queryVisible = try Memory(P)
        let library = try DNNL()
        qkvLocal = try MatrixProduct(library, rows: L, inputs: D, outputs: 3 * D, bias: false)
        kvLocal = try MatrixProduct(library, rows: L, inputs: D, outputs: 2 * D, bias: false)
        qkvDelegate = try MatrixProduct(library, rows: L, inputs: D, outputs: 3 * D, bias: true)
        kvDelegate = try MatrixProduct(library, rows: L, inputs: D, outputs: 2 * D, bias: true)
        projection = try MatrixProduct(library, rows: L, inputs: D, outputs: D, bias: true)
        cov4 = try MatrixProduct(library, rows: L, inputs: F, outputs: D, bias: true)
        head = try MatrixProduct(library, rows: L, inputs: D, outputs: ModelConfig.vocabulary, bias: true)
        convolution = try CausalConvolution(library, rows: L, inputs: D, outputs: F, kernel: config.kernelSize)
    }

    /// To be called once in each worker thread before its first tile.
    public static func prepareThread() { DNNL.becomeSingleThreaded() }

    /// Bytes that one worker's tools own, oneDNN's scratch apart.
    static func footprint(_ config: ModelConfig, patchSize P: Int) -> Int {
        let (D, F) = (config.hiddenSize, config.intermediateSize)
        let L = Tiling(patchSize: P).rows
        let matrices = L * (12 * D + F + ModelConfig.vocabulary) * 4
        let attention = Int(bbp_attention_scratch(Int64(2 * P), Int64(config.headSize))) * 4 + PatchContext.footprint(patchSize: P) + P * 48
        return matrices + attention + 4 * D * 8
    }

    var products: [MatrixProduct] { [qkvLocal, kvLocal, qkvDelegate, kvDelegate, projection, cov4, head] }

    /// Bytes of everything this worker owns here, measured.
    public var ownedBytes: Int {
        Self.footprint(config, patchSize: geometry.patchSize) + products.map(\.scratchBytes).reduce(0, +) + convolution.scratchBytes
    }

    /// Bytes of one block's prepared weights.
    public var blockWeightBytes: Int { BlockWeights.footprint(config) + convolution.weightBytes }
}

/// A matrix product over and over, to see what a core can do.
public final class ProductTest {
    private let product: MatrixProduct
    private let x: Memory<Float>
    private let weight: Memory<Float>
    private let y: Memory<Float>
    /// Floating-point operations of one run.
    public let operations: Double

    public init(rows: Int, inputs: Int, outputs: Int) throws {
        product = try MatrixProduct(DNNL(), rows: rows, inputs: inputs, outputs: outputs, bias: false)
        x = try Memory(rows * inputs)
        weight = try Memory(inputs * outputs)
        y = try Memory(rows * outputs)
        for value in 0..<x.count { x[value] = Float(value % 31) - 15 }
        for value in 0..<weight.count { weight[value] = Float(value % 17) - 8 }
        operations = 2 * Double(rows) * Double(inputs) * Double(outputs)
    }

    public func run() throws { try product.run(x.start, weight: weight.start, into: y.start) }
}
