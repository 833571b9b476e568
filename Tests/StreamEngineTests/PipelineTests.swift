import Glibc
import Support
import Synchronization
import Testing

/// Stages begin when what they follow is done, and not before.
@Suite("Pipeline") struct PipelineTests {
    private final class Log: Sendable {
        let entries = Locked<[Int]>([])
        func add(_ entry: Int) { entries.withLock { $0.append(entry) } }
    }

    @Test("every task runs once, after all tasks of the stages before", arguments: [1, 2, 5])
    func order(workers: Int) throws {
        let pipeline = try Pipeline(workers: workers)
        let log = Log()
        var chain: [Pipeline.Stage] = []
        for stage in 0..<50 {
            chain.append(
                pipeline.add(stage % 4, after: chain.suffix(2), lane: stage % 7 == 0 ? .writer : .cores) { _, task in
                    log.add(stage * 10 + task)
                })
        }
        try pipeline.drain()
        let entries = log.entries.withLock { $0 }
        #expect(entries.sorted() == (0..<50).flatMap { stage in (0..<stage % 4).map { stage * 10 + $0 } })
        // A stage follows the two before it, so stages are in order.
        #expect(entries.map { $0 / 10 } == entries.map { $0 / 10 }.sorted())
    }

    @Test("waiting for a stage waits for no other")
    func wait() throws {
        let pipeline = try Pipeline(workers: 2)
        let gate = Atomic<Bool>(false)
        let slow = pipeline.add { _, _ in while !gate.load(ordering: .acquiring) {} }
        let quick = pipeline.add { _, _ in }
        try pipeline.wait(for: quick)
        gate.store(true, ordering: .releasing)
        try pipeline.wait(for: slow)
        #expect(pipeline.times.working > 0)
    }

    private struct Failure: Error, Equatable { var task: Int }

    @Test("the first error is thrown, nothing after it runs, and nothing runs any more when it is thrown")
    func failure() throws {
        let pipeline = try Pipeline(workers: 3)
        let ran = Atomic<Int>(0)
        let failing = pipeline.add(8) { _, task in if task == 3 { throw Failure(task: task) } }
        let after = pipeline.add(after: [failing]) { _, _ in ran.add(1, ordering: .relaxed) }
        #expect(throws: Failure(task: 3)) { try pipeline.wait(for: after) }
        #expect(throws: Failure(task: 3)) { try pipeline.drain() }
        pipeline.add { _, _ in ran.add(1, ordering: .relaxed) }
        #expect(throws: Failure.self) { try pipeline.drain() }
        #expect(ran.load(ordering: .relaxed) == 0)
        // Once it is known, other work can go on.
        pipeline.recover()
        pipeline.add(5) { _, _ in ran.add(1, ordering: .relaxed) }
        try pipeline.drain()
        #expect(ran.load(ordering: .relaxed) == 5)
    }

    @Test("which error is thrown does not hang on which thread was quicker", arguments: [2, 3, 5])
    func firstFailure(workers: Int) throws {
        for lane in [Pipeline.Lane.cores, .writer] {
            let pipeline = try Pipeline(workers: workers)
            let failed = Atomic<Bool>(false)
            // It ends when the last one has failed, and what follows it fails after that.
            let slow = pipeline.add(lane: lane) { _, _ in while !failed.load(ordering: .acquiring) { usleep(100) } }
            let between = pipeline.add(3, after: [slow]) { _, task in if task > 0 { throw Failure(task: 10 + task) } }
            let follower = pipeline.add(after: [between]) { _, _ in throw Failure(task: 20) }
            let quick = pipeline.add { _, _ in
                failed.store(true, ordering: .releasing)
                throw Failure(task: 30)
            }
            #expect(throws: Failure(task: 11)) { try pipeline.wait(for: quick) }
            #expect(throws: Failure(task: 11)) { try pipeline.wait(for: follower) }
        }
    }

    @Test("work that is given up begins nothing more")
    func abandon() throws {
        let pipeline = try Pipeline(workers: 2)
        let ran = Atomic<Int>(0)
        let first = pipeline.add { _, _ in while ran.load(ordering: .relaxed) == 0 {} }
        pipeline.add(100, after: [first]) { _, _ in ran.add(1, ordering: .relaxed) }
        ran.store(1, ordering: .relaxed)
        pipeline.abandon()
        let now = ran.load(ordering: .relaxed)
        #expect(throws: Fault.self) { try pipeline.drain() }
        #expect(ran.load(ordering: .relaxed) == now)
    }
}
