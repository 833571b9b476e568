import CKernels
import Geometry
import Glibc
import PageStore
import ProtonModel
import Support

/// Short measurements of what this machine can do, to hold a run against.
public enum SelfTest {
    /// The arithmetic of one model on one machine, nothing read or written: the present kernels at their best.
    public struct Arithmetic: Codable, Sendable, Equatable {
        /// Tokens a second and layer, all threads together: rows expanded, attention, feed-forward, rows stored.
        public var tokenLayersPerSecond: Double
        /// The same for layer 1, whose rows are tokens to embed.
        public var firstLayerTokensPerSecond: Double
        /// Tokens a second through the head, all threads together.
        public var headTokensPerSecond: Double

        enum CodingKeys: String, CodingKey {
            case tokenLayersPerSecond = "token_layers_per_second"
            case firstLayerTokensPerSecond = "first_layer_tokens_per_second"
            case headTokensPerSecond = "head_tokens_per_second"
        }
    }

    /// A file system, sequentially.
    public struct Disk: Codable, Sendable, Equatable {
        public var readBytesPerSecond: Double
        /// Synced.
        public var writtenBytesPerSecond: Double

        enum CodingKeys: String, CodingKey {
            case readBytesPerSecond = "read_bytes_per_second"
            case writtenBytesPerSecond = "written_bytes_per_second"
        }
    }

    /// Repeats `body` on every worker for about `seconds`, after one that warms up, and returns how many a second all
    /// managed.
    private static func rate(_ pipeline: Pipeline, seconds: Double, _ body: @escaping (_ worker: Int) throws -> Void)
        throws -> Double
    {
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
    public static func productRate(kernels: KernelTable) throws -> Double {
        let pipeline = try Pipeline(workers: 1)
        let test = try ProductTest(rows: 512, inputs: 256, outputs: 256, kernels: kernels)
        return try rate(pipeline, seconds: 0.2) { _ in test.run() } * test.operations
    }

    /// The model's tiles, over and over: the window's delegates in their hosts, mix, feed-forward. Tiles just before
    /// and just after the middle of a long sequence stand for all: half of their hosts and guests are seen.
    public static func arithmetic(
        _ model: Model, threads: Int, way: ConvolutionWay, kernels: KernelTable, seconds: Double = 0.4
    ) throws -> Arithmetic {
        let config = model.config
        let P = config.patchSize
        let R = Tiling(patchSize: P).patchesPerTile
        guard let geometry = SequenceGeometry(tokens: 4096 * R * P * P, patchSize: P) else {
            throw Fault(.usage, "patches of \(P) tokens are no patches")
        }
        let pipeline = try Pipeline(workers: threads)
        let tiles = try (0..<threads).map { _ in try TileTest(model, geometry: geometry, way: way, kernels: kernels) }
        let block = try BlockWeights(model, layer: 0, arithmetic: tiles[0].arithmetic)
        let head = try Head(model, kernels: kernels)
        let embedding = try Embedding(model, length: geometry.paddedTokens)
        let layers = try rate(pipeline, seconds: seconds) { try tiles[$0].layer(block, .bf16) }
        let first = try rate(pipeline, seconds: seconds / 2) { try tiles[$0].layer(block, .tokens(embedding)) }
        let heads = try rate(pipeline, seconds: seconds / 4) { tiles[$0].head(head) }
        let tokens = Double(tiles[0].tokens)
        return Arithmetic(
            tokenLayersPerSecond: layers * tokens, firstLayerTokensPerSecond: first * tokens,
            headTokensPerSecond: heads * tokens)
    }

    /// One worker's share: as many tiles as go through the feed-forward at a time.
    private final class TileTest {
        let arithmetic: TileArithmetic
        /// Tokens of one turn.
        var tokens: Int { tiles * R * P }
        private let tiles: Int
        private let R: Int
        private var P: Int { arithmetic.geometry.patchSize }
        private var D: Int { arithmetic.config.hiddenSize }
        /// P columns of a turn's stored rows: zeros are tokens as well as states.
        private let columns: Memory<UInt8>
        /// [before + tiles·L + after, D]
        private let s: Memory<Float>
        private let answers: Memory<Float>
        private let output: Memory<Float>
        private let targets: Memory<UInt16>
        private let bits: Memory<Float>

        init(_ model: Model, geometry: SequenceGeometry, way: ConvolutionWay, kernels: KernelTable) throws {
            let config = model.config
            arithmetic = try TileArithmetic(config, geometry: geometry, way: way, kernels: kernels)
            R = Tiling(patchSize: config.patchSize).patchesPerTile
            // An even number: half of them see their hosts and guests.
            tiles = (arithmetic.tilesAtOnce + 1) / 2 * 2
            let rows = tiles * R * config.patchSize
            columns = try Memory(rows * config.hiddenSize * 2)
            s = try Memory((config.reach.before + rows + config.reach.after) * config.hiddenSize)
            // A row for each token of the window that asks; one in P of them is written.
            answers = try Memory(
                (arithmetic.groupPatches * config.patchSize + 2 * config.patchSize) * config.patchSize
                    * config.hiddenSize)
            output = try Memory(rows * config.hiddenSize)
            targets = try Memory(rows)
            bits = try Memory(rows)
            var noise: UInt64 = 1
            for memory in [s, output] {
                for value in 0..<memory.count {
                    noise = noise &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                    memory[value] = Float(noise >> 40) / Float(1 << 23) - 1
                }
            }
        }

        /// A turn of a layer.
        func layer(_ block: BlockWeights, _ input: InputRows) throws {
            let config = arithmetic.config
            let (readBytes, columnBytes) = (tiles * R * input.rowBytes(width: D), tiles * R * D * 2)
            let middle = arithmetic.geometry.patches / 2 / (tiles * R) * tiles * R
            let group = arithmetic.groupPatches
            for first in stride(from: 0, to: tiles * R, by: group) {
                let patches = min(group, tiles * R - first)
                let seen = !config.isCausal || first < tiles * R / 2
                let own = (seen ? middle : middle - tiles * R) + first
                /// Rows of a group's patches, and those of its delegates.
                func load(_ patch: Int, local: Bool, delegates: Bool) throws {
                    let loaded = patch..<patch + patches
                    if local {
                        try arithmetic.loadLocal(loaded, place: 0, as: input) {
                            .init(rows: columns.start + $0 * readBytes, indices: nil)
                        }
                    }
                    guard delegates else { return }
                    for run in arithmetic.geometry.guests(of: loaded) {
                        for source in stride(from: run.sources.lowerBound, to: run.sources.upperBound, by: tiles * R) {
                            let sources = source..<min(source + tiles * R, run.sources.upperBound)
                            let row = run.firstSlot + source - run.sources.lowerBound - patch * P
                            arithmetic.loadDelegates(
                                .init(rows: columns.start, indices: nil), as: input, row: row, sources: sources,
                                column: run.column)
                        }
                    }
                }
                // Delegates of a window of P times as many patches visit as many hosts.
                let column = seen ? P / 4 : min(P - 1, 3 * P / 4)
                let window = own..<own + patches * P
                let slots = arithmetic.geometry.slots(of: window, column: column)
                let hosts = arithmetic.geometry.hosts(of: window, column: column).prefix(patches)
                try load(hosts.startIndex, local: seen, delegates: true)
                arithmetic.attend(
                    hosts.map { .delegates(of: window, in: slots, at: $0, patchSize: P) }, seesOthers: seen,
                    block: block, toLocal: nil, toDelegates: answers.start, firstToken: window.lowerBound * P)
                try load(own, local: true, delegates: seen)
                arithmetic.mix(
                    own..<own + patches, withGuests: seen, block: block,
                    s: s.start + (config.reach.before + first * P) * D)
            }
            let step = arithmetic.tilesAtOnce * R
            for first in stride(from: 0, to: tiles * R, by: step) {
                let patches = min(step, tiles * R - first)
                arithmetic.feedForward(
                    s.start + first * P * D, first: (middle + first) * P, rows: patches * P, block: block,
                    output: output.start)
                let place = columns.start + first * D * 2
                arithmetic.store(output.start, patches: patches, asBF16: true) {
                    UnsafeMutableRawPointer(place + $0 * columnBytes)
                }
            }
        }

        func head(_ head: Head) {
            head.surprisal(output.start, targets: targets.start, count: tokens, bits: bits.start, with: arithmetic)
        }
    }

    /// Bytes that the test of the disk writes.
    public static let diskBytes = 128 << 20

    /// Bytes that the test of the arithmetic takes a worker, about.
    static func workerBytes(_ arithmetic: TileArithmetic) -> Int {
        let P = arithmetic.config.patchSize
        return 2 * arithmetic.ownedBytes + 6 * arithmetic.outputValues + (arithmetic.groupPatches + 2) * P * P
            * arithmetic.config.hiddenSize * 4
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
    public static func disk(_ directory: String, bytes: Int = diskBytes) throws -> Disk {
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
