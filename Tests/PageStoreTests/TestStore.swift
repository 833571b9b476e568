import Foundation
import Geometry
import Support
import TestSupport

@testable import PageStore

/// A small store with one generation of values that follow from a seed, and where these are states, with tokens before
/// them.
struct TestStore {
    let folder: TemporaryFolder
    let manifest: Manifest
    let geometry: SequenceGeometry
    /// Column j of block b as it must read: `values[b][j]`; of ordered pages with the token indices after the values.
    let values: [[[UInt8]]]

    var directory: String { folder.file("store") }
    var record: GenerationRecord { manifest.generations[manifest.generations.count - 1] }
    var identity: GenerationIdentity {
        GenerationIdentity(store: manifest.store, record: record, patchSize: manifest.patchSize)
    }
    var dataFile: String { "\(directory)/\(record.directory)/data.mdb" }
    var grid: BlockGrid { BlockGrid(patches: geometry.patches, patchesPerBlock: record.patchesPerBlock) }

    /// - Parameters:
    ///   - isOrdered: tokens stand in random orders.
    ///   - name: the store's own name, which its files repeat.
    ///   - value: a column's bytes, from its block, index and length.
    init(
        tokens: Int, patchSize: Int = 4, patchesPerBlock: Int, element: Element, width: Int, isOrdered: Bool = false,
        name: String = Store.newName(),
        seed: UInt64 = 1, value: ((_ block: Int, _ column: Int, _ bytes: Int) -> [UInt8])? = nil
    ) throws {
        folder = try TemporaryFolder()
        geometry = SequenceGeometry(tokens: tokens, patchSize: patchSize)!
        var numbers = TestNumbers(seed)
        let isTokens = element == .token && width == 1
        var record = GenerationRecord(
            index: isTokens ? 0 : 1, directory: "generation-\(isTokens ? 0 : 1)", element: element,
            patchesPerBlock: patchesPerBlock, width: width, tables: [.states],
            order: isOrdered ? "random" : nil)
        record.isComplete = true
        let grid = BlockGrid(patches: geometry.patches, patchesPerBlock: patchesPerBlock)
        values = (0..<grid.blocks).map { block in
            let (first, patches) = (grid.patches(ofBlock: block).lowerBound, grid.patches(ofBlock: block).count)
            let orders = (0..<patches).map { _ in (0..<UInt16(patchSize)).shuffled(using: &numbers) }
            return (0..<patchSize).map { column in
                if let value { return value(block, column, patches * (width * element.size + (isOrdered ? 2 : 0))) }
                let indices = (0..<patches).map { isOrdered ? orders[$0][column] : UInt16(column) }
                var values = Self.states(patches * width, element, &numbers)
                for row in 0..<patches where isTokens && (first + row) * patchSize + Int(indices[row]) >= tokens {
                    (values[2 * row], values[2 * row + 1]) = (255, 255)
                }
                return values + (isOrdered ? indices.flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] } : [])
            }
        }
        var manifest = Manifest(
            store: name, tokens: tokens, patchSize: patchSize, tokensFingerprint: "0",
            documents: [Document(name: "a", firstToken: 0, tokens: tokens)],
            generations: [record])
        let lock = try Store.prepare(folder.file("store"), name: name, isReplacing: false)
        if !isTokens {
            let before = try TestStore(
                tokens: tokens, patchSize: patchSize, patchesPerBlock: patchesPerBlock, element: .token, width: 1,
                name: name)
            try FileManager.default.copyItem(
                atPath: "\(before.directory)/generation-0", toPath: folder.file("store/generation-0"))
            manifest.generations = before.manifest.generations + [record]
            manifest.run = RunRecord(
                modelFingerprint: "f00d", isTrained: true, layers: 2, hiddenSize: width, state: element.name,
                patchesPerBlock: patchesPerBlock, keep: "all")
        }
        self.manifest = manifest
        let writer = try writer()
        for block in 0..<grid.blocks { try writer.append(.states, block: block, page: page(block)) }
        try writer.commit(progress: Array("all".utf8))
        try writer.finish()
        _ = try Store.create(directory, manifest: manifest, lock: lock)
    }

    /// Values as states have them: signs and low bytes of noise, exponents alike.
    static func states(_ count: Int, _ element: Element, _ numbers: inout TestNumbers) -> [UInt8] {
        (0..<count).flatMap { _ -> [UInt8] in
            let bits = numbers.float().bitPattern
            switch element {
            case .token: return [UInt8(bits >> 8 & 0xff), 0]
            case .bf16: return [UInt8(bits >> 16 & 0xff), UInt8(bits >> 24)]
            case .f32: return (0..<4).map { UInt8(truncatingIfNeeded: bits >> (8 * $0)) }
            }
        }
    }

    func header(_ block: Int) -> PageHeader {
        let patches = grid.patches(ofBlock: block)
        return PageHeader(
            element: Element(name: record.element)!, generation: record.index, block: block,
            firstPatch: patches.lowerBound, patches: patches.count,
            columns: geometry.patchSize, width: record.width, isOrdered: record.order != nil)
    }

    /// A block's page as the writer stores it.
    func page(_ block: Int, as header: PageHeader? = nil) throws -> Page {
        try Page(header ?? self.header(block), values[block])
    }

    func writer() throws -> GenerationWriter {
        try GenerationWriter(store: directory, identity: identity, record: record)
    }

    /// Opened as a manifest read from disk would: through the store where it can be, directly where it cannot.
    func reader() throws -> GenerationReader {
        try GenerationReader(store: directory, identity: identity, record: record, geometry: geometry)
    }

    func pageReader() throws -> PageReader {
        let largest = header(0)
        return try PageReader(
            pageBytes: largest.largestPageBytes, columnBytes: largest.columnBytes, kernels: Kernels.select())
    }

    /// Some columns of a block.
    func read(_ generation: GenerationReader, _ pages: PageReader, block: Int, columns: [Int]? = nil) throws
        -> [[UInt8]]
    {
        let columns = columns ?? Array(0..<geometry.patchSize)
        let header = header(block)
        let columnBytes = header.columnBytes + header.indexBytes
        let room = try Memory<UInt8>(geometry.patchSize * columnBytes)
        try pages.read(
            generation, block: block, columns: columns,
            into: { UnsafeMutableRawBufferPointer(room.piece($0, of: columnBytes)) },
            indices: {
                let start = UnsafeMutableRawPointer(room.start + $0 * columnBytes + header.columnBytes)
                    .assumingMemoryBound(to: UInt16.self)
                return UnsafeMutableBufferPointer(start: start, count: header.patches)
            })
        return columns.map { Array(room.bytes[$0 * columnBytes..<($0 + 1) * columnBytes]) }
    }

    /// The whole generation, opened anew.
    func readAll() throws -> [[[UInt8]]] {
        let generation = try reader(), pages = try pageReader()
        return try (0..<grid.blocks).map { try read(generation, pages, block: $0) }
    }

    /// Changes bytes of data.mdb in place.
    func overwrite(at offset: Int, _ bytes: [UInt8]) throws {
        let file = try FileHandle(forUpdating: URL(fileURLWithPath: dataFile))
        try file.seek(toOffset: UInt64(offset))
        try file.write(contentsOf: Data(bytes))
        try file.close()
    }
}

/// A finished page; owns its bytes.
struct Page {
    let bytes: [UInt8]

    init(_ header: PageHeader, _ columns: [[UInt8]]) throws {
        let kernels = try Kernels.select()
        let codec = try ColumnCodec(columnBytes: header.columnBytes, kernels: kernels)
        let encoder = try PageEncoder(largest: header)
        for (column, values) in columns.enumerated() {
            let aligned = try Memory<UInt8>(values.count)
            aligned.bytes.copyBytes(from: values)
            let indices = UnsafeRawPointer(aligned.start + header.columnBytes).assumingMemoryBound(to: UInt16.self)
            encoder.encode(
                column, of: header, values: aligned.start, indices: header.isOrdered ? indices : nil, with: codec)
        }
        bytes = Array(encoder.finish(header))
    }
}

extension GenerationWriter {
    func append(_ table: PageTable, block: Int, page: Page) throws {
        try page.bytes.withUnsafeBytes { try append(table, block: block, page: $0) }
    }
}

/// The fault that `body` throws; nil when it throws none.
func fault(_ body: () throws -> Void) throws -> Fault? {
    do {
        try body()
        return nil
    } catch let fault as Fault {
        return fault
    }
}
