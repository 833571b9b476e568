import Foundation
import Support
import TestSupport
import Testing

@testable import PageStore

/// What a store removes, and what it never does.
struct RemovalTests {
    private let store: TestStore
    init() throws { store = try TestStore(tokens: 42, patchesPerBlock: 4, element: .bf16, width: 2) }

    private var names: [String] { File.names(in: store.directory).filter { $0.hasPrefix("generation-") } }

    /// Writes an environment that the manifest does not name.
    private func write(_ directory: String, store name: String? = nil, id: Bool = true, finished: Bool) throws {
        var record = GenerationRecord(
            index: 2, directory: directory, element: .bf16, patchesPerBlock: 4, width: 2, tables: [.states])
        if !id { record.id = nil }
        let writer = try GenerationWriter(
            store: store.directory,
            identity: GenerationIdentity(store: name ?? store.manifest.store, record: record, patchSize: 4),
            record: record)
        try writer.append(.states, block: 0, page: store.page(0))
        try writer.commit(progress: [1])
        if finished { try writer.finish() }
    }

    @Test func onlyWhatADeadWriterOfThisStoreLeftGoes() throws {
        try write("generation-2", finished: false)
        try write("generation-3", finished: true)
        try write("generation-4", store: "another", finished: false)
        try write("generation-5", id: false, finished: false)
        try store.folder.write("damaged", [UInt8](repeating: 7, count: 20_000))
        for (name, bytes) in [("generation-6", 0), ("generation-7", 5000), ("generation-8", 20_000)] {
            try File.makeDirectory("\(store.directory)/\(name)")
            try File.replace("\(store.directory)/\(name)/data.mdb", with: [UInt8](repeating: 7, count: bytes))
        }
        try File.makeDirectory("\(store.directory)/generation-9")
        let all = File.names(in: store.directory)
        let looked = try Store.open(store.directory)
        try looked.checkFolders()
        #expect(File.names(in: store.directory) == all)

        let opened = try Store.openForWriting(store.directory)
        // The unfinished one of this store, one whose file is empty, and the empty folder.
        #expect(
            names == [
                "generation-0", "generation-1", "generation-3", "generation-4", "generation-5", "generation-7",
                "generation-8",
            ])
        let notes = opened.takeNotes()
        #expect(notes.count == 5 && opened.takeNotes().isEmpty)
        for (number, note) in zip([3, 4, 5, 7, 8], notes) {
            #expect(note.contains("generation-\(number) stays"), "\(note)")
        }
        // Publishing looks at nothing but what it drops itself.
        try opened.publish(opened.manifest)
        #expect(names.count == 7)
        #expect(try store.readAll() == store.values)
    }

    @Test(arguments: ["a wrong folder", "folders exchanged", "a missing folder", "another store's"])
    func nothingGoesWhereTheManifestIsWrong(_ what: String) throws {
        try write("generation-2", finished: false)
        var manifest = store.manifest
        switch what {
        case "a wrong folder": manifest.generations[0].directory = "generation-5"
        case "folders exchanged":
            (manifest.generations[0].directory, manifest.generations[1].directory) = ("generation-1", "generation-0")
        case "a missing folder": try File.remove("\(store.directory)/generation-1")
        default: manifest.store = "another"
        }
        try Data(manifest.encoded()).write(to: URL(fileURLWithPath: "\(store.directory)/manifest.json"))
        let before = names
        let found = try fault { _ = try Store.openForWriting(store.directory) }
        #expect(found?.kind == .badData && found?.advice?.contains("Nothing was removed") == true)
        if what == "a wrong folder" { #expect(found?.advice?.contains("'generation-0'") == true) }
        #expect(names == before)
        // States that are to be dropped need not be there.
        if what == "a missing folder" {
            #expect(found?.place.generation == 1)
            _ = try Store.openForWriting(store.directory, isDroppingStates: true)
        }
    }

    private func without(_ index: Int) -> Manifest {
        var manifest = store.manifest
        manifest.generations.removeAll { $0.index == index }
        return manifest
    }

    @Test func whatAManifestStopsNamingGoesWithIt() throws {
        let opened = try Store.openForWriting(store.directory)
        try opened.publish(without(1))
        #expect(names == ["generation-0"])
        #expect(opened.manifest.dropped == nil)
        #expect(try Store.open(store.directory).manifest == opened.manifest)
    }

    @Test func aKillBetweenManifestAndRemovalIsMadeUpFor() throws {
        // What publish writes first.
        var manifest = without(1)
        let identity = store.identity.text
        manifest.dropped = [DroppedGeneration(directory: "generation-1", identity: identity)]
        let killed = try manifest.encoded()
        try Data(killed).write(to: URL(fileURLWithPath: "\(store.directory)/manifest.json"))
        #expect(try Store.open(store.directory).manifest == manifest)
        #expect(names == ["generation-0", "generation-1"])
        #expect(try Store.openForWriting(store.directory).manifest.dropped == nil)
        #expect(names == ["generation-0"])

        // A folder of that name that is another generation by now stays.
        try write("generation-1", finished: true)
        try Data(killed).write(to: URL(fileURLWithPath: "\(store.directory)/manifest.json"))
        let opened = try Store.openForWriting(store.directory)
        #expect(names == ["generation-0", "generation-1"])
        #expect(opened.takeNotes().count == 1)
    }

    @Test func whatSomebodyPutIntoAGenerationStays() throws {
        try Data("mine".utf8).write(to: URL(fileURLWithPath: "\(store.directory)/generation-1/notes.txt"))
        try Store.openForWriting(store.directory).publish(without(1))
        #expect(File.names(in: "\(store.directory)/generation-1") == ["notes.txt"])
    }

    @Test func anOlderManifestPutBackRemovesNoFinishedStates() throws {
        // As before the run: nothing but tokens.
        var older = without(1)
        older.run = nil
        try Data(older.encoded()).write(to: URL(fileURLWithPath: "\(store.directory)/manifest.json"))
        let opened = try Store.openForWriting(store.directory)
        #expect(opened.takeNotes().first?.contains("generation-1 stays") == true)
        #expect(try store.readAll() == store.values)
        #expect(Store.unusedDirectory(store.directory, generation: 1) == "generation-1.1")
    }

    @Test func whatAnOlderManifestTakesForUnfinishedIsNotDropped() throws {
        // As in the middle of the run, put back after its end.
        let file = URL(fileURLWithPath: "\(store.directory)/manifest.json")
        var older = store.manifest
        older.generations[1].isComplete = false
        try Data(older.encoded()).write(to: file)
        try Store.openForWriting(store.directory).publish(without(1))
        #expect(try store.readAll() == store.values)
        #expect(try Store.openForWriting(store.directory).takeNotes().count == 1)
    }

    @Test func whatAKilledIngestLeftGoesWithTheNext() throws {
        let folder = try TemporaryFolder()
        func begin(_ name: String) throws -> StoreLock {
            let lock = try Store.prepare(folder.path, name: name, isReplacing: true)
            let record = GenerationRecord(
                index: 0, directory: Store.unusedDirectory(folder.path, generation: 0), element: .token,
                patchesPerBlock: 4, width: 1, tables: [.states])
            _ = try GenerationWriter(
                store: folder.path, identity: GenerationIdentity(store: name, record: record, patchSize: 4),
                record: record)
            return lock
        }
        // Let go without a word: the process is gone.
        _ = try begin("first")
        #expect(File.names(in: folder.path) == ["generation-0", "lock"])
        _ = try begin("second")
        #expect(File.names(in: folder.path) == ["generation-0", "lock"])
        // One that came to its end is forgotten.
        try begin("third").settle()
        _ = try Store.prepare(folder.path, name: "fourth", isReplacing: true)
        #expect(File.names(in: folder.path) == ["generation-0", "lock"])
        #expect(try String(contentsOfFile: folder.file("lock"), encoding: .utf8) == "ingest fourth\n")
    }

    @Test func aLockFileThatSomebodyElseWroteIsLeftAsItIs() throws {
        let folder = try TemporaryFolder()
        try folder.write("lock", Array("a diary".utf8))
        try Store.prepare(folder.path, name: "n", isReplacing: false).settle()
        #expect(try String(contentsOfFile: folder.file("lock"), encoding: .utf8) == "a diary")
    }
}

/// n is checked against the tokens before anything is read.
struct LengthTests {
    // 42 tokens are eleven patches of 4, the last one half full, in blocks of 4.
    @Test(arguments: [1, 16, 40, 41, 42, 43, 44, 45, 48, 49, 1 << 40], [false, true])
    func aNumberOfTokensThatIsNotTheirsIsRefused(n: Int, isOrdered: Bool) throws {
        let store = try TestStore(
            tokens: 42, patchesPerBlock: 4, element: isOrdered ? .token : .bf16, width: 1, isOrdered: isOrdered)
        var manifest = store.manifest
        (manifest.tokens, manifest.documents[0].tokens) = (n, n)
        try Data(manifest.encoded()).write(to: URL(fileURLWithPath: "\(store.directory)/manifest.json"))
        let opened = try Store.open(store.directory)
        for _ in 0..<2 {
            let found = try fault { _ = try opened.reader(store.record.index) }
            #expect(found?.kind == (n == 42 ? nil : .badData), "\(found.map(String.init(describing:)) ?? "no fault")")
        }
    }
}
