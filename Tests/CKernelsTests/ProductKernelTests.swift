import CKernels
import Glibc
import TestSupport
import Testing

@Suite("Product and transform kernels") struct ProductKernelTests {
    /// Values in -1...1.
    private func values(_ count: Int, _ seed: UInt64) -> [Float] {
        var numbers = TestNumbers(seed)
        return (0..<count).map { _ in numbers.float() }
    }

    @Test(
        "products match the plain ones, of overlapping rows too, and touch nothing beyond",
        arguments: VectorPath.allCases)
    func product(path: VectorPath) throws {
        let (kernels, plain) = (try path.kernels(), try plainKernels())
        for (rows, inputs, outputs, stride) in [
            (1, 8, 8, 8), (12, 64, 192, 64), (29, 40, 259, 40), (7, 5, 33, 2), (50, 72, 32, 8),
        ] {
            let panels = (outputs + BBP_PANEL - 1) / BBP_PANEL
            var weight = values(panels * BBP_PANEL * inputs, 1), bias = values(panels * BBP_PANEL, 2)
            for panel in 0..<panels {
                for column in 0..<BBP_PANEL where panel * BBP_PANEL + column >= outputs {
                    for k in 0..<inputs { weight[(panel * inputs + k) * BBP_PANEL + column] = 0 }
                    bias[panel * BBP_PANEL + column] = 0
                }
            }
            let x = Edge(values((rows - 1) * stride + inputs, 3)), addend = Edge(values(rows * outputs, 4))
            for activation: Int32 in [0, 1, 2] {
                let y = Edge([Float](repeating: .nan, count: rows * outputs)),
                    expected = Edge([Float](repeating: .nan, count: rows * outputs))
                weight.withUnsafeBufferPointer { weight in
                    bias.withUnsafeBufferPointer { bias in
                        var matrix = bbp_matrix(
                            inputs: Int64(inputs), outputs: Int64(outputs), panels: weight.baseAddress,
                            bias: bias.baseAddress)
                        for (table, target) in [(kernels, y), (plain, expected)] {
                            table.product(
                                x.start, Int64(stride), Int64(rows), &matrix, addend.start, Int64(outputs), activation,
                                target.start, Int64(outputs), nil)
                        }
                    }
                }
                #expect(y.values.distance(to: expected.values) < 3e-5)
            }
        }
    }

    /// Two tables that round the factors: the plain one, and the processor's where it has one.
    private func roundingKernels() throws -> [bbp_kernels] {
        [BBP_PLAIN, BBP_AVX512].compactMap { bbp_bf16_kernels_for($0)?.pointee }
    }

    @Test("products of rounded factors are that, in every table that rounds") func roundedProduct() throws {
        let (rows, inputs, outputs) = (29, 40, 70)
        let panels = (outputs + BBP_PANEL - 1) / BBP_PANEL
        let x = values(rows * inputs, 21), weight = values(panels * BBP_PANEL * inputs, 22)
        func rounded(_ x: Float) -> Double {
            Double(Float(bitPattern: (x.bitPattern + 0x7fff + (x.bitPattern >> 16 & 1)) & 0xffff_0000))
        }
        var prepared = weight
        prepared.withUnsafeMutableBufferPointer { bbp_round_panels($0.baseAddress, Int64(panels), Int64(inputs)) }
        for table in try roundingKernels() {
            #expect(table.rounds_products != 0)
            var y = [Float](repeating: .nan, count: rows * outputs)
            var scratch = [UInt16](repeating: 0, count: BBP_ROWS_ROUNDED * inputs)
            prepared.withUnsafeBufferPointer { panels in
                var matrix = bbp_matrix(
                    inputs: Int64(inputs), outputs: Int64(outputs), panels: panels.baseAddress, bias: nil)
                table.product(x, Int64(inputs), Int64(rows), &matrix, nil, 0, 0, &y, Int64(outputs), &scratch)
            }
            for row in 0..<rows {
                for output in 0..<outputs {
                    let sum = (0..<inputs).reduce(0.0) {
                        $0 + rounded(x[row * inputs + $1])
                            * rounded(weight[(output / BBP_PANEL * inputs + $1) * BBP_PANEL + output % BBP_PANEL])
                    }
                    #expect(abs(Double(y[row * outputs + output]) - sum) < 1e-5)
                }
            }
        }
    }

    /// Tables of a transform, for as long as `body` runs.
    private func withTransform(_ size: Int, _ body: (UnsafePointer<bbp_transform>) -> Void) {
        var twiddles: [Float] = [], place = [Int32](repeating: 0, count: size)
        var span = size
        while span > 8 {
            for j in 0..<span / 4 {
                for k in 1...3 {
                    let angle = -2 * Double.pi * Double(j * k) / Double(span)
                    twiddles += [Float(cos(angle)), Float(sin(angle))]
                }
            }
            span /= 4
        }
        for frequency in 0..<size {
            var (span, rest) = (size, frequency)
            while span > 8 {
                span /= 4
                place[frequency] += Int32(rest % 4 * span)
                rest /= 4
            }
            place[frequency] += Int32(rest)
        }
        twiddles.withUnsafeBufferPointer { twiddles in
            place.withUnsafeBufferPointer { place in
                var transform = bbp_transform(
                    size: Int64(size), frequencies: Int64(size / 2 + 1), twiddles: twiddles.baseAddress,
                    place: place.baseAddress)
                body(&transform)
            }
        }
    }

    private func aligned(_ count: Int) -> UnsafeMutablePointer<Float> {
        aligned_alloc(64, (count * 4 + 63) / 64 * 64).bindMemory(to: Float.self, capacity: count)
    }

    @Test(
        "transforms there, products and the way back match the plain ones", arguments: VectorPath.allCases,
        [16, 32, 64, 128, 256, 1024])
    func transform(path: VectorPath, size: Int) throws {
        let (kernels, plain) = (try path.kernels(), try plainKernels())
        let (frequencies, panel) = (size / 2 + 1, BBP_PANEL)
        let scratch = aligned(Int(bbp_transform_scratch(Int64(size))))
        defer { free(scratch) }
        for (channels, present) in [(32, size), (19, size - 3), (8, 5)] {
            let stride = channels + 3
            let rows = Edge(values((present - 1) * stride + channels, 5))
            let blocks = 3
            let weight = values(frequencies * channels * 2 * panel, 6), bias = values(panel, 7)
            var spectra: [[Float]] = [], products: [[Float]] = [], backs: [[Float]] = []
            withTransform(size) { transform in
                for table in [kernels, plain] {
                    let spectrum = aligned(blocks * frequencies * 2 * panel),
                        product = aligned(blocks * frequencies * 2 * panel)
                    defer { free(spectrum); free(product) }
                    for block in 0..<blocks {
                        table.transform_forward(
                            transform, rows.start, Int64(stride), Int64(present - block), Int64(channels),
                            spectrum + block * frequencies * 2 * panel, Int64(2 * panel), Int64(panel), scratch)
                    }
                    spectra.append(Array(UnsafeBufferPointer(start: spectrum, count: blocks * frequencies * 2 * panel)))
                    weight.withUnsafeBufferPointer {
                        table.spectral_product(
                            transform, spectrum, Int64(blocks), Int64(channels), $0.baseAddress, product, nil)
                    }
                    products.append(Array(UnsafeBufferPointer(start: product, count: blocks * frequencies * 2 * panel)))
                    // From the spectrum itself: twice the rows, times the size.
                    let (first, count) = (size / 4, size - size / 4 - 1)
                    let out = Edge([Float](repeating: .nan, count: (count - 1) * stride + channels))
                    bias.withUnsafeBufferPointer {
                        table.transform_back(
                            transform, spectrum, $0.baseAddress, Int64(first), Int64(count), Int64(channels), 0,
                            out.start, Int64(stride), scratch)
                    }
                    for row in 0..<count {
                        for channel in 0..<channels {
                            let original = first + row < present ? rows.values[(first + row) * stride + channel] : 0
                            #expect(
                                abs((out.values[row * stride + channel] - bias[channel]) / Float(2 * size) - original)
                                    < 1e-6)
                        }
                    }
                    backs.append(out.values)
                }
            }
            #expect(spectra[0].distance(to: spectra[1]) < 4e-6 * Float(size).squareRoot() * 4)
            #expect(products[0].distance(to: products[1]) < 3e-5 * Float(size))
            #expect(backs[0].distance(to: backs[1]) < 1e-5 * Float(size))
        }
    }
}
