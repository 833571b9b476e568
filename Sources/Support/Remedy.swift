/// What may help against a fault, where that is for whoever called the library to choose. The library says it in plain
/// words, a program in those of its own options.
public enum Remedy: Sendable, Equatable {
    /// Begin the run anew, without the states that are there.
    case restart
    /// Go on with the model and the options that the run was begun with.
    case continueAsBegun
    /// Replace the store that is there.
    case replaceStore
    /// Name another store.
    case otherStore
    /// Remove the store.
    case removeStore
    /// Make a store, at this path where the caller named one.
    case ingest(into: String?)
    /// Make the store anew from the inputs.
    case ingestAgain
    /// Read inputs as bytes, not as token ids.
    case readBytes
    /// Restore a copy of a file, or of a store.
    case restore(String)
    /// Make a model.
    case makeModel
    /// Replace the model that is there.
    case replaceModel
    /// Name another folder.
    case otherFolder
    /// Name another folder for temporary stores.
    case otherTemporaryFolder
    /// Free space on the disk.
    case freeSpace
    /// Use less of the disk.
    case lessDisk
    /// Use fewer threads.
    case fewerThreads
    /// A smaller budget, or more memory free.
    case lessMemory
    /// Another memory budget.
    case otherMemory
    /// States in f32.
    case storeF32
    /// Compute the last states again and keep them.
    case keepStates
    /// Keep the states of every layer.
    case keepAll
}

extension Remedy: CustomStringConvertible {
    /// In the imperative, without a capital or a full stop.
    public var description: String {
        switch self {
        case .restart: "begin the run anew"
        case .continueAsBegun: "go on with what began the run"
        case .replaceStore: "allow that the store is replaced"
        case .otherStore: "name another store"
        case .removeStore: "remove the store"
        case .ingest: "make one by ingesting files"
        case .ingestAgain: "ingest again"
        case .readBytes: "read the input as bytes"
        case .restore(let what): "restore a copy of \(what)"
        case .makeModel: "make one"
        case .replaceModel: "allow that the model is replaced"
        case .otherFolder: "name another folder"
        case .otherTemporaryFolder: "name another folder for temporary stores"
        case .freeSpace: "free space"
        case .lessDisk: "store less"
        case .fewerThreads: "use fewer threads"
        case .lessMemory: "use less memory or free some"
        case .otherMemory: "set another memory budget"
        case .storeF32: "store states in f32"
        case .keepStates: "compute the states again and keep them"
        case .keepAll: "keep the states of every layer"
        }
    }
}

extension [Remedy] {
    /// "Free space, store less or name another store."; empty where there are none.
    func sentence(_ words: (Remedy) -> String) -> String {
        let all = map(words)
        guard let last = all.last else { return "" }
        let list = all.count == 1 ? last : all.dropLast().joined(separator: ", ") + " or " + last
        return list.prefix(1).uppercased() + list.dropFirst() + "."
    }
}
