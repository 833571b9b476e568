import PageStore
import ProtonModel
import Support

/// How well a model predicts files: each is ingested into a temporary store as a sequence of its own, and run through the model.
public struct Scoring {
    /// What a run over one file found.
    public struct Score: Sendable {
        public var file: String
        public var bytes: Int
        /// Of all bytes together.
        public var bits: Double
        public var seconds: Double

        public var bitsPerByte: Double { bits / Double(bytes) }

        /// All of `scores` as one.
        public static func total(of scores: [Score], seconds: Double) -> Score {
            Score(file: "total", bytes: scores.map(\.bytes).reduce(0, +), bits: scores.map(\.bits).reduce(0, +), seconds: seconds)
        }
    }

    public let model: Model
    /// Of every run; `store` and `keep` are chosen here.
    private let options: ForwardOptions

    /// - Parameter options: `store` is the folder that temporary stores are made in; empty for $TMPDIR or /tmp.
    /// - Throws: `Fault` of the model.
    public init(_ options: ForwardOptions) throws {
        self.options = options
        model = try Model(directory: options.model)
    }

    /// Scores `files`, in order; "-" is standard input. All are read before the first is scored.
    ///
    /// - Parameters:
    ///   - observer: made for every file.
    ///   - scored: called with every result.
    /// - Throws: `Fault` of ingest or run. The temporary stores go in any case, and `options.nll` appears complete or not at all.
    public func run(_ files: [String], observer: (_ file: String) -> any ForwardObserver, scored: (Score) throws -> Void) throws {
        if let nll = options.nll {
            try OutputFile.check(nll)
            if let input = files.first(where: { File.size(nll) != nil && File.isSame($0, nll) }) {
                throw Fault(.usage, "--nll would replace a file that is to be scored", at: Place(file: input), advice: "Name another file.")
            }
        }
        let folder = try File.makeTemporaryDirectory("bbp-stream-score", in: options.store.isEmpty ? nil : options.store)
        defer { try? File.remove(folder) }
        let inputs = try files.enumerated().map { index, file in
            let store = "\(folder)/\(index)"
            return (file: file, store: store, bytes: try Ingest.run([file], store: store, format: .documents, patchSize: model.config.patchSize, replacing: false).inputBytes)
        }
        let surprisal = try options.nll.map { try NpyFile($0, type: "<f4", shape: [inputs.map(\.bytes).reduce(0, +)]) }
        for input in inputs {
            let watch = Stopwatch()
            var options = options
            options.store = input.store
            options.nll = nil
            options.keep = ForwardOptions.Keep.none
            // Bytes follow BOS; there is one at least, or ingest had said so.
            let summary: ForwardSummary?
            do {
                summary = try ForwardRun(options, observer: observer(input.file)).run()
            } catch let fault as Fault where fault.kind == .interrupted {
                throw Fault(.interrupted, "interrupted: nothing of this file is kept", at: Place(file: input.file))
            }
            guard let bitsPerByte = summary?.bitsPerByte.value else { throw Fault(.inputOutput, "the run gave no surprisal", at: Place(file: input.file)) }
            if let surprisal { try append(1..<1 + input.bytes, of: input.store, to: surprisal) }
            try scored(Score(file: input.file, bytes: input.bytes, bits: bitsPerByte * Double(input.bytes), seconds: watch.seconds))
            try File.remove(input.store)
        }
        try surprisal?.publish()
    }

    private func append(_ tokens: Range<Int>, of directory: String, to file: NpyFile) throws {
        let store = try Store.open(directory)
        try RowStream(store.reader(model.config.passes), .surprisal, kernels: Kernels.select()).read(tokens) { _, rows in
            try Interruption.check { "nothing of this file is kept" }
            try file.write(rows)
        }
    }
}
