import FoundationEssentials

/// What a forward run did.
public struct ForwardSummary: Encodable, Sendable {
    public var tokens: Int
    /// Tokens that bits per byte is the mean over: bytes with a predecessor.
    public var scoredTokens: Int
    public var seconds: Double
    /// Tokens of the sequence a second, all layers included; nil when nothing was left to compute.
    public var tokensPerSecond: OrNull
    /// nil where no byte has a predecessor.
    public var bitsPerByte: OrNull
    public var peakAnonymousBytes: Int
    /// nil, as threads and window, when nothing was left to compute.
    public var memoryBudgetBytes: Int?
    /// The highest of any pass, in N: one N is one pass over the states as stored.
    public var readsPerLayer: Double
    public var writesPerLayer: Double
    public var layers: [Layer]
    /// The generations that the store holds now.
    public var generations: [Int]
    public var state: String
    /// What matrix products were computed in: f32 or bf16.
    public var compute: String
    /// How convolutions were computed: direct or fourier.
    public var convolution: String
    /// Why surprisal is not that of a predictor; nil where it is.
    public var surprisalCaveat: String?
    public var threads: Int?
    public var window: Window?
    /// The model's folder, and what tells it from others wherever it lies.
    public var model: String
    public var fingerprint: String
    public var isUntrained: Bool
    /// The run had been begun before.
    public var isResumed: Bool
    /// Nothing was computed: the store was finished.
    public var wasComplete: Bool

    /// What the machine could do at best, by its self-test; nil where it was not measured (`bbp-stream tune`).
    public var bounds: Bounds?

    private enum CodingKeys: String, CodingKey {
        case tokens, scoredTokens, seconds, tokensPerSecond, bitsPerByte, peakAnonymousBytes
        case memoryBudgetBytes, readsPerLayer, writesPerLayer, layers, generations, state, compute
        case convolution, surprisalCaveat, threads, window, model, fingerprint, bounds
        case isUntrained = "untrained"
        case isResumed = "resumed"
        case wasComplete = "alreadyComplete"
    }

    public struct Bounds: Encodable, Sendable {
        /// Seconds that the arithmetic takes with the present kernels when nothing is read or written.
        public var arithmeticSeconds: Double
        /// Seconds that the pages take to and from the disk, sequentially.
        public var diskSeconds: Double
        /// Seconds of the run over the greater of the two.
        public var ratio: Double
    }

    public struct Layer: Encodable, Sendable {
        /// The layers of the pass, from 1.
        public var firstLayer: Int
        public var layer: Int
        public var seconds: Double
        /// In N.
        public var reads: Double
        public var readsOwn: Double
        public var readsHosts: Double
        public var readsGuests: Double
        /// The tokens to predict, in the last pass.
        public var readsTokens: Double
        public var writes: Double
        /// In bytes of pages.
        public var bytesRead: Int
        public var bytesWritten: Int
        /// Surprisal pages, apart from the states.
        public var resultBytes: Int
        /// What the system moved from and to the disk meanwhile (/proc/self/io); the page cache served the rest.
        public var diskBytesRead: Int
        public var diskBytesWritten: Int
        /// Share of the workers' time spent in reads, or without a task while pages were being written.
        public var waitingForDisk: Double
        /// Share of the workers' time without a task otherwise.
        public var idle: Double
        /// Share of the time in which the writer had nothing to write: the disk waited for the cores.
        public var waitingForCores: Double
        /// Shares of the workers' time by stage: read (with decoding), hosts, mix, feed_forward (with the head), encode
        /// and the rest.
        public var stages: [String: Double]
    }

    public struct Window: Encodable, Sendable {
        public var patches: Int
        public var patchesPerBlock: Int
        /// Columns of states that are kept in memory for later.
        public var columns: Int
        /// Both generations stay in memory.
        public var isInMemory: Bool

        private enum CodingKeys: String, CodingKey {
            case patches, patchesPerBlock, columns
            case isInMemory = "inMemory"
        }
    }

    /// A number, or null in JSON: the key is always there.
    public struct OrNull: Encodable, Sendable {
        public var value: Double?
        package init(_ value: Double?) { self.value = value }
        public func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            if let value, value.isFinite { try container.encode(value) } else { try container.encodeNil() }
        }
    }

    /// One JSON object; names in snake case.
    public func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }
}
