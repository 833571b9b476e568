import ArgumentParser
import Geometry
import PageStore
import StreamEngine
import Support

struct DumpCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dump", abstract: "Look into a store: the store, a generation, a block, a column, its values.")

    @Option(help: ArgumentHelp("The store.", valueName: "dir")) var store: String
    @Option(help: ArgumentHelp("0 for the tokens, l for the states after layer l.", valueName: "l")) var generation:
        Int?
    @Option(help: ArgumentHelp("A block of the generation.", valueName: "b")) var block: Int?
    @Option(
        help: ArgumentHelp(
            "A column of the block: token index j of every patch, or place j in the order of its delegates.",
            valueName: "j")) var column: Int?
    @Flag(help: "The values themselves: of a column, or of every column of a block.") var values = false
    @Flag(help: "Of a generation of many blocks read all, not some, for least, mean and greatest value.") var all =
        false
    @Flag(help: "The order of a block's delegates: the column (ρ) of each token of each patch.") var order = false
    @Flag(help: "One JSON object instead of lines.") var json = false

    @OptionGroup var reporting: ProgressOptions

    func validate() throws {
        if block != nil && generation == nil { throw ValidationError("--block needs --generation.") }
        if column != nil && block == nil { throw ValidationError("--column needs --block.") }
        if order && (block == nil || column != nil || values) {
            throw ValidationError("--order needs --block, and no --column or --values.")
        }
        if all && (generation == nil || block != nil) {
            throw ValidationError("--all needs --generation, and no --block.")
        }
        if values && block == nil { throw ValidationError("--values needs --block, and --column for one column.") }
    }

    func run() throws {
        let inspection = try Inspection(store: store)
        if let generation, let block, values {
            return try Report.writeValues(
                inspection, generation: generation, block: block, column: column, isJSON: json, put: Console.emit)
        }
        var report = Report()
        switch (generation, block, column) {
        case (let generation?, let block?, let column?):
            try inspection.columns(of: block, of: generation, only: column) { report = Report($0) }
        case (let generation?, let block?, nil) where order:
            report = Report(order: try inspection.order(ofBlock: block, of: generation))
        case (let generation?, let block?, nil): report = Report(try inspection.block(block, of: generation))
        case (let generation?, nil, _): report = Report(try inspection.generation(generation, isOfAllBlocks: all))
        default: report = Report(inspection.store)
        }
        try report.print(asJSON: json)
    }
}
