import CXXHash
import Geometry
import Glibc
import PageStore
import Support

/// Ingests files into a new store: bytes in, generation 0 out.
public enum Ingest {
    /// What the input bytes are.
    public enum Format: Sendable {
        /// Each file a document: BOS, its bytes, EOS.
        case documents
        /// Bytes and nothing else.
        case raw
        /// Little-endian UInt16 token ids, 0 to 258, specials included.
        case tokens
    }

    /// What was ingested.
    public struct Summary: Sendable {
        /// n: tokens of the store, specials included.
        public var tokens: Int
        /// Those of them that were ingested now.
        public var newTokens: Int
        /// Bytes that were read.
        public var inputBytes: Int
        /// Bytes of generation 0's pages, of all tokens.
        public var storedBytes: Int
        /// G: patches that the tokens fill, the last one perhaps in part.
        public var patches: Int
        /// Inputs.
        public var documents: Int
        /// What was not removed of a store that was replaced, and why.
        public var notes: [String]
    }

    static let beginOfSequence: UInt16 = 256
    static let endOfSequence: UInt16 = 257
    static let largestToken = Element.tokenIDs - 1

    /// Reads `inputs` ("-" is standard input) into a store at `directory`.
    ///
    /// The store appears when all of it is durable; whatever was there before stays until then, and stays if this
    /// fails.
    ///
    /// - Parameters:
    ///   - isReplacing: an existing store may be replaced.
    ///   - patchSize: P, 1 to 16 384; that of the model saves laying the tokens out anew.
    ///   - onProgress: called with the bytes read so far.
    /// - Throws: `Fault`: `noInput` for an input that is missing or empty, `badData` for ids that are none,
    ///   `cannotCreate` where the folder is taken, `interrupted` where a signal came.
    public static func run(
        _ inputs: [String], store directory: String, format: Format, patchSize: Int, isReplacing: Bool,
        onProgress: (Int) -> Void = { _ in }
    ) throws -> Summary {
        try check(inputs, store: directory)
        let name = Store.newName()
        let lock = try Store.prepare(directory, name: name, isReplacing: isReplacing)
        // Nothing half-written stays, and nothing that anybody else put there is removed.
        let made = Locked<String?>(nil)
        let cleanup = Cleanup.add { Store.abandon(directory, generation: made.withLock { $0 }, lock: lock) }
        do {
            return try fill(
                inputs, directory, name, format, patchSize, lock, onProgress,
                making: { generation in made.withLock { $0 = generation } }, publishing: { Cleanup.cancel(cleanup) })
        } catch {
            // Cancelled last: a second signal ends the process only when this is done.
            defer { Cleanup.cancel(cleanup) }
            // What was published before the error came is a store.
            if (try? Store.open(directory))?.manifest.store == name { throw error }
            Store.abandon(directory, generation: made.withLock { $0 }, lock: lock)
            throw error
        }
    }

    static func check(_ inputs: [String], store directory: String) throws {
        var kept = OutputGuard()
        if File.isDirectory(directory) { kept.keep(store: directory) }
        for input in inputs where input != "-" {
            try check(input)
            if kept.keeps(input) {
                throw Fault(
                    .usage, "the input is a file of the store that it is to go into", at: Place(file: input),
                    remedies: [.otherStore])
            }
        }
        guard inputs.filter({ $0 == "-" }).count <= 1 else {
            throw Fault(.usage, "standard input can be read once only")
        }
    }

    private static func check(_ input: String) throws {
        guard File.exists(input) else { throw Fault(.noInput, "there is no such file", at: Place(file: input)) }
        guard !File.isDirectory(input) else {
            throw Fault(.noInput, "this is a folder; name the files in it", at: Place(file: input))
        }
        guard File.isAccessible(input, R_OK) else { throw File.fault(.noInput, "cannot read", input) }
    }

    private static func fill(
        _ inputs: [String], _ directory: String, _ name: String, _ format: Format, _ patchSize: Int, _ lock: StoreLock,
        _ onProgress: (Int) -> Void, making: (_ generation: String) -> Void, publishing: () -> Void
    ) throws -> Summary {
        making(Store.unusedDirectory(directory, generation: 0))
        let writer = try TokenWriter(
            store: directory, identity: { GenerationIdentity(store: name, record: $0, patchSize: patchSize) },
            patchSize: patchSize, kernels: Kernels.select())
        let read = try read(inputs, format, into: writer, onProgress)
        guard let geometry = SequenceGeometry(tokens: writer.tokens, patchSize: patchSize) else {
            throw Fault(.badData, "\(writer.tokens) tokens make no sequence")
        }
        let record = try writer.finish()
        let manifest = Manifest(
            store: name, tokens: geometry.tokens, patchSize: patchSize, tokensFingerprint: read.fingerprint,
            documents: read.documents, generations: [record])
        publishing()
        let store = try Store.create(directory, manifest: manifest, lock: lock)
        return Summary(
            tokens: geometry.tokens, newTokens: geometry.tokens, inputBytes: read.bytes,
            storedBytes: record.storedBytes, patches: geometry.patches, documents: read.documents.count,
            notes: store.takeNotes())
    }

    /// Reads inputs, one after another, into a store's tokens.
    ///
    /// - Returns: what they are; the bytes that were read; the fingerprint of their tokens.
    static func read(_ inputs: [String], _ format: Format, into writer: TokenWriter, _ onProgress: (Int) -> Void) throws
        -> (documents: [Document], bytes: Int, fingerprint: String)
    {
        let fingerprint = try TokenFingerprint()
        var documents: [Document] = []
        var inputBytes = 0
        let chunk = try Memory<UInt8>(1 << 20)
        let ids = try Memory<UInt16>(1 << 20)

        for input in inputs {
            let first = writer.tokens
            func append(_ ids: UnsafeMutablePointer<UInt16>, _ count: Int) throws {
                fingerprint.add(UnsafeRawBufferPointer(start: ids, count: 2 * count))
                for index in 0..<count { try writer.append(ids[index]) }
            }
            func special(_ id: UInt16) throws {
                ids[0] = id
                try append(ids.start, 1)
            }
            let source = try InputBytes(input)
            if format == .documents { try special(beginOfSequence) }
            var offset = 0
            while true {
                try Interruption.check { "nothing was written" }
                let count = try source.read(chunk.bytes)
                if count == 0 { break }
                inputBytes += count
                if format == .tokens {
                    guard count % 2 == 0 else {
                        throw Fault(
                            .badData, "token ids take two bytes each; the input has \(offset + count) bytes",
                            at: Place(file: input, byteOffset: offset + count - 1))
                    }
                    for index in 0..<count / 2 {
                        let id = UInt16(chunk[2 * index]) | UInt16(chunk[2 * index + 1]) << 8
                        guard id <= largestToken else {
                            throw Fault(
                                .badData, "token id \(id) is above \(largestToken)",
                                at: Place(file: input, byteOffset: offset + 2 * index),
                                advice:
                                    "Token ids are little-endian UInt16: 0-255 bytes, 256 BOS, 257 EOS, 258 PAD.",
                                remedies: [.readBytes])
                        }
                        ids[index] = id
                    }
                    try append(ids.start, count / 2)
                } else {
                    for index in 0..<count { ids[index] = UInt16(chunk[index]) }
                    try append(ids.start, count)
                }
                offset += count
                onProgress(inputBytes)
            }
            guard offset > 0 else { throw Fault(.noInput, "the input is empty", at: Place(file: input)) }
            if format == .documents { try special(endOfSequence) }
            documents.append(Document(name: input, firstToken: first, tokens: writer.tokens - first))
        }
        return (documents, inputBytes, fingerprint.text)
    }
}

/// XXH3-64 over a stream of token ids.
final class TokenFingerprint {
    private let state: OpaquePointer

    init() throws {
        guard let state = XXH3_createState() else { throw Fault(.inputOutput, "out of memory") }
        self.state = state
        XXH3_64bits_reset(state)
    }

    deinit { XXH3_freeState(state) }

    func add(_ ids: UnsafeRawBufferPointer) { XXH3_64bits_update(state, ids.baseAddress, ids.count) }

    /// Sixteen hexadecimal digits.
    var text: String { XXH3_64bits_digest(state).hexDigits }

    /// Begins anew.
    func reset() { XXH3_64bits_reset(state) }
}

/// Holds all tokens of a store, in their order, against the fingerprints in its manifest: one, or one of each section.
final class TokenCheck {
    private var sections: ArraySlice<TokenSection>
    private let fingerprint: TokenFingerprint
    /// Tokens of the first section that are still to come.
    private var rest = 0
    private var hasDifference = false

    init(_ manifest: Manifest) throws {
        sections =
            (manifest.sections ?? [TokenSection(tokens: manifest.tokens, fingerprint: manifest.tokensFingerprint)])[...]
        fingerprint = try TokenFingerprint()
        rest = sections.first?.tokens ?? 0
    }

    func add(_ ids: UnsafeRawBufferPointer) {
        var ids = ids[...]
        while let section = sections.first, !ids.isEmpty {
            let count = min(rest, ids.count / 2)
            fingerprint.add(UnsafeRawBufferPointer(rebasing: ids.prefix(2 * count)))
            ids = ids.dropFirst(2 * count)
            rest -= count
            if rest > 0 { return }
            if fingerprint.text != section.fingerprint { hasDifference = true }
            fingerprint.reset()
            sections.removeFirst()
            rest = sections.first?.tokens ?? 0
        }
    }

    /// Whether all came, and are those that were ingested.
    var isPassed: Bool { sections.isEmpty && !hasDifference }
}

/// An input read front to back; "-" is standard input.
private final class InputBytes {
    private let path: String
    private let descriptor: Int32

    init(_ path: String) throws {
        self.path = path
        descriptor = path == "-" ? dup(0) : File.descriptor(path, O_RDONLY)
        // A named pipe that nobody writes yet waits here.
        if descriptor < 0 && errno == EINTR { try Interruption.check { "nothing was written" } }
        guard descriptor >= 0 else { throw File.fault(.noInput, "cannot read", path) }
        posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL)
    }

    deinit { close(descriptor) }

    /// Fills `target` unless the input ends; 0 at its end.
    func read(_ target: UnsafeMutableRawBufferPointer) throws -> Int {
        var done = 0
        while done < target.count {
            let count = Glibc.read(descriptor, target.baseAddress! + done, target.count - done)
            if count < 0 && errno == EINTR {
                try Interruption.check { "nothing was written" }
                continue
            }
            guard count >= 0 else { throw File.fault(.inputOutput, "cannot read", path) }
            if count == 0 { break }
            done += count
        }
        return done
    }
}
