import Foundation
import TestSupport
import Testing

@testable import PageStore

/// A folder with the stores, models and files of one test. Its own state, a path, never changes.
final class Bench: @unchecked Sendable {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    var path: String { folder.path }

    func remove() { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String) -> String { folder.file(name) }

    @discardableResult
    func write(_ name: String, _ bytes: some Sequence<UInt8>) throws -> String { try folder.write(name, bytes) }

    func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: file(name)) }

    /// Every file under `name`, with its bytes; LMDB's own locks are no part of the data.
    func contents(_ name: String) throws -> [String: Data] {
        var files: [String: Data] = [:]
        for path in try FileManager.default.subpathsOfDirectory(atPath: file(name)) where !path.hasSuffix("lock.mdb") {
            files[path] = FileManager.default.contents(atPath: "\(file(name))/\(path)") ?? Data()
        }
        return files
    }

    func array(_ name: String) throws -> NpyArray { try NpyArray(file(name)) }
    func bytes(_ name: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: file(name))) }

    /// Runs a script in this folder, in which $P is the program.
    func shell(_ script: String) throws -> Outcome {
        try Program(["-c", "P=$1; cd \"$0\" || exit 99\n\(script)", path, Program.path], executable: "/bin/bash")
            .outcome()
    }

    // MARK: Stores and models

    /// Ingests bytes and returns the store's path.
    @discardableResult
    func store(_ bytes: [UInt8], _ flags: String..., named name: String = "store") throws -> String {
        try run(["ingest", write("\(name).input", bytes), "--store", file(name)] + flags).expect(0)
        return file(name)
    }

    /// Ingests a fixture's tokens and returns the store's path.
    @discardableResult
    func store(fixture: String, named name: String = "store") throws -> String {
        try run("ingest", "\(Fixtures.path(fixture))/tokens.u16", "--tokens", "--store", file(name)).expect(0)
        return file(name)
    }

    /// Makes a small model and returns its path.
    @discardableResult
    func model(
        _ name: String = "model", patchSize: Int = 8, hiddenSize: Int = 8, layers: Int = 2, kernelSize: Int = 3,
        seed: Int = 1
    ) throws -> String {
        try run(
            "model", "init", file(name), "--hidden-size", "\(hiddenSize)", "--layers", "\(layers)", "--heads", "2",
            "--patch-size", "\(patchSize)",
            "--kernel-size", "\(kernelSize)", "--intermediate-size", "\(hiddenSize)", "--seed", "\(seed)"
        ).expect(0)
        return file(name)
    }

    /// A copy of a fixture's model, to be broken.
    func modelCopy(_ fixture: String, _ name: String = "model") throws -> String {
        try FileManager.default.createDirectory(atPath: file(name), withIntermediateDirectories: true)
        for part in ["config.json", "model.safetensors"] {
            try FileManager.default.copyItem(
                atPath: "\(Fixtures.path(fixture))/\(part)", toPath: file("\(name)/\(part)"))
        }
        return file(name)
    }

    /// Changes fields of a JSON file; null removes one, unless it is to stand there.
    func edit(_ name: String, _ change: [String: Any], keepingNull: Bool = false) throws {
        var fields = try #require(JSONSerialization.jsonObject(with: bytes(name)) as? [String: Any])
        for (key, value) in change { fields[key] = value is NSNull && !keepingNull ? nil : value }
        try write(name, JSONSerialization.data(withJSONObject: fields))
    }

    /// Changes a store's manifest.
    ///
    /// - Parameter sealing: the checksum is made to fit what it says then; false for a change that the checksum tells.
    func editManifest(of store: String = "store", sealing: Bool = true, _ change: (inout [String: Any]) throws -> Void)
        throws
    {
        let name = "\(store)/manifest.json"
        var fields = try #require(JSONSerialization.jsonObject(with: bytes(name)) as? [String: Any])
        try change(&fields)
        if sealing && fields["checksum"] != nil { fields["checksum"] = String(repeating: "0", count: 16) }
        // Sorted, the checksum comes first.
        let changed = Array(try JSONSerialization.data(withJSONObject: fields, options: [.sortedKeys]))
        try write(name, sealing ? Manifest.sealed(changed) : changed)
    }

    /// Changes fields of the manifest; null removes one.
    func editManifest(of store: String = "store", sealing: Bool = true, _ change: [String: Any]) throws {
        try editManifest(of: store, sealing: sealing) { fields in
            for (key, value) in change { fields[key] = value is NSNull ? nil : value }
        }
    }

    /// Changes fields of a generation, by its place in the manifest.
    func editGeneration(_ place: Int, _ change: [String: Any], sealing: Bool = true) throws {
        try editManifest(sealing: sealing) { fields in
            var generations = try #require(fields["generations"] as? [[String: Any]])
            for (key, value) in change { generations[place][key] = value is NSNull ? nil : value }
            fields["generations"] = generations
        }
    }

    /// Changes fields of the run.
    func editRun(_ change: [String: Any]) throws {
        try editManifest { fields in
            var run = try #require(fields["run"] as? [String: Any])
            for (key, value) in change { run[key] = value is NSNull ? nil : value }
            fields["run"] = run
        }
    }

    /// Makes a finished run one that was only begun: nothing of it is named.
    func forgetStates(_ change: [String: Any] = [:]) throws {
        try editRun(["complete": false].merging(change) { $1 })
        try editManifest { $0["generations"] = Array((($0["generations"] as? [Any]) ?? []).prefix(1)) }
    }

    /// Claims another number of tokens, wherever the manifest has it.
    func claimTokens(_ tokens: Int) throws {
        try editManifest { fields in
            var documents = try #require(fields["documents"] as? [[String: Any]])
            documents[0]["tokens"] = tokens
            (fields["documents"], fields["tokens"]) = (Array(documents.prefix(1)), tokens)
        }
    }

    /// Changes the bytes of a file.
    func edit(_ name: String, _ change: (inout Data) throws -> Void) throws {
        var data = try bytes(name)
        try change(&data)
        try write(name, data)
    }
}
