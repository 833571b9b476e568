import Glibc
import Support

/// Where the ranks of a process meet: messages that are under way, who waits for whom, and what stopped them.
///
/// Its lock is the C library's, which ThreadSanitizer knows.
final class Exchange: @unchecked Sendable {
    struct Address: Hashable {
        var from: Int
        var to: Int
        var tag: Tag

        var account: Account { Account(from: from, to: to, isCarry: tag.isCarry) }
    }

    /// What a credit is for.
    struct Account: Hashable {
        var from: Int
        var to: Int
        var isCarry: Bool
    }

    let count: Int
    let credit: Credit
    private let patience: Double
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let change = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    // Guarded by `mutex`.
    /// Not yet taken, the first pushed first.
    private var messages: [Address: [[UInt8]]] = [:]
    /// Pushed and not yet settled.
    private var underWay: [Account: (bytes: Int, messages: Int)] = [:]
    /// What ranks have come to that wait for the others to come there.
    private var points: [Int: String] = [:]
    private var agreements = 0
    private var failure: Fault?
    /// When every rank last began or ended a call, in monotonic seconds.
    private var lastSigns: [Double]
    /// Calls that wait: whose, and for which ranks.
    private var waits: [Int: (rank: Int, others: [Int])] = [:]
    private var waitsBegun = 0

    init(count: Int, credit: Credit, patience: Double) {
        self.count = count
        self.credit = credit
        self.patience = patience
        lastSigns = Array(repeating: Self.now, count: count)
        pthread_mutex_init(mutex, nil)
        // A clock that nobody sets.
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(change, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(change)
        mutex.deallocate()
        change.deallocate()
    }

    // MARK: Calls

    func push(_ message: [UInt8], _ address: Address) throws {
        guard message.count <= credit.bytes else {
            throw Fault(
                .usage,
                "\(address.tag) for rank \(address.to) takes \(message.count) bytes, and no more than \(credit.bytes) may be under way"
            )
        }
        try call(of: address.from) {
            let account = address.account
            try wait(as: address.from, for: { [address.to] }, to: "take what is under way") {
                let used = underWay[account] ?? (0, 0)
                return used.messages < credit.messages && used.bytes <= credit.bytes - message.count
            }
            let used = underWay[account] ?? (0, 0)
            underWay[account] = (used.bytes + message.count, used.messages + 1)
            messages[address, default: []].append(message)
        }
    }

    func take(_ address: Address) throws -> [UInt8] {
        try call(of: address.to) {
            try wait(as: address.to, for: { [address.from] }, to: "push \(address.tag)") { messages[address] != nil }
            var queue = messages.removeValue(forKey: address) ?? []
            let message = queue.removeFirst()
            if !queue.isEmpty { messages[address] = queue }
            return message
        }
    }

    /// What was taken is gone: its sender may push as much.
    func settle(_ bytes: Int, _ address: Address) {
        locked {
            lastSigns[address.to] = Self.now
            if let used = underWay[address.account] {
                underWay[address.account] = (used.bytes - bytes, used.messages - 1)
            }
            pthread_cond_broadcast(change)
        }
    }

    func agree(_ rank: Int, on point: String) throws {
        try call(of: rank) {
            points[rank] = point
            if points.values.contains(where: { $0 != point }) { stop(differentPoints()) }
            let number = agreements
            if points.count == count && failure == nil {
                points = [:]
                agreements += 1
            }
            let missing = { (0..<self.count).filter { self.points[$0] == nil } }
            try wait(as: rank, for: missing, to: "come to '\(point)'") { agreements > number }
        }
    }

    func fail(_ rank: Int, _ fault: Fault) {
        locked { stop(Fault(fault.kind, "rank \(rank): \(fault.problem)", at: fault.place, advice: fault.advice)) }
    }

    // MARK: Under the lock

    private func locked<R>(_ body: () throws -> R) rethrows -> R {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body()
    }

    /// A call of a rank: a sign of life when it begins and when it ends, and maybe what others wait for.
    private func call<R>(of rank: Int, _ body: () throws -> R) throws -> R {
        try locked {
            if let failure { throw failure }
            lastSigns[rank] = Self.now
            defer {
                lastSigns[rank] = Self.now
                pthread_cond_broadcast(change)
            }
            return try body()
        }
    }

    private func stop(_ fault: Fault) {
        failure = failure ?? fault
        pthread_cond_broadcast(change)
    }

    /// Waits, as `rank`, until `others` have done what it waits for. What they have done counts, whatever failed since.
    ///
    /// - Parameter purpose: what they have to do.
    private func wait(as rank: Int, for others: () -> [Int], to purpose: String, until isDone: () -> Bool) throws {
        let (number, began) = (waitsBegun, Self.now)
        waitsBegun += 1
        defer { waits[number] = nil }
        while !isDone() {
            if let failure { throw failure }
            waits[number] = (rank, others())
            let chain = chain(from: others())
            let silence = Self.now - chain.reduce(began) { max($0, lastSigns[$1]) }
            if silence < patience {
                sleep(patience - silence)
            } else {
                stop(muteness(of: chain, "\(Self.named(others())) to \(purpose)", rank))
            }
        }
    }

    /// `ranks`, the ranks that these wait for, and so on.
    private func chain(from ranks: [Int]) -> Set<Int> {
        var (found, new) = (Set<Int>(), ranks)
        while let rank = new.popLast() {
            guard found.insert(rank).inserted else { continue }
            for wait in waits.values where wait.rank == rank { new += wait.others }
        }
        return found
    }

    // MARK: What is said

    private func muteness(of chain: Set<Int>, _ purpose: String, _ rank: Int) -> Fault {
        let mute = chain.subtracting(waits.values.map(\.rank))
        let subject = mute.isEmpty ? "\(Self.named(chain)), which wait for each other," : Self.named(mute)
        return Fault(
            .interrupted, "nothing came from \(subject) for \(patience) s: rank \(rank) waits for \(purpose)",
            advice: "See what became of them, and start the same command again: it goes on from the last commits.")
    }

    private func differentPoints() -> Fault {
        let list = points.sorted { $0.key < $1.key }.map { "rank \($0.key) to '\($0.value)'" }
        return Fault(.badData, "ranks came to different points: \(list.joined(separator: ", "))")
    }

    private static func named(_ ranks: some Collection<Int>) -> String {
        (ranks.count == 1 ? "rank " : "ranks ") + ranks.sorted().map(String.init).joined(separator: ", ")
    }

    // MARK: Time

    private func sleep(_ seconds: Double) {
        // An hour at most: then it looks again.
        let end = Self.now + min(seconds, 3600)
        var until = timespec(tv_sec: Int(end), tv_nsec: Int((end - end.rounded(.down)) * 1e9))
        pthread_cond_timedwait(change, mutex, &until)
    }

    private static var now: Double {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        return Double(now.tv_sec) + Double(now.tv_nsec) * 1e-9
    }
}
