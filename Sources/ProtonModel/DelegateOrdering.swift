import Geometry
import Support

/// What decides the delegate order of the states that a pass reads, where it is not the tokens' own: which token of a
/// patch goes to which column (Model.md, "The wider family").
///
/// It is applied when the states are written, by the pass before, so that what is read together lies together.
public enum DelegateOrdering {
    case drawn(DelegateDraw)
    case scored(DelegateScore)

    /// The order of the states that pass `pass` reads, from 1; nil for natural order.
    public init?(_ model: Model, readBy pass: Int, kernels: KernelTable) throws {
        let config = model.config
        guard pass <= config.passes else { return nil }
        let (layer, `repeat`) = config.block(ofPass: pass)
        switch config.delegation {
        case .transpose: return nil
        case .monteCarlo(let seed): self = .drawn(DelegateDraw(seed: seed, layer: layer, repeat: `repeat`))
        case .selective: self = .scored(try DelegateScore(model, layer: layer, kernels: kernels))
        }
    }
}

extension Model {
    /// A name for what orders the states that pass `pass` reads; nil for natural order.
    public func orderName(readBy pass: Int) -> String? {
        guard pass <= config.passes else { return nil }
        switch config.delegation {
        case .transpose: return nil
        case .monteCarlo(let seed): return "\(config.delegation.mode), seed \(seed)"
        case .selective: return "\(config.delegation.mode), model \(fingerprint)"
        }
    }

    /// The name of the tokens' order for the first pass: the same name, the same order. Scores depend on how they are
    /// rounded.
    public func tokenOrderName(kernels: KernelTable) -> String? {
        guard let name = orderName(readBy: 1) else { return nil }
        guard config.delegation == .selective else { return name }
        return
            "\(name), scored in \(Kernels.compute(of: kernels).rawValue)\(Kernels.isPlain(kernels) ? " by plain kernels" : "")"
    }

    /// Whether an order of that name is what orders the states that pass `pass` reads, however they were rounded.
    public func reads(order: String?, inPass pass: Int) -> Bool {
        guard let name = orderName(readBy: pass), let order else {
            return order == nil && orderName(readBy: pass) == nil
        }
        return order == name || order.hasPrefix(name + ",")
    }
}

/// A learned score of every token: `select.weight`·u + `select.bias`, u = LayerNorm(x; pre_norm).
public final class DelegateScore {
    let norm: Norm
    let select: PreparedMatrix

    init(_ model: Model, layer: Int, kernels: KernelTable) throws {
        let tensor = TensorReader(model, prefix: "blocks.\(layer).")
        defer { withExtendedLifetime(tensor) {} }
        norm = try Norm(model, "blocks.\(layer).pre_norm.norm")
        select = try PreparedMatrix(
            try tensor("select.weight"), bias: try tensor("select.bias"), inputs: model.config.hiddenSize, outputs: 1,
            kernels: kernels)
    }
}

extension TileArithmetic {
    /// Says which token of each of `patches` goes to which column in the first pass.
    ///
    /// - Parameters:
    ///   - ids: [patches·P] of the patches' tokens.
    ///   - order: [patches·P].
    public func order(
        _ patches: Range<Int>, ids: UnsafePointer<UInt16>, embedding: Embedding, by ordering: DelegateOrdering,
        into order: UnsafeMutablePointer<UInt16>
    ) {
        let P = geometry.patchSize
        if case .drawn = ordering { return self.order(patches, states: local.start, by: ordering, into: order) }
        inGroups(of: groupPatches, patches.count) { first, count in
            let group = patches.lowerBound + first..<patches.lowerBound + first + count
            for row in 0..<count * P { positions[row] = Int64(group.lowerBound * P + row) }
            InputRows.tokens(embedding).expand(
                ids + first * P, rows: count * P, positions: positions.start, into: local.start,
                stride: config.hiddenSize, with: self)
            self.order(group, states: local.start, by: ordering, into: order + first * P)
        }
    }

    /// Says which token of each of `patches` goes to which column.
    ///
    /// - Parameters:
    ///   - states: [patches·P, D] of the patches, in natural order.
    ///   - order: [patches·P].
    public func order(
        _ patches: Range<Int>, states: UnsafePointer<Float>, by ordering: DelegateOrdering,
        into order: UnsafeMutablePointer<UInt16>
    ) {
        let (P, D) = (geometry.patchSize, config.hiddenSize)
        let keys = UnsafeMutableBufferPointer(start: orderKeys.start, count: P)
        for (place, patch) in patches.enumerated() {
            switch ordering {
            case .drawn(let draw):
                draw.order(ofPatch: patch, keys: keys, into: order + place * P)
            case .scored(let score):
                inGroups(of: Self.rowsAtOnce, P) { first, rows in
                    layerNorm(states + (place * P + first) * D, rows: rows, score.norm, into: normalised.start)
                    score.select.multiply(
                        normalised.start, rows: rows, into: scores.start, kernels: kernels, scratch: halves)
                    for row in 0..<rows {
                        keys[first + row] = DelegateOrder.key(score: scores[row], index: first + row)
                    }
                }
                DelegateOrder.sort(keys, into: order + place * P)
            }
        }
    }
}
