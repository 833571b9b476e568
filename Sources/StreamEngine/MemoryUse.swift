import Glibc
import Support
import Synchronization

/// Anonymous memory of this process: what a budget can bound. Pages of mapped files are the system's to reclaim and
/// are not counted.
public enum MemoryUse {
    /// RssAnon now, in bytes.
    public static func anonymousBytes() -> Int {
        field("RssAnon:", in: "/proc/self/status") ?? 0
    }

    /// What the machine, or the control group that the process runs in, can still give.
    public static func availableBytes() -> Int {
        let machine = field("MemAvailable:", in: "/proc/meminfo") ?? 1 << 30
        let groups = controlGroups().compactMap { group -> Int? in
            guard let bytes = try? File.read(group.limit), let limit = Int(String(decoding: bytes, as: UTF8.self).trimmingSpaces) else { return nil }
            // What its processes hold now; its page cache can be reclaimed.
            return max(0, limit - (field(group.held, in: group.statistics) ?? 0) / 1024)
        }
        return min(machine, groups.min() ?? machine)
    }

    /// The control groups that may limit this process, versions 1 and 2: the file with the limit, and where the bytes
    /// that cannot be reclaimed stand.
    private static func controlGroups() -> [(limit: String, statistics: String, held: String)] {
        var folders = [("/sys/fs/cgroup", 2), ("/sys/fs/cgroup/memory", 1)]
        let groups = (try? File.read("/proc/self/cgroup")).map { String(decoding: $0, as: UTF8.self) } ?? ""
        for line in groups.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            // The group and every one above it.
            var path = String(parts[2])
            while path.count > 1 {
                if parts[1].isEmpty { folders.append(("/sys/fs/cgroup\(path)", 2)) }
                if parts[1].split(separator: ",").contains("memory") { folders.append(("/sys/fs/cgroup/memory\(path)", 1)) }
                path = File.parent(of: path)
            }
        }
        return folders.map { folder, version in
            ("\(folder)/\(version == 2 ? "memory.max" : "memory.limit_in_bytes")", "\(folder)/memory.stat", version == 2 ? "anon " : "total_rss ")
        }
    }

    private static func field(_ name: String, in path: String) -> Int? {
        guard let bytes = try? File.read(path) else { return nil }
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") where line.hasPrefix(name) {
            return line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap { Int($0) }.map { $0 << 10 }
        }
        return nil
    }
}

extension String {
    var trimmingSpaces: Substring { drop { $0.isWhitespace }.prefix { !$0.isWhitespace } }
}

/// Watches anonymous memory from a thread of its own and keeps the peak.
final class MemoryWatch: Sendable {
    private let peak = Atomic<Int>(0)
    private let stopping = Atomic<Bool>(false)
    private nonisolated(unsafe) var thread = pthread_t()
    private nonisolated(unsafe) var running = false

    init() {
        sample()
        let start = Unmanaged.passRetained(self)
        let status = pthread_create(&thread, nil, { argument in
            guard let argument else { return nil }
            let watch = Unmanaged<MemoryWatch>.fromOpaque(argument).takeRetainedValue()
            while !watch.stopping.load(ordering: .relaxed) {
                watch.sample()
                usleep(50_000)
            }
            return nil
        }, start.toOpaque())
        running = status == 0
        if !running { start.release() }
    }

    private func sample() { peak.max(MemoryUse.anonymousBytes(), ordering: .relaxed) }

    /// Stops watching and returns the peak in bytes.
    func finish() -> Int {
        stopping.store(true, ordering: .relaxed)
        if running { pthread_join(thread, nil) }
        running = false
        sample()
        return peak.load(ordering: .relaxed)
    }
}
