import Glibc
import Synchronization

/// A fixed set of threads that run the tasks of one loop at a time.
///
/// The caller is worker 0. Tasks are handed out in order; who runs which one never changes a result, because a
/// task writes only what belongs to it.
public final class WorkerPool {
    public var workers: Int { team.workers }
    // Threads hold the team, not the pool: so the pool can go, and sends them home when it does.
    private let team: Team

    /// - Parameter onStart: run once in every thread before its first task.
    public init(workers: Int, onStart: @escaping @Sendable () -> Void = {}) throws {
        team = try Team(workers: workers, onStart: onStart)
    }

    deinit { team.close() }

    /// Runs `body(worker, task)` for every task below `count` and returns when all are done.
    ///
    /// - Throws: the error of the lowest failing task; tasks not yet begun are then left out.
    public func run(_ count: Int, _ body: (_ worker: Int, _ task: Int) throws -> Void) throws {
        try team.run(count, body)
    }
}

/// The threads of a pool and what they share.
private final class Team: @unchecked Sendable {
    let workers: Int
    private var threads: [pthread_t] = []
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let wake = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private let done = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    // Guarded by `mutex`.
    private var loop: Loop?
    private var generation = 0
    private var busy = 0
    private var closing = false

    /// One parallel loop: the tasks still to hand out and the first error by task order.
    private final class Loop: @unchecked Sendable {
        let count: Int
        // Taken away when the loop ends: a thread may let go of the loop later, but the closure must not outlive it.
        var body: ((_ worker: Int, _ task: Int) throws -> Void)?
        let next = Atomic<Int>(0)
        let failure = Mutex<(task: Int, error: any Error)?>(nil)

        init(count: Int, body: @escaping (Int, Int) throws -> Void) {
            self.count = count
            self.body = body
        }

        @inline(never) func run(worker: Int) {
            guard let body else { return }
            while true {
                let task = next.wrappingAdd(1, ordering: .relaxed).oldValue
                if task >= count { return }
                do {
                    try body(worker, task)
                } catch {
                    failure.withLock { if task < ($0?.task ?? Int.max) { $0 = (task, error) } }
                    next.store(count, ordering: .relaxed)
                }
            }
        }
    }

    init(workers: Int, onStart: @escaping @Sendable () -> Void) throws {
        self.workers = max(1, workers)
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(wake, nil)
        pthread_cond_init(done, nil)
        onStart()
        for worker in 1..<max(1, workers) {
            var thread = pthread_t()
            let start = Unmanaged.passRetained(ThreadStart(team: self, worker: worker, onStart: onStart))
            let status = pthread_create(&thread, nil, { argument in
                guard let argument else { return nil }
                let start = Unmanaged<ThreadStart>.fromOpaque(argument).takeRetainedValue()
                start.onStart()
                start.team.serve(start.worker)
                return nil
            }, start.toOpaque())
            guard status == 0 else {
                start.release()
                close()
                throw Fault(.inputOutput, "cannot start thread \(worker) of \(workers): \(String(cString: strerror(status)))", advice: "Lower --threads.")
            }
            threads.append(thread)
        }
    }

    private final class ThreadStart: Sendable {
        let team: Team
        let worker: Int
        let onStart: @Sendable () -> Void
        init(team: Team, worker: Int, onStart: @escaping @Sendable () -> Void) {
            self.team = team
            self.worker = worker
            self.onStart = onStart
        }
    }

    deinit {
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(wake)
        pthread_cond_destroy(done)
        mutex.deallocate()
        wake.deallocate()
        done.deallocate()
    }

    func close() {
        pthread_mutex_lock(mutex)
        closing = true
        pthread_cond_broadcast(wake)
        pthread_mutex_unlock(mutex)
        for thread in threads { pthread_join(thread, nil) }
        threads = []
    }

    private func serve(_ worker: Int) {
        var seen = 0
        while true {
            pthread_mutex_lock(mutex)
            while generation == seen && !closing { pthread_cond_wait(wake, mutex) }
            if closing {
                pthread_mutex_unlock(mutex)
                return
            }
            seen = generation
            let current = loop
            pthread_mutex_unlock(mutex)
            current?.run(worker: worker)
            pthread_mutex_lock(mutex)
            busy -= 1
            if busy == 0 { pthread_cond_signal(done) }
            pthread_mutex_unlock(mutex)
        }
    }

    func run(_ count: Int, _ body: (_ worker: Int, _ task: Int) throws -> Void) throws {
        if count <= 0 { return }
        if threads.isEmpty || count == 1 {
            for task in 0..<count { try body(0, task) }
            return
        }
        try withoutActuallyEscaping(body) { body in
            let current = Loop(count: count, body: body)
            pthread_mutex_lock(mutex)
            loop = current
            generation += 1
            busy = threads.count
            pthread_cond_broadcast(wake)
            pthread_mutex_unlock(mutex)
            current.run(worker: 0)
            pthread_mutex_lock(mutex)
            while busy > 0 { pthread_cond_wait(done, mutex) }
            loop = nil
            current.body = nil
            pthread_mutex_unlock(mutex)
            if let failure = current.failure.withLock({ $0 }) { throw failure.error }
        }
    }
}
