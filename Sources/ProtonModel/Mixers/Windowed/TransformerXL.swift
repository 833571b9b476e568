import Compute
import Geometry
import Glibc
import Support

/// Causal attention of every row over its segment and a memory of rows before it (Model.md, "Mixers"; Dai et al.,
/// "Transformer-XL", 2019): scores are (q + U)·k + (q + V)·r, with a key r of each distance.
///
/// What the memory holds of earlier segments are the layer's own earlier inputs: layer by layer, all this is a window
/// whose first row goes on by segments. Carried: keys and values of as many rows as one sees. The soft-max is folded as
/// a sliding window's is (`SlidingWindow`).
final class TransformerXL: RingMixer {
    let shape: TransformerXLShape
    let computed: ComputedRows
    let norms: LayerNorms
    /// Its bias is U.
    let query: any Matrix
    let key: any Matrix
    let value: any Matrix
    let output: any Matrix
    let rotation: RotationTables? = nil
    /// With the queries as they are, q + U: (q + U)·r + (V - U)·r.
    let distances: DistanceTable

    let access: any Access = OwnAccess()

    init(
        _ shape: TransformerXLShape, _ tensor: TensorReader, _ config: ModelConfig, geometry: SequenceGeometry,
        on backend: any Backend
    ) throws {
        self.shape = shape
        computed = ComputedRows(config, geometry)
        norms = try LayerNorms(tensor, config, on: backend)
        let (D, inner) = (config.hiddenSize, shape.width)
        let content = try tensor("mixer.u_bias"), position = try tensor("mixer.v_bias")
        query = try backend.matrix(try tensor("mixer.q_proj.weight"), bias: content, inputs: D, outputs: inner)
        key = try backend.matrix(try tensor("mixer.k_proj.weight"), bias: nil, inputs: D, outputs: inner)
        value = try backend.matrix(try tensor("mixer.v_proj.weight"), bias: nil, inputs: D, outputs: inner)
        output = try backend.matrix(try tensor("mixer.o_proj.weight"), bias: nil, inputs: inner, outputs: D)
        // No row is further away from another than the sequence is long.
        distances = try shape.distances(
            min(shape.reach + 1, max(1, geometry.paddedTokens)), of: try tensor("mixer.r_proj.weight"), width: D
        ) { Double(position[$0]) - Double(content[$0]) }
    }

    func stream(_ shape: StreamShape, on backend: any Backend) throws -> any MixerStream {
        try RingStream(self, self.shape.ring, shape, on: backend)
    }

    /// One context, that begins whole folds of the soft-max before the tile.
    func attend(
        _ tile: Range<Int>, ofStretch stretch: Int, in stream: RingStream, _ plan: AttentionPlan, _ lane: any Lane
    ) {
        let before = shape.ring.rowsBefore, begin = tile.lowerBound - before
        plan.clear()
        plan.beginContext(distance: before)
        for row in begin..<tile.upperBound {
            // What is not there, or no more, is seen by nobody.
            plan.add(row: row >= max(0, tile.lowerBound - shape.reach) ? stream.ring.place(row) : 0)
        }
        for row in tile {
            plan.add(
                query: row - stretch, sees: shape.first(seenBy: row) - begin..<row + 1 - begin, target: 0,
                output: row - stretch)
        }
        plan.endContext()
        lane.attend(
            plan, heads: AttentionHeads(count: shape.heads, size: shape.headSize, valueOffset: shape.width),
            queries: stream.queries, keysValues: stream.ring.rows, distances: distances, into: [stream.answers])
    }
}

extension TransformerXLShape: StreamingShape {
    /// Features of all heads.
    var width: Int { heads * headSize }

    func mixer(_ tensor: TensorReader, _ config: ModelConfig, geometry: SequenceGeometry, on backend: any Backend)
        throws
        -> any StreamingMixer
    {
        try TransformerXL(self, tensor, config, geometry: geometry, on: backend)
    }

    /// r by distance, r_δ = weight · (sines, then cosines, of δ·10000^(-2m/D)), and offset·r_δ.
    ///
    /// - Parameters:
    ///   - count: distances, from 0 on.
    ///   - weight: [H·dh, D].
    ///   - offset: [H·dh].
    func distances(_ count: Int, of weight: UnsafePointer<Float>, width D: Int, offset: (Int) -> Double) throws
        -> DistanceTable
    {
        let most = DistanceTable.countAtOnce
        let waves = try Memory<Float>(D * most), keys = try Memory<Float>(width * most)
        return try DistanceTable(
            heads: heads, headSize: headSize, count: count, distinct: longestDistance.map { $0 + 1 } ?? count
        ) { part, values in
            for pair in 0..<D / 2 {
                let frequency = pow(10_000, -2 * Double(pair) / Double(D))
                for (place, distance) in part.enumerated() {
                    let angle = Double(distance) * frequency
                    waves[pair * part.count + place] = Float(sin(angle))
                    waves[(D / 2 + pair) * part.count + place] = Float(cos(angle))
                }
            }
            Products.exact(weight, waves.start, rows: width, inner: D, columns: part.count, into: keys.start)
            for head in 0..<heads {
                let lines = values + head * (headSize + 1) * part.count
                lines.update(from: keys.start + head * headSize * part.count, count: headSize * part.count)
                for place in 0..<part.count {
                    var sum = 0.0
                    for feature in 0..<headSize {
                        sum += offset(head * headSize + feature) * Double(lines[feature * part.count + place])
                    }
                    lines[headSize * part.count + place] = Float(sum)
                }
            }
        }
    }

    var ring: RingSizes { RingSizes(reach: reach, seen: reach, queryWidth: width, keyWidth: width) }

    func needs(_ config: ModelConfig, tileRows: Int) -> LaneNeeds {
        ring.needs(width: config.hiddenSize, headSize: headSize, tileRows: tileRows)
    }

    func weightBytes(_ config: ModelConfig, on backend: any Backend) -> Int {
        let D = config.hiddenSize
        return 3 * backend.matrixFootprint(inputs: D, outputs: width)
            + backend.matrixFootprint(inputs: width, outputs: D) + 16 * D
            + DistanceTable.footprint(heads: heads, headSize: headSize, count: reach + 1)
            + 4 * (D + width) * DistanceTable.countAtOnce
    }

    func streamBytes(_ shape: StreamShape) -> Int { ring.bytes(shape) }
    var carryBytes: Int { ring.carryBytes }
}
