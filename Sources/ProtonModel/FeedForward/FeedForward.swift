import Compute
import Geometry
import Support

/// What follows the mixer in every layer (Model.md, step 9): x' = s + cov4(act(c)), c the convolution of s over time, or
/// the stack of them.
///
/// It takes whole tiles, as many at a time as make it worth while to read the convolution's weights. Their number does
/// not change a result.
package final class FeedForward: Sendable {
    let shape: FeedForwardShape
    private let convolutions: [any ConvolutionWeights]
    /// Back to D channels; nil after a stack that ends with them.
    private let back: (any Matrix)?

    init(_ tensor: TensorReader, _ shape: FeedForwardShape, on backend: any Backend, parallel: Parallel) throws {
        self.shape = shape
        let config = shape.config
        convolutions = try shape.stack.convolutions.enumerated().map { index, convolution in
            let name = TensorLayout.convolution(index, config)
            return try backend.convolution(
                convolution, weight: try tensor("\(name).weight"), bias: try tensor("\(name).bias"), parallel: parallel)
        }
        back =
            try config.hasProjectionBack
            ? backend.matrix(
                try tensor("cov4.weight"), bias: try tensor("cov4.bias"), inputs: config.innerSize,
                outputs: config.hiddenSize) : nil
    }

    /// New states of up to `tilesAtOnce` tiles; zero where padding is not computed.
    ///
    /// - Parameters:
    ///   - s: [before + rows + after, D]: the rows that the tiles' rows see (`ModelConfig.reach`); zero outside 0..<N.
    ///   - first: token index of the first tile's first row.
    ///   - output: [rows, D].
    package func run(_ s: Rows, first: Int, with room: FeedForwardRoom, on lane: any Lane, into output: Rows) {
        let (rows, before) = (output.count, shape.config.reach.before)
        let computed = shape.computed.rows(from: first, count: rows)
        if computed < rows { lane.zero(output[computed..<rows]) }
        if computed == 0 { return }
        let own = s[before..<before + computed]
        let inner = back == nil ? output[0..<computed] : room.convolved[0..<computed]
        shape.stack.run(
            s, first: first, length: shape.computed.geometry.paddedTokens, weights: convolutions, between: room.between,
            on: lane, into: inner)
        if let back {
            lane.product(inner, back, adding: own, activation: nil, into: output[0..<computed])
        } else {
            lane.add(own, to: output[0..<computed])
        }
    }
}

/// The sizes of a feed-forward: what its weights, its room and its lane take.
package struct FeedForwardShape: Sendable {
    let config: ModelConfig
    let computed: ComputedRows
    let stack: ConvolutionStack
    /// Rows of a tile.
    package let tileRows: Int
    /// Tiles that go through at a time, at most.
    package let tilesAtOnce: Int
    /// How its convolutions are computed.
    package let way: ConvolutionWay

    package init(_ config: ModelConfig, geometry: SequenceGeometry, way: ConvolutionWay) throws {
        self.config = config
        self.way = way
        computed = ComputedRows(config, geometry)
        tileRows = Tiling(patchSize: geometry.patchSize).rows
        stack = try ConvolutionStack(config, tileRows: tileRows, way: way)
        tilesAtOnce = Self.tilesAtOnce(config, tileRows: tileRows, repeatedRows: stack.repeatedRows)
    }

    /// - Parameter repeatedRows: computed again for every piece.
    package static func tilesAtOnce(_ config: ModelConfig, tileRows: Int, repeatedRows: Int) -> Int {
        max(
            1, max(Convolution.rowsAtOnce(inputs: config.hiddenSize), min(4 * repeatedRows, 1 << 16)) / tileRows)
    }

    package var needs: LaneNeeds {
        var needs = stack.needs(tiles: tilesAtOnce)
        needs.inputs = max(config.hiddenSize, config.innerSize)
        return needs
    }

    /// Bytes of the weights, and of what preparing them takes meanwhile.
    package func weightBytes(on backend: any Backend) -> Int {
        stack.weightBytes + stack.preparationBytes
            + (config.hasProjectionBack
                ? backend.matrixFootprint(inputs: config.innerSize, outputs: config.hiddenSize) : 0)
    }
}

/// A worker's rows for a feed-forward.
package final class FeedForwardRoom {
    let convolved: Rows
    let between: [Rows]
    /// [tiles, D] the new states of as many tiles as go through at a time.
    package let output: Rows

    package init(_ shape: FeedForwardShape, on backend: any Backend) throws {
        let rows = shape.tilesAtOnce * shape.tileRows
        convolved = try backend.rows(
            shape.config.hasProjectionBack ? rows : 0, width: shape.config.innerSize)
        between = try shape.stack.between(rows: rows).map { try backend.rows($0, width: 1) }
        output = try backend.rows(rows, width: shape.config.hiddenSize)
    }

    package static func footprint(_ shape: FeedForwardShape) -> Int {
        let rows = shape.tilesAtOnce * shape.tileRows
        return 4
            * ((shape.config.hasProjectionBack ? rows * shape.config.innerSize : 0)
                + shape.stack.between(rows: rows).reduce(0, +) + rows * shape.config.hiddenSize)
    }
}

/// Which rows are computed: all but padding, and padding too where its states reach those of tokens.
package struct ComputedRows: Sendable {
    package let geometry: SequenceGeometry
    /// Whether they do: where rows see what comes after them, and where the order of a patch's delegates hangs on all
    /// of its rows.
    package let hasPadding: Bool

    package init(_ config: ModelConfig, _ geometry: SequenceGeometry) {
        self.geometry = geometry
        hasPadding = !config.isCausal || config.delegation == .selective
    }

    /// How many of `count` rows from token `first` on are computed.
    package func rows(from first: Int, count: Int) -> Int {
        hasPadding ? count : tokens(from: first, count: count)
    }

    /// How many of `count` rows from token `first` on are of tokens.
    package func tokens(from first: Int, count: Int) -> Int { max(0, min(count, geometry.tokens - first)) }
}
