import Compute
import Geometry
import Support

/// The arithmetic of a model.
package enum ModelArithmetic {
    /// Counts changes of the arithmetic that change bits of a result: raise it with each of them. A run goes on only
    /// under the revision that began it.
    package static let revision = 2
}

/// One layer, ready for use: u = LayerNorm(x), y = mixer(u), s = LayerNorm(x + y), x' = s + feed-forward(s).
///
/// Every row's result depends on that row's inputs alone; in a convolution by transforms, to its last bits (and where
/// states are not finite), on the other rows of its block, which is anchored in its tile.
package final class Layer: Sendable {
    package let mixer: any Mixer
    package let feedForward: FeedForward

    /// - Parameters:
    ///   - block: of the model, from 0.
    ///   - parallel: runs its body for 0..<count, as many at once as it likes.
    package init(
        _ model: Model, block: Int, feedForward shape: FeedForwardShape, geometry: SequenceGeometry,
        on backend: any Backend,
        parallel: Parallel = { count, body in for task in 0..<count { body(task) } }
    ) throws {
        let tensor = TensorReader(model, prefix: "blocks.\(block).")
        defer { withExtendedLifetime(tensor) {} }
        mixer =
            if let streaming = model.config.streaming(block: block) {
                try streaming.mixer(tensor, model.config, geometry: geometry, on: backend)
            } else if let gathering = model.config.gathering(block: block) {
                try gathering.gatheringMixer(tensor, model.config, geometry: geometry, on: backend)
            } else {
                throw Fault(
                    .badData, "the engine has no mixer of kind '\(model.config.mixers[block].kind)'",
                    at: Place(file: "\(model.directory)/config.json", field: "mixers.\(block).kind"))
            }
        feedForward = try FeedForward(tensor, shape, on: backend, parallel: parallel)
    }
}

/// What a model's parts take, each by its owner's account, on one back end and for one sequence.
package struct ModelSizes: Sendable {
    package let config: ModelConfig
    package let geometry: SequenceGeometry
    package let feedForward: FeedForwardShape
    package let backend: any Backend

    /// - Parameter way: how convolutions are computed.
    package init(_ config: ModelConfig, geometry: SequenceGeometry, way: ConvolutionWay, on backend: any Backend) throws
    {
        self.config = config
        self.geometry = geometry
        self.backend = backend
        feedForward = try FeedForwardShape(config, geometry: geometry, way: way)
    }

    private var P: Int { geometry.patchSize }

    // MARK: Workers

    /// What a lane is asked for by any layer, the ordering of delegates and the head.
    var laneNeeds: LaneNeeds {
        var needs = feedForward.needs
        needs.add(Head.needs(config))
        needs.add(DelegateScore.needs(config))
        for block in 0..<config.layers {
            if let mixer = config.streaming(block: block) {
                needs.add(mixer.needs(config, tileRows: feedForward.tileRows))
            } else if let mixer = config.gathering(block: block) {
                needs.add(mixer.gatheringNeeds(config))
            }
        }
        return needs
    }

    /// A worker's lane and rooms.
    package func tools() throws -> LaneTools {
        var rooms: [AnyObject] = [
            try FeedForwardRoom(feedForward, on: backend),
            try OrderingRoom(config, geometry: geometry, on: backend),
        ]
        if config.hasDelegates { rooms.append(try DelegateRoom(config, geometry: geometry, on: backend)) }
        let windows = config.gatheringWindows
        if !windows.isEmpty { rooms.append(try WindowRoom(windows, config, geometry: geometry, on: backend)) }
        if config.hasStreaming { rooms.append(try StreamRoom(config, geometry: geometry)) }
        return LaneTools(try backend.lane(laneNeeds), rooms: rooms)
    }

    /// Bytes of a worker's lane and rooms.
    package var toolBytes: Int {
        backend.footprint(laneNeeds) + FeedForwardRoom.footprint(feedForward)
            + OrderingRoom.footprint(config, patchSize: P)
            + (config.hasDelegates ? DelegateRoom.footprint(config, patchSize: P) : 0)
            + (config.gatheringWindows.isEmpty
                ? 0 : WindowRoom.footprint(config.gatheringWindows, config, patchSize: P))
            + (config.hasStreaming ? StreamRoom.footprint(patchSize: P) : 0)
    }

    /// Rows of new states that a worker makes at a time.
    package var outputRows: Int { feedForward.tilesAtOnce * feedForward.tileRows }

    // MARK: Layers

    /// Bytes of a layer's weights, and of what preparing them takes meanwhile.
    package func weightBytes(ofLayer layer: Int) -> Int {
        let block = config.block(ofLayer: layer).index
        if let mixer = config.streaming(block: block) {
            return feedForward.weightBytes(on: backend) + mixer.weightBytes(config, on: backend)
        }
        return feedForward.weightBytes(on: backend)
            + (config.gathering(block: block)?.gatheringWeightBytes(config, on: backend) ?? 0)
    }

    /// Bytes of what a layer carries on: rows of s, and what its mixer carries.
    package func carryBytes(ofLayer layer: Int) -> Int {
        let rows = config.reach.before * config.hiddenSize * 4
        return rows + (config.streaming(block: config.block(ofLayer: layer).index)?.carryBytes ?? 0)
    }

    /// Bytes of a streaming layer's mixer at work.
    package func streamBytes(ofLayer layer: Int, _ shape: StreamShape) -> Int {
        config.streaming(block: config.block(ofLayer: layer).index)?.streamBytes(shape) ?? 0
    }

    /// Bytes of what a window of `rows` rows gathers.
    package func answerBytes(rows: Int, isOnce: Bool) -> Int {
        (0..<config.layers).compactMap { config.gathering(block: $0)?.answerBytes(config, rows: rows, isOnce: isOnce) }
            .max() ?? 0
    }
}

/// A worker's room for the input rows of a pass that begins with a streaming layer.
package final class StreamRoom {
    package let loader: PatchLoader

    init(_ config: ModelConfig, geometry: SequenceGeometry) throws {
        loader = try PatchLoader(
            ComputedRows(config, geometry), rows: Tiling(patchSize: geometry.patchSize).rows)
    }

    static func footprint(patchSize P: Int) -> Int { PatchLoader.footprint(rows: Tiling(patchSize: P).rows) }
}
