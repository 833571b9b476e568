import Glibc
import Support

/// Checks what LMDB steers by, before LMDB maps the file: it trusts its meta, branch and leaf pages, and one damaged
/// page number, offset or size in them is a signal instead of an error.
///
/// Only these pages are read. Values on pages of their own are left to their checksums, but must lie in the file. The
/// layout is that of LMDB 0.9 on 64-bit little-endian machines:
///
///     page   0 number   8 unused u16   10 flags u16   12 lower u16   14 upper u16   16 places of its nodes, u16 each
///     node   0 low and 2 high half of the value's size, u16   4 flags u16   6 key size u16   8 key, then value
///            (in a branch: 0 number of the child, 48 bits   6 key size u16   8 key)
///     meta   16 magic u32   20 version u32   40 free list's tree   88 main tree   136 last page   144 transaction
///     tree   0 page size u32 (free list's alone)   4 flags u16   6 depth u16   8 counts of pages   32 entries   40 root
///
/// Numbers are u64 where nothing else is said. The main tree's values are the trees of the named tables.
struct EnvironmentCheck: ~Copyable {
    private let file: String
    private let descriptor: Int32
    private var pageSize = 4096
    private var lastPage = 1
    private var transaction = 0
    /// Branch and leaf pages met so far, so that a circle ends.
    private var steering: Set<Int> = []
    /// All pages met: steering, of values, free. Values mostly follow each other, so these are few runs.
    private var runs: [Range<Int>] = []

    private enum Flags {
        static let branch = 1, leaf = 2, overflow = 4, meta = 8
        static let valueOnOwnPages = 1, valueIsTree = 2
        static let wholeNumberKeys = 8
    }

    /// What the leaves of a tree hold.
    private enum Content {
        case freeList, tables, values
        /// Values that are written over, so the pages they leave are taken back by what these say of themselves.
        case changingValues
    }

    /// - Throws: `Fault` (`badData`) naming the byte where the file cannot be an LMDB environment of this program.
    static func run(_ file: String) throws {
        let descriptor = File.descriptor(file, O_RDONLY)
        guard descriptor >= 0 else { throw File.fault(.inputOutput, "cannot read", file) }
        defer { close(descriptor) }
        var check = EnvironmentCheck(file: file, descriptor: descriptor)
        try check.run()
    }

    private init(file: String, descriptor: Int32) {
        self.file = file
        self.descriptor = descriptor
    }

    private mutating func run() throws {
        let size = File.size(file) ?? 0
        var metas = [try meta(at: 0)]
        pageSize = metas[0].u32(40)
        guard (4096...32_768).contains(pageSize), pageSize & (pageSize - 1) == 0 else {
            throw damaged("pages of \(pageSize) bytes", 40)
        }
        metas.append(try meta(at: pageSize))
        guard metas[1].u32(40) == pageSize else {
            throw damaged("the meta pages disagree on the page size", pageSize + 40)
        }
        // The later of the two counts, and transactions take turns.
        let current = UInt(bitPattern: metas[0].number(144)) < UInt(bitPattern: metas[1].number(144)) ? 1 : 0
        let meta = metas[current]
        guard meta.number(144) & 1 == current else {
            throw damaged("a transaction on the wrong meta page", current * pageSize + 144)
        }
        transaction = meta.number(144)
        lastPage = meta.number(136)
        guard lastPage >= 1 else { throw damaged("\(lastPage) as the last page", current * pageSize + 136) }
        guard lastPage < size / pageSize else {
            throw Fault(
                .badData, "the file is cut short: \(size) bytes, and its pages go to \(lastPage)",
                at: Place(file: file, byteOffset: size), advice: PageHeader.damageAdvice)
        }
        try walk(meta, at: 40, of: current, .freeList)
        try walk(meta, at: 88, of: current, .tables)
        runs.sort { $0.lowerBound < $1.lowerBound }
        for (run, next) in zip(runs, runs.dropFirst()) where next.lowerBound < run.upperBound {
            throw damaged("page \(next.lowerBound) is used twice, or used and free", next.lowerBound * pageSize)
        }
    }

    private func meta(at offset: Int) throws -> Bytes {
        let page = try read(152, at: offset)
        guard page.u16(10) == Flags.meta, page.u32(16) == 0xbeef_c0de, page.u32(20) == 1 else {
            throw damaged("no meta page of LMDB", offset)
        }
        return page
    }

    /// Checks the tree whose description stands at `offset` of `page`.
    private mutating func walk(_ page: Bytes, at offset: Int, of number: Int, _ content: Content) throws {
        let place = number * pageSize + offset
        guard page.u16(offset + 4) == (content == .freeList ? Flags.wholeNumberKeys : 0) else {
            throw damaged("a tree of another kind", place + 4)
        }
        let depth = page.u16(offset + 6), entries = page.number(offset + 32), root = page.number(offset + 40)
        var found = 0
        if root == -1 {
            guard depth == 0 else { throw damaged("a tree without pages, \(depth) levels deep", place + 6) }
        } else {
            guard (1...32).contains(depth) else { throw damaged("a tree \(depth) levels deep", place + 6) }
            var key: [UInt8] = []
            found = try walk(page: root, levels: depth, content, after: &key, from: place + 40)
        }
        guard found == entries else { throw damaged("a tree of \(entries) entries that holds \(found)", place + 32) }
    }

    /// Checks a page and all below it; returns the number of entries. `last` is the key before and becomes the last
    /// one here; `parent` is where the page's number stands.
    private mutating func walk(
        page number: Int, levels: Int, _ content: Content, after last: inout [UInt8], from parent: Int
    ) throws -> Int {
        guard (2...max(2, lastPage)).contains(number), steering.insert(number).inserted else {
            throw damaged("a wrong page number, \(number)", parent)
        }
        add(number..<number + 1)
        let start = number * pageSize
        let page = try read(pageSize, at: start)
        let isLeaf = levels == 1
        guard page.number(0) == number else { throw damaged("a page that says it is page \(page.number(0))", start) }
        guard page.u16(10) == (isLeaf ? Flags.leaf : Flags.branch) else {
            throw damaged("a page of the wrong kind", start + 10)
        }
        let lower = page.u16(12), upper = page.u16(14), nodes = (lower - 16) / 2
        guard lower >= 18, lower % 2 == 0, lower <= upper, upper < pageSize else {
            throw damaged("a page filled to \(lower) and from \(upper)", start + 12)
        }
        var entries = 0, used = 0
        for i in 0..<nodes {
            let node = page.u16(16 + 2 * i)
            guard node >= upper, node % 2 == 0, node + 8 <= pageSize else {
                throw damaged("a node at \(node)", start + 16 + 2 * i)
            }
            let data = node + 8 + page.u16(node + 6)
            let isOnOwnPages = isLeaf && page.u16(node + 4) == Flags.valueOnOwnPages
            let end = !isLeaf ? data : data + (isOnOwnPages ? 8 : page.u32(node))
            guard end <= pageSize else { throw damaged("a node that leaves its page", start + node) }
            used += (end - node + 1) & ~1
            if isLeaf {
                entries += 1
                let key = page.key(node, content)
                guard last.lexicographicallyPrecedes(key) else { throw damaged("a key out of order", start + node) }
                last = key
                try check(page, node: node, data: data, of: number, content)
            } else {
                entries += try walk(
                    page: page.number(node) & 0xffff_ffff_ffff, levels: levels - 1, content, after: &last,
                    from: start + node)
            }
        }
        // Nodes are kept without gaps.
        guard used == pageSize - upper else {
            throw damaged("nodes of \(used) bytes in room for \(pageSize - upper)", start + 14)
        }
        guard isLeaf || nodes >= 2 else { throw damaged("a branch with one child", start + 12) }
        return entries
    }

    private mutating func check(_ page: Bytes, node: Int, data: Int, of number: Int, _ content: Content) throws {
        let place = number * pageSize + node
        let size = page.u32(node), flags = page.u16(node + 4), keySize = page.u16(node + 6)
        if content == .tables {
            guard flags == Flags.valueIsTree, size == 48 else { throw damaged("a table without a tree", place) }
            let isChanging = page.key(node, content) == Array(GenerationIdentity.table.utf8)
            return try walk(page, at: data, of: number, isChanging ? .changingValues : .values)
        }
        guard flags == 0 || flags == Flags.valueOnOwnPages else { throw damaged("a value of unknown kind", place + 4) }
        var start = number * pageSize + data
        if flags == Flags.valueOnOwnPages {
            let first = page.number(data), pages = (size + 15) / pageSize + 1
            guard first >= 2, first <= lastPage - pages + 1 else {
                throw damaged("a value on pages outside the file", start)
            }
            add(first..<first + pages)
            if content == .values { return }
            start = first * pageSize
            let head = try read(16, at: start)
            guard head.number(0) == first, head.u16(10) == Flags.overflow,
                (pages...lastPage - first + 1).contains(head.u32(12))
            else {
                throw damaged("a value's page of another kind", start)
            }
            if head.u32(12) > pages { add(first + pages..<first + head.u32(12)) }
            start += 16
        }
        if content == .freeList {
            guard keySize == 8, (1...max(1, transaction)).contains(page.number(node + 8)), size >= 8, size % 8 == 0
            else { throw damaged("no list of free pages", place) }
            let list = try read(size, at: start)
            let count = list.number(0)
            guard count >= 0, count < size / 8 else { throw damaged("a list of \(count) free pages", start) }
            var above = lastPage + 1
            for i in 0..<count {
                let page = list.number(8 + 8 * i)
                guard page >= 2, page < above else {
                    throw damaged("\(page) in the list of free pages", start + 8 + 8 * i)
                }
                above = page
                add(page..<page + 1)
            }
        }
    }

    private mutating func add(_ run: Range<Int>) {
        if let last = runs.last, last.upperBound == run.lowerBound {
            runs[runs.count - 1] = last.lowerBound..<run.upperBound
        } else {
            runs.append(run)
        }
    }

    private func damaged(_ problem: String, _ offset: Int) -> Fault {
        Fault(
            .badData, "the file's index is damaged: \(problem)", at: Place(file: file, byteOffset: offset),
            advice: PageHeader.damageAdvice)
    }

    private func read(_ count: Int, at offset: Int) throws -> Bytes {
        var done = 0
        let bytes = try [UInt8](unsafeUninitializedCapacity: count) { target, initialized in
            while done < count {
                let read = pread(descriptor, target.baseAddress! + done, count - done, offset + done)
                if read < 0 && errno == EINTR { continue }
                guard read > 0 else {
                    throw read == 0
                        ? damaged("the file ends here", offset + done)
                        : File.fault(.inputOutput, "cannot read", file, offset: offset + done)
                }
                done += read
            }
            initialized = done
        }
        return Bytes(bytes: bytes)
    }

    /// Little-endian numbers in a piece of the file.
    private struct Bytes {
        let bytes: [UInt8]

        private func load<T: FixedWidthInteger>(_ type: T.Type, _ offset: Int) -> T {
            bytes.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: T.self)) }
        }

        func u16(_ offset: Int) -> Int { Int(load(UInt16.self, offset)) }
        func u32(_ offset: Int) -> Int { Int(load(UInt32.self, offset)) }
        func number(_ offset: Int) -> Int { load(Int.self, offset) }

        /// A node's key such that byte order is the order of keys: the free list's are native numbers.
        func key(_ node: Int, _ content: Content) -> [UInt8] {
            let key = bytes[node + 8..<node + 8 + u16(node + 6)]
            if content == .freeList { return key.reversed() }
            return Array(key)
        }
    }
}
