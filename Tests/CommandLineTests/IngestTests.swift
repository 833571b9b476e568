import Foundation
import Glibc
import TestSupport
import Testing

/// Bytes in, tokens out, and everything that cannot be ingested.
struct IngestTests {
    let bench: Bench
    init() throws { bench = try Bench() }

    /// The tokens of a store, read back through `export`.
    private func tokens() throws -> [UInt16] {
        try run("export", "--store", bench.file("store"), "--generation", "0", "--out", bench.file("tokens.npy"))
            .expect(0)
        return try bench.array("tokens.npy").values.map { UInt16($0) }
    }

    private func ids(_ values: [UInt16]) -> [UInt8] { values.flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] } }

    // MARK: Good input

    @Test("Several files and standard input become documents in order")
    func documents() throws {
        var numbers = TestNumbers(1)
        let (first, second, third) = (numbers.bytes(1000), numbers.bytes(1), numbers.bytes(70_000))
        let result = try run(
            "ingest", bench.write("a", first), "-", bench.write("c", third), "--store", bench.file("store"),
            input: second)
        result.expect(0)
        var expected: [UInt16] = []
        for document in [first, second, third] { expected += [256] + document.map(UInt16.init) + [257] }
        // Long arrays are compared outside `#expect`, which would print their difference.
        let same = try tokens() == expected
        #expect(same)
        try run("verify", "--store", bench.file("store")).expect(0)
        let dump = try run("dump", "--store", bench.file("store"))
        #expect(dump.output.contains("71 007"))
    }

    @Test("What fails or is stopped removes what it made, and nothing that others put beside it")
    func othersFilesStay() throws {
        let bench = try Bench()
        defer { bench.remove() }
        try bench.shell(
            """
            mkfifo pipe; "$P" ingest pipe --store s & exec 9> pipe
            while ! test -e s/generation-0/data.mdb; do :; done
            mkdir s/mine; echo x > s/mine/x; exec 9>&-; wait $!
            """
        ).expect(66, "empty")
        #expect(bench.exists("s/mine/x") && !bench.exists("s/generation-0"))
        try bench.shell(
            """
            echo old > f; "$P" ingest f --store t && "$P" ingest pipe --store t --force & exec 9> pipe
            while ! test -e t/generation-0.1/data.mdb; do :; done
            echo x > t/notes.txt; kill -INT $(pgrep -f "ingest pipe --store t" | tail -1); exec 9>&-; wait $!; cat t/notes.txt
            exec "$P" verify --store t
            """
        ).expect(0)
        #expect(!bench.exists("t/generation-0.1"))
        try bench.shell(
            "\"$P\" ingest pipe --store u & exec 9> pipe; while ! test -e u/generation-0/data.mdb; do :; done; exec 9>&-; wait $!"
        ).expect(66)
        #expect(!bench.exists("u"))
    }

    @Test("Links in a store's folder lead to nothing that is removed or replaced")
    func links() throws {
        let bench = try Bench()
        defer { bench.remove() }
        try bench.model(patchSize: 16, hiddenSize: 8)
        try bench.shell(
            """
            echo text > f; "$P" ingest f --store a --patch-size 8; mkdir b; cp a/manifest.json b; ln -s ../a/generation-0 b/generation-0
            "$P" forward --store b --model model; "$P" verify --store a
            """
        ).expect(0)
        try bench.shell(
            """
            echo thesis > thesis; mkdir z; ln -s ../thesis z/manifest.json; "$P" ingest f --store z --force; cat thesis
            mkdir n; ln -s /dev/null n/manifest.json; "$P" ingest f --store n --force; "$P" verify --store n
            mkdir p; mkfifo p/manifest.json; "$P" ingest f --store p --force; exec "$P" verify --store p
            """
        ).expect(0)
        #expect(try bench.bytes("thesis") == Data("thesis\n".utf8))
        try bench.shell(
            "\"$P\" ingest f --store k; mkdir -p k/manifest.json.partial/mine; exec \"$P\" forward --store k --model model"
        ).expect(0)
        #expect(bench.exists("k/manifest.json.partial/mine"))
    }

    @Test("--raw adds nothing", arguments: [1, 7, 31, 32, 33, 40_000])
    func raw(count: Int) throws {
        var numbers = TestNumbers(UInt64(count))
        let bytes = numbers.bytes(count)
        try bench.store(bytes, "--raw")
        let same = try tokens() == bytes.map(UInt16.init)
        #expect(same)
    }

    @Test("--tokens keeps every id, specials included")
    func tokenIds() throws {
        let values: [UInt16] = [256, 0, 255, 257, 258, 10, 256] + (0...258)
        try bench.store(ids(values), "--tokens")
        #expect(try tokens() == values)
    }

    @Test("--force replaces a store")
    func replacing() throws {
        try bench.store(Array("first".utf8), "--raw")
        try bench.store(Array("second".utf8), "--raw", "--force")
        #expect(try tokens() == "second".utf8.map(UInt16.init))
        #expect(try bench.contents("store").keys.filter { $0.hasSuffix("data.mdb") }.count == 1)
    }

    // MARK: Bad input

    struct Bad: CustomTestStringConvertible {
        var name: String
        var status: Int32
        var words: [String]
        var inputs: [String]
        var flags: [String] = []
        var input: [UInt8] = []
        var testDescription: String { name }
    }

    static let bad: [Bad] = [
        Bad(name: "missing", status: 66, words: ["absent", "no such file"], inputs: ["absent"]),
        Bad(
            name: "missing after a good one", status: 66, words: ["absent", "no such file"], inputs: ["good", "absent"]),
        Bad(name: "empty", status: 66, words: ["empty"], inputs: ["nothing"]),
        Bad(name: "empty after a good one", status: 66, words: ["nothing", "empty"], inputs: ["good", "nothing"]),
        Bad(name: "folder", status: 66, words: ["folder"], inputs: ["."]),
        Bad(name: "empty standard input", status: 66, words: ["empty"], inputs: ["-"]),
        Bad(name: "standard input twice", status: 64, words: ["standard input"], inputs: ["-", "-"]),
        Bad(name: "no tokens", status: 66, words: ["empty"], inputs: ["nothing"], flags: ["--tokens"]),
        Bad(name: "odd bytes", status: 65, words: ["odd", "3 bytes"], inputs: ["odd"], flags: ["--tokens"]),
        Bad(
            name: "id 259", status: 65, words: ["259", "byte 4"], inputs: ["-"], flags: ["--tokens"],
            input: [1, 0, 2, 1, 3, 1, 0, 0]),
        Bad(
            name: "id 65535", status: 65, words: ["65535", "byte 0"], inputs: ["-"], flags: ["--tokens"],
            input: [255, 255]),
        Bad(name: "id far in", status: 65, words: ["300", "byte 1200000"], inputs: ["far"], flags: ["--tokens"]),
    ]

    private func attempt(_ bad: Bad, _ flags: [String]) throws {
        try bench.write("good", "good".utf8)
        try bench.write("nothing", [])
        try bench.write("odd", [1, 0, 2])
        if bad.inputs == ["far"] { try bench.write("far", [UInt8](repeating: 0, count: 1_200_000) + [44, 1, 0, 0]) }
        let result = try run(
            ["ingest"] + bad.inputs.map { $0 == "-" ? $0 : bench.file($0) } + ["--store", bench.file("store")]
                + bad.flags + flags, input: bad.input)
        result.expect(bad.status)
        for word in bad.words { #expect(result.error.contains(word)) }
    }

    @Test("Bad input makes no store", arguments: bad)
    func noStore(bad: Bad) throws {
        try attempt(bad, [])
        #expect(!bench.exists("store"))
    }

    @Test("Bad input leaves the store that --force would replace", arguments: bad)
    func storeStays(bad: Bad) throws {
        try bench.store(Array("as it was".utf8))
        let before = try bench.contents("store")
        try attempt(bad, ["--force"])
        #expect(try bench.contents("store") == before)
        try run("verify", "--store", bench.file("store")).expect(0)
    }

    @Test("An unreadable file is named", .enabled(if: getuid() != 0, "root reads everything"))
    func unreadable() throws {
        chmod(try bench.write("secret", [1]), 0)
        try run("ingest", bench.file("secret"), "--store", bench.file("store")).expect(
            66, "secret", "Permission denied")
        #expect(!bench.exists("store"))
    }

    @Test("Nothing that is there is overwritten unasked", arguments: [[], ["--force"]])
    func foreign(flags: [String]) throws {
        let good = try bench.write("good", "good".utf8)
        try bench.model("folder")
        let before = try bench.contents("")
        try run(["ingest", good, "--store", bench.file("folder")] + flags).expect(73, "config.json")
        try run(["ingest", good, "--store", good] + flags).expect(73, "file")
        try run(["ingest", good, "--store", bench.file("no/such/parent")] + flags).expect(73, "parent")
        #expect(try bench.contents("") == before)
        if flags.isEmpty {
            try bench.store([1])
            let store = try bench.contents("store")
            try run("ingest", good, "--store", bench.file("store")).expect(73, "already", "--force")
            #expect(try bench.contents("store") == store)
        }
    }

    @Test("Interrupted while waiting for input, it leaves nothing", arguments: [SIGINT, SIGTERM])
    func interrupted(signal: Int32) throws {
        mkfifo(bench.file("pipe"), 0o600)
        // Both ends, so that the program's open succeeds and its read waits.
        let pipe = open(bench.file("pipe"), O_RDWR | O_CLOEXEC)
        defer { close(pipe) }
        let program = try Program(["ingest", bench.file("pipe"), "--store", bench.file("store")])
        while !program.hasEnded && !bench.exists("store/lock") { usleep(1000) }
        program.send(signal)
        try program.outcome().expect(75, "interrupted")
        #expect(!bench.exists("store"))
    }
}
