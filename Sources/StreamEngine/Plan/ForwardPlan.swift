import FoundationEssentials
import Geometry
import PageStore
import ProtonModel
import Support

/// What a forward run is going to do, stated before it starts.
public struct ForwardPlan: Sendable {
    /// The sequence in the model's patches.
    public var geometry: SequenceGeometry
    /// The model's shape.
    public var config: ModelConfig
    /// How layers share passes over the states.
    package var passes: PassPlan
    /// What `model init` wrote into untrained weights.
    public var untrained: String?
    /// Number format of the states.
    public var state: Element
    /// Which generations will stay.
    public var keep: ForwardOptions.Keep
    /// Worker threads.
    public var threads: Int
    /// The path of the kernels: "avx512".
    public var kernels: String
    /// What matrix products are computed in.
    public var compute: Compute
    /// How convolutions are computed.
    public var convolution: ConvolutionWay
    /// Bound on anonymous memory, in bytes.
    public var budget: Int
    /// How that memory is used.
    public var set: WorkingSet
    /// The layer that the run begins with: 1, or the first one not complete.
    public var firstLayer: Int
    /// Nothing is left to compute.
    public var isComplete: Bool { firstLayer > config.depth }
    /// How states shrink on disk, and what says so.
    public var compression: Compression
    /// Bytes of disk that it will still take at its peak.
    public var diskNeeded: Int
    /// Bytes free there.
    public var diskFree: Int
    /// Seconds that the run will take; nil where nothing says how fast this model is here.
    public var estimatedSeconds: Double?

    /// How states shrink on disk.
    public enum Compression: Sendable, Equatable {
        /// Taken not to shrink at all: the sequence is short.
        case none
        /// As a sample of so many tokens did.
        case sampled(Double, tokens: Int)
        /// As the generations did that are there already.
        case known(Double)

        /// Bytes before compression over bytes after it.
        public var ratio: Double {
            switch self {
            case .none: 1
            case .sampled(let ratio, _), .known(let ratio): ratio
            }
        }
    }

    /// Disk that the run takes at its peak beyond what it has written already.
    ///
    /// - Parameters:
    ///   - isRelaidOut: tokens are laid out anew first, beside the old ones.
    ///   - seconds: how long the run will take, if anything says so.
    ///   - alreadyThere: bytes of state generations on disk.
    ///   - done: tokens that were computed before others were appended.
    static func diskNeeded(
        geometry: SequenceGeometry, config: ModelConfig, passes: PassPlan, state: Element, keep: ForwardOptions.Keep,
        set: WorkingSet,
        firstLayer: Int, compression: Compression, isRelaidOut: Bool, seconds: Double?, outputs: Int, alreadyThere: Int,
        done: Int
    ) -> Int {
        // What was there before tokens were appended stays.
        let rows = Double(geometry.paddedTokens - done)
        // States may shrink less than the sample did.
        let margin = compression == .none ? 1.01 : 1.05
        let blocks = (rows / Double(set.patchesPerBlock * geometry.patchSize)).rounded(.up)
        // Half a page of LMDB's is lost at the end of a value, on average; a whole one at worst.
        let generation =
            rows * Double(config.hiddenSize * state.size) / compression.ratio * margin + blocks * 4096
        if firstLayer > config.depth { return outputs }
        let results = keep == .none ? 0 : 1
        let written = passes.passes.count - 1 + results
        // A long run in memory writes a pass's states to disk now and then, while the one before is still there.
        let spills = passes.hasStoredStates && (seconds ?? 0) > ForwardRun.checkpointSeconds / 2 ? 2 : 0
        let atOnce = keep == .all ? written : set.isResident ? max(results, min(spills, written)) : min(2, written)
        let tokens = isRelaidOut ? Double(geometry.paddedTokens) * (config.delegation == .transpose ? 2 : 4) : 0
        let bytes =
            generation * Double(atOnce) + rows * 4 + blocks * 4096 + tokens + Double(outputs) + 1_048_576
        return bytes < 9e18 ? max(0, Int(bytes) - (done > 0 ? 0 : alreadyThere)) : Int.max
    }

    /// One JSON object; names in snake case.
    ///
    /// - Throws: what `JSONEncoder` throws of numbers that are not finite, of which there are none.
    public func json() throws -> String {
        struct Fields: Encodable {
            var tokens, patches, patchSize, layers, firstLayer, threads, memoryBudgetBytes, memoryPlannedBytes,
                diskNeededBytes, diskFreeBytes, blockPatches, windowPatches, keptColumns: Int
            var state, keep, compute, convolution, kernels: String
            var inMemory, untrained, complete: Bool
            var compressionRatio: Double
            var estimatedSeconds: ForwardSummary.OrNull
            var memory: [String: Int]
            var passes: [PlannedPass]
        }
        let fields = Fields(
            tokens: geometry.tokens, patches: geometry.patches, patchSize: geometry.patchSize, layers: config.depth,
            firstLayer: firstLayer, threads: threads,
            memoryBudgetBytes: budget, memoryPlannedBytes: set.totalBytes, diskNeededBytes: diskNeeded,
            diskFreeBytes: diskFree, blockPatches: set.patchesPerBlock,
            windowPatches: set.windowPatches, keptColumns: set.stateSlots, state: state.name, keep: keep.rawValue,
            compute: compute.rawValue, convolution: convolution.rawValue, kernels: kernels, inMemory: set.isResident,
            untrained: untrained != nil,
            complete: isComplete, compressionRatio: compression.ratio, estimatedSeconds: .init(estimatedSeconds),
            memory: Dictionary(set.parts.map { ($0.name, $0.bytes) }, uniquingKeysWith: +), passes: plannedPasses)
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.sortedKeys]
        return String(decoding: try encoder.encode(fields), as: UTF8.self)
    }
}
