import Compute
import Geometry
import Support

/// How convolutions over time are computed.
public enum ConvolutionWay: String, Sendable, CaseIterable {
    /// Sum by sum. A row's result depends on the rows that it sees and on no other, to the last bit.
    case direct
    /// Through Fourier transforms where a kernel is long enough for them. A row's last bits depend on up to a block of
    /// rows around it, later ones too.
    case fourier

    /// Operations of all a run's convolutions that are done directly where nobody asked for either way: about a second
    /// on two cores.
    static let operationsDoneDirectly = Double(1 << 38)

    /// The way that a run takes where nothing else is asked for. Depends on the model's shape and the sequence's length
    /// alone, as it makes a difference to the last bits; not on the length where all layers stream, for the sequence
    /// may grow.
    package static func preferred(_ config: ModelConfig, tokens: Int) -> ConvolutionWay {
        guard !config.isStreaming,
            ConvolutionStack.transformSize(config, tileRows: Tiling(patchSize: config.patchSize).rows) > 0
        else {
            return .direct
        }
        let operations =
            2 * Double(tokens) * Double(config.depth) * Double(config.convolutions[0].kernelSize)
            * Double(config.hiddenSize) * Double(config.innerSize)
        return operations <= operationsDoneDirectly ? .direct : .fourier
    }
}

/// Step 9's convolutions over time, one after another: the published one, or a stack.
///
/// A stack's first convolutions are computed for the rows that the later ones see beside the rows asked for: once more
/// for every piece of the sequence, so that nothing but s has to be kept from piece to piece. Rows outside 0..<N are
/// zero for every one of them.
package struct ConvolutionStack: Sendable {
    package let convolutions: [Convolution]
    private let reaches: [(before: Int, after: Int)]

    /// The size of the transform, 0 where there is none worth while: in stacks, whose rows are computed more than once.
    fileprivate static func transformSize(_ config: ModelConfig, tileRows: Int) -> Int {
        guard config.convolutions.count == 1 else { return 0 }
        return Convolution.cheapestSize(config.convolutions[0], inputs: config.hiddenSize, tileRows: tileRows)
    }

    package init(_ config: ModelConfig, tileRows: Int, way: ConvolutionWay) throws {
        let size = way == .direct ? 0 : Self.transformSize(config, tileRows: tileRows)
        var inputs = config.hiddenSize
        convolutions = try config.convolutions.map { shape in
            defer { inputs = shape.channels }
            return try Convolution(shape, inputs: inputs, activation: config.activation, tileRows: tileRows, size: size)
        }
        reaches = config.convolutions.map { $0.reach(isCausal: config.isCausal) }
    }

    /// Rows that the convolutions after number `index` see of its outputs, beside the rows asked for.
    private func seen(after index: Int) -> (before: Int, after: Int) {
        reaches[(index + 1)...].reduce((0, 0)) { ($0.0 + $1.before, $0.1 + $1.after) }
    }

    // MARK: Memory

    /// Values of the memories between convolutions, for `rows` rows asked for; two of them are used in turn.
    func between(rows: Int) -> [Int] {
        (0..<min(2, convolutions.count - 1)).map { turn in
            stride(from: turn, to: convolutions.count - 1, by: 2).map { index in
                let seen = seen(after: index)
                return (seen.before + rows + seen.after) * convolutions[index].outputs
            }.max() ?? 0
        }
    }

    /// What a lane needs for as many tiles at a time.
    func needs(tiles: Int) -> LaneNeeds {
        var needs = LaneNeeds()
        needs.convolutionValues = convolutions.map { $0.scratchValues(tiles: tiles) }.max() ?? 0
        needs.convolutionHalves = convolutions.map(\.halvesValues).max() ?? 0
        return needs
    }

    var weightBytes: Int { convolutions.map(\.weightBytes).reduce(0, +) }
    var preparationBytes: Int { convolutions.map(\.preparationBytes).max() ?? 0 }

    /// Rows that are computed at least twice for every piece: pieces are to be longer.
    var repeatedRows: Int { convolutions.count > 1 ? seen(after: 0).before + seen(after: 0).after : 0 }

    // MARK: Work

    /// - Parameters:
    ///   - s: from the first row that the first row asked for sees to the last that the last one sees.
    ///   - first: token index of the first row asked for; N is `length`.
    ///   - between: rows for what lies between convolutions.
    ///   - c: [rows, inner size].
    func run(
        _ s: Rows, first: Int, length: Int, weights: [any ConvolutionWeights], between: [Rows], on lane: any Lane,
        into c: Rows
    ) {
        var input = s
        let rows = c.count
        for (index, convolution) in convolutions.enumerated() {
            let seen = seen(after: index)
            let isLast = index == convolutions.count - 1
            let all = first - seen.before..<first + rows + seen.after
            let output = isLast ? c : between[index % 2].reshaped(all.count, width: convolution.outputs)
            let real = all.clamped(to: 0..<length)
            for outside in [all.lowerBound..<real.lowerBound, real.upperBound..<all.upperBound] where !outside.isEmpty {
                lane.zero(output[outside.lowerBound - all.lowerBound..<outside.upperBound - all.lowerBound])
            }
            let skipped = real.lowerBound - all.lowerBound
            let reach = (convolution.kernelSize - 1) * convolution.dilation
            lane.convolve(
                input[skipped..<skipped + real.count + reach], weights[index],
                into: output[skipped..<skipped + real.count])
            input = output
        }
    }
}
