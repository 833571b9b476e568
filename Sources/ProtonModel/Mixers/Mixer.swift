import Compute
import Geometry
import Support

/// One layer's way of mixing rows: from x, the layer's input, to s = LayerNorm(x + y; norm1), y what other rows say. It
/// knows its weights, what it reads and what it carries along, and nothing of pages or threads.
package protocol Mixer: AnyObject, Sendable {
    /// What a pass that begins with this layer reads beside a block's own rows.
    var access: any Access { get }
}

/// A mixer whose rows need rows from all over the sequence: a pass begins with it. A window's rows gather what those say,
/// before the window's blocks are mixed.
package protocol GatheringMixer: Mixer {
    /// Memory for what the rows of one window gather.
    ///
    /// - Parameters:
    ///   - rows: of a window.
    ///   - workers: that gathering is shared out to.
    /// - Throws: `Fault` (`inputOutput`) where there is none.
    func answers(rows: Int, workers: Int, isOnce: Bool, on backend: any Backend) throws -> any GatheredAnswers

    /// Whether these were made for this mixer, or for one like it.
    func isAnswered(by answers: any GatheredAnswers) -> Bool

    /// Tasks of a part of a window's gathering; they may run at once.
    func tasks(ofPart part: Int, ofWindow window: Int, in plan: WindowPlan, answers: any GatheredAnswers) -> Int

    /// One of these tasks: answers to rows of the window.
    ///
    /// - Throws: `Fault` (`badData`) where columns hold what they cannot.
    func gather(
        _ task: Int, of tasks: Int, part: Int, window: Int, in plan: WindowPlan, from columns: any StoredColumns,
        as input: InputRows, into answers: any GatheredAnswers, with tools: LaneTools) throws

    /// s of some patches of a window whose gathering is done.
    ///
    /// - Parameter s: [patches·P, D].
    func mix(
        _ patches: Range<Int>, window: Int, in plan: WindowPlan, from columns: any StoredColumns, as input: InputRows,
        answers: any GatheredAnswers, with tools: LaneTools, into s: Rows) throws

    /// About the share of a window's time that goes into gathering.
    func gatheringShare(in plan: WindowPlan, answers: any GatheredAnswers) -> Double
}

/// What the rows of one window gathered. Only the mixer that made it looks inside.
package protocol GatheredAnswers: AnyObject, Sendable {}

/// A mixer whose rows need of earlier ones only what it carries along: any number of such layers share a pass.
package protocol StreamingMixer: Mixer {
    /// Memory for the rows of one stretch and for what is carried.
    ///
    /// - Throws: `Fault` (`inputOutput`) where there is none.
    func stream(_ shape: StreamShape, on backend: any Backend) throws -> any MixerStream
}

/// A streaming mixer at work on one sequence, stretch after stretch: of each first every tile is prepared, then the
/// carry passes over it, then every tile is mixed. Tiles may be worked on at once, stretches not.
package protocol MixerStream: AnyObject, Sendable {
    /// Projections of the rows of a tile.
    ///
    /// - Parameters:
    ///   - rows: token indices; padding is among them at the end.
    ///   - stretch: token index of the stretch's first row.
    ///   - x: [rows, D] the layer's input.
    func prepare(_ rows: Range<Int>, ofStretch stretch: Int, x: Rows, with tools: LaneTools) throws

    /// Whether it asks for the model's input of its rows, which is what tokens are before the first layer.
    var isInputNeeded: Bool { get }

    /// The same with the model's input, where it asks for that.
    ///
    /// - Parameter input: [rows, D], as x a part of a stretch's; nil where it does not ask.
    func prepare(_ rows: Range<Int>, ofStretch stretch: Int, x: Rows, input: Rows?, with tools: LaneTools) throws

    /// Tasks that take the carry over a stretch; they may run at once. 0 where there is nothing to do.
    var carryingTasks: Int { get }

    /// One of these tasks.
    func carry(_ task: Int, over stretch: Range<Int>, with tools: LaneTools) throws

    /// s of a tile.
    ///
    /// - Parameter s: [rows, D].
    func mix(_ rows: Range<Int>, ofStretch stretch: Int, x: Rows, with tools: LaneTools, into s: Rows) throws

    /// Bytes of the carry as it is kept.
    var carryBytes: Int { get }

    /// Writes the carry after row `next` - 1, `carryBytes` bytes, from which the stream goes on with row `next`.
    func save(before next: Int, to bytes: UnsafeMutableRawBufferPointer, with tools: LaneTools) throws

    /// Takes up a carry that was saved before row `next`.
    func restore(_ bytes: UnsafeRawBufferPointer, before next: Int, with tools: LaneTools) throws
}

extension MixerStream {
    package var isInputNeeded: Bool { false }

    package func prepare(
        _ rows: Range<Int>, ofStretch stretch: Int, x: Rows, input: Rows?, with tools: LaneTools
    ) throws {
        try prepare(rows, ofStretch: stretch, x: x, with: tools)
    }
}

/// What the memory of a stream follows from.
package struct StreamShape: Sendable, Equatable {
    package var geometry: SequenceGeometry
    /// Rows of the longest stretch, whole tiles.
    package var rows: Int

    package init(geometry: SequenceGeometry, rows: Int) {
        self.geometry = geometry
        self.rows = rows
    }

    package var tileRows: Int { Tiling(patchSize: geometry.patchSize).rows }
    /// Some rows of a stretch, from the beginning of a tile on, cut into tiles.
    func tiles(of rows: Range<Int>) -> [Range<Int>] {
        stride(from: rows.lowerBound, to: rows.upperBound, by: tileRows).map {
            $0..<min(rows.upperBound, $0 + tileRows)
        }
    }

    /// Tiles of the longest stretch.
    package var tiles: Int { (rows + tileRows - 1) / tileRows }
}

/// What one worker computes with: a lane, and room of each mixer's own.
package final class LaneTools {
    package let lane: any Lane
    private let rooms: [ObjectIdentifier: AnyObject]

    /// - Parameter rooms: by type.
    package init(_ lane: any Lane, rooms: [AnyObject]) {
        self.lane = lane
        self.rooms = Dictionary(
            rooms.map { (ObjectIdentifier(type(of: $0)), $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// The room of a type.
    ///
    /// - Throws: `Fault` (`inputOutput`) where the engine made none.
    package func room<Room: AnyObject>(_ type: Room.Type) throws -> Room {
        guard let room = rooms[ObjectIdentifier(type)] else {
            throw Fault(.inputOutput, "a worker has no \(type): this is a defect of bbp-stream")
        }
        return unsafeDowncast(room, to: type)
    }
}

/// The two LayerNorms around a mixer, whatever its kind: u = LayerNorm(x; pre_norm), s = LayerNorm(x + y; norm1).
struct LayerNorms: Sendable {
    let before: any Norm
    let after: any Norm

    init(_ tensor: TensorReader, _ config: ModelConfig, on backend: any Backend) throws {
        before = try tensor.norm("pre_norm.norm", config: config, on: backend)
        after = try tensor.norm("norm1.norm", config: config, on: backend)
    }
}
