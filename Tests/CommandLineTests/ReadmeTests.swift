import Foundation
import TestSupport
import Testing

/// What the README shows works as it stands there.
struct ReadmeTests {
    private static let folder = PageArticleTests.root
    private let text: String

    init() throws { text = try String(contentsOfFile: "\(Self.folder)/README.md", encoding: .utf8) }

    /// The blocks of code in `language`.
    private func blocks(_ language: String) -> [String] {
        text.components(separatedBy: "```\(language)\n").dropFirst().compactMap {
            $0.components(separatedBy: "\n```").first
        }
    }

    @Test("Lines fit a page, and every file that it names is there")
    func form() {
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            #expect(line.count <= 100, "line \(index + 1) has \(line.count) characters")
        }
        let links = text.matches(of: /\]\(([^)]+)\)|^\[`[^`]+`\]: (.+)$/.anchorsMatchLineEndings()).compactMap {
            $0.1 ?? $0.2
        }
        #expect(links.count > 10)
        for link in links where !link.hasPrefix("https://") {
            #expect(FileManager.default.fileExists(atPath: "\(Self.folder)/\(link)"), "\(link)")
        }
    }

    @Test("Every file, type and module that an article names is there")
    func articles() throws {
        let files = try FileManager.default.subpathsOfDirectory(atPath: "\(Self.folder)/Sources")
        let sources = try files.filter { $0.hasSuffix(".swift") }.map {
            try String(contentsOfFile: "\(Self.folder)/Sources/\($0)", encoding: .utf8)
        }.joined()
        let types = sources.matches(of: /\b(?:struct|class|enum|protocol|typealias) (\w+)/).map { String($0.1) }
        let names = Set(types + files.compactMap { $0.split(separator: "/").first.map(String.init) })
        let articles = files.filter { $0.contains(".docc/") && $0.hasSuffix(".md") }
        #expect(articles.count >= 5)
        for article in articles {
            let text = try String(contentsOfFile: "\(Self.folder)/Sources/\(article)", encoding: .utf8)
            let folder = "\(Self.folder)/Sources/\(article)/.."
            for link in text.matches(of: /\]\(([^)]+)\)/).map({ $0.1 }) where !link.hasPrefix("https://") {
                let path = URL(fileURLWithPath: "\(folder)/\(link)").standardized.path
                #expect(FileManager.default.fileExists(atPath: path), "\(article): \(link)")
            }
            for file in text.matches(of: /`(\w+\.swift)`/).map({ $0.1 }) {
                let isThere = files.contains { $0.hasSuffix("/\(file)") }
                #expect(isThere, "\(article): \(file)")
            }
            // CamelCase; a member after the dot.
            for name in text.matches(of: /`([A-Z]+[a-z]+[A-Z]\w*)(?:\.\w+(?:\([^`]*\))?)?`/).map({ String($0.1) }) {
                let isThere = names.contains(name)
                #expect(isThere, "\(article): \(name)")
            }
        }
    }

    @Test(
        "Its commands run, in order, and its Python reads what they wrote",
        .enabled(if: PageArticleTests.python != nil, "skipped: Python lacks NumPy; tools/setup installs it"))
    func commands() throws {
        let bench = try Bench()
        defer { bench.remove() }
        let book = try Data(contentsOf: URL(fileURLWithPath: "\(Self.folder)/datasets/opticks.txt"))
        // Enough for an array of a thousand states.
        try bench.write("opticks.txt", book.prefix(3000))
        let commands = blocks("sh").filter { $0.contains("--store opticks.store") || $0.contains("model init") }
        #expect(commands.count == 3)
        let python = try #require(blocks("python").first)
        try bench.write("read.py", Array(python.utf8))
        let interpreter = try #require(PageArticleTests.python)
        let script =
            "export PATH=\"$(dirname \"$P\"):$PATH\"; set -e\n" + commands.joined(separator: "\n")
            + "\n'\(interpreter)' read.py"
        let outcome = try bench.shell(script).expect(0)
        #expect(outcome.output.contains("least expected: b'"))
        // One array of both of the parts that came on standard input.
        #expect(try bench.array("bits.npy").values.count == 3000)
    }
}
