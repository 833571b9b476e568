import CKernels
import Support

/// One convolution over time with its bias and activation: c[t] = act(b + Σ_k W[:, :, k]·x[t + k·dilation]), t counted
/// from the first row that the first output sees.
///
/// Two ways to the same sums. Direct: the K rows that an output sees are contiguous (or are brought together where they
/// are dilated), so that the convolution is a matrix product whose rows of K·D values overlap. Fourier (overlap-save):
/// blocks of `size` rows make `size` - K + 1 outputs each; blocks are anchored at the beginning of a tile, so results
/// do not depend on what else is computed with them.
package struct Convolution: Sendable {
    enum Method: Sendable {
        case direct
        case fourier(FourierTransform)
    }

    package let inputs: Int
    package let outputs: Int
    package let kernelSize: Int
    package let dilation: Int
    package let activation: Activation
    /// Rows of a tile.
    package let tileRows: Int
    let method: Method

    /// - Parameter size: the transform's, or 0 for the direct way.
    package init(_ shape: ConvolutionShape, inputs: Int, activation: Activation, tileRows: Int, size: Int) throws {
        self.inputs = inputs
        outputs = shape.channels
        kernelSize = shape.kernelSize
        dilation = shape.dilation
        self.activation = activation
        self.tileRows = tileRows
        method = size == 0 ? .direct : .fourier(try FourierTransform(size: size))
    }

    /// Rows that go through a convolution at a time, about: wider models have more weights to read for them.
    package static func rowsAtOnce(inputs: Int) -> Int { min(4608, inputs * 24) }

    /// The size of the cheapest transform, 0 where the direct way is about as good. Depends on the model's shape alone:
    /// the choice makes a difference to the last bits.
    package static func cheapestSize(_ shape: ConvolutionShape, inputs: Int, tileRows: Int) -> Int {
        let (D, F, K) = (Double(inputs), Double(shape.channels), shape.kernelSize)
        if shape.dilation > 1 { return 0 }
        // The direct way is exact row by row, and no row's last bits depend on later ones: a transform must be worth
        // it.
        var best = (size: 0, cost: 0.6 * Double(K) * D * F)
        var size = 32
        while size <= 4096 {
            if size >= 2 * (K - 1), size < 4 * tileRows {
                let blocks = (tileRows + size - K) / (size - K + 1)
                // In multiply-adds a token, at the rates that tools/bench measures. Products: four for each frequency,
                // and weights of 8 bytes that come from far away, once for as many rows as are convolved at a time.
                // Transforms: half additions, and untangling, bias and GELU with them.
                let rows = Double(rowsAtOnce(inputs: inputs))
                let products = Double(size / 2 + 1) * D * F * (4.6 * Double(blocks) / Double(tileRows) + 48 / rows)
                let transforms =
                    3 * Double(size) * Double(size.trailingZeroBitCount) * (D + 2 * F) * Double(blocks)
                    / Double(tileRows)
                let cost = products + transforms
                if cost < best.cost { best = (size, cost) }
            }
            size *= 2
        }
        return best.size
    }

    /// Blocks of a tile, in the Fourier way.
    private func blocks(_ transform: FourierTransform) -> Int {
        (tileRows + transform.size - kernelSize) / (transform.size - kernelSize + 1)
    }

    private var panelWidth: Int { BBP_PANEL }
    private var panels: Int { (outputs + panelWidth - 1) / panelWidth }
    private var paddedInputs: Int { (inputs + panelWidth - 1) / panelWidth * panelWidth }

    /// Values of scratch that `run` needs for `tiles` tiles.
    package func scratchValues(tiles: Int) -> Int {
        guard case .fourier(let transform) = method else {
            return dilation > 1 ? rowsGathered * kernelSize * inputs : 0
        }
        return tiles * blocks(transform) * transform.frequencies * 2 * (paddedInputs + panelWidth)
            + transform.scratchValues
    }

    package var halvesValues: Int {
        switch method {
        case .direct:
            PreparedMatrix.scratchValues(
                stride: dilation > 1 ? kernelSize * inputs : inputs, inputs: kernelSize * inputs)
        case .fourier: 14 * inputs
        }
    }

    /// Dilated rows that are brought together at a time: they stay in the near caches.
    private var rowsGathered: Int { max(12, min(96, (1 << 16) / (kernelSize * inputs))) }

    /// Bytes of the prepared weights.
    package var weightBytes: Int {
        switch method {
        case .direct: PreparedMatrix.footprint(inputs: inputs * kernelSize, outputs: outputs)
        case .fourier(let transform): (panels * transform.frequencies * inputs * 2 + panels) * panelWidth * 4
        }
    }

    /// Bytes that preparing them takes meanwhile.
    package var preparationBytes: Int {
        switch method {
        case .direct: 0
        case .fourier(let transform): kernelSize * 2 * transform.frequencies * 8
        }
    }

    /// A block's weights, ready for `run`.
    enum Weights {
        case direct(PreparedMatrix)
        /// [panels, frequencies, inputs, 2, BBP_PANEL], and the bias in panels.
        case fourier(FourierTransform, Memory<Float>, bias: Memory<Float>)
    }

    /// - Parameters:
    ///   - weight: [outputs, inputs, K].
    ///   - bias: [outputs].
    ///   - parallel: runs `body` for 0..<count.
    func prepare(
        _ weight: UnsafePointer<Float>, bias: UnsafePointer<Float>, kernels: KernelTable,
        parallel: Parallel = { count, body in for task in 0..<count { body(task) } }
    ) throws -> Weights {
        switch method {
        case .direct:
            return .direct(
                try PreparedMatrix(
                    weight, taps: kernelSize, bias: bias, inputs: kernelSize * inputs, outputs: outputs,
                    kernels: kernels, parallel: parallel))
        case .fourier(let transform):
            let spectra = try Memory<Float>(panels * transform.frequencies * inputs * 2 * panelWidth)
            let padded = try Memory<Float>(panels * panelWidth)
            padded.start.update(from: bias, count: outputs)
            let waves = try transform.waves(taps: kernelSize)
            let isRounded = kernels.pointee.rounds_products != 0
            let (inputs, kernelSize, outputs, panelWidth) = (inputs, kernelSize, outputs, panelWidth)
            nonisolated(unsafe) let weight = weight
            try parallel(panels) { panel in
                let first = panel * panelWidth
                withUnsafePointer(to: transform.tables) {
                    bbp_kernel_spectra(
                        $0, weight + first * inputs * kernelSize, Int64(min(panelWidth, outputs - first)),
                        Int64(inputs), Int64(kernelSize), waves.start,
                        spectra.start + first * transform.frequencies * inputs * 2)
                }
                if isRounded {
                    bbp_round_spectra(
                        spectra.start + first * transform.frequencies * inputs * 2,
                        Int64(transform.frequencies * inputs))
                }
            }
            return .fourier(transform, spectra, bias: padded)
        }
    }

    /// - Parameters:
    ///   - x: [(K-1)·dilation + rows, inputs]: the rows that a tile's first output sees, and so on. Transforms want
    ///     whole tiles, but
    ///     for the last one.
    ///   - scratch: `scratchValues(tiles:)` values, for as many tiles as the rows touch.
    ///   - c: [rows, outputs].
    ///   - halves: `halvesValues` values, for products that round their rows.
    func run(
        _ x: UnsafePointer<Float>, rows: Int, weights: Weights, scratch: Memory<Float>,
        into c: UnsafeMutablePointer<Float>, kernels: KernelTable, halves: Memory<UInt16>
    ) {
        switch weights {
        case .direct(let matrix) where dilation > 1:
            for first in Swift.stride(from: 0, to: rows, by: rowsGathered) {
                let count = min(rowsGathered, rows - first)
                for row in 0..<count {
                    for tap in 0..<kernelSize {
                        (scratch.start + (row * kernelSize + tap) * inputs).update(
                            from: x + (first + row + tap * dilation) * inputs, count: inputs)
                    }
                }
                matrix.multiply(
                    scratch.start, rows: count, activation: activation, into: c + first * outputs, kernels: kernels,
                    scratch: halves)
            }
        case .direct(let matrix):
            matrix.multiply(
                x, stride: inputs, rows: rows, activation: activation, into: c, kernels: kernels, scratch: halves)
        case .fourier(let transform, let weights, let bias):
            let (frequencies, step) = (transform.frequencies, transform.size - kernelSize + 1)
            // First outputs of all blocks, and how many: a tile's last block ends with the tile, and sees no row of the
            // next one.
            let blocks = stride(from: 0, to: rows, by: tileRows).flatMap { tile in
                let end = min(tile + tileRows, rows)
                return stride(from: tile, to: end, by: step).map { (first: $0, rows: end - $0) }
            }
            let room = scratch.start
            let spectra = room + transform.scratchValues
            let products = spectra + blocks.count * frequencies * 2 * paddedInputs
            withUnsafePointer(to: transform.tables) { tables in
                for (index, block) in blocks.enumerated() {
                    let spectrum = spectra + index * frequencies * 2 * paddedInputs
                    for channel in Swift.stride(from: 0, to: inputs, by: panelWidth) {
                        kernels.pointee.transform_forward(
                            tables, x + block.first * inputs + channel, Int64(inputs),
                            Int64(kernelSize - 1 + block.rows), Int64(min(panelWidth, inputs - channel)),
                            spectrum + channel, Int64(2 * paddedInputs), Int64(paddedInputs), room)
                    }
                }
                for panel in 0..<panels {
                    let channel = panel * panelWidth
                    kernels.pointee.spectral_product(
                        tables, spectra, Int64(blocks.count), Int64(inputs),
                        weights.start + channel * frequencies * inputs * 2, products, halves.start)
                    for (index, block) in blocks.enumerated() {
                        kernels.pointee.transform_back(
                            tables, products + index * frequencies * 2 * panelWidth, bias.start + channel,
                            Int64(kernelSize - 1), Int64(min(step, block.rows)),
                            Int64(min(panelWidth, outputs - channel)), activation.kernel,
                            c + block.first * outputs + channel, Int64(outputs), room)
                    }
                }
            }
        }
    }
}
