import CKernels
import CZstd
import Support

/// Compresses and decompresses one column at a time: byte planes, each as short as it gets (PageFormat.md).
///
/// What compresses in hidden states is the exponent: few values, no repeats. So the work is entropy coding, and the way
/// to make it fast is to give it less: two exponents in a byte where their range allows it, planes that look like noise
/// not at all, and no search for matches.
///
/// One codec a worker: it owns the zstd contexts and the planes' scratch.
package final class ColumnCodec {
    private let compressor: OpaquePointer
    private let decompressor: OpaquePointer
    private let kernels: KernelTable
    private let planes: Memory<UInt8>
    /// An exponent plane folded; never longer than the plane, from two values on.
    private let folded: Memory<UInt8>

    /// Bytes a codec for columns of `columnBytes` owns: planes, and an allowance for zstd's contexts.
    package static func footprint(columnBytes: Int) -> Int {
        columnBytes + columnBytes / 2 + 2 * min(columnBytes, 1 << 20) + 640 << 10
    }

    /// - Parameter columnBytes: the longest column it will see, in bytes before compression.
    package init(columnBytes: Int, kernels: KernelTable) throws {
        guard let compressor = ZSTD_createCCtx(), let decompressor = ZSTD_createDCtx() else {
            throw Fault(
                .inputOutput, "zstd could not allocate its contexts", remedies: [.fewerThreads, .lessMemory])
        }
        self.compressor = compressor
        self.decompressor = decompressor
        self.kernels = kernels
        planes = try Memory(columnBytes)
        folded = try Memory(columnBytes / 2 + 2)
        // Level 1 with a table of 64 entries and steps of a whole block: next to no search.
        for (parameter, value) in [(ZSTD_c_compressionLevel, Int32(1)), (ZSTD_c_minMatch, 7), (ZSTD_c_hashLog, 6)] {
            ZSTD_CCtx_setParameter(compressor, parameter, value)
        }
        if ZSTD_isError(bbp_zstd_always_code_literals(compressor)) == 0 {
            ZSTD_CCtx_setParameter(compressor, ZSTD_c_targetLength, 1 << 17)
        }
    }

    deinit {
        ZSTD_freeCCtx(compressor)
        ZSTD_freeDCtx(decompressor)
    }

    /// Encodes `count` values of `element` into `stored` and describes them; `offset` is left 0 for the caller.
    ///
    /// - Parameter stored: room for the column uncompressed: `count * element.size` bytes.
    package func encode(_ values: UnsafeRawPointer, count: Int, element: Element, into stored: UnsafeMutableRawPointer)
        -> ColumnEntry
    {
        element.split(values, count: count, planes: planes.start, with: kernels)
        var entry = ColumnEntry(
            offset: 0, checksum: kernels.pointee.checksum(values, Int64(count * element.size)), planes: [])
        for plane in 0..<element.size {
            let source = planes.start + plane * count
            let target = stored + entry.storedBytes
            let isExponent = element.isSignRotated && plane == element.size - 1
            let foldedBytes =
                isExponent && count > 1 ? Int(kernels.pointee.fold(source, Int64(count), folded.start)) : 0
            var written = count
            if foldedBytes > 0 {
                written = compressed(folded.start, foldedBytes, into: target, room: count)
                entry.isFolded = written < count
            } else if isExponent || !looksLikeNoise(source, count) {
                written = compressed(source, count, into: target, room: count)
            }
            if written == count { target.copyMemory(from: source, byteCount: count) }
            entry.planes.append(written)
        }
        return entry
    }

    /// Bytes of the zstd frame in `target`; `room` where it would not be shorter than that.
    private func compressed(
        _ source: UnsafePointer<UInt8>, _ bytes: Int, into target: UnsafeMutableRawPointer, room: Int
    ) -> Int {
        let written = ZSTD_compress2(compressor, target, max(room - 1, 0), source, bytes)
        return ZSTD_isError(written) != 0 ? room : min(written, room)
    }

    /// Whether 512 bytes from all over the plane coincide no more often than noise does: not worth a try.
    private func looksLikeNoise(_ plane: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        let samples = 512
        guard count >= 2 * samples else { return false }
        return withUnsafeTemporaryAllocation(of: UInt16.self, capacity: 256) { seen in
            seen.initialize(repeating: 0)
            // An odd step visits all channels of a row.
            let step = count / samples | 1
            var coincidences = 0
            var at = 0
            for _ in 0..<samples {
                let byte = Int(plane[at])
                coincidences += Int(seen[byte])
                seen[byte] += 1
                at += step
                if at >= count { at -= count }
            }
            // Pairs over 256 for noise; its own deviation is a twentieth of that.
            return coincidences * 256 < samples * (samples - 1) / 2 * 6 / 5
        }
    }

    /// Decodes a column of `count` values into the beginning of `values` and checks it against its checksum.
    ///
    /// Sizes come from files: they are held against `values`, against `stored`, and against what the codec owns.
    ///
    /// - Parameters:
    ///   - stored: the column's planes, and whatever follows them.
    ///   - place: block and column, named in errors.
    package func decode(
        _ stored: UnsafeRawBufferPointer, entry: ColumnEntry, count: Int, element: Element,
        into values: UnsafeMutableRawBufferPointer, at place: @autoclosure () -> Place
    ) throws {
        func damaged(_ problem: String) -> Fault {
            Fault(.badData, problem, at: place(), advice: PageHeader.damageAdvice)
        }
        guard count > 0, count <= values.count / element.size, count <= planes.count / element.size,
            let target = values.baseAddress
        else {
            throw damaged("a column of \(count) values is longer than the store's sizes allow")
        }
        guard entry.planes.count == element.size, entry.planes.allSatisfy({ (0...count).contains($0) }),
            entry.storedBytes <= stored.count,
            let source = stored.baseAddress
        else {
            throw damaged("the column's planes are longer than its page")
        }
        var start = 0
        for (number, size) in entry.planes.enumerated() {
            let plane = planes.start + number * count
            let isFolded = entry.isFolded && number == entry.planes.count - 1
            if isFolded {
                let read = ZSTD_decompressDCtx(decompressor, folded.start, folded.count, source + start, size)
                guard ZSTD_isError(read) == 0 else {
                    throw damaged("the exponents do not decompress: \(String(cString: ZSTD_getErrorName(read)))")
                }
                guard kernels.pointee.unfold(folded.start, Int64(read), Int64(count), plane) != 0 else {
                    throw damaged("the exponents decompress to \(read) bytes, which are not \(count) exponents")
                }
            } else if size == count {
                plane.update(from: (source + start).assumingMemoryBound(to: UInt8.self), count: count)
            } else {
                let read = ZSTD_decompressDCtx(decompressor, plane, count, source + start, size)
                guard ZSTD_isError(read) == 0 else {
                    throw damaged(
                        "byte plane \(number) does not decompress: \(String(cString: ZSTD_getErrorName(read)))")
                }
                guard read == count else {
                    throw damaged("byte plane \(number) decompresses to \(read) bytes, not \(count)")
                }
            }
            start += size
        }
        element.merge(planes.start, count: count, values: target, with: kernels)
        guard kernels.pointee.checksum(target, Int64(count * element.size)) == entry.checksum else {
            throw damaged("the column's values do not match their checksum")
        }
    }
}
