import ArgumentParser
import Glibc
import ProtonModel
import StreamEngine
import Support

struct TuneCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tune", abstract: "Measure what this machine can do, in a few seconds.",
        discussion: """
            Prints JSON: the rate of matrix products on one core, of the disk, and with --model of the model's arithmetic on all \
            threads with nothing read or written. It writes 128 MiB and removes them again. forward holds its own time against these limits. They are kept in \
            $XDG_CACHE_HOME/bbp-stream/tune.json (or under ~/.cache) and measured anew by every tune.
            """)

    @Option(help: ArgumentHelp("Measure this model's arithmetic too.", valueName: "dir")) var model: String?
    @Option(help: ArgumentHelp("Measure the disk of this folder.", valueName: "dir")) var directory = "."
    @Option(help: ArgumentHelp("Worker threads. One a core if not given.", valueName: "n")) var threads: Int?

    @Flag(help: "Print one JSON object, as it does in any case.") var json = false
    @OptionGroup var reporting: ProgressOptions

    func validate() throws {
        try checkThreads(threads)
    }

    func run() throws {
        guard File.isDirectory(directory) else {
            throw Fault(.noInput, "there is no such folder", at: Place(file: directory))
        }
        let measured = try model.map { try Model(directory: ModelFolder.find($0)) }
        if let measured { try SelfTest.checkMeasurable(measured) }
        let kernels = try Kernels.select()
        let threads = threads ?? max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
        var tuning = Tuning.load()
        var report = Report()
        report.add("machine", tuning.machine)
        report.add("kernels", String(cString: kernels.pointee.name))
        let product = try SelfTest.productRate(kernels: kernels)
        tuning.productFlopsPerSecond = product
        report.add("product flops per second and core", product)
        let disk = try SelfTest.disk(directory)
        tuning.disks[Tuning.device(of: directory)] = disk
        report.add("read bytes per second", disk.readBytesPerSecond)
        report.add("written bytes per second", disk.writtenBytesPerSecond)
        if let model = measured {
            report.add("threads", threads)
            // Short sequences are convolved directly, long ones as the model's kernels allow.
            func measure(_ way: ConvolutionWay) throws -> SelfTest.Arithmetic {
                let arithmetic = try SelfTest.arithmetic(model, threads: threads, way: way, kernels: kernels)
                tuning.arithmetic[Tuning.key(model.config, threads: threads, way: way, kernels: kernels)] = arithmetic
                return arithmetic
            }
            let (short, long) = (
                ConvolutionWay.preferred(model.config, tokens: 1),
                ConvolutionWay.preferred(model.config, tokens: 1 << 60)
            )
            let arithmetic = try measure(long)
            if short != long {
                report.add("token layers per second with direct convolutions", try measure(short).tokenLayersPerSecond)
            }
            report.add("token layers per second", arithmetic.tokenLayersPerSecond)
            report.add("first layer tokens per second", arithmetic.firstLayerTokensPerSecond)
            report.add("head tokens per second", arithmetic.headTokensPerSecond)
        }
        tuning.save()
        try Console.print(json: report.json)
    }
}
