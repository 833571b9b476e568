import Foundation
import Testing

/// Package.swift names for each target what its sources import, and not only what they reach through others.
@Suite("Declared imports") struct DeclaredImportsTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    private struct Target {
        var name: String
        var folder: String
        /// As modules are called: "bbp_stream".
        var dependencies: Set<String>
    }

    private static func modules(_ text: Substring) -> Set<String> {
        Set(text.matches(of: /"([\w-]+)"/).map { $0.1.replacingOccurrences(of: "-", with: "_") })
    }

    /// The targets of a manifest, and all modules that it names.
    private static func targets(of manifest: String) -> (targets: [Target], known: Set<String>) {
        let beginnings = manifest.matches(
            of: /\.(target|executableTarget|testTarget|systemLibrary)\(\s*name: "([\w-]+)"/)
        var targets: [Target] = []
        for (number, match) in beginnings.enumerated() {
            let end = number + 1 < beginnings.count ? beginnings[number + 1].range.lowerBound : manifest.endIndex
            let body = manifest[match.range.upperBound..<end]
            let path = body.firstMatch(of: /path: "([^"]+)"/).map { String($0.1) }
            let usual = match.1 == "testTarget" ? "Tests" : "Sources"
            targets.append(
                Target(
                    name: String(match.2), folder: path ?? "\(usual)/\(match.2)",
                    dependencies: body.firstMatch(of: /dependencies: \[([^\]]*)\]/).map { modules($0.1) } ?? []))
        }
        let names = targets.map { $0.name.replacingOccurrences(of: "-", with: "_") }
        return (targets, targets.reduce(into: Set(names)) { $0.formUnion($1.dependencies) })
    }

    private static func imports(_ source: String) -> Set<String> {
        let lines = source.matches(
            of: /^ *(?:@testable |public |package |internal )?import (?:(?:struct|class|enum|protocol|func) )?(\w+)/
                .anchorsMatchLineEndings())
        return Set(lines.map { String($0.1) })
    }

    @Test("every target declares what it imports")
    func declared() throws {
        let manifest = try String(contentsOf: Self.root.appendingPathComponent("Package.swift"), encoding: .utf8)
        let (targets, known) = Self.targets(of: manifest)
        var declared = 0
        for target in targets {
            let folder = Self.root.appendingPathComponent(target.folder)
            let files = try FileManager.default.subpathsOfDirectory(atPath: folder.path)
            for file in files where file.hasSuffix(".swift") {
                let source = try String(contentsOf: folder.appendingPathComponent(file), encoding: .utf8)
                let imported = Self.imports(source).intersection(known)
                declared += imported.count
                let missing = imported.subtracting(target.dependencies).sorted()
                #expect(missing.isEmpty, "\(target.folder)/\(file), of target \(target.name)")
            }
        }
        // Nothing is missing where nothing is found.
        #expect(targets.count > 20 && declared > 300)
    }
}
