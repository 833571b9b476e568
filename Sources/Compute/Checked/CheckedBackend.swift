import CKernels
import Support

/// A back end that stands in for a device in tests: it does what it is asked as late as it may, and refuses what works on
/// the CPU alone.
///
/// Its lanes keep operations until `finish`, and then do them in order, by the CPU's kernels. Until then nothing is in the
/// memory of the host that operations write: it is NaN from the call on. Memory of its own is NaN at first, and values
/// that nothing wrote may not be read. Handles must be its own and of the sizes that the operations ask for, inputs and
/// outputs may not overlap where an operation does not allow it, and what lanes do at once may not either. The first
/// violation of a lane is thrown by its next `finish`, as a `Fault` that names operation and rows.
///
/// Its rows take five bytes a value, one more than owners of rows say.
package final class CheckedBackend: Backend, @unchecked Sendable {
    package let kernels: KernelTable
    package let rowsAtOnce: Int
    package let isDivided: Bool
    /// Whether new rows count as written, with zeros, as the back ends' contract has it; else they hold NaN that no
    /// operation may read.
    let isZeroed: Bool
    /// Makes weights, and the lanes that operations are done by.
    let host: CPUBackend
    private let counts = Locked(Counts())

    private struct Counts {
        var asked: [String: Int] = [:]
        var unfinished = 0
    }

    /// - Parameters:
    ///   - kernels: nil for the plain ones.
    ///   - isDivided: whether many lanes share a stage's work, as the CPU's do.
    /// - Throws: `Fault` (`inputOutput`) where there are no plain kernels.
    package init(
        _ kernels: KernelTable? = nil, rowsAtOnce: Int = 1024, isDivided: Bool = false, isZeroed: Bool = false
    ) throws {
        self.isZeroed = isZeroed
        guard let kernels = kernels ?? bbp_kernels_for(BBP_PLAIN) else {
            throw Fault(.inputOutput, "no plain kernels were built")
        }
        self.kernels = kernels
        self.rowsAtOnce = rowsAtOnce
        self.isDivided = isDivided
        host = CPUBackend(kernels)
    }

    package var name: String { "checked, \(host.name)" }

    /// How often each operation was asked for, by its name; operations in one go count as their steps.
    package var operations: [String: Int] { counts.withLock { $0.asked } }

    /// Whether all that was asked for was finished.
    package var isIdle: Bool { counts.withLock { $0.unfinished == 0 } }

    func begin(_ operation: String) {
        counts.withLock {
            $0.asked[operation, default: 0] += 1
            $0.unfinished += 1
        }
    }

    func end(_ operations: Int) { counts.withLock { $0.unfinished -= operations } }

    package func lane(_ needs: LaneNeeds) throws -> any Lane { try CheckedLane(needs, self) }

    package func footprint(_ needs: LaneNeeds) -> Int { host.footprint(needs) + 5 * rowsAtOnce * needs.width }

    package func rows(_ count: Int, width: Int) throws -> Rows {
        let (size, overflow) = count.multipliedReportingOverflow(by: width)
        let rows = Rows(try CheckedRows(overflow ? -1 : size, self), count: count, width: width)
        if isZeroed, let memory = rows.memory as? CheckedRows { memory.zero(rows) }
        return rows
    }

    // MARK: Weights

    package func matrix(_ weight: UnsafePointer<Float>, bias: UnsafePointer<Float>?, inputs: Int, outputs: Int) throws
        -> any Matrix
    {
        CheckedWeights(
            try PreparedMatrix(weight, bias: bias, inputs: inputs, outputs: outputs, kernels: kernels), self)
    }

    package func matrixFootprint(inputs: Int, outputs: Int) -> Int {
        host.matrixFootprint(inputs: inputs, outputs: outputs)
    }

    package func norm(weight: UnsafePointer<Float>, bias: UnsafePointer<Float>, width: Int, epsilon: Float) throws
        -> any Norm
    {
        CheckedWeights(try HostNorm(weight: weight, bias: bias, width: width, epsilon: epsilon), self)
    }

    package func convolution(
        _ shape: Convolution, weight: UnsafePointer<Float>, bias: UnsafePointer<Float>, parallel: Parallel
    ) throws -> any ConvolutionWeights {
        CheckedWeights(
            HostConvolution(shape, try shape.prepare(weight, bias: bias, kernels: kernels, parallel: parallel)), self)
    }

    package func embedding(codebook: UnsafePointer<Float>, vocabulary: Int, width: Int, position: PositionTerm?) throws
        -> any EmbeddingTable
    {
        CheckedWeights(
            try HostEmbedding(codebook: codebook, vocabulary: vocabulary, width: width, position: position), self)
    }
}

/// The CPU's weights, and whose they are.
final class CheckedWeights<Host: Sendable>: Sendable {
    let host: Host
    let backend: CheckedBackend

    init(_ host: Host, _ backend: CheckedBackend) {
        self.host = host
        self.backend = backend
    }
}

extension CheckedWeights: Matrix where Host == PreparedMatrix {
    var inputs: Int { host.inputs }
    var outputs: Int { host.outputs }
}
extension CheckedWeights: Norm where Host == HostNorm {}
extension CheckedWeights: ConvolutionWeights where Host == HostConvolution {}
extension CheckedWeights: EmbeddingTable where Host == HostEmbedding {}
