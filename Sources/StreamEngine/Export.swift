import CKernels
import PageStore
import Support

/// Writes a generation as a NumPy array in natural token order.
public enum Export {
    /// States as f32 [B-A, D], tokens (generation 0) as UInt16 [B-A].
    ///
    /// - Parameter range: tokens A..<B; nil for all.
    /// - Returns: the array's shape.
    public static func run(store directory: String, generation index: Int, range: Range<Int>?, to path: String) throws -> [Int] {
        let store = try Store.open(directory)
        let generation = try store.reader(index)
        let n = store.manifest.tokens
        let range = range ?? 0..<n
        guard range.upperBound <= n else {
            throw Fault(.usage, "--range \(range.lowerBound):\(range.upperBound) passes the end: the store has \(n) tokens", at: Place(file: directory))
        }
        let kernels = try Kernels.select()
        guard generation.record.holds(.states) else {
            throw Fault(.usage, "generation \(index) keeps surprisal but no states (it was computed with --keep none)", at: Place(file: directory))
        }
        let rows = try RowStream(generation, kernels: kernels)
        let width = generation.record.width
        let shape = index == 0 ? [range.count] : [range.count, width]
        let file = try NpyFile(path, type: index == 0 ? "<u2" : "<f4", shape: shape)
        let expanded = try Memory<Float>(generation.element == .bf16 ? generation.grid.patchesPerBlock * generation.geometry.patchSize * width : 0)
        try rows.read(range) { _, bytes in
            try Interruption.check { "nothing was written" }
            if generation.element == .bf16 {
                let values = bytes.bindMemory(to: UInt16.self)
                kernels.pointee.f32_from_bf16(values.baseAddress, Int64(values.count), 1, Int64(values.count), expanded.start, Int64(values.count))
                try file.write(UnsafeRawBufferPointer(start: expanded.start, count: values.count * 4))
            } else {
                try file.write(bytes)
            }
        }
        try file.publish()
        return shape
    }
}
