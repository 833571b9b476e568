extension CheckedLane {
    func scanSelectively(
        _ x: Rows, steps: Rows, entering: Rows, leaving: Rows, gates: Rows, by rates: SelectionRates, first: Int,
        state: Rows
    ) {
        ask("scanSelectively") { operation in
            let channels = x.width
            try operation.demand(
                first >= 0 && first + channels <= rates.channels,
                "channels \(first) to \(first + channels) of \(rates.channels)")
            try operation.demand(
                [steps, gates].allSatisfy { $0.count >= x.count && $0.width == channels }
                    && [entering, leaving].allSatisfy { $0.count >= x.count && $0.width == rates.states }
                    && entering.stride == leaving.stride,
                "\(x.count) x \(channels) values with steps of \(steps.count) x \(steps.width), gates of "
                    + "\(gates.count) x \(gates.width), states entered by \(entering.count) x \(entering.width) and "
                    + "left by \(leaving.count) x \(leaving.width)")
            try operation.demand(
                state.width == channels && state.count == 2 * rates.states,
                "a state of \(state.count) x \(state.width) values for \(rates.states) of \(channels) channels")
            let rows = 0..<x.count
            let values = try operation.updates(x, "x")
            let steps = try operation.reads(steps[rows], "steps")
            let entering = try operation.reads(entering[rows], "entering")
            let leaving = try operation.reads(leaving[rows], "leaving")
            let gates = try operation.reads(gates[rows], "gates")
            let states = try operation.updates(state, "state")
            return {
                $0.scanSelectively(
                    values, steps: steps, entering: entering, leaving: leaving, gates: gates, by: rates, first: first,
                    state: states)
            }
        }
    }

    func scanModes(_ x: Rows, by modes: ModeTables, first: Int, activation: Activation?, state: Rows) {
        ask("scanModes") { operation in
            try operation.demand(
                first >= 0 && first + x.width <= modes.channels,
                "channels \(first) to \(first + x.width) of \(modes.channels)")
            try operation.demand(
                state.width == 2 * x.width && state.count == 2 * modes.modes && state.offset % 2 == 0
                    && state.stride % 2 == 0,
                "a state of \(state.count) x \(state.width) values from value \(state.offset) on for "
                    + "\(modes.modes) of \(x.width) channels")
            let values = try operation.updates(x, "x")
            let states = try operation.updates(state, "state")
            return { $0.scanModes(values, by: modes, first: first, activation: activation, state: states) }
        }
    }

    func gateHalves(_ x: Rows, adding start: Rows, into y: Rows) {
        ask("gateHalves") { operation in
            try operation.demand(
                x.width == 2 * y.width && start.width == y.width && start.count >= x.count && y.count >= x.count,
                "\(y.count) x \(y.width) values from \(x.count) x \(x.width), added to \(start.count) x "
                    + "\(start.width)")
            let source = try operation.reads(x, "x")
            let (from, to) = try operation.maps(start[0..<x.count], "start", to: y, "y", isContiguous: false)
            return { $0.gateHalves(source, adding: from, into: to) }
        }
    }
}
