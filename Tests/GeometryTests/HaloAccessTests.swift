import Testing

@testable import Geometry

/// What windows with rows around them read, held against a list of all steps.
struct HaloAccessTests {
    struct Case: CustomTestStringConvertible {
        var (tokens, P, T, source, W, before, after): (Int, Int, Int, Int, Int, Int, Int)
        var shard: Range<Int>?
        var testDescription: String { "\(tokens) in \(P), T \(T) of \(source), W \(W), \(before) and \(after)" }
    }

    static let cases = [
        Case(tokens: 1000, P: 4, T: 6, source: 6, W: 12, before: 3, after: 3),
        Case(tokens: 999, P: 7, T: 5, source: 8, W: 5, before: 20, after: 20),
        Case(tokens: 1003, P: 3, T: 8, source: 3, W: 24, before: 1, after: 0),
        Case(tokens: 40, P: 4, T: 16, source: 16, W: 16, before: 100, after: 100),
        Case(tokens: 1000, P: 4, T: 6, source: 6, W: 12, before: 9, after: 9, shard: 7..<21),
        Case(tokens: 500, P: 1, T: 10, source: 64, W: 30, before: 45, after: 45),
    ]

    private func plan(_ each: Case, _ access: HaloAccess) throws -> WindowPlan {
        let geometry = try #require(SequenceGeometry(tokens: each.tokens, patchSize: each.P))
        let shape = WindowShape(
            geometry: geometry, source: BlockGrid(patches: geometry.patches, patchesPerBlock: each.source),
            target: BlockGrid(patches: geometry.patches, patchesPerBlock: each.T), windowPatches: each.W)
        return WindowPlan(shape, parts: access.parts(shape, slots: 0), shard: each.shard)
    }

    @Test("A window gathers the patches around it, each once, and its blocks read their own", arguments: cases)
    func reads(each: Case) throws {
        let access = HaloAccess(before: each.before, after: each.after)
        let plan = try plan(each, access)
        let demand = access.demand(plan.shape)
        for window in plan.windows {
            let own = plan.patches(ofWindow: window)
            let parts = (0..<plan.parts).map { access.patches(ofPart: $0, ofWindow: window, of: plan) }
            let wanted = max(0, own.lowerBound - each.before)..<min(plan.geometry.patches, own.upperBound + each.after)
            #expect(parts.flatMap { Array($0) } == Array(wanted))
            for step in plan.steps(ofWindow: window) {
                let runs = access.reads(step, of: plan)
                let patches: Range<Int> =
                    switch step {
                    case .gather(_, let part): parts[part]
                    case .block(let block): plan.target.patches(ofBlock: block)
                    }
                #expect(runs.map(\.block) == Array(plan.source.blocks(of: patches)))
                #expect(runs.allSatisfy { $0.columns == 0..<each.P })
                #expect(runs.count * each.P <= demand.least)
            }
        }
        #expect(demand.least <= demand.comfortable && demand.comfortable <= plan.shape.allColumns)
    }

    @Test("When a block is read next is what the steps say", arguments: cases)
    func nextUse(each: Case) throws {
        let access = HaloAccess(before: each.before, after: each.after)
        let plan = try plan(each, access)
        var uses: [Int: [Int]] = [:]
        for step in plan.windows.flatMap(plan.steps) {
            for run in access.reads(step, of: plan) { uses[run.block, default: []].append(plan.time(of: step)) }
        }
        let last = plan.windows.flatMap(plan.steps).map(plan.time).max() ?? 0
        for (block, times) in uses {
            for time in -1...last + 1 {
                let found = access.nextUse(ofColumn: each.P - 1, block: block, after: time, in: plan)
                #expect(found == times.filter { $0 > time }.min(), "block \(block) after \(time)")
            }
        }
    }

    @Test("Far beyond 2^42 rows")
    func far() throws {
        let access = HaloAccess(before: 1000, after: 1000)
        let each = Case(tokens: 1 << 50, P: 16, T: 4096, source: 4096, W: 8192, before: 1000, after: 1000)
        let plan = try plan(each, access)
        let window = plan.windows.upperBound / 2
        let parts = (0..<plan.parts).map { access.patches(ofPart: $0, ofWindow: window, of: plan) }
        #expect(parts[0] == window * 8192 - 1000..<window * 8192 && parts[1].count == 4096)
        let block = window * 2
        let first = plan.time(of: .gather(window: window - 1, part: 3))
        #expect(access.nextUse(ofColumn: 0, block: block, after: first - 1, in: plan) == first)
        #expect(
            access.nextUse(ofColumn: 0, block: block, after: first, in: plan)
                == plan.time(of: .gather(window: window, part: 1)))
    }
}
