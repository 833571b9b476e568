import FoundationEssentials
import Geometry
import Support

/// What a store holds, as written in manifest.json. The manifest is replaced in one step, so what it names is whole;
/// what it does not name is a leftover.
public struct Manifest: Codable, Sendable, Equatable {
    package static let format = "bbp-stream store"
    /// What is written: 4 where tokens were appended, which older programs cannot read.
    package static let version = 3
    static let newestVersion = 4
    /// Format 1 has no delegate orders; format 2 has no checksum, no ids of generations and no list of those dropped.
    static let oldestVersion = 1
    static let firstWithChecksum = 3

    package var format = Manifest.format
    package var version = Manifest.version
    /// Names this store in every generation's environment, so that a foreign file is told from its own.
    public var store: String
    /// n.
    public var tokens: Int
    /// P, the columns of every page.
    public var patchSize: Int
    /// XXH3-64 of the token ids as little-endian UInt16, in hexadecimal; where tokens were appended, of the fingerprints
    /// of all `sections`, one after another.
    public var tokensFingerprint: String
    /// What was ingested at once, in order, where tokens were appended; nil where all was.
    public var sections: [TokenSection]?
    /// The ingested inputs, in order; together they are the whole sequence.
    public var documents: [Document]
    /// The forward run that the state generations belong to; nil before the first.
    public var run: RunRecord?
    /// Ascending by index; generation 0 is always first.
    public var generations: [GenerationRecord]
    /// What this manifest was the first not to name, until it is removed; nil where nothing is left to remove.
    package var dropped: [DroppedGeneration]?
    /// Of the file's bytes, with zeros in its own place (`checksum(of:without:)`); set in the file alone.
    var checksum: String?

    enum CodingKeys: String, CodingKey {
        case format, version, store, tokens, documents, run, generations, dropped, checksum, sections
        case patchSize = "patch_size"
        case tokensFingerprint = "tokens_fingerprint"
    }

    package init(
        store: String, tokens: Int, patchSize: Int, tokensFingerprint: String, documents: [Document],
        generations: [GenerationRecord]
    ) {
        self.store = store
        self.tokens = tokens
        self.patchSize = patchSize
        self.tokensFingerprint = tokensFingerprint
        self.documents = documents
        self.generations = generations
    }

    /// The record of generation `index`; nil where the store has none.
    public func generation(_ index: Int) -> GenerationRecord? {
        generations.first { $0.index == index }
    }
}

/// Tokens that were ingested at once.
public struct TokenSection: Codable, Sendable, Equatable {
    /// How many.
    public var tokens: Int
    /// XXH3-64 of them as little-endian UInt16, in hexadecimal.
    public var fingerprint: String

    package init(tokens: Int, fingerprint: String) {
        self.tokens = tokens
        self.fingerprint = fingerprint
    }
}

/// A generation that is to be removed, if its environment still says that it is this one.
package struct DroppedGeneration: Codable, Sendable, Equatable {
    package var directory: String
    /// `GenerationIdentity.text`.
    package var identity: String
}

/// One ingested input.
public struct Document: Codable, Sendable, Equatable {
    /// The path that ingest was given; "-" for standard input.
    public var name: String
    /// Its first token, BOS included.
    public var firstToken: Int
    /// Its tokens, specials included.
    public var tokens: Int

    enum CodingKeys: String, CodingKey {
        case name, tokens
        case firstToken = "first_token"
    }

    package init(name: String, firstToken: Int, tokens: Int) {
        self.name = name
        self.firstToken = firstToken
        self.tokens = tokens
    }
}

/// What a run is bound to: it resumes only with the same model and state type.
public struct RunRecord: Codable, Sendable, Equatable {
    /// `Model.fingerprint` of the model.
    public var modelFingerprint: String
    /// False where the weights came from `model init`.
    public var isTrained: Bool
    /// The model's depth: the index of the last generation.
    public var layers: Int
    /// D.
    public var hiddenSize: Int
    /// Number format of the states: "bf16" or "f32".
    public var state: String
    /// T of the state generations.
    public var patchesPerBlock: Int
    /// Which generations are kept: "last", "all" or "none".
    public var keep: String
    /// What matrix products were computed in: "bf16", or nil for f32.
    public var compute: String?
    /// How convolutions were computed: "direct" or "fourier"; nil where an older version chose by the model's shape.
    public var convolution: String?
    /// How the kernels rounded: "plain", or "vector" (all others agree bit for bit). nil in runs of older versions,
    /// which did not record it; their fingerprint left out the weights' number formats.
    public var kernels: String?
    /// Revision of the arithmetic, which another one would not continue bit for bit; nil as `kernels`.
    public var arithmetic: Int?
    /// Whether all layers stream, so that the run goes on where tokens are appended; nil as `kernels`.
    public var isStreaming: Bool?
    /// Set when the last layer is done.
    public var isComplete: Bool

    enum CodingKeys: String, CodingKey {
        case layers, state, keep, compute, convolution, kernels, arithmetic
        case isStreaming = "streaming"
        case isTrained = "trained"
        case isComplete = "complete"
        case modelFingerprint = "model_fingerprint"
        case hiddenSize = "hidden_size"
        case patchesPerBlock = "patches_per_block"
    }

    package init(
        modelFingerprint: String, isTrained: Bool, layers: Int, hiddenSize: Int, state: String, patchesPerBlock: Int,
        keep: String, compute: String? = nil, convolution: String? = nil, kernels: String? = nil,
        arithmetic: Int? = nil, isStreaming: Bool? = nil
    ) {
        self.modelFingerprint = modelFingerprint
        self.isTrained = isTrained
        self.layers = layers
        self.hiddenSize = hiddenSize
        self.state = state
        self.patchesPerBlock = patchesPerBlock
        self.keep = keep
        self.compute = compute
        self.convolution = convolution
        self.kernels = kernels
        self.arithmetic = arithmetic
        self.isStreaming = isStreaming
        self.isComplete = false
    }
}

/// One generation: the tokens (0) or the states after layer `index`.
public struct GenerationRecord: Codable, Sendable, Equatable {
    /// 0 for the tokens; else the layer, from 1, whose output it holds.
    public var index: Int
    /// The environment's folder inside the store.
    public var directory: String
    /// Number format of the `states` table: "u16", "bf16" or "f32".
    public var element: String
    /// T.
    public var patchesPerBlock: Int
    /// Values a token in the `states` table: 1 for tokens, D for states.
    public var width: Int
    /// The tables that are filled, of "states" and "surprisal".
    public var tables: [String]
    /// Whether every block is there.
    public var isComplete: Bool
    /// Sum of the pages' bytes in the `states` table, once complete.
    public var storedBytes: Int
    /// The model that computed it; nil for generation 0.
    public var modelFingerprint: String?
    /// What decided which token of a patch stands in which column, for the pass that reads it; nil where tokens stand
    /// in their own order.
    public var order: String?
    /// A UUID, so that no two generations are taken for each other; nil where an older version made it.
    public var id: String?
    /// Which model computed it and in which way, as far as its bits depend on that; nil for tokens, and where an older
    /// version made it.
    public var computation: String?
    /// Environments that continue it since tokens were appended, in their order; nil where there are none.
    public var supplements: [Supplement]?

    enum CodingKeys: String, CodingKey {
        case index, directory, element, width, tables, order, id, computation, supplements
        case isComplete = "complete"
        case patchesPerBlock = "patches_per_block"
        case storedBytes = "stored_bytes"
        case modelFingerprint = "model_fingerprint"
    }

    package init(
        index: Int, directory: String, element: Element, patchesPerBlock: Int, width: Int, tables: [PageTable],
        modelFingerprint: String? = nil, order: String? = nil, computation: String? = nil
    ) {
        self.index = index
        self.directory = directory
        self.element = element.name
        self.patchesPerBlock = patchesPerBlock
        self.width = width
        self.tables = tables.map(\.rawValue)
        self.isComplete = false
        self.storedBytes = 0
        self.modelFingerprint = modelFingerprint
        self.order = order
        self.id = Store.newName()
        self.computation = computation
    }

    /// Whether the table is one of those that are filled.
    public func holds(_ table: PageTable) -> Bool { tables.contains(table.rawValue) }
}

/// An environment that continues a generation after tokens were appended. What is complete is never written again, so
/// it holds the blocks from one on, that one in place of the last one before it, which had fewer tokens.
public struct Supplement: Codable, Sendable, Equatable {
    /// Its first block.
    public var firstBlock: Int
    /// The environment's folder inside the store.
    public var directory: String
    /// A UUID.
    public var id: String

    enum CodingKeys: String, CodingKey {
        case directory, id
        case firstBlock = "first_block"
    }

    package init(firstBlock: Int, directory: String) {
        self.firstBlock = firstBlock
        self.directory = directory
        self.id = Store.newName()
    }
}

extension GenerationRecord {
    /// The folders of all its environments, in the order of their blocks.
    package var directories: [String] { [directory] + (supplements ?? []).map(\.directory) }

    /// Whether it was complete before tokens were appended, or is on its way to be again.
    package var isContinued: Bool { !isComplete && supplements != nil }
}

/// The tables of pages in a generation's environment.
public enum PageTable: String, Sendable, CaseIterable {
    /// Tokens (generation 0) or hidden states.
    case states
    /// Bits of surprisal a token; in the last generation only.
    case surprisal
}

extension Manifest {
    /// Reads and checks manifest.json.
    ///
    /// - Throws: `Fault`: `noInput` when there is no store, `badData` naming the field otherwise.
    static func read(_ path: String, store: String) throws -> Manifest {
        guard File.exists(store) else {
            throw Fault(
                .noInput, "there is no such store", at: Place(file: store),
                remedies: [.ingest(into: store)])
        }
        guard File.isDirectory(store), File.exists(path) else {
            throw Fault(
                .noInput, "this is not a bbp-stream store: it has no manifest.json", at: Place(file: store),
                remedies: [.ingest(into: nil)])
        }
        let bytes = try File.read(path)
        _ = try JSONValue.object(bytes, file: path)
        struct Stamp: Decodable {
            var format: String?
            var version: Int?
        }
        let stamp: Stamp = try decode(bytes, path)
        guard stamp.format == Manifest.format else {
            throw Fault(.badData, "not the manifest of a bbp-stream store", at: Place(file: path, field: "format"))
        }
        guard let version = stamp.version, (oldestVersion...Manifest.newestVersion).contains(version) else {
            throw Fault(
                .badData,
                "store format \(stamp.version.map(String.init) ?? "unknown"); this program reads formats \(oldestVersion) to \(Manifest.newestVersion)",
                at: Place(file: path, field: "version"), advice: "The bbp-stream that wrote it reads it.",
                remedies: [.ingestAgain])
        }
        var manifest: Manifest = try decode(bytes, path)
        if let stated = manifest.checksum {
            guard checksum(of: bytes, without: stated) == stated else {
                throw damaged(
                    path, "checksum", "the manifest is not what was written: it was changed, or it is damaged")
            }
        } else if version >= firstWithChecksum {
            throw damaged(path, "checksum", "the field is missing")
        }
        manifest.checksum = nil
        try manifest.check(path)
        return manifest
    }

    private static func damaged(_ path: String, _ field: String?, _ problem: String) -> Fault {
        Fault(
            .badData, problem, at: Place(file: path, field: field),
            advice: "Nothing was removed.",
            remedies: [.restore("manifest.json"), .ingestAgain])
    }

    private static func decode<T: Decodable>(_ bytes: [UInt8], _ path: String) throws -> T {
        do {
            return try JSONDecoder().decode(T.self, from: Data(bytes))
        } catch let error as DecodingError {
            let (field, problem) = error.fieldAndProblem
            throw damaged(path, field, problem)
        }
    }

    // MARK: Checksum

    private static let noChecksum = String(repeating: "0", count: 16)

    /// XXH3-64 of a manifest's bytes with zeros where `digits` stand.
    private static func checksum(of bytes: [UInt8], without digits: String) -> String {
        let digits = Array(digits.utf8)
        var bytes = bytes
        var place = 0
        while digits.count == noChecksum.utf8.count, place <= bytes.count - digits.count {
            if bytes[place] == digits[0], bytes[place..<place + digits.count].elementsEqual(digits) {
                bytes.replaceSubrange(place..<place + digits.count, with: noChecksum.utf8)
                place += digits.count
            } else {
                place += 1
            }
        }
        return bytes.withUnsafeBytes { PageStore.checksum($0) }.hexDigits
    }

    /// Puts the checksum into a manifest whose first sixteen zeros are its place.
    static func sealed(_ bytes: [UInt8]) -> [UInt8] {
        let zeros = Array(noChecksum.utf8)
        guard bytes.count >= zeros.count,
            let place = (0...bytes.count - zeros.count).first(where: {
                bytes[$0..<$0 + zeros.count].elementsEqual(zeros)
            })
        else { return bytes }
        var sealed = bytes
        sealed.replaceSubrange(place..<place + zeros.count, with: checksum(of: bytes, without: noChecksum).utf8)
        return sealed
    }

    func encoded() throws -> [UInt8] {
        var manifest = self
        manifest.checksum = Self.noChecksum
        let encoder = JSONEncoder()
        // The checksum comes before everything that could hold sixteen zeros.
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return Self.sealed(Array(try encoder.encode(manifest)) + [0x0a])
    }

    // MARK: Rules

    /// Checks every field against the others: what follows from a manifest never depends on its checksum.
    func check(_ path: String) throws {
        func fail(_ field: String, _ problem: String) -> Fault { Self.damaged(path, field, problem) }
        guard SequenceGeometry(tokens: tokens, patchSize: patchSize) != nil else {
            throw fail("tokens", "\(tokens) tokens in patches of \(patchSize) make no sequence")
        }
        // It stands between spaces in identities.
        guard (1...64).contains(store.utf8.count), store.utf8.allSatisfy(Self.isLetterOrDigit) else {
            throw fail("store", "the store's name is none")
        }
        var end = 0
        for (number, document) in documents.enumerated() {
            guard document.firstToken == end, document.tokens > 0, document.tokens <= tokens - end else {
                throw fail(
                    "documents",
                    "document \(number) does not begin where the one before it ends, or passes the \(tokens) tokens")
            }
            end += document.tokens
        }
        guard end == tokens else {
            throw fail("documents", "the documents have \(end) tokens together, the store \(tokens)")
        }
        guard generations.first?.index == 0 else { throw fail("generations", "generation 0, the tokens, is missing") }
        for (record, next) in zip(generations, generations.dropFirst()) where record.index >= next.index {
            throw fail("generations", "generation \(next.index) follows generation \(record.index)")
        }
        var directories: Set<String> = []
        for directory in generations.flatMap(\.directories) + (dropped ?? []).map(\.directory) {
            guard Store.isGeneration(directory) else {
                throw fail("directory", "'\(directory)' is no generation's folder in the store")
            }
            guard directories.insert(directory).inserted else {
                throw fail("directory", "two generations lie in '\(directory)'")
            }
        }
        try checkSections(fail)
        for record in generations {
            try checkSizes(record, fail)
            try checkSupplements(record, fail)
        }
        let states = generations.dropFirst()
        guard let run else {
            if states.isEmpty { return }
            throw fail("run", "is missing, though there are states")
        }
        try check(run, fail)
        guard states.dropLast().allSatisfy({ $0.isComplete || $0.isContinued }),
            run.isComplete == (generation(run.layers)?.isComplete == true)
        else {
            throw fail("run.complete", "contradicts the generations")
        }
    }

    private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    private func checkSections(_ fail: (_ field: String, _ problem: String) -> Fault) throws {
        guard let sections else { return }
        var end = 0
        for (number, section) in sections.enumerated() {
            guard section.tokens > 0, section.tokens <= tokens - end else {
                throw fail("sections", "section \(number) passes the \(tokens) tokens")
            }
            end += section.tokens
        }
        guard end == tokens, tokensFingerprint == Manifest.fingerprint(of: sections) else {
            throw fail("sections", "the sections are not all of the \(tokens) tokens, or not those fingerprinted")
        }
    }

    /// The fingerprint of tokens that were ingested in sections.
    package static func fingerprint(of sections: [TokenSection]) -> String {
        Array(sections.map(\.fingerprint).joined().utf8).withUnsafeBytes { PageStore.checksum($0) }.hexDigits
    }

    private func checkSupplements(_ record: GenerationRecord, _ fail: (_ field: String, _ problem: String) -> Fault)
        throws
    {
        guard let supplements = record.supplements else { return }
        let blocks =
            geometry.map { BlockGrid(patches: $0.patches, patchesPerBlock: record.patchesPerBlock).blocks } ?? 0
        var last = 0
        for supplement in supplements {
            guard supplement.firstBlock > last, supplement.firstBlock < blocks else {
                throw fail(
                    "first_block",
                    "generation \(record.index) is continued from block \(supplement.firstBlock)"
                        + ", after \(last) and of \(blocks)")
            }
            last = supplement.firstBlock
            guard supplement.id.utf8.allSatisfy(Self.isLetterOrDigit), !supplement.id.isEmpty else {
                throw fail("id", "generation \(record.index) is continued under an id that is none")
            }
        }
        guard last > 0, record.order == nil else {
            throw fail("supplements", "generation \(record.index) cannot be continued like this")
        }
    }

    private var geometry: SequenceGeometry? { SequenceGeometry(tokens: tokens, patchSize: patchSize) }

    /// Whether programs that know of no appended tokens can read it.
    var isContinued: Bool { sections != nil || generations.contains { $0.supplements != nil } }

    private func checkSizes(_ record: GenerationRecord, _ fail: (_ field: String, _ problem: String) -> Fault) throws {
        let index = record.index
        guard let element = Element(name: record.element) else {
            throw fail("element", "unknown number format '\(record.element)'")
        }
        guard (1...1 << 40).contains(record.patchesPerBlock), (1...1 << 20).contains(record.width) else {
            throw fail("patches_per_block", "generation \(index) has impossible sizes")
        }
        // LMDB's values, and with them pages, stay below 4 GiB.
        let (page, overflow) = (record.patchesPerBlock * patchSize).multipliedReportingOverflow(by: 4 * record.width)
        guard !overflow, page <= 1 << 33 else {
            throw fail("patches_per_block", "generation \(index) has pages of impossible size")
        }
        guard (0...1 << 56).contains(record.storedBytes) else {
            throw fail("stored_bytes", "generation \(index) has \(record.storedBytes)")
        }
        guard let tables = record.knownTables else {
            throw fail("tables", "generation \(index) has tables that are unknown or there twice")
        }
        guard record.id?.utf8.allSatisfy(Self.isLetterOrDigit) != false else {
            throw fail("id", "generation \(index) has an id that is none")
        }
        guard
            record.computation.map({
                (1...256).contains($0.utf8.count) && $0.utf8.allSatisfy { (0x20..<0x7f).contains($0) }
            }) != false
        else {
            throw fail("computation", "generation \(index) says nothing that can be read")
        }
        if index > 0 { return }
        guard element == .token, record.width == 1 else {
            throw fail(
                "element", "generation 0 holds tokens: u16 of width 1, not \(element.name) of width \(record.width)")
        }
        guard tables == [.states], record.isComplete, record.modelFingerprint == nil else {
            throw fail("generations", "generation 0 is not a complete table of tokens")
        }
    }

    private func check(_ run: RunRecord, _ fail: (_ field: String, _ problem: String) -> Fault) throws {
        guard run.state == Element.bf16.name || run.state == Element.f32.name else {
            throw fail("run.state", "states cannot be '\(run.state)'")
        }
        guard (1...1 << 20).contains(run.layers) else {
            throw fail("run.layers", "is \(run.layers), which is impossible")
        }
        guard (1...1 << 20).contains(run.hiddenSize) else {
            throw fail("run.hidden_size", "is \(run.hiddenSize), which is impossible")
        }
        guard (1...1 << 40).contains(run.patchesPerBlock) else {
            throw fail("run.patches_per_block", "is \(run.patchesPerBlock), which is impossible")
        }
        for (field, value, known) in [
            ("keep", run.keep, RunRecord.keeps), ("compute", run.compute, RunRecord.computes),
            ("convolution", run.convolution, RunRecord.convolutions), ("kernels", run.kernels, RunRecord.kernelKinds),
        ] {
            if let value, !known.contains(value) {
                throw fail("run.\(field)", "is '\(value)'; must be one of \(known.joined(separator: ", "))")
            }
        }
        for record in generations.dropFirst() {
            let isLast = record.index == run.layers
            var tables: Set<PageTable> = []
            if !isLast || run.keep != "none" { tables.insert(.states) }
            if isLast { tables.insert(.surprisal) }
            guard record.index <= run.layers, record.element == run.state, record.width == run.hiddenSize,
                record.patchesPerBlock == run.patchesPerBlock, record.knownTables == tables,
                record.modelFingerprint == nil || record.modelFingerprint == run.modelFingerprint
            else { throw fail("generations", "generation \(record.index) contradicts the run it belongs to") }
        }
    }
}

extension GenerationRecord {
    /// nil where a table is unknown or named twice.
    fileprivate var knownTables: Set<PageTable>? {
        let known = Set(tables.compactMap(PageTable.init))
        return known.count == tables.count ? known : nil
    }
}

extension RunRecord {
    static let keeps = ["last", "all", "none"]
    static let computes = Compute.allCases.map(\.rawValue)
    static let convolutions = ["direct", "fourier"]
    static let kernelKinds = ["plain", "vector"]
}

extension DecodingError {
    /// The JSON field that was wrong, and how.
    var fieldAndProblem: (field: String?, problem: String) {
        func name(_ context: Context, _ key: (any CodingKey)? = nil) -> String? {
            let path = (context.codingPath + (key.map { [$0] } ?? [])).map {
                $0.intValue.map(String.init) ?? $0.stringValue
            }
            return path.isEmpty ? nil : path.joined(separator: ".")
        }
        switch self {
        case .keyNotFound(let key, let context): return (name(context, key), "the field is missing")
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            return (name(context), "the field has the wrong type")
        case .dataCorrupted(let context): return (name(context), "not valid JSON or a value out of range")
        @unknown default: return (nil, "not valid JSON")
        }
    }
}
