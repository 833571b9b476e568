import Foundation
import Support
import TestSupport
import Testing

@testable import PageStore

struct DamageTests {
    /// Every byte of every page, one at a time: the read fails, or the values are right.
    ///
    /// Width 8 keeps pages inside LMDB's leaf, 24 gives them pages of their own.
    @Test(arguments: [(Element.bf16, 8), (.bf16, 24), (.f32, 5), (.token, 1)]) func noFlippedByteGoesUnseen(_ element: Element, width: Int) throws {
        let store = try TestStore(tokens: 4 * 40, patchesPerBlock: 16, element: element, width: width)
        #expect(store.grid.blocks == 3)
        let reader = try store.reader()
        let pages = try (0..<3).map { try reader.locate(.states, block: $0) }
        var unseen = 0
        for page in pages {
            for offset in page.offset..<page.offset + page.bytes {
                let byte = try byte(store.dataFile, offset)
                try store.overwrite(at: offset, [byte ^ 1 << UInt8(offset % 8)])
                let found = try fault { if try store.readAll() != store.values { unseen += 1 } }
                #expect(found == nil || found?.kind == .badData, "byte \(offset)")
                try store.overwrite(at: offset, [byte])
            }
        }
        #expect(unseen == 0)
        #expect(try store.readAll() == store.values)
    }

    private func byte(_ file: String, _ offset: Int) throws -> UInt8 {
        let handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: file))
        try handle.seek(toOffset: UInt64(offset))
        return try handle.read(upToCount: 1)![0]
    }

    @Test(arguments: [1, 300]) func aTruncatedFileIsAnError(blocks: Int) throws {
        let store = try TestStore(tokens: 4 * 20 * blocks, patchesPerBlock: 20, element: .f32, width: blocks == 1 ? 40 : 1)
        let whole = try File.read(store.dataFile)
        // The two meta pages closely, then around page boundaries, not all where there are many.
        var lengths = [0, 1, 100, 4095, 4096, 8191, 8192, 8193, whole.count - 4096, whole.count - 1]
        for start in stride(from: 12_288, to: whole.count, by: max(1, whole.count / 4096 / 40) * 4096) { lengths += [start, start + 1, start + 2000] }
        for length in lengths where length < whole.count {
            try Data(whole[..<length]).write(to: URL(fileURLWithPath: store.dataFile))
            let found = try fault { _ = try store.readAll() }
            #expect(found?.kind == .badData && found?.place.file == store.dataFile, "\(length) of \(whole.count) bytes")
        }
        try Data(whole).write(to: URL(fileURLWithPath: store.dataFile))
        #expect(try store.readAll() == store.values)
    }

    @Test func aFileThatEndsInsideAPageIsAnError() throws {
        let store = try TestStore(tokens: 16, patchesPerBlock: 4, element: .f32, width: 4)
        let generation = try store.reader(), room = try Memory<UInt8>(20)
        let end = try #require(File.size(store.dataFile))
        let found = try fault { try generation.read(at: end - 5, into: room.bytes, place: Place(file: "f", block: 1)) }
        #expect(found?.kind == .badData && found?.place == Place(file: "f", block: 1, byteOffset: end))
    }

    @Test func anotherFileInItsPlaceIsAnError() throws {
        let store = try TestStore(tokens: 32, patchesPerBlock: 4, element: .f32, width: 2)
        let sibling = try TestStore(tokens: 32, patchesPerBlock: 4, element: .f32, width: 2)
        try Data(try File.read(sibling.dataFile)).write(to: URL(fileURLWithPath: store.dataFile))
        let foreign = try fault { _ = try store.readAll() }
        #expect(foreign?.kind == .badData && foreign?.problem.contains("belongs elsewhere") == true && foreign?.place.file == store.dataFile)
        var numbers = TestNumbers(3)
        for bytes in [[], numbers.bytes(100), numbers.bytes(20_000), [UInt8](repeating: 0, count: 50_000)] {
            try Data(bytes).write(to: URL(fileURLWithPath: store.dataFile))
            let found = try fault { _ = try store.readAll() }
            #expect(found?.kind == .badData && found?.place.file == store.dataFile, "\(bytes.count) bytes")
        }
        try File.remove(store.dataFile)
        let missing = try fault { _ = try store.readAll() }
        #expect(missing?.kind == .badData && missing?.place.file == store.dataFile)
    }
}
