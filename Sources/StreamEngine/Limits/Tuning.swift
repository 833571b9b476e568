import CKernels
import FoundationEssentials
import Glibc
import ProtonModel
import Support

/// What the self-test found on this machine, kept in the user's cache folder for later runs.
package struct Tuning: Codable, Sendable {
    static let version = 4

    package var version = Tuning.version
    /// Processor and number of cores; measurements of another machine are dropped.
    package var machine: String
    /// FLOP/s of an f32 matrix product on one core; nil when not measured yet.
    package var productFlopsPerSecond: Double?
    /// By the model's shape, threads and kernels.
    package var arithmetic: [String: SelfTest.Arithmetic] = [:]
    /// By device number of the file system.
    package var disks: [String: SelfTest.Disk] = [:]

    enum CodingKeys: String, CodingKey {
        case version, machine, arithmetic, disks
        case productFlopsPerSecond = "product_flops_per_second"
    }

    /// $XDG_CACHE_HOME/bbp-stream/tune.json, or under ~/.cache.
    package static var file: String {
        let base = FileName.variable("XDG_CACHE_HOME") ?? "\(FileName.variable("HOME") ?? "")/.cache"
        return "\(base)/bbp-stream/tune.json"
    }

    /// What is known of this machine; empty where nothing is, or the file is of another machine or damaged.
    package static func load() -> Tuning {
        let machine = Self.thisMachine()
        guard let bytes = try? File.read(file), var known = try? JSONDecoder().decode(Tuning.self, from: Data(bytes)),
            known.version == version, known.machine == machine
        else {
            return Tuning(machine: machine)
        }
        // Whatever wrote it: rates are positive numbers.
        func isRate(_ value: Double) -> Bool { value.isFinite && value > 1e-6 }
        known.arithmetic = known.arithmetic.filter {
            isRate($1.tokenLayersPerSecond) && isRate($1.firstLayerTokensPerSecond) && isRate($1.headTokensPerSecond)
        }
        known.disks = known.disks.filter { isRate($1.readBytesPerSecond) && isRate($1.writtenBytesPerSecond) }
        return known
    }

    /// Keeps it for later; a cache folder that cannot be written is no error.
    package func save() {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        guard let data = try? encoder.encode(self) else { return }
        let folder = File.parent(of: Self.file)
        try? File.makeDirectory(File.parent(of: folder))
        try? File.makeDirectory(folder)
        try? File.replace(Self.file, with: Array(data))
    }

    package static func key(_ config: ModelConfig, threads: Int, way: ConvolutionWay, kernels: KernelTable) -> String {
        let mixers =
            config.hasOtherMixers ? " " + config.mixers.map(\.shape.summary).joined(separator: ", ") : ""
        let convolutions = config.convolutions.map { "\($0.kernelSize)x\($0.dilation):\($0.channels)" }.joined(
            separator: ",")
        return
            "D\(config.hiddenSize) \(convolutions) H\(config.heads) P\(config.patchSize)\(config.isCausal ? "" : " bidirectional")\(config.delegation == .transpose ? "" : " ordered")\(mixers), "
            + "\(way.rawValue), \(threads) threads, \(String(cString: kernels.pointee.name))"
    }

    package static func device(of path: String) -> String {
        File.info(path).map { "\($0.st_dev)" } ?? "unknown"
    }

    private static func thisMachine() -> String {
        let text = (try? File.read("/proc/cpuinfo")).map { String(decoding: $0, as: UTF8.self) } ?? ""
        let name =
            text.split(separator: "\n").first { $0.hasPrefix("model name") }?.split(separator: ":").last.map {
                $0.drop { $0 == " " }
            } ?? "unknown processor"
        return "\(name), \(sysconf(Int32(_SC_NPROCESSORS_ONLN))) cores"
    }
}
