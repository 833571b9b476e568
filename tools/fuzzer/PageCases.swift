import CZstd
import Geometry
import PageStore
import StreamEngine
import Support

// Pages that are wrong and have right checksums, in environments that LMDB finds sound.

extension Case {
    /// The pages of one complete generation.
    func changePages() throws {
        let opened = try Store.open(store)
        let record = numbers.pick(opened.manifest.generations.filter(\.isComplete))
        if numbers.once(in: 4) {
            try changeShape(opened, record)
            return tryStore()
        }
        let table = numbers.pick(PageTable.allCases.filter(record.holds))
        var pages: [PageTable: [Int: [UInt8]]] = [:]
        for kind in PageTable.allCases where record.holds(kind) {
            let all = try Pages.all(opened, generation: record.index, kind)
            pages[kind] = Dictionary(uniqueKeysWithValues: all.enumerated().map { ($0, $1) })
        }
        var blocks = pages[table] ?? [:]
        let block = numbers.below(blocks.count)
        story.append("generation \(record.index), \(table.rawValue), block \(block) of \(blocks.count)")
        let reader = try opened.reader(record.index)
        let header = reader.expectedHeader(table, block: block)
        switch numbers.below(10) {
        case 0..<3: blocks[block].map { blocks[block] = changedHeader($0) }
        case 3..<6: blocks[block].map { blocks[block] = changedDirectory($0, header) }
        case 6: blocks[block].map { blocks[block] = changedFrame($0, header) }
        case 7: try blocks[block] = changedValues(reader, table, header)
        case 8: changeBody(&blocks, block)
        default: changeBlocks(&blocks, block, pages)
        }
        pages[table] = blocks
        try rewrite(opened, record, pages)
        tryStore()
    }

    private func rewrite(
        _ opened: Store, _ record: GenerationRecord, _ pages: [PageTable: [Int: [UInt8]]],
        identity: GenerationIdentity? = nil
    ) throws {
        // What the generation's environment says of its progress stays.
        let progress = record.index == 0 ? [] : Files.progress(store, opened, record)
        try Pages.write(
            store, identity: identity ?? opened.identity(of: record), record: record, progress: progress,
            pages: pages)
    }

    private func signed(_ page: [UInt8]) -> [UInt8] {
        var page = page
        if numbers.once(in: 10) { story.append("checksum not put right") } else { Pages.sign(&page) }
        return page
    }

    private func changedHeader(_ page: [UInt8]) -> [UInt8] {
        let fields = [
            ("magic", 0, 4), ("version", 4, 2), ("element", 6, 2), ("generation", 8, 8), ("block", 16, 8),
            ("first patch", 24, 8),
            ("patches", 32, 4), ("columns", 36, 4), ("width", 40, 4), ("directory bytes", 44, 4),
            ("page bytes", 48, 8),
        ]
        var page = page
        for _ in 0...numbers.below(2) {
            let (name, offset, width) = numbers.pick(fields)
            let before = page.number(at: offset, width: width)
            story.append("\(name) \(before) made \(page.disturb(at: offset, width: width, &numbers))")
        }
        return signed(page)
    }

    private func changedDirectory(_ page: [UInt8], _ header: PageHeader) -> [UInt8] {
        var page = page
        let entries = max(1, header.directoryBytes / ColumnEntry.size)
        for _ in 0...numbers.below(3) {
            let entry = numbers.below(entries)
            let base = PageHeader.size + entry * ColumnEntry.size
            let (name, offset, width) = numbers.pick([
                ("offset", 0, 8), ("checksum", 8, 8), ("plane 0", 16, 4), ("plane 1", 20, 4), ("plane 2", 24, 4),
                ("plane 3", 28, 4),
            ])
            let before = page.number(at: base + offset, width: width)
            if name.hasPrefix("plane"), numbers.once(in: 2) {
                let count = UInt64(header.columnValues)
                let near = numbers.pick([
                    0, 1, count, count &- 1, count &+ 1, before | 1 << 31, before ^ 1 << 31, before &+ 1,
                    before &- 1,
                ])
                page.put(near, at: base + offset, width: 4)
            } else {
                _ = page.disturb(at: base + offset, width: width, &numbers)
            }
            story.append("entry \(entry), \(name) \(before) made \(page.number(at: base + offset, width: width))")
        }
        return signed(page)
    }

    /// A plane becomes a zstd frame of the wrong length, or bytes that are none; the directory follows.
    private func changedFrame(_ page: [UInt8], _ header: PageHeader) -> [UInt8] {
        let entry = numbers.below(max(1, header.directoryBytes / ColumnEntry.size))
        let base = PageHeader.size + entry * ColumnEntry.size
        let count = header.isOrdered && entry % 2 == 1 ? header.patches : header.columnValues
        let plane = numbers.below(header.element.size)
        let start = Int(page.number(at: base, width: 8))
        let before = (0..<plane).reduce(0) { $0 + Int(page.number(at: base + 16 + 4 * $1, width: 4) & 0x7fff_ffff) }
        let stored = Int(page.number(at: base + 16 + 4 * plane, width: 4) & 0x7fff_ffff)
        let content = numbers.pick([
            0, 1, count, count + 1, max(0, count - 1), 2 * count, count / 2 + 2, 100_000, 1 << 24,
        ])
        var frame = Self.frame(of: [UInt8](repeating: UInt8(numbers.below(256)), count: content))
        switch numbers.below(5) {
        case 0: frame += Self.frame(of: [1, 2, 3])
        case 1: frame = [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0] + frame
        case 2: frame[numbers.below(frame.count)] ^= 1 << UInt8(numbers.below(8))
        case 3: frame = numbers.bytes(frame.count)
        default: break
        }
        story.append(
            "entry \(entry), plane \(plane): a frame of \(frame.count) bytes with \(content) inside, for \(count)")
        guard start + before + stored <= page.count else { return page }
        var page = page
        page.replaceSubrange(start + before..<start + before + stored, with: frame)
        let longer = frame.count - stored
        let flag: UInt64 = plane == header.element.size - 1 && numbers.once(in: 2) ? 1 << 31 : 0
        page.put(UInt64(frame.count) | flag, at: base + 16 + 4 * plane, width: 4)
        for later in (entry + 1)..<max(entry + 1, header.directoryBytes / ColumnEntry.size) {
            let base = PageHeader.size + later * ColumnEntry.size
            page.put(UInt64(Int(page.number(at: base, width: 8)) + longer), at: base, width: 8)
        }
        page.put(UInt64(page.count), at: 48, width: 8)
        Pages.sign(&page)
        return page
    }

    static func frame(of bytes: [UInt8]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: ZSTD_compressBound(bytes.count)) { room, count in
            count = ZSTD_compress(room.baseAddress, room.count, bytes, bytes.count, 1)
        }
    }

    /// Other values, or token indices that are no permutation, in a page that is sound in itself.
    private func changedValues(_ reader: GenerationReader, _ table: PageTable, _ header: PageHeader) throws
        -> [UInt8]
    {
        let pages = try PageReader(
            pageBytes: header.largestPageBytes, columnBytes: header.columnBytes, kernels: Kernels.select())
        let (values, order) = (
            try Memory<UInt8>(header.columns * header.columnBytes),
            try Memory<UInt16>(header.columns * header.patches)
        )
        try readColumns(pages, reader, table, header, values, order)
        let isIndex = header.isOrdered && numbers.once(in: 2)
        if isIndex {
            let at = numbers.below(order.count)
            order[at] = UInt16(
                truncatingIfNeeded: numbers.pick([0, header.columns - 1, header.columns, 65535, Int(order[at]) ^ 1])
            )
            story.append("index \(at) made \(order[at])")
        } else {
            let size = header.element.size
            let at = numbers.below(values.count / size) * size
            let hostile: [UInt64] =
                header.element == .token
                ? [0, 255, 256, 257, 258, 259, 1000, 32768, 65534, 65535]
                : header.element == .bf16
                    ? [0x7f80, 0xff80, 0x7fc0, 0x7f7f, 1, 0]
                    : [0x7f80_0000, 0xff80_0000, 0x7fc0_0000, 0x7f7f_ffff, 0x7f7f_7f7f, 1, 0]
            let value = numbers.pick(hostile)
            for byte in 0..<size { values[at + byte] = UInt8(truncatingIfNeeded: value >> UInt64(8 * byte)) }
            story.append("value \(at / size) made \(value)")
        }
        // Sound pages of other values are another store's: who may say that they are wrong?
        (expectsTokens, expectsStates, expectsSurprisal) = (expectsTokens && reader.record.index > 0, false, false)
        return try Pages.encoded(header) { column in
            Array(values.bytes[column * header.columnBytes..<(column + 1) * header.columnBytes])
        } indices: { column in
            header.isOrdered ? (0..<header.patches).map { order[column * header.patches + $0] } : []
        }
    }

    /// Bytes behind the directory, the page's end, or another generation's page.
    private func changeBody(_ blocks: inout [Int: [UInt8]], _ block: Int) {
        guard var page = blocks[block] else { return }
        switch numbers.below(5) {
        case 0:
            page.removeLast(1 + numbers.below(page.count - 1))
            story.append("cut to \(page.count) bytes")
        case 1:
            page += numbers.bytes(1 + numbers.below(200))
            story.append("\(page.count) bytes")
        case 2:
            page.removeLast(numbers.below(page.count - 64))
            page.put(UInt64(page.count), at: 48, width: 8)
            Pages.sign(&page)
            story.append("cut to \(page.count) bytes, and says so")
        default:
            let at = numbers.below(page.count)
            page[at] ^= 1 << UInt8(numbers.below(8))
            story.append("a bit of byte \(at) flipped")
        }
        blocks[block] = page
    }

    private func changeBlocks(_ blocks: inout [Int: [UInt8]], _ block: Int, _ pages: [PageTable: [Int: [UInt8]]]) {
        switch numbers.below(6) {
        case 0:
            blocks[block] = nil
            story.append("missing")
        case 1:
            let beyond = numbers.pick([blocks.count, blocks.count + 1, 1 << 32, Int.max])
            blocks[beyond] = blocks[block]
            story.append("block \(beyond) too")
        case 2:
            let other = numbers.below(blocks.count)
            (blocks[block], blocks[other]) = (blocks[other], blocks[block])
            story.append("exchanged with block \(other)")
        // As it was.
        case 3:
            blocks[block] = []
            story.append("empty")
        case 4:
            if let other = numbers.pick(Array(pages.keys.sorted { $0.rawValue < $1.rawValue })) as PageTable?,
                let page = pages[other]?[0]
            {
                blocks[block] = page
            }
            story.append("page 0 of a table")
        default:
            blocks = [:]
            story.append("no block at all")
        }
    }

    /// A generation of another element, width or T: manifest, identity and pages agree, and only the model does not.
    private func changeShape(_ opened: Store, _ record: GenerationRecord) throws {
        var record = record
        var run = scene.manifestTree.field("run")
        let isState = record.index > 0
        switch numbers.below(4) {
        case 0: record.element = numbers.pick(["u16", "bf16", "f32"])
        case 1: record.width = numbers.pick([1, 2, 3, 7, 8, 9, 16, 64, 256, 4096, 65536])
        case 2: record.patchesPerBlock = numbers.pick([1, 2, 3, 64, 95, 96, 97, 192, 288, 1000, 65536])
        default:
            record.element = numbers.pick(["u16", "bf16", "f32"])
            record.width = numbers.pick([1, 2, 8, 16, 64, 512])
        }
        if isState {
            run = run?.setting("state", .scalar("\"\(record.element)\"")).setting(
                "hidden_size", .scalar("\(record.width)")
            )
            .setting("patches_per_block", .scalar("\(record.patchesPerBlock)"))
        } else if scene.manifest.run == nil, numbers.once(in: 3) {
            record.modelFingerprint = scene.fingerprint
        }
        story.append(
            "generation \(record.index): \(record.element), width \(record.width), blocks of \(record.patchesPerBlock)"
        )
        guard let element = Element(name: record.element), let geometry = opened.geometry() else { return }
        let grid = BlockGrid(patches: geometry.patches, patchesPerBlock: record.patchesPerBlock)
        // As many zeros as a block may have compress to little, and decode to much.
        guard grid.patches(ofBlock: 0).count * geometry.patchSize * record.width * element.size <= 64 << 20 else {
            return
        }
        let fill = numbers.pick([UInt8(0), 97, 1])
        var pages: [PageTable: [Int: [UInt8]]] = [:]
        for table in PageTable.allCases where record.holds(table) {
            for block in 0..<grid.blocks {
                let held = grid.patches(ofBlock: block)
                let header = PageHeader(
                    element: table == .states ? element : .f32, generation: record.index, block: block,
                    firstPatch: held.lowerBound,
                    patches: held.count, columns: geometry.patchSize, width: table == .states ? record.width : 1,
                    isOrdered: table == .states && record.order != nil)
                let column = [UInt8](repeating: 0, count: header.columnBytes).enumerated().map {
                    $0 % 2 == 0 ? fill : $1
                }
                pages[table, default: [:]][block] = try Pages.encoded(
                    header, values: { _ in column },
                    indices: { index in
                        Array(repeating: UInt16(index), count: header.patches)
                    })
            }
        }
        (expectsTokens, expectsStates, expectsSurprisal) = (expectsTokens && isState, false, false)
        let identity = GenerationIdentity(
            store: opened.manifest.store, record: record, patchSize: opened.manifest.patchSize)
        try rewrite(opened, record, pages, identity: identity)
        try writeManifest(record, run: run)
    }

    /// manifest.json with another record of one generation, and another run.
    private func writeManifest(_ record: GenerationRecord, run: JSONTree?) throws {
        guard case .array(let all)? = scene.manifestTree.field("generations") else { return }
        let changed = all.map { tree -> JSONTree in
            guard case .scalar("\(record.index)")? = tree.field("index") else { return tree }
            return tree.setting("element", .scalar("\"\(record.element)\"")).setting(
                "width", .scalar("\(record.width)")
            )
            .setting("patches_per_block", .scalar("\(record.patchesPerBlock)"))
        }
        var tree = scene.manifestTree.setting("generations", .array(changed))
        if let run { tree = tree.setting("run", run) }
        var text = Array(tree.text(.pretty).utf8)
        ManifestChecksum.sign(&text)
        try Files.write("\(store)/manifest.json", text)
    }

    /// What an interrupted layer says of itself.
    func changeProgress() throws {
        let opened = try Store.open(store)
        guard let record = opened.manifest.generations.first(where: { !$0.isComplete }) else { return }
        let whole = Files.progress(store, opened, record)
        var progress = whole
        let formula = ProgressChecksum(whole)
        switch numbers.below(10) {
        case 0:
            progress.removeLast(1 + numbers.below(progress.count))
            story.append("cut to \(progress.count) of \(whole.count) bytes")
        case 1:
            progress += numbers.bytes(1 + numbers.below(64))
            story.append("\(progress.count) bytes for \(whole.count)")
        case 2..<4:
            let at = numbers.below(progress.count)
            progress[at] ^= 1 << UInt8(numbers.below(8))
            story.append("a bit of byte \(at) flipped")
        default:
            for _ in 0...numbers.below(2) {
                // The first words are counters and sums, the rest is states.
                let at = 8 * numbers.below(numbers.once(in: 4) ? progress.count / 8 : min(8, progress.count / 8))
                let before = progress.number(at: at, width: 8)
                if numbers.once(in: 4) {
                    progress.put(
                        numbers.pick([0x7ff0_0000_0000_0000, 0x7ff8_0000_0000_0000, 0x7fc0_0000_7f80_0000]), at: at,
                        width: 8)
                } else {
                    _ = progress.disturb(at: at, width: 8, &numbers)
                }
                story.append("word \(at / 8): \(before) made \(progress.number(at: at, width: 8))")
            }
        }
        if let formula, numbers.once(in: 2) {
            formula.sign(&progress)
            story.append("checksum right")
            (expectsStates, expectsSurprisal) = (false, false)
        }
        let writer = try GenerationWriter(store: store, identity: opened.identity(of: record), record: record)
        try writer.commit(progress: progress)
        try writer.finish()
        tryStore()
    }
}

/// Where a checksum lies in the progress of a run, found by trying: an 8-byte word that is XXH3-64 of the bytes before
/// it, after it, or of all others.
struct ProgressChecksum {
    private let offset: Int
    private let covers: (ArraySlice<UInt8>, ArraySlice<UInt8>) -> [UInt8]

    init?(_ bytes: [UInt8]) {
        let ways: [(ArraySlice<UInt8>, ArraySlice<UInt8>) -> [UInt8]] = [
            { before, after in Array(before + after) }, { before, _ in Array(before) },
            { _, after in Array(after) },
            { before, after in Array(before) + Array(repeating: 0, count: 8) + Array(after) },
        ]
        for offset in stride(from: 0, through: bytes.count - 8, by: 4)
        where offset < 128 || offset > bytes.count - 16 {
            for covers in ways {
                let covered = covers(bytes[..<offset], bytes[(offset + 8)...])
                guard !covered.isEmpty,
                    covered.withUnsafeBytes({ checksum($0) }) == bytes.number(at: offset, width: 8)
                else { continue }
                (self.offset, self.covers) = (offset, covers)
                return
            }
        }
        return nil
    }

    func sign(_ bytes: inout [UInt8]) {
        guard offset + 8 <= bytes.count else { return }
        let covered = covers(bytes[..<offset], bytes[(offset + 8)...])
        bytes.put(covered.withUnsafeBytes { checksum($0) }, at: offset, width: 8)
    }
}

extension Files {
    /// What a generation's environment says of its progress.
    static func progress(_ store: String, _ opened: Store, _ record: GenerationRecord) -> [UInt8] {
        (try? GenerationWriter(store: store, identity: opened.identity(of: record), record: record).progress) ?? []
    }
}

private func readColumns(
    _ pages: PageReader, _ reader: GenerationReader, _ table: PageTable, _ header: PageHeader,
    _ values: Memory<UInt8>, _ order: Memory<UInt16>
) throws {
    try pages.read(
        reader, table, block: header.block, columns: 0..<header.columns,
        into: { UnsafeMutableRawBufferPointer(values.piece($0, of: header.columnBytes)) },
        indices: { order.piece($0, of: header.patches) })
}
