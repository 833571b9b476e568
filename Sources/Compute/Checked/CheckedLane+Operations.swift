import CKernels
import Support

extension CheckedLane {
    // MARK: Rows in and out

    func load(_ pieces: [StoredRows], as format: RowFormat, into rows: Rows) {
        ask("load") { operation in
            let target = try operation.host(rows, "rows")
            let rowBytes = rows.width * format.size
            var isFilled = [Bool](repeating: false, count: rows.count)
            var bytes: [UInt8] = []
            let pieces = pieces.filter { $0.count > 0 }
            for piece in pieces {
                try operation.demand(piece.step > 0, "rows \(piece.step) apart")
                for row in stride(from: piece.first, to: piece.first + piece.count * piece.step, by: piece.step) {
                    try operation.demand(isFilled.indices.contains(row), "row \(row) of \(rows.count)")
                    try operation.demand(!isFilled[row], "row \(row) comes twice")
                    isFilled[row] = true
                }
                bytes.append(contentsOf: UnsafeRawBufferPointer(start: piece.bytes, count: piece.count * rowBytes))
            }
            operation.uses(rows, "rows", where: isFilled, isRead: false, isWrite: true)
            return { lane in
                bytes.withUnsafeBytes { bytes in
                    guard var next = bytes.baseAddress else { return }
                    let copies = pieces.map { piece in
                        defer { next += piece.count * rowBytes }
                        return StoredRows(next, count: piece.count, first: piece.first, step: piece.step)
                    }
                    lane.load(copies, as: format, into: target)
                }
            }
        }
    }

    func embed(
        _ ids: UnsafePointer<UInt16>, positions: UnsafePointer<Int64>, with table: any EmbeddingTable, into rows: Rows
    ) {
        ask("embed") { operation in
            let table = try operation.host(table, as: HostEmbedding.self)
            let x = try operation.writes(rows, "rows", isContiguous: true)
            try operation.demand(
                rows.width == table.width, "rows of \(rows.width) values for a codebook of \(table.width)")
            let ids = Array(UnsafeBufferPointer(start: ids, count: rows.count))
            let positions = Array(UnsafeBufferPointer(start: positions, count: rows.count))
            if let position = table.position {
                try operation.demand(rows.width, "rows", atMost: needs.width)
                let length = position.tables.length
                if let outside = positions.first(where: { !(0..<length).contains($0) }) {
                    throw operation.fault("position \(outside) of \(length)")
                }
            }
            return { $0.embed(ids, positions: positions, with: table, into: x) }
        }
    }

    func store(
        _ rows: Rows, columns: Int, order: UnsafePointer<UInt16>?, as format: RowFormat,
        to column: (Int) -> UnsafeMutableRawPointer
    ) {
        ask("store") { operation in
            let states = try operation.reads(rows, "rows", isContiguous: true)
            try operation.demand(
                columns > 0 && rows.count % columns == 0, "\(rows.count) rows are no patches of \(columns)")
            let order = order.map { Array(UnsafeBufferPointer(start: $0, count: rows.count)) }
            for patch in stride(from: 0, to: order?.count ?? 0, by: columns) {
                let places = Set((order ?? [])[patch..<patch + columns])
                try operation.demand(
                    places.count == columns && (places.max() ?? 0) < columns,
                    "the order of patch \(patch / columns) leaves out some of its rows")
            }
            let targets = (0..<columns).map(column)
            let bytes = rows.count / columns * rows.width * format.size
            for target in targets { Poison.fill(target, bytes: bytes) }
            return { lane in
                guard let order else {
                    return lane.store(states, columns: columns, order: nil, as: format) { targets[$0] }
                }
                lane.store(states, columns: columns, order: order, as: format) { targets[$0] }
            }
        }
    }

    func download(_ rows: Rows, to values: UnsafeMutablePointer<Float>) {
        ask("download") { operation in
            let source = try operation.reads(rows, "rows")
            Poison.fill(values, bytes: 4 * rows.count * rows.width)
            return { $0.download(source, to: values) }
        }
    }

    func upload(_ values: UnsafePointer<Float>, to rows: Rows) {
        ask("upload") { operation in
            let target = try operation.writes(rows, "rows")
            let values = Array(UnsafeBufferPointer(start: values, count: rows.count * rows.width))
            return { $0.upload(values, to: target) }
        }
    }

    func round(_ rows: Rows, to format: RowFormat) {
        ask("round") { operation in
            let x = try operation.updates(rows, "rows")
            try operation.demand(rows.width, "rows", atMost: needs.width)
            return { $0.round(x, to: format) }
        }
    }

    func zero(_ rows: Rows) {
        ask("zero") { operation in
            let x = try operation.writes(rows, "rows")
            return { $0.zero(x) }
        }
    }

    func copy(_ rows: Rows, to target: Rows) {
        ask("copy") { operation in
            try operation.demand(
                rows.count == target.count && rows.width == target.width,
                "\(rows.count) x \(rows.width) values to \(target.count) x \(target.width)")
            let source = try operation.reads(rows, "rows")
            // Rows of one role may overlap.
            let role = rows.isContiguous && target.isContiguous ? "rows" : "target rows"
            let target = try operation.writes(target, role)
            return { $0.copy(source, to: target) }
        }
    }

    func firstAbove(_ limit: UInt32, in rows: Rows) throws -> Int? {
        var found: Int?
        ask("firstAbove") { operation in
            let x = try operation.reads(rows, "rows", isContiguous: true)
            return { found = $0.firstAbove(limit, in: x) }
        }
        try finish()
        return found
    }

    // MARK: Row by row

    func normalise(_ x: Rows, _ norm: any Norm, into u: Rows) {
        ask("normalise") { operation in
            let norm = try operation.host(norm, as: HostNorm.self)
            try operation.demand(
                x.width == norm.weight.count && u.width == x.width && u.count >= x.count,
                "\(u.count) x \(u.width) values from \(x.count) x \(x.width) by a norm of \(norm.weight.count)")
            try operation.demand(x.width, "rows", atMost: needs.width)
            let (source, target) = try operation.maps(x, "x", to: u, "u")
            return { $0.normalise(source, norm, into: target) }
        }
    }

    func product(_ x: Rows, _ matrix: any Matrix, adding addend: Rows?, activation: Activation?, into y: Rows) {
        ask("product") { operation in
            let matrix = try operation.host(matrix, as: PreparedMatrix.self)
            try operation.demand(
                x.width == matrix.inputs && y.width == matrix.outputs && y.count >= x.count,
                "\(y.count) x \(y.width) values from \(x.count) x \(x.width) "
                    + "by \(matrix.inputs) x \(matrix.outputs) weights")
            try operation.demand(x.count > 1 ? x.stride : x.width, "rows", atMost: needs.inputs)
            let source = try operation.reads(x, "x")
            guard let addend else {
                let target = try operation.writes(y[0..<x.count], "y")
                return { $0.product(source, matrix, adding: nil, activation: activation, into: target) }
            }
            try operation.demand(
                addend.count >= x.count && addend.width == y.width,
                "\(addend.count) x \(addend.width) values added to \(x.count) x \(y.width)")
            try operation.demand(addend.isContiguous, "addend has gaps between its rows")
            let (added, target) = try operation.maps(addend[0..<x.count], "addend", to: y, "y", isContiguous: false)
            return { $0.product(source, matrix, adding: added, activation: activation, into: target) }
        }
    }

    func average(_ x: Rows, with y: Rows) {
        ask("average") { operation in
            let (mean, other) = try operation.joins(x, y)
            return { $0.average(mean, with: other) }
        }
    }

    func add(_ y: Rows, to x: Rows) {
        ask("add") { operation in
            let (sum, other) = try operation.joins(x, y)
            return { $0.add(other, to: sum) }
        }
    }

    func rotate(_ x: Rows, first: Int, heads: Int, by tables: RotationTables) {
        ask("rotate") { operation in
            try operation.demand(
                x.width == heads * tables.headSize, "\(x.width) values are not \(heads) heads of \(tables.headSize)")
            try operation.demand(first >= 0, "token \(first)")
            try operation.demand(tables.headSize, "rotated heads", atMost: needs.rotatedHead)
            let turned = try operation.updates(x, "x")
            return { $0.rotate(turned, first: first, heads: heads, by: tables) }
        }
    }

    func apply(_ function: RowFunction, to x: Rows) {
        ask("apply") { operation in
            let values = try operation.updates(x, "x", isContiguous: true)
            return { $0.apply(function, to: values) }
        }
    }

    func gateHeads(_ x: Rows, heads: Int, weight: RowWeights?, epsilon: Float, gate: HeadGate) {
        ask("gateHeads") { operation in
            try operation.demand(
                heads > 0 && x.width % heads == 0
                    && (weight.map { $0.count == x.width || $0.count * heads == x.width } ?? true),
                "\(x.width) values are not \(heads) heads of \(weight?.count ?? x.width / max(1, heads))")
            let gated = try operation.updates(x, "x", isContiguous: true)
            func gates(_ rows: Rows) throws -> Rows {
                try operation.demand(
                    rows.count >= x.count && rows.width == x.width,
                    "gates of \(rows.count) x \(rows.width) values for \(x.count) x \(x.width)")
                return try operation.reads(rows[0..<x.count], "gate", isContiguous: true)
            }
            let gate: HeadGate =
                switch gate {
                case .none: .none
                case .linear(let rows): .linear(try gates(rows))
                case .silu(let rows): .silu(try gates(rows))
                }
            let copy = try weight.map(operation.copy)
            return { $0.gateHeads(gated, heads: heads, weight: copy, epsilon: epsilon, gate: gate) }
        }
    }

    func divideHeads(_ x: Rows, heads: Int, epsilon: Float, into y: Rows) {
        ask("divideHeads") { operation in
            try operation.demand(
                heads > 0 && y.width % heads == 0 && x.width == y.width + heads && y.count >= x.count,
                "\(y.count) x \(y.width) values from \(x.count) x \(x.width) in \(heads) heads")
            let source = try operation.reads(x, "x")
            let target = try operation.writes(y[0..<x.count], "y")
            return { $0.divideHeads(source, heads: heads, epsilon: epsilon, into: target) }
        }
    }

    func surprisal(
        _ states: Rows, _ norm: any Norm, _ matrix: any Matrix, targets: UnsafePointer<UInt16>,
        bits: UnsafeMutablePointer<Float>
    ) {
        ask("surprisal") { operation in
            let norm = try operation.host(norm, as: HostNorm.self)
            let matrix = try operation.host(matrix, as: PreparedMatrix.self)
            try operation.demand(
                states.width == norm.weight.count && states.width == matrix.inputs,
                "states of \(states.width) values, a norm of \(norm.weight.count), weights of \(matrix.inputs)")
            try operation.demand(states.width, "rows", atMost: min(needs.width, needs.inputs))
            try operation.demand(matrix.outputs, "logits", atMost: needs.vocabulary)
            let x = try operation.reads(states, "states", isContiguous: true)
            let targets = Array(UnsafeBufferPointer(start: targets, count: states.count))
            if let outside = targets.first(where: { $0 >= matrix.outputs }) {
                throw operation.fault("target \(outside) of \(matrix.outputs)")
            }
            Poison.fill(bits, bytes: 4 * states.count)
            return { $0.surprisal(x, norm, matrix, targets: targets, bits: bits) }
        }
    }

    // MARK: Across rows

    func attend(
        _ plan: AttentionPlan, heads: AttentionHeads, queries: Rows, keysValues: Rows, distances: DistanceTable?,
        into outputs: [Rows]
    ) {
        ask("attend") { operation in
            let plan = try plan.copy()
            let (width, shared) = (heads.count * heads.size, heads.count / max(1, heads.group) * heads.size)
            try operation.demand(
                heads.count > 0 && heads.group > 0 && heads.count % heads.group == 0 && heads.size > 0
                    && queries.width == width && outputs.allSatisfy { $0.width == width }
                    && heads.valueOffset >= 0 && heads.valueOffset + shared <= keysValues.width
                    && shared <= keysValues.width,
                "\(heads) in queries of \(queries.width), keys and values of \(keysValues.width) "
                    + "and outputs of \(outputs.map(\.width)) values")
            try operation.demand(
                distances.map { $0.heads == heads.count && $0.headSize == heads.size } ?? true,
                "distances of \(distances?.heads ?? 0) heads of \(distances?.headSize ?? 0), \(heads)")
            try operation.demand(heads.size, "heads", atMost: needs.headSize)
            var isAsking = [Bool](repeating: false, count: queries.count)
            var isSeen = [Bool](repeating: false, count: keysValues.count)
            var isAnswer = outputs.map { [Bool](repeating: false, count: $0.count) }
            for context in plan.contexts {
                try operation.demand(context.rows.count, "a context", atMost: needs.contextRows)
                try operation.demand(context.queries.count, "queries", atMost: needs.queries)
                for place in context.rows {
                    let row = Int(plan.rows[place])
                    try operation.demand(isSeen.indices.contains(row), "context row \(row) of \(isSeen.count)")
                }
                var seen = 0..<0
                for place in context.queries {
                    let (row, target, output) = (
                        Int(plan.query[place]), Int(plan.target[place]), Int(plan.output[place])
                    )
                    let (from, to) = (Int(plan.from[place]), Int(plan.to[place]))
                    try operation.demand(isAsking.indices.contains(row), "query \(row) of \(isAsking.count)")
                    try operation.demand(outputs.indices.contains(target), "target \(target) of \(outputs.count)")
                    try operation.demand(
                        isAnswer[target].indices.contains(output), "output \(output) of \(isAnswer[target].count)")
                    try operation.demand(!isAnswer[target][output], "output \(output) is given twice")
                    try operation.demand(
                        from >= seen.lowerBound && to >= max(from, seen.upperBound) && to <= context.rows.count,
                        "a query sees \(from)..<\(to) of \(context.rows.count) rows, the one before it \(seen)")
                    if let distances {
                        let own = context.distance + place - context.queries.lowerBound
                        try operation.demand(
                            own - from < distances.count && own - to + 1 >= 0,
                            "distances \(own - to + 1) to \(own - from) of \(distances.count)")
                    }
                    // Each row is marked once.
                    for number in max(from, seen.upperBound)..<max(from, to) {
                        isSeen[Int(plan.rows[context.rows.lowerBound + number])] = true
                    }
                    seen = from..<to
                    isAsking[row] = true
                    isAnswer[target][output] = true
                }
            }
            let hostQueries = try operation.host(queries, "queries")
            let hostContext = try operation.host(keysValues, "keys and values")
            operation.uses(queries, "queries", where: isAsking, isRead: true, isWrite: false)
            for (role, first) in [("keys", 0), ("values", heads.valueOffset)] {
                operation.uses(
                    keysValues.columns(first..<first + shared), role, where: isSeen, isRead: true, isWrite: false)
            }
            let hostOutputs = try outputs.enumerated().map { target, rows in
                let role = "outputs of target \(target)"
                operation.uses(rows, role, where: isAnswer[target], isRead: false, isWrite: true)
                return try operation.host(rows, role)
            }
            return {
                $0.attend(
                    plan, heads: heads, queries: hostQueries, keysValues: hostContext, distances: distances,
                    into: hostOutputs)
            }
        }
    }

    func convolve(_ s: Rows, _ weights: any ConvolutionWeights, into c: Rows) {
        ask("convolve") { operation in
            let weights = try operation.host(weights, as: HostConvolution.self)
            let shape = weights.shape
            let seen = c.count + (shape.kernelSize - 1) * shape.dilation
            try operation.demand(
                s.width == shape.inputs && c.width == shape.outputs && s.count >= seen,
                "\(c.count) x \(c.width) values from \(s.count) x \(s.width) "
                    + "by \(shape.kernelSize) x \(shape.inputs) x \(shape.outputs) weights, \(shape.dilation) apart")
            let tiles = (c.count + shape.tileRows - 1) / shape.tileRows
            try operation.demand(shape.scratchValues(tiles: tiles), "scratch", atMost: needs.convolutionValues)
            try operation.demand(shape.halvesValues, "rounded scratch", atMost: needs.convolutionHalves)
            let source = try operation.reads(s[0..<(c.count == 0 ? 0 : seen)], "s", isContiguous: true)
            let target = try operation.writes(c, "c", isContiguous: true)
            return { $0.convolve(source, weights, into: target) }
        }
    }

    func retain(keys: Rows, values: Rows, decay: DecayTables, into deltas: Rows) {
        ask("retain") { operation in
            let count = decay.chunks(keys.count) * decay.heads * decay.keySize
            try operation.demand(
                keys.width == decay.heads * decay.keySize && values.width == decay.heads * decay.valueSize
                    && values.count >= keys.count && deltas.width == decay.valueSize && deltas.count >= count,
                "\(deltas.count) x \(deltas.width) values from keys of \(keys.count) x \(keys.width) "
                    + "and values of \(values.count) x \(values.width)")
            let k = try operation.reads(keys, "keys")
            let v = try operation.reads(values[0..<keys.count], "values")
            let target = try operation.writes(deltas[0..<count], "deltas", isContiguous: true)
            return { $0.retain(keys: k, values: v, decay: decay, into: target) }
        }
    }

    func scan(_ deltas: Rows, rows: Int, head: Int, decay: DecayTables, state: Rows) {
        ask("scan") { operation in
            let (heads, keys, chunks) = (decay.heads, decay.keySize, decay.chunks(rows))
            try operation.demand(
                (0..<heads).contains(head) && deltas.width == decay.valueSize
                    && deltas.count >= chunks * heads * keys,
                "head \(head) of \(heads) in \(deltas.count) x \(deltas.width) values")
            try operation.demand(
                state.width == 2 * decay.valueSize && state.count == heads * keys && state.offset % 2 == 0,
                "a state of \(state.count) x \(state.width) values from value \(state.offset) on")
            let hostDeltas = try operation.host(deltas, "deltas", isContiguous: true)
            let hostState = try operation.host(state, "state", isContiguous: true)
            // The head's part of every chunk.
            _ = try operation.updates(
                deltas.reshaped(chunks * heads, width: keys * decay.valueSize)
                    .spaced(first: head, count: chunks, step: heads), "deltas")
            _ = try operation.updates(state[head * keys..<(head + 1) * keys], "state")
            return { $0.scan(hostDeltas, rows: rows, head: head, decay: decay, state: hostState) }
        }
    }

    func recall(queries: Rows, keys: Rows, values: Rows, decay: DecayTables, states: Rows, into outputs: Rows) {
        ask("recall") { operation in
            let (keyWidth, valueWidth) = (decay.heads * decay.keySize, decay.heads * decay.valueSize)
            let count = decay.chunks(keys.count) * keyWidth
            try operation.demand(
                queries.count == keys.count && queries.width == keyWidth && keys.width == keyWidth
                    && values.count >= keys.count && values.width == valueWidth && outputs.count >= keys.count
                    && outputs.width == valueWidth && states.width == decay.valueSize && states.count >= count,
                "\(outputs.count) x \(outputs.width) values from queries of \(queries.count) x \(queries.width), "
                    + "keys of \(keys.count) x \(keys.width), values of \(values.count) x \(values.width), "
                    + "states of \(states.count) x \(states.width)")
            try operation.demand(decay.keySize, "keys", atMost: needs.recurrentKeys)
            let q = try operation.reads(queries, "queries")
            let k = try operation.reads(keys, "keys")
            let v = try operation.reads(values[0..<keys.count], "values")
            let before = try operation.reads(states[0..<count], "states", isContiguous: true)
            let target = try operation.writes(outputs[0..<keys.count], "outputs")
            return { $0.recall(queries: q, keys: k, values: v, decay: decay, states: before, into: target) }
        }
    }

    // MARK: Across rows, by decays of their own

    func convolveChannels(_ x: Rows, _ filter: ChannelFilter, from first: Int, into y: Rows) {
        ask("convolveChannels") { operation in
            try operation.demand(
                first >= 0 && first + x.width <= filter.channels && y.width == x.width
                    && x.count >= y.count + filter.taps - 1,
                "\(y.count) x \(y.width) values from \(x.count) x \(x.width) by channels from \(first) on of "
                    + "\(filter.taps) x \(filter.channels) weights")
            let source = try operation.reads(x[0..<(y.count == 0 ? 0 : y.count + filter.taps - 1)], "x")
            let target = try operation.writes(y, "y")
            return { $0.convolveChannels(source, filter, from: first, into: target) }
        }
    }

    func measure(_ dt: Rows, _ decays: RowDecays, into kept: Rows) {
        ask("measure") { operation in
            let count = decays.chunks(dt.count) * decays.heads
            try operation.demand(
                dt.width == decays.heads && kept.width == decays.width && kept.count >= count,
                "\(kept.count) x \(kept.width) values from \(dt.count) x \(dt.width), "
                    + "\(decays.heads) heads, chunks of \(decays.chunk)")
            let source = try operation.reads(dt, "dt")
            let target = try operation.writes(kept[0..<count], "kept", isContiguous: true)
            return { $0.measure(source, decays, into: target) }
        }
    }

    func retain(keys: Rows, values: Rows, head: Int, decays: RowDecays, kept: Rows, into deltas: Rows) {
        ask("retain by rows") { operation in
            let (places, size) = (decays.chunks(keys.count) * decays.heads, decays.keySize)
            try operation.demand(
                (0..<decays.heads).contains(head) && keys.width == size && values.width == decays.valueSize
                    && values.count >= keys.count && deltas.width == decays.valueSize && deltas.count >= places * size
                    && kept.width == decays.width && kept.count >= places,
                "head \(head) of \(decays.heads): \(deltas.count) x \(deltas.width) values from "
                    + "keys of \(keys.count) x \(keys.width), values of \(values.count) x \(values.width), "
                    + "kept \(kept.count) x \(kept.width)")
            try operation.demand(decays.chunk, "chunks", atMost: needs.decayRows)
            let k = try operation.reads(keys, "keys")
            let v = try operation.reads(values[0..<keys.count], "values")
            let hostKept = try operation.host(kept, "kept", isContiguous: true)
            _ = try operation.reads(kept[0..<places].every(decays.heads, from: head), "kept")
            let hostDeltas = try operation.host(deltas, "deltas", isContiguous: true)
            _ = try operation.writes(
                deltas.reshaped(places, width: size * decays.valueSize).every(decays.heads, from: head), "deltas")
            return { $0.retain(keys: k, values: v, head: head, decays: decays, kept: hostKept, into: hostDeltas) }
        }
    }

    func scan(_ deltas: Rows, rows: Int, head: Int, decays: RowDecays, kept: Rows, state: Rows) {
        ask("scan by rows") { operation in
            let (keys, places) = (decays.keySize, decays.chunks(rows) * decays.heads)
            try operation.demand(
                (0..<decays.heads).contains(head) && deltas.width == decays.valueSize
                    && deltas.count >= places * keys && kept.width == decays.width && kept.count >= places,
                "head \(head) of \(decays.heads) in \(deltas.count) x \(deltas.width) values, "
                    + "kept \(kept.count) x \(kept.width)")
            try operation.demand(
                state.width == 2 * decays.valueSize && state.count == decays.heads * keys && state.offset % 2 == 0,
                "a state of \(state.count) x \(state.width) values from value \(state.offset) on")
            let hostDeltas = try operation.host(deltas, "deltas", isContiguous: true)
            let hostState = try operation.host(state, "state", isContiguous: true)
            let hostKept = try operation.host(kept, "kept", isContiguous: true)
            _ = try operation.reads(kept[0..<places].every(decays.heads, from: head), "kept")
            _ = try operation.updates(
                deltas.reshaped(places, width: keys * decays.valueSize).every(decays.heads, from: head), "deltas")
            _ = try operation.updates(state[head * keys..<(head + 1) * keys], "state")
            return { $0.scan(hostDeltas, rows: rows, head: head, decays: decays, kept: hostKept, state: hostState) }
        }
    }

    func recall(
        queries: Rows, keys: Rows, values: Rows, decays: RowDecays, kept: Rows, states: Rows, into outputs: Rows
    ) {
        ask("recall by rows") { operation in
            let (keyWidth, valueWidth) = (decays.groups * decays.keySize, decays.heads * decays.valueSize)
            let places = decays.chunks(keys.count) * decays.heads
            try operation.demand(
                queries.count == keys.count && queries.width == keyWidth && keys.width == keyWidth
                    && values.count >= keys.count && values.width == valueWidth && outputs.count >= keys.count
                    && outputs.width == valueWidth && states.width == decays.valueSize
                    && states.count >= places * decays.keySize && kept.width == decays.width && kept.count >= places,
                "\(outputs.count) x \(outputs.width) values from queries of \(queries.count) x \(queries.width), "
                    + "keys of \(keys.count) x \(keys.width), values of \(values.count) x \(values.width), "
                    + "states of \(states.count) x \(states.width), kept \(kept.count) x \(kept.width)")
            try operation.demand(decays.keySize, "keys", atMost: needs.recurrentKeys)
            try operation.demand(decays.chunk, "chunks", atMost: needs.decayRows)
            let q = try operation.reads(queries, "queries")
            let k = try operation.reads(keys, "keys")
            let v = try operation.reads(values[0..<keys.count], "values")
            let measured = try operation.reads(kept[0..<places], "kept", isContiguous: true)
            let before = try operation.reads(states[0..<places * decays.keySize], "states", isContiguous: true)
            let target = try operation.writes(outputs[0..<keys.count], "outputs")
            return {
                $0.recall(
                    queries: q, keys: k, values: v, decays: decays, kept: measured, states: before, into: target)
            }
        }
    }

    func addHeads(_ y: Rows, weights: RowWeights, gate: Rows, to x: Rows) {
        ask("addHeads") { operation in
            try operation.demand(
                weights.count > 0 && x.width % weights.count == 0 && y.width == x.width && gate.width == x.width
                    && y.count >= x.count && gate.count >= x.count,
                "\(weights.count) heads of \(x.count) x \(x.width) values, \(y.count) x \(y.width) added, "
                    + "gates of \(gate.count) x \(gate.width)")
            let sum = try operation.updates(x, "x")
            let other = try operation.reads(y[0..<x.count], "y")
            let gates = try operation.reads(gate[0..<x.count], "gate")
            let copy = try operation.copy(weights)
            return { $0.addHeads(other, weights: copy, gate: gates, to: sum) }
        }
    }
}

extension Rows {
    /// Row `first` and every `step`-th one after it.
    fileprivate func every(_ step: Int, from first: Int) -> Rows {
        spaced(first: first, count: count > first ? (count - first + step - 1) / step : 0, step: step)
    }
}

extension CheckedOperation {
    /// Reads rows and writes others from them, which may be the same.
    mutating func maps(
        _ x: Rows, _ from: String, to y: Rows, _ to: String, isContiguous: Bool = true
    ) throws -> (Rows, Rows) {
        let y = y[0..<x.count]
        if x.isSame(as: y) {
            let rows = try updates(x, to, isContiguous: isContiguous)
            return (rows, rows)
        }
        return (
            try reads(x, from, isContiguous: isContiguous), try writes(y, to, isContiguous: isContiguous)
        )
    }

    /// Reads rows and updates as many others by them.
    fileprivate mutating func joins(_ x: Rows, _ y: Rows) throws -> (Rows, Rows) {
        try demand(
            x.count == y.count && x.width == y.width,
            "\(x.count) x \(x.width) values and \(y.count) x \(y.width)")
        return (try updates(x, "x", isContiguous: true), try reads(y, "y", isContiguous: true))
    }
}
