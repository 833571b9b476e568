import Glibc
import PageStore
import ProtonModel
import Support

/// Told what scoring is about to do and how far it is.
package protocol ScoringObserver: AnyObject {
    /// A file is being read; `bytes` of it so far.
    func reading(_ file: String, bytes: Int)
    /// A sample is being run, to tell how long all of it will take.
    func measuring()
    func forecast(_ forecast: Scoring.Forecast)
    /// Something the user should know and need not act on.
    func note(_ text: String)
    func progress(_ progress: Scoring.Progress)
    func scored(_ score: Scoring.Score) throws
    /// A file that cannot be read; the others are scored.
    func failed(_ fault: Fault)
}

/// How well a model predicts files: each is ingested into a store as a sequence of its own, and run through the model.
///
/// Stores are temporary. That of a file that takes long is kept until all files are scored, so that the same command
/// goes on after an interruption: it is found again by its tokens, the model and what the arithmetic depends on.
package struct Scoring {
    /// What a run over one file found.
    package struct Score: Sendable {
        package var file: String
        package var bytes: Int
        /// Of all bytes together.
        package var bits: Double
        package var seconds: Double

        package init(file: String, bytes: Int, bits: Double, seconds: Double) {
            (self.file, self.bytes, self.bits, self.seconds) = (file, bytes, bits, seconds)
        }

        package var bitsPerByte: Double { bits / Double(bytes) }

        /// All of `scores` as one.
        package static func total(of scores: [Score], seconds: Double) -> Score {
            Score(
                file: "total", bytes: scores.map(\.bytes).reduce(0, +), bits: scores.map(\.bits).reduce(0, +),
                seconds: seconds)
        }
    }

    /// What scoring will take, by the rates of a sample.
    package struct Forecast: Sendable {
        package var bytes: Int
        package var seconds: Double
        /// Models that take less, by name; looked for where it takes long.
        package var faster: [(name: String, seconds: Double)] = []
        /// Where what is done of the longest file is kept; nil where it is not.
        package var keptIn: String?
        /// Bytes of disk that the longest file takes there at its peak.
        package var diskBytes = 0
    }

    package struct Progress: Sendable {
        package var file: String
        /// From 1.
        package var number: Int
        package var files: Int
        /// The layers of the pass under way, from 1, and all layers of the model.
        package var firstLayer: Int
        package var layer: Int
        package var layers: Int
        /// The share of all files' bytes that is done.
        package var share: Double
        package var bytes: Int
    }

    /// A file that takes longer than this keeps what is done of it.
    package static let secondsWorthKeeping = 120.0

    package let model: Model
    /// Of every run; `store`, `nll` and `keep` are chosen here.
    private let options: ForwardOptions
    /// Where temporary stores are made.
    private let temporary: String
    /// Where the one file's store is made, and stays.
    private let store: String?
    /// Folders of other models that may be faster, by name.
    private let others: [(name: String, folder: String)]

    /// - Parameters:
    ///   - temporary: the folder that temporary stores are made in; nil for $TMPDIR or /tmp.
    ///   - store: keeps the store of the one file here.
    /// - Throws: `Fault` of the model.
    package init(
        _ options: ForwardOptions, temporary: String? = nil, store: String? = nil,
        others: [(name: String, folder: String)] = []
    ) throws {
        self.options = options
        self.temporary = temporary ?? File.temporaryFolder
        // One store by one name, also where a link leads there.
        self.store = store.map { File.resolved($0) ?? File.withoutEndingSlashes($0) }
        self.others = others
        model = try Model(directory: options.model)
    }

    /// A file that was read.
    private struct Input {
        var file: String
        var store: String
        var bytes: Int
    }

    /// Scores `files`, in order; "-" is standard input. All are read before the first is scored.
    ///
    /// - Returns: the files that could not be read, if others could.
    /// - Throws: `Fault` of ingest or run. Temporary stores are removed in any case, and `options.nll` appears complete
    ///   or not at all.
    package func run(_ files: [String], observer: any ScoringObserver) throws -> [Fault] {
        try check(files)
        // Beside the store that is to stay, so that it is one rename away.
        let work = try WorkFolder("bbp-stream-scoring", in: store.map(File.parent) ?? temporary)
        defer { withExtendedLifetime(work) {} }
        var (inputs, faults): ([Input], [Fault]) = ([], [])
        for (index, file) in files.enumerated() {
            do {
                let path = "\(work.path)/\(index)"
                // What is not there as a whole may keep one waiting.
                if file == "-" || File.exists(file) && File.size(file) == nil { observer.reading(file, bytes: 0) }
                let read = try Ingest.run(
                    [file], store: path, format: .documents, patchSize: model.config.patchSize, isReplacing: false
                ) {
                    observer.reading(file, bytes: $0)
                }
                inputs.append(Input(file: file, store: path, bytes: read.inputBytes))
            } catch let fault as Fault where files.count > 1 && fault.place.file == file {
                faults.append(fault)
                observer.failed(fault)
            }
        }
        if inputs.isEmpty { return faults }

        let surprisal = try options.nll.map { try NpyFile($0, type: "<f4", shape: [inputs.map(\.bytes).reduce(0, +)]) }
        let secondsPerByte = try forecast(inputs, observer)
        var kept: [String] = []
        var done = 0
        let total = inputs.map(\.bytes).reduce(0, +)
        for (index, input) in inputs.enumerated() {
            let watch = Stopwatch()
            var path = input.store
            // Not where another process scores the same: it needs no waiting for.
            let isKept =
                try store != nil
                || (secondsPerByte.map { $0 * Double(input.bytes) > Self.secondsWorthKeeping } == true
                    && !Store.isBeingWritten(keptPlace(of: input)))
            if isKept {
                path = try keep(input)
                if store == nil { kept.append(path) }
            }
            let each = FileObserver(observer) { progress in
                Progress(
                    file: input.file, number: index + 1, files: inputs.count, firstLayer: progress.firstLayer,
                    layer: progress.layer, layers: progress.layers,
                    share: (Double(done) + progress.share * Double(input.bytes)) / Double(total), bytes: total)
            }
            let bits = try score(path, isKept: isKept, file: input.file, observer: each) * Double(input.bytes)
            if let surprisal { try append(1..<1 + input.bytes, of: path, to: surprisal) }
            done += input.bytes
            try observer.scored(Score(file: input.file, bytes: input.bytes, bits: bits, seconds: watch.seconds))
            if !isKept { try File.remove(path) }
        }
        try surprisal?.publish()
        for path in kept where !Store.isBeingWritten(path) { try File.remove(path) }
        return faults
    }

    private func check(_ files: [String]) throws {
        if let store {
            guard files.count == 1 else {
                throw Fault(
                    .usage, "keeps the store of one file; \(files.count) are named", at: Place(option: "store"),
                    advice: "Leave it out: what takes long is kept by itself.")
            }
            guard !store.isEmpty else { throw Fault(.usage, "names no folder", at: Place(option: "store")) }
            guard !File.exists(store) || File.isDirectory(store) else {
                throw Fault(.cannotCreate, "this is a file; a store is a folder", at: Place(file: store))
            }
            guard File.isDirectory(File.parent(of: store)) else {
                throw Fault(.noInput, "there is no folder for the store", at: Place(file: store))
            }
        }
        guard files.filter({ $0 == "-" }).count <= 1 else {
            throw Fault(.usage, "standard input can be read once only")
        }
        guard let nll = options.nll else { return }
        var kept = OutputGuard()
        kept.keep(model: model.directory)
        if let store { kept.keep(store: store) }
        for file in files { kept.keep(input: file) }
        try kept.check(nll, option: "nll")
        if let store, let target = try OutputFile.target(nll), let folder = File.resolved(File.parent(of: store)),
            target == "\(folder)/\(File.name(of: store))"
        {
            throw Fault(.usage, "the store is to be in the same place", at: Place(file: nll, option: "nll"))
        }
    }

    /// Bits per byte of the file in the store at `path`.
    private func score(_ path: String, isKept: Bool, file: String, observer: any ForwardObserver) throws -> Double {
        var options = options
        options.store = path
        options.nll = nil
        options.keep = ForwardOptions.Keep.none
        options.leastSamples = 1
        let summary: ForwardSummary?
        do {
            summary = try ForwardRun(options, observer: observer).run()
        } catch let fault as Fault where fault.kind == .interrupted {
            if isKept { throw Fault(.interrupted, fault.problem, at: Place(file: path)) }
            throw Fault(.interrupted, "interrupted: nothing of this file is kept", at: Place(file: file))
        } catch var fault as Fault where isKept && fault.kind == .badData && fault.place.file?.hasPrefix(path) == true {
            fault.advice = "What was kept is damaged. Remove \(path) and score again."
            throw fault
        }
        // Bytes follow BOS; there is one at least, or ingest had said so.
        guard let bits = summary?.bitsPerByte.value else {
            throw Fault(.inputOutput, "the run gave no surprisal", at: Place(file: file))
        }
        return bits
    }

    private func append(_ tokens: Range<Int>, of directory: String, to file: NpyFile) throws {
        let store = try Store.open(directory)
        try RowStream(store.reader(model.config.depth), .surprisal, kernels: Kernels.select()).read(tokens) {
            _, rows in
            try Interruption.check { "nothing of this file is kept" }
            try file.write(rows)
        }
    }

    // MARK: What it will take

    /// Says what all files will take, where that is more than a moment, and returns the seconds a byte takes, if that
    /// is known.
    private func forecast(_ inputs: [Input], _ observer: any ScoringObserver) throws -> Double? {
        let total = inputs.map(\.bytes).reduce(0, +)
        guard total > 4 * CompressionSample.tokens(model.config), let longest = inputs.max(by: { $0.bytes < $1.bytes })
        else { return nil }
        observer.measuring()
        guard let plan = try plan(longest, model: options.model), let seconds = plan.estimatedSeconds else {
            return nil
        }
        let perByte = seconds / Double(longest.bytes)
        var forecast = Forecast(bytes: total, seconds: perByte * Double(total))
        if forecast.seconds > Self.secondsWorthKeeping {
            for other in others {
                // A model that cannot run here is no advice.
                guard let seconds = (try? self.plan(longest, model: other.folder))?.estimatedSeconds else { continue }
                let all = seconds / Double(longest.bytes) * Double(total)
                if all < forecast.seconds / 2 { forecast.faster.append((other.name, all)) }
            }
            try Interruption.check { "nothing was computed yet" }
        }
        if store != nil || seconds > Self.secondsWorthKeeping {
            forecast.keptIn = try store ?? keptPlace(of: longest)
            forecast.diskBytes = plan.diskNeeded
        }
        observer.forecast(forecast)
        return perByte
    }

    /// What a run over a file would do, its rate measured on a sample.
    private func plan(_ input: Input, model: String) throws -> ForwardPlan? {
        var options = options
        options.store = input.store
        options.model = model
        options.nll = nil
        options.keep = ForwardOptions.Keep.none
        options.leastSamples = 1
        options.isDryRun = true
        let observer = PlanObserver()
        _ = try ForwardRun(options, observer: observer).run()
        return observer.plan
    }

    private final class PlanObserver: ForwardObserver {
        var plan: ForwardPlan?
        func planned(_ plan: ForwardPlan) { self.plan = plan }
        func note(_ text: String) {}
        func progress(_ progress: ForwardProgress) {}
    }

    /// Passes on what a run over one file says.
    private final class FileObserver: ForwardObserver {
        private let observer: any ScoringObserver
        private let shown: (ForwardProgress) -> Progress

        init(_ observer: any ScoringObserver, _ shown: @escaping (ForwardProgress) -> Progress) {
            self.observer = observer
            self.shown = shown
        }

        func planned(_ plan: ForwardPlan) {}
        func note(_ text: String) { observer.note(text) }
        func progress(_ progress: ForwardProgress) { observer.progress(shown(progress)) }
    }

    // MARK: Stores that are kept

    /// Where the store of a file that takes long is kept: a name that the same tokens and the same computation have
    /// again.
    private func keptPlace(of input: Input) throws -> String {
        let kernels = try Kernels.select(options.compute ?? .f32)
        let tokens = try Store.open(input.store).manifest.tokensFingerprint
        let text = [
            tokens, model.fingerprint, options.state?.name ?? "", options.convolution?.rawValue ?? "",
            Kernels.compute(of: kernels).rawValue,
            Kernels.isPlain(kernels) ? "plain" : "",
        ].joined(separator: " ")
        let digits = String(Array(text.utf8).withUnsafeBytes(checksum), radix: 16)
        return "\(temporary)/bbp-stream-kept-" + String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// Brings a file's store to where it is kept, or finds the one that is there already.
    private func keep(_ input: Input) throws -> String {
        let path = try store ?? keptPlace(of: input)
        if let info = File.infoOfLink(path), !info.isDirectory || !File.names(in: path).isEmpty {
            guard store != nil || (info.isDirectory && info.st_uid == geteuid()) else {
                throw Fault(
                    .cannotCreate, "what is done would be kept here, and the name is taken by another user",
                    at: Place(file: path), remedies: [.otherTemporaryFolder])
            }
            guard let found = try? Store.open(path).manifest.tokensFingerprint else {
                guard store == nil else {
                    throw Fault(
                        .cannotCreate, "this is no whole store", at: Place(file: path),
                        remedies: [.otherStore, .removeStore])
                }
                let aside = path + ".damaged"
                try File.remove(aside)
                try File.rename(path, to: aside)
                return try keep(input)
            }
            guard try found == Store.open(input.store).manifest.tokensFingerprint else {
                throw Fault(
                    .cannotCreate, "the store here holds other bytes than \(input.file.escaped)", at: Place(file: path),
                    remedies: [.otherStore, .removeStore])
            }
            try File.remove(input.store)
        } else {
            // Others need not read it where everyone's files lie.
            if store == nil { _ = input.store.withFileName { chmod($0, 0o700) } }
            try File.rename(input.store, to: path)
        }
        return path
    }
}
