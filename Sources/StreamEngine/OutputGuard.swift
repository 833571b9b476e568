import Geometry
import Glibc
import PageStore
import Support

/// Refuses an output that would replace what the command reads, by whatever name: another spelling, a link, a hard link, a stream
/// that leads there.
public struct OutputGuard {
    /// What must stay as it is, by the file itself, and what it is.
    private var kept: [FileIdentity: String] = [:]
    private var stores: [String] = []

    public init() {}

    /// Keeps a store's files, those that it will make too.
    public mutating func keep(store directory: String) {
        keep(folder: directory, as: "a file of the store")
        stores.append(directory)
    }

    /// Keeps a model's files.
    public mutating func keep(model directory: String) { keep(folder: directory, as: "a file of the model") }

    /// Keeps an input; "-" is standard input.
    public mutating func keep(input: String) {
        var info = stat()
        let found = input == "-" ? (fstat(0, &info) == 0 ? info : nil) : File.info(input)
        if let found, found.isRegular { kept[found.identity] = "an input" }
    }

    private mutating func keep(folder: String, as role: String) {
        for name in File.names(in: folder) {
            let path = "\(folder)/\(name)"
            guard let info = File.info(path) else { continue }
            if info.isRegular { kept[info.identity] = role }
            // No link to a folder is followed: it may lead back.
            if File.infoOfLink(path)?.isDirectory == true { keep(folder: path, as: role) }
        }
    }

    /// Whether a file is one of those.
    public func keeps(_ path: String) -> Bool { File.info(path).map { kept[$0.identity] != nil } ?? false }

    /// - Parameter flag: what names the output, as in "--nll".
    /// - Throws: `Fault`: `usage` where it would replace something, `cannotCreate` where it cannot be made.
    public func check(_ output: String, flag: String) throws {
        try OutputFile.check(output)
        func refuse(_ what: String) -> Fault {
            Fault(.usage, "\(flag) would replace \(what)", at: Place(file: output), advice: "Name another file.")
        }
        if let info = try OutputFile.info(output), let role = kept[info.identity] { throw refuse(role) }
        for store in stores where try OutputFile.isOwn(output, in: store, Store.isOwnName) { throw refuse("a file of the store") }
    }
}
