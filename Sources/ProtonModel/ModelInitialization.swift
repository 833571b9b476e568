import Support

extension Model {
    /// Writes a model directory with random weights, for trying the engine out: the same seed gives the same bytes.
    ///
    /// Matrices are normal with standard deviation 1/sqrt(fan in), norms and scale 1, biases 0; the head starts small,
    /// so that predictions start near uniform.
    public static func initialize(_ directory: String, config: ModelConfig, seed: UInt64, replacing: Bool) throws {
        if let found = config.impossibleField() { throw Fault(.usage, "\(found.field) \(found.problem)") }
        guard let parameters = config.parameters, parameters < 1 << 40 else {
            throw Fault(.usage, "these sizes make more than 2^40 parameters")
        }
        let weightsFile = "\(directory)/model.safetensors"
        if !replacing,
            let taken = ["config.json", "model.safetensors"].first(where: { File.exists("\(directory)/\($0)") })
        {
            throw Fault(
                .cannotCreate, "there is a \(taken) here already", at: Place(file: directory),
                advice: "Use --force to replace the model, or another folder.")
        }
        if File.exists("\(directory)/manifest.json") {
            throw Fault(
                .cannotCreate, "this is the folder of a store", at: Place(file: directory),
                advice: "Name another folder.")
        }
        try File.makeDirectory(directory)
        var random = NormalNumbers(seed: seed)
        let layout = TensorLayout(config)
        // Of a matrix [outputs, ...].
        let outputs = Dictionary(uniqueKeysWithValues: layout.shapes.map { ($0.name, $0.shape[0]) })
        try SafeTensors.write(
            weightsFile, shapes: layout.shapes,
            metadata: [trainingKey: "random weights of `bbp-stream model init`, seed \(seed)"]
        ) { name, values in
            let deviation: Float
            if name.hasSuffix("norm.weight") || name.hasSuffix(".scale") {
                values.update(repeating: 1)
                return
            } else if name.hasSuffix(".bias") {
                values.update(repeating: 0)
                return
            } else if name == "fc.weight" {
                deviation = 0.02
            } else if name == "codebook" {
                deviation = 1
            } else {
                deviation = 1 / Float(values.count / (outputs[name] ?? 1)).squareRoot()
            }
            for index in values.indices { values[index] = deviation * random.next() }
        }
        try File.replace("\(directory)/config.json", with: Array(config.json.utf8))
    }
}

/// Normal deviates from SplitMix64 bits: the sum of twelve uniforms less six, which needs no libm and so gives the
/// same bits on every machine.
struct NormalNumbers {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    private mutating func bits() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }

    mutating func next() -> Float {
        var sum: UInt64 = 0
        for _ in 0..<6 {
            let word = bits()
            sum += (word & 0xffff_ffff) + (word >> 32)
        }
        return Float(Double(sum) / 4_294_967_296 - 6)
    }
}
