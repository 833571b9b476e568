import Foundation
import Support
import TestSupport
import Testing

@testable import PageStore

struct DamageTests {
    /// Every byte of every page, one at a time: the read fails, or the values are right.
    ///
    /// Width 8 keeps pages inside LMDB's leaf, 24 gives them pages of their own.
    @Test(arguments: [
        (Element.bf16, 8, false), (.bf16, 24, false), (.f32, 5, false), (.token, 1, false), (.bf16, 8, true),
        (.token, 1, true),
    ])
    func noFlippedByteGoesUnseen(_ element: Element, width: Int, isOrdered: Bool) throws {
        let store = try TestStore(
            tokens: 4 * 40, patchesPerBlock: 16, element: element, width: width, isOrdered: isOrdered)
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

    /// What checksums cannot tell: an index that is sound on disk and impossible.
    @Test func aRowThatIsNoTokenOfItsPatchIsRefused() throws {
        let store = try TestStore(tokens: 4 * 40, patchesPerBlock: 16, element: .token, width: 1, isOrdered: true) {
            block, column, bytes in
            var values = [UInt8](repeating: 0, count: bytes)
            for row in 0..<bytes / 4 { values[bytes / 2 + 2 * row] = UInt8(block == 1 && row == 3 ? 4 : column) }
            return values
        }
        let found = try fault { _ = try store.readAll() }
        #expect(
            found?.kind == .badData && found?.place.block == 1 && found?.place.column == 0
                && found?.problem.contains("row 3") == true)
    }

    /// LMDB's own pages: what it would follow out of the file, or into a circle, is refused before it opens the file.
    @Test func noFlippedBitOfTheIndexIsASignal() throws {
        let store = try TestStore(tokens: 4 * 40, patchesPerBlock: 16, element: .token, width: 1)
        // Something on the free list, and a value beside it that has pages of its own.
        for size in [6000, 10, 5000] { try store.writer().commit(progress: [UInt8](repeating: 1, count: size)) }
        let whole = try File.read(store.dataFile)
        var numbers = TestNumbers(4)
        var unseen = 0
        for page in 0..<whole.count / 4096 {
            // Headers and tables of places are at a page's start, nodes at its end. A sample: all of it takes a minute.
            for place in Array(stride(from: page % 4, to: 160, by: 4)) + stride(from: 3900 + page % 4, to: 4096, by: 4)
            {
                let offset = page * 4096 + place
                var damaged = whole
                damaged[offset] ^= 1 << UInt8.random(in: 0..<8, using: &numbers)
                try Data(damaged).write(to: URL(fileURLWithPath: store.dataFile))
                let read = try fault { if try store.readAll() != store.values { unseen += 1 } }
                #expect(read == nil || read?.kind == .badData, "byte \(offset)")
                if UInt8.random(in: 0..<8, using: &numbers) > 0 { continue }
                let written = try fault {
                    let writer = try store.writer()
                    try writer.append(.states, block: 3, page: store.page(0))
                    try writer.commit(progress: [UInt8](repeating: 2, count: 7000))
                }
                #expect(written == nil || written?.kind == .badData, "byte \(offset)")
            }
        }
        #expect(unseen == 0)
    }

    @Test func soundIndexesAreAccepted() throws {
        let store = try TestStore(tokens: 4 * 2, patchesPerBlock: 2, element: .f32, width: 30)
        // Several levels, a grown and reused free list, progress of every size.
        for opening in 0..<8 {
            let writer = try store.writer()
            for commit in 0..<20 {
                for block in 0..<10 {
                    try writer.append(.states, block: 1 + (opening * 20 + commit) * 10 + block, page: store.page(0))
                }
                try writer.commit(progress: [UInt8](repeating: 1, count: commit * 997 % 9000))
            }
            try EnvironmentCheck.run(store.dataFile)
        }
        #expect(try store.readAll() == store.values)
    }

    private func byte(_ file: String, _ offset: Int) throws -> UInt8 {
        let handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: file))
        try handle.seek(toOffset: UInt64(offset))
        return try handle.read(upToCount: 1)![0]
    }

    @Test(arguments: [1, 300]) func aTruncatedFileIsAnError(blocks: Int) throws {
        let store = try TestStore(
            tokens: 4 * 20 * blocks, patchesPerBlock: 20, element: .f32, width: blocks == 1 ? 40 : 1)
        let whole = try File.read(store.dataFile)
        // The two meta pages closely, then around page boundaries, not all where there are many.
        var lengths = [0, 1, 100, 4095, 4096, 8191, 8192, 8193, whole.count - 4096, whole.count - 1]
        for start in stride(from: 12_288, to: whole.count, by: max(1, whole.count / 4096 / 40) * 4096) {
            lengths += [start, start + 1, start + 2000]
        }
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
        let found = try fault {
            try generation.read(at: end - 5, ofBlock: 1, into: room.bytes, place: Place(file: "f", block: 1))
        }
        #expect(found?.kind == .badData && found?.place == Place(file: "f", block: 1, byteOffset: end))
    }

    @Test func anotherFileInItsPlaceIsAnError() throws {
        let store = try TestStore(tokens: 32, patchesPerBlock: 4, element: .f32, width: 2)
        let sibling = try TestStore(tokens: 32, patchesPerBlock: 4, element: .f32, width: 2)
        try Data(try File.read(sibling.dataFile)).write(to: URL(fileURLWithPath: store.dataFile))
        let foreign = try fault { _ = try store.readAll() }
        #expect(
            foreign?.kind == .badData && foreign?.problem.contains("belongs elsewhere") == true
                && foreign?.place.file == store.dataFile)
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
