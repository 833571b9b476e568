import CKernels
import Support

/// A processor: it holds rows and weights, and its lanes compute with them.
///
/// Operations and not whole layers are what a back end implements: M mixers and B back ends cost M + B.
package protocol Backend: AnyObject, Sendable {
    /// What computes, as run records and messages name it.
    var name: String { get }

    /// Rows that attention takes at a time: of the CPU as many as its near caches hold.
    var rowsAtOnce: Int { get }

    /// Whether a stage's work is dealt out in pieces to many lanes, as to a processor's cores; else a lane takes whole
    /// windows and blocks.
    var isDivided: Bool { get }

    /// A lane of its own for one thread of work, with scratch for what `needs` says.
    ///
    /// - Throws: `Fault` (`inputOutput`) where there is no memory.
    func lane(_ needs: LaneNeeds) throws -> any Lane

    /// Bytes of a lane's scratch.
    func footprint(_ needs: LaneNeeds) -> Int

    /// Zeroed rows.
    ///
    /// - Throws: `Fault` (`inputOutput`) where there is no memory.
    func rows(_ count: Int, width: Int) throws -> Rows

    /// Weights of a matrix product, made ready.
    ///
    /// - Parameters:
    ///   - weight: [outputs, inputs] in f32, read before the call returns.
    ///   - bias: [outputs].
    func matrix(_ weight: UnsafePointer<Float>, bias: UnsafePointer<Float>?, inputs: Int, outputs: Int) throws
        -> any Matrix

    /// Bytes of a matrix made ready.
    func matrixFootprint(inputs: Int, outputs: Int) -> Int

    /// Scale and shift of a LayerNorm, [width] each, and its epsilon.
    func norm(weight: UnsafePointer<Float>, bias: UnsafePointer<Float>, width: Int, epsilon: Float) throws -> any Norm

    /// Weights of a convolution over time, made ready.
    ///
    /// - Parameters:
    ///   - weight: [outputs, inputs, K].
    ///   - bias: [outputs].
    ///   - parallel: runs its body for 0..<count, as many at once as it likes.
    func convolution(
        _ shape: Convolution, weight: UnsafePointer<Float>, bias: UnsafePointer<Float>, parallel: Parallel
    ) throws -> any ConvolutionWeights

    /// Tables that turn token ids into rows.
    ///
    /// - Parameters:
    ///   - codebook: [vocabulary, width].
    ///   - position: the position term; nil for none.
    func embedding(codebook: UnsafePointer<Float>, vocabulary: Int, width: Int, position: PositionTerm?) throws
        -> any EmbeddingTable
}

/// Runs `body` for 0..<count, as many at once as it likes.
package typealias Parallel = (_ count: Int, _ body: @escaping @Sendable (Int) -> Void) throws -> Void

/// Weights as a back end keeps them. Only its own lanes look inside.
package protocol Matrix: AnyObject, Sendable {
    var inputs: Int { get }
    var outputs: Int { get }
}
package protocol Norm: AnyObject, Sendable {}
package protocol ConvolutionWeights: AnyObject, Sendable {}
package protocol EmbeddingTable: AnyObject, Sendable {}

/// What a lane's scratch must be large enough for. Owners add what their operations take, and nobody else knows it.
package struct LaneNeeds: Sendable, Equatable {
    /// The widest rows that are normalised, that go into a product, and that `project` and `residual` keep between
    /// steps.
    package var width = 0
    package var inputs = 0
    /// The widest logits.
    package var vocabulary = 0
    /// Rows of the longest context of attention, queries over it, and the size of the widest head.
    package var contextRows = 0
    package var queries = 0
    package var headSize = 0
    /// Values and rounded values that convolutions take.
    package var convolutionValues = 0
    package var convolutionHalves = 0
    /// The size of the widest head that is rotated, and of the widest keys of a recurrence.
    package var rotatedHead = 0
    package var recurrentKeys = 0
    /// Rows of the longest chunk of a recurrence whose rows say how it fades.
    package var decayRows = 0

    package init() {}

    package mutating func add(_ other: LaneNeeds) {
        width = max(width, other.width)
        inputs = max(inputs, other.inputs)
        vocabulary = max(vocabulary, other.vocabulary)
        contextRows = max(contextRows, other.contextRows)
        queries = max(queries, other.queries)
        headSize = max(headSize, other.headSize)
        convolutionValues = max(convolutionValues, other.convolutionValues)
        convolutionHalves = max(convolutionHalves, other.convolutionHalves)
        rotatedHead = max(rotatedHead, other.rotatedHead)
        recurrentKeys = max(recurrentKeys, other.recurrentKeys)
        decayRows = max(decayRows, other.decayRows)
    }
}
