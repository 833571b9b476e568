import CKernels
import Support

/// Operations across rows that take a state along.
extension CPULane {
    // MARK: Fixed decays

    /// Chunks of rows: the first row of each, and how many.
    private func chunks(_ rows: Int, of length: Int, _ body: (_ chunk: Int, _ first: Int, _ count: Int) -> Void) {
        for (chunk, first) in stride(from: 0, to: rows, by: length).enumerated() {
            body(chunk, first, min(length, rows - first))
        }
    }

    func retain(keys: Rows, values: Rows, decay: DecayTables, into deltas: Rows) {
        let (dk, dv) = (decay.keySize, decay.valueSize)
        precondition(keys.width == decay.heads * dk && values.width == decay.heads * dv && deltas.isContiguous)
        precondition(
            deltas.width == dv && deltas.count >= decay.chunks(keys.count) * decay.heads * dk)
        chunks(keys.count, of: decay.chunk) { chunk, first, count in
            for head in 0..<decay.heads {
                kernels.pointee.retention_delta(
                    start(keys) + first * keys.stride + head * dk, Int64(keys.stride),
                    start(values) + first * values.stride + head * dv, Int64(values.stride), Int64(count), Int64(dk),
                    Int64(dv), decay.powers(ofHead: head), start(deltas) + (chunk * decay.heads + head) * dk * dv)
            }
        }
    }

    func scan(_ deltas: Rows, rows: Int, head: Int, decay: DecayTables, state: Rows) {
        let (dk, dv) = (decay.keySize, decay.valueSize)
        precondition(deltas.isContiguous && state.isContiguous && state.width == 2 * dv)
        precondition(state.offset % 2 == 0 && state.count == decay.heads * dk)
        chunks(rows, of: decay.chunk) { chunk, _, count in
            fold(
                deltas, chunk * decay.heads + head, head: head, keySize: dk, valueSize: dv,
                factor: decay.decay(ofHead: head, rows: count), state: state)
        }
    }

    /// Takes one chunk of a head up in its state, and leaves the state before it there.
    private func fold(
        _ deltas: Rows, _ place: Int, head: Int, keySize dk: Int, valueSize dv: Int, factor: Double, state: Rows
    ) {
        precondition(deltas.isContiguous && state.isContiguous && state.width == 2 * dv && state.offset % 2 == 0)
        precondition(deltas.count >= (place + 1) * dk && state.count >= (head + 1) * dk)
        let delta = start(deltas) + place * dk * dv
        (start(state) + head * dk * 2 * dv).withMemoryRebound(to: Double.self, capacity: dk * dv) { sums in
            for value in 0..<dk * dv {
                let before = sums[value]
                sums[value] = factor * before + Double(delta[value])
                delta[value] = Float(before)
            }
        }
    }

    func recall(queries: Rows, keys: Rows, values: Rows, decay: DecayTables, states: Rows, into outputs: Rows) {
        let (dk, dv) = (decay.keySize, decay.valueSize)
        precondition(queries.count == keys.count && outputs.count >= keys.count && states.isContiguous)
        chunks(keys.count, of: decay.chunk) { chunk, first, count in
            for head in 0..<decay.heads {
                kernels.pointee.retention_output(
                    start(queries) + first * queries.stride + head * dk, Int64(queries.stride),
                    start(keys) + first * keys.stride + head * dk, Int64(keys.stride),
                    start(values) + first * values.stride + head * dv, Int64(values.stride), Int64(count), Int64(dk),
                    Int64(dv), decay.powers(ofHead: head),
                    start(states) + (chunk * decay.heads + head) * dk * dv,
                    start(outputs) + first * outputs.stride + head * dv, Int64(outputs.stride),
                    recurrenceScratch.start)
            }
        }
    }

    // MARK: Decays of their own

    func convolveChannels(_ x: Rows, _ filter: ChannelFilter, from first: Int, into y: Rows) {
        precondition(first >= 0 && first + x.width <= filter.channels && y.width == x.width)
        precondition(x.count >= y.count + filter.taps - 1)
        kernels.pointee.convolve_channels(
            start(x), Int64(x.stride), Int64(y.count), Int64(x.width), Int64(filter.taps),
            filter.weight.start + first, Int64(filter.channels), filter.bias.start + first, start(y), Int64(y.stride))
    }

    func measure(_ dt: Rows, _ decays: RowDecays, into kept: Rows) {
        precondition(dt.width == decays.heads && kept.isContiguous && kept.width == decays.width)
        precondition(kept.count >= decays.chunks(dt.count) * decays.heads)
        chunks(dt.count, of: decays.chunk) { chunk, first, count in
            decays.measure(
                start(dt) + first * dt.stride, stride: dt.stride, rows: count,
                into: start(kept) + chunk * decays.heads * decays.width)
        }
    }

    func retain(keys: Rows, values: Rows, head: Int, decays: RowDecays, kept: Rows, into deltas: Rows) {
        let (dk, dv) = (decays.keySize, decays.valueSize)
        precondition(keys.width == dk && values.width == dv && values.count >= keys.count && deltas.isContiguous)
        precondition(deltas.width == dv && deltas.count >= decays.chunks(keys.count) * decays.heads * dk)
        precondition(kept.isContiguous && decayScratch.count >= decays.chunk)
        chunks(keys.count, of: decays.chunk) { chunk, first, count in
            let place = chunk * decays.heads + head
            decays.after(start(kept) + place * decays.width, rows: count, into: decayScratch.start)
            kernels.pointee.retention_delta(
                start(keys) + first * keys.stride, Int64(keys.stride), start(values) + first * values.stride,
                Int64(values.stride), Int64(count), Int64(dk), Int64(dv), decayScratch.start,
                start(deltas) + place * dk * dv)
        }
    }

    func scan(_ deltas: Rows, rows: Int, head: Int, decays: RowDecays, kept: Rows, state: Rows) {
        chunks(rows, of: decays.chunk) { chunk, _, count in
            let place = chunk * decays.heads + head
            fold(
                deltas, place, head: head, keySize: decays.keySize, valueSize: decays.valueSize,
                factor: decays.decay(start(kept) + place * decays.width, rows: count), state: state)
        }
    }

    func recall(
        queries: Rows, keys: Rows, values: Rows, decays: RowDecays, kept: Rows, states: Rows, into outputs: Rows
    ) {
        let (dk, dv) = (decays.keySize, decays.valueSize)
        precondition(queries.count == keys.count && outputs.count >= keys.count && states.isContiguous)
        precondition(decayScratch.count >= decays.chunk * (Int(BBP_RETENTION_ROWS) + 1))
        let before = decayScratch.start, factors = before + decays.chunk
        chunks(keys.count, of: decays.chunk) { chunk, first, count in
            for head in 0..<decays.heads {
                let (place, group) = (chunk * decays.heads + head, decays.group(ofHead: head))
                let own = UnsafePointer(start(kept) + place * decays.width)
                decays.before(own, rows: count, into: before)
                kernels.pointee.decay_factors(
                    own, own + decays.chunk, own + 2 * decays.chunk, Int64(count), factors)
                kernels.pointee.chunk_output(
                    start(queries) + first * queries.stride + group * dk, Int64(queries.stride),
                    start(keys) + first * keys.stride + group * dk, Int64(keys.stride),
                    start(values) + first * values.stride + head * dv, Int64(values.stride), Int64(count), Int64(dk),
                    Int64(dv), before, factors, start(states) + place * dk * dv,
                    start(outputs) + first * outputs.stride + head * dv, Int64(outputs.stride),
                    recurrenceScratch.start)
            }
        }
    }

    func addHeads(_ y: Rows, weights: RowWeights, gate: Rows, to x: Rows) {
        let size = x.width / weights.count
        precondition(x.width == weights.count * size && y.width == x.width && gate.width == x.width)
        precondition(y.count >= x.count && gate.count >= x.count)
        for row in 0..<x.count {
            for head in 0..<weights.count {
                let sum = start(x) + row * x.stride + head * size
                let other = start(y) + row * y.stride + head * size
                let gates = start(gate) + row * gate.stride + head * size
                let weight = weights[head]
                for value in 0..<size { sum[value] = (sum[value] + weight * other[value]) * gates[value] }
            }
        }
    }

    // MARK: Row by row

    func fade(queries: Rows, keys: Rows, losses: Rows, values: Rows, state: Rows, into outputs: Rows) {
        let (rows, keySize, valueSize) = (queries.count, queries.width, values.width)
        precondition([keys, losses].allSatisfy { $0.count == rows && $0.width == keySize })
        precondition([keys, losses].allSatisfy { $0.stride == queries.stride || rows <= 1 })
        precondition([values, outputs].allSatisfy { $0.count == rows && $0.width == valueSize })
        precondition(state.count == keySize && state.width == valueSize)
        kernels.pointee.fading_scan(
            start(queries), start(keys), start(losses), Int64(queries.stride), start(values), Int64(values.stride),
            Int64(rows), Int64(keySize), Int64(valueSize), start(state), Int64(state.stride), start(outputs),
            Int64(outputs.stride))
    }

    func directKeys(
        _ keys: Rows, rates: Rows, heads: Int, scale: RowWeights, share: RowWeights, into directions: Rows
    ) {
        let width = keys.width
        precondition([keys, rates, directions].allSatisfy { $0.isContiguous && $0.count >= keys.count })
        precondition(rates.width == width && directions.width == width && width % heads == 0)
        precondition(scale.count == width && share.count == width)
        kernels.pointee.delta_keys(
            start(keys), start(rates), scale.start, share.start, Int64(keys.count), Int64(heads), Int64(width / heads),
            start(directions))
    }

    func fadeAndCorrect(
        queries: Rows, keys: Rows, losses: Rows, directions: Rows, backs: Rows, values: Rows, state: Rows,
        into outputs: Rows
    ) {
        let (rows, keySize, valueSize) = (queries.count, queries.width, values.width)
        let alike = [keys, losses, directions, backs]
        precondition(alike.allSatisfy { $0.count == rows && $0.width == keySize })
        precondition(alike.allSatisfy { $0.stride == queries.stride || rows <= 1 })
        precondition([values, outputs].allSatisfy { $0.count == rows && $0.width == valueSize })
        precondition(state.count == keySize && state.width == valueSize)
        kernels.pointee.delta_scan(
            start(queries), start(keys), start(losses), start(directions), start(backs), Int64(queries.stride),
            start(values), Int64(values.stride), Int64(rows), Int64(keySize), Int64(valueSize), start(state),
            Int64(state.stride), start(outputs), Int64(outputs.stride))
    }

    func scanSelectively(
        _ x: Rows, steps: Rows, entering: Rows, leaving: Rows, gates: Rows, by rates: SelectionRates, first: Int,
        state: Rows
    ) {
        precondition(first >= 0 && first + x.width <= rates.channels && steps.width == x.width)
        precondition(gates.width == x.width && state.width == x.width && state.count == 2 * rates.states)
        precondition(entering.width == rates.states && leaving.width == rates.states)
        precondition(entering.stride == leaving.stride && leaving.count >= x.count && entering.count >= x.count)
        precondition(steps.count >= x.count && gates.count >= x.count)
        withUnsafePointer(to: rates.table) {
            kernels.pointee.selective_scan(
                $0, Int64(first), Int64(x.width), start(steps), Int64(steps.stride), start(entering), start(leaving),
                Int64(entering.stride), start(gates), Int64(gates.stride), Int64(x.count), start(state),
                Int64(state.stride), start(x), Int64(x.stride))
        }
    }

    func scanModes(_ x: Rows, by modes: ModeTables, first: Int, activation: Activation?, state: Rows) {
        precondition(first >= 0 && first + x.width <= modes.channels && state.count == 2 * modes.modes)
        precondition(state.width == 2 * x.width && state.offset % 2 == 0 && state.stride % 2 == 0)
        withUnsafePointer(to: modes.table) { table in
            let values = max(0, (state.count - 1) * state.stride + state.width)
            start(state).withMemoryRebound(to: Double.self, capacity: values / 2) { sums in
                kernels.pointee.modal_scan(
                    table, Int64(first), Int64(x.width),
                    activation?.kernel ?? Int32(BBP_NO_ACTIVATION.rawValue), Int64(x.count), sums,
                    Int64(state.stride / 2), start(x), Int64(x.stride))
            }
        }
    }

    func gateHalves(_ x: Rows, adding addend: Rows, into y: Rows) {
        precondition(x.width == 2 * y.width && addend.width == y.width && addend.count >= x.count && y.count >= x.count)
        kernels.pointee.gate_halves(
            start(x), Int64(x.stride), Int64(x.count), Int64(y.width), start(addend), Int64(addend.stride), start(y),
            Int64(y.stride))
    }
}
