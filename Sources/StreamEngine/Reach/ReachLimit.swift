import Geometry
import ProtonModel
import Support

/// Why the measured reach is less than the formula's number.
package enum ReachLimit: Sendable, Equatable {
    /// Too large a set to follow: it may be as much.
    case notFollowed
    /// Every token that exists is seen.
    case allTokens
    /// Every token that causality lets this one see is seen.
    case allUpToToken
    /// The formula's number is more than there are tokens.
    case length
    /// The formula's number is more than there are tokens up to this one.
    case tokensUpToToken
    /// Without its masks it would be at least the formula's number: this many tokens, or more than these.
    case masks(tokens: Int, isExact: Bool)
    /// The visited patches have fewer rows than the formula counts.
    case fewPatches(Int)
    /// The visited patches would have enough rows, but so many come after all that look.
    case hiddenRows(Int, patches: Int)
    /// Enough rows are seen, some of which are padding.
    case padding(Int)
    /// Enough rows are seen, but some show the same token.
    case repeated(patches: Int)
    /// Layers of several kinds leave rows out, or show the same ones.
    case overlaps

    /// The causes of a measurement, one a depth; nil where it is not less than the formula's number.
    ///
    /// - Parameter formula: `EffectiveContext` of the same depths; nil where it has no bound.
    package static func causes(
        _ depths: [MeasuredReach.Depth], formula: [ExactCount?], _ config: ModelConfig, _ geometry: SequenceGeometry,
        token: Int
    ) throws -> [ReachLimit?] {
        let isLast = !config.isCausal || token == geometry.tokens - 1
        let available = config.isCausal ? token + 1 : geometry.tokens
        func isMore(_ index: Int, than count: Int) -> Bool { formula[index]?.isMore(than: count) ?? true }
        func isLess(_ index: Int) -> Bool { isMore(index, than: depths[index].tokens) }
        let rows = depths.indices.filter { $0 < formula.count }
        // What masks take away shows where they are left out.
        let puzzling = rows.filter {
            depths[$0].isExact && isLess($0) && !depths[$0].isAll && !isMore($0, than: available)
        }
        let unmasked =
            try config.isCausal && !puzzling.isEmpty && !config.hasOtherMixers
            ? MeasuredReach.follow(config, geometry, token: token, layers: (puzzling.last ?? 0) + 1, isMasked: false)
            : []
        return rows.map { index in
            let depth = depths[index]
            if !depth.isExact { return .notFollowed }
            if !isLess(index) { return nil }
            if depth.isAll { return isLast ? .allTokens : .allUpToToken }
            if isMore(index, than: available) { return isLast ? .length : .tokensUpToToken }
            if config.hasOtherMixers { return .overlaps }
            if index < unmasked.count, !isMore(index, than: unmasked[index].tokens) {
                let free = unmasked[index]
                return .masks(tokens: free.isExact ? free.tokens : free.moreThan, isExact: free.isExact)
            }
            let shown = depth.visited * 2 * geometry.patchSize
            if isMore(index, than: shown) { return .fewPatches(depth.visited) }
            if isMore(index, than: shown - depth.hidden) {
                return .hiddenRows(depth.hidden, patches: depth.visited)
            }
            return isMore(index, than: depth.tokens + depth.padding)
                ? .repeated(patches: depth.visited) : .padding(depth.padding)
        }
    }
}
