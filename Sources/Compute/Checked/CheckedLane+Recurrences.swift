import CKernels
import Support

extension CheckedLane {
    func multiply(_ x: Rows, by y: Rows) {
        ask("multiply") { operation in
            try operation.demandRows(of: x, y)
            let product = try operation.updates(x, "x", isContiguous: true)
            let factor = try operation.reads(y[0..<x.count], "y", isContiguous: true)
            return { $0.multiply(product, by: factor) }
        }
    }

    func blend(_ a: Rows, with b: Rows, share: RowWeights?, plus: Rows?, into out: Rows) {
        ask("blend") { operation in
            try operation.demandRows(of: a, b, plus ?? a, out)
            try operation.demandWeights(share, of: a)
            let other = try operation.reads(b[0..<a.count], "b", isContiguous: true)
            let added = try plus.map { try operation.reads($0[0..<a.count], "plus", isContiguous: true) }
            let (from, target) = try operation.maps(a, "a", to: out, "out")
            let copy = try share.map(operation.copy)
            return { $0.blend(from, with: other, share: copy, plus: added, into: target) }
        }
    }

    func normaliseHeads(_ x: Rows, heads: Int, weight: RowWeights, bias: RowWeights, epsilon: Float) {
        ask("normaliseHeads") { operation in
            try operation.demandHeads(heads, of: x)
            try operation.demandWeights(weight, of: x)
            try operation.demandWeights(bias, of: x)
            let values = try operation.updates(x, "x", isContiguous: true)
            let (weight, bias) = (try operation.copy(weight), try operation.copy(bias))
            return { $0.normaliseHeads(values, heads: heads, weight: weight, bias: bias, epsilon: epsilon) }
        }
    }

    func addHeadProducts(_ a: Rows, _ b: Rows, heads: Int, weight: RowWeights, times v: Rows, to x: Rows) {
        ask("addHeadProducts") { operation in
            try operation.demandHeads(heads, of: x)
            try operation.demandRows(of: x, a, b, v)
            try operation.demandWeights(weight, of: x)
            let sum = try operation.updates(x, "x", isContiguous: true)
            let factors = try [a, b, v].map { try operation.reads($0[0..<x.count], "factors", isContiguous: true) }
            let weight = try operation.copy(weight)
            return {
                $0.addHeadProducts(factors[0], factors[1], heads: heads, weight: weight, times: factors[2], to: sum)
            }
        }
    }

    func fade(queries: Rows, keys: Rows, losses: Rows, values: Rows, state: Rows, into outputs: Rows) {
        ask("fade") { operation in
            try operation.demandScan(queries, [keys, losses], values: values, state: state, outputs: outputs)
            let keyRows = try [queries, keys, losses].map { try operation.reads($0, "keys") }
            let v = try operation.reads(values, "values")
            let hostState = try operation.updates(state, "state")
            let target = try operation.writes(outputs, "outputs")
            return {
                $0.fade(
                    queries: keyRows[0], keys: keyRows[1], losses: keyRows[2], values: v, state: hostState, into: target
                )
            }
        }
    }

    func directKeys(
        _ keys: Rows, rates: Rows, heads: Int, scale: RowWeights, share: RowWeights, into directions: Rows
    ) {
        ask("directKeys") { operation in
            try operation.demandHeads(heads, of: keys)
            try operation.demandRows(of: keys, rates, directions)
            try operation.demandWeights(scale, of: keys)
            try operation.demandWeights(share, of: keys)
            let k = try operation.updates(keys, "keys", isContiguous: true)
            let a = try operation.updates(rates[0..<keys.count], "rates", isContiguous: true)
            let target = try operation.writes(directions[0..<keys.count], "directions", isContiguous: true)
            let (scale, share) = (try operation.copy(scale), try operation.copy(share))
            return { $0.directKeys(k, rates: a, heads: heads, scale: scale, share: share, into: target) }
        }
    }

    func fadeAndCorrect(
        queries: Rows, keys: Rows, losses: Rows, directions: Rows, backs: Rows, values: Rows, state: Rows,
        into outputs: Rows
    ) {
        ask("fadeAndCorrect") { operation in
            try operation.demandScan(
                queries, [keys, losses, directions, backs], values: values, state: state, outputs: outputs)
            let keyRows = try [queries, keys, losses, directions, backs].map { try operation.reads($0, "keys") }
            let v = try operation.reads(values, "values")
            let hostState = try operation.updates(state, "state")
            let target = try operation.writes(outputs, "outputs")
            return {
                $0.fadeAndCorrect(
                    queries: keyRows[0], keys: keyRows[1], losses: keyRows[2], directions: keyRows[3],
                    backs: keyRows[4], values: v, state: hostState, into: target)
            }
        }
    }
}

extension CheckedOperation {
    /// Refuses what is no scan over rows.
    fileprivate func demandScan(_ queries: Rows, _ alike: [Rows], values: Rows, state: Rows, outputs: Rows) throws {
        for rows in alike { try demandRows(of: queries, isExact: true, rows) }
        try demandRows(of: values, isExact: true, outputs)
        try demand(
            queries.count <= 1 || alike.allSatisfy { $0.stride == queries.stride },
            "keys, losses and queries are not equally far apart")
        try demand(
            values.count == queries.count && state.count == queries.width && state.width == values.width,
            "a state of \(state.count) x \(state.width) values for \(queries.count) rows of \(queries.width) keys "
                + "and \(values.count) of \(values.width) values")
    }

    /// Refuses rows that are not as wide as `rows`, or fewer; or where it is to be exact, more.
    fileprivate func demandRows(of rows: Rows, isExact: Bool = false, _ others: Rows...) throws {
        for other in others {
            try demand(
                other.width == rows.width && (isExact ? other.count == rows.count : other.count >= rows.count),
                "\(other.count) x \(other.width) values for \(rows.count) x \(rows.width)")
        }
    }

    fileprivate func demandHeads(_ heads: Int, of x: Rows) throws {
        try demand(heads > 0 && x.width % heads == 0, "\(x.width) values are not \(heads) heads")
    }

    fileprivate func demandWeights(_ weights: RowWeights?, of x: Rows) throws {
        guard let weights else { return }
        try demand(weights.count == x.width, "\(weights.count) weights for rows of \(x.width)")
    }

    /// Weights as they are now.
    func copy(_ weights: RowWeights) throws -> RowWeights {
        let copy = try RowWeights(weights.count)
        copy.start.update(from: weights.start, count: weights.count)
        return copy
    }
}
