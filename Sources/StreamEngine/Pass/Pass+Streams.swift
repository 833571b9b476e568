import Compute
import Geometry
import ProtonModel
import Support

/// A streaming layer in a pass: its mixer at work, its rows, and what each stretch of it waits for.
///
/// Sendable as `Pass` is: its tasks read what `init` set and write rows that the stages before them left free; records
/// and lengths are the caller's alone.
final class StreamedLayer: @unchecked Sendable {
    let layer: Layer
    /// Of the model, from 1; repeats of a block count.
    let number: Int
    private let engine: Engine
    private let stream: any MixerStream
    /// [rows, D] each: the input of a stretch.
    private let inputs: [Rows]
    /// [before + rows, D] each: s of a stretch, and before it the last rows of the stretch before.
    private let mixed: [Rows]
    private var records: [Int: Record] = [:]

    private struct Record {
        /// Its rows were mixed: its input is not read any more.
        var mixed: Pipeline.Stage
        /// The rows before its own are there.
        var carried: Pipeline.Stage?
        var fed: Pipeline.Stage?
        var kept: Pipeline.Stage?
    }

    private var P: Int { engine.geometry.patchSize }
    private var before: Int { engine.config.reach.before }

    init(_ layer: Layer, number: Int, of engine: Engine) throws {
        guard let mixer = layer.mixer as? any StreamingMixer else {
            throw Fault(.inputOutput, "layer \(number) does not stream: this is a defect of bbp-stream")
        }
        self.layer = layer
        self.number = number
        self.engine = engine
        let shape = Self.shape(engine.needs, engine.set)
        stream = try mixer.stream(shape, on: engine.backend)
        let (count, width) = (engine.set.stretchesInFlight, engine.config.hiddenSize)
        let before = engine.config.reach.before
        inputs = try (0..<count).map { _ in try engine.backend.rows(shape.rows, width: width) }
        mixed = try (0..<count).map { _ in try engine.backend.rows(before + shape.rows, width: width) }
    }

    private static func shape(_ needs: WorkingSetNeeds, _ set: WorkingSet) -> StreamShape {
        StreamShape(geometry: needs.geometry, rows: set.stretchPatches * needs.P)
    }

    static func footprint(_ needs: WorkingSetNeeds, _ set: WorkingSet, layer: Int) -> Int {
        let shape = shape(needs, set)
        return needs.sizes.streamBytes(ofLayer: layer, shape)
            + set.stretchesInFlight * (needs.config.reach.before + 2 * shape.rows) * needs.config.hiddenSize * 4
    }

    /// Whether it asks for the model's input.
    var isInputNeeded: Bool { stream.isInputNeeded }

    // MARK: Rows

    func x(_ index: Int) -> Rows { inputs[index % inputs.count] }

    /// The rows of s that rows `first` to `end` - 1 of a stretch see.
    func s(_ index: Int, _ first: Int, _ end: Int, _ reach: (before: Int, after: Int)) -> Rows {
        mixed[index % mixed.count][first..<end + reach.before]
    }

    /// Tiles of a stretch as token indices, and their rows in it.
    private func tiles(of patches: Range<Int>) -> [(tokens: Range<Int>, rows: Range<Int>)] {
        engine.tiles(of: patches).map { tile in
            let first = (tile.lowerBound - patches.lowerBound) * P
            return (tile.lowerBound * P..<tile.upperBound * P, first..<first + tile.count * P)
        }
    }

    // MARK: Stages

    /// The stages after which the input of a stretch may be written.
    func whenFree(_ index: Int) -> [Pipeline.Stage] { records[index - inputs.count].map { [$0.mixed] } ?? [] }

    /// Loads the input of a stretch: the pass begins with this layer.
    func load(
        _ patches: Range<Int>, from columns: Columns, as input: InputRows, after loads: [Pipeline.Stage], at index: Int,
        placed: @escaping @Sendable (() throws -> Void) throws -> Void
    ) -> Pipeline.Stage {
        let tiles = engine.tiling.tiles(of: patches)
        let x = x(index)
        return engine.pipeline.add(tiles.count, named: "load", after: loads + whenFree(index)) { [self] worker, task in
            let tools = engine.workers[worker].tools
            let first = (tiles[task].lowerBound - patches.lowerBound) * P
            try placed {
                try tools.room(StreamRoom.self).loader.load(
                    tiles[task], from: columns, as: input, into: x[first..<first + tiles[task].count * P],
                    on: tools.lane)
            }
            try tools.lane.finish()
        }
    }

    /// s of a stretch whose input is there after `before`.
    ///
    /// - Parameters:
    ///   - input: the model's input of the stretch, where the layer asks for it.
    ///   - previous: the stretch before it, where the pass has it.
    /// - Returns: the stages after which s is there, and the rows before it.
    func mix(
        _ index: Int, _ patches: Range<Int>, input: Rows?, previous: Int?, after before: [Pipeline.Stage]
    ) -> [Pipeline.Stage] {
        let tiles = tiles(of: patches)
        let (x, s, first) = (x(index), mixed[index % mixed.count], patches.lowerBound * P)
        let (count, reach) = (patches.count * P, self.before)
        let earlier = previous.flatMap { records[$0] }
        // The stream has one stretch at a time.
        let whenIdle = [earlier?.mixed, earlier?.kept].compactMap { $0 }
        let prepared = engine.pipeline.add(tiles.count, named: "project", after: before + whenIdle) {
            [self] worker, task in
            let tools = engine.workers[worker].tools
            let rows = tiles[task].rows
            try stream.prepare(
                tiles[task].tokens, ofStretch: first, x: x[rows], input: input.map { $0[rows] }, with: tools)
            try tools.lane.finish()
        }
        let passed = engine.pipeline.add(stream.carryingTasks, named: "scan", after: [prepared]) {
            [self] worker, task in
            let tools = engine.workers[worker].tools
            try stream.carry(task, over: first..<first + count, with: tools)
            try tools.lane.finish()
        }
        // Who reads what was in the memory of s before.
        let last = records[index - mixed.count]
        let whenRead = [last?.fed, last?.kept].compactMap { $0 }
        var carried: Pipeline.Stage?
        if let previous, let earlier, reach > 0 {
            let (from, rows) = (mixed[previous % mixed.count], rows(previous))
            carried = engine.pipeline.add(
                named: "carry", after: [earlier.mixed, earlier.carried].compactMap { $0 } + whenRead
            ) { [self] worker, _ in
                let lane = engine.workers[worker].tools.lane
                lane.copy(from[rows..<rows + reach], to: s[0..<reach])
                try lane.finish()
            }
        }
        let whenCopied = index - mixed.count + 1 == index ? carried : records[index - mixed.count + 1]?.carried
        let mix = engine.pipeline.add(
            tiles.count, named: "mix", after: [passed] + whenRead + (whenCopied.map { [$0] } ?? [])
        ) { [self] worker, task in
            let tools = engine.workers[worker].tools
            let rows = tiles[task].rows
            try stream.mix(
                tiles[task].tokens, ofStretch: first, x: x[rows], with: tools,
                into: s[reach + rows.lowerBound..<reach + rows.upperBound])
            try tools.lane.finish()
        }
        records[index] = Record(mixed: mix, carried: carried)
        lengths[index] = count
        return [mix] + (carried.map { [$0] } ?? [])
    }

    /// Rows of the stretches that are remembered.
    private var lengths: [Int: Int] = [:]
    private func rows(_ index: Int) -> Int { lengths[index] ?? 0 }

    func fed(_ index: Int, _ stage: Pipeline.Stage) { records[index]?.fed = stage }
    func keeps(_ index: Int, _ stage: Pipeline.Stage) { records[index]?.kept = stage }

    func forget(before index: Int) {
        records = records.filter { $0.key >= index }
        lengths = lengths.filter { $0.key >= index }
    }

    // MARK: The carry

    /// What the layer carries on from the end of a stretch: the last rows of s, and what its mixer carries.
    func save(before next: Int, of index: Int, rows: Int, with tools: LaneTools) throws -> [UInt8] {
        let (values, width) = (before * engine.config.hiddenSize, engine.config.hiddenSize)
        var bytes = [UInt8](repeating: 0, count: 4 * values + stream.carryBytes)
        try bytes.withUnsafeMutableBytes { bytes in
            UnsafeMutableRawBufferPointer(rebasing: bytes[..<(4 * values)]).withMemoryRebound(to: Float.self) {
                guard values > 0, width > 0, let start = $0.baseAddress else { return }
                tools.lane.download(mixed[index % mixed.count][rows..<rows + before], to: start)
            }
            try stream.save(
                before: next, to: UnsafeMutableRawBufferPointer(rebasing: bytes[(4 * values)...]), with: tools)
            try tools.lane.finish()
        }
        return bytes
    }

    /// Takes up what was saved; `index` is the stretch that begins with row `next`.
    func restore(_ carry: [UInt8], before next: Int, of index: Int, with tools: LaneTools) throws {
        let values = before * engine.config.hiddenSize
        try carry.withUnsafeBytes { bytes in
            UnsafeRawBufferPointer(rebasing: bytes[..<(4 * values)]).withMemoryRebound(to: Float.self) {
                guard values > 0, let start = $0.baseAddress else { return }
                tools.lane.upload(start, to: mixed[index % mixed.count][0..<before])
            }
            try stream.restore(UnsafeRawBufferPointer(rebasing: bytes[(4 * values)...]), before: next, with: tools)
        }
        try tools.lane.finish()
    }
}
