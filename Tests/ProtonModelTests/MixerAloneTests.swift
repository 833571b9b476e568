import Compute
import Foundation
import Geometry
import Support
import TestSupport
import Testing

@testable import ProtonModel

/// Streaming mixers by themselves, u in and y out, against float64 results.
///
/// Cases are folders with config.json, model.safetensors, u.npy and y.npy: those of Tests/Fixtures/mixers
/// (`tools/reference.py mixer` makes them), and of any other folder that the environment variable BBP_MIXER_CASES names.
@Suite("Mixers alone") struct MixerAloneTests {
    struct Case: CustomStringConvertible {
        let folder: String
        var description: String { URL(fileURLWithPath: folder).lastPathComponent }
        /// Values of the model's first layer, for mixers that blend theirs with them.
        var first: NpyArray? { try? NpyArray("\(folder)/v_first.npy") }
        /// The block of the model made of it that has the mixer.
        var block: Int { first == nil ? 0 : 1 }
    }

    static let cases: [Case] = {
        let folders = [
            "\(Fixtures.directory)/mixers", ProcessInfo.processInfo.environment["BBP_MIXER_CASES"],
        ].compactMap { $0 }
        return folders.flatMap { folder in
            let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
            return names.sorted().map { Case(folder: "\(folder)/\($0)") }.filter { (try? shape(of: $0)) != nil }
        }
    }()

    /// The case's mixer; nil or an error for kinds that do not stream.
    private static func shape(of example: Case) throws -> any StreamingShape {
        let file = "\(example.folder)/config.json"
        let fields = try JSONValue.object(try File.read(file), file: file)
        var reader = JSONFields(fields, file: file)
        let width = try reader.integer("hidden_size", in: 1...65536)
        let mixers = try #require(
            try LayerMixer.take(
                &reader, file: file, layers: 1, in: MixerSurroundings(hiddenSize: width, isCausal: true)))
        return try #require(mixers[0].shape as? any StreamingShape)
    }

    /// Of the row before, in the values of a first layer.
    private static let shareBefore: Float = 0.25

    /// What a first layer is given so that `values` are its values.
    private func input(of values: NpyArray) -> NpyArray {
        var input = values
        let (D, share) = (values.shape[1], Double(Self.shareBefore))
        for place in values.values.indices {
            let before = place < D ? 0 : Double(input.values[place - D])
            input.values[place] = Float((Double(values.values[place]) - share * before) / (1 - share))
        }
        return input
    }

    /// Values of S4D in a model of twice the width: the further features take no part, for what is read of them is 0.
    private func place(_ known: [Float], of name: String, width D: Int, in target: UnsafeMutableBufferPointer<Float>) {
        let isBias = name.hasSuffix("o_proj.bias")
        guard isBias || name.hasSuffix("o_proj.weight") else {
            for index in known.indices { target[index] = known[index] }
            return
        }
        // y, then -y: both halves of what is gated twice, the values the second time negated.
        let (inputs, wide) = isBias ? (1, 1) : (D, 2 * D)
        for output in 0..<4 * D {
            let isGate = output >= 2 * D, isSecond = output % (2 * D) >= D
            for input in 0..<inputs {
                let value = known[(output % D + (isGate ? D : 0)) * inputs + input]
                target[output * wide + input] = isSecond && !isGate ? -value : value
            }
        }
    }

    /// A model of one layer, or of two where the mixer blends its values with those of a first layer, whose norms
    /// leave rows as they are: of twice the width, rows [u, -u] have no mean, and beside an epsilon of 10^12 their
    /// variance is nothing.
    private func model(of example: Case, _ shape: any StreamingShape, width D: Int, patchSize: Int, in folder: String)
        throws -> (Model, ModelConfig)
    {
        var config = ModelConfig(
            hiddenSize: 2 * D, intermediateSize: 8, layers: 1 + example.block, heads: 1, patchSize: patchSize,
            kernelSize: 1)
        config.positionalEncoding = .none
        // A first layer whose values are blends of its input.
        let first = RWKV7Shape(
            heads: 1, headSize: 2 * D, isFirst: true, decayRank: 1, rateRank: 1, valueRank: 1, gateRank: 1)
        config.mixers = (example.block == 0 ? [] : [LayerMixer(first)]) + [LayerMixer(try Self.doubled(shape))]
        let weights = try SafeTensors("\(example.folder)/model.safetensors")
        func stored(_ name: String) -> String {
            let prefix = "blocks.\(example.block).mixer."
            return name.hasPrefix(prefix)
                ? "blocks.0.mixer." + name.dropFirst(prefix.count) : name + " of a first layer"
        }
        func values(_ name: String) -> [Float]? {
            if example.block == 1 && name == "blocks.0.mixer.v_proj.weight" {
                return (0..<D * D).map { $0 / D == $0 % D ? 1 : 0 }
            }
            return weights.tensors[stored(name)].map { Array(weights.bytes($0).bindMemory(to: Float.self)) }
        }
        let layout = TensorLayout(config).tensors.filter {
            !$0.isOptional || weights.tensors[stored($0.name)] != nil
        }
        func sizes(_ name: String) -> [Int] { weights.tensors[stored(name)]?.shape ?? [D, D] }
        let asked = Dictionary(uniqueKeysWithValues: layout.map { ($0.name, $0.shape) })
        try File.makeDirectory(folder)
        try SafeTensors.write(
            "\(folder)/model.safetensors", shapes: layout.map { ($0.name, $0.shape) }, metadata: [:]
        ) { name, target in
            target.update(repeating: name.contains("norm") && name.hasSuffix("norm.weight") ? 1e6 : 0)
            if example.block == 1 && name == "blocks.0.mixer.mu_v" { target.update(repeating: Self.shareBefore) }
            guard let known = values(name) else { return }
            if name.contains("norm") { target.update(repeating: 0) }
            if shape is S4DShape {
                place(known, of: name, width: D, in: target)
            } else if name.hasSuffix("o_proj.weight") || name.hasSuffix("o_proj.bias") {
                // From the same features to y and -y.
                let (own, wide) = (sizes(name), asked[name] ?? [])
                place(known, own, in: target, wide)
                place(known.map { -$0 }, own, in: target, wide, from: target.count / 2)
            } else if shape is TransformerXLShape && name.hasSuffix("r_proj.weight") {
                // Of waves of twice the width every other one is the same.
                for row in 0..<known.count / D {
                    for column in 0..<D { target[row * 2 * D + 2 * column] = known[row * D + column] }
                }
            } else {
                place(known, sizes(name), in: target, asked[name] ?? [])
            }
        }
        try File.replace("\(folder)/config.json", with: Array(config.json.utf8))
        config.layerNormEpsilon = 1e12
        return (try Model(directory: folder), config)
    }

    /// The shape in a model of twice the width, with more heads where they share it.
    private static func doubled(_ shape: any StreamingShape) throws -> any StreamingShape {
        if var shape = shape as? Mamba2Shape {
            // As many channels, of twice the width.
            try #require(shape.expand % 2 == 0)
            shape.expand /= 2
            return shape
        }
        if var shape = shape as? MambaShape {
            try #require(shape.expansion % 2 == 0)
            (shape.hiddenSize, shape.expansion) = (2 * shape.hiddenSize, shape.expansion / 2)
            return shape
        }
        if let shape = shape as? S4DShape { return S4DShape(hiddenSize: 2 * shape.hiddenSize, states: shape.states) }
        if var shape = shape as? RWKV6Shape {
            shape.heads *= 2
            return shape
        }
        if var shape = shape as? RWKV7Shape {
            shape.heads *= 2
            return shape
        }
        return shape
    }

    /// Puts values [shape] into the first of larger ones [wide], from value `first` on.
    private func place(
        _ values: [Float], _ shape: [Int], in target: UnsafeMutableBufferPointer<Float>, _ wide: [Int],
        from first: Int = 0
    ) {
        for index in values.indices {
            var (rest, place, step) = (index, first, 1)
            for (size, wideSize) in zip(shape, wide).reversed() {
                place += rest % size * step
                rest /= size
                step *= wideSize
            }
            target[place] = values[index]
        }
    }

    /// y by the engine's arithmetic, stretch after stretch; where `saves` says so through a carry that is saved and
    /// taken up by another stream after each.
    private func run(_ example: Case, patchSize: Int, stretchTiles: Int, saves: Bool, kernels: KernelTable) throws
        -> [Float]
    {
        let shape = try Self.shape(of: example)
        let u = try NpyArray("\(example.folder)/u.npy")
        let (n, D) = (u.shape[0], u.shape[1])
        let folder = try TemporaryFolder()
        let (model, config) = try model(
            of: example, shape, width: D, patchSize: patchSize, in: folder.file("model"))
        let geometry = try #require(SequenceGeometry(tokens: n, patchSize: patchSize))
        let backend = CPUBackend(kernels)
        let tensor = TensorReader(model, prefix: "blocks.\(example.block).")
        defer { withExtendedLifetime(tensor) {} }
        let mixer = try Self.doubled(shape).mixer(tensor, config, geometry: geometry, on: backend)
        let tile = Tiling(patchSize: patchSize).rows
        let rows = stretchTiles * tile
        let streamShape = StreamShape(geometry: geometry, rows: rows)
        let tools = LaneTools(try backend.lane(Self.doubled(shape).needs(config, tileRows: tile)), rooms: [])
        var stream = try mixer.stream(streamShape, on: backend)
        let N = geometry.paddedTokens
        let s = try backend.rows(N, width: 2 * D)
        /// Rows [u, -u].
        func doubled(_ u: NpyArray) throws -> Rows {
            let rows = try backend.rows(N, width: 2 * D)
            var doubled = [Float](repeating: 0, count: N * 2 * D)
            for row in 0..<n {
                for column in 0..<D {
                    doubled[row * 2 * D + column] = u.values[row * D + column]
                    doubled[row * 2 * D + D + column] = -u.values[row * D + column]
                }
            }
            tools.lane.upload(doubled, to: rows)
            return rows
        }
        let x = try doubled(u), input = try example.first.map { try doubled(self.input(of: $0)) }
        for first in stride(from: 0, to: N, by: rows) {
            let stretch = first..<min(N, first + rows)
            let tiles = stride(from: first, to: stretch.upperBound, by: tile).map {
                $0..<min(stretch.upperBound, $0 + tile)
            }
            for tile in tiles {
                try stream.prepare(tile, ofStretch: first, x: x[tile], input: input.map { $0[tile] }, with: tools)
            }
            for task in 0..<stream.carryingTasks { try stream.carry(task, over: stretch, with: tools) }
            for tile in tiles { try stream.mix(tile, ofStretch: first, x: x[tile], with: tools, into: s[tile]) }
            if saves {
                let carry = try Memory<UInt8>(stream.carryBytes)
                try stream.save(before: stretch.upperBound, to: carry.bytes, with: tools)
                stream = try mixer.stream(streamShape, on: backend)
                try stream.restore(UnsafeRawBufferPointer(carry.bytes), before: stretch.upperBound, with: tools)
            }
        }
        var mixed = [Float](repeating: 0, count: N * 2 * D)
        tools.lane.download(s, to: &mixed)
        return (0..<n).flatMap { row in
            (0..<D).map { mixed[row * 2 * D + $0] - u.values[row * D + $0] }
        }
    }

    @Test("y is the reference's, within 3e-6 of the largest; whatever the stretches, the same bits", arguments: cases)
    func alone(example: Case) throws {
        let y = try NpyArray("\(example.folder)/y.npy")
        for kernels in [try Kernels.select(), try #require(Kernels.plain)] {
            // Tiles of 768, 765, 700 and 385 rows.
            for patchSize in [1, 5, 100, 385] {
                let whole = try run(example, patchSize: patchSize, stretchTiles: 4, saves: false, kernels: kernels)
                var found = y
                found.values = whole
                #expect(found.relativeError(to: y) < 3e-6, "P \(patchSize)")
                for (tiles, saves) in [(1, false), (1, true), (2, true)] {
                    let cut = try run(
                        example, patchSize: patchSize, stretchTiles: tiles, saves: saves, kernels: kernels)
                    #expect(
                        cut.map(\.bitPattern) == whole.map(\.bitPattern),
                        "P \(patchSize), stretches of \(tiles), saved \(saves)")
                }
            }
        }
    }

    @Test("there are cases of every streaming kind")
    func complete() throws {
        let kinds = Set(try Self.cases.map { LayerMixer(try Self.shape(of: $0)).kind })
        #expect(kinds == Set(LayerMixer.kinds.filter { $0.kind != "monte-carlo" }.map { $0.kind }))
    }
}
