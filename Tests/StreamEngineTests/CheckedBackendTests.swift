import Compute
import ProtonModel
import TestSupport
import Testing

@testable import PageStore
@testable import StreamEngine

/// The engine on a back end that does what it is asked as late as it may, and refuses what no device could do.
@Suite("Engine on the checked back end") struct CheckedBackendTests {
    typealias Cut = PassTests.Cut

    /// The bits of the CPU's plain kernels.
    private func check(_ name: String, state: Element, _ cuts: [(cut: Cut, isDivided: Bool)]) throws {
        let kernels = try CheckedBackend().kernels
        let whole = try PassTests.run(
            name, state: state, Cut(blockTiles: 4, resident: true, way: cuts[0].cut.way), on: CPUBackend(kernels))
        if state == .f32 { try PassTests.compare(whole, withReferenceOf: name) }
        for (cut, isDivided) in cuts {
            let backend = try CheckedBackend(isDivided: isDivided, isZeroed: true)
            let found = try PassTests.run(name, state: state, cut, on: backend)
            #expect(PassTests.same(found, as: whole), "\(cut), divided \(isDivided)")
            #expect(backend.isIdle, "\(cut), divided \(isDivided)")
        }
    }

    @Test(
        "every fixture: the reference's states, and the bits of the CPU's plain kernels for every cut",
        arguments: Fixtures.cases, [Element.f32, .bf16])
    func fixtures(name: String, state: Element) throws {
        try check(
            name, state: state,
            [
                (Cut(blockTiles: 2, overlap: .full, resident: true, once: true, threads: 2), false),
                (Cut(windowBlocks: 1, spare: 40, overlap: .full, threads: 3, isAllKept: false), false),
                (Cut(windowBlocks: 2, spare: 7, overlap: .full, threads: 2, isAllKept: false, stretchTiles: 1), true),
            ])
    }

    @Test(
        "convolutions through transforms too", arguments: ["ragged", "carlo", "recurrent-selective"],
        [Element.f32, .bf16])
    func transforms(name: String, state: Element) throws {
        try check(
            name, state: state,
            [
                (Cut(overlap: .full, resident: true, threads: 2, way: .fourier), false),
                (Cut(windowBlocks: 2, spare: 7, overlap: .full, threads: 2, way: .fourier), true),
            ])
    }
}
