import Foundation
import Support
import TestSupport
import Testing

@testable import PageStore

private func sample() throws -> TestStore { try TestStore(tokens: 42, patchesPerBlock: 4, element: .bf16, width: 2) }

struct ManifestTests {
    @Test func everyFieldReturns() throws {
        let folder = try TemporaryFolder()
        var states = GenerationRecord(
            index: 3, directory: "generation-3.1", element: .bf16, patchesPerBlock: 64, width: 768,
            tables: [.states, .surprisal], modelFingerprint: "f00d")
        states.isComplete = true
        states.storedBytes = 1 << 50
        var tokens = GenerationRecord(
            index: 0, directory: "generation-0", element: .token, patchesPerBlock: 1, width: 1, tables: [.states])
        tokens.isComplete = true
        var manifest = Manifest(
            store: "name", tokens: 1 << 61, patchSize: 1024, tokensFingerprint: "0123456789abcdef",
            documents: [
                Document(name: "Grüße / \"x\"\n", firstToken: 0, tokens: 5),
                Document(name: "-", firstToken: 5, tokens: 1 << 61 - 5),
            ],
            generations: [tokens, states])
        manifest.run = RunRecord(
            modelFingerprint: "f00d", isTrained: true, layers: 3, hiddenSize: 768, state: "bf16", patchesPerBlock: 64,
            keep: "last", compute: "bf16",
            convolution: "direct", kernels: "vector", arithmetic: 1)
        manifest.run?.isComplete = true
        manifest.dropped = [DroppedGeneration(directory: "generation-2", identity: "store name generation 2")]
        for manifest in [
            manifest,
            {
                var bare = manifest; (bare.run, bare.generations, bare.dropped) = (nil, [tokens], nil); return bare
            }(),
        ] {
            let path = try folder.write("manifest.json", manifest.encoded())
            #expect(try Manifest.read(path, store: folder.path) == manifest)
        }
        // The names that a stranger finds.
        let text = String(decoding: try manifest.encoded(), as: UTF8.self)
        for name in [
            "\"format\" : \"bbp-stream store\"", "\"version\" : 3", "\"checksum\" : \"", "\"id\" : \"", "\"dropped\"",
            "\"identity\"", "\"kernels\"", "\"arithmetic\" : 1", "\"tokens\" : 2305843009213693952",
            "\"patch_size\" : 1024", "\"patches_per_block\" : 64", "\"tokens_fingerprint\"",
            "\"first_token\"", "\"model_fingerprint\"", "\"hidden_size\" : 768", "\"stored_bytes\"", "\"tables\"",
            "\"directory\" : \"generation-3.1\"",
        ] {
            #expect(text.contains(name), "\(name)")
        }
    }

    /// Numbers that do not fit together would size memory for one thing and fill it with another.
    @Test(arguments: [
        "patches_per_block", "state", "state of tokens", "hidden_size", "layers", "complete", "two incomplete", "keep",
        "compute", "convolution", "kernels",
        "tables", "no table", "one table twice", "no run", "one folder twice", "a dropped folder", "model",
        "stored_bytes",
    ])
    func aRunThatContradictsItsGenerationsIsRefused(_ what: String) throws {
        let folder = try TemporaryFolder()
        func states(_ index: Int) -> GenerationRecord {
            GenerationRecord(
                index: index, directory: "generation-\(index)", element: .bf16, patchesPerBlock: 128, width: 8,
                tables: [.states])
        }
        var tokens = GenerationRecord(
            index: 0, directory: "generation-0", element: .token, patchesPerBlock: 1, width: 1, tables: [.states])
        tokens.isComplete = true
        var manifest = Manifest(
            store: "name", tokens: 1000, patchSize: 8, tokensFingerprint: "",
            documents: [Document(name: "a", firstToken: 0, tokens: 1000)], generations: [tokens, states(1)])
        manifest.run = RunRecord(
            modelFingerprint: "f00d", isTrained: true, layers: 2, hiddenSize: 8, state: "bf16", patchesPerBlock: 128,
            keep: "all")
        #expect(try Manifest.read(folder.write("manifest.json", manifest.encoded()), store: folder.path) == manifest)
        switch what {
        case "patches_per_block": manifest.run?.patchesPerBlock = 64
        case "state": manifest.run?.state = "f32"
        case "hidden_size": manifest.run?.hiddenSize = 16
        case "layers": manifest.generations[1].index = 3
        case "complete": manifest.run?.isComplete = true
        case "state of tokens":
            manifest.run?.state = "u16"
            manifest.generations[1].element = "u16"
        case "keep": manifest.run?.keep = "some"
        case "compute": manifest.run?.compute = "f16"
        case "convolution": manifest.run?.convolution = "both"
        case "kernels": manifest.run?.kernels = "avx2"
        case "tables": manifest.generations[1].tables = ["states", "surprisal"]
        case "no table": manifest.generations[1].tables = []
        case "one table twice": manifest.generations[1].tables = ["states", "states"]
        case "no run": manifest.run = nil
        case "one folder twice": manifest.generations[1].directory = "generation-0"
        case "a dropped folder": manifest.dropped = [DroppedGeneration(directory: "generation-1", identity: "")]
        case "model": manifest.generations[1].modelFingerprint = "beef"
        case "stored_bytes": manifest.generations[1].storedBytes = .max
        default: manifest.generations.append(states(2))
        }
        let found = try fault {
            _ = try Manifest.read(folder.write("manifest.json", manifest.encoded()), store: folder.path)
        }
        #expect(found?.kind == .badData && found?.place.field != nil && found?.place.field != "checksum")
    }

    @Test(
        arguments: [
            ("format", "\"another store\"", "format"), ("version", "5", "version"), ("version", "\"1\"", "version"),
            ("store", nil, "store"),
            ("tokens", nil, "tokens"), ("tokens", "41", "documents"), ("tokens", "0", "tokens"),
            ("tokens", "-5", "tokens"), ("tokens", "9223372036854775807", "tokens"),
            ("tokens", "\"42\"", "tokens"), ("patch_size", "0", "tokens"), ("patch_size", "16385", "tokens"),
            ("tokens_fingerprint", nil, "tokens_fingerprint"), ("documents", "{}", "documents"),
            ("generations", nil, "generations"), ("generations", "[]", "generations"),
            ("patches_per_block", nil, "generations.0.patches_per_block"),
            ("patches_per_block", "0", "patches_per_block"),
            ("patches_per_block", "9223372036854775807", "patches_per_block"),
            ("width", "0", "patches_per_block"), ("width", "-1", "patches_per_block"),
            ("width", "2097152", "patches_per_block"), ("index", "1", "generations"), ("documents", "[]", "documents"),
            ("first_token", "1", "documents"), ("element", "\"bf16\"", "element"), ("element", "\"f16\"", "element"),
            ("complete", nil, "generations.0.complete"), ("directory", nil, "generations.0.directory"),
            ("directory", "\"../x\"", "directory"), ("directory", "\"generation-0/../../x\"", "directory"),
            ("directory", "\"/etc\"", "directory"),
            ("directory", "\"\"", "directory"), ("directory", "\"generation-1.\"", "directory"),
            ("directory", "\"generation-١\"", "directory"), ("stored_bytes", "-1", "stored_bytes"),
            ("tables", "[\"pages\"]", "tables"), ("width", "64", "element"), ("directory", "\"..\"", "directory"),
            ("directory", "\"manifest.json\"", "directory"),
        ] as [(String, String?, String)]) func aWrongFieldIsNamed(_ name: String, value: String?, field: String) throws
    {
        let store = try TestStore(tokens: 42, patchesPerBlock: 4, element: .token, width: 1)
        let path = "\(store.directory)/manifest.json"
        // Its checksum fits what it says: that is not what is found.
        func write(_ bytes: [UInt8]) throws { try Data(sealedAnew(bytes)).write(to: URL(fileURLWithPath: path)) }
        var lines = String(decoding: try store.manifest.encoded(), as: UTF8.self).split(separator: "\n").map(
            String.init)
        if value == "{}" || value?.hasPrefix("[") == true || (value == nil && name == "generations") {
            // A whole array: through the parsed document.
            var object = try #require(
                try JSONSerialization.jsonObject(with: store.manifest.encoded().data) as? [String: Any])
            let parsed = try value.map { try JSONSerialization.jsonObject(with: Data($0.utf8)) }
            if name == "tables", var generations = object["generations"] as? [[String: Any]] {
                generations[0][name] = parsed
                object["generations"] = generations
            } else {
                object[name] = parsed
            }
            try write(Array(JSONSerialization.data(withJSONObject: object)))
        } else {
            // The last line of that name: some names are also a document's.
            let line = try #require(lines.lastIndex { $0.contains("\"\(name)\" :") })
            lines[line] =
                value.map { "\"\(name)\" : \($0)" + (lines[line].hasSuffix(",") ? "," : "") } ?? "\"unknown\" : 0"
                + (lines[line].hasSuffix(",") ? "," : "")
            try write(Array(lines.joined(separator: "\n").utf8))
        }
        for open in [{ _ = try Store.open($0) }, { _ = try Store.openForWriting($0) }] as [(String) throws -> Void] {
            let found = try fault { try open(store.directory) }
            #expect(
                found?.kind == .badData && found?.place.file == path && found?.place.field == field,
                "\(found.map(String.init(describing:)) ?? "no fault")")
        }
    }

    @Test(arguments: ["", "{", "[]", "null", "\u{0}", "{\"format\": 1}"]) func whatIsNoManifestIsRefused(_ text: String)
        throws
    {
        let store = try sample()
        try Data(text.utf8).write(to: URL(fileURLWithPath: "\(store.directory)/manifest.json"))
        #expect(try fault { _ = try Store.open(store.directory) }?.kind == .badData)
    }

    @Test func noChangedByteGoesUnseen() throws {
        let store = try sample()
        let path = "\(store.directory)/manifest.json"
        let whole = try File.read(path)
        for place in whole.indices {
            var changed = whole
            changed[place] ^= 1
            try Data(changed).write(to: URL(fileURLWithPath: path))
            // A letter of "checksum" makes another field of it; the space between fields counts as well.
            #expect(try fault { _ = try Store.open(store.directory) }?.kind == .badData, "byte \(place)")
        }
        // It cannot be left out, and an older version's manifest that has one is held against it.
        for (old, new) in [("\"checksum\"", "\"nothing\""), ("\"version\" : 3", "\"version\" : 2")] {
            let text = String(decoding: whole, as: UTF8.self).replacingOccurrences(of: old, with: new)
            try Data(text.utf8).write(to: URL(fileURLWithPath: path))
            #expect(try fault { _ = try Store.open(store.directory) }?.place.field == "checksum")
        }
        // Its digits stand for zeros wherever they are: any spacing will do.
        let compact = try JSONSerialization.data(
            withJSONObject: JSONSerialization.jsonObject(with: whole.data), options: [.sortedKeys])
        try Data(sealedAnew(Array(compact))).write(to: URL(fileURLWithPath: path))
        #expect(try Store.open(store.directory).manifest == store.manifest)
    }

    @Test func generationsAscend() throws {
        let store = try sample()
        let path = "\(store.directory)/manifest.json"
        for indices in [[0, 0], [0, 2, 1], [1, 2]] {
            var manifest = store.manifest
            manifest.generations = indices.map {
                GenerationRecord(
                    index: $0, directory: "generation-\($0)", element: .bf16, patchesPerBlock: 1, width: 1,
                    tables: [.states])
            }
            try Data(try manifest.encoded()).write(to: URL(fileURLWithPath: path))
            #expect(try fault { _ = try Store.open(store.directory) }?.place.field == "generations", "\(indices)")
        }
    }
}

/// A manifest with the checksum of what it says now.
private func sealedAnew(_ bytes: [UInt8]) throws -> [UInt8] {
    let object = try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any]
    guard let stated = object?["checksum"] as? String else { return bytes }
    let text = String(decoding: bytes, as: UTF8.self).replacingOccurrences(
        of: stated, with: String(repeating: "0", count: 16))
    return Manifest.sealed(Array(text.utf8))
}

extension [UInt8] {
    fileprivate var data: Data { Data(self) }
}

struct StoreTests {
    @Test func aFolderThatIsNoStoreIsNoInput() throws {
        let folder = try TemporaryFolder()
        try folder.write("file", [1])
        for path in [folder.file("nothing"), folder.path, folder.file("file")] {
            let found = try fault { _ = try Store.open(path) }
            #expect(found?.kind == .noInput && found?.place.file == path)
            #expect(try fault { _ = try Store.openForWriting(path) }?.kind == .noInput)
        }
        #expect(File.names(in: folder.path) == ["file"])
    }

    @Test func oneWriterAtATime() throws {
        let store = try sample()
        do {
            let first = try Store.openForWriting(store.directory)
            for again in [
                { _ = try Store.openForWriting(store.directory) },
                { _ = try Store.prepare(store.directory, name: "n", isReplacing: true) },
            ] as [() throws -> Void] {
                let refused = try fault(again)
                #expect(refused?.kind == .cannotCreate && refused?.place.file == store.directory)
            }
            // Looking is free.
            #expect(try Store.open(store.directory).manifest == first.manifest)
        }
        _ = try Store.openForWriting(store.directory)
    }

    @Test func preparingTouchesNothingThatIsNotOurs() throws {
        let folder = try TemporaryFolder()
        try folder.write("notes.txt", [1])
        for replacing in [false, true] {
            let foreign = try fault { _ = try Store.prepare(folder.path, name: "n", isReplacing: replacing) }
            #expect(foreign?.kind == .cannotCreate && foreign?.problem.contains("notes.txt") == true)
            #expect(
                try fault { _ = try Store.prepare(folder.file("notes.txt"), name: "n", isReplacing: replacing) }?.kind
                    == .cannotCreate)
        }
        #expect(File.names(in: folder.path) == ["notes.txt"])

        let store = try sample()
        let existing = try fault { _ = try Store.prepare(store.directory, name: "n", isReplacing: false) }
        #expect(existing?.kind == .cannotCreate && existing?.remedies == [.replaceStore, .otherStore])
        // Being replaced, a store stays whole until the new one is published.
        let lock = try Store.prepare(store.directory, name: "n", isReplacing: true)
        #expect(try store.readAll() == store.values)
        let fresh = Store.unusedDirectory(store.directory, generation: 0)
        #expect(fresh == "generation-0.1")
        try File.makeDirectory("\(store.directory)/\(fresh)")
        #expect(Store.unusedDirectory(store.directory, generation: 0) == "generation-0.2")
        var manifest = store.manifest
        manifest.generations[0].directory = fresh
        (manifest.generations, manifest.run) = ([manifest.generations[0]], nil)
        _ = try Store.create(store.directory, manifest: manifest, lock: lock)
        #expect(File.names(in: store.directory) == [fresh, "lock", "manifest.json"])
    }

    @Test func onlyCompleteGenerationsAreRead() throws {
        let store = try sample()
        #expect(try fault { _ = try Store.open(store.directory).reader(2) }?.kind == .usage)
        let open = try Store.openForWriting(store.directory)
        var manifest = store.manifest
        manifest.generations[1].isComplete = false
        try open.publish(manifest)
        #expect(try fault { _ = try Store.open(store.directory).reader(1) }?.kind == .usage)
    }

    @Test(.enabled(if: getuid() != 0, "the superuser may write anywhere")) func aStoreThatCannotBeWrittenCanBeRead()
        throws
    {
        let store = try sample()
        let folder = "\(store.directory)/generation-1"
        try File.remove("\(folder)/lock.mdb")
        chmod(folder, 0o555)
        defer { chmod(folder, 0o755) }
        #expect(try store.readAll() == store.values)
    }
}
