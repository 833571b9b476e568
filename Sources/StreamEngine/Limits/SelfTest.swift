import CKernels
import Compute
import Geometry
import Glibc
import PageStore
import ProtonModel
import Support

/// Short measurements of what this machine can do, to hold a run against.
package enum SelfTest {
    /// The arithmetic of one model on one machine, nothing read or written: the present kernels at their best.
    package struct Arithmetic: Codable, Sendable, Equatable {
        /// Tokens a second and layer, all threads together: rows expanded, attention, feed-forward, rows stored.
        package var tokenLayersPerSecond: Double
        /// The same for layer 1, whose rows are tokens to embed.
        package var firstLayerTokensPerSecond: Double
        /// Tokens a second through the head, all threads together.
        package var headTokensPerSecond: Double

        enum CodingKeys: String, CodingKey {
            case tokenLayersPerSecond = "token_layers_per_second"
            case firstLayerTokensPerSecond = "first_layer_tokens_per_second"
            case headTokensPerSecond = "head_tokens_per_second"
        }
    }

    /// A file system, sequentially.
    package struct Disk: Codable, Sendable, Equatable {
        package var readBytesPerSecond: Double
        /// Synced.
        package var writtenBytesPerSecond: Double

        enum CodingKeys: String, CodingKey {
            case readBytesPerSecond = "read_bytes_per_second"
            case writtenBytesPerSecond = "written_bytes_per_second"
        }
    }

    /// Repeats `body` on every worker for about `seconds`, after one that warms up, and returns how many a second all
    /// managed.
    private static func rate(
        _ pipeline: Pipeline, seconds: Double, _ body: @escaping @Sendable (_ worker: Int) throws -> Void
    ) throws -> Double {
        let total = Locked(0.0)
        try pipeline.wait(for: pipeline.add(pipeline.workers) { worker, _ in try body(worker) })
        let stage = pipeline.add(pipeline.workers) { worker, _ in
            let watch = Stopwatch()
            var count = 0
            while watch.seconds < seconds {
                try body(worker)
                count += 1
            }
            let own = Double(count) / watch.seconds
            total.withLock { $0 += own }
        }
        try pipeline.wait(for: stage)
        return total.withLock { $0 }
    }

    /// FLOP/s of an f32 matrix product that fits the caches, on one core.
    package static func productRate(kernels: KernelTable) throws -> Double {
        let pipeline = try Pipeline(workers: 1)
        let test = try ProductTest(rows: 512, inputs: 256, outputs: 256, kernels: kernels)
        return try rate(pipeline, seconds: 0.2) { _ in test.run() } * test.operations
    }

    /// Refuses models that no one layer stands for.
    ///
    /// - Throws: `Fault` (`usage`) naming the layer.
    package static func checkMeasurable(_ model: Model) throws {
        guard let layer = model.config.mixers.firstIndex(where: { !$0.isMonteCarlo }) else { return }
        throw Fault(
            .usage,
            "the arithmetic of '\(model.config.mixers[layer].kind)' is not measured: only that of models of '\(LayerMixer.monteCarlo.kind)' alone is",
            at: Place(file: "\(model.directory)/config.json", field: "mixers.\(layer).kind"),
            advice: "How long a run takes is in its plan.")
    }

    /// The model's tiles, over and over: the window's delegates in their hosts, mix, feed-forward. Tiles just before
    /// and just after the middle of a long sequence stand for all: half of their hosts and guests are seen.
    package static func arithmetic(
        _ model: Model, threads: Int, way: ConvolutionWay, kernels: KernelTable, seconds: Double = 0.4
    ) throws -> Arithmetic {
        try checkMeasurable(model)
        let config = model.config
        let P = config.patchSize
        let R = Tiling(patchSize: P).patchesPerTile
        let patches = (FeedForwardShape.tilesAtOnce(config, tileRows: R * P, repeatedRows: 0) + 1) / 2 * R
        // Windows of as many patches, times P, and the middle of the sequence between two of them.
        guard let geometry = SequenceGeometry(tokens: 4096 * patches * P * P, patchSize: P) else {
            throw Fault(.usage, "patches of \(P) tokens are no patches")
        }
        let backend = CPUBackend(kernels)
        let pipeline = try Pipeline(workers: threads)
        let sizes = try ModelSizes(config, geometry: geometry, way: way, on: backend)
        let layer = try Layer(
            model, block: 0, feedForward: sizes.feedForward, geometry: geometry, on: backend)
        let tests = try (0..<threads).map { _ in try TileTest(sizes, layer, patches: patches) }
        let head = try Head(model, on: backend)
        let embedding = try Embedding(model, length: geometry.paddedTokens, on: backend)
        let layers = try rate(pipeline, seconds: seconds) { try tests[$0].layer(.states(.bf16)) }
        let first = try rate(pipeline, seconds: seconds / 2) { try tests[$0].layer(.tokens(embedding)) }
        let heads = try rate(pipeline, seconds: seconds / 4) { tests[$0].head(head) }
        let tokens = Double(tests[0].tokens)
        return Arithmetic(
            tokenLayersPerSecond: layers * tokens, firstLayerTokensPerSecond: first * tokens,
            headTokensPerSecond: heads * tokens)
    }

    /// One worker's share: about as many tiles as go through the feed-forward at a time, just before and just after the
    /// middle of a long sequence: half of their hosts and guests are seen. Sendable because each is one worker's.
    private final class TileTest: StoredColumns, @unchecked Sendable {
        private let sizes: ModelSizes
        private let tools: LaneTools
        private let feedForward: FeedForward
        private let mixer: any GatheringMixer
        private let answers: any GatheredAnswers
        /// Tokens of one turn.
        var tokens: Int { 2 * patches * P }
        /// Patches on either side of the middle.
        private let patches: Int
        private var P: Int { sizes.geometry.patchSize }
        private var D: Int { sizes.config.hiddenSize }
        /// Every column of every block: zeros are tokens as well as states. And where new ones go.
        private let column: Memory<UInt8>
        private let stored: Memory<UInt8>
        /// [before + rows + after, D]
        private let s: Rows
        private let targets: Memory<UInt16>
        private let bits: Memory<Float>
        let grid: BlockGrid

        init(_ sizes: ModelSizes, _ layer: Layer, patches: Int) throws {
            self.patches = patches
            guard let mixer = layer.mixer as? any GatheringMixer else {
                throw Fault(.inputOutput, "a layer that is measured gathers nothing: this is a defect of bbp-stream")
            }
            self.sizes = sizes
            self.mixer = mixer
            feedForward = layer.feedForward
            tools = try sizes.tools()
            let (config, geometry) = (sizes.config, sizes.geometry)
            grid = BlockGrid(patches: geometry.patches, patchesPerBlock: patches)
            let rows = patches * geometry.patchSize
            // A row for each token of the window that asks; one in P of them is written.
            answers = try mixer.answers(
                rows: rows * geometry.patchSize, workers: 1, isOnce: false, on: sizes.backend)
            column = try Memory(patches * config.hiddenSize * 4)
            stored = try Memory(patches * config.hiddenSize * 4)
            s = try sizes.backend.rows(config.reach.before + rows + config.reach.after, width: config.hiddenSize)
            targets = try Memory(rows)
            bits = try Memory(rows)
        }

        func column(_ column: Int, ofBlock block: Int, from row: Int) throws -> StoredColumn {
            StoredColumn(rows: self.column.start, indices: nil)
        }

        /// A turn of a layer. The delegates in one column of a window of P times as many patches visit as many hosts.
        func layer(_ input: InputRows) throws {
            let shape = WindowShape(geometry: sizes.geometry, source: grid, target: grid, windowPatches: patches * P)
            let plan = WindowPlan(shape, parts: P)
            let (before, middle) = (sizes.config.reach.before, plan.windows.count / 2)
            let start = plan.patches(ofWindow: middle).lowerBound
            for (window, column, own) in [
                (middle, P / 4, start..<start + patches),
                (middle - 1, min(P - 1, 3 * P / 4), start - patches..<start),
            ] {
                let tasks = mixer.tasks(ofPart: column, ofWindow: window, in: plan, answers: answers)
                for task in 0..<tasks {
                    try mixer.gather(
                        task, of: tasks, part: column, window: window, in: plan, from: self, as: input, into: answers,
                        with: tools)
                }
                let rows = own.count * P
                try mixer.mix(
                    own, window: window, in: plan, from: self, as: input, answers: answers, with: tools,
                    into: s[before..<before + rows])
                let room = try tools.room(FeedForwardRoom.self)
                feedForward.run(s, first: own.lowerBound * P, with: room, on: tools.lane, into: room.output[0..<rows])
                tools.lane.store(room.output[0..<rows], columns: P, order: nil, as: .bf16) { _ in
                    UnsafeMutableRawPointer(stored.start)
                }
            }
        }

        func head(_ head: Head) {
            head.surprisal(
                s[0..<patches * P], targets: targets.start, on: tools.lane, bits: bits.start)
        }
    }

    /// Bytes that the test of the disk writes.
    package static let diskBytes = 128 << 20

    /// Bytes that the test of the arithmetic takes a worker, about.
    static func workerBytes(_ sizes: ModelSizes) -> Int {
        2 * sizes.toolBytes + 3 * sizes.outputRows * sizes.config.hiddenSize * 4
    }

    /// A new file without a name, so that it goes with its descriptor, or with one that nobody else uses until it has
    /// been removed.
    private static func measuredFile(in directory: String) throws -> (descriptor: Int32, path: String) {
        let nameless = File.nameless(in: directory, O_RDWR, mode: 0o600)
        if nameless >= 0 { return (nameless, directory) }
        let path = "\(directory)/.bbp-stream-tune-\(String(UInt64.random(in: 0...UInt64.max), radix: 36))"
        let descriptor = File.descriptor(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
        guard descriptor >= 0 else {
            throw File.fault(.cannotCreate, "cannot create a file to measure the disk with", path)
        }
        _ = path.withFileName { unlink($0) }
        return (descriptor, path)
    }

    /// Writes and reads a file in `directory`, and removes it.
    package static func disk(_ directory: String, bytes: Int = diskBytes) throws -> Disk {
        let (descriptor, path) = try measuredFile(in: directory)
        defer { close(descriptor) }
        let chunk = try Memory<UInt64>(1 << 17)
        var noise: UInt64 = 1
        for word in 0..<chunk.count {
            noise = noise &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            chunk[word] = noise
        }
        let chunks = bytes >> 20
        var watch = Stopwatch()
        for part in 0..<chunks {
            guard pwrite(descriptor, chunk.start, 1 << 20, part << 20) == 1 << 20 else {
                throw File.fault(.inputOutput, "cannot write", path)
            }
        }
        guard fdatasync(descriptor) == 0 else { throw File.fault(.inputOutput, "cannot sync", path) }
        let written = Double(bytes) / watch.seconds
        posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
        watch = Stopwatch()
        for part in 0..<chunks {
            posix_fadvise(descriptor, (part + 8) << 20, 1 << 20, POSIX_FADV_WILLNEED)
            guard pread(descriptor, chunk.start, 1 << 20, part << 20) == 1 << 20 else {
                throw File.fault(.inputOutput, "cannot read", path)
            }
        }
        return Disk(readBytesPerSecond: Double(bytes) / watch.seconds, writtenBytesPerSecond: written)
    }
}
