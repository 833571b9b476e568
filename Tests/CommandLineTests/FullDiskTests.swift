import Foundation
import TestSupport
import Testing

/// A shell with mounts of its own, which nothing else sees and which go with it.
private enum PrivateMounts {
    static let program = "/usr/bin/unshare"
    static let areAllowed =
        (try? Program(["-rm", "sh", "-c", "mount -t tmpfs tmpfs /tmp"], executable: program).outcome().status) == 0
}

/// What happens where the disk is too small.
@Suite(.enabled(if: PrivateMounts.areAllowed, "this system lets no user mount a file system"))
struct FullDiskTests {
    let bench: Bench
    init() throws { bench = try Bench() }

    /// Runs `script` in a folder with `megabytes` of disk; $bbp is the program, $here the test's own folder.
    private func shell(megabytes: Int, _ script: String) throws -> Outcome {
        let whole = """
            bbp='\(Program.path)' here='\(bench.path)'; mkdir -p "$here/disk"
            mount -t tmpfs -o size=\(megabytes)m tmpfs "$here/disk" && cd "$here/disk" || exit 1
            \(script)
            """
        return try Program(["-rm", "sh", "-c", whole], executable: PrivateMounts.program).outcome()
    }

    private func write(_ name: String, bytes: Int) throws {
        var numbers = TestNumbers(4)
        try bench.write(name, numbers.bytes(bytes))
    }

    @Test("ingest says so and leaves nothing, or the store that was there")
    func ingest() throws {
        try write("large", bytes: 3_000_000)
        try shell(
            megabytes: 1,
            """
            $bbp ingest "$here/large" --store store; [ $? = 74 ] && [ ! -e store ] || exit 2
            echo small > small; $bbp ingest small --store store || exit 3
            $bbp ingest "$here/large" --store store --force; [ $? = 74 ] || exit 4
            $bbp verify --store store && [ "$(ls store | grep -c generation)" = 1 ] || exit 5
            dd if=/dev/zero of=filler bs=4096; $bbp ingest small --store other; [ $? = 74 ] && [ ! -e other ] || exit 6
            """
        ).expect(0, "disk is full")
    }

    @Test("forward says so before it starts; where forced, it stops and goes on once there is room")
    func forward() throws {
        try write("input", bytes: 30_000)
        try bench.model(patchSize: 16, hiddenSize: 64)
        try shell(
            megabytes: 3,
            """
            $bbp ingest "$here/input" --store store || exit 2
            $bbp forward --store store --model "$here/model"; [ $? = 73 ] || exit 3
            $bbp forward --store store --model "$here/model" --memory \(Program.memory(24)) --force; [ $? = 74 ] || exit 4
            $bbp verify --store store || exit 5
            mount -o remount,size=60m "$here/disk"; $bbp forward --store store --model "$here/model" --nll nll.npy || exit 6
            $bbp verify --store store || exit 7
            """
        ).expect(0, "disk is full", "--force")
    }

    @Test("An output that does not fit leaves no part of it")
    func outputs() throws {
        try write("input", bytes: 200_000)
        try bench.store(Array(bench.bytes("input")), named: "store")
        try shell(
            megabytes: 1,
            """
            head -c 900000 /dev/zero > filler
            $bbp export --store "$here/store" --generation 0 --out out.npy; [ $? = 74 ] && [ "$(ls)" = filler ] || exit 2
            $bbp model init model; [ $? = 74 ] && [ ! -e model/model.safetensors ] && [ ! -e model/config.json ] || exit 3
            $bbp model init model --layers 1 --hidden-size 8 --kernel-size 1 || exit 4
            """
        ).expect(0, "disk is full")
    }
}
