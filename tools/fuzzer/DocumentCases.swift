import PageStore
import ProtonModel
import StreamEngine
import Support

// Changes of the documents that people edit and other programs write.

extension Case {
    /// manifest.json.
    func changeManifest(_ others: [Scene]) throws {
        var tree = scene.manifestTree
        // A store that says it has been run, as one that was: the run is then what is changed.
        if scene.manifest.run == nil, numbers.once(in: 3),
            let run = others.first(where: { $0.name == "finished" })?.manifestTree.field("run")
        {
            let renamed = run.setting("model_fingerprint", .scalar("\"\(scene.fingerprint)\"")).setting(
                "complete", .scalar("false"))
            tree = tree.setting("run", renamed)
            story.append("run: as one that was begun")
        }
        let changed = tree.mutated(
            &numbers, others: others.map(\.manifestTree),
            preferred: [
                "directory", "element", "state", "width", "hidden_size", "patches_per_block", "tokens",
                "patch_size", "tables",
            ])
        var text = changed.text
        let isSigned = !numbers.once(in: 4)
        let hadChecksum = scene.manifestTree.field("checksum") != nil
        if isSigned { ManifestChecksum.sign(&text) }
        story += changed.story + (hadChecksum ? ["checksum \(isSigned ? "right" : "not put right")"] : [])
        if changed.mustBeRefused { mustBeRefused.append("manifest.json that is not JSON or repeats a field") }
        // Digits that are spelled with escapes are not put right.
        mustWork = changed.meansTheSame && (!hadChecksum || isSigned && ManifestChecksum.isRight(text))
        try Files.write("\(store)/manifest.json", text)
        tryStore()
    }

    /// config.json.
    func changeConfig(_ others: [Scene]) throws {
        let changed = scene.configTree.mutated(&numbers, others: others.map(\.configTree), preferred: [])
        story += changed.story
        if changed.mustBeRefused { mustBeRefused.append("config.json that is not JSON or repeats a field") }
        mustWork = changed.meansTheSame
        try Files.write("\(model)/config.json", changed.text)
        tryModel()
    }

    /// The header of model.safetensors, its length, and the data.
    func changeHeader(_ others: [Scene]) throws {
        var header = Array(scene.headerTree.text(.compact).utf8)
        var data = scene.weights
        var stated: UInt64?
        switch numbers.below(10) {
        case 0:
            stated = numbers.hostile(near: UInt64(header.count))
            story.append("header length \(stated ?? 0) for \(header.count)")
        case 1:
            switch numbers.below(3) {
            case 0: data.removeLast(1 + numbers.below(data.count))
            case 1: data += numbers.bytes(1 + numbers.below(64))
            default: data = []
            }
            story.append("\(data.count) bytes of data for \(scene.weights.count)")
        case 2:
            let at = numbers.below(data.count / 4) * 4
            let value = numbers.pick([
                0x7f80_0000, 0xff80_0000, 0x7fc0_0000, 0x7f7f_ffff, 0xff7f_ffff, 0x7e00_0000, 1, 0x7f00_7f00,
                0x7f7f_7f7f,
            ])
            data.put(UInt64(value), at: at, width: 4)
            story.append("bits \(String(value, radix: 16)) at byte \(at) of the data")
        default:
            let changed = scene.headerTree.mutated(
                &numbers, others: others.map(\.headerTree), preferred: ["dtype", "shape", "data_offsets"])
            story += changed.story
            header = changed.text
            if changed.mustBeRefused {
                mustBeRefused.append("model.safetensors with a header that is not JSON or repeats a field")
            }
            mustWork = changed.meansTheSame
        }
        try Files.write(
            "\(model)/model.safetensors", SafeTensorsFile.bytes(header: header, data: data, stated: stated))
        tryModel()
    }

    /// Everything that reads a model.
    private func tryModel() {
        let config = attemptReading("read the configuration") { try ModelConfig(directory: model) }
        let opened = attemptReading("open the model") { try Model(directory: model) }
        if opened != nil {
            for why in mustBeRefused { fail("accepted: \(why)") }
        } else if mustWork {
            fail("refused, and only its spelling changed")
        }
        _ = attemptReading("open the weights") { try SafeTensors("\(model)/model.safetensors") }
        // A fingerprint names a model: with the same one the results are the same.
        let isSame = opened?.fingerprint == scene.fingerprint
        (expectsStates, expectsSurprisal) = (isSame, isSame)
        // Longer models take longer, and so they may.
        if let config, config.depth > 8 || config.reach.before + config.reach.after > 4096 { return }
        forward(dryRun: true)
        forward(dryRun: false)
    }
}

/// The checksum of manifest.json, in one place: sixteen digits that stand for the bytes of a file that has zeros there.
enum ManifestChecksum {
    private static let name = Array("\"checksum\"".utf8)

    static func isRight(_ text: [UInt8]) -> Bool {
        var signed = text
        sign(&signed)
        return signed == text && digits(in: text) != nil
    }

    /// Puts the last checksum in `text` right; leaves a text alone that has none.
    static func sign(_ text: inout [UInt8]) {
        guard let at = digits(in: text) else { return }
        text.replaceSubrange(at..<at + 16, with: Array(repeating: UInt8(ascii: "0"), count: 16))
        let sum = String(text.withUnsafeBytes { checksum($0) }, radix: 16)
        let padded = String(repeating: "0", count: 16 - sum.count) + sum
        text.replaceSubrange(at..<at + 16, with: Array(padded.utf8))
    }

    private static func digits(in text: [UInt8]) -> Int? {
        guard text.count > name.count + 18 else { return nil }
        for start in (0..<text.count - name.count - 18).reversed()
        where text[start..<start + name.count].elementsEqual(name) {
            guard let quote = text[(start + name.count)...].firstIndex(of: UInt8(ascii: "\"")),
                quote + 17 < text.count,
                text[quote + 17] == UInt8(ascii: "\"")
            else { continue }
            return quote + 1
        }
        return nil
    }
}
