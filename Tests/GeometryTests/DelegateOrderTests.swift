import Testing

@testable import Geometry

@Suite("Delegate order") struct DelegateOrderTests {
    private func order(_ draw: DelegateDraw, patch: Int, patchSize P: Int) -> [Int] {
        var keys = [UInt64](repeating: 0, count: P)
        var order = [UInt16](repeating: 0, count: P)
        keys.withUnsafeMutableBufferPointer { keys in
            order.withUnsafeMutableBufferPointer { draw.order(ofPatch: patch, keys: keys, into: $0.baseAddress!) }
        }
        return order.map(Int.init)
    }

    @Test("Philox4x64-10 gives the words of its authors' test vectors")
    func philox() {
        let pi = Philox.block(
            counter: (0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344, 0xa409_3822_299f_31d0, 0x082e_fa98_ec4e_6c89),
            key: (0x4528_21e6_38d0_1377, 0xbe54_66cf_34e9_0c6c))
        #expect(pi == (0xa528_f454_03e6_1d95, 0x38c7_2dbd_566e_9788, 0xa5a1_610e_72fd_18b5, 0x57bd_43b5_e52b_7fe6))
        let zero = Philox.block(counter: (0, 0, 0, 0), key: (0, 0))
        #expect(zero == (0x1655_4d9e_ca36_314c, 0xdb20_fe9d_672d_0fdc, 0xd7e7_72ce_e186_176b, 0x7e68_b68a_ec7b_a23b))
    }

    @Test(
        "orders are those that NumPy's Philox gives",
        arguments: [
            (0, 0, 0, 0, [0, 2, 1, 3]), (7, 3, 1, 123_456_789_012, [7, 4, 2, 5, 0, 1, 6, 3]),
            (
                UInt64(Int.max), 1, 0, 5,
                [
                    26, 28, 27, 7, 18, 10, 22, 19, 31, 8, 20, 5, 14, 25, 11, 30, 0, 15, 23, 24, 9, 29, 3, 21, 6, 13, 4,
                    12, 1, 2, 16, 17,
                ]
            ),
        ] as [(UInt64, Int, Int, Int, [Int])])
    func numpy(seed: UInt64, layer: Int, repeated: Int, patch: Int, expected: [Int]) {
        #expect(
            order(DelegateDraw(seed: seed, block: layer, repeat: repeated), patch: patch, patchSize: expected.count)
                == expected)
    }

    @Test(
        "every order is a permutation, and others for other patches, layers, repeats and seeds",
        arguments: [1, 2, 5, 32, 64, 65, 1024, 1025, 16_384])
    func permutations(patchSize: Int) {
        let draws = [
            DelegateDraw(seed: 1, block: 0, repeat: 0), DelegateDraw(seed: 2, block: 0, repeat: 0),
            DelegateDraw(seed: 1, block: 1, repeat: 0), DelegateDraw(seed: 1, block: 0, repeat: 1),
        ]
        let orders = draws.flatMap { draw in [0, 1, (1 << 61) - 1].map { order(draw, patch: $0, patchSize: patchSize) }
        }
        for order in orders { #expect(order.sorted() == Array(0..<patchSize)) }
        if patchSize >= 32 { #expect(Set(orders).count == orders.count) }
    }

    @Test("every token comes to every column about as often")
    func uniform() {
        let P = 8, patches = 8000
        var counts = [Int](repeating: 0, count: P * P)
        for patch in 0..<patches {
            for (column, token) in order(DelegateDraw(seed: 3, block: 2, repeat: 0), patch: patch, patchSize: P)
                .enumerated()
            { counts[token * P + column] += 1 }
        }
        // Five standard deviations of a binomial count.
        let mean = Double(patches) / Double(P)
        let deviation = (mean * (1 - 1 / Double(P))).squareRoot()
        #expect(counts.allSatisfy { abs(Double($0) - mean) < 5 * deviation })
    }

    @Test("scores: highest first, equal ones by index, no numbers last")
    func scores() {
        func order(_ scores: [Float]) -> [Int] {
            var keys = scores.enumerated().map { DelegateOrder.key(score: $1, index: $0) }
            var order = [UInt16](repeating: 0, count: scores.count)
            keys.withUnsafeMutableBufferPointer { keys in
                order.withUnsafeMutableBufferPointer { DelegateOrder.sort(keys, into: $0.baseAddress!) }
            }
            return order.map(Int.init)
        }
        #expect(order([0.5, -1, 2, 0.5, 3]) == [4, 2, 0, 3, 1])
        #expect(
            order([0, -0.0, .nan, -.infinity, 0, .infinity, -.nan, .leastNonzeroMagnitude, -.leastNonzeroMagnitude])
                == [5, 7, 0, 1, 4, 8, 3, 2, 6])
        #expect(
            order((0..<1000).map { Float($0 % 10) })
                == (0..<10).reversed().flatMap { digit in (0..<100).map { $0 * 10 + digit } })
    }
}
