import Support
import TestSupport
import Testing

@testable import PageStore

struct GenerationTests {
    @Test(arguments: [(Element.token, 1), (.bf16, 1), (.bf16, 5), (.f32, 1), (.f32, 5)])
    func pagesReturnWholeAndInParts(_ element: Element, width: Int) throws {
        // 11 patches in blocks of 4: the last holds 3, and its last patch is half padding.
        let store = try TestStore(tokens: 42, patchesPerBlock: 4, element: element, width: width)
        #expect(store.grid.blocks == 3)
        let opened = try Store.open(store.directory)
        #expect(opened.manifest == store.manifest)
        let generation = try opened.reader(store.record.index), pages = try store.pageReader()
        #expect(try generation.blocksPresent(.states) == 3)
        for block in 0..<3 {
            for chosen in 0..<16 {
                let columns = (0..<4).filter { chosen >> $0 & 1 == 1 }
                #expect(
                    try store.read(generation, pages, block: block, columns: columns)
                        == columns.map { store.values[block][$0] })
            }
        }
    }

    @Test func aReaderSaysWhereColumnsLie() throws {
        let store = try TestStore(tokens: 42, patchesPerBlock: 4, element: .bf16, width: 5)
        let generation = try store.reader(), pages = try store.pageReader()
        let room = try Memory<UInt8>(1 << 12)
        var places: [Int: (offset: Int, bytes: Int)] = [:]
        try pages.read(
            generation, block: 1, columns: [0, 2, 3], into: { UnsafeMutableRawBufferPointer(room.piece($0, of: 40)) },
            found: { places[$0] = ($1, $2) })
        let page = try generation.locate(.states, block: 1)
        #expect(places.keys.sorted() == [0, 2, 3])
        #expect(places[3].map { $0.offset + $0.bytes } == page.offset + page.bytes)
        #expect(places[0]?.offset == page.offset + PageHeader.size + 4 * ColumnEntry.size)
    }

    /// A manifest and pages that agree on other sizes than the reader was made for.
    @Test func aPageThatIsLargerThanItsRoomIsRefused() throws {
        let store = try TestStore(tokens: 42, patchesPerBlock: 4, element: .token, width: 1, isOrdered: true)
        let generation = try store.reader(), header = store.header(0)
        let room = try Memory<UInt8>(1 << 12), indices = try Memory<UInt16>(1 << 12)
        func read(_ pages: PageReader, bytes: Int, rows: Int) throws -> Fault? {
            try fault {
                try pages.read(
                    generation, block: 0, columns: 0..<4,
                    into: { _ in UnsafeMutableRawBufferPointer(room.piece(0, of: bytes)) },
                    indices: { _ in indices.piece(0, of: rows) })
            }
        }
        #expect(try read(store.pageReader(), bytes: header.columnBytes, rows: header.patches) == nil)
        #expect(try read(store.pageReader(), bytes: header.columnBytes - 1, rows: header.patches)?.kind == .badData)
        #expect(try read(store.pageReader(), bytes: header.columnBytes, rows: header.patches - 1)?.kind == .badData)
        #expect(
            try read(
                PageReader(
                    pageBytes: header.largestPageBytes, columnBytes: header.columnBytes - 1, kernels: Kernels.select()),
                bytes: 100, rows: 100)?.kind == .badData)
        #expect(
            try read(PageReader(pageBytes: 100, columnBytes: 100, kernels: Kernels.select()), bytes: 100, rows: 100)?
                .kind == .badData)
    }

    @Test func aReaderReadsNoMoreThanItIsAskedFor() throws {
        let store = try TestStore(tokens: 4000, patchesPerBlock: 1000, element: .bf16, width: 4)
        let generation = try store.reader(), pages = try store.pageReader()
        let page = try store.page(0).bytes.count
        _ = try store.read(generation, pages, block: 0, columns: [1])
        #expect(pages.bytesRead < page / 2)
        #expect(try generation.locate(.states, block: 0).bytes == page)
    }

    @Test func surprisalHasItsOwnTable() throws {
        let store = try TestStore(tokens: 8, patchesPerBlock: 2, element: .bf16, width: 3)
        var record = store.record
        record.directory = "generation-9"
        record.tables = ["states", "surprisal"]
        let identity = GenerationIdentity(store: "s", record: record, patchSize: 4)
        let bits = PageHeader(element: .f32, generation: 1, block: 0, firstPatch: 0, patches: 2, columns: 4, width: 1)
        let columns = (0..<4).map { [UInt8](repeating: UInt8($0), count: 8) }
        do {
            let writer = try GenerationWriter(store: store.directory, identity: identity, record: record)
            try writer.append(.states, block: 0, page: store.page(0))
            try writer.append(.surprisal, block: 0, page: Page(bits, columns))
            try writer.commit(progress: [])
        }
        let generation = try GenerationReader(
            store: store.directory, identity: identity, record: record, geometry: store.geometry)
        let room = try Memory<UInt8>(32)
        try store.pageReader().read(
            generation, .surprisal, block: 0, columns: 0..<4,
            into: { UnsafeMutableRawBufferPointer(room.piece($0, of: 8)) })
        #expect(Array(room.bytes) == columns.flatMap { $0 })
        #expect(try store.read(generation, store.pageReader(), block: 0) == store.values[0])
        // A generation without the table says so.
        #expect(try fault { _ = try store.reader().locate(.surprisal, block: 0) }?.kind == .usage)
    }

    @Test(arguments: [1, 4096, 8191]) func anEnvironmentWhoseMakingWasCutShortIsMadeAnew(bytes: Int) throws {
        let store = try TestStore(tokens: 8, patchesPerBlock: 2, element: .bf16, width: 3)
        var record = store.record
        record.directory = "generation-9"
        let identity = GenerationIdentity(store: "s", record: record, patchSize: 4)
        try File.makeDirectory("\(store.directory)/generation-9")
        try File.replace("\(store.directory)/generation-9/data.mdb", with: [UInt8](repeating: 0, count: bytes))
        let writer = try GenerationWriter(store: store.directory, identity: identity, record: record)
        #expect(writer.progress == nil)
        try writer.append(.states, block: 0, page: store.page(0))
        try writer.commit(progress: [1])
        #expect(try GenerationWriter(store: store.directory, identity: identity, record: record).progress == [1])
    }

    @Test func keysAreInNumericOrder() throws {
        // Appending refuses a key that is not beyond the last: byte order must be the order of numbers.
        let store = try TestStore(tokens: 4 * 600, patchesPerBlock: 2, element: .token, width: 1)
        #expect(store.grid.blocks == 300)
        #expect(try store.readAll() == store.values)
        let writer = try store.writer()
        for block in [65_535, 65_536, 1 << 32, 1 << 40] {
            try writer.append(.states, block: block, page: store.page(0))
        }
        #expect(try fault { try writer.append(.states, block: 65_537, page: store.page(0)) } != nil)
    }

    @Test func onlyWhatWasCommittedStays() throws {
        let store = try TestStore(tokens: 4 * 6, patchesPerBlock: 2, element: .f32, width: 2)
        try File.remove("\(store.directory)/generation-1")
        do {
            let writer = try store.writer()
            #expect(writer.progress == nil)
            try writer.append(.states, block: 0, page: store.page(0))
            #expect(try writer.uncommittedBytes == store.page(0).bytes.count)
            try writer.commit(progress: [1, 2, 3])
            #expect(writer.uncommittedBytes == 0)
            try writer.append(.states, block: 1, page: store.page(2))
            try writer.append(.states, block: 2, page: store.page(1))
        }
        do {
            let generation = try store.reader()
            #expect(try generation.blocksPresent(.states) == 1)
            #expect(try store.read(generation, store.pageReader(), block: 0) == store.values[0])
        }
        do {
            let writer = try store.writer()
            #expect(writer.progress == [1, 2, 3])
            // Progress alone, then a page; a larger progress than fits beside others.
            try writer.commit(progress: [4])
            try writer.append(.states, block: 1, page: store.page(1))
            try writer.commit(progress: [UInt8](repeating: 5, count: 9000))
        }
        do {
            let writer = try store.writer()
            #expect(writer.progress == [UInt8](repeating: 5, count: 9000))
            try writer.append(.states, block: 2, page: store.page(2))
            try writer.commit(progress: [])
            try writer.finish()
        }
        #expect(try store.readAll() == store.values)
        #expect(try store.writer().progress == [])
    }

    @Test func aWriterTakesNoOtherEnvironment() throws {
        let store = try TestStore(tokens: 8, patchesPerBlock: 2, element: .f32, width: 2)
        var other = store.record
        other.width = 3
        let identity = GenerationIdentity(store: store.manifest.store, record: other, patchSize: 4)
        let found = try fault { _ = try GenerationWriter(store: store.directory, identity: identity, record: other) }
        #expect(found?.kind == .badData && found?.remedies == [.restart])
        #expect(try store.readAll() == store.values)
    }

    @Test func pagesOfAnotherPlaceAreRefused() throws {
        let store = try TestStore(tokens: 4 * 6, patchesPerBlock: 2, element: .f32, width: 2)
        var generation = store.header(1), element = generation, width = generation
        generation.generation = 2
        element.element = .bf16
        width.width = 1
        // What stands in the place of block 1, and is sound in itself.
        let wrong = [
            try store.page(0), try store.page(2), try store.page(1, as: generation),
            try Page(element, store.values[1].map { Array($0.prefix(8)) }),
            try Page(width, store.values[1].map { Array($0.prefix(8)) }),
        ]
        for page in wrong {
            try File.remove("\(store.directory)/generation-1")
            do {
                let writer = try store.writer()
                try writer.append(.states, block: 0, page: store.page(0))
                try writer.append(.states, block: 1, page: page)
                try writer.commit(progress: [])
            }
            let reader = try store.reader()
            let found = try fault { _ = try store.read(reader, store.pageReader(), block: 1, columns: [0]) }
            #expect(found?.kind == .badData && found?.place.block == 1 && found?.place.file == store.dataFile)
            #expect(try store.read(reader, store.pageReader(), block: 0) == store.values[0])
            let missing = try fault { _ = try store.read(reader, store.pageReader(), block: 2) }
            #expect(
                missing?.kind == .badData && missing?.problem.contains("missing") == true && missing?.place.block == 2)
        }
    }
}
