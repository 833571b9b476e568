/// A lane that does in steps what others do in one go. What those compute is tested against it.
package protocol SteppedLane: Lane {
    /// Rows of the lane's own for what an operation keeps between its steps: `count` of them or fewer, until it asks
    /// again; none where `LaneNeeds` did not ask for rows so wide.
    func between(_ count: Int, width: Int) -> Rows
}

extension SteppedLane {
    package func project(_ x: Rows, _ norm: any Norm, _ products: [(matrix: any Matrix, into: Rows)]) {
        var first = 0
        while first < x.count {
            let u = between(x.count - first, width: x.width)
            if u.count == 0 { return }
            let rows = first..<first + u.count
            normalise(x[rows], norm, into: u)
            for (matrix, y) in products {
                // Where y is too short, the product says so.
                product(u, matrix, adding: nil, activation: nil, into: y[rows.clamped(to: 0..<y.count)])
            }
            first = rows.upperBound
        }
    }

    package func residual(_ h: Rows, _ matrix: any Matrix, adding x: Rows, _ norm: any Norm, into s: Rows) {
        product(h, matrix, adding: x, activation: nil, into: s)
        let sum = s[0..<min(h.count, s.count)]
        normalise(sum, norm, into: sum)
    }
}
