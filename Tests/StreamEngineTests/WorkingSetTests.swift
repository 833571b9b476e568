import Geometry
import PageStore
import ProtonModel
import Support
import Testing

@testable import StreamEngine

@Suite("Working set") struct WorkingSetTests {
    private func needs(
        tokens: Int, P: Int = 32, D: Int = 64, layers: Int = 2, state: Element = .bf16,
        family: (inout ModelConfig) -> Void = { _ in }
    ) throws -> WorkingSetNeeds {
        let geometry = try #require(SequenceGeometry(tokens: tokens, patchSize: P))
        var config = ModelConfig(
            hiddenSize: D, intermediateSize: 2 * D, layers: layers, heads: 4, patchSize: P, kernelSize: 33)
        family(&config)
        return WorkingSetNeeds(
            geometry: geometry, config: config, state: state, threads: 2, arithmeticBytes: 4 << 20,
            outputValues: 1 << 16, weightBytes: 1 << 20, baseBytes: 16 << 20,
            tokenPatchesPerBlock: TokenWriter.patchesPerBlock(patchSize: P))
    }

    @Test(
        "stays within the budget, and the least that it names works",
        arguments: [
            (1, 32), (5000, 32), (1 << 26, 32), (1 << 42, 32), (1 << 50, 5), (1 << 30, 1), (20_000, 1024),
            (1 << 30, 1024), (300_000, 4096), (1 << 24, 4096), (1 << 34, 4096),
        ] as [(Int, Int)])
    func budgets(tokens: Int, P: Int) throws {
        let needs = try needs(tokens: tokens, P: P)
        var least = 0
        do {
            _ = try needs.choose(budget: 1 << 20)
            Issue.record("a budget of 1 MiB was accepted")
        } catch let fault as Fault {
            #expect(fault.kind == .usage)
            let named = try #require(fault.problem.split(separator: " ").last.flatMap { ByteCount.parse(String($0)) })
            least = named
        }
        var widest = 0
        for budget in [least, least + 1 << 20, 2 * least, 256 << 20, 2 << 30, 16 << 30] where budget >= least {
            let set = try needs.choose(budget: budget)
            #expect(set.totalBytes <= budget)
            #expect(
                set.patchesPerBlock % Tiling(patchSize: P).patchesPerTile == 0
                    && set.windowPatches % set.patchesPerBlock == 0 && set.stateSlots * P >= 0)
            widest = max(widest, set.windowPatches)
        }
        #expect(widest >= min(needs.geometry.patches, Tiling(patchSize: P).patchesPerTile * P))
    }

    @Test("a run that fits stays in memory; one that nearly fits keeps every column of one generation")
    func everything() throws {
        let needs = try needs(tokens: 1_000_000)
        let resident = try needs.choose(budget: 2 << 30)
        #expect(resident.isResident && resident.statesBytes >= needs.geometry.paddedTokens * 128)
        let next = try needs.choose(budget: 250 << 20)
        #expect(
            !next.isResident && next.stateSlots == needs.stateDemand(T: next.patchesPerBlock, W: next.windowPatches).all
        )
    }

    @Test(
        "where both generations are in memory, one of them has room for every column of the other's pages",
        arguments: [1, 1852, 5000, 33_333, 1_000_001], [8, 32, 128])
    func residentColumns(tokens: Int, P: Int) throws {
        let needs = try needs(tokens: tokens, P: P, D: 256)
        let set = try needs.choose(budget: 4 << 30)
        #expect(set.isResident)
        let demand = needs.stateDemand(T: set.patchesPerBlock, W: set.windowPatches)
        #expect(set.statesBytes / demand.columnBytes >= demand.all)
        let tokens = needs.tokenDemand(T: set.patchesPerBlock, W: set.windowPatches)
        #expect(set.statesBytes / tokens.columnBytes >= set.tokenSlots && set.tokenSlots >= tokens.least)
    }

    @Test(
        "a window holds what the one before it looks ahead to, and there are two of them",
        arguments: [5000, 1 << 20, 1 << 42])
    func lookingAhead(tokens: Int) throws {
        let needs = try needs(tokens: tokens) {
            $0.isCausal = false
            $0.stack = [ConvolutionShape(kernelSize: 9, dilation: 700, channels: 64)]
        }
        #expect(needs.config.reach == (2800, 2800))
        for budget in [64 << 20, 256 << 20, 4 << 30] {
            let set = try needs.choose(budget: budget)
            #expect(
                set.totalBytes <= budget
                    && (set.windowPatches >= needs.geometry.patches
                        || set.windowPatches * 32 >= 2800 && set.windowsInFlight == 2)
            )
        }
    }

    @Test("orders of tokens are planned for")
    func orders() throws {
        let plain = try needs(tokens: 1 << 20), ordered = try needs(tokens: 1 << 20) { $0.delegation = .selective }
        #expect(ordered.stateDemand(T: 96, W: 96).columnBytes == plain.stateDemand(T: 96, W: 96).columnBytes + 192)
        let set = try ordered.choose(budget: 2 << 30)
        #expect(set.isResident && set.parts.contains { $0.name == "orders of their tokens" && $0.bytes == 4 << 20 })
    }

    @Test("a begun run keeps its T")
    func fixedBlocks() throws {
        var needs = try needs(tokens: 1 << 26)
        needs.fixedPatchesPerBlock = 48
        #expect(try needs.choose(budget: 1 << 30).patchesPerBlock == 48)
    }
}
