import PageStore
import Support

/// Reads every page of a store and checks every checksum.
public enum Verify {
    /// What was read and what is wrong.
    public struct Report: Sendable {
        /// Complete generations.
        public var generations = 0
        /// Pages that could be read, of all tables.
        public var pages = 0
        /// Columns of these pages.
        public var columns = 0
        /// Bytes of these pages as stored.
        public var bytes = 0
        /// Everything that is wrong, in order.
        public var faults: [Fault] = []
        /// Generations being computed, which are not checked.
        public var incomplete: [Int] = []

        /// The length is checked before the pages: what both find is one fault.
        mutating func add(_ fault: Fault) {
            if !faults.contains(fault) { faults.append(fault) }
        }
    }

    /// Reads every page of the complete generations. Damage of pages is reported, not thrown.
    ///
    /// - Parameters:
    ///   - onPage: called before each page with generation, block and number of blocks.
    /// - Throws: `Fault`: of `Store.open`, or `interrupted`.
    public static func run(
        store directory: String, onPage: (_ generation: Int, _ block: Int, _ blocks: Int) -> Void = { _, _, _ in }
    ) throws -> Report {
        let store = try Store.open(directory)
        let kernels = try Kernels.select()
        var report = Report()
        let tokens = try TokenCheck(store.manifest)
        do { try store.checkLength() } catch let fault as Fault { report.faults.append(fault) }
        for record in store.manifest.generations {
            guard record.isComplete else {
                report.incomplete.append(record.index)
                continue
            }
            report.generations += 1
            do {
                let generation = try store.reader(record.index, isCheckingLength: false)
                for table in PageTable.allCases where record.holds(table) {
                    try check(
                        generation, table, kernels: kernels, tokens: record.index == 0 ? tokens : nil,
                        &report, onPage)
                }
            } catch let fault as Fault where fault.kind != .interrupted {
                report.add(fault)
            }
        }
        if report.faults.isEmpty && !tokens.isPassed {
            report.faults.append(
                Fault(
                    .badData, "the tokens do not match the fingerprint in the manifest",
                    at: Place(file: directory, generation: 0)))
        }
        return report
    }

    private static func check(
        _ generation: GenerationReader, _ table: PageTable, kernels: KernelTable, tokens check: TokenCheck?,
        _ report: inout Report,
        _ onPage: (Int, Int, Int) -> Void
    ) throws {
        let rows = try RowStream(generation, table, kernels: kernels)
        let P = generation.geometry.patchSize
        let present = try generation.blocksPresent(table)
        if present != generation.grid.blocks {
            report.faults.append(
                Fault(
                    .badData, "\(present) blocks in table '\(table.rawValue)', \(generation.grid.blocks) expected",
                    at: Place(file: generation.file, generation: generation.record.index)))
        }
        // A few missing blocks are named one by one; a tail of them is what was said above.
        for block in 0..<(generation.grid.blocks - present > 1000 ? present : generation.grid.blocks) {
            onPage(generation.record.index, block, generation.grid.blocks)
            try Interruption.check { "\(report.pages) pages were checked" }
            let patches = generation.grid.patches(ofBlock: block)
            let tokens = (patches.lowerBound * P..<patches.upperBound * P).clamped(to: 0..<generation.geometry.tokens)
            do {
                try rows.read(tokens) { _, bytes in check?.add(bytes) }
                report.pages += 1
                report.columns += P
                report.bytes += try generation.locate(table, block: block).bytes
            } catch let fault as Fault {
                report.add(fault)
            }
        }
    }
}
