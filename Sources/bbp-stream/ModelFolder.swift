import StreamEngine
import Support

/// Where a model lies that a command names: a folder, or the name of one that comes with the program.
enum ModelFolder {
    /// Of the models that come with the program.
    static let defaultName = "base"
    /// The faster one.
    static let fastName = "nano"

    /// The folder of model `name`.
    ///
    /// A model's folder of that name is taken first. A bare name is then looked for in $BBP_STREAM_MODELS, or beside
    /// the program and in the folders above it: `share/bbp-stream/models` where it is installed, `datasets/models` in
    /// its work tree.
    static func find(_ name: String) throws -> String {
        if name.unicodeScalars.contains("/") { return name }
        let found = installed(name)
        if File.isDirectory(name) {
            guard let found else { return name }
            let isModel = File.exists("\(name)/config.json")
            Console.note(
                isModel
                    ? "The model is the folder ./\(name) here, not the one that comes with the program, \(found)."
                    : "The folder ./\(name) here is no model; the model is the one that comes with the program, \(found)."
            )
            return isModel ? name : found
        }
        if let found { return found }
        let looked = places.map { place in
            let names = names(in: place)
            return names.isEmpty
                ? place : "\(place), where there \(names.count == 1 ? "is" : "are") \(names.joined(separator: " and "))"
        }
        throw Fault(
            .noInput, "there is no such folder, and no model of that name came with the program", at: Place(file: name),
            advice:
                "Looked in \(looked.isEmpty ? "the folders above the program" : looked.joined(separator: "; ").escaped). Name a model's folder with --model, or set BBP_STREAM_MODELS."
        )
    }

    /// The folder of a model that comes with the program; nil where there is none of that name.
    static func installed(_ name: String) -> String? {
        places.map { "\($0)/\(name)" }.first { File.exists("\($0)/config.json") }
    }

    /// Every model that is found by name, and its folder.
    static var all: [(name: String, folder: String)] {
        var models: [(name: String, folder: String)] = []
        for place in places {
            for name in names(in: place) where !models.contains(where: { $0.name == name }) {
                models.append((name, "\(place)/\(name)"))
            }
        }
        return models
    }

    private static func names(in place: String) -> [String] {
        File.names(in: place).filter { File.exists("\(place)/\($0)/config.json") }
    }

    private static var places: [String] {
        if let place = FileName.variable("BBP_STREAM_MODELS") { return [place] }
        guard let program = File.resolved("/proc/self/exe") else { return [] }
        var folder = File.parent(of: program)
        var places: [String] = []
        while folder != "/" {
            places += ["share/bbp-stream/models", "datasets/models"].map { "\(folder)/\($0)" }.filter(File.isDirectory)
            folder = File.parent(of: folder)
        }
        return places
    }
}
