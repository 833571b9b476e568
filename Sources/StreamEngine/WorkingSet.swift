import Geometry
import PageStore
import ProtonModel
import Support

/// The sizes of a forward run that memory decides: T, window, read heads, commits. None of them changes a result.
public struct WorkingSet: Sendable, Equatable {
    /// T: patches a block of states, a multiple of the tile.
    public var patchesPerBlock: Int
    /// W: patches a window, a multiple of T.
    public var windowPatches: Int
    /// Token indices whose run of hosts keeps its current block decoded from window to window, so that it is read
    /// once. 0 where the window holds the whole sequence.
    public var heads: Int
    /// Appended bytes that make a commit due.
    public var commitBytes: Int
    /// What it takes, by part, in bytes.
    public var parts: [Part]

    public struct Part: Sendable, Equatable {
        public var name: String
        public var bytes: Int
    }

    public var totalBytes: Int { parts.map(\.bytes).reduce(0, +) }
}

/// What the sizes of a working set follow from.
struct WorkingSetNeeds {
    var geometry: SequenceGeometry
    var config: ModelConfig
    var state: Element
    var threads: Int
    /// Bytes that one worker's arithmetic owns, measured.
    var arithmeticBytes: Int
    /// Bytes of one block's prepared weights.
    var weightBytes: Int
    /// The process itself: runtime, libraries, generated code.
    var baseBytes: Int
    /// T of the token generation.
    var tokenPatchesPerBlock: Int
    /// T of a run already begun.
    var fixedPatchesPerBlock: Int?

    private var tile: Int { Tiling(patchSize: geometry.patchSize).patchesPerTile }
    private func roundedToTile(_ patches: Int) -> Int { (patches + tile - 1) / tile * tile }
    /// G rounded up to a multiple of `unit`.
    private func whole(_ unit: Int) -> Int { (geometry.patches + unit - 1) / unit * unit }

    /// A column of about 32 KiB and a block of at least 256 KiB make reads long and LMDB's overhead small.
    private var preferredPatchesPerBlock: Int {
        let row = config.hiddenSize * state.size
        let wanted = max(32 << 10, (256 << 10) / geometry.patchSize) / row
        return min(roundedToTile(max(1, wanted)), roundedToTile(geometry.patches))
    }

    /// Windows beyond this gain nothing unless the whole sequence fits: hosts' runs are several tiles long by then.
    private var sufficientWindow: Int {
        let P = geometry.patchSize
        return max((1 << 18) / P, 4 * tile * P)
    }

    /// Bytes of a stored input row of the widest layer: layer 1 holds tokens where the others hold states.
    var rowBytes: Int { config.layers == 1 ? 2 : config.hiddenSize * state.size }

    /// Bytes of the largest decoded block of tokens.
    var tokenBlockBytes: Int { min(tokenPatchesPerBlock, geometry.patches) * geometry.patchSize * 2 }
    private func stateBlockBytes(T: Int) -> Int { T * geometry.patchSize * config.hiddenSize * state.size }

    /// Bytes of the largest decoded block that any layer reads.
    func inputBlockBytes(T: Int) -> Int { max(config.layers == 1 ? 0 : stateBlockBytes(T: T), tokenBlockBytes) }
    /// Bytes of the longest column that is read or written.
    func columnBytes(T: Int) -> Int { max(T * config.hiddenSize * state.size, tokenBlockBytes / geometry.patchSize, T * 4) }
    /// Bytes of the longest page.
    func pageBytes(T: Int) -> Int { max(stateBlockBytes(T: T), tokenBlockBytes) + PageHeader.size + geometry.patchSize * ColumnEntry.size }
    /// Bytes of the block that a worker decodes when a run of hosts has no head.
    func spareBytes(T: Int, W: Int, heads: Int) -> Int {
        W >= geometry.patches || heads >= geometry.patchSize ? 0 : inputBlockBytes(T: T)
    }

    private func pages(_ element: Element, T: Int, width: Int) -> PageHeader {
        PageHeader(element: element, generation: 1, block: 0, firstPatch: 0, patches: T, columns: geometry.patchSize, width: width)
    }

    func workingSet(T: Int, W: Int, heads: Int, commit: Int) -> WorkingSet {
        let (P, D, K) = (geometry.patchSize, config.hiddenSize, config.kernelSize)
        let L = Tiling(patchSize: P).rows
        let row = rowBytes
        let page = pageBytes(T: T)
        let reader = PageReader.footprint(pageBytes: page, columnBytes: columnBytes(T: T))
        let parts = [
            ("program", baseBytes),
            ("weights of a block", weightBytes + Embedding.footprint(width: D)),
            ("window: own", P * (min(W, whole(T)) + min(P - 1, geometry.patches)) * row),
            ("window: s", (K - 1 + min(W, whole(T)) * P + L) * D * 4),
            ("hosts: read heads", heads * inputBlockBytes(T: T)),
            ("guests", T * P * row),
            ("block being written", stateBlockBytes(T: T) + PageEncoder.footprint(pages(.f32, T: T, width: 1)) + PageEncoder.footprint(pages(state, T: T, width: D)) + (T * P + 1) * 10),
            ("tokens to predict", tokenBlockBytes),
            // Progress: as values, as bytes in the making, and in LMDB's pages.
            ("carry", 5 * (K - 1) * D * 4),
            ("uncommitted pages", commit + page + (3 << 20)),
            ("\(threads) worker\(threads == 1 ? "" : "s")", threads * (arithmeticBytes + reader + spareBytes(T: T, W: W, heads: heads) + (L + P) * D * 4)),
        ]
        return WorkingSet(patchesPerBlock: T, windowPatches: W, heads: heads, commitBytes: commit, parts: parts.map { .init(name: $0.0, bytes: $0.1) })
    }

    /// The program's own memory differs a little from start to start; the least that is named works all the same.
    private static let jitter = 1 << 20

    /// The best working set within `budget` bytes.
    ///
    /// - Throws: `Fault` (`usage`) that states the least that works.
    func choose(budget: Int) throws -> WorkingSet {
        let P = geometry.patchSize
        let commit = max(1 << 20, min(64 << 20, budget / 8))
        let largest = fixedPatchesPerBlock ?? preferredPatchesPerBlock

        // The whole sequence in one window: hosts and guests are then in memory and only own is read.
        // (Not priced where its size passes 2^63.)
        if !geometry.paddedTokens.multipliedReportingOverflow(by: 32 * config.hiddenSize).overflow {
            let everything = workingSet(T: largest, W: whole(largest), heads: 0, commit: commit)
            if everything.totalBytes <= budget { return everything }
        }

        // Else every run of hosts keeps its block, with blocks as long as that allows; but shorter than a quarter of a run
        // of G / P patches, for the blocks at both ends of a run are read for their part of it alone.
        var T = fixedPatchesPerBlock ?? min(largest, max(tile, geometry.patches / (4 * P) / tile * tile))
        while true {
            if workingSet(T: T, W: T, heads: P, commit: commit).totalBytes <= budget {
                return widened(T: T, heads: P, commit: commit, budget: budget)
            }
            if fixedPatchesPerBlock != nil || T <= tile { break }
            T = max(tile, roundedToTile(T / 2))
        }

        // Else as many as fit; the others' blocks are read again in every window.
        let smallCommit = 1 << 20
        let least = workingSet(T: T, W: T, heads: 0, commit: smallCommit)
        guard least.totalBytes <= budget else {
            throw Fault(
                .usage, "--memory \(ByteCount.text(budget)) is too small for any window: the least that works here is \(ByteCount.flag(least.totalBytes + Self.jitter))",
                advice: "Of that, \(least.parts.filter { $0.bytes > 0 }.map { "\(ByteCount.text($0.bytes)) for \($0.name)" }.joined(separator: ", ")).")
        }
        let oneHead = workingSet(T: T, W: T, heads: 1, commit: smallCommit).totalBytes - least.totalBytes
        let heads = min(P, (budget - least.totalBytes) / max(1, oneHead))
        return widened(T: T, heads: heads, commit: smallCommit, budget: budget)
    }

    /// The widest useful window that still fits.
    private func widened(T: Int, heads: Int, commit: Int, budget: Int) -> WorkingSet {
        var (low, high) = (1, max(1, min(sufficientWindow / T, whole(T) / T)))
        while low < high {
            let middle = (low + high + 1) / 2
            if workingSet(T: T, W: middle * T, heads: heads, commit: commit).totalBytes <= budget { low = middle } else { high = middle - 1 }
        }
        return workingSet(T: T, W: low * T, heads: heads, commit: commit)
    }
}
