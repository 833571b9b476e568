import CKernels
import PageStore
import Support

/// Writes a generation as a NumPy array in natural token order.
public enum Export {
    /// States as f32 [B-A, D], tokens (generation 0) as UInt16 [B-A].
    ///
    /// - Parameters:
    ///   - range: nil for all tokens.
    ///   - onProgress: called with the share that is written.
    /// - Returns: the array's shape.
    /// - Throws: `Fault`: `usage` where generation, states or range are not in the store, `badData` where it is
    ///   damaged, `cannotCreate` where the file cannot be made. It appears complete or not at all.
    public static func run(
        store directory: String, generation index: Int, range: TokenRange?, to path: String,
        onProgress: (Double) -> Void = { _ in }
    ) throws -> [Int] {
        let store = try Store.open(directory)
        let generation = try store.reader(index)
        let n = store.manifest.tokens
        let range = try range?.resolved(tokens: n, store: directory) ?? 0..<n
        let kernels = try Kernels.select()
        guard generation.record.holds(.states) else {
            throw Fault(
                .usage, "generation \(index) keeps surprisal but no states", at: Place(file: directory),
                remedies: [.keepStates])
        }
        let rows = try RowStream(generation, kernels: kernels)
        let width = generation.record.width
        let shape = index == 0 ? [range.count] : [range.count, width]
        let file = try NpyFile(path, type: index == 0 ? "<u2" : "<f4", shape: shape)
        let expanded = try Memory<Float>(
            generation.element == .bf16 ? generation.grid.patchesPerBlock * generation.geometry.patchSize * width : 0)
        try rows.read(range) { first, bytes in
            try Interruption.check { "nothing was written" }
            onProgress(Double(first - range.lowerBound) / Double(range.count))
            if generation.element == .bf16 {
                let values = bytes.bindMemory(to: UInt16.self)
                kernels.pointee.f32_from_bf16(
                    values.baseAddress, Int64(values.count), 1, Int64(values.count), expanded.start, Int64(values.count)
                )
                try file.write(UnsafeRawBufferPointer(start: expanded.start, count: values.count * 4))
            } else {
                try file.write(bytes)
            }
        }
        try file.publish()
        return shape
    }
}
