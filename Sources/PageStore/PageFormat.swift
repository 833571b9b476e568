import CXXHash
import Support

/// XXH3, 64 bits: the checksum of page headers and of columns.
package func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    XXH3_64bits(bytes.baseAddress, bytes.count)
}

/// The fixed header of a page, 64 bytes, little-endian. `PageFormat.md` describes every byte.
///
///     0  magic "BBPG"        16  block          40  width
///     4  version             24  first patch    44  directory bytes
///     6  element             32  patches        48  page bytes
///     8  generation          36  columns        56  checksum of bytes 0..<56 and the directory
public struct PageHeader: Sendable, Equatable {
    package static let magic: UInt32 = 0x4750_4242
    /// Format 1 has no folded planes; format 3 is format 2 with the order of the tokens.
    static let oldestVersion: UInt16 = 1
    static let naturalVersion: UInt16 = 2
    static let orderedVersion: UInt16 = 3
    package static let size = 64

    /// The number format of its values.
    public var element: Element
    /// The index of its generation.
    public var generation: Int
    /// The block's number, from 0.
    public var block: Int
    /// The first patch of the block.
    public var firstPatch: Int
    /// Patches in the block: the rows of every column.
    public var patches: Int
    /// P: one column for each token index, or each place in the delegate order.
    public var columns: Int
    /// Values a token: D for states, 1 for tokens and surprisal.
    public var width: Int
    /// Tokens stand in the delegate order of the pass that reads them: every column says of its rows which token of its
    /// patch each is.
    public var isOrdered: Bool
    /// Bytes of the page as stored, header included; 0 where that is not known yet.
    public var pageBytes: Int

    package init(
        element: Element, generation: Int, block: Int, firstPatch: Int, patches: Int, columns: Int, width: Int,
        isOrdered: Bool = false, pageBytes: Int = 0
    ) {
        self.element = element
        self.generation = generation
        self.block = block
        self.firstPatch = firstPatch
        self.patches = patches
        self.columns = columns
        self.width = width
        self.isOrdered = isOrdered
        self.pageBytes = pageBytes
    }

    var version: UInt16 { isOrdered ? Self.orderedVersion : Self.naturalVersion }
    /// In an ordered page every column's entry is followed by that of its token indices.
    var entries: Int { isOrdered ? 2 * columns : columns }
    package var directoryBytes: Int { entries * ColumnEntry.size }
    /// Values in a column.
    public var columnValues: Int { patches * width }
    /// Bytes of a column before compression.
    public var columnBytes: Int { columnValues * element.size }
    /// Bytes of a column's token indices before compression.
    package var indexBytes: Int { isOrdered ? 2 * patches : 0 }
    package var rawBytes: Int { columns * (columnBytes + indexBytes) }
    /// No page is longer: every plane that compression would lengthen is stored as it is.
    package var largestPageBytes: Int { Self.size + directoryBytes + rawBytes }
}

/// One column of a page's directory, 32 bytes, little-endian: where its planes lie and what they must decode to.
public struct ColumnEntry: Sendable, Equatable {
    package static let size = 32

    /// Bytes from the start of the page to the column's first plane.
    public var offset: Int
    /// `checksum` of the column's values as decoded.
    public var checksum: UInt64
    /// Stored bytes of each byte plane, lowest first; as many as the values' count means not compressed.
    public var planes: [Int]
    /// The last plane's exponents are folded two into a byte.
    public var isFolded = false

    static let foldedFlag: UInt32 = 1 << 31

    /// Bytes of all planes as stored.
    public var storedBytes: Int { planes.reduce(0, +) }

    package init(offset: Int, checksum: UInt64, planes: [Int]) {
        self.offset = offset
        self.checksum = checksum
        self.planes = planes
    }
}

extension PageHeader {
    /// Writes header and directory to the first `size + directoryBytes` bytes of `page`.
    func write(directory: [ColumnEntry], to page: UnsafeMutableRawPointer) {
        func put<T: FixedWidthInteger>(_ value: T, _ offset: Int) {
            page.storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self)
        }
        put(Self.magic, 0)
        put(version, 4)
        put(element.rawValue, 6)
        put(UInt64(generation), 8)
        put(UInt64(block), 16)
        put(UInt64(firstPatch), 24)
        put(UInt32(patches), 32)
        put(UInt32(columns), 36)
        put(UInt32(width), 40)
        put(UInt32(directoryBytes), 44)
        put(UInt64(pageBytes), 48)
        for (column, entry) in directory.enumerated() {
            let base = Self.size + column * ColumnEntry.size
            put(UInt64(entry.offset), base)
            put(entry.checksum, base + 8)
            for (plane, bytes) in entry.planes.enumerated() {
                put(
                    UInt32(bytes) | (entry.isFolded && plane == entry.planes.count - 1 ? ColumnEntry.foldedFlag : 0),
                    base + 16 + 4 * plane)
            }
            for plane in entry.planes.count..<4 { put(UInt32(0), base + 16 + 4 * plane) }
        }
        put(Self.headerChecksum(UnsafeRawBufferPointer(start: page, count: Self.size + directoryBytes)), 56)
    }

    /// The checksum of header and directory, which leaves out its own eight bytes.
    static func headerChecksum(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        withUnsafeTemporaryAllocation(byteCount: bytes.count - 8, alignment: 8) { covered in
            covered.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[0..<56]))
            UnsafeMutableRawBufferPointer(rebasing: covered[56...]).copyMemory(
                from: UnsafeRawBufferPointer(rebasing: bytes[64...]))
            return checksum(UnsafeRawBufferPointer(covered))
        }
    }

    /// Reads the fixed header alone and checks what can be checked without the directory.
    ///
    /// - Parameter place: named in errors.
    static func read(_ bytes: UnsafeRawBufferPointer, storedBytes: Int, at place: Place) throws -> PageHeader {
        func fail(_ field: String, _ problem: String) -> Fault {
            var place = place
            place.field = field
            return Fault(.badData, problem, at: place, advice: Self.damageAdvice)
        }
        guard bytes.count >= size, storedBytes >= size else {
            throw fail("header", "the page has \(storedBytes) bytes, fewer than its header's \(size)")
        }
        func get<T: FixedWidthInteger>(_ type: T.Type, _ offset: Int) -> T {
            T(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: T.self))
        }
        guard get(UInt32.self, 0) == magic else { throw fail("magic", "not a page of a bbp-stream store") }
        let version = get(UInt16.self, 4)
        guard (oldestVersion...orderedVersion).contains(version) else {
            throw fail(
                "version", "page format \(version); this program reads formats \(oldestVersion) to \(orderedVersion)")
        }
        guard let element = Element(rawValue: get(UInt16.self, 6)) else {
            throw fail("element", "unknown number format \(get(UInt16.self, 6))")
        }
        guard let generation = Int(exactly: get(UInt64.self, 8)), let block = Int(exactly: get(UInt64.self, 16)),
            let firstPatch = Int(exactly: get(UInt64.self, 24)), let pageBytes = Int(exactly: get(UInt64.self, 48))
        else { throw fail("header", "a number beyond 63 bits") }
        let header = PageHeader(
            element: element, generation: generation, block: block, firstPatch: firstPatch,
            patches: Int(get(UInt32.self, 32)),
            columns: Int(get(UInt32.self, 36)), width: Int(get(UInt32.self, 40)), isOrdered: version == orderedVersion,
            pageBytes: pageBytes)
        guard pageBytes == storedBytes else {
            throw fail("page bytes", "the header says \(pageBytes) bytes, the store holds \(storedBytes)")
        }
        guard Int(get(UInt32.self, 44)) == header.directoryBytes, size + header.directoryBytes <= storedBytes else {
            throw fail(
                "directory bytes", "a directory of \(get(UInt32.self, 44)) bytes does not fit \(header.columns) columns"
            )
        }
        return header
    }

    /// Reads and checks the directory that follows a header: the columns' entries, in an ordered page each followed by
    /// that of its token indices.
    ///
    /// - Parameter bytes: at least header and directory.
    func readDirectory(_ bytes: UnsafeRawBufferPointer, at place: Place) throws -> [ColumnEntry] {
        func get<T: FixedWidthInteger>(_ type: T.Type, _ offset: Int) -> T {
            T(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: T.self))
        }
        let stated = get(UInt64.self, 56)
        guard Self.headerChecksum(UnsafeRawBufferPointer(rebasing: bytes[0..<Self.size + directoryBytes])) == stated
        else {
            var place = place
            place.field = "header checksum"
            throw Fault(.badData, "the page's header or directory is damaged", at: place, advice: Self.damageAdvice)
        }
        var expected = Self.size + directoryBytes
        return try (0..<entries).map { number in
            let isIndex = isOrdered && number % 2 == 1
            let (element, count) = isIndex ? (Element.token, patches) : (element, columnValues)
            let base = Self.size + number * ColumnEntry.size
            var planes = (0..<element.size).map { get(UInt32.self, base + 16 + 4 * $0) }
            let isFolded =
                element.isSignRotated && get(UInt16.self, 4) > Self.oldestVersion
                && planes[element.size - 1] & ColumnEntry.foldedFlag != 0
            if isFolded { planes[element.size - 1] &= ~ColumnEntry.foldedFlag }
            var entry = ColumnEntry(
                offset: Int(clamping: get(UInt64.self, base)), checksum: get(UInt64.self, base + 8),
                planes: planes.map(Int.init))
            entry.isFolded = isFolded
            guard entry.offset == expected, entry.planes.allSatisfy({ $0 <= count }),
                entry.storedBytes <= pageBytes - expected
            else {
                var place = place
                place.column = isOrdered ? number / 2 : number
                place.field = "directory"
                throw Fault(
                    .badData, "the column's planes do not lie inside the page", at: place, advice: Self.damageAdvice)
            }
            expected += entry.storedBytes
            return entry
        }
    }

    /// What to do about a damaged page.
    package static let damageAdvice =
        "The store is damaged here. Verify lists every damaged page; tokens can be ingested again, states computed again."
}
