import Geometry
import Compute

/// Which token of a patch plays which index in the delegate transpose: its column (Model.md, "The wider family").
public enum Delegation: Sendable, Equatable {
    /// Every token its own.
    case transpose
    /// A random order for every patch of every pass.
    case monteCarlo(seed: UInt64)
    /// By a learned score, highest first.
    case selective

    /// As config.json and the command line call them.
    package static let modes = ["transpose", "monte-carlo", "selective"]

    /// As config.json calls it.
    public var mode: String {
        switch self {
        case .transpose: Self.modes[0]
        case .monteCarlo: Self.modes[1]
        case .selective: Self.modes[2]
        }
    }

    package init?(mode: String, seed: UInt64) {
        switch mode {
        case Self.modes[0]: self = .transpose
        case Self.modes[1]: self = .monteCarlo(seed: seed)
        case Self.modes[2]: self = .selective
        default: return nil
        }
    }
}

/// What is added to tokens' vectors for their positions.
public enum PositionalEncoding: String, Sendable, CaseIterable {
    /// A convolution over eight coordinates of the token.
    case coordConv = "coord_conv"
    /// Nothing: the convolutions learn position.
    case none
}

extension ModelConfig {
    /// Step 9's convolutions, one after another: the published one, or the stack of `tcn`.
    public var convolutions: [ConvolutionShape] {
        stack ?? [ConvolutionShape(kernelSize: kernelSize, channels: intermediateSize)]
    }

    /// Channels after the last convolution.
    public var innerSize: Int { convolutions.last?.channels ?? hiddenSize }

    /// Whether a 1×1 convolution brings the inner channels back to D: a stack that ends with D channels has none.
    package var hasProjectionBack: Bool { stack == nil || innerSize != hiddenSize }

    /// Rows of s before and after a row that its new state depends on.
    package var reach: (before: Int, after: Int) {
        convolutions.reduce((0, 0)) { sum, convolution in
            let reach = convolution.reach(isCausal: isCausal)
            return (sum.0 + reach.before, sum.1 + reach.after)
        }
    }

    /// The number of layers that rows go through: every block as often as it is repeated. Layer l, from 1, makes
    /// generation l.
    public var depth: Int { layers * recurrence }

    /// The block of layer `layer`, and which of its repeats that is, both from 0.
    package func block(ofLayer layer: Int) -> (index: Int, repeat: Int) {
        ((layer - 1) / recurrence, (layer - 1) % recurrence)
    }

    /// Whether all rows that are multiplied have an even number of values: products of bf16 numbers take pairs.
    package var hasEvenWidths: Bool {
        hiddenSize % 2 == 0 && convolutions.allSatisfy { $0.channels % 2 == 0 }
            && mixers.allSatisfy { mixer in
                mixer.shape.factorWidths(width: hiddenSize).allSatisfy { $0 % 2 == 0 }
            }
    }

    /// Whether patches are ordered by a learned score in some layer.
    private var isSelective: Bool { delegation == .selective && mixers.contains(where: \.isMonteCarlo) }

    /// Why the surprisal of its tokens is not that of a predictor; nil where it is.
    public var surprisalCaveat: String? {
        if !isCausal { return "tokens see later ones, the predicted one too" }
        return isSelective ? "tokens see others of their patch, later ones too" : nil
    }

    /// How the outputs of one token depend on others, for people.
    public var causality: String {
        if !isCausal { return "none: a token's outputs depend on tokens before and after it" }
        if isSelective { return "to the patch: a patch's delegates are ordered by all its tokens" }
        return "to the token"
    }

    /// Whether the rows of layer `layer` need others from all over the sequence: it begins a pass.
    package func isGathering(_ layer: Int) -> Bool {
        (1...depth).contains(layer) && streaming(block: block(ofLayer: layer).index) == nil
    }

    /// Whether layer `layer` is one of Monte Carlo Attention, and whether any is: their rows have delegates.
    package func isDelegating(_ layer: Int) -> Bool {
        (1...depth).contains(layer) && mixers[block(ofLayer: layer).index].isMonteCarlo
    }
    package var hasDelegates: Bool { mixers.contains(where: \.isMonteCarlo) }
    /// Whether any layer is of another mixer.
    package var hasOtherMixers: Bool { !mixers.allSatisfy(\.isMonteCarlo) }

    /// What a pass that begins with layer `layer` reads.
    package func access(ofLayer layer: Int) -> any Access {
        gathering(block: block(ofLayer: layer).index)?.access(self) ?? OwnAccess()
    }

    /// Whether any layer does.
    package var hasGathering: Bool { (1...depth).contains(where: isGathering) }

    /// Whether some layer needs of earlier rows only what it carries along.
    package var hasStreaming: Bool { !(1...depth).allSatisfy(isGathering) }

    /// Whether all layers stream, and no row sees a later one: the sequence may grow, or have no end.
    package var isStreaming: Bool { !hasGathering && isCausal }

    /// Whether a layer asks for the model's input beside its own.
    package func isInputNeeded(byLayer layer: Int) -> Bool {
        (1...depth).contains(layer) && streaming(block: block(ofLayer: layer).index)?.isInputNeeded == true
    }

    /// The mixer of a block that streams; nil for one that gathers, as all do where rows see later ones.
    func streaming(block: Int) -> (any StreamingShape)? {
        isCausal ? mixers[block].shape as? any StreamingShape : nil
    }

    /// The mixer of a block that gathers; nil for one that streams.
    func gathering(block: Int) -> (any GatheringShape)? {
        streaming(block: block) == nil ? mixers[block].shape as? any GatheringShape : nil
    }

    /// Windows of blocks that gather.
    var gatheringWindows: [SlidingWindowShape] {
        (0..<layers).compactMap { gathering(block: $0) as? SlidingWindowShape }
    }
}
