import Foundation
import TestSupport
import Testing

/// Weights of 16 bits are computed with as the same values in f32 are.
struct WeightFormatTests {
    let bench: Bench
    init() throws { bench = try Bench() }

    /// A 16-bit number format: a value's bits, and the value that the bits stand for.
    enum Format: String, CaseIterable {
        case f16 = "F16"
        case bf16 = "BF16"

        func bits(_ value: Float) -> UInt16 {
            self == .f16 ? Float16(value).bitPattern : UInt16(value.bitPattern >> 16)
        }
        func value(_ bits: UInt16) -> Float {
            self == .f16 ? Float(Float16(bitPattern: bits)) : Float(bitPattern: UInt32(bits) << 16)
        }
    }

    /// The tensors that `narrow` names in `format`, and all of their values; the other file has the same values in F32.
    private func files(_ weights: ModelFileTests.Weights, _ format: Format, narrow: (String) -> Bool) -> (
        narrow: ModelFileTests.Weights, wide: ModelFileTests.Weights
    ) {
        var (narrowed, widened) = (weights, weights)
        narrowed.data = Data()
        for name in weights.header.keys.filter({ $0 != "__metadata__" }).sorted() {
            let offsets = weights.field(name, "data_offsets")
            var values = weights.data[offsets[0]..<offsets[1]]
            let start = narrowed.data.count
            if narrow(name) {
                let bits = values.withUnsafeBytes { bytes in
                    (0..<bytes.count / 4).map {
                        format.bits(bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self))
                    }
                }
                values = bits.map(format.value).withUnsafeBytes { Data($0) }
                widened.data.replaceSubrange(offsets[0]..<offsets[1], with: values)
                narrowed.data += bits.withUnsafeBytes { Data($0) }
                narrowed.set(name, "dtype", format.rawValue)
            } else {
                narrowed.data += values
            }
            narrowed.set(name, "data_offsets", [start, narrowed.data.count])
        }
        return (narrowed, widened)
    }

    @Test(
        "16-bit weights give the bits that the same values in F32 give", arguments: Format.allCases,
        ["seven", "selective-stack", "wide"])
    func same(format: Format, fixture: String) throws {
        // All of them, or the matrices alone, as common writers leave them: then some F32 tensors are misaligned, too.
        for all in [true, false] {
            let (narrow, wide) = files(
                try ModelFileTests.Weights(
                    Data(contentsOf: URL(fileURLWithPath: "\(Fixtures.path(fixture))/model.safetensors"))), format
            ) { all || $0.contains("qkv") || $0 == "fc.bias" }
            var results: [Data] = []
            for (name, weights) in [("narrow", narrow), ("wide", wide)] {
                let folder = "\(name)-\(all)"
                _ = try bench.modelCopy(fixture, folder)
                try bench.write("\(folder)/model.safetensors", weights.file)
                try bench.store(fixture: fixture, named: "\(folder)-store")
                try run(
                    "forward", "--store", bench.file("\(folder)-store"), "--model", bench.file(folder), "--nll",
                    bench.file("\(folder).npy")
                ).expect(0)
                results.append(try bench.bytes("\(folder).npy"))
            }
            #expect(results[0] == results[1])
            let told = try run("model", "info", bench.file("narrow-\(all)")).expect(0).output
            #expect(
                told.contains(
                    all ? ": \(format.rawValue)," : [format.rawValue, "F32"].sorted().joined(separator: " and ")))
        }
    }

    @Test("A 16-bit weight that is not finite is refused by name", arguments: Format.allCases)
    func notFinite(format: Format) throws {
        _ = try bench.modelCopy("seven")
        var (narrow, _) = files(try ModelFileTests.Weights(bench.bytes("model/model.safetensors")), format) { _ in true
        }
        let at = narrow.field("blocks.0.cov3.weight", "data_offsets")[0] + 2 * 5
        narrow.data.replaceSubrange(at..<at + 2, with: withUnsafeBytes(of: format.bits(.infinity)) { Data($0) })
        try bench.write("model/model.safetensors", narrow.file)
        try run("model", "info", bench.file("model")).expect(65, "cov3.weight", "value 5", "inf")
    }

    @Test("config.json may name any of the formats", arguments: ["float32", "float16", "bfloat16"])
    func named(format: String) throws {
        _ = try bench.modelCopy("seven")
        try bench.edit("model/config.json", ["torch_dtype": format])
        try run("model", "info", bench.file("model")).expect(0)
    }
}
