import Compute
import Geometry
import Support

/// What decides the delegate order of the states that a layer reads, where it is not the tokens' own: which token of a
/// patch goes to which column (Model.md, "The wider family").
///
/// It is applied when the states are written, by the pass before, so that what is read together lies together.
package enum DelegateOrdering {
    case drawn(DelegateDraw)
    case scored(DelegateScore)

    /// The order of the states that layer `layer` reads, from 1; nil for natural order.
    package init?(_ model: Model, readBy layer: Int, on backend: any Backend) throws {
        let config = model.config
        guard config.isDelegating(layer) else { return nil }
        let (block, `repeat`) = config.block(ofLayer: layer)
        switch config.delegation {
        case .transpose: return nil
        case .monteCarlo(let seed): self = .drawn(DelegateDraw(seed: seed, block: block, repeat: `repeat`))
        case .selective: self = .scored(try DelegateScore(model, block: block, on: backend))
        }
    }
}

extension Model {
    /// A name for what orders the states that layer `layer` reads; nil for natural order.
    package func orderName(readBy layer: Int) -> String? {
        guard config.isDelegating(layer) else { return nil }
        switch config.delegation {
        case .transpose: return nil
        case .monteCarlo(let seed): return "\(config.delegation.mode), seed \(seed)"
        case .selective: return "\(config.delegation.mode), model \(fingerprint)"
        }
    }

    /// The name of the tokens' order for the first layer: the same name, the same order. Scores depend on how they are
    /// rounded.
    package func tokenOrderName(kernels: KernelTable) -> String? {
        guard let name = orderName(readBy: 1) else { return nil }
        guard config.delegation == .selective else { return name }
        return
            "\(name), scored in \(Kernels.compute(of: kernels).rawValue)\(Kernels.isPlain(kernels) ? " by plain kernels" : "")"
    }

    /// Whether an order of that name is what orders the states that layer `layer` reads, however they were rounded.
    package func reads(order: String?, inLayer layer: Int) -> Bool {
        guard let name = orderName(readBy: layer), let order else {
            return order == nil && orderName(readBy: layer) == nil
        }
        return order == name || order.hasPrefix(name + ",")
    }
}

/// A learned score of every token: `select.weight`·u + `select.bias`, u = LayerNorm(x; pre_norm).
package final class DelegateScore: Sendable {
    fileprivate let norm: any Norm
    fileprivate let select: any Matrix

    init(_ model: Model, block: Int, on backend: any Backend) throws {
        let tensor = TensorReader(model, prefix: "blocks.\(block).")
        defer { withExtendedLifetime(tensor) {} }
        norm = try tensor.norm("pre_norm.norm", config: model.config, on: backend)
        select = try backend.matrix(
            try tensor("select.weight"), bias: try tensor("select.bias"), inputs: model.config.hiddenSize, outputs: 1)
    }

    static func needs(_ config: ModelConfig) -> LaneNeeds {
        var needs = LaneNeeds()
        (needs.width, needs.inputs) = (config.hiddenSize, config.hiddenSize)
        return needs
    }

    static func footprint(_ config: ModelConfig, on backend: any Backend) -> Int {
        backend.matrixFootprint(inputs: config.hiddenSize, outputs: 1) + 8 * config.hiddenSize
    }
}

/// A worker's room for ordering patches.
package final class OrderingRoom {
    private let computed: ComputedRows
    /// Rows that are scored at a time: of one patch or of a piece of it.
    private let rows: Int
    private let states: Rows
    private let scores: Rows
    /// [P] on the host: the scores of a patch's tokens, and the keys that they are sorted by.
    private let values: Memory<Float>
    private let keys: Memory<UInt64>
    private let positions: Memory<Int64>

    static let rowsAtOnce = 96

    package init(_ config: ModelConfig, geometry: SequenceGeometry, on backend: any Backend) throws {
        let P = geometry.patchSize
        computed = ComputedRows(config, geometry)
        rows = min(P, Self.rowsAtOnce)
        let isScored = config.delegation == .selective
        states = try backend.rows(isScored ? rows : 0, width: config.hiddenSize)
        scores = try backend.rows(isScored ? rows : 0, width: 1)
        values = try Memory(isScored ? P : 0)
        positions = try Memory(isScored ? rows : 0)
        keys = try Memory(config.delegation == .transpose ? 0 : P)
    }

    package static func footprint(_ config: ModelConfig, patchSize P: Int) -> Int {
        let rows = min(P, rowsAtOnce)
        switch config.delegation {
        case .transpose: return 0
        case .monteCarlo: return 8 * P
        case .selective: return 4 * rows * (config.hiddenSize + 1) + 12 * P + 8 * rows
        }
    }

    /// Says which token of each of `patches` goes to which column for the first layer.
    ///
    /// - Parameters:
    ///   - ids: [patches·P] of the patches' tokens.
    ///   - order: [patches·P].
    package func order(
        _ patches: Range<Int>, ids: UnsafePointer<UInt16>, embedding: Embedding, by ordering: DelegateOrdering,
        on lane: any Lane, into order: UnsafeMutablePointer<UInt16>
    ) throws {
        try self.order(patches, by: ordering, on: lane, into: order) { first, count in
            let row = first - patches.lowerBound * self.computed.geometry.patchSize
            for place in 0..<count { self.positions[place] = Int64(first + place) }
            let states = self.states[0..<count]
            lane.embed(ids + row, positions: self.positions.start, with: embedding.table, into: states)
            return states
        }
    }

    /// Says which token of each of `patches` goes to which column.
    ///
    /// - Parameters:
    ///   - states: [patches·P, D] of the patches, in natural order.
    ///   - order: [patches·P].
    package func order(
        _ patches: Range<Int>, states: Rows, by ordering: DelegateOrdering, on lane: any Lane,
        into order: UnsafeMutablePointer<UInt16>
    ) throws {
        try self.order(patches, by: ordering, on: lane, into: order) { first, count in
            let row = first - patches.lowerBound * self.computed.geometry.patchSize
            return states[row..<row + count]
        }
    }

    /// - Parameter states: gives rows of tokens, by the first one and their number, where they are scored.
    private func order(
        _ patches: Range<Int>, by ordering: DelegateOrdering, on lane: any Lane,
        into order: UnsafeMutablePointer<UInt16>, states: (_ first: Int, _ count: Int) -> Rows
    ) throws {
        let P = computed.geometry.patchSize
        for (place, patch) in patches.enumerated() {
            switch ordering {
            case .drawn(let draw):
                draw.order(ofPatch: patch, keys: keys.values, into: order + place * P)
            case .scored(let score):
                for first in stride(from: 0, to: P, by: rows) {
                    let count = min(rows, P - first)
                    lane.project(
                        states(patch * P + first, count), score.norm,
                        [(matrix: score.select, into: scores[0..<count])])
                    lane.download(scores[0..<count], to: values.start + first)
                }
                try lane.finish()
                for index in 0..<P { keys[index] = DelegateOrder.key(score: values[index], index: index) }
                DelegateOrder.sort(keys.values, into: order + place * P)
            }
        }
    }
}
