import CKernels
import FoundationEssentials
import Glibc
import PageStore
import Compute
import Support

// Each kernel by itself, on one core: medians of many short measurements, for machines are shared. One JSON object:
//     microbench [STATES] [--short] [--only=BEGINNING]
// STATES is a file of bf16 states as columns hold them, for the page codec; without it states are made up. BEGINNING is
// that of the names of what is to be measured.

/// Nothing is measured for long, to see that all of it runs.
let isShort = CommandLine.arguments.contains("--short")

let only = CommandLine.arguments.first { $0.hasPrefix("--only=") }?.dropFirst(7) ?? ""

/// Seconds of one run: the median of measurements of about two milliseconds, for a quarter of a second.
func seconds(_ body: () -> Void) -> Double {
    body()
    var turns = 1
    while true {
        let watch = Stopwatch()
        for _ in 0..<turns { body() }
        if watch.seconds > (isShort ? 0 : 0.002) { break }
        turns *= 2
    }
    var measured: [Double] = []
    let whole = Stopwatch()
    while isShort ? measured.isEmpty : whole.seconds < 0.25 || measured.count < 5 {
        let watch = Stopwatch()
        for _ in 0..<turns { body() }
        measured.append(watch.seconds / Double(turns))
    }
    return measured.sorted()[measured.count / 2]
}

struct Measurement: Encodable {
    var kernel: String
    var value: Double
    var unit: String
}

/// Values in -1...1 that repeat at every start.
func noise(_ count: Int) throws -> Memory<Float> {
    let memory = try Memory<Float>(count)
    var state: UInt64 = 1
    for index in 0..<count {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        memory[index] = Float(state >> 40) / Float(1 << 23) - 1
    }
    return memory
}

@main struct Microbench {
    static func main() throws {
        let kernels = try Kernels.select()
        var found: [Measurement] = []
        func add(_ kernel: String, _ amount: Double, _ unit: String, _ body: () -> Void) {
            guard kernel.hasPrefix(only) else { return }
            found.append(
                Measurement(kernel: kernel, value: amount / seconds(body) / (unit == "ns/row" ? 1 : 1e9), unit: unit))
            if unit == "ns/row" { found[found.count - 1].value = 1e9 / found[found.count - 1].value }
        }
        try limits(add)
        try rows(kernels, add)
        try products(kernels, add)
        try convolutions(kernels, add)
        try pages(kernels, states: CommandLine.arguments.dropFirst().first { !$0.hasPrefix("-") }, add) {
            if $0.kernel.hasPrefix(only) { found.append($0) }
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        struct Report: Encodable { var kernels: String; var measurements: [Measurement] }
        print(
            String(
                decoding: try encoder.encode(
                    Report(kernels: String(cString: kernels.pointee.name), measurements: found)), as: UTF8.self))
    }

    typealias Add = (_ kernel: String, _ amount: Double, _ unit: String, _ body: () -> Void) -> Void

    /// What the machine gives.
    static func limits(_ add: Add) throws {
        let count = isShort ? 1 << 16 : 32 << 20
        let from = try noise(count), to = try Memory<Float>(count)
        add("memory: copy of 128 MiB, read and written", Double(2 * from.bytes.count), "GB/s") {
            to.start.update(from: from.start, count: from.count)
        }
    }

    static func rows(_ kernels: KernelTable, _ add: Add) throws {
        let k = kernels.pointee
        for D in [64, 256] {
            let x = try noise(48 * D), y = try Memory<Float>(48 * D), halves = try Memory<UInt16>(48 * D)
            add("layer_norm, D \(D)", 48, "ns/row") {
                k.layer_norm(x.start, x.start, x.start, 1e-5, 48, Int64(D), y.start)
            }
            add("bf16_from_f32, D \(D)", Double(48 * D * 6), "GB/s") {
                k.bf16_from_f32(x.start, Int64(D), 48, Int64(D), halves.start, Int64(D))
            }
            add("f32_from_bf16, D \(D)", Double(48 * D * 6), "GB/s") {
                k.f32_from_bf16(halves.start, Int64(D), 48, Int64(D), y.start, Int64(D))
            }
        }
        let original = try noise(48 * 128), x = try Memory<Float>(48 * 128)
        add("gelu, F 128", 48, "ns/row") {
            x.start.update(from: original.start, count: x.count)
            k.gelu(x.start, 48 * 128)
        }
        let logits = try noise(48 * 259), bits = try Memory<Float>(48), targets = try Memory<UInt16>(48)
        add("surprisal, 259 logits", 48, "ns/row") { k.surprisal(logits.start, targets.start, 48, 259, bits.start) }
        // A patch's 32 queries, of local rows that see no delegates, and of local rows that see them all.
        for (D, heads) in [(64, 4), (256, 4)] {
            for rows in [32, 64] {
                let context = try noise(rows * 3 * D), output = try Memory<Float>(32 * D)
                let scratch = try Memory<Float>(Int(bbp_attention_scratch(Int64(rows), Int64(D / heads))))
                let queries: [UnsafePointer<Float>?] = (0..<32).map {
                    UnsafePointer(context.start + (rows - 32 + $0) * 3 * D)
                }
                let keys: [UnsafePointer<Float>?] = (0..<rows).map { UnsafePointer(context.start + $0 * 3 * D + D) }
                let outputs: [UnsafeMutablePointer<Float>?] = (0..<32).map { output.start + $0 * D }
                let visible = (0..<32).map { Int32(rows - 31 + $0) }
                add("attend, D \(D), 32 queries over \(rows) rows", 32, "ns/row") {
                    k.attend(
                        32, queries, nil, visible, outputs, Int64(rows), keys, Int64(heads), 1, Int64(D / heads),
                        Int64(D), 0.25, nil, 0, scratch.start)
                }
            }
        }
    }

    static func products(_ kernels: KernelTable, _ add: Add) throws {
        for (inputs, outputs) in [(64, 64), (64, 192), (128, 64), (64, 259), (256, 768), (512, 256)] {
            let test = try ProductTest(rows: 48, inputs: inputs, outputs: outputs, kernels: kernels)
            add("product f32, 48 rows, \(inputs) to \(outputs)", test.operations, "GFLOP/s") { test.run() }
        }
    }

    /// Both ways to convolve. The direct way's operations are counted for both.
    static func convolutions(_ kernels: KernelTable, _ add: Add) throws {
        for (D, K) in isShort ? [(64, 9)] : [(64, 3), (64, 9), (64, 17), (64, 33), (256, 9), (256, 33)] {
            for size in [0, 32, 64, 128, 256] where size == 0 || size >= 2 * (K - 1) && size <= 8 * K {
                // The direct way at its longest takes seconds.
                if size == 0 && D * K > 64 * 33 { continue }
                let test = try ConvolutionTest(hiddenSize: D, kernelSize: K, transform: size, kernels: kernels)
                add(
                    "convolution and GELU, D \(D), K \(K), \(size == 0 ? "direct" : "transform of \(size)")",
                    Double(test.rows), "ns/row"
                ) { test.run() }
            }
        }
    }

    static func pages(_ kernels: KernelTable, states path: String?, _ add: Add, _ note: (Measurement) -> Void) throws {
        let values: Memory<UInt8>
        if let path {
            let bytes = try File.read(path)
            values = try Memory(bytes.count)
            bytes.withUnsafeBytes { values.bytes.copyMemory(from: $0) }
        } else {
            let x = try noise(4 << 20)
            values = try Memory(8 << 20)
            kernels.pointee.bf16_from_f32(
                x.start, 0, 1, Int64(x.count),
                UnsafeMutableRawPointer(values.start).assumingMemoryBound(to: UInt16.self), 0)
        }
        let k = kernels.pointee
        for column in [8 << 10, 64 << 10, 256 << 10] {
            let columns = min(values.count, isShort ? 1 << 19 : 16 << 20) / column
            let codec = try ColumnCodec(columnBytes: column, kernels: kernels)
            let stored = try Memory<UInt8>(columns * column), decoded = try Memory<UInt8>(column)
            var entries: [ColumnEntry] = []
            add("pages: encode bf16, columns of \(column >> 10) KiB", Double(columns * column), "GB/s") {
                entries = (0..<columns).map {
                    codec.encode(
                        values.start + $0 * column, count: column / 2, element: .bf16, into: stored.start + $0 * column)
                }
            }
            add("pages: decode bf16, columns of \(column >> 10) KiB", Double(columns * column), "GB/s") {
                for index in 0..<columns {
                    try? codec.decode(
                        UnsafeRawBufferPointer(stored.piece(index, of: column)), entry: entries[index],
                        count: column / 2, element: .bf16, into: decoded.bytes, at: Place(file: "bench"))
                }
            }
            note(
                Measurement(
                    kernel: "pages: ratio, columns of \(column >> 10) KiB",
                    value: Double(columns * column) / Double(entries.map(\.storedBytes).reduce(0, +)), unit: "1"))
        }
        let planes = try Memory<UInt8>(64 << 10), folded = try Memory<UInt8>(32 << 10)
        let words = UnsafeRawPointer(values.start).assumingMemoryBound(to: UInt16.self)
        add("split16", 65536, "GB/s") { k.split16(words, 32768, 1, planes.start) }
        add("fold", 32768, "GB/s") { _ = k.fold(planes.start + 32768, 32768, folded.start) }
        let bytes = k.fold(planes.start + 32768, 32768, folded.start)
        if bytes > 0 { add("unfold", 32768, "GB/s") { _ = k.unfold(folded.start, bytes, 32768, planes.start + 32768) } }
        let merged = try Memory<UInt16>(32768)
        add("merge16", 65536, "GB/s") { k.merge16(planes.start, 32768, 1, merged.start) }
        add("checksum", 65536, "GB/s") { _ = k.checksum(values.start, 65536) }
    }
}
