import FoundationEssentials
import Glibc
import PageStore
import ProtonModel
import StreamEngine
import Support

/// One case: a scene's copy, what was done to it, and everything that may be asked of it afterwards.
final class Case {
    let scene: Scene
    let folder: String
    let kind: String
    let number: Int
    var numbers: Numbers
    /// What was done, in words.
    var story: [String] = []
    /// False where success may mean other values than those of the scene: the change made other tokens, other states or
    /// another model.
    var expectsTokens = true
    var expectsStates = true
    var expectsSurprisal = true
    /// Documents that no reader may take: the name of a file, and why.
    var mustBeRefused: [String] = []
    /// The change is one of spelling only: everything must work.
    var mustWork = false

    /// Exit statuses of what was tried, 0 for what succeeded.
    private(set) var statuses: [Int] = []
    private(set) var failures: [String] = []
    private(set) var log: [String] = []
    /// What is being tried, for whoever finds the process dead.
    private(set) var underWay = ""
    let isVerbose: Bool

    /// Files beside the case that nothing may touch.
    let outside: String
    private let untouched: Snapshot
    /// What lay in the folder after the last try.
    private var last: Snapshot?

    var store: String { "\(folder)/store" }
    var model: String { "\(folder)/model" }
    var out: String { "\(folder)/out" }

    /// - Parameter work: the folder that cases are made in, one after another.
    init(_ scene: Scene, kind: String, number: Int, numbers: Numbers, work: String, isVerbose: Bool) throws {
        (self.scene, self.kind, self.number, self.numbers, self.isVerbose) = (
            scene, kind, number, numbers, isVerbose
        )
        folder = "\(work)/case"
        outside = "\(work)/outside"
        try File.remove(folder)
        try File.makeDirectory(work)
        try File.makeDirectory(folder)
        if !File.exists(outside) {
            try File.makeDirectory(outside)
            try File.makeDirectory("\(outside)/generation-0")
            try Files.write("\(outside)/generation-0/data.mdb", Files.read("\(scene.store)/generation-0/data.mdb"))
            try Files.write("\(outside)/file", Array("not yours".utf8))
        }
        untouched = Snapshot(outside)
        try Files.copy(scene.store, to: store)
        try Files.copy(scene.model, to: model)
        try File.makeDirectory(out)
    }

    // MARK: Trying

    /// How a try may change the store.
    private enum Effect {
        /// Nothing in the case's folder changes but `out`.
        case none
        /// Generations are made; those of states may go where the run begins anew.
        case computes(anew: Bool)
    }

    /// Runs `body`: it succeeds, or throws a fault of a documented kind, and whatever happens nothing is lost.
    @discardableResult
    private func attempt<R>(_ what: String, _ effect: Effect = .none, _ body: () throws -> R) -> R? {
        underWay = what
        let watch = Stopwatch()
        if isVerbose { Console.line("  \(what) ...") }
        if last == nil { Snapshot.age(folder) }
        let before = last ?? Snapshot(folder)
        var result: R?
        var status = 0
        var said = "done"
        do {
            result = try body()
        } catch let fault as Fault {
            (status, said) = (fault.status, "\(fault.status): \(fault)")
            if fault.kind == .interrupted { fail("\(what): interrupted, and nobody did") }
            if fault.description.utf8.contains(where: { $0 < 0x20 && $0 != 0x0a || $0 == 0x7f }) {
                fail("\(what): the message holds control characters")
            }
        } catch {
            status = 70
            said = "an error that is no fault: \(error)"
            fail("\(what): \(said.prefix(200))")
        }
        statuses.append(status)
        log.append("\(what): \(said)")
        if isVerbose { Console.line("    \(said) (\(Int(watch.seconds * 1000)) ms)") }
        let after = Snapshot(folder)
        last = after
        check(what, before, after, effect, succeeded: status == 0)
        return result
    }

    private func check(_ what: String, _ before: Snapshot, _ after: Snapshot, _ effect: Effect, succeeded: Bool) {
        if let change = Snapshot(outside).difference(from: untouched) {
            fail("\(what): outside the case's folder, \(change)")
        }
        let change: String?
        switch effect {
        case .none: change = after.difference(from: before) { !$0.hasPrefix("out/") }
        case .computes(let anew):
            // Whatever comes of it: models and whole generations that the store had stay as they are.
            let kept = scene.manifest.generations.filter { $0.isComplete && !(anew && $0.index > 0) }
            let whole = kept.map { "store/\($0.directory)/data.mdb" }
            change = after.difference(from: before) { $0.hasPrefix("model/") || (!succeeded && whole.contains($0)) }
            let lost = before.entries.keys.filter { after.entries[$0] == nil && $0.hasPrefix("store/") }.sorted()
            let mayGo = { (name: String) in
                name == "store/manifest.json.partial"
                    || (anew && name.hasPrefix("store/generation-")
                        && !whole.contains { $0.hasPrefix("\(name)/") || $0 == name })
            }
            if !succeeded, let lost = lost.first(where: { !mayGo($0) }) {
                fail("\(what): failed, and \(lost) was deleted")
            }
        }
        if let change { fail("\(what): \(change)") }
        if !succeeded,
            let left = after.entries.keys.first(where: { $0.hasPrefix("out/") && before.entries[$0] == nil })
        {
            fail("\(what): failed and left \(left)")
        }
    }

    func fail(_ what: String) {
        if !failures.contains(what) { failures.append(what) }
    }

    /// Tries something that changes nothing.
    func attemptReading<R>(_ what: String, _ body: () throws -> R) -> R? { attempt(what, .none, body) }

    // MARK: What can be tried

    /// Everything that reads the store and runs the model over it.
    func tryStore() {
        let opened = attempt("open the store") { try Store.open(store) }
        if let opened {
            for why in mustBeRefused where why.hasPrefix("manifest.json") { fail("accepted: \(why)") }
            if opened.manifest.version > 2 && !ManifestChecksum.isRight(Files.read(opened.manifestFile)) {
                fail("accepted: manifest.json with a wrong checksum")
            }
            // The bits of a run that goes on follow from how it computes; the manifest alone says how it began.
            if let run = opened.manifest.run, !run.isComplete,
                run.convolution != Scene.convolution.rawValue || run.compute != nil || run.state != scene.state.name
            {
                (expectsStates, expectsSurprisal) = (false, false)
            }
        } else if mustWork {
            fail("refused, and only its spelling changed")
        }
        attempt("verify") {
            let report = try Verify.run(store: store)
            if let fault = report.faults.first { throw fault }
        }
        let held = opened?.manifest.generations.map(\.index).filter { (0...1000).contains($0) } ?? [0]
        var canReadTokens = false
        for generation in held.prefix(5) {
            inspect(generation)
            let isExported = export(generation)
            if generation == 0 { canReadTokens = isExported }
        }
        forward(dryRun: true)
        let hasRun = forward(dryRun: false)
        if !export(0) && hasRun && canReadTokens { fail("forward: the tokens cannot be read after it") }
        if hasRun { export(scene.depth) }
    }

    func inspect(_ generation: Int) {
        let column = numbers.below(8)
        attempt("dump generation \(generation)") {
            let inspection = try Inspection(store: store)
            _ = try inspection.generation(generation, isOfAllBlocks: true)
            _ = try inspection.block(0, of: generation)
            try inspection.columns(of: 0, of: generation, only: column) { _ in }
            if inspection.store.manifest.generation(generation)?.order != nil {
                _ = try inspection.order(ofBlock: 0, of: generation)
            }
        }
        attempt("rows of generation \(generation)") {
            let opened = try Store.open(store)
            let reader = try opened.reader(generation)
            for table in PageTable.allCases where reader.record.holds(table) {
                let rows = try RowStream(reader, table, kernels: Kernels.select())
                let tokens = opened.manifest.tokens
                let first = numbers.below(min(tokens, 4000))
                try rows.read(first..<min(tokens, first + 1 + numbers.below(1000))) { _, _ in }
            }
        }
    }

    /// - Returns: whether there was something to export.
    @discardableResult
    func export(_ generation: Int) -> Bool {
        let file = "\(out)/\(generation).npy"
        let exported = attempt("export generation \(generation)") {
            try Export.run(store: store, generation: generation, range: nil, to: file)
        }
        guard exported != nil else { return false }
        if expectsTokens && (generation == 0 || expectsStates) {
            let expected = scene.expected.indices.contains(generation) ? scene.expected[generation] : []
            if Files.read(file) != expected { fail("export generation \(generation): wrong values, status 0") }
        }
        return true
    }

    /// - Returns: whether it succeeded.
    @discardableResult
    func forward(dryRun: Bool) -> Bool {
        var options = ForwardOptions(store: store, model: model)
        let nll = "\(out)/nll.npy"
        options.isDryRun = dryRun
        options.nll = nll
        options.threads = 2
        options.isRestart = numbers.once(in: 8)
        // What no run says any more is said here, for the values to be the scene's.
        if options.isRestart || (try? Store.open(store))?.manifest.run == nil { options.state = scene.state }
        let isAmple = numbers.once(in: 2)
        let what = "forward\(dryRun ? " --dry-run" : "")\(options.isRestart ? " --restart" : "")"
        let done = attempt(what, dryRun ? .none : .computes(anew: options.isRestart)) {
            let run = { (memory: Int) -> ForwardSummary? in
                options.memory = memory
                return try ForwardRun(options, observer: Silent()).run()
            }
            return try isAmple ? run(Budget.ample) : Budget.least(run)
        }
        guard done != nil, !dryRun else { return done != nil }
        let found = Files.read(nll)
        let values = stride(from: 128, to: found.count - 3, by: 4).map {
            Float(bitPattern: UInt32(found.number(at: $0, width: 4)))
        }
        if let wrong = values.dropFirst().firstIndex(where: { !$0.isFinite }) {
            fail("forward: surprisal of token \(wrong) is \(values[wrong]), status 0")
        }
        if expectsTokens && expectsSurprisal && found != scene.surprisal {
            fail("forward: wrong surprisal, status 0")
        }
        return true
    }
}

extension Fault {
    /// sysexits.h, as the program ends with.
    var status: Int {
        switch kind {
        case .usage: 64
        case .badData: 65
        case .noInput: 66
        case .cannotCreate: 73
        case .inputOutput: 74
        case .interrupted: 75
        }
    }
}

/// Lines to whoever started the driver, at once.
enum Console {
    static func line(_ text: String) {
        let bytes = Array((text.replacing("\n", with: " | ") + "\n").utf8)
        _ = bytes.withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
    }
}
