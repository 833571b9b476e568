import Glibc
import Support

extension Model {
    /// Writes a model directory with random weights, for trying the engine out: the same seed gives the same bytes.
    ///
    /// `TensorLayout` says what a tensor holds; optional ones are written.
    package static func initialize(_ directory: String, config: ModelConfig, seed: UInt64, isReplacing: Bool) throws {
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
        if !isReplacing,
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
        let shapes = Dictionary(uniqueKeysWithValues: tensors.map { ($0.name, $0.shape) })
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
            case .ramp(let ramp): for index in values.indices { values[index] = ramp.value(index) }
            case .orthogonal(let scale):
                let shape = shapes[name] ?? []
                random.orthogonal(values, rows: shape[0], columns: shape[1], scale: scale)
            case .logarithms(let count):
                for index in values.indices { values[index] = Float(log(Double(index % count + 1))) }
            case .uniformLogarithm(let from, let to):
                for index in values.indices { values[index] = Float(random.logarithm(from: from, to: to)) }
            case .constant(let value): values.update(repeating: Float(value))
            case .multiples(let number, let count):
                for index in values.indices { values[index] = Float(number * Double(index % count)) }
            case .uniform(let bound): for index in values.indices { values[index] = bound * random.uniform() }
            case .geometric(let base):
                for index in values.indices {
                    values[index] = Float(pow(base, -2 * Double(index) / Double(values.count)))
                }
            case .logUniform(let from, let to):
                for index in values.indices {
                    values[index] = Float(log(from + (to - from) * (Double(random.uniform()) + 1) / 2))
                }
            case .inverseSoftplus(let from, let to):
                for index in values.indices {
                    let step = exp(random.logarithm(from: from, to: to))
                    values[index] = Float(step + log(-expm1(-step)))
                }
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

    /// Fills a matrix as `InitialValues.orthogonal` says: random vectors, each less what it shares with those before.
    mutating func orthogonal(_ values: UnsafeMutableBufferPointer<Float>, rows: Int, columns: Int, scale: Double) {
        let (count, length) = (min(rows, columns), max(rows, columns))
        let size = scale * (rows > columns ? (Double(rows) / Double(columns)).squareRoot() : 1)
        var vectors: [[Double]] = []
        for _ in 0..<count {
            var vector = (0..<length).map { _ in Double(normal()) }
            // Twice: the second time takes away what rounding left.
            for _ in 0..<2 {
                for other in vectors {
                    let shared = zip(vector, other).reduce(0) { $0 + $1.0 * $1.1 }
                    for index in vector.indices { vector[index] -= shared * other[index] }
                }
            }
            let inverse = 1 / vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
            vectors.append(vector.map { $0 * inverse })
        }
        for (number, vector) in vectors.enumerated() {
            for (index, value) in vector.enumerated() {
                values[rows <= columns ? number * columns + index : index * columns + number] = Float(size * value)
            }
        }
    }

    /// The logarithm of a number between two, uniform.
    mutating func logarithm(from low: Double, to high: Double) -> Double {
        log(low) + (log(high) - log(low)) * (Double(uniform()) + 1) / 2
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
