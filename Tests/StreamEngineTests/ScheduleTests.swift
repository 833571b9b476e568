import Geometry
import Support
import TestSupport
import Testing

@testable import StreamEngine

/// The order of work, what each step reads, and what is kept of it.
@Suite("Schedule") struct ScheduleTests {
    private func schedule(
        tokens: Int, P: Int, source: Int, target: Int, windowBlocks: Int, runs: Int, isCausal: Bool = true,
        firstBlock: Int = 0
    ) throws -> LayerSchedule {
        let geometry = try #require(SequenceGeometry(tokens: tokens, patchSize: P))
        return LayerSchedule(
            geometry: geometry, source: BlockGrid(patches: geometry.patches, patchesPerBlock: source),
            target: BlockGrid(patches: geometry.patches, patchesPerBlock: target),
            isCausal: isCausal, windowPatches: windowBlocks * target, runsPerStep: runs, firstBlock: firstBlock)
    }

    private static let shapes = [
        (1000, 4, 8, 8, 2, 4), (1000, 4, 5, 8, 3, 1), (777, 5, 16, 4, 2, 3), (5000, 8, 32, 16, 4, 8),
        (5000, 8, 13, 16, 1, 2), (64, 8, 2, 2, 1, 8), (30, 8, 2, 1, 2, 3),
        // Fewer patches than twice the places in one, and windows narrower than the sequence.
        (200, 16, 3, 3, 1, 2), (400, 16, 4, 2, 3, 5), (300, 60, 1, 1, 2, 7), (3000, 64, 8, 4, 2, 9),
    ]

    @Test("steps read every row that their arithmetic touches", arguments: shapes, [true, false])
    func needs(shape: (Int, Int, Int, Int, Int, Int), isCausal: Bool) throws {
        let (tokens, P, source, target, windowBlocks, runs) = shape
        let schedule = try schedule(
            tokens: tokens, P: P, source: source, target: target, windowBlocks: windowBlocks, runs: runs,
            isCausal: isCausal)
        let geometry = schedule.geometry
        for window in schedule.windows {
            let patches = schedule.patches(ofWindow: window)
            for step in schedule.steps(ofWindow: window) {
                var held = Set<Int>()
                for need in schedule.needs(of: step) {
                    for column in need.columns { held.insert(need.block * P + column) }
                }
                func has(_ token: Int) -> Bool { held.contains(token / P / source * P + token % P) }
                switch step {
                case .hosts(_, let group):
                    for index in schedule.columns(ofGroup: group) {
                        for patch in patches {
                            let asking = patch * P + index
                            let host = geometry.slot(ofToken: asking) / P
                            for token in host * P..<(host + 1) * P where token <= asking || !isCausal {
                                #expect(has(token), "host \(host) of \(asking)")
                            }
                            for slot in host * P..<(host + 1) * P
                            where geometry.token(inSlot: slot) <= asking || !isCausal {
                                #expect(has(geometry.token(inSlot: slot)))
                            }
                        }
                    }
                case .block(let block):
                    for patch in schedule.target.patches(ofBlock: block) {
                        for token in patch * P..<(patch + 1) * P { #expect(has(token)) }
                        for slot in patch * P..<(patch + 1) * P
                        where geometry.token(inSlot: slot) < (patch + 1) * P || !isCausal {
                            #expect(has(geometry.token(inSlot: slot)))
                        }
                    }
                }
            }
        }
    }

    @Test("steps come in the order of their times, and needs stay within what is planned for", arguments: shapes)
    func order(tokens: Int, P: Int, source: Int, target: Int, windowBlocks: Int, runs: Int) throws {
        let schedule = try schedule(
            tokens: tokens, P: P, source: source, target: target, windowBlocks: windowBlocks, runs: runs)
        let demand = ColumnDemand(
            geometry: schedule.geometry, source: schedule.source, target: schedule.target,
            windowPatches: schedule.windowPatches, rowBytes: 1, isOrdered: false)
        let steps = schedule.windows.flatMap { schedule.steps(ofWindow: $0) }
        let times = steps.map { schedule.time(of: $0) }
        #expect(zip(times, times.dropFirst()).allSatisfy { $0 < $1 })
        #expect(steps.count { if case .block = $0 { true } else { false } } == schedule.target.blocks)
        for step in steps {
            var held = Set<Int>()
            for need in schedule.needs(of: step) { for column in need.columns { held.insert(need.block * P + column) } }
            if case .block = step {
                #expect(held.count <= demand.block)
            } else {
                #expect(held.count <= demand.hosts(runs: runs))
            }
        }
    }

    @Test("the next use of a column is the next step that reads it, strays apart", arguments: shapes, [true, false])
    func nextUse(shape: (Int, Int, Int, Int, Int, Int), isCausal: Bool) throws {
        let (tokens, P, source, target, windowBlocks, runs) = shape
        let schedule = try schedule(
            tokens: tokens, P: P, source: source, target: target, windowBlocks: windowBlocks, runs: runs,
            isCausal: isCausal)
        let steps = schedule.windows.flatMap { schedule.steps(ofWindow: $0) }
        var uses: [Int: [Int]] = [:]
        for step in steps {
            for need in schedule.needs(of: step) {
                for column in need.columns {
                    uses[need.block * P + column, default: []].append(schedule.time(of: step))
                }
            }
        }
        var (exact, all) = (0, 0)
        for (key, times) in uses {
            for now in Set([-1] + times) {
                let known = schedule.nextUse(ofColumn: key % P, block: key / P, after: now)
                let real = times.filter { $0 > now }.min()
                all += 1
                if known == real { exact += 1 }
            }
        }
        // Strays make the few exceptions.
        #expect(Double(exact) > (schedule.geometry.patches < 2 * P ? 0.3 : 0.95) * Double(all), "\(exact) of \(all)")
    }

    @Test("index arithmetic holds at 2^50 tokens")
    func large() throws {
        let schedule = try schedule(tokens: 1 << 50, P: 32, source: 512, target: 512, windowBlocks: 4, runs: 32)
        let window = schedule.windows.upperBound - 1
        for step in schedule.steps(ofWindow: window) {
            let blocks = schedule.needs(of: step).map(\.block)
            #expect(blocks.allSatisfy { (0..<schedule.source.blocks).contains($0) })
        }
        let time = schedule.time(of: .block(schedule.target.blocks / 3))
        let next = try #require(schedule.nextUse(ofColumn: 31, block: schedule.source.blocks / 3, after: time))
        #expect(next > time && next <= schedule.time(of: .block(schedule.target.blocks - 1)))
    }

    // MARK: What is kept

    /// Columns read in a pass with `slots` slots, one step after another.
    private func reads(_ schedule: LayerSchedule, slots: Int, _ order: ColumnCache.Order) throws -> Int {
        let memory = try Memory<UInt8>(slots)
        let cache = try ColumnCache(memory.start, slots: slots, columnBytes: 1, schedule: schedule, order: order)
        var reads = 0
        for window in schedule.windows {
            for step in schedule.steps(ofWindow: window) {
                let needs = schedule.needs(of: step)
                let (columns, loads) = try #require(try cache.admit(needs))
                reads += loads.map(\.columns.count).reduce(0, +)
                // No two columns share a slot.
                #expect(Set(columns.held).count == columns.held.count)
                _ = cache.release(columns, at: schedule.time(of: step))
            }
        }
        return reads
    }

    @Test("columns kept by next use save reads that the least recently used would not: the figures of Schedule.md")
    func belady() throws {
        let schedule = try schedule(tokens: 1 << 18, P: 16, source: 32, target: 32, windowBlocks: 2, runs: 16)
        let all = schedule.source.blocks * 16
        func share(_ order: ColumnCache.Order, _ room: Double) throws -> Double {
            Double(try reads(schedule, slots: Int(room * Double(all)), order)) / Double(all)
        }
        for (room, known, unknown) in [(0.05, 1.61, 1.85), (0.1, 1.41, 1.67), (0.2, 1.19, 1.39), (0.4, 1, 1)] {
            let found = (try share(.latestNextUse, room), try share(.leastRecentlyUsed, room))
            #expect(abs(found.0 - known) < 0.02 && abs(found.1 - unknown) < 0.02, "\(room): \(found.0) \(found.1)")
        }
        #expect(try share(.latestNextUse, 1) < 1.001)
    }

    @Test("the order of work respects its one rule, and a wrong order is seen to break it")
    func workOrder() {
        #expect(WorkOrder.layerByLayer(1...4, windows: 5).isSound(firstLayer: 1, windows: 5))
        #expect(WorkOrder.layerByLayer(2...4, windows: 5, firstWindow: 3).isSound(firstLayer: 2, done: 3, windows: 5))
        #expect(
            Array(WorkOrder.layerByLayer(2...3, windows: 3, firstWindow: 1)).map { [$0.layer, $0.window] } == [
                [2, 1], [2, 2], [3, 0], [3, 1], [3, 2],
            ])
        // Two layers a window is right too; a layer ahead of the one below is not.
        let together = (0..<5).flatMap { window in [1, 2].map { WorkOrder.Task(layer: $0, window: window) } }
        #expect(WorkOrder(AnySequence(together)).isSound(firstLayer: 1, windows: 5))
        #expect(!WorkOrder(AnySequence(together.reversed())).isSound(firstLayer: 1, windows: 5))
        #expect(
            !WorkOrder(
                AnySequence([
                    WorkOrder.Task(layer: 1, window: 0), WorkOrder.Task(layer: 2, window: 0),
                    WorkOrder.Task(layer: 2, window: 1),
                ])
            ).isSound(firstLayer: 1, windows: 2))
    }
}
