import Glibc

/// Stages of parallel tasks on a fixed set of threads, each stage begun as soon as the stages it follows are done.
///
/// Tasks are handed out oldest stage first: what was added later fills the gaps of what was added earlier and never
/// delays it. Who runs a task, and when, never changes a result, because a task writes only what belongs to it.
/// Besides the cores' threads there is one for a writer, whose tasks wait for the disk and hold no core.
package final class Pipeline {
    package enum Lane: Sendable {
        /// Any worker takes any task.
        case cores
        /// One thread takes all tasks, in order.
        case writer
    }

    /// A number of tasks that may run at once.
    package final class Stage: @unchecked Sendable {
        fileprivate let name: String
        fileprivate let number: Int
        fileprivate let count: Int
        fileprivate let lane: Lane
        // Guarded by the crew's mutex.
        fileprivate var body: (@Sendable (_ worker: Int, _ task: Int) throws -> Void)?
        fileprivate var next = 0
        fileprivate var finished = 0
        fileprivate var before = 0
        fileprivate var followers: [Stage] = []
        fileprivate var isDone = false

        fileprivate init(
            name: String, number: Int, count: Int, lane: Lane, body: @escaping @Sendable (Int, Int) throws -> Void
        ) {
            self.name = name
            self.number = number
            self.count = count
            self.lane = lane
            self.body = body
        }
    }

    /// Seconds that threads spent, added up over the threads.
    package struct Times: Sendable {
        /// Workers in tasks.
        package var working = 0.0
        /// Workers without a task while the writer had one.
        package var waitingForWriter = 0.0
        /// Workers without a task otherwise.
        package var idle = 0.0
        /// The writer in tasks.
        package var writing = 0.0
        /// Workers in tasks, by the names of the stages.
        package var byStage: [String: Double] = [:]
    }

    package var workers: Int { crew.workers }
    // Threads hold the crew, not the pipeline: so the pipeline can go, and sends them home when it does.
    private let crew: Crew

    package init(workers: Int) throws { crew = try Crew(workers: workers) }

    deinit { crew.close() }

    /// Adds a stage of `count` tasks that begins when every stage of `after` is done.
    ///
    /// After a task has thrown, no later one is begun and every `wait` throws. Earlier ones, of this stage and of those
    /// added before it, are done all the same: so which error is thrown does not hang on which thread was quicker.
    ///
    /// What a task wrote is there for the tasks of the stages that follow, and for who has waited: the lock under which
    /// tasks are handed out says so to the memory.
    ///
    /// - Parameter name: what `Times.byStage` has its seconds under.
    @discardableResult
    package func add(
        _ count: Int = 1, named name: String = "other", after: [Stage] = [], lane: Lane = .cores,
        _ body: @escaping @Sendable (_ worker: Int, _ task: Int) throws -> Void
    ) -> Stage {
        crew.add(count, named: name, after: after, lane: lane, body)
    }

    /// Waits until `stage` is done.
    ///
    /// - Parameter tick: called about ten times a second meanwhile, with the share of the stage's tasks that are done.
    /// - Throws: the error of the first failing stage's first failing task, once no task runs any more.
    package func wait(for stage: Stage, tick: (Double) -> Void = { _ in }) throws {
        try crew.wait(until: { stage.isDone }) { tick(crew.share(of: stage)) }
    }

    /// Waits until every stage is done. Throws as `wait(for:)` does.
    package func drain() throws { try crew.wait(until: { self.crew.open == 0 }) {} }

    /// Begins no task any more and waits until none runs.
    package func abandon() { crew.abandon() }

    /// After an error was thrown: forgets it and the stages that it stopped, so that other work can be added.
    package func recover() { crew.recover() }

    package var times: Times { crew.currentTimes }
}

/// The threads of a pipeline and what they share.
private final class Crew: @unchecked Sendable {
    typealias Stage = Pipeline.Stage

    let workers: Int
    private var threads: [pthread_t] = []
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let work = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private let progress = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    // Guarded by `mutex`.
    private(set) var open = 0
    private var stages = 0
    private var pending: [Int: Stage] = [:]
    private var readyForCores: [Stage] = []
    private var readyForWriter: [Stage] = []
    private var running = 0
    private var isWriting = false
    private var failure: (stage: Int, task: Int, error: any Error)?
    private var isClosing = false
    private var times = Pipeline.Times()

    init(workers: Int) throws {
        self.workers = max(1, workers)
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(work, nil)
        // A clock that nobody sets.
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(progress, &attributes)
        pthread_condattr_destroy(&attributes)
        for worker in 0...max(1, workers) {
            let lane: Pipeline.Lane = worker == max(1, workers) ? .writer : .cores
            var thread = pthread_t()
            let start = Unmanaged.passRetained(ThreadStart { [self] in serve(worker, lane) })
            let status = pthread_create(
                &thread, nil,
                { argument in
                    guard let argument else { return nil }
                    Unmanaged<ThreadStart>.fromOpaque(argument).takeRetainedValue().body()
                    return nil
                }, start.toOpaque())
            guard status == 0 else {
                start.release()
                close()
                throw Fault(
                    .inputOutput,
                    "cannot start thread \(worker + 1) of \(workers + 1): \(String(cString: strerror(status)))",
                    remedies: [.fewerThreads])
            }
            threads.append(thread)
        }
    }

    private final class ThreadStart: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    deinit {
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(work)
        pthread_cond_destroy(progress)
        mutex.deallocate()
        work.deallocate()
        progress.deallocate()
    }

    func close() {
        pthread_mutex_lock(mutex)
        isClosing = true
        failure = failure ?? (Int.max, 0, Fault(.interrupted, "the work was given up"))
        drop(from: 0)
        pthread_cond_broadcast(work)
        pthread_mutex_unlock(mutex)
        for thread in threads { pthread_join(thread, nil) }
        threads = []
    }

    private func locked<R>(_ body: () throws -> R) rethrows -> R {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body()
    }

    var currentTimes: Pipeline.Times { locked { times } }

    func share(of stage: Stage) -> Double {
        locked { stage.count > 0 ? Double(stage.finished) / Double(stage.count) : 1 }
    }

    func add(
        _ count: Int, named name: String, after: [Stage], lane: Pipeline.Lane,
        _ body: @escaping @Sendable (Int, Int) throws -> Void
    ) -> Stage {
        locked {
            let stage = Stage(name: name, number: stages, count: count, lane: lane, body: body)
            stages += 1
            if failure != nil { return stage }
            open += 1
            pending[stage.number] = stage
            for earlier in after where !earlier.isDone {
                earlier.followers.append(stage)
                stage.before += 1
            }
            if stage.before == 0 { release(stage) }
            return stage
        }
    }

    /// `stage` may begin.
    private func release(_ stage: Stage) {
        if stage.count <= 0 { return finish(stage) }
        switch stage.lane {
        case .cores:
            readyForCores.insert(
                stage, at: readyForCores.firstIndex { $0.number > stage.number } ?? readyForCores.endIndex)
        case .writer:
            readyForWriter.insert(
                stage, at: readyForWriter.firstIndex { $0.number > stage.number } ?? readyForWriter.endIndex)
        }
        pthread_cond_broadcast(work)
    }

    private func finish(_ stage: Stage) {
        stage.isDone = true
        stage.body = nil
        pending[stage.number] = nil
        open -= 1
        for follower in stage.followers {
            follower.before -= 1
            if follower.before == 0 && follower.body != nil { release(follower) }
        }
        stage.followers = []
        pthread_cond_broadcast(progress)
    }

    private func serve(_ worker: Int, _ lane: Pipeline.Lane) {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            guard let (stage, task) = take(lane) else {
                if isClosing { return }
                let since = seconds()
                let forWriter = isWriting
                let hasWork = open > 0
                pthread_cond_wait(work, mutex)
                if lane == .cores && hasWork {
                    if forWriter {
                        times.waitingForWriter += seconds() - since
                    } else {
                        times.idle += seconds() - since
                    }
                }
                continue
            }
            guard let body = stage.body else { continue }
            running += 1
            if lane == .writer { isWriting = true }
            pthread_mutex_unlock(mutex)
            let since = seconds()
            var thrown: (any Error)?
            do { try body(worker, task) } catch { thrown = error }
            let spent = seconds() - since
            pthread_mutex_lock(mutex)
            running -= 1
            if lane == .writer {
                isWriting = false
                times.writing += spent
            } else {
                times.working += spent
                times.byStage[stage.name, default: 0] += spent
            }
            if let thrown { fail(stage, task, thrown) }
            stage.finished += 1
            if stage.finished == stage.count { finish(stage) }
            if failure != nil { pthread_cond_broadcast(progress) }
        }
    }

    private func take(_ lane: Pipeline.Lane) -> (Stage, Int)? {
        guard let stage = lane == .cores ? readyForCores.first : readyForWriter.first else { return nil }
        stage.next += 1
        if stage.next == stage.count {
            if lane == .cores { readyForCores.removeFirst() } else { readyForWriter.removeFirst() }
        }
        return (stage, stage.next - 1)
    }

    private func fail(_ stage: Stage, _ task: Int, _ error: any Error) {
        if let known = failure, (known.stage, known.task) < (stage.number, task) { return }
        failure = (stage.number, task, error)
        drop(from: stage.number)
    }

    /// Nothing of stage `number` and those after it begins any more, and what would have run lets go of what it holds.
    private func drop(from number: Int) {
        readyForCores.removeAll { $0.number >= number }
        readyForWriter.removeAll { $0.number >= number }
        for stage in pending.values where stage.number >= number {
            stage.body = nil
            stage.followers = []
        }
    }

    /// Whether a task that may throw before the known failure is still to come.
    private var hasEarlier: Bool {
        guard let failure else { return false }
        return running > 0 || pending.keys.contains { $0 < failure.stage }
    }

    func abandon() {
        locked {
            failure = failure ?? (Int.max, 0, Fault(.interrupted, "the work was given up"))
            drop(from: 0)
            // Nobody waits for what was dropped.
            pending = [:]
            while running > 0 { waitBriefly() }
        }
    }

    func recover() {
        locked {
            while running > 0 { waitBriefly() }
            failure = nil
            pending = [:]
            open = 0
        }
    }

    func wait(until done: () -> Bool, tick: () -> Void) throws {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while !done() && failure == nil {
            waitBriefly()
            // Not under the lock: it may write to a slow terminal.
            pthread_mutex_unlock(mutex)
            tick()
            pthread_mutex_lock(mutex)
        }
        while hasEarlier { waitBriefly() }
        if let failure { throw failure.error }
    }

    private func waitBriefly() {
        var until = timespec()
        clock_gettime(CLOCK_MONOTONIC, &until)
        until.tv_nsec += 100_000_000
        if until.tv_nsec >= 1_000_000_000 {
            until.tv_sec += 1
            until.tv_nsec -= 1_000_000_000
        }
        pthread_cond_timedwait(progress, mutex, &until)
    }

    private func seconds() -> Double {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        return Double(now.tv_sec) + Double(now.tv_nsec) * 1e-9
    }
}
