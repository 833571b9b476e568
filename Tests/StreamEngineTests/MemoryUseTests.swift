import Foundation
import Support
import Testing
import TestSupport

@testable import StreamEngine

/// What control groups leave, in folders made like /proc and /sys.
struct MemoryUseTests {
    let folder: TemporaryFolder
    /// Of the machine.
    static let machine = 8_000_000 << 10

    /// A machine whose process is in the group a/b, of version 1 and 2.
    init() throws {
        folder = try TemporaryFolder()
        try write("proc/meminfo", "MemTotal: 9000000 kB\nMemAvailable:    8000000 kB\n")
        try write("proc/self/cgroup", "4:cpu,memory:/a/b\n1:name=systemd:/x\n0::/a/b\n")
    }

    private struct Silent: ForwardObserver {
        func planned(_ plan: ForwardPlan) {}
        func note(_ text: String) {}
        func progress(_ progress: ForwardProgress) {}
    }

    @Test("Runs that cannot be opened leave no thread that watches memory")
    func watches() throws {
        func threads() throws -> Int {
            try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").count
        }
        let before = try threads()
        for _ in 0..<200 {
            #expect(throws: Fault.self) {
                _ = try ForwardRun(
                    ForwardOptions(store: folder.file("none"), model: folder.file("none")), observer: Silent())
            }
        }
        // Other tests run at the same time, a few of them with threads.
        #expect(try threads() < before + 100)
        #expect(MemoryWatch().finish() > 1 << 20)
    }

    private func write(_ name: String, _ text: String) throws {
        try FileManager.default.createDirectory(
            atPath: folder.file(File.parent(of: name)),
            withIntermediateDirectories: true)
        try folder.write(name, text.utf8)
    }

    /// What is left where the files of /sys/fs/cgroup hold these texts, and the name of the file that says so.
    private func left(_ files: [String: String]) throws -> (bytes: Int, file: String) {
        for (name, text) in files { try write("sys/fs/cgroup/\(name)", text) }
        let available = MemoryUse.available(root: folder.path)
        return (available.bytes, String(available.file.dropFirst(folder.path.count + 1)))
    }

    @Test(
        "Without a limit the machine's memory counts",
        arguments: [
            [:], ["memory.max": "max\n", "memory.high": "max\n"],
            ["memory/memory.limit_in_bytes": "9223372036854771712\n"],
            ["memory.max": "", "memory.high": "\n"],
            ["memory.max": "abc\n", "a/memory.max": "-1\n", "memory.stat": "anon x\n\u{0}"],
            ["memory.max": "18446744073709551615\n"], ["memory/memory.memsw.limit_in_bytes": "600000000\n"],
            ["memory/memory.soft_limit_in_bytes": "600000000\n"], ["a/b/c/memory.max": "600000000\n"],
            ["x/memory.max": "1\n"],
        ] as [[String: String]])
    func unlimited(files: [String: String]) throws { #expect(try left(files) == (Self.machine, "proc/meminfo")) }

    @Test(
        "The least limit counts, at every level and of every kind",
        arguments: [
            ["memory.max": "600000000\n"], ["memory.max": "600000000"],
            ["a/memory.max": "600000000\n", "a/b/memory.max": "700000000\n"],
            ["a/b/memory.max": "600000000\n", "a/memory.max": "max\n"],
            ["a/b/memory.high": "600000000\n", "a/b/memory.max": "700000000\n"],
            ["a/b/memory.high": "max\n", "a/b/memory.max": "600000000\n"],
            ["memory.high": "600000000\n", "memory.max": "max\n"],
            ["memory/a/b/memory.limit_in_bytes": "600000000\n"], ["memory/a/memory.limit_in_bytes": "600000000\n"],
        ])
    func limits(files: [String: String]) throws {
        let name = try #require(files.first { $0.value.hasPrefix("600000000") }?.key)
        #expect(try left(files) == (600_000_000, "sys/fs/cgroup/\(name)"))
    }

    @Test(
        "What cannot be reclaimed is not left; the cache of files is",
        arguments: [
            ("anon 200\nfile 50\n", 200), ("anon 0\nshmem 300\nfile 300\n", 300),
            ("anon 1\nslab_unreclaimable 2\nkernel_stack 4\npagetables 8\npercpu 16\n", 31),
            (
                "anon 100\nfile 80\ninactive_file 50\nactive_file 30\nslab_reclaimable 90\nslab 90\nfile_mapped 70\n",
                100
            ),
            // Locked: of files; of anonymous memory and of files in memory, which are counted as such; not told apart.
            ("anon 100\nfile 80\ninactive_file 50\nactive_file 10\nunevictable 20\n", 120),
            ("anon 100\nunevictable 60\nfile 80\ninactive_file 50\nactive_file 30\n", 100),
            ("anon 10\nshmem 30\nfile 40\ninactive_file 10\nactive_file 0\nunevictable 35\n", 40),
            ("anon 10\nshmem 5\nunevictable 40\n", 40),
            // Nonsense.
            ("anon 100\nanon_thp 5\n anon\nanonymous 3\nshmem -7\nslab_unreclaimable 99999999999999999999\n", 100),
            ("", 0),
            ("anon 9223372036854775807\nshmem 9223372036854775807\nactive_file 9223372036854775807\nfile 5\n", 1000),
        ])
    func held(statistics: String, bytes: Int) throws {
        #expect(try left(["a/memory.max": "1000\n", "a/memory.stat": statistics]).bytes == 1000 - bytes)
    }

    @Test(
        "Version 1 counts the groups below in its totals, and the kernel by itself",
        arguments: [
            ("cache 900\nrss 900\ntotal_cache 50\ntotal_rss 100\n", "", 100),
            ("total_rss 1\ntotal_shmem 2\ntotal_cache 10\ntotal_active_file 4\ntotal_inactive_file 4\n", "", 3),
            ("total_rss 1\ntotal_cache 10\ntotal_active_file 4\ntotal_inactive_file 4\ntotal_unevictable 9\n", "", 3),
            ("total_rss 1\n", "64\n", 65), ("total_rss 1\n", "many\n", 1),
        ])
    func versionOne(statistics: String, kernel: String, bytes: Int) throws {
        let files = ["limit_in_bytes": "1000\n", "stat": statistics, "kmem.usage_in_bytes": kernel]
        let named = Dictionary(uniqueKeysWithValues: files.map { ("memory/a/b/memory.\($0)", $1) })
        #expect(try left(named).bytes == 1000 - bytes)
    }

    @Test("The group that leaves least counts, which need not be the one with the least limit")
    func fullParent() throws {
        let parent = ["a/memory.max": "900\n", "a/memory.stat": "anon 850\n"]
        let found = try left(parent.merging(["a/b/memory.max": "500\n", "a/b/memory.stat": "anon 100\n"]) { $1 })
        #expect(found == (50, "sys/fs/cgroup/a/memory.max"))
    }

    @Test(
        "A limit that leaves nothing is named, and is no budget",
        arguments: [
            (["memory.max": "0\n"], "memory.max"),
            (["a/b/memory.high": "0\n", "a/b/memory.max": "max\n"], "a/b/memory.high"),
            (["a/memory.max": "600000000\n", "a/memory.stat": "anon 100\nshmem 599999000\n"], "a/memory.max"),
            (["memory/memory.limit_in_bytes": "4096\n"], "memory/memory.limit_in_bytes"),
        ])
    func nothing(files: [String: String], name: String) throws {
        _ = try left(files)
        let fault = try #require(throws: Fault.self) { try MemoryUse.budget(root: folder.path) }
        #expect(fault.kind == .inputOutput && fault.place.file == folder.file("sys/fs/cgroup/\(name)"))
        #expect(fault.problem.contains("no memory is left"))
    }

    @Test("Half of what is left is the budget")
    func budget() throws {
        _ = try left(["memory.max": "600000000\n", "memory.stat": "anon 100000000\n"])
        #expect(try MemoryUse.budget(root: folder.path) == 250_000_000)
    }

    @Test("Without /proc a modest machine is assumed")
    func nowhere() throws { #expect(MemoryUse.available(root: folder.file("nowhere")).bytes == 1 << 30) }
}
