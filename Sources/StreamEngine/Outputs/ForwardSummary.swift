import FoundationEssentials

/// What a forward run did.
public struct ForwardSummary: Encodable, Sendable {
    /// Tokens of the sequence.
    public var tokens: Int
    /// Tokens that bits per byte is the mean over: bytes with a predecessor.
    public var scoredTokens: Int
    /// From the opening of model and store to this summary.
    public var seconds: Double
    /// Tokens of the sequence a second, all layers included; nil when nothing was left to compute.
    public var tokensPerSecond: OrNull
    /// nil where no byte has a predecessor.
    public var bitsPerByte: OrNull
    /// The most anonymous memory that the process held.
    public var peakAnonymousBytes: Int
    /// nil, as threads and window, when nothing was left to compute.
    public var memoryBudgetBytes: Int?
    /// The highest of any pass, in N: one N is one pass over the states as stored.
    public var readsPerLayer: Double
    /// The same of writes.
    public var writesPerLayer: Double
    /// The passes of this process, in order.
    public var layers: [Layer]
    /// The generations that the store holds now.
    public var generations: [Int]
    /// Number format of the states: "bf16" or "f32".
    public var state: String
    /// What matrix products were computed in: f32 or bf16.
    public var compute: String
    /// How convolutions were computed: direct or fourier.
    public var convolution: String
    /// Why surprisal is not that of a predictor; nil where it is.
    public var surprisalCaveat: String?
    /// Worker threads.
    public var threads: Int?
    /// The window that memory allowed.
    public var window: Window?
    /// The model's folder.
    public var model: String
    /// `Model.fingerprint`.
    public var fingerprint: String
    /// The weights are random ones of `model init`.
    public var isUntrained: Bool
    /// The run had been begun before.
    public var isResumed: Bool
    /// Nothing was computed: the store was finished.
    public var isAlreadyComplete: Bool

    /// What the machine could do at best, by its self-test; nil where it was not measured (`bbp-stream tune`).
    public var bounds: Bounds?

    private enum CodingKeys: String, CodingKey {
        case tokens, scoredTokens, seconds, tokensPerSecond, bitsPerByte, peakAnonymousBytes
        case memoryBudgetBytes, readsPerLayer, writesPerLayer, layers, generations, state, compute
        case convolution, surprisalCaveat, threads, window, model, fingerprint, bounds
        case isUntrained = "untrained"
        case isResumed = "resumed"
        case isAlreadyComplete = "alreadyComplete"
    }

    /// What the machine's limits say of a run.
    public struct Bounds: Encodable, Sendable {
        /// Seconds that the arithmetic takes with the present kernels when nothing is read or written.
        public var arithmeticSeconds: Double
        /// Seconds that the pages take to and from the disk, sequentially.
        public var diskSeconds: Double
        /// Seconds of the run over the greater of the two.
        public var ratio: Double
    }

    /// One pass: a layer, or several.
    public struct Layer: Encodable, Sendable {
        /// Its first layer, from 1.
        public var firstLayer: Int
        /// Its last layer.
        public var layer: Int
        /// From the opening of the pass to its end.
        public var seconds: Double
        /// Pages read, in N: one N is one pass over the states as stored.
        public var reads: Double
        /// Of these, the rows of the windows themselves.
        public var readsOwn: Double
        /// Of these, the patches that delegates visit.
        public var readsHosts: Double
        /// Of these, the delegates that visit.
        public var readsGuests: Double
        /// The tokens to predict, in the last pass.
        public var readsTokens: Double
        /// States written, in N.
        public var writes: Double
        /// Pages read, in bytes.
        public var bytesRead: Int
        /// States written, in bytes of pages.
        public var bytesWritten: Int
        /// Surprisal pages, apart from the states.
        public var resultBytes: Int
        /// What the system moved from and to the disk meanwhile (/proc/self/io); the page cache served the rest.
        public var diskBytesRead: Int
        /// The same of writes.
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

    /// The sizes that the memory budget allowed.
    public struct Window: Encodable, Sendable {
        /// W: patches a window.
        public var patches: Int
        /// T: patches a block of states.
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
        /// The number; nil, or one that is not finite, is null in JSON.
        public var value: Double?
        package init(_ value: Double?) { self.value = value }
        /// One number, or null.
        ///
        /// - Throws: what `encoder` throws.
        public func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            if let value, value.isFinite { try container.encode(value) } else { try container.encodeNil() }
        }
    }

    /// One JSON object; names in snake case.
    ///
    /// - Throws: what `JSONEncoder` throws of numbers that are not finite, of which there are none.
    public func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }
}
