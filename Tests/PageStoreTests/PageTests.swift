import Support
import TestSupport
import Testing

@testable import PageStore

struct ColumnCodecTests {
    /// Encodes and decodes; returns the entry and the bytes that came back.
    private func roundTrip(_ values: [UInt8], _ element: Element) throws -> (entry: ColumnEntry, decoded: [UInt8]) {
        let codec = try ColumnCodec(columnBytes: values.count, kernels: Kernels.select())
        let source = try Memory<UInt8>(values.count), stored = try Memory<UInt8>(values.count),
            target = try Memory<UInt8>(values.count)
        source.bytes.copyBytes(from: values)
        let entry = codec.encode(source.start, count: values.count / element.size, element: element, into: stored.start)
        try codec.decode(
            UnsafeRawBufferPointer(stored.bytes), entry: entry, count: values.count / element.size, element: element,
            into: target.bytes, at: Place())
        return (entry, Array(target.bytes))
    }

    @Test(arguments: Element.allCases, [1, 2, 3, 17, 1000, 70_001]) func everyKindOfDataReturns(
        _ element: Element, count: Int
    ) throws {
        var numbers = TestNumbers(1)
        for values in [
            numbers.bytes(count * element.size), [UInt8](repeating: 0, count: count * element.size),
            [UInt8](repeating: 0xff, count: count * element.size),
            TestStore.states(count, element, &numbers),
        ] {
            let (entry, decoded) = try roundTrip(values, element)
            let same = decoded == values
            #expect(same)
            #expect(entry.planes.count == element.size)
            #expect(entry.storedBytes <= values.count)
        }
    }

    @Test(arguments: Element.allCases) func whatShrinksIsShrunkAndWhatDoesNotIsKept(_ element: Element) throws {
        var numbers = TestNumbers(2)
        #expect(
            try roundTrip([UInt8](repeating: 7, count: 4096 * element.size), element).entry.planes.allSatisfy {
                $0 < 400
            })
        #expect(try roundTrip(numbers.bytes(4096 * element.size), element).entry.planes.allSatisfy { $0 == 4096 })
        // Of states, the exponent's plane shrinks: the highest, once the sign is rotated away.
        #expect(try roundTrip(TestStore.states(4096, element, &numbers), element).entry.planes.last! < 3000)
    }

    /// Sizes come from files, room from what somebody expected.
    @Test(arguments: Element.allCases) func nothingIsDecodedPastItsTarget(_ element: Element) throws {
        let bytes = 1000 * element.size
        let codec = try ColumnCodec(columnBytes: bytes, kernels: Kernels.select())
        let source = try Memory<UInt8>(bytes), stored = try Memory<UInt8>(bytes), target = try Memory<UInt8>(2 * bytes)
        let entry = codec.encode(source.start, count: 1000, element: element, into: stored.start)
        for byte in 0..<2 * bytes { target[byte] = 0xaa }
        for room in [0, 1, bytes / 2, bytes - 1] {
            let found = try fault {
                try codec.decode(
                    UnsafeRawBufferPointer(stored.bytes), entry: entry, count: 1000, element: element,
                    into: UnsafeMutableRawBufferPointer(target.piece(0, of: room)), at: Place())
            }
            #expect(found?.kind == .badData)
        }
        #expect(target.bytes.allSatisfy { $0 == 0xaa })
        // Nor past the codec's own planes, nor is anything read past the stored bytes.
        let small = try ColumnCodec(columnBytes: bytes - element.size, kernels: Kernels.select())
        for (codec, count, available) in [
            (small, 1000, bytes), (codec, 0, bytes), (codec, -1, bytes), (codec, .max, bytes),
            (codec, 1000, entry.storedBytes - 1),
        ] {
            let found = try fault {
                try codec.decode(
                    UnsafeRawBufferPointer(stored.piece(0, of: available)), entry: entry, count: count,
                    element: element, into: target.bytes, at: Place())
            }
            #expect(found?.kind == .badData, "\(count) values of \(available) bytes")
        }
        #expect(target.bytes.allSatisfy { $0 == 0xaa })
    }

    @Test func aLyingEntryIsFound() throws {
        let codec = try ColumnCodec(columnBytes: 2000, kernels: Kernels.select())
        let source = try Memory<UInt8>(2000), stored = try Memory<UInt8>(2000), target = try Memory<UInt8>(2000)
        for i in 0..<2000 { source[i] = UInt8(i / 100) }
        let entry = codec.encode(source.start, count: 1000, element: .bf16, into: stored.start)
        var lies = [entry, entry, entry, entry]
        lies[0].checksum ^= 1
        lies[1].planes[1] -= 1
        lies[2].planes[0] = 0
        lies[3].planes[0] = 1000
        for lie in lies {
            let found = try fault {
                try codec.decode(
                    UnsafeRawBufferPointer(stored.bytes), entry: lie, count: 1000, element: .bf16, into: target.bytes,
                    at: Place(block: 5))
            }
            #expect(found?.kind == .badData && found?.place.block == 5)
        }
        // A plane that is whole but of another length.
        #expect(
            try fault {
                try codec.decode(
                    UnsafeRawBufferPointer(stored.bytes), entry: entry, count: 999, element: .bf16, into: target.bytes,
                    at: Place())
            }?.kind == .badData)
        #expect(
            try fault {
                try codec.decode(
                    UnsafeRawBufferPointer(stored.bytes), entry: entry, count: 1000, element: .bf16, into: target.bytes,
                    at: Place())
            } == nil)
    }
}

struct PageFormatTests {
    private let header = PageHeader(
        element: .bf16, generation: 0x0102_0304_0506, block: 0x1112_1314_1516, firstPatch: 0x2122_2324_2526, patches: 3,
        columns: 2, width: 1)

    /// The bytes of a number as hexadecimal, in file order.
    private func hex(_ bytes: some Sequence<UInt8>) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    @Test func theChecksumIsXXH3() {
        #expect(checksum(UnsafeRawBufferPointer(start: nil, count: 0)) == 0x2d06_8005_38d3_94c2)
    }

    /// A stranger reads pages by these offsets; changing one is another format version.
    @Test func everyByteIsWhereItIsDocumented() throws {
        // Three values do not compress: planes are stored as they are, low byte first, rotated left by one bit.
        let columns: [[UInt8]] = [[0x01, 0x80, 0x80, 0x3f, 0x00, 0x00], [0x34, 0x12, 0x78, 0x56, 0xbc, 0x9a]]
        let page = try Page(header, columns).bytes
        #expect(page.count == 140)
        #expect(hex(page[0..<4]) == hex("BBPG".utf8))
        #expect(hex(page[4..<6]) == "0200")  // version
        #expect(hex(page[6..<8]) == "0200")  // element
        #expect(hex(page[8..<16]) == "0605040302010000")  // generation
        #expect(hex(page[16..<24]) == "1615141312110000")  // block
        #expect(hex(page[24..<32]) == "2625242322210000")  // first patch
        #expect(hex(page[32..<36]) == "03000000")  // patches
        #expect(hex(page[36..<40]) == "02000000")  // columns
        #expect(hex(page[40..<44]) == "01000000")  // width
        #expect(hex(page[44..<48]) == "40000000")  // directory bytes
        #expect(hex(page[48..<56]) == "8c00000000000000")  // page bytes
        func sum(_ bytes: [UInt8]) -> String {
            hex(withUnsafeBytes(of: bytes.withUnsafeBytes(checksum).littleEndian, Array.init))
        }
        #expect(hex(page[56..<64]) == sum(Array(page[0..<56] + page[64..<128])))
        for (column, offset) in [(0, 128), (1, 134)] {
            let entry = page[64 + 32 * column..<96 + 32 * column]
            #expect(hex(entry.prefix(8)) == (column == 0 ? "80" : "86") + "00000000000000")  // offset
            #expect(hex(entry.dropFirst(8).prefix(8)) == sum(columns[column]))  // checksum
            #expect(hex(entry.dropFirst(16)) == "03000000" + "03000000" + "0000000000000000")  // planes
            #expect(hex(page[offset..<offset + 6]) == ["030000" + "007f00", "68f079" + "24ac35"][column])
        }
    }

    @Test func numberFormatsAreNumbered() {
        #expect(Element.token.rawValue == 1 && Element.bf16.rawValue == 2 && Element.f32.rawValue == 3)
        #expect(Element.allCases.map(\.name) == ["u16", "bf16", "f32"])
        #expect(Element(name: "f16") == nil)
    }

    @Test func headersReturn() throws {
        let page = try Page(header, [[1, 2, 3, 4, 5, 6], [0, 0, 0, 0, 0, 0]]).bytes
        try page.withUnsafeBytes { bytes in
            let found = try PageHeader.read(bytes, storedBytes: bytes.count, at: Place())
            var expected = header
            expected.pageBytes = page.count
            #expect(found == expected)
            #expect(try found.readDirectory(bytes, at: Place()).map(\.offset) == [128, 134])
        }
    }

    @Test func headersThatCannotBeAreRefused() throws {
        let page = try Page(header, [[1, 2, 3, 4, 5, 6], [0, 0, 0, 0, 0, 0]]).bytes
        for (offset, field) in [
            (0, "magic"), (4, "version"), (6, "element"), (15, "header"), (23, "header"), (31, "header"),
            (36, "directory bytes"), (44, "directory bytes"), (48, "page bytes"), (55, "header"),
        ] {
            var damaged = page
            damaged[offset] ^= 0x80
            let found = try fault {
                try damaged.withUnsafeBytes { _ = try PageHeader.read($0, storedBytes: $0.count, at: Place(block: 3)) }
            }
            #expect(found?.kind == .badData && found?.place.block == 3 && found?.place.field == field, "byte \(offset)")
        }
        for length in [0, 1, 63, 64, 127] {
            let found = try fault {
                try page[..<length].withUnsafeBytes { _ = try PageHeader.read($0, storedBytes: length, at: Place()) }
            }
            #expect(found?.kind == .badData, "\(length) bytes")
        }
    }
}
