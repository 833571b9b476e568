import Geometry
import ProtonModel

/// Which tokens of the input can influence one token of the output: the wiring of delegates, patches and convolutions
/// followed backwards, layer by layer, exactly, as sparse sets of tokens.
package enum MeasuredReach {
    /// What one depth came to.
    package struct Depth: Sendable, Equatable {
        /// Layers between input and output.
        package var layers: Int
        /// Tokens of the input (padding is none) that can influence the output, the token itself included; at least so
        /// many where it is not exact.
        package var tokens: Int
        /// False where the set grew too large to be followed.
        package var isExact: Bool
        /// Every token is seen that causality and the sequence's length allow.
        package var isAll = false
        /// Patches that show their rows in the first layer, and how many of their 2P rows each are hidden there because
        /// their tokens come after all that look.
        package var visited = 0
        package var hidden = 0
        /// Rows of padding among those seen.
        package var padding = 0

        /// Where it is not exact: a number, of two digits and zeros, that the reach is certainly above.
        package var moreThan: Int {
            var unit = 1
            while (tokens - 1) / unit >= 100 { unit *= 10 }
            return (tokens - 1) / unit * unit
        }
    }

    /// Follows the output of token `token` after 1 ... `layers` layers. Reach never shrinks with depth.
    ///
    /// - Parameters:
    ///   - config: P, mixers, convolutions, causality and delegation count; selective delegation, which depends on the
    ///     data, gives nothing.
    ///   - isMasked: false to see what a causal model would reach if its patches had no masks.
    package static func follow(
        _ config: ModelConfig, _ geometry: SequenceGeometry, token: Int, layers: Int, isMasked: Bool = true
    ) throws -> [Depth] {
        var limits = ReachFollower.Limits()
        // A cause is worth less time than the reach itself.
        if config.isCausal && !isMasked { limits.work /= 3 }
        return try follow(config, geometry, token: token, layers: layers, isMasked: isMasked, limits: limits) { _ in }
    }

    /// The tokens themselves, of a short sequence.
    package static func tokens(_ config: ModelConfig, _ geometry: SequenceGeometry, token: Int, layers: Int) throws
        -> [Set<Int>]
    {
        var reached: [Set<Int>] = []
        _ = try follow(config, geometry, token: token, layers: layers, isMasked: true, limits: ReachFollower.Limits()) {
            reached.append($0.tokens(below: geometry.tokens))
        }
        return reached
    }

    /// - Parameter visit: called with the set of every depth, the last as far as it is known.
    static func follow(
        _ config: ModelConfig, _ geometry: SequenceGeometry, token: Int, layers: Int, isMasked: Bool,
        limits: ReachFollower.Limits, visit: (PatchSet) -> Void
    ) throws -> [Depth] {
        guard config.delegation != .selective || !config.hasDelegates, geometry.patchSize == config.patchSize,
            (0..<geometry.tokens).contains(token)
        else { return [] }
        var follower = ReachFollower(
            config: config, geometry: geometry, token: token, isMasked: isMasked && config.isCausal, limits: limits)
        var depths: [Depth] = []
        // One wiring for every layer: the set of depth d is the set of depth d - 1, followed through one more layer.
        var isAlike = config.mixers.allSatisfy { $0 == config.mixers[0] }
        if case .monteCarlo = config.delegation { isAlike = isAlike && geometry.patchSize == 1 }
        var set = follower.output
        while depths.count < layers {
            let depth = depths.count + 1
            var found = Depth(layers: depth, tokens: depths.last?.tokens ?? 1, isExact: true)
            var isUnchanged = false
            if isAlike {
                let before = set.count(below: geometry.paddedTokens)
                isUnchanged =
                    try follower.follow(&set, through: 1, &found) && set.count(below: geometry.paddedTokens) == before
            } else {
                set = follower.output
                for layer in (1...depth).reversed()
                where try !follower.follow(&set, through: layer, &found) || found.isAll { break }
            }
            // Reach never shrinks, so that much is sure where a chain was broken off.
            found.tokens = max(found.tokens, depths.last?.tokens ?? 1)
            depths.append(found)
            visit(set)
            // Deeper, nothing is added, or nothing more is known.
            if found.isAll || !found.isExact || isUnchanged {
                depths += (depth..<layers).map { deeper in
                    var same = found
                    same.layers = deeper + 1
                    visit(set)
                    return same
                }
            }
        }
        return depths
    }
}
