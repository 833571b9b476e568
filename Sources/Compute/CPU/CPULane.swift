import CKernels
import Support

/// A worker's kernels and scratch. Everything is done when an operation returns.
final class CPULane: Lane {
    let kernels: KernelTable
    private let sizes: Sizes
    // Between steps of one operation, for a few rows.
    private let normalised: Memory<Float>
    private let mixed: Memory<Float>
    private let logits: Memory<Float>
    /// Rows rounded to bfloat16, where products do that.
    private let halves: Memory<UInt16>
    private let positionScratch: Memory<Double>
    private let attentionScratch: Memory<Float>
    private let convolutionScratch: Memory<Float>
    private let rotationScratch: Memory<Double>
    let recurrenceScratch: Memory<Float>
    let decayScratch: Memory<Float>
    private let contextRows: Memory<UnsafePointer<Float>?>
    private let queryRows: Memory<UnsafePointer<Float>?>
    private let outputRows: Memory<UnsafeMutablePointer<Float>?>

    /// Rows that are normalised and multiplied at a time: they stay in the near caches, and the weights serve all of
    /// them.
    static let rowsAtOnce = 96

    /// Values of every piece of scratch.
    struct Sizes {
        var normalised, mixed, logits, halves, positions, attention, convolution, rotation, recurrence, decays,
            context, queries: Int

        init(_ needs: LaneNeeds, kernels: KernelTable) {
            normalised = CPULane.rowsAtOnce * needs.width
            mixed = CPULane.rowsAtOnce * needs.width
            logits = CPULane.rowsAtOnce * needs.vocabulary
            halves =
                kernels.pointee.rounds_products != 0
                ? max(
                    PreparedMatrix.scratchValues(stride: needs.inputs, inputs: needs.inputs), needs.convolutionHalves)
                : 0
            positions = 4 * needs.width
            attention =
                needs.contextRows > 0
                ? Int(bbp_attention_scratch(Int64(needs.contextRows), Int64(needs.headSize))) : 0
            convolution = needs.convolutionValues
            rotation = needs.rotatedHead > 0 ? Int(bbp_rotation_scratch(Int64(needs.rotatedHead))) : 0
            recurrence = needs.recurrentKeys > 0 ? Int(bbp_retention_scratch(Int64(needs.recurrentKeys))) : 0
            decays = needs.decayRows * (Int(BBP_RETENTION_ROWS) + 1)
            context = needs.contextRows
            queries = needs.queries
        }

        var bytes: Int {
            4 * (normalised + mixed + logits + attention + convolution + recurrence + decays) + 2 * halves
                + 8 * (positions + rotation) + 8 * context + 16 * queries
        }
    }

    init(_ needs: LaneNeeds, kernels: KernelTable) throws {
        self.kernels = kernels
        sizes = Sizes(needs, kernels: kernels)
        normalised = try Memory(sizes.normalised)
        mixed = try Memory(sizes.mixed)
        logits = try Memory(sizes.logits)
        halves = try Memory(sizes.halves)
        positionScratch = try Memory(sizes.positions)
        attentionScratch = try Memory(sizes.attention)
        convolutionScratch = try Memory(sizes.convolution)
        rotationScratch = try Memory(sizes.rotation)
        recurrenceScratch = try Memory(sizes.recurrence)
        decayScratch = try Memory(sizes.decays)
        contextRows = try Memory(sizes.context)
        queryRows = try Memory(sizes.queries)
        outputRows = try Memory(sizes.queries)
    }

    // MARK: Handles

    @inline(__always)
    func start(_ rows: Rows) -> UnsafeMutablePointer<Float> {
        unsafeDowncast(rows.memory, to: HostRows.self).values.start + rows.offset
    }

    private func matrix(_ matrix: any Matrix) -> PreparedMatrix { unsafeDowncast(matrix, to: PreparedMatrix.self) }

    /// Rows a few at a time.
    private func inGroups(_ rows: Int, _ body: (_ first: Int, _ count: Int) -> Void) {
        for first in Swift.stride(from: 0, to: rows, by: Self.rowsAtOnce) {
            body(first, min(Self.rowsAtOnce, rows - first))
        }
    }

    // MARK: Rows in and out

    func load(_ pieces: [StoredRows], as format: RowFormat, into rows: Rows) {
        let (width, stride) = (rows.width, rows.stride)
        for piece in pieces where piece.count > 0 {
            precondition(piece.first >= 0 && piece.first + (piece.count - 1) * piece.step < rows.count)
            let target = start(rows) + piece.first * stride
            switch format {
            case .bf16:
                kernels.pointee.f32_from_bf16(
                    piece.bytes.assumingMemoryBound(to: UInt16.self), Int64(width), Int64(piece.count), Int64(width),
                    target, Int64(piece.step * stride))
            case .f32:
                let values = piece.bytes.assumingMemoryBound(to: Float.self)
                for row in 0..<piece.count {
                    (target + row * piece.step * stride).update(from: values + row * width, count: width)
                }
            }
        }
    }

    func embed(
        _ ids: UnsafePointer<UInt16>, positions: UnsafePointer<Int64>, with table: any EmbeddingTable, into rows: Rows
    ) {
        let table = unsafeDowncast(table, to: HostEmbedding.self)
        let (width, x) = (table.width, start(rows))
        precondition(rows.isContiguous && rows.width == width)
        for row in 0..<rows.count {
            let token = Int(ids[row])
            if token < table.vocabulary {
                (x + row * width).update(from: table.codebook.start + token * width, count: width)
            } else {
                (x + row * width).update(repeating: 0, count: width)
            }
        }
        guard let position = table.position else { return }
        withUnsafePointer(to: position.tables) {
            kernels.pointee.position($0, positions, Int64(rows.count), x, positionScratch.start)
        }
    }

    func store(
        _ rows: Rows, columns: Int, order: UnsafePointer<UInt16>?, as format: RowFormat,
        to column: (Int) -> UnsafeMutableRawPointer
    ) {
        let (width, states, patches) = (rows.width, UnsafePointer(start(rows)), rows.count / columns)
        precondition(rows.isContiguous)
        func put(_ from: UnsafePointer<Float>, rows: Int, to target: UnsafeMutableRawPointer) {
            switch format {
            case .bf16:
                kernels.pointee.bf16_from_f32(
                    from, Int64(columns * width), Int64(rows), Int64(width),
                    target.assumingMemoryBound(to: UInt16.self),
                    Int64(width))
            case .f32:
                for row in 0..<rows {
                    (target + row * width * 4).copyMemory(from: from + row * columns * width, byteCount: width * 4)
                }
            }
        }
        let rowBytes = width * format.size
        for number in 0..<columns {
            let target = column(number)
            guard let order else {
                put(states + number * width, rows: patches, to: target)
                continue
            }
            for patch in 0..<patches {
                put(
                    states + (patch * columns + Int(order[patch * columns + number])) * width, rows: 1,
                    to: target + patch * rowBytes)
            }
        }
    }

    func download(_ rows: Rows, to values: UnsafeMutablePointer<Float>) {
        for row in 0..<rows.count {
            (values + row * rows.width).update(from: start(rows) + row * rows.stride, count: rows.width)
        }
    }

    func upload(_ values: UnsafePointer<Float>, to rows: Rows) {
        for row in 0..<rows.count {
            (start(rows) + row * rows.stride).update(from: values + row * rows.width, count: rows.width)
        }
    }

    func round(_ rows: Rows, to format: RowFormat) {
        guard format == .bf16 else { return }
        let (width, stride) = (rows.width, rows.stride)
        // Through a few rows of scratch, which has room for as many halves as floats.
        normalised.start.withMemoryRebound(to: UInt16.self, capacity: 2 * normalised.count) { scratch in
            inGroups(rows.count) { first, count in
                let x = start(rows) + first * stride
                kernels.pointee.bf16_from_f32(x, Int64(stride), Int64(count), Int64(width), scratch, Int64(width))
                kernels.pointee.f32_from_bf16(scratch, Int64(width), Int64(count), Int64(width), x, Int64(stride))
            }
        }
    }

    func zero(_ rows: Rows) {
        if rows.isContiguous {
            start(rows).update(repeating: 0, count: rows.count * rows.width)
            return
        }
        for row in 0..<rows.count { (start(rows) + row * rows.stride).update(repeating: 0, count: rows.width) }
    }

    func copy(_ rows: Rows, to target: Rows) {
        precondition(rows.count == target.count && rows.width == target.width)
        if rows.isContiguous && target.isContiguous {
            start(target).update(from: start(rows), count: rows.count * rows.width)
            return
        }
        for row in 0..<rows.count {
            (start(target) + row * target.stride).update(from: start(rows) + row * rows.stride, count: rows.width)
        }
    }

    func firstAbove(_ limit: UInt32, in rows: Rows) -> Int? {
        precondition(rows.isContiguous)
        let index = bbp_first_above_f32(start(rows), Int64(rows.count * rows.width), limit)
        return index < 0 ? nil : Int(index)
    }

    // MARK: Row by row

    func normalise(_ x: Rows, _ norm: any Norm, into u: Rows) {
        precondition(x.isContiguous && u.isContiguous && u.count >= x.count)
        normalise(start(x), rows: x.count, width: x.width, norm, into: start(u))
    }

    private func normalise(
        _ x: UnsafePointer<Float>, rows: Int, width: Int, _ norm: any Norm, into u: UnsafeMutablePointer<Float>
    ) {
        let norm = unsafeDowncast(norm, to: HostNorm.self)
        precondition(norm.weight.count == width)
        kernels.pointee.layer_norm(
            x, norm.weight.start, norm.bias.start, norm.epsilon, Int64(rows), Int64(width), u)
    }

    func product(_ x: Rows, _ matrix: any Matrix, adding addend: Rows?, activation: Activation?, into y: Rows) {
        let matrix = self.matrix(matrix)
        precondition(x.width == matrix.inputs && y.width == matrix.outputs && y.count >= x.count)
        precondition(addend?.isContiguous != false && (addend?.width ?? y.width) == y.width)
        matrix.multiply(
            start(x), stride: x.stride, rows: x.count, adding: addend.map { UnsafePointer(start($0)) },
            activation: activation, into: start(y), yStride: y.stride, kernels: kernels, scratch: halves)
    }

    func average(_ x: Rows, with y: Rows) {
        precondition(x.isContiguous && y.isContiguous && x.count == y.count && x.width == y.width)
        kernels.pointee.average(start(x), start(y), Int64(x.count * x.width))
    }

    func add(_ y: Rows, to x: Rows) {
        precondition(x.isContiguous && y.isContiguous && x.count == y.count && x.width == y.width)
        kernels.pointee.add(start(x), start(y), Int64(x.count * x.width))
    }

    func surprisal(
        _ states: Rows, _ norm: any Norm, _ matrix: any Matrix, targets: UnsafePointer<UInt16>,
        bits: UnsafeMutablePointer<Float>
    ) {
        let (matrix, x) = (self.matrix(matrix), start(states))
        precondition(states.isContiguous && states.width == matrix.inputs && logits.count > 0)
        inGroups(states.count) { first, rows in
            normalise(x + first * states.width, rows: rows, width: states.width, norm, into: normalised.start)
            matrix.multiply(normalised.start, rows: rows, into: logits.start, kernels: kernels, scratch: halves)
            kernels.pointee.surprisal(
                logits.start, targets + first, Int64(rows), Int64(matrix.outputs), bits + first)
        }
    }

    func rotate(_ x: Rows, first: Int, heads: Int, by tables: RotationTables) {
        precondition(x.width == heads * tables.headSize && rotationScratch.count > 0)
        withUnsafePointer(to: tables.tables) {
            kernels.pointee.rotate(
                $0, Int64(first), Int64(x.count), start(x), Int64(x.stride), Int64(heads), rotationScratch.start)
        }
    }

    func apply(_ function: RowFunction, to x: Rows) {
        precondition(x.isContiguous)
        kernels.pointee.apply(function.kernel, start(x), Int64(x.count * x.width))
    }

    func gateHeads(_ x: Rows, heads: Int, weight: RowWeights?, epsilon: Float, gate: HeadGate) {
        let (size, gates) = (x.width / heads, gate.rows)
        precondition(x.isContiguous && size * heads == x.width)
        precondition(gates.map { $0.isContiguous && $0.count >= x.count && $0.width == x.width } ?? true)
        precondition(weight.map { $0.count == size || $0.count == x.width } ?? true)
        kernels.pointee.gate_heads(
            start(x), gate.kernel, gates.map { UnsafePointer(start($0)) }, Int64(x.count), Int64(heads), Int64(size),
            weight?.start, weight?.count == size ? 0 : Int64(size), epsilon, start(x))
    }

    func divideHeads(_ x: Rows, heads: Int, epsilon: Float, into y: Rows) {
        let size = y.width / heads
        precondition(y.width == heads * size && x.width == heads * (size + 1) && y.count >= x.count)
        for row in 0..<x.count {
            for head in 0..<heads {
                let values = start(x) + row * x.stride + head * (size + 1)
                let target = start(y) + row * y.stride + head * size
                let divisor = values[size] + epsilon
                for value in 0..<size { target[value] = values[value] / divisor }
            }
        }
    }

    func multiply(_ x: Rows, by y: Rows) {
        precondition(x.isContiguous && y.isContiguous && y.count >= x.count && y.width == x.width)
        kernels.pointee.multiply(start(x), start(y), Int64(x.count * x.width))
    }

    func blend(_ a: Rows, with b: Rows, share: RowWeights?, plus: Rows?, into out: Rows) {
        precondition(
            [a, b, plus ?? a, out].allSatisfy { $0.isContiguous && $0.count >= a.count && $0.width == a.width })
        precondition(share?.count ?? a.width == a.width)
        kernels.pointee.blend(
            start(a), start(b), share?.start, plus.map { UnsafePointer(start($0)) }, Int64(a.count), Int64(a.width),
            start(out))
    }

    func normaliseHeads(_ x: Rows, heads: Int, weight: RowWeights, bias: RowWeights, epsilon: Float) {
        precondition(x.isContiguous && x.width % heads == 0 && weight.count == x.width && bias.count == x.width)
        kernels.pointee.norm_heads(
            start(x), weight.start, bias.start, epsilon, Int64(x.count), Int64(heads), Int64(x.width / heads), start(x))
    }

    func addHeadProducts(_ a: Rows, _ b: Rows, heads: Int, weight: RowWeights, times v: Rows, to x: Rows) {
        precondition([a, b, v, x].allSatisfy { $0.isContiguous && $0.count >= x.count && $0.width == x.width })
        precondition(x.width % heads == 0 && weight.count == x.width)
        kernels.pointee.add_head_products(
            start(a), start(b), weight.start, start(v), Int64(x.count), Int64(heads), Int64(x.width / heads), start(x))
    }

    // MARK: Across rows

    func attend(
        _ plan: AttentionPlan, heads: AttentionHeads, queries: Rows, keysValues: Rows, distances: DistanceTable?,
        into outputs: [Rows]
    ) {
        precondition(distances.map { $0.heads == heads.count && $0.headSize == heads.size } ?? true)
        let (query, context) = (UnsafePointer(start(queries)), UnsafePointer(start(keysValues)))
        let (queryStride, contextStride) = (queries.stride, keysValues.stride)
        let targets = outputs.map { (start: start($0), stride: $0.stride, count: $0.count) }
        for group in plan.contexts where !group.queries.isEmpty {
            for (place, row) in group.rows.enumerated() {
                contextRows[place] = context + Int(plan.rows[row]) * contextStride
            }
            for (place, row) in group.queries.enumerated() {
                let target = targets[Int(plan.target[row])]
                queryRows[place] = query + Int(plan.query[row]) * queryStride
                outputRows[place] = target.start + Int(plan.output[row]) * target.stride
            }
            let from = plan.isFirstSeen ? nil : UnsafePointer(plan.from.start + group.queries.lowerBound)
            func attend(_ distances: UnsafePointer<bbp_distances>?) {
                kernels.pointee.attend(
                    Int64(group.queries.count), queryRows.start, from, plan.to.start + group.queries.lowerBound,
                    outputRows.start, Int64(group.rows.count), contextRows.start, Int64(heads.count),
                    Int64(heads.group), Int64(heads.size), Int64(heads.valueOffset), heads.scale, distances,
                    Int64(group.distance), attentionScratch.start)
            }
            if let distances { withUnsafePointer(to: distances.table) { attend($0) } } else { attend(nil) }
        }
    }

    func convolve(_ s: Rows, _ weights: any ConvolutionWeights, into c: Rows) {
        let convolution = unsafeDowncast(weights, to: HostConvolution.self)
        let shape = convolution.shape
        precondition(s.isContiguous && c.isContiguous && s.width == shape.inputs && c.width == shape.outputs)
        precondition(s.count >= c.count + (shape.kernelSize - 1) * shape.dilation)
        shape.run(
            start(s), rows: c.count, weights: convolution.weights, scratch: convolutionScratch, into: start(c),
            kernels: kernels, halves: halves)
    }

    // MARK: In one go

    func project(_ x: Rows, _ norm: any Norm, _ products: [(matrix: any Matrix, into: Rows)]) {
        let (width, rows) = (x.width, start(x))
        precondition(x.isContiguous && CPULane.rowsAtOnce * width <= normalised.count)
        inGroups(x.count) { first, count in
            normalise(rows + first * width, rows: count, width: width, norm, into: normalised.start)
            for (matrix, y) in products {
                self.matrix(matrix).multiply(
                    normalised.start, rows: count, into: start(y) + first * y.stride, yStride: y.stride,
                    kernels: kernels, scratch: halves)
            }
        }
    }

    func residual(_ h: Rows, _ matrix: any Matrix, adding x: Rows, _ norm: any Norm, into s: Rows) {
        let matrix = self.matrix(matrix)
        let rows = h.count
        precondition(
            x.isContiguous && s.isContiguous && x.count >= rows && s.count >= rows
                && CPULane.rowsAtOnce * x.width <= mixed.count)
        let (width, x, h, s, hStride) = (x.width, start(x), start(h), start(s), h.stride)
        inGroups(rows) { first, count in
            matrix.multiply(
                h + first * hStride, stride: hStride, rows: count, adding: x + first * width, into: mixed.start,
                kernels: kernels, scratch: halves)
            normalise(mixed.start, rows: count, width: width, norm, into: s + first * width)
        }
    }

    func finish() {}
}

extension RowFunction {
    /// As the kernels call it.
    fileprivate var kernel: Int32 {
        switch self {
        case .tanh: Int32(BBP_TANH.rawValue)
        case .logistic: Int32(BBP_LOGISTIC.rawValue)
        case .silu: Int32(BBP_SILU.rawValue)
        case .eluPlusOne: Int32(BBP_ELU_PLUS_ONE.rawValue)
        case .loss: Int32(BBP_LOSS.rawValue)
        case .logisticLoss: Int32(BBP_LOGISTIC_LOSS.rawValue)
        }
    }
}

extension HeadGate {
    fileprivate var kernel: Int32 {
        switch self {
        case .none: Int32(BBP_NO_GATE.rawValue)
        case .linear: Int32(BBP_LINEAR_GATE.rawValue)
        case .silu: Int32(BBP_SILU_GATE.rawValue)
        }
    }
}
