import CKernels
import Support

/// The processor's cores: rows are memory of the host, a lane is a worker thread's.
package final class CPUBackend: Backend, @unchecked Sendable {
    package let kernels: KernelTable
    package var name: String { String(cString: kernels.pointee.name) }
    package let rowsAtOnce = 256
    package let isDivided = true

    package init(_ kernels: KernelTable) { self.kernels = kernels }

    package func lane(_ needs: LaneNeeds) throws -> any Lane { try CPULane(needs, kernels: kernels) }

    package func footprint(_ needs: LaneNeeds) -> Int { CPULane.Sizes(needs, kernels: kernels).bytes }

    package func rows(_ count: Int, width: Int) throws -> Rows {
        let (size, overflow) = count.multipliedReportingOverflow(by: width)
        return Rows(HostRows(try Memory(overflow ? -1 : size)), count: count, width: width)
    }

    package func matrix(_ weight: UnsafePointer<Float>, bias: UnsafePointer<Float>?, inputs: Int, outputs: Int) throws
        -> any Matrix
    {
        try PreparedMatrix(weight, bias: bias, inputs: inputs, outputs: outputs, kernels: kernels)
    }

    package func matrixFootprint(inputs: Int, outputs: Int) -> Int {
        PreparedMatrix.footprint(inputs: inputs, outputs: outputs)
    }

    package func norm(weight: UnsafePointer<Float>, bias: UnsafePointer<Float>, width: Int, epsilon: Float) throws
        -> any Norm
    {
        try HostNorm(weight: weight, bias: bias, width: width, epsilon: epsilon)
    }

    package func convolution(
        _ shape: Convolution, weight: UnsafePointer<Float>, bias: UnsafePointer<Float>, parallel: Parallel
    ) throws -> any ConvolutionWeights {
        HostConvolution(
            shape, try shape.prepare(weight, bias: bias, kernels: kernels, parallel: parallel))
    }

    package func embedding(codebook: UnsafePointer<Float>, vocabulary: Int, width: Int, position: PositionTerm?) throws
        -> any EmbeddingTable
    {
        try HostEmbedding(codebook: codebook, vocabulary: vocabulary, width: width, position: position)
    }
}

/// Rows in the host's memory.
final class HostRows: RowMemory, @unchecked Sendable {
    let values: Memory<Float>

    init(_ values: Memory<Float>) {
        self.values = values
        super.init(capacity: values.count)
    }
}

final class HostNorm: Norm {
    let weight: Memory<Float>
    let bias: Memory<Float>
    let epsilon: Float

    init(weight: UnsafePointer<Float>, bias: UnsafePointer<Float>, width: Int, epsilon: Float) throws {
        self.weight = try Memory(width)
        self.bias = try Memory(width)
        self.weight.start.update(from: weight, count: width)
        self.bias.start.update(from: bias, count: width)
        self.epsilon = epsilon
    }
}

final class HostConvolution: ConvolutionWeights, @unchecked Sendable {
    let shape: Convolution
    let weights: Convolution.Weights

    init(_ shape: Convolution, _ weights: Convolution.Weights) {
        self.shape = shape
        self.weights = weights
    }
}

final class HostEmbedding: EmbeddingTable {
    let codebook: Memory<Float>
    let vocabulary: Int
    let width: Int
    let position: PositionTerm?

    init(codebook: UnsafePointer<Float>, vocabulary: Int, width: Int, position: PositionTerm?) throws {
        self.codebook = try Memory(vocabulary * width)
        self.codebook.start.update(from: codebook, count: vocabulary * width)
        self.vocabulary = vocabulary
        self.width = width
        self.position = position
    }
}
