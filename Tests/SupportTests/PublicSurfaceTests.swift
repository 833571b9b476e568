import Foundation
import Testing

/// Whoever uses the library reads what its declarations say of themselves.
@Suite("Public surface") struct PublicSurfaceTests {
    private static let sources = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Sources")

    @Test("every public declaration says what it is, and what it throws")
    func documented() throws {
        let files = try FileManager.default.subpathsOfDirectory(atPath: Self.sources.path).filter {
            $0.hasSuffix(".swift") && !$0.hasPrefix("bbp-stream/")
        }
        var declarations = 0
        for file in files {
            let text = try String(contentsOf: Self.sources.appendingPathComponent(file), encoding: .utf8)
            let (found, problems) = PublicDeclarations.check(text)
            declarations += found
            for problem in problems { Issue.record("Sources/\(file), \(problem)") }
        }
        // Nothing was found where nothing was looked at.
        #expect(declarations > 200)
    }

    @Test("a declaration that says nothing is found, of every kind")
    func found() {
        let (found, problems) = PublicDeclarations.check(
            """
            public struct Bare {
                @available(*, deprecated)
                public var bare = 1
                /// Said.
                public var said = 2
                private enum CodingKeys: String, CodingKey {
                    case bare
                }
            }

            /// Said.
            public enum Said {
                case bare
                /// Said.
                case said
                /// Said.
                public func name() -> String {
                    switch self {
                    case .bare: "bare"
                    case .said: "said"
                    }
                }
                case late
            }

            /// Said.
            public protocol Asked {
                func bare()
            }

            /// Said, but not that it throws.
            public func throwing(
                _ number: Int
            ) throws {}

            /// Said.
            ///
            /// - Throws: `Fault`.
            public func thrower() throws {}

            /// Said: `body` throws, this does not.
            public func taker(_ body: () throws -> Void) rethrows {}

            package var ours = 1
            """)
        #expect(found == 13)
        let places = problems.compactMap { $0.split(separator: ":").first }
        #expect(places == ["line 1", "line 3", "line 13", "line 23", "line 28", "line 32"])
    }
}

/// The public declarations of a source text: what is marked so, the cases of public enumerations and what public
/// protocols ask for. It goes by lines as swift-format leaves them: a block ends where a brace stands under its
/// beginning.
private enum PublicDeclarations {
    /// - Returns: the number of declarations, and in words those that are not documented.
    static func check(_ text: String) -> (found: Int, problems: [String]) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        var found = 0
        var problems: [String] = []
        /// The public enumeration or protocol that the line is in: how far it is indented, and how members begin.
        var outer: [(indent: Int, members: [String])] = []
        for (index, line) in lines.enumerated() {
            let code = line.drop { $0 == " " }
            let indent = line.count - code.count
            if let last = outer.last, code.hasPrefix("}"), indent == last.indent { outer.removeLast() }
            let isMember = outer.last.map { last in
                indent == last.indent + 4 && last.members.contains(where: code.hasPrefix)
            }
            guard code.hasPrefix("public ") || isMember == true else { continue }
            found += 1
            let documentation = documentation(above: index, in: lines)
            if documentation.isEmpty {
                problems.append("line \(index + 1): '\(code)' says nothing of itself")
            } else if isThrowing(from: index, in: lines), !documentation.contains(where: { $0.contains("- Throws:") }) {
                problems.append("line \(index + 1): '\(code)' does not say what it throws")
            }
            let members: [(String, [String])] = [
                ("public enum ", ["case ", "indirect case "]),
                ("public protocol ", ["func ", "var ", "init", "static "]),
            ]
            if let kind = members.first(where: { code.hasPrefix($0.0) }), !code.hasSuffix("}") {
                outer.append((indent, kind.1))
            }
        }
        return (found, problems)
    }

    /// The `///` lines above a declaration and its attributes.
    private static func documentation(above index: Int, in lines: [String]) -> [String] {
        var above = lines[..<index].map { $0.drop { $0 == " " } }
        while above.last?.hasPrefix("@") == true { above.removeLast() }
        return above.reversed().prefix { $0.hasPrefix("///") }.map(String.init)
    }

    /// Whether a function or an initialiser throws by itself: `throws` stands after its last parenthesis.
    private static func isThrowing(from index: Int, in lines: [String]) -> Bool {
        guard ["func ", "init(", "init?("].contains(where: lines[index].contains) else { return false }
        var depth = 0
        var words = ""
        for line in lines[index...] {
            for letter in line {
                switch letter {
                case "(": depth += 1
                case ")": depth -= 1
                case "{" where depth == 0: return words.split(separator: " ").contains("throws")
                default: if depth == 0 { words.append(letter) }
                }
            }
            words.append(" ")
            // What a protocol asks for has no body.
            if depth == 0, !line.hasSuffix(")"), !line.hasSuffix("throws") { break }
        }
        return words.split(separator: " ").contains("throws")
    }
}
