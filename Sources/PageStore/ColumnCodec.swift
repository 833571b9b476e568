import CKernels
import CZstd
import Support

/// Compresses and decompresses one column at a time: byte planes, each zstd or as it is, whichever is smaller.
///
/// One codec a worker: it owns the zstd contexts and the planes' scratch.
public final class ColumnCodec {
    private let compressor: OpaquePointer
    private let decompressor: OpaquePointer
    private let kernels: KernelTable
    private let planes: Memory<UInt8>

    /// Bytes a codec for columns of `columnBytes` owns: planes, and an allowance for zstd's contexts.
    public static func footprint(columnBytes: Int) -> Int { columnBytes + 2 * min(columnBytes, 1 << 20) + 640 << 10 }

    /// - Parameter columnBytes: the longest column it will see, in bytes before compression.
    public init(columnBytes: Int, kernels: KernelTable) throws {
        guard let compressor = ZSTD_createCCtx(), let decompressor = ZSTD_createDCtx() else {
            throw Fault(.inputOutput, "zstd could not allocate its contexts", advice: "Lower --threads or free memory.")
        }
        self.compressor = compressor
        self.decompressor = decompressor
        self.kernels = kernels
        self.planes = try Memory(columnBytes)
        // Level 1, long matches only and a tiny table: exponent bytes have skewed frequencies and next to no repeats,
        // so entropy coding does the work and searching costs time for nothing (PageFormat.md).
        for (parameter, value) in [
            (ZSTD_c_compressionLevel, Int32(1)), (ZSTD_c_minMatch, 7), (ZSTD_c_hashLog, 6), (ZSTD_c_checksumFlag, 1),
        ] {
            ZSTD_CCtx_setParameter(compressor, parameter, value)
        }
    }

    deinit {
        ZSTD_freeCCtx(compressor)
        ZSTD_freeDCtx(decompressor)
    }

    /// Encodes `count` values of `element` into `stored` and describes them; `offset` is left 0 for the caller.
    ///
    /// - Parameter stored: room for the column uncompressed: `count * element.size` bytes.
    func encode(_ values: UnsafeRawPointer, count: Int, element: Element, into stored: UnsafeMutableRawPointer) -> ColumnEntry {
        element.split(values, count: count, planes: planes.start, with: kernels)
        var sizes: [Int] = []
        var end = 0
        for plane in 0..<element.size {
            let source = planes.start + plane * count
            // One byte less than the plane: what does not shrink is an error to zstd and stored as it is.
            let written = ZSTD_compress2(compressor, stored + end, max(count - 1, 0), source, count)
            if ZSTD_isError(written) != 0 || written >= count {
                (stored + end).copyMemory(from: source, byteCount: count)
                sizes.append(count)
            } else {
                sizes.append(written)
            }
            end += sizes[plane]
        }
        let sum = checksum(UnsafeRawBufferPointer(start: values, count: count * element.size))
        return ColumnEntry(offset: 0, checksum: sum, planes: sizes)
    }

    /// Decodes a column of `count` values into `values` and checks it against its checksum.
    ///
    /// - Parameter place: block and column, named in errors.
    func decode(_ stored: UnsafeRawPointer, entry: ColumnEntry, count: Int, element: Element, into values: UnsafeMutableRawPointer, at place: @autoclosure () -> Place) throws {
        func damaged(_ problem: String) -> Fault { Fault(.badData, problem, at: place(), advice: PageHeader.damageAdvice) }
        var start = 0
        for (plane, size) in entry.planes.enumerated() {
            let target = planes.start + plane * count
            if size == count {
                target.update(from: (stored + start).assumingMemoryBound(to: UInt8.self), count: count)
            } else {
                let read = ZSTD_decompressDCtx(decompressor, target, count, stored + start, size)
                guard ZSTD_isError(read) == 0 else {
                    throw damaged("byte plane \(plane) does not decompress: \(String(cString: ZSTD_getErrorName(read)))")
                }
                guard read == count else { throw damaged("byte plane \(plane) decompresses to \(read) bytes, not \(count)") }
            }
            start += size
        }
        element.merge(planes.start, count: count, values: values, with: kernels)
        guard checksum(UnsafeRawBufferPointer(start: values, count: count * element.size)) == entry.checksum else {
            throw damaged("the column's values do not match their checksum")
        }
    }
}
