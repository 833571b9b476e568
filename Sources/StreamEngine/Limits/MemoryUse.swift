import CMalloc
import Glibc
import Support
import Synchronization

/// Anonymous memory of this process: what a budget can bound. Pages of mapped files are the system's to reclaim and
/// are not counted.
package enum MemoryUse {
    /// RssAnon now, in bytes.
    package static func anonymousBytes() -> Int { kibibytes("RssAnon", in: "/proc/self/status") ?? 0 }

    /// Large blocks go back to the system when freed from now on, so that memory follows the plan and not its history.
    static func followPlans() {
        mallopt(M_MMAP_THRESHOLD, 256 << 10)
        mallopt(M_ARENA_MAX, 2)
    }

    /// What a run takes beside what its plan names: what the process has now, and stacks, generated code and LMDB's lists
    /// still to come.
    static func program(threads: Int) -> Int { anonymousBytes() + (4 << 20) + threads << 20 }

    /// Memory that can still be had, and what has no more.
    package struct Available: Sendable, Equatable {
        package var bytes: Int
        /// The file of the machine, or of the control group whose limit it is.
        package var file: String
    }

    /// What the machine, or the control groups that the process runs in, can still give.
    ///
    /// - Parameter root: the folder that /proc and /sys lie in.
    package static func available(root: String = "") -> Available {
        let file = "\(root)/proc/meminfo"
        let machine = Available(bytes: kibibytes("MemAvailable", in: file) ?? 1 << 30, file: file)
        return controlGroups(root: root).compactMap(\.available).reduce(machine) { $1.bytes < $0.bytes ? $1 : $0 }
    }

    /// The budget of a run that was given none: half of what can be had.
    ///
    /// - Throws: `Fault` (`inputOutput`) where nothing worth speaking of is left.
    static func budget(root: String = "") throws -> Int {
        let available = available(root: root)
        guard available.bytes >= 1 << 20 else {
            throw Fault(
                .inputOutput, "no memory is left: \(ByteCount.text(available.bytes)) of what this allows are free",
                at: Place(file: available.file),
                advice: "Raise the limit or end other processes.", remedies: [.otherMemory])
        }
        return available.bytes / 2
    }

    /// The control groups that may limit this process, versions 1 and 2: its own and every one above it.
    private static func controlGroups(root: String) -> [ControlGroup] {
        let mount = "\(root)/sys/fs/cgroup"
        var groups = [
            ControlGroup(folder: mount, version: .two),
            ControlGroup(folder: "\(mount)/memory", version: .one),
        ]
        for line in lines(of: "\(root)/proc/self/cgroup") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            var path = String(parts[2])
            while path.count > 1 {
                if parts[1].isEmpty { groups.append(ControlGroup(folder: mount + path, version: .two)) }
                if parts[1].split(separator: ",").contains("memory") {
                    groups.append(ControlGroup(folder: "\(mount)/memory\(path)", version: .one))
                }
                path = File.parent(of: path)
            }
        }
        return groups
    }

    /// The number of a line "NAME: NUMBER kB", in bytes. Watched runs ask for it often, so only that line is looked at.
    private static func kibibytes(_ name: String, in path: String) -> Int? {
        guard let bytes = try? File.read(path) else { return nil }
        let start = Array("\(name):".utf8)
        guard let line = bytes.split(separator: UInt8(ascii: "\n")).first(where: { $0.starts(with: start) }) else {
            return nil
        }
        let digits = line.dropFirst(start.count).drop { $0 == 0x20 || $0 == 0x09 }.prefix { (0x30...0x39).contains($0) }
        return Int(String(decoding: digits, as: UTF8.self)).flatMap { $0 > Int.max >> 10 ? nil : $0 << 10 }
    }

    /// Lines of a name and a number that is not negative; others are left out.
    fileprivate static func numbers(in path: String) -> [Substring: Int] {
        var numbers: [Substring: Int] = [:]
        for line in lines(of: path) {
            let words = line.split(whereSeparator: \.isWhitespace)
            if words.count >= 2, let number = Int(words[1]), number >= 0 { numbers[words[0]] = number }
        }
        return numbers
    }

    /// Of a file that may not be there.
    fileprivate static func lines(of path: String) -> [Substring] {
        guard let bytes = try? File.read(path) else { return [] }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n")
    }
}

/// A control group's folder, as far as it says something about memory.
private struct ControlGroup {
    enum Version { case one, two }

    let folder: String
    let version: Version

    /// What its least limit leaves; nil where it has none.
    var available: MemoryUse.Available? {
        let names = version == .two ? ["memory.max", "memory.high"] : ["memory.limit_in_bytes"]
        let limits = names.compactMap { name in
            number(name).map { MemoryUse.Available(bytes: $0, file: "\(folder)/\(name)") }
        }
        guard var least = limits.min(by: { $0.bytes < $1.bytes }) else { return nil }
        least.bytes -= min(held, least.bytes)
        return least
    }

    /// Bytes that its processes hold and that the system cannot reclaim: all but its cache of files and of their names.
    private var held: Int {
        let numbers = MemoryUse.numbers(in: "\(folder)/memory.stat")
        // Version 1 counts the groups below only in its totals.
        func bytes(_ name: String) -> Int { numbers[version == .two ? name[...] : "total_\(name)"] ?? 0 }
        let anonymous = bytes(version == .two ? "anon" : "rss")
        // Files in memory alone. The cache has them in it.
        let shared = bytes("shmem")
        let cache = bytes(version == .two ? "file" : "cache")
        let others = saturatingSum([shared, bytes("active_file"), bytes("inactive_file")])
        // Locked and not counted yet: of files on disk. Without the cache's numbers, what can be nothing else.
        let unevictable = bytes("unevictable")
        let locked =
            cache > 0
            ? min(unevictable, max(0, cache - others)) : max(0, unevictable - saturatingSum([anonymous, shared]))
        let kernel =
            version == .two
            ? ["slab_unreclaimable", "kernel_stack", "pagetables", "percpu"].map(bytes)
            : [number("memory.kmem.usage_in_bytes") ?? 0]
        return saturatingSum(kernel + [anonymous, shared, locked])
    }

    private func saturatingSum(_ numbers: [Int]) -> Int {
        numbers.reduce(0) { sum, number in
            let (next, overflow) = sum.addingReportingOverflow(number)
            return overflow ? Int.max : next
        }
    }

    private func number(_ name: String) -> Int? {
        let word = MemoryUse.lines(of: "\(folder)/\(name)").first?.split(whereSeparator: \.isWhitespace).first
        return word.flatMap { Int($0) }.flatMap { $0 < 0 ? nil : $0 }
    }
}

/// Watches anonymous memory from a thread of its own and keeps the peak, until it is finished or let go.
final class MemoryWatch: Sendable {
    /// What the thread holds, and nothing else of the watch: a watch that is let go ends it.
    private final class Samples: Sendable {
        let peak = Atomic<Int>(0)
        /// The thread waits at this end of a pipe, and ends when the other one is closed.
        let watched: Int32

        init(watched: Int32) { self.watched = watched }
        deinit { if watched >= 0 { close(watched) } }

        func take() { peak.max(MemoryUse.anonymousBytes(), ordering: .relaxed) }
    }

    private let samples: Samples
    private nonisolated(unsafe) var held: Int32 = -1
    /// nil where there is none, or it has ended.
    private nonisolated(unsafe) var thread: pthread_t?

    init() {
        var pair: [Int32] = [-1, -1]
        let isWatching = pipe(&pair) == 0
        for end in pair where isWatching { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        samples = Samples(watched: pair[0])
        held = pair[1]
        samples.take()
        guard isWatching else { return }
        let start = Unmanaged.passRetained(samples)
        var thread = pthread_t()
        let status = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let samples = Unmanaged<Samples>.fromOpaque(argument).takeRetainedValue()
                var end = pollfd(fd: samples.watched, events: Int16(POLLIN), revents: 0)
                while poll(&end, 1, 50) <= 0 { samples.take() }
                return nil
            }, start.toOpaque())
        if status == 0 { self.thread = thread } else { start.release() }
    }

    deinit { _ = finish() }

    /// Stops watching and returns the peak in bytes.
    func finish() -> Int {
        if held >= 0 { close(held) }
        held = -1
        if let thread { pthread_join(thread, nil) }
        thread = nil
        samples.take()
        return samples.peak.load(ordering: .relaxed)
    }
}
