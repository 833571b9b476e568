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
        let groups = controlGroupLimits().compactMap { path -> Int? in
            guard let bytes = try? File.read(path) else { return nil }
            return Int(String(decoding: bytes, as: UTF8.self).trimmingSpaces)
        }
        return min(machine, groups.min() ?? machine)
    }

    /// Files that may hold a memory limit of this process: the root's and its own group's, versions 1 and 2.
    private static func controlGroupLimits() -> [String] {
        var paths = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        let groups = (try? File.read("/proc/self/cgroup")).map { String(decoding: $0, as: UTF8.self) } ?? ""
        for line in groups.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            if parts[1].isEmpty { paths.append("/sys/fs/cgroup\(parts[2])/memory.max") }
            if parts[1].split(separator: ",").contains("memory") { paths.append("/sys/fs/cgroup/memory\(parts[2])/memory.limit_in_bytes") }
        }
        return paths
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
