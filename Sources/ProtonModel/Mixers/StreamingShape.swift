import Compute
import Geometry
import Glibc
import Support

/// The shape of a mixer that streams, and what it takes to make one. The engine asks for nothing else, and names no
/// kind.
protocol StreamingShape: MixerShape {
    /// The mixer of one layer.
    ///
    /// - Parameters:
    ///   - tensor: of the layer's block; the mixer's own are named "mixer.…".
    func mixer(_ tensor: TensorReader, _ config: ModelConfig, geometry: SequenceGeometry, on backend: any Backend)
        throws
        -> any StreamingMixer

    /// What a lane is asked for.
    func needs(_ config: ModelConfig, tileRows: Int) -> LaneNeeds

    /// Bytes of the weights, and of what preparing them takes.
    func weightBytes(_ config: ModelConfig, on backend: any Backend) -> Int

    /// Whether its streams ask for the model's input.
    var isInputNeeded: Bool { get }

    /// Bytes of a stream, and of its carry as it is kept.
    func streamBytes(_ shape: StreamShape) -> Int
    var carryBytes: Int { get }
}

extension StreamingShape {
    var isInputNeeded: Bool { false }
}

/// A stream that carries rows of its own, and nothing else: they are kept one after another as they are.
protocol RowCarrier: MixerStream {
    /// Whole rows of what it allocated, of single values or doubles.
    var carried: [Rows] { get }
}

extension RowCarrier {
    package var carryBytes: Int { carried.reduce(0) { $0 + 4 * $1.count * $1.width } }

    package func save(before next: Int, to bytes: UnsafeMutableRawBufferPointer, with tools: LaneTools) throws {
        guard var place = bytes.bindMemory(to: Float.self).baseAddress else { return }
        for rows in carried {
            tools.lane.download(rows, to: place)
            place += rows.count * rows.width
        }
        try tools.lane.finish()
    }

    package func restore(_ bytes: UnsafeRawBufferPointer, before next: Int, with tools: LaneTools) throws {
        guard var place = bytes.bindMemory(to: Float.self).baseAddress else { return }
        for rows in carried {
            tools.lane.upload(place, to: rows)
            place += rows.count * rows.width
        }
        try tools.lane.finish()
    }
}

extension TensorReader {
    /// Weights of a matrix that is stored [inputs, outputs], of which this is part `part`, made ready.
    ///
    /// - Parameter bias: the name of [outputs] values; nil for none.
    func transposed(
        _ name: String, part: Int = 0, inputs: Int, outputs: Int, bias: String? = nil, on backend: any Backend
    ) throws -> any Matrix {
        let stored = try self(name) + part * inputs * outputs
        let weight = try Memory<Float>(inputs * outputs)
        for output in 0..<outputs {
            for input in 0..<inputs { weight[output * inputs + input] = stored[input * outputs + output] }
        }
        return try backend.matrix(
            UnsafePointer(weight.start), bias: try bias.map { try self($0) }, inputs: inputs, outputs: outputs)
    }

    /// A copy of a tensor of `count` values.
    func weights(_ name: String, count: Int) throws -> RowWeights {
        let copy = try RowWeights(count)
        copy.start.update(from: try self(name), count: count)
        return copy
    }
}

/// Rows of a stretch by what is computed of them: tokens by the mixer; padding that counts is mixed with nothing, for no
/// mixer but Monte Carlo Attention sees padding; other padding is zero.
struct StreamRows {
    let computed: ComputedRows
    let norm: any Norm

    /// s of `rows`, of which `mix` makes the first `count`.
    func mix(
        _ rows: Range<Int>, x: Rows, on lane: any Lane, into s: Rows, _ mix: (_ count: Int) throws -> Void
    ) rethrows {
        let tokens = computed.tokens(from: rows.lowerBound, count: rows.count)
        let count = computed.rows(from: rows.lowerBound, count: rows.count)
        if tokens > 0 { try mix(tokens) }
        if tokens < count { lane.normalise(x[tokens..<count], norm, into: s[tokens..<count]) }
        if count < rows.count { lane.zero(s[count..<rows.count]) }
    }
}

extension RotaryEncoding {
    /// - Parameter headSize: dh.
    func tables(headSize: Int) throws -> RotationTables {
        let pairs = headSize / 2
        return try RotationTables(
            headSize: headSize,
            frequencies: (0..<pairs).map { pair in
                switch spacing {
                case .standard: pow(theta, -2 * Double(pair) / Double(headSize))
                case .inclusive: pow(theta, -Double(pair) / Double(pairs - 1))
                }
            }, isInterleaved: layout == .interleaved)
    }
}
