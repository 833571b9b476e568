import Glibc
import StreamEngine
import Support

/// Where a model lies that a command names: a folder, or the name of one that comes with the program.
enum ModelFolder {
    /// Of the models that come with the program.
    static let defaultName = "base"

    /// The folder of model `name`.
    ///
    /// A folder of that name is taken first. A bare name is then looked for in $BBP_STREAM_MODELS, or beside the program and in
    /// the folders above it: `share/bbp-stream/models` where it is installed, `datasets/models` in its work tree.
    static func find(_ name: String) throws -> String {
        if File.isDirectory(name) || name.contains("/") { return name }
        let places = places
        if let found = places.map({ "\($0)/\(name)" }).first(where: { File.exists("\($0)/config.json") }) { return found }
        let looked = places.map { place in
            let names = File.names(in: place).filter { File.exists("\(place)/\($0)/config.json") }
            return names.isEmpty ? place : "\(place), where there \(names.count == 1 ? "is" : "are") \(names.joined(separator: " and "))"
        }
        throw Fault(
            .noInput, "there is no such folder, and no model of that name came with the program", at: Place(file: name),
            advice: "Looked in \(looked.isEmpty ? "the folders above the program" : looked.joined(separator: "; ")). Name a model's folder with --model, or set BBP_STREAM_MODELS.")
    }

    private static var places: [String] {
        if let place = getenv("BBP_STREAM_MODELS").map({ String(cString: $0) }), !place.isEmpty { return [place] }
        guard let program = realpath("/proc/self/exe", nil) else { return [] }
        defer { free(program) }
        var folder = File.parent(of: String(cString: program))
        var places: [String] = []
        while folder != "/" {
            places += ["share/bbp-stream/models", "datasets/models"].map { "\(folder)/\($0)" }.filter(File.isDirectory)
            folder = File.parent(of: folder)
        }
        return places
    }
}
