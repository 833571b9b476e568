/// The one error type of the engine: what went wrong, where, and what to do about it.
///
/// Thrown where the problem is seen, rendered once, by the command line. The kind decides the exit status.
public struct Fault: Error, Sendable, Equatable {
    /// What kind of problem it is.
    public enum Kind: Sendable {
        /// A flag or argument that cannot work (exit status 64).
        case usage
        /// Input, store or model that is damaged, foreign or contradictory (65).
        case badData
        /// An input that is missing, unreadable or not a file (66).
        case noInput
        /// An output that cannot be created (73).
        case cannotCreate
        /// The system failed to read or write (74).
        case inputOutput
        /// Stopped from outside; the same command goes on from the last commit (75).
        case interrupted
    }

    /// What kind of problem it is.
    public var kind: Kind
    /// What went wrong, without a capital or a full stop.
    public var problem: String
    /// Where it was seen.
    public var place: Place
    /// What else to know, in whole sentences.
    public var advice: String?
    /// What may help; any one of them.
    public var remedies: [Remedy]

    package init(
        _ kind: Kind, _ problem: String, at place: Place = Place(), advice: String? = nil, remedies: [Remedy] = []
    ) {
        self.kind = kind
        self.problem = problem
        self.place = place
        self.advice = advice
        self.remedies = remedies
    }
}

/// Where a fault was seen, as precisely as the code that saw it knows.
public struct Place: Sendable, Equatable {
    /// The option of the caller that cannot work, in the library's word for it: "state".
    public var option: String?
    /// The path of a file or a folder.
    public var file: String?
    /// The index of a store's generation.
    public var generation: Int?
    /// The number of a block in it, from 0.
    public var block: Int?
    /// The number of a column of the block, from 0.
    public var column: Int?
    /// Bytes from the start of the file.
    public var byteOffset: Int?
    /// The name of a field or a tensor.
    public var field: String?

    package init(
        file: String? = nil, generation: Int? = nil, block: Int? = nil, column: Int? = nil, byteOffset: Int? = nil,
        field: String? = nil, option: String? = nil
    ) {
        self.option = option
        self.file = file
        self.generation = generation
        self.block = block
        self.column = column
        self.byteOffset = byteOffset
        self.field = field
    }
}

extension Place {
    /// - Parameter name: of an option, as the reader knows it.
    fileprivate func text(option name: (String) -> String) -> String {
        var parts: [String] = []
        if let option { parts.append(name(option)) }
        if let file { parts.append(file.isEmpty ? "''" : file.escaped) }
        if let field { parts.append("field '\(field.escaped)'") }
        if let generation { parts.append("generation \(generation)") }
        if let block { parts.append("block \(block)") }
        if let column { parts.append("column \(column)") }
        if let byteOffset { parts.append("byte \(byteOffset)") }
        return parts.joined(separator: ", ")
    }
}

extension Place: CustomStringConvertible {
    /// In the library's own words; empty where nothing is known.
    public var description: String { text { "option '\($0)'" } }
}

extension Fault: CustomStringConvertible {
    /// `place: problem` and, on a line of its own, advice and remedies.
    ///
    /// - Parameters:
    ///   - option: a name for an option of the caller.
    ///   - remedy: words for a remedy, in the imperative.
    public func text(option: (String) -> String, remedy: (Remedy) -> String) -> String {
        let location = place.text(option: option)
        let line = (location.isEmpty ? "" : "\(location): ") + problem.escaped
        let help = [advice ?? "", remedies.sentence(remedy)].filter { !$0.isEmpty }.joined(separator: " ")
        return help.isEmpty ? line : "\(line)\n  \(help.escaped)"
    }

    /// In the library's own words.
    public var description: String { text(option: { "option '\($0)'" }, remedy: \.description) }
}
