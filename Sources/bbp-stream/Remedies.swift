import Support

/// What the library says of its options and remedies, in the words of the command line.
extension Fault {
    var message: String { text(option: { "--\($0)" }) { $0.words(of: Console.command) } }
}

extension Remedy {
    /// - Parameter command: `score` runs models in stores of its own.
    fileprivate func words(of command: String?) -> String {
        let isScore = command == "score"
        return switch self {
        case .restart:
            switch command {
            case "score": "remove the store and score again"
            case "forward": "use --restart to begin anew"
            default: "use `forward --restart` to compute the states anew"
            }
        case .continueAsBegun: isScore ? "score with what began it" : "run with what began it"
        case .replaceStore: "use --force to replace it"
        case .otherStore: "name another --store"
        case .removeStore: "remove this one"
        case .ingest(let store): "make one with `bbp-stream ingest FILE --store \(store ?? "DIR")`"
        case .ingestAgain: "ingest again with --force"
        case .readBytes: "leave --tokens out to read bytes"
        case .makeModel: "make one with `bbp-stream model init DIR`"
        case .replaceModel: "use --force to replace the model"
        case .otherTemporaryFolder: "name another folder with --temporary"
        case .lessDisk:
            isScore
                ? "name a folder on another disk with --temporary, or use a smaller model"
                : "use --keep none or --state bf16, or --force to try all the same"
        case .fewerThreads: "lower --threads"
        case .lessMemory: "lower --memory or free memory"
        case .otherMemory: "set another --memory"
        case .storeF32: "use --state f32"
        case .keepStates: "compute them with `forward --restart --keep last`"
        case .keepAll: "keep every one with `forward --keep all`"
        case .restore, .otherFolder, .freeSpace: description
        }
    }
}
