import Glibc
import Support

extension Model {
    /// Writes a model directory with random weights, for trying the engine out: the same seed gives the same bytes.
    ///
    /// `TensorLayout` says what a tensor holds; optional ones are written.
    public static func initialize(_ directory: String, config: ModelConfig, seed: UInt64, replacing: Bool) throws {
        if let found = config.impossibleField() { throw Fault(.usage, "\(found.field) \(found.problem)") }
        guard let parameters = config.parameters, parameters < 1 << 40 else {
            throw Fault(.usage, "these sizes make more than 2^40 parameters")
        }
        let configuration = Array(config.json.utf8)
        guard configuration.count <= ModelConfig.Limit.fileBytes else {
            throw Fault(
                .usage,
                "its config.json would take \(configuration.count) bytes; at most "
                    + "\(ModelConfig.Limit.fileBytes) are read"
            )
        }
        let weightsFile = "\(directory)/model.safetensors"
        if !replacing,
            let taken = ["config.json", "model.safetensors"].first(where: { File.exists("\(directory)/\($0)") })
        {
            throw Fault(
                .cannotCreate, "there is a \(taken) here already", at: Place(file: directory),
                remedies: [.replaceModel, .otherFolder])
        }
        if File.exists("\(directory)/manifest.json") {
            throw Fault(
                .cannotCreate, "this is the folder of a store", at: Place(file: directory),
                remedies: [.otherFolder])
        }
        try File.makeDirectory(directory)
        var random = RandomNumbers(seed: seed)
        let tensors = TensorLayout(config).tensors
        let initial = Dictionary(uniqueKeysWithValues: tensors.map { ($0.name, $0.initial) })
        try SafeTensors.write(
            weightsFile, shapes: tensors.map { ($0.name, $0.shape) },
            metadata: [trainingKey: "random weights of `bbp-stream model init`, seed \(seed)"]
        ) { name, values in
            switch initial[name] {
            case .ones: values.update(repeating: 1)
            case .zeros, nil: values.update(repeating: 0)
            case .normal(let deviation):
                for index in values.indices { values[index] = deviation * random.normal() }
            case .steps(let range):
                for index in values.indices {
                    let step = exp(random.logarithm(in: range))
                    values[index] = Float(step + log(-expm1(-step)))
                }
            case .logarithms(let count):
                for index in values.indices { values[index] = Float(log(Double(index % count + 1))) }
            case .logarithmsOfSteps(let range):
                for index in values.indices { values[index] = Float(random.logarithm(in: range)) }
            case .constant(let value): values.update(repeating: Float(value))
            case .multiples(let number, let count):
                for index in values.indices { values[index] = Float(number * Double(index % count)) }
            case .uniform(let bound): for index in values.indices { values[index] = bound * random.uniform() }
            }
        }
        try File.replace("\(directory)/config.json", with: configuration)
    }
}

/// Random numbers from SplitMix64 bits, the same on every machine.
struct RandomNumbers {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    private mutating func bits() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }

    /// From -1 to 1.
    mutating func uniform() -> Float { Float(Double(bits() >> 11) / 0x1p52 - 1) }

    /// The logarithm of a number of a range, uniform.
    mutating func logarithm(in range: ClosedRange<Double>) -> Double {
        let (low, high) = (log(range.lowerBound), log(range.upperBound))
        return low + (high - low) * (Double(uniform()) + 1) / 2
    }

    /// Of standard deviation 1: the sum of twelve uniforms less six, which needs no libm.
    mutating func normal() -> Float {
        var sum: UInt64 = 0
        for _ in 0..<6 {
            let word = bits()
            sum += (word & 0xffff_ffff) + (word >> 32)
        }
        return Float(Double(sum) / 4_294_967_296 - 6)
    }
}
