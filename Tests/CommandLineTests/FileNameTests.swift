import Foundation
import TestSupport
import Testing

/// Names are bytes: taken as they are, shown so that they do no harm.
struct FileNameTests {
    let bench: Bench

    init() throws {
        bench = try Bench()
        try bench.model(patchSize: 16, hiddenSize: 8)
    }

    @Test("Names that are not UTF-8 are found, written and kept apart")
    func notUTF8() throws {
        try bench.shell(#"printf AB > $'caf\xe9'; exec "$P" score --model model $'caf\xe9'"#).expect(0)
        try bench.shell(
            #"""
            printf C > b
            "$P" score --model model --nll $'r\xe8.npy' b && "$P" score --model model --nll $'r\xe9.npy' b
            test -f $'r\xe8.npy' && test -f $'r\xe9.npy' && test $(ls | grep -c npy) = 2
            """#
        ).expect(0)
        try bench.shell(
            #"""
            mkdir $'s\xe9'; "$P" ingest b --store $'s\xe9' && test -f $'s\xe9/manifest.json' && test ! -e $'s\xef\xbf\xbd'
            cp -r model $'m\xff' && "$P" forward --store $'s\xe9' --model $'m\xff' --nll n.npy && "$P" verify --store $'s\xe9'
            """#
        ).expect(0)
        // Scalars that stand for such bytes here are names too.
        try bench.shell(#"printf D > $'\xf4\x8f\xb8\x80\xff'; exec "$P" score --model model $'\xf4\x8f\xb8\x80\xff'"#)
            .expect(0)
        try bench.shell(
            #"TMPDIR=$'t\xe9'; mkdir "$TMPDIR"; export TMPDIR; "$P" score --model model b && test -z "$(ls "$TMPDIR")""#
        ).expect(0)
    }

    @Test(
        "Names are shown with what could mislead written out",
        arguments: [
            (#"$'caf\xe9'"#, #"caf\xe9"#), (#"$'a\nbbp-stream: all is well'"#, #"a\nbbp-stream: all is well"#),
            (#"$'\e[2Jb'"#, #"\x1b[2Jb"#),
            (#"$'c\u202ed'"#, #"c\u{202e}d"#), (#"$'e\tf\r'"#, #"e\tf\r"#), (#"$'\u0085g'"#, #"\u{85}g"#),
            (#"$'naïve 字'"#, "naïve 字"),
        ])
    func shown(name: String, expected: String) throws {
        let missing = try bench.shell(#"exec "$P" score --model model \#(name)"#).expect(66, expected)
        let found = try bench.shell(#"printf X > \#(name); exec "$P" score --model model \#(name)"#).expect(0)
        #expect(found.output.contains("  \(expected)\n"))
        let store = try bench.shell(#""$P" ingest \#(name) --store s && exec "$P" dump --store s"#).expect(0)
        #expect(store.output.contains(expected))
        let json = try bench.shell(#"exec "$P" score --model model --json \#(name)"#).expect(0).json()
        let file = try #require((json["files"] as? [[String: Any]])?.first?["file"] as? String)
        // JSON has control characters as they are; bytes that are not UTF-8 it cannot have.
        if name.contains("xe9") { #expect(file == expected) } else { #expect(!file.contains("\\x")) }
        for text in [missing.error, found.output, store.output] {
            #expect(
                !text.unicodeScalars.contains {
                    $0.value < 0x20 && $0 != "\n" || (0x7F...0x9F).contains($0.value) || $0.value == 0x202E
                })
        }
    }

    @Test("Names in files of others are shown so too: tensors, JSON fields, what lies in a folder")
    func foreignNames() throws {
        try bench.shell(#"mkdir s; printf x > $'s/bad\e[31m\nname'"#).expect(0)
        let refused = try bench.shell(#"printf x > f; exec "$P" ingest f --store s"#).expect(73, #"bad\x1b[31m\nname"#)
        #expect(!refused.error.contains("\u{1b}"))
        try bench.edit("model/config.json", ["hidden_sizes\u{1b}[31m\n": 3])
        let field = try run("model", "info", bench.file("model"))
        #expect(!(field.error + field.output).contains("\u{1b}"))
        #expect((field.error + field.output).contains(#"\x1b[31m\n"#))
    }
}
