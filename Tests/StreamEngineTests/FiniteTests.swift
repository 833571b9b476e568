import Foundation
import Geometry
import PageStore
import ProtonModel
import Support
import TestSupport
import Testing

@testable import StreamEngine

/// Values that are no numbers, in pages whose checksums are right.
struct FiniteTests {
    @Test(arguments: [0, 1, 5, 16, 1023, 1024, 1025, 4000]) func theFirstValueAboveALimitIsFound(count: Int) throws {
        let values = try Memory<Float>(count), halves = try Memory<UInt16>(count)
        for index in 0..<count {
            (values[index], halves[index]) = (
                index % 2 == 0 ? -.greatestFiniteMagnitude : 1, index % 2 == 0 ? 0xff7f : 0x3f80
            )
        }
        #expect(Finite.firstOverflow(values.start, count: count) == nil)
        #expect(Finite.firstOverflow(UnsafeRawBufferPointer(halves.bytes), of: .bf16) == nil)
        // The largest f32 is infinite in bf16.
        #expect(Finite.firstOverflow(values.start, count: count, storedAs: .bf16) == (count > 0 ? 0 : nil))
        for (place, value) in [
            (0, Float.nan), (count / 2, .infinity), (count - 1, -.infinity),
            (count - 1, Float(bitPattern: 0xffff_ffff)),
        ] where count > 0 {
            let (old, oldHalf) = (values[place], halves[place])
            (values[place], halves[place]) = (value, UInt16(value.bitPattern >> 16))
            #expect(Finite.firstOverflow(values.start, count: count) == place)
            #expect(Finite.firstOverflow(UnsafeRawBufferPointer(values.bytes), of: .f32) == place)
            #expect(Finite.firstOverflow(UnsafeRawBufferPointer(halves.bytes), of: .bf16) == place)
            (values[place], halves[place]) = (old, oldHalf)
        }
        // Just what rounds to the largest number of bf16, and what rounds past it.
        if count > 0 {
            for index in 0..<count { values[index] = Float(bitPattern: 0x7f7f_7fff) }
            #expect(Finite.firstOverflow(values.start, count: count, storedAs: .bf16) == nil)
            values[count - 1] = Float(bitPattern: 0xff7f_8000)
            #expect(Finite.firstOverflow(values.start, count: count, storedAs: .bf16) == count - 1)
        }
    }

    private struct Silent: ForwardObserver {
        func planned(_ plan: ForwardPlan) {}
        func note(_ text: String) {}
        func progress(_ progress: ForwardProgress) {}
    }

    private func options(_ folder: TemporaryFolder, _ fixture: String, _ state: Element) -> ForwardOptions {
        var options = ForwardOptions(store: folder.file("store"), model: Fixtures.path(fixture))
        (options.keep, options.state, options.nll) = (.all, state, folder.file("nll.npy"))
        return options
    }

    private func finishedStore(_ fixture: String, _ state: Element) throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        _ = try Ingest.run(
            ["\(Fixtures.path(fixture))/tokens.u16"], store: folder.file("store"), format: .tokens,
            patchSize: Model(directory: Fixtures.path(fixture)).config.patchSize, isReplacing: false)
        _ = try ForwardRun(options(folder, fixture, state), observer: Silent()).run()
        return folder
    }

    /// Writes a generation anew, with another value at one place of a token's row.
    private func poison(
        _ folder: TemporaryFolder, generation index: Int, _ table: PageTable, token: Int, _ value: Float
    ) throws {
        let store = try Store.open(folder.file("store"))
        let reader = try store.reader(index)
        let kernels = try Kernels.select()
        let P = reader.geometry.patchSize
        var pages: [(PageTable, Int, [UInt8])] = []
        for kind in PageTable.allCases where reader.record.holds(kind) {
            for block in 0..<reader.grid.blocks {
                let header = reader.expectedHeader(kind, block: block)
                let columns = try Memory<UInt8>(header.columns * header.columnBytes),
                    indices = try Memory<UInt16>(header.isOrdered ? header.columns * header.patches : 0)
                let pageReader = try PageReader(
                    pageBytes: header.largestPageBytes, columnBytes: header.columnBytes, kernels: kernels)
                try pageReader.read(
                    reader, kind, block: block, columns: 0..<P,
                    into: { UnsafeMutableRawBufferPointer(columns.piece($0, of: header.columnBytes)) },
                    indices: { header.isOrdered ? indices.piece($0, of: header.patches) : nil })
                let encoder = try PageEncoder(largest: header)
                for column in 0..<P {
                    let values = UnsafeMutableRawBufferPointer(columns.piece(column, of: header.columnBytes))
                    for row in 0..<header.patches where kind == table {
                        let position =
                            (header.firstPatch + row) * P
                            + (header.isOrdered ? Int(indices[column * header.patches + row]) : column)
                        guard position == token else { continue }
                        let place = (row * header.width + header.width - 1) * header.element.size
                        switch header.element {
                        case .f32: values.storeBytes(of: value.bitPattern, toByteOffset: place, as: UInt32.self)
                        case .bf16:
                            values.storeBytes(of: UInt16(value.bitPattern >> 16), toByteOffset: place, as: UInt16.self)
                        case .token: values.storeBytes(of: UInt16(value), toByteOffset: place, as: UInt16.self)
                        }
                    }
                    encoder.encode(
                        column, of: header, values: values.baseAddress!,
                        indices: header.isOrdered ? indices.start + column * header.patches : nil,
                        with: pageReader.codec)
                }
                pages.append((kind, block, Array(encoder.finish(header))))
            }
        }
        let directory = "\(store.directory)/\(reader.record.directory)"
        try File.remove(directory)
        let writer = try GenerationWriter(
            store: store.directory, identity: store.identity(of: reader.record), record: reader.record)
        for (kind, block, page) in pages {
            try page.withUnsafeBytes { try writer.append(kind, block: block, page: $0) }
        }
        try writer.commit(progress: [])
        try writer.finish()
    }

    private func fault(_ body: () throws -> Void) -> Fault? {
        do {
            try body()
            return nil
        } catch {
            return error as? Fault
        }
    }

    @Test(
        arguments: [("ragged", Element.bf16), ("ragged", .f32), ("carlo", .bf16)], [Float.nan, .infinity, -.infinity])
    func statesThatAreNotFiniteAreNotHandedOut(_ what: (String, Element), value: Float) throws {
        let folder = try finishedStore(what.0, what.1)
        let (store, out) = (folder.file("store"), folder.file("out.npy"))
        try poison(folder, generation: 1, .states, token: 77, value)
        let found = fault { _ = try Export.run(store: store, generation: 1, range: nil, to: out) }
        #expect(found?.kind == .badData && found?.problem.contains("token 77") == true && found?.place.generation == 1)
        #expect(!File.exists(out))
        // Rows that are whole can be read, the others looked at.
        _ = try Export.run(store: store, generation: 1, range: TokenRange(0..<77), to: out)
        let summaries = try Inspection(store: store).generation(1, isOfAllBlocks: true)
        #expect(summaries[0].statistics.notANumber == (value.isNaN ? 1 : 0))
        #expect(try Verify.run(store: store).faults.map(\.problem).contains { $0.contains("token 77") })

        // A run that goes on from these states stops there.
        var manifest = try Store.open(store).manifest
        manifest.run?.isComplete = false
        manifest.generations.removeAll { $0.index > 1 }
        try Store.openForWriting(store).publish(manifest)
        for threads in [1, 2] {
            var options = options(folder, what.0, what.1)
            options.threads = threads
            let found = fault { _ = try ForwardRun(options, observer: Silent()).run() }
            #expect(
                found?.kind == .badData && found?.problem == "the states of token 77 are not finite"
                    && found?.place.generation == 1 && found?.place.column != nil)
        }
    }

    @Test func paddingMayHoldAnything() throws {
        // Half of the last patch is padding.
        let folder = try finishedStore("ragged", .f32)
        let wanted = try File.read(folder.file("nll.npy"))
        try poison(folder, generation: 1, .states, token: 1000, .nan)
        _ = try Export.run(store: folder.file("store"), generation: 1, range: nil, to: folder.file("out.npy"))
        #expect(try Verify.run(store: folder.file("store")).faults.isEmpty)
        var manifest = try Store.open(folder.file("store")).manifest
        manifest.run?.isComplete = false
        manifest.generations.removeAll { $0.index > 1 }
        try Store.openForWriting(folder.file("store")).publish(manifest)
        _ = try ForwardRun(options(folder, "ragged", .f32), observer: Silent()).run()
        #expect(try File.read(folder.file("nll.npy")) == wanted)
    }

    @Test(arguments: [Float.nan, .infinity]) func surprisalThatIsNotFiniteIsNotHandedOut(value: Float) throws {
        let folder = try finishedStore("ragged", .bf16)
        let wanted = try File.read(folder.file("nll.npy"))
        try poison(folder, generation: 3, .surprisal, token: 501, value)
        let found = fault { _ = try ForwardRun(options(folder, "ragged", .bf16), observer: Silent()).run() }
        #expect(found?.kind == .badData && found?.problem.contains("token 501") == true && found?.place.generation == 3)
        #expect(try File.read(folder.file("nll.npy")) == wanted)
        #expect(try Verify.run(store: folder.file("store")).faults.count == 1)
    }

    @Test func idsThatAreNoneAreNotHandedOut() throws {
        let folder = try finishedStore("ragged", .bf16)
        try poison(folder, generation: 0, .states, token: 5, 300)
        let found = fault {
            _ = try Export.run(store: folder.file("store"), generation: 0, range: nil, to: folder.file("out.npy"))
        }
        #expect(found?.kind == .badData && found?.problem.contains("token 5") == true)
    }
}
