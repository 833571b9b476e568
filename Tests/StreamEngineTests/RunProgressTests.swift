import PageStore
import Support
import Testing

@testable import StreamEngine

/// What an interrupted run goes on from is whole, and fits what it describes, or is refused.
struct RunProgressTests {
    private static func floats(_ values: [Float]) -> [UInt8] {
        values.flatMap { withUnsafeBytes(of: $0.bitPattern.littleEndian, Array.init) }
    }

    private let progress: RunProgress = {
        var progress = RunProgress()
        (progress.nextBlock, progress.storedBytes, progress.bits, progress.bitsCount, progress.nextBits) = (
            5, 1 << 20, 1234.5, 400, 7.25
        )
        // Three rows' values, then a mixer's state; and a layer with a state alone.
        progress.carries = [
            RunProgressTests.floats([1, -0.0, .leastNonzeroMagnitude]) + [7, 8, 9],
            RunProgressTests.floats([0, 0, 2]) + [255],
        ]
        return progress
    }()
    private let bounds = RunProgress.Bounds(
        blocks: 9, committedBlocks: [5, 5], fileBytes: 2 << 20, tokens: 1000, carryBytes: [15, 13],
        rowBytes: 12)

    private func fault(_ bytes: [UInt8], _ bounds: RunProgress.Bounds? = nil) -> Fault? {
        do {
            _ = try RunProgress(bytes, within: bounds ?? self.bounds, at: Place(generation: 2))
            return nil
        } catch {
            return error as? Fault
        }
    }

    /// The bytes of `progress` with others from `offset` on, and the checksum that fits them.
    private func bytes(_ offset: Int, _ change: [UInt8]) -> [UInt8] {
        var bytes = Array(progress.bytes.dropLast(8))
        bytes.replaceSubrange(offset..<offset + change.count, with: change)
        return bytes + withUnsafeBytes(of: bytes.withUnsafeBytes { checksum($0) }.littleEndian, Array.init)
    }

    @Test(arguments: [0, 1, 2048]) func everyLengthReturns(values: Int) throws {
        var progress = RunProgress()
        progress.nextBlock = 1 << 41
        progress.carries = [Self.floats((0..<values).map { Float($0) - 0.5 })]
        let bounds = RunProgress.Bounds(
            blocks: 1 << 41, committedBlocks: [1 << 41], fileBytes: 0, tokens: 1, carryBytes: [4 * values],
            rowBytes: 4 * values)
        let found = try RunProgress(progress.bytes, within: bounds, at: Place())
        #expect(found.nextBlock == progress.nextBlock && found.carries == progress.carries && found.nextBits.isNaN)
        #expect(fault([], bounds)?.kind == .badData)
    }

    @Test func itReturns() throws {
        let found = try RunProgress(progress.bytes, within: bounds, at: Place())
        #expect(found == progress)
        #expect(fault(bytes(0, [])) == nil)
        // Surprisal of a token that is not there.
        var last = progress
        last.nextBits = .nan
        #expect(fault(last.bytes) == nil)
    }

    @Test("Its bytes are those of PageFormat.md")
    func layout() {
        func little(_ value: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: value.littleEndian, Array.init) }
        var bytes: [UInt8] = Array("BBPR".utf8) + little(UInt32(2))
        for number in [108, 5, 1 << 20] { bytes += little(UInt64(number)) }
        bytes += little((1234.5).bitPattern) + little(UInt64(400)) + little(Float(7.25).bitPattern) + little(UInt32(2))
        for carry in progress.carries { bytes += little(UInt64(carry.count)) + carry }
        #expect(Array(progress.bytes.dropLast(8)) == bytes)
        #expect(Array(progress.bytes.suffix(8)) == little(bytes.withUnsafeBytes { checksum($0) }))
    }

    /// Values that no run writes, with right checksums: they would be added to the result.
    @Test func impossibleSurprisalIsRefused() {
        var scored = bounds
        scored.scoredBlockTokens = 100
        for (name, change) in [
            ("no next", { $0.nextBits = .nan }), ("negative next", { $0.nextBits = -1 }),
            ("negative sum", { $0.bits = -1 }),
            ("bits of no token", { $0.bitsCount = 0 }),
        ] as [(String, (inout RunProgress) -> Void)] {
            var progress = progress
            change(&progress)
            #expect(fault(progress.bytes, scored)?.kind == .badData, "\(name)")
        }
        #expect(fault(progress.bytes, scored) == nil)
        scored.tokens = 500
        var last = progress
        last.nextBits = .nan
        #expect(fault(last.bytes, scored) == nil)
    }

    @Test func noFlippedBitGoesUnseen() {
        for bit in 0..<8 * progress.bytes.count {
            var bytes = progress.bytes
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            let found = fault(bytes)
            #expect(
                found?.kind == .badData && found?.remedies == [.restart] && found?.place.generation == 2,
                "bit \(bit)")
        }
        for count in 0..<progress.bytes.count { #expect(fault(Array(progress.bytes.prefix(count)))?.kind == .badData) }
        #expect(fault(progress.bytes + [0])?.kind == .badData)
    }

    /// With right checksums, as somebody would write them by hand.
    @Test(
        arguments: [8, 16, 24, 40, 56],
        [
            [255, 255, 255, 255, 255, 255, 255, 127], [255, 255, 255, 255, 255, 255, 255, 255],
            [0, 0, 0, 0, 0, 0, 0, 64],
        ] as [[UInt8]])
    func countersThatCannotBeAreRefused(offset: Int, value: [UInt8]) {
        #expect(fault(bytes(offset, value))?.kind == .badData)
    }

    @Test(arguments: [32, 48, 64, 72], [Float.nan, .infinity]) func valuesThatAreNotFiniteAreRefused(
        offset: Int, value: Float
    ) {
        let bits =
            offset == 32
            ? withUnsafeBytes(of: Double(value).bitPattern, Array.init)
            : withUnsafeBytes(of: value.bitPattern, Array.init)
        #expect(fault(bytes(offset, bits))?.kind == (offset == 48 && value.isNaN ? nil : .badData))
    }

    @Test func itFitsWhatItDescribes() {
        for change in [
            { $0.blocks = 4 }, { $0.committedBlocks = [5, 6] }, { $0.committedBlocks = [4] }, { $0.fileBytes = 1000 },
            { $0.tokens = 399 }, { $0.carryBytes = [13, 15] }, { $0.carryBytes = [15] },
            { $0.carryBytes = [15, 13, 0] },
            { $0.carryBytes = [14, 14] },
        ] as [(inout RunProgress.Bounds) -> Void] {
            var bounds = bounds
            change(&bounds)
            #expect(fault(progress.bytes, bounds)?.kind == .badData)
        }
    }
}
