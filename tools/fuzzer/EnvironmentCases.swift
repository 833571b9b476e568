import Geometry
import Glibc
import PageStore
import StreamEngine
import Support

// LMDB's own structure, and the files themselves.

extension Case {
    private static let pageSize = 4096

    /// Bytes of data.mdb: meta pages, branches, leaves, nodes.
    func changeEnvironment() throws {
        let record = numbers.pick(scene.manifest.generations)
        let file = "\(store)/\(record.directory)/data.mdb"
        var bytes = Files.read(file)
        for _ in 0...numbers.below(3) {
            let pages = bytes.count / Self.pageSize
            guard pages > 0 else { break }
            switch numbers.below(12) {
            case 0:
                let other = numbers.below(pages) * Self.pageSize, page = numbers.below(pages) * Self.pageSize
                bytes.replaceSubrange(page..<page + Self.pageSize, with: bytes[other..<other + Self.pageSize])
                if numbers.once(in: 2) { bytes.put(UInt64(page / Self.pageSize), at: page, width: 8) }
                story.append("page \(other / Self.pageSize) again as \(page / Self.pageSize)")
            case 1:
                bytes.removeLast(
                    numbers.once(in: 2) ? Self.pageSize * numbers.below(pages) : numbers.below(bytes.count))
                story.append("cut to \(bytes.count) bytes")
            case 2:
                bytes += numbers.bytes(numbers.pick([1, 100, 4096, 5000]))
                story.append("\(bytes.count) bytes")
            case 3..<6: changeMeta(&bytes)
            default: changePage(&bytes, numbers.below(pages))
            }
        }
        story.append("generation \(record.index)")
        try Files.write(file, bytes)
        tryStore()
    }

    private func disturb(_ bytes: inout [UInt8], _ name: String, at offset: Int, width: Int, pages: Int) {
        let before = bytes.number(at: offset, width: width)
        // Numbers of pages, mostly.
        if width == 8, numbers.once(in: 2) {
            bytes.put(UInt64(numbers.below(pages + 2)), at: offset, width: 8)
        } else {
            _ = bytes.disturb(at: offset, width: width, &numbers)
        }
        story.append("\(name) \(before) made \(bytes.number(at: offset, width: width))")
    }

    private static let tree = [
        ("key bytes", 0, 4), ("flags", 4, 2), ("depth", 6, 2), ("branches", 8, 8), ("leaves", 16, 8),
        ("overflows", 24, 8), ("entries", 32, 8),
        ("root", 40, 8),
    ]

    /// The newest of the two meta pages, or the other.
    private func changeMeta(_ bytes: inout [UInt8]) {
        let ages = [0, 1].map { bytes.number(at: $0 * Self.pageSize + 144, width: 8) }
        let newest = ages[0] > ages[1] ? 0 : 1
        let base = (numbers.once(in: 4) ? 1 - newest : newest) * Self.pageSize
        let pages = bytes.count / Self.pageSize
        let fields =
            [
                ("number", 0, 8), ("flags", 10, 2), ("magic", 16, 4), ("version", 20, 4), ("address", 24, 8),
                ("map size", 32, 8), ("last page", 136, 8),
                ("transaction", 144, 8),
            ] + Self.tree.map { ("free list's \($0)", 40 + $1, $2) }
            + Self.tree.map { ("main tree's \($0)", 88 + $1, $2) }
        let (name, offset, width) = numbers.pick(fields)
        disturb(&bytes, "meta page \(base / Self.pageSize), \(name)", at: base + offset, width: width, pages: pages)
    }

    /// The header, a node's place or a node of a branch or leaf; any byte of other pages.
    private func changePage(_ bytes: inout [UInt8], _ page: Int) {
        let base = page * Self.pageSize
        let pages = bytes.count / Self.pageSize
        let flags = bytes.number(at: base + 10, width: 2)
        let nodes = max(0, (Int(bytes.number(at: base + 12, width: 2)) - 16) / 2)
        guard flags & 3 != 0, nodes > 0, nodes < 2048, page > 1 else {
            let (name, offset, width) = numbers.pick([
                ("number", 0, 8), ("flags", 10, 2), ("pages", 12, 4), ("a word", 16 + 8 * numbers.below(510), 8),
            ])
            return disturb(&bytes, "page \(page), \(name)", at: base + offset, width: width, pages: pages)
        }
        let node = numbers.below(nodes)
        let place = Int(bytes.number(at: base + 16 + 2 * node, width: 2))
        let keyBytes = Int(bytes.number(at: base + place + 6, width: 2))
        switch numbers.below(6) {
        case 0:
            let (name, offset, width) = numbers.pick([
                ("number", 0, 8), ("pad", 8, 2), ("flags", 10, 2), ("lower", 12, 2), ("upper", 14, 2),
            ])
            disturb(&bytes, "page \(page), \(name)", at: base + offset, width: width, pages: pages)
        case 1:
            let other = numbers.below(nodes)
            bytes.put(bytes.number(at: base + 16 + 2 * other, width: 2), at: base + 16 + 2 * node, width: 2)
            story.append("page \(page), node \(node) where node \(other) is")
        case 2:
            disturb(&bytes, "page \(page), node \(node)'s place", at: base + 16 + 2 * node, width: 2, pages: pages)
        case 3:
            let (name, offset, width) = numbers.pick([
                ("lower size", 0, 2), ("upper size", 2, 2), ("flags", 4, 2), ("key bytes", 6, 2),
            ])
            disturb(
                &bytes, "page \(page), node \(node), \(name)", at: base + place + offset, width: width, pages: pages
            )
        case 4:
            disturb(
                &bytes, "page \(page), node \(node), key", at: base + place + 8 + numbers.below(max(1, keyBytes)),
                width: 1, pages: pages)
        default:
            // A tree's record, or the number of a page.
            let data = base + place + 8 + keyBytes
            let (name, offset, width) = numbers.pick(Self.tree + [("page", 0, 8)])
            disturb(
                &bytes, "page \(page), node \(node), data \(name)", at: data + offset, width: width, pages: pages)
        }
    }

    /// Something else in place of a file or folder.
    func changeFiles() throws {
        let inStore = Snapshot(store).entries.keys.sorted().map { "store/\($0)" }
        let inModel = Snapshot(model).entries.keys.sorted().map { "model/\($0)" }
        for _ in 0...numbers.below(2) {
            let name = numbers.pick(inStore + inModel)
            // A second change may be out of reach after the first: what a link leads to is not the case's to change.
            if Files.isBehindLink("\(folder)/\(name)", in: folder) { continue }
            guard let what = try? replaced("\(folder)/\(name)", among: inStore + inModel) else { continue }
            story.append("\(name): \(what)")
        }
        // Other weights make other models.
        if story.contains(where: { $0.hasPrefix("model") }) { (expectsStates, expectsSurprisal) = (false, false) }
        tryStore()
    }

    /// Puts nothing, a folder, a pipe, a link or another file in place of what is at `path`, and says which.
    private func replaced(_ path: String, among others: [String]) throws -> String {
        let was = Files.read(path)
        try File.remove(path)
        switch numbers.below(11) {
        case 0: return "missing"
        case 1:
            try Files.write(path, [])
            return "empty"
        case 2:
            try File.makeDirectory(path)
            return "a folder"
        case 3:
            mkfifo(path, 0o644)
            return "a pipe"
        case 4:
            symlink(path, path)
            return "a link to itself"
        case 5:
            symlink("/dev/zero", path)
            return "a link to /dev/zero"
        case 6:
            let target = numbers.once(in: 2) ? "file" : "generation-0"
            symlink("\(outside)/\(target)", path)
            return "a link to \(target) outside"
        case 7:
            let other = numbers.pick(others)
            try Files.write(path, Files.read("\(folder)/\(other)"))
            return "a copy of \(other)"
        case 8:
            try Files.write(path, was.isEmpty ? [0] : Array(was.dropLast(1 + numbers.below(was.count))))
            return "cut short"
        case 9:
            try Files.write(path, numbers.bytes(numbers.pick([1, 8, 4096, 8192, 100_000])))
            return "noise"
        default:
            symlink("/dev/null", path)
            return "a link to /dev/null"
        }
    }

    /// Input of `ingest`.
    func changeInput() throws {
        let count = numbers.pick([0, 1, 2, 3, 7, 8, 9, 100, 1000, 4097, 40_000])
        let format = numbers.pick([Ingest.Format.tokens, .tokens, .tokens, .raw, .documents])
        let patchSize = numbers.pick([1, 2, 3, 8, 32, 1000, 65536])
        var ids = (0..<count).map { _ in UInt16(numbers.below(259)) }
        if count > 0, numbers.once(in: 2) {
            ids[numbers.below(count)] = numbers.pick([0, 258, 259, 260, 65535, 32768, 256])
        }
        var bytes = format == .tokens ? ids.flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] } : numbers.bytes(count)
        if numbers.once(in: 4), !bytes.isEmpty { bytes.removeLast() }
        story.append("\(bytes.count) bytes as \(format), patches of \(patchSize)")
        let input = "\(folder)/out/in put"
        try Files.write(input, bytes)
        let made = "\(out)/made"
        let done = attemptReading("ingest") {
            try Ingest.run(
                [input], store: made, format: format, patchSize: patchSize, isReplacing: numbers.once(in: 2))
        }
        let plain = format == .tokens ? bytes : bytes.flatMap { [$0, 0] }
        let wanted = format == .documents ? [0, 1] + plain + [1, 1] : plain
        let isWrong =
            format == .tokens
            && (bytes.count % 2 != 0
                || stride(from: 0, to: bytes.count, by: 2).contains { bytes.number(at: $0, width: 2) > 258 })
        let hasShape = SequenceGeometry(tokens: wanted.count / 2, patchSize: patchSize) != nil
        if (done != nil) != (!isWrong && !bytes.isEmpty && hasShape) {
            fail("ingest: \(done == nil ? "refused" : "accepted") what it should not")
        }
        guard done != nil else { return }
        let file = "\(out)/made.npy"
        _ = attemptReading("export") { try Export.run(store: made, generation: 0, range: nil, to: file) }
        if Array(Files.read(file).dropFirst(128)) != wanted { fail("export: wrong tokens, status 0") }
        _ = attemptReading("verify") {
            if let fault = try Verify.run(store: made).faults.first {
                fail("verify: \(fault)")
                throw fault
            }
        }
        var options = ForwardOptions(store: made, model: model)
        (options.memory, options.threads, options.nll) = (Budget.ample, 2, "\(out)/made-nll.npy")
        _ = attemptReading("forward") { try ForwardRun(options, observer: Silent()).run() }
        if Files.read("\(out)/made-nll.npy").count != 128 + 2 * wanted.count {
            fail("forward: surprisal of another length")
        }
    }
}
