import Foundation
import TestSupport
import Testing

/// Outputs: files that appear whole under any name, streams that were given, and nothing that is read is ever replaced.
struct OutputTests {
    let bench: Bench

    init() throws {
        bench = try Bench()
        try bench.model(patchSize: 16, hiddenSize: 8)
        var numbers = TestNumbers(17)
        try bench.write("input", numbers.bytes(3000))
        try run("ingest", bench.file("input"), "--store", bench.file("store"), "--patch-size", "16").expect(0)
    }

    // MARK: What is read

    private func expectUnchanged(_ before: [String: Data]) throws {
        let after = try bench.contents("")
        for (file, bytes) in before { #expect(after[file] == bytes) }
    }

    /// How a file of the store, of the model, or an input is named as an output.
    static let spellings: [(name: String, prepare: String)] = [
        ("store/manifest.json", ""), ("./store/../store/manifest.json", ""), ("store/generation-0/data.mdb", ""),
        ("store/lock", ""),
        ("link", "ln -s store/manifest.json link"), ("hard", "ln store/generation-0/data.mdb hard"),
        ("folder/manifest.json", "ln -s store folder"),
        ("model/config.json", ""), ("hard", "ln model/model.safetensors hard"),
        ("/dev/fd/9", "exec 9>>model/config.json"), ("a", "ln -s b a; ln -s store/manifest.json b"),
    ]

    @Test("No output replaces a file of the store or the model, however it is named", arguments: spellings.indices)
    func overRead(_ index: Int) throws {
        let (name, prepare) = Self.spellings[index]
        let before = try bench.contents("")
        let commands =
            [
                "forward --store store --model model --nll \(name)",
                "score input --model model --store store --nll \(name)",
            ]
            + (name.contains("model") || name == "hard" && prepare.contains("model") || name.hasPrefix("/")
                ? [] : ["export --store store --generation 0 --out \(name)"])
        for command in commands {
            try bench.shell("\(prepare.isEmpty ? "true" : prepare); exec \"$P\" \(command)").expect(
                64, "would replace", "Name another file")
            try expectUnchanged(before)
            for link in ["link", "hard", "folder", "a", "b"] {
                try? FileManager.default.removeItem(atPath: bench.file(link))
            }
        }
    }

    @Test("No output replaces an input of score, or a model that context draws")
    func overInput() throws {
        let before = try bench.contents("")
        for name in ["input", "./input", "hard", "link"] {
            try bench.shell("ln input hard; ln -s input link; exec \"$P\" score input --model model --nll \(name)")
                .expect(64, "an input")
        }
        try bench.shell("exec \"$P\" score - --model model --nll input < input").expect(64, "an input")
        try bench.shell("exec \"$P\" context --model model --length 100 --plot model/config.json").expect(64, "--plot")
        // A store that is not there yet is no place for an output either.
        try bench.shell("exec \"$P\" forward --store store --model model --nll store/generation-9/data.mdb").expect(73)
        try expectUnchanged(before)
    }

    @Test("Nor does it replace files of models and stores that the command does not read, or lie among a store's files")
    func overForeign() throws {
        try bench.shell("\"$P\" ingest input --store other --patch-size 16").expect(0)
        let before = try bench.contents("")
        for name in ["model/model.safetensors", "model/config.json"] {
            try bench.shell("exec \"$P\" export --store store --generation 0 --out \(name)").expect(
                64, "a file of a model")
        }
        for name in [
            "other/manifest.json", "other/generation-0/data.mdb", "other/new.npy", "store/new.npy",
            "store/generation-0/new.npy",
        ] {
            try bench.shell("exec \"$P\" export --store store --generation 0 --out \(name)").expect(64)
        }
        try bench.shell("exec \"$P\" model init store --force").expect(73, "store")
        #expect(try bench.contents("") == before)
    }

    @Test("A folder that gives way to a link while its output is written is still where the output goes")
    func swappedFolder() throws {
        try bench.shell(
            """
            mkdir out victim; echo precious > victim/x.npy; head -c 600000 /dev/zero > long
            "$P" score long --model model --threads 1 --nll out/x.npy &
            while kill -0 $! && ! ls -l /proc/$!/fd 2> /dev/null | grep -q '/out/#'; do :; done
            mv out kept; ln -s victim out; wait $!
            """
        ).expect(0)
        #expect(try bench.array("kept/x.npy").shape == [600_000])
        #expect(try bench.bytes("victim/x.npy") == Data("precious\n".utf8))
    }

    @Test("What replaces a file has its mode; one that may not be written is not replaced")
    func mode() throws {
        try bench.shell("touch p.npy; chmod 600 p.npy; exec \"$P\" export --store store --generation 0 --out p.npy")
            .expect(0)
        #expect(try bench.shell("stat -c %a p.npy").expect(0).output == "600\n")
    }

    @Test("The program's own descriptors are no streams that it was given", arguments: 3...9)
    func ownDescriptors(number: Int) throws {
        let close = (3...9).map { "\($0)>&-" }.joined(separator: " ")
        let before = try bench.contents("store")
        try bench.shell("exec \"$P\" forward --store store --model model --nll /dev/fd/\(number) \(close)").expect(
            73, "/dev/fd/\(number)")
        try bench.shell("exec \"$P\" export --store store --generation 0 --out /proc/self/fd/\(number) \(close)")
            .expect(73)
        #expect(try bench.contents("store") == before)
    }

    @Test("A file of the store that is to be replaced is no input")
    func ingestOfItself() throws {
        let before = try bench.contents("store")
        try run("ingest", bench.file("store/generation-0/data.mdb"), "--store", bench.file("store"), "--force").expect(
            64, "file of the store")
        #expect(try bench.contents("store") == before)
    }

    // MARK: Names until it is complete

    @Test("A user's own NAME.partial stays, and a link of that name is not followed")
    func partial() throws {
        try bench.write("out.npy.partial", Array("mine".utf8))
        try bench.shell("ln -s precious nll.npy.partial; echo precious > precious").expect(0)
        try run("export", "--store", bench.file("store"), "--generation", "0", "--out", bench.file("out.npy")).expect(0)
        try run(
            "forward", "--store", bench.file("store"), "--model", bench.file("model"), "--nll", bench.file("nll.npy")
        ).expect(0)
        #expect(try bench.bytes("out.npy.partial") == Data("mine".utf8))
        #expect(try bench.bytes("precious") == Data("precious\n".utf8))
    }

    @Test("Names as long as a name may be", arguments: [246, 247, 248, 254, 255])
    func longNames(length: Int) throws {
        let name = String(repeating: "a", count: length)
        try run("export", "--store", bench.file("store"), "--generation", "0", "--out", bench.file(name)).expect(0)
        #expect(try bench.array(name).shape == [3002])
    }

    @Test("Two writers of one output: the file is one of the two, whole")
    func twoWriters() throws {
        try run("forward", "--store", bench.file("store"), "--model", bench.file("model"), "--keep", "all").expect(0)
        let out = bench.file("out.npy")
        for round in 0..<5 {
            let writers = try [0, 1].map {
                try Program([
                    "export", "--store", bench.file("store"), "--generation", "\(($0 + round) % 2)", "--out", out,
                ])
            }
            for writer in writers { try writer.outcome().expect(0) }
            let shape = try bench.array("out.npy").shape
            #expect(shape == [3002] || shape == [3002, 8])
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: bench.path).filter { $0.contains("partial") } == [])
    }

    @Test("An output through a link that leads nowhere yet makes the file that the link names")
    func danglingLink() throws {
        try bench.shell(
            "mkdir there; ln -s there/real.npy link.npy; exec \"$P\" export --store store --generation 0 --out link.npy"
        ).expect(0)
        #expect(try bench.array("there/real.npy").shape == [3002])
        try bench.shell("ln -s loop loop; exec \"$P\" export --store store --generation 0 --out loop").expect(
            73, "links")
    }

    // MARK: Streams

    @Test(
        "What is given as a stream gets the bytes as they come, and results for people go elsewhere",
        arguments: [
            "\"$P\" export --store store --generation 0 --out - > got",
            "\"$P\" export --store store --generation 0 --out /dev/stdout > got",
            "\"$P\" export --store store --generation 0 --out - | cat > got",
            "exec 5> got; \"$P\" export --store store --generation 0 --out /dev/fd/5",
            "exec 5> got; \"$P\" export --store store --generation 0 --out /proc/self/fd/5",
            "ln -s /dev/stdout link; \"$P\" export --store store --generation 0 --out link > got",
            "mkfifo pipe; cat pipe > got & \"$P\" export --store store --generation 0 --out pipe; wait",
            "printf '' > got; \"$P\" export --store store --generation 0 --out /dev/stdout >> got",
        ])
    func streams(script: String) throws {
        try run("export", "--store", bench.file("store"), "--generation", "0", "--out", bench.file("expected")).expect(
            0)
        try bench.shell("set -o pipefail; \(script)").expect(0)
        #expect(try bench.bytes("got") == bench.bytes("expected"))
    }

    @Test("--nll - leaves standard output to the array")
    func surprisalToStandardOutput() throws {
        try run(
            "forward", "--store", bench.file("store"), "--model", bench.file("model"), "--nll",
            bench.file("expected.npy")
        ).expect(0)
        try bench.shell("\"$P\" forward --store store --model model --nll - > got.npy").expect(0, "bits per byte")
        #expect(try bench.bytes("got.npy") == bench.bytes("expected.npy"))
        try bench.shell("\"$P\" score input --model model --nll - --json > got.npy").expect(0, "bits_per_byte")
        #expect(try bench.array("got.npy").shape == [3000])
    }

    @Test("A stream that cannot be written is said before anything is computed")
    func closedStream() throws {
        try bench.shell("exec \"$P\" forward --store store --model model --nll /dev/fd/7 7>&-").expect(73, "/dev/fd/7")
        try bench.shell("exec \"$P\" forward --store store --model model --nll /dev/fd/7 7< input").expect(
            73, "/dev/fd/7")
        try bench.shell("exec \"$P\" forward --store store --model model --nll ''").expect(73)
    }

    @Test(
        "Closed standard streams are nobody's files",
        arguments: ["<&-", ">&-", "2>&-", "<&- >&-", ">&- 2>&-", "<&- >&- 2>&-"])
    func closedStandardStreams(redirection: String) throws {
        try bench.shell("\"$P\" forward --store store --model model --nll good.npy; cp -r store other").expect(0)
        try bench.shell("\"$P\" forward --store other --model model --restart --nll bad.npy \(redirection)").expect(0)
        #expect(try bench.bytes("bad.npy") == bench.bytes("good.npy"))
        try bench.shell(
            "\"$P\" score input --model model --nll one.npy; \"$P\" score input --model model --nll two.npy \(redirection)"
        ).expect(0)
        #expect(try bench.bytes("one.npy") == bench.bytes("two.npy"))
        try run("verify", "--store", bench.file("other")).expect(0)
        try bench.shell("\"$P\" score - --model model <&-").expect(66, "empty")
    }
}
