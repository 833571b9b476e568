import Geometry
import Glibc
import PageStore
import Support

/// Refuses an output that would replace what the command reads, by whatever name: another spelling, a link, a hard
/// link, a stream that leads there.
package struct OutputGuard {
    /// What must stay as it is, by the file itself, and what it is.
    private var kept: [FileIdentity: String] = [:]
    private static let modelFiles = ["config.json", "model.safetensors"]

    package init() {}

    /// Keeps a store's files.
    package mutating func keep(store directory: String) { keep(folder: directory, as: "a file of the store") }

    /// Keeps a model's files.
    package mutating func keep(model directory: String) { keep(folder: directory, as: "a file of the model") }

    /// Keeps an input; "-" is standard input.
    package mutating func keep(input: String) {
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
    package func keeps(_ path: String) -> Bool { File.info(path).map { kept[$0.identity] != nil } ?? false }

    /// - Parameter option: what names the output, as in "nll".
    /// - Throws: `Fault`: `usage` where it would replace something, `cannotCreate` where it cannot be made.
    package func check(_ output: String, option: String) throws {
        try OutputFile.check(output)
        func refuse(_ what: String) -> Fault {
            Fault(
                .usage, "the output would replace \(what)", at: Place(file: output, option: option),
                advice: "Name another file.")
        }
        if let info = try OutputFile.info(output), let role = kept[info.identity] { throw refuse(role) }
        guard let target = try OutputFile.target(output) else { return }
        let (folder, name) = (File.parent(of: target), File.name(of: target))
        // Of models and stores that the command knows nothing of, too.
        if Self.modelFiles.contains(name), Self.modelFiles.allSatisfy({ File.exists("\(folder)/\($0)") }) {
            throw refuse("a file of a model")
        }
        for place in [folder, File.parent(of: folder)] where Store.isStore(place) {
            throw Fault(
                .usage, "the output would lie in a store's folder", at: Place(file: output, option: option),
                advice: "Name a file outside of it.")
        }
    }
}
