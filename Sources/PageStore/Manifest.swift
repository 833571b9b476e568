import FoundationEssentials
import Geometry
import Support

/// What a store holds, as written in manifest.json. The manifest is replaced in one step, so what it names is whole;
/// what it does not name is a leftover.
public struct Manifest: Codable, Sendable, Equatable {
    public static let format = "bbp-stream store"
    public static let version = 2
    /// Format 1 has no delegate orders.
    static let oldestVersion = 1

    public var format = Manifest.format
    public var version = Manifest.version
    /// Names this store in every generation's environment, so that a foreign file is told from its own.
    public var store: String
    /// n.
    public var tokens: Int
    /// P, the columns of every page.
    public var patchSize: Int
    /// XXH3-64 of the token ids as little-endian UInt16, in hexadecimal.
    public var tokensFingerprint: String
    public var documents: [Document]
    /// The forward run that the state generations belong to; nil before the first.
    public var run: RunRecord?
    /// Ascending by index; generation 0 is always first.
    public var generations: [GenerationRecord]

    enum CodingKeys: String, CodingKey {
        case format, version, store, tokens, documents, run, generations
        case patchSize = "patch_size"
        case tokensFingerprint = "tokens_fingerprint"
    }

    public init(store: String, tokens: Int, patchSize: Int, tokensFingerprint: String, documents: [Document], generations: [GenerationRecord]) {
        self.store = store
        self.tokens = tokens
        self.patchSize = patchSize
        self.tokensFingerprint = tokensFingerprint
        self.documents = documents
        self.generations = generations
    }

    public func generation(_ index: Int) -> GenerationRecord? {
        generations.first { $0.index == index }
    }
}

/// One ingested input.
public struct Document: Codable, Sendable, Equatable {
    public var name: String
    /// Its first token, BOS included.
    public var firstToken: Int
    /// Its tokens, specials included.
    public var tokens: Int

    enum CodingKeys: String, CodingKey {
        case name, tokens
        case firstToken = "first_token"
    }

    public init(name: String, firstToken: Int, tokens: Int) {
        self.name = name
        self.firstToken = firstToken
        self.tokens = tokens
    }
}

/// What a run is bound to: it resumes only with the same model and state type.
public struct RunRecord: Codable, Sendable, Equatable {
    public var modelFingerprint: String
    /// False where the weights came from `model init`.
    public var trained: Bool
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
    /// Set when the last layer is done.
    public var complete: Bool

    enum CodingKeys: String, CodingKey {
        case trained, layers, state, keep, compute, convolution, complete
        case modelFingerprint = "model_fingerprint"
        case hiddenSize = "hidden_size"
        case patchesPerBlock = "patches_per_block"
    }

    public init(modelFingerprint: String, trained: Bool, layers: Int, hiddenSize: Int, state: String, patchesPerBlock: Int, keep: String, compute: String? = nil, convolution: String? = nil) {
        self.modelFingerprint = modelFingerprint
        self.trained = trained
        self.layers = layers
        self.hiddenSize = hiddenSize
        self.state = state
        self.patchesPerBlock = patchesPerBlock
        self.keep = keep
        self.compute = compute
        self.convolution = convolution
        self.complete = false
    }
}

/// One generation: the tokens (0) or the states after layer `index`.
public struct GenerationRecord: Codable, Sendable, Equatable {
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
    public var complete: Bool
    /// Sum of the pages' bytes in the `states` table, once complete.
    public var storedBytes: Int
    /// The model that computed it; nil for generation 0.
    public var modelFingerprint: String?
    /// What decided which token of a patch stands in which column, for the pass that reads it; nil where tokens stand in their own
    /// order.
    public var order: String?

    enum CodingKeys: String, CodingKey {
        case index, directory, element, width, tables, complete, order
        case patchesPerBlock = "patches_per_block"
        case storedBytes = "stored_bytes"
        case modelFingerprint = "model_fingerprint"
    }

    public init(index: Int, directory: String, element: Element, patchesPerBlock: Int, width: Int, tables: [PageTable], modelFingerprint: String? = nil, order: String? = nil) {
        self.index = index
        self.directory = directory
        self.element = element.name
        self.patchesPerBlock = patchesPerBlock
        self.width = width
        self.tables = tables.map(\.rawValue)
        self.complete = false
        self.storedBytes = 0
        self.modelFingerprint = modelFingerprint
        self.order = order
    }

    public func holds(_ table: PageTable) -> Bool { tables.contains(table.rawValue) }
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
            throw Fault(.noInput, "there is no such store", at: Place(file: store), advice: "Make one with `bbp-stream ingest FILE --store \(store)`.")
        }
        guard File.isDirectory(store), File.exists(path) else {
            throw Fault(.noInput, "this is not a bbp-stream store: it has no manifest.json", at: Place(file: store), advice: "Make one with `bbp-stream ingest FILE --store DIR`.")
        }
        let bytes = try File.read(path)
        struct Stamp: Decodable {
            var format: String?
            var version: Int?
        }
        let stamp: Stamp = try decode(bytes, path)
        guard stamp.format == Manifest.format else {
            throw Fault(.badData, "not the manifest of a bbp-stream store", at: Place(file: path, field: "format"))
        }
        guard let version = stamp.version, (oldestVersion...Manifest.version).contains(version) else {
            throw Fault(.badData, "store format \(stamp.version.map(String.init) ?? "unknown"); this program reads formats \(oldestVersion) to \(Manifest.version)",
                at: Place(file: path, field: "version"), advice: "Use the bbp-stream that wrote it, or ingest again.")
        }
        let manifest: Manifest = try decode(bytes, path)
        try manifest.check(path)
        return manifest
    }

    private static func decode<T: Decodable>(_ bytes: [UInt8], _ path: String) throws -> T {
        do {
            return try JSONDecoder().decode(T.self, from: Data(bytes))
        } catch let error as DecodingError {
            let (field, problem) = error.fieldAndProblem
            throw Fault(.badData, problem, at: Place(file: path, field: field), advice: "The manifest is damaged; ingest again with --force.")
        }
    }

    func check(_ path: String) throws {
        func fail(_ field: String, _ problem: String) -> Fault {
            Fault(.badData, problem, at: Place(file: path, field: field), advice: "The manifest is damaged; ingest again with --force.")
        }
        guard SequenceGeometry(tokens: tokens, patchSize: patchSize) != nil else {
            throw fail("tokens", "\(tokens) tokens in patches of \(patchSize) make no sequence")
        }
        guard generations.first?.index == 0 else { throw fail("generations", "generation 0, the tokens, is missing") }
        for (record, next) in zip(generations, generations.dropFirst()) where record.index >= next.index {
            throw fail("generations", "generation \(next.index) follows generation \(record.index)")
        }
        for record in generations {
            guard Element(name: record.element) != nil else { throw fail("element", "unknown number format '\(record.element)'") }
            guard (1...1 << 40).contains(record.patchesPerBlock), (1...1 << 20).contains(record.width) else {
                throw fail("patches_per_block", "generation \(record.index) has impossible sizes")
            }
            // LMDB's values, and with them pages, stay below 4 GiB.
            let (page, overflow) = (record.patchesPerBlock * patchSize).multipliedReportingOverflow(by: 4 * record.width)
            guard !overflow, page <= 1 << 33 else { throw fail("patches_per_block", "generation \(record.index) has pages of impossible size") }
            guard !record.directory.contains("/"), record.directory.hasPrefix("generation-") else {
                throw fail("directory", "generation \(record.index) lies in '\(record.directory)', outside the store")
            }
        }
        if let run {
            guard Element(name: run.state) != nil, run.layers >= 1, run.hiddenSize >= 1, run.patchesPerBlock >= 1 else {
                throw fail("run", "the run record has impossible values")
            }
            guard run.patchesPerBlock <= 1 << 40 else { throw fail("run.patches_per_block", "is \(run.patchesPerBlock), which is impossible") }
            let states = generations.dropFirst()
            for record in states {
                guard record.index <= run.layers, record.element == run.state, record.width == run.hiddenSize, record.patchesPerBlock == run.patchesPerBlock else {
                    throw fail("generations", "generation \(record.index) contradicts the run it belongs to")
                }
            }
            guard states.dropLast().allSatisfy(\.complete), run.complete == (generation(run.layers)?.complete == true) else {
                throw fail("run.complete", "contradicts the generations")
            }
        }
    }

    func encoded() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(self)) + [0x0a]
    }
}

extension DecodingError {
    /// The JSON field that was wrong, and how.
    var fieldAndProblem: (field: String?, problem: String) {
        func name(_ context: Context, _ key: (any CodingKey)? = nil) -> String? {
            let path = (context.codingPath + (key.map { [$0] } ?? [])).map { $0.intValue.map(String.init) ?? $0.stringValue }
            return path.isEmpty ? nil : path.joined(separator: ".")
        }
        switch self {
        case .keyNotFound(let key, let context): return (name(context, key), "the field is missing")
        case .typeMismatch(_, let context), .valueNotFound(_, let context): return (name(context), "the field has the wrong type")
        case .dataCorrupted(let context): return (name(context), "not valid JSON or a value out of range")
        @unknown default: return (nil, "not valid JSON")
        }
    }
}
