import Compute
import Geometry
import Glibc
import PageStore
import ProtonModel
import StreamEngine
import Support

/// A small store and its model, and what comes of them undisturbed. `fuzzer prepare` makes it once, cases copy it.
struct Scene {
    static let names = ["tokens", "many", "finished", "ordered", "begun"]
    /// What their short kernels are computed with, of whatever length the sequence.
    static let convolution = ConvolutionWay.direct

    let name: String
    let folder: String
    /// Generation by generation, as `export` writes them.
    let expected: [[UInt8]]
    /// As `forward --nll` writes it.
    let surprisal: [UInt8]
    let manifest: Manifest
    /// manifest.json, config.json and the header of model.safetensors.
    let manifestTree, configTree, headerTree: JSONTree
    /// model.safetensors behind its header.
    let weights: [UInt8]
    let fingerprint: String
    let config: ModelConfig

    var store: String { "\(folder)/store" }
    var model: String { "\(folder)/model" }
    var depth: Int { config.depth }
    /// Number format of the states.
    var state: Element { manifest.run.flatMap { Element(name: $0.state) } ?? .bf16 }

    init(_ name: String, in base: String) throws {
        self.name = name
        folder = "\(base)/\(name)"
        let opened = try Model(directory: "\(folder)/model")
        fingerprint = opened.fingerprint
        config = opened.config
        manifest = try Store.open("\(folder)/store").manifest
        let folder = folder
        expected = (0...opened.config.depth).map { Files.read("\(folder)/expected/\($0).npy") }
        surprisal = Files.read("\(folder)/expected/nll.npy")
        let file = Files.read("\(folder)/model/model.safetensors")
        let header = Int(file.number(at: 0, width: 8))
        weights = Array(file[(8 + header)...])
        guard let manifestTree = JSONTree(Files.read("\(folder)/store/manifest.json")),
            let configTree = JSONTree(Files.read("\(folder)/model/config.json")),
            let headerTree = JSONTree(Array(file[8..<8 + header])), expected.allSatisfy({ !$0.isEmpty }),
            !surprisal.isEmpty
        else { throw Fault(.badData, "the scene was not prepared", at: Place(file: folder)) }
        (self.manifestTree, self.configTree, self.headerTree) = (manifestTree, configTree, headerTree)
    }
}

// MARK: Preparation

/// Makes the scenes. Every one is the same whenever it is made.
enum Preparation {
    private static let patchSize = 8
    /// T of all states: one tile, so that small stores have several blocks. The engine alone would make one of them.
    private static let patchesPerBlock = 96

    static func run(_ base: String) throws {
        try File.makeDirectory(base)
        var plain = ModelConfig(
            hiddenSize: 8, intermediateSize: 16, layers: 2, heads: 2, patchSize: patchSize, kernelSize: 3)
        try make("tokens", base, plain, patchesPerBlock: 4096, state: .bf16)
        try make("many", base, plain, patchesPerBlock: 1, state: .bf16)
        try make("finished", base, plain, patchesPerBlock: 64, state: .bf16, halves: true)
        plain.delegation = .selective
        plain.recurrence = 2
        plain.layers = 1
        plain.stack = [
            ConvolutionShape(kernelSize: 3, channels: 12),
            ConvolutionShape(kernelSize: 2, dilation: 3, channels: 8),
        ]
        try make("ordered", base, plain, patchesPerBlock: 4096, state: .f32)
        // Last: the interruption lasts as long as the process.
        plain = ModelConfig(
            hiddenSize: 8, intermediateSize: 16, layers: 2, heads: 2, patchSize: patchSize, kernelSize: 3)
        try make("begun", base, plain, tokens: 4700, patchesPerBlock: 4096, state: .bf16)
        try interrupt("\(base)/begun")
    }

    /// - Parameters:
    ///   - tokens: as many as three blocks of states have, the last patch not full.
    ///   - patchesPerBlock: T of the tokens.
    ///   - halves: the weights are BF16.
    private static func make(
        _ name: String, _ base: String, _ config: ModelConfig, tokens: Int = 1699, patchesPerBlock: Int,
        state: Element,
        halves: Bool = false
    ) throws {
        let folder = "\(base)/\(name)"
        let (store, model, done) = ("\(folder)/store", "\(folder)/model", "\(folder)/done")
        try File.makeDirectory(folder)
        try Model.initialize(model, config: config, seed: 3, isReplacing: false)
        if halves { try halve("\(model)/model.safetensors") }
        try writeTokens(store, named: name, tokens: tokens, patchesPerBlock: patchesPerBlock)
        try Files.copy(store, to: done)
        try begin(done, model: model, state: state, keep: .all)
        try File.makeDirectory("\(folder)/expected")
        var options = ForwardOptions(store: done, model: model)
        options.nll = "\(folder)/expected/nll.npy"
        options.memory = Budget.ample
        _ = try ForwardRun(options, observer: Silent()).run()
        for generation in 0...config.depth {
            let file = "\(folder)/expected/\(generation).npy"
            _ = try Export.run(store: done, generation: generation, range: nil, to: file)
        }
        if name == "finished" || name == "ordered" {
            try File.remove(store)
            guard rename(done, store) == 0 else { throw File.fault(.cannotCreate, "cannot rename", done) }
        } else {
            try File.remove(done)
        }
    }

    /// Names a run and its first layer, of which nothing is computed, in the manifest of a store of tokens.
    private static func begin(_ directory: String, model: String, state: Element, keep: ForwardOptions.Keep) throws {
        let store = try Store.openForWriting(directory)
        let model = try Model(directory: model)
        var manifest = store.manifest
        manifest.run = RunRecord(
            modelFingerprint: model.fingerprint, isTrained: false, layers: model.config.depth,
            hiddenSize: model.config.hiddenSize,
            state: state.name, patchesPerBlock: patchesPerBlock, keep: keep.rawValue,
            convolution: Scene.convolution.rawValue,
            kernels: try Kernels.isPlain(Kernels.select()) ? "plain" : "vector",
            arithmetic: ModelArithmetic.revision)
        let record = GenerationRecord(
            index: 1, directory: "generation-1", element: state, patchesPerBlock: patchesPerBlock,
            width: model.config.hiddenSize,
            tables: [.states], modelFingerprint: model.fingerprint, order: model.orderName(readBy: 2))
        manifest.generations.append(record)
        _ = try GenerationWriter(store: directory, identity: store.identity(of: record), record: record)
        try store.publish(manifest)
    }

    /// Runs a scene's model over its tokens, and stops in the last layer.
    private static func interrupt(_ folder: String) throws {
        var options = ForwardOptions(store: "\(folder)/store", model: "\(folder)/model")
        options.memory = Budget.ample
        try begin(options.store, model: options.model, state: .bf16, keep: .all)
        Interruption.install()
        /// Interrupts the process inside its second layer.
        struct Stopper: ForwardObserver {
            func planned(_ plan: ForwardPlan) {}
            func note(_ text: String) {}
            func progress(_ progress: ForwardProgress) {
                if progress.layer == 2 && !Interruption.isRequested { raise(SIGINT) }
            }
        }
        do {
            _ = try ForwardRun(options, observer: Stopper()).run()
        } catch let fault as Fault where fault.kind == .interrupted {
            let store = try Store.open(options.store)
            guard let last = store.manifest.generations.last, last.index == 2, !last.isComplete,
                !Files.progress(options.store, store, last).isEmpty
            else {
                throw Fault(.inputOutput, "nothing of the last layer was kept: \(fault)", at: Place(file: folder))
            }
            return
        }
        throw Fault(.inputOutput, "the run ended before it was interrupted", at: Place(file: folder))
    }

    /// A store of tokens with a name and a T of its own.
    private static func writeTokens(_ store: String, named scene: String, tokens: Int, patchesPerBlock: Int) throws {
        var numbers = Numbers(kind: "tokens", number: 0)
        // Letters, so that pages compress, and a few specials.
        let ids = (0..<tokens).map { $0 == 0 ? 256 : $0 == tokens - 1 ? 257 : UInt16(97 + numbers.below(5)) }
        // As long as those that `ingest` makes, and the same at every start.
        let name = "00000000-0000-4000-8000-" + String(repeating: "0", count: 12 - scene.count) + scene
        let lock = try Store.prepare(store, name: name, isReplacing: false)
        var record = GenerationRecord(
            index: 0, directory: "generation-0", element: .token, patchesPerBlock: patchesPerBlock, width: 1,
            tables: [.states])
        let patches = (tokens + patchSize - 1) / patchSize
        let grid = BlockGrid(patches: patches, patchesPerBlock: patchesPerBlock)
        let writer = try GenerationWriter(
            store: store, identity: GenerationIdentity(store: name, record: record, patchSize: patchSize),
            record: record)
        for block in 0..<grid.blocks {
            let held = grid.patches(ofBlock: block)
            let header = PageHeader(
                element: .token, generation: 0, block: block, firstPatch: held.lowerBound, patches: held.count,
                columns: patchSize,
                width: 1)
            let page = try Pages.encoded(header) { column in
                held.flatMap { patch -> [UInt8] in
                    let token = patch * patchSize + column
                    let id = token < tokens ? ids[token] : Element.noToken
                    return [UInt8(id & 255), UInt8(id >> 8)]
                }
            }
            try page.withUnsafeBytes { try writer.append(.states, block: block, page: $0) }
            record.storedBytes += page.count
        }
        try writer.commit(progress: [])
        try writer.finish()
        record.isComplete = true
        let sum = ids.withUnsafeBytes { checksum($0) }
        let digits = String(sum, radix: 16)
        _ = try Store.create(
            store,
            manifest: Manifest(
                store: name, tokens: tokens, patchSize: patchSize,
                tokensFingerprint: String(repeating: "0", count: 16 - digits.count) + digits,
                documents: [Document(name: "fuzz", firstToken: 0, tokens: tokens)], generations: [record]),
            lock: lock)
    }

    /// Makes F32 weights BF16.
    private static func halve(_ file: String) throws {
        let bytes = Files.read(file)
        let header = Int(bytes.number(at: 0, width: 8))
        guard case .object(var fields)? = JSONTree(Array(bytes[8..<8 + header])) else { return }
        for index in fields.indices where fields[index].name != "__metadata__" {
            guard case .array(let offsets)? = fields[index].value.field("data_offsets") else { continue }
            let halves = offsets.map { offset -> JSONTree in
                if case .scalar(let text) = offset { return .scalar("\((Int(text) ?? 0) / 2)") }
                return offset
            }
            fields[index].value = fields[index].value.setting("dtype", .scalar("\"BF16\"")).setting(
                "data_offsets", .array(halves))
        }
        let weights = bytes[(8 + header)...]
        let upper = stride(from: weights.startIndex, to: weights.endIndex, by: 4).flatMap {
            [weights[$0 + 2], weights[$0 + 3]]
        }
        try Files.write(
            file, SafeTensorsFile.bytes(header: Array(JSONTree.object(fields).text(.compact).utf8), data: upper))
    }
}

enum SafeTensorsFile {
    /// - Parameter stated: the header's length, if not the true one.
    static func bytes(header: [UInt8], data: [UInt8], stated: UInt64? = nil) -> [UInt8] {
        withUnsafeBytes(of: (stated ?? UInt64(header.count)).littleEndian, Array.init) + header + data
    }
}

/// Memory budgets of runs.
enum Budget {
    static let ample = 1 << 30

    /// Runs `body` with about the least budget that the engine does not refuse, which it says where it refuses.
    static func least<R>(_ body: (Int) throws -> R) throws -> R {
        do {
            return try body(1 << 20)
        } catch let fault as Fault where fault.kind == .usage {
            let words = "the least that works here is "
            guard let end = fault.problem.firstRange(of: words)?.upperBound,
                let least = ByteCount.parse(String(fault.problem[end...].prefix { !$0.isWhitespace }))
            else { throw fault }
            return try body(least + (1 << 20))
        }
    }
}

struct Silent: ForwardObserver {
    func planned(_ plan: ForwardPlan) {}
    func note(_ text: String) {}
    func progress(_ progress: ForwardProgress) {}
}
