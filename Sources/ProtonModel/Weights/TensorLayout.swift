import Glibc

/// A tensor that a model has: name, shape, and what it holds before training.
package struct TensorDescription: Sendable, Equatable {
    package var name: String
    /// Of a matrix [outputs, inputs].
    package var shape: [Int]
    package var initial: InitialValues
    /// Whether a model may come without it.
    package var isOptional: Bool
    /// Whether rows are multiplied with it, where it has two dimensions: it is no table of single values.
    package var isFactor: Bool

    package init(_ name: String, _ shape: [Int], _ initial: InitialValues, isOptional: Bool = false) {
        self.init(name, shape, initial, isOptional: isOptional, isFactor: true)
    }

    package init(
        _ name: String, _ shape: [Int], _ initial: InitialValues, isOptional: Bool = false, isFactor: Bool
    ) {
        self.name = name
        self.shape = shape
        self.initial = initial
        self.isOptional = isOptional
        self.isFactor = isFactor
    }

    /// A matrix [outputs, inputs], after Glorot and Bengio.
    init(xavier name: String, _ shape: [Int], gain: Double) {
        self.init(name, shape, .xavier(gain: gain, inputs: shape[1], outputs: shape[0]))
    }

    /// A matrix or convolution [outputs, ...], normal with standard deviation 1/sqrt(fan in).
    init(scaled name: String, _ shape: [Int]) {
        self.init(name, shape, .normal(deviation: 1 / Float(shape.dropFirst().reduce(1, *)).squareRoot()))
    }
}

/// What a tensor holds before training.
package enum InitialValues: Sendable, Equatable {
    case zeros
    case ones
    case normal(deviation: Float)
    /// From -bound to bound.
    case uniform(bound: Float)
    /// Value i of n is base^(-2i/n).
    case geometric(base: Double)
    /// Logarithms of what is uniform between two numbers.
    case logUniform(from: Double, to: Double)
    /// x of which log(1 + e^x) lies between two numbers, its logarithm uniform.
    case inverseSoftplus(from: Double, to: Double)
    /// The same for every layer of the same place in its model: value i follows from i.
    case ramp(InitialRamp)
    /// Of a matrix: rows of length `scale`, orthogonal to one another; columns where there are fewer, each longer by
    /// the root of rows / columns.
    case orthogonal(scale: Double)
    /// Uniform between the logarithms of two numbers.
    case uniformLogarithm(from: Double, to: Double)
    /// log 1 to log `count`, over and over.
    case logarithms(count: Int)
    case constant(Double)
    /// 0 to `count` - 1 times a number, over and over.
    case multiples(of: Double, count: Int)

    /// Uniform with bound gain·sqrt(6 / (inputs + outputs)), after Glorot and Bengio (2010), for a matrix.
    static func xavier(gain: Double, inputs: Int, outputs: Int) -> InitialValues {
        .uniform(bound: Float(gain * (6 / (Double(inputs) + Double(outputs))).squareRoot()))
    }
}

/// first + rise·(i / last)^exponent, and `waver` times -1, 0 or 1 in turn, 0 first, and `bow` times z·|z| where z goes
/// from -1 to 1 in every `period` values.
package struct InitialRamp: Sendable, Equatable {
    package var first: Double
    package var rise: Double
    package var exponent = 1.0
    package var last: Int
    package var waver = 0.0
    package var bow = 0.0
    package var period = 1

    func value(_ index: Int) -> Float {
        let z = period > 1 ? 2 * Double(index % period) / Double(period - 1) - 1 : 0
        return Float(
            first + rise * pow(Double(index) / Double(max(1, last)), exponent) + waver * Double((index + 1) % 3 - 1)
                + bow * z * abs(z))
    }
}

/// The tensors of a model: names and shapes as Model.md gives them, in the order of fingerprints and files.
struct TensorLayout {
    let tensors: [TensorDescription]
    /// Scalars that checkpoints carry and the model does not use.
    let unused: Set<String>

    init(_ config: ModelConfig) {
        let (D, V) = (config.hiddenSize, ModelConfig.vocabulary)
        var tensors = [TensorDescription("codebook", [V, D], .normal(deviation: 1))]
        if config.positionalEncoding == .coordConv {
            tensors += [
                TensorDescription(scaled: "coord_conv.conv.weight", [D, 8, 3]),
                TensorDescription("coord_conv.scale", [1], .ones),
            ]
        }
        tensors += Self.norm("norm", D)
        // The head starts small, so that predictions start near uniform.
        tensors += [
            TensorDescription("fc.weight", [V, D], .normal(deviation: 0.02)), TensorDescription("fc.bias", [V], .zeros),
        ]
        for (layer, mixer) in config.mixers.enumerated() {
            let block = "blocks.\(layer)."
            tensors += Self.norm(block + "pre_norm.norm", D)
            if mixer.isMonteCarlo {
                tensors += [
                    TensorDescription(scaled: block + "cov1_delegate.weight", [D, D, 1, 1]),
                    TensorDescription(block + "cov1_delegate.bias", [D], .zeros),
                    TensorDescription(scaled: block + "self_attn.qkv.weight", [3 * D, D, 1, 1]),
                    TensorDescription(scaled: block + "self_attn.proj.weight", [D, D, 1, 1]),
                    TensorDescription(block + "self_attn.proj.bias", [D], .zeros),
                ]
            }
            tensors += mixer.shape.tensors(width: D, layer: layer, of: config.layers).map { tensor in
                var tensor = tensor
                tensor.name = block + "mixer." + tensor.name
                return tensor
            }
            tensors += Self.norm(block + "norm1.norm", D)
            if mixer.isMonteCarlo && config.delegation == .selective {
                tensors += [
                    TensorDescription(scaled: block + "select.weight", [1, D]),
                    TensorDescription(block + "select.bias", [1], .zeros),
                ]
            }
            var inputs = D
            for (index, convolution) in config.convolutions.enumerated() {
                let name = block + Self.convolution(index, config)
                tensors += [
                    TensorDescription(
                        scaled: name + ".weight", [convolution.channels, inputs, convolution.kernelSize]),
                    TensorDescription(name + ".bias", [convolution.channels], .zeros),
                ]
                inputs = convolution.channels
            }
            if config.hasProjectionBack {
                tensors += [
                    TensorDescription(scaled: block + "cov4.weight", [D, inputs, 1]),
                    TensorDescription(block + "cov4.bias", [D], .zeros),
                ]
            }
        }
        self.tensors = tensors
        unused = Set(config.mixers.indices.flatMap { ["blocks.\($0).s1", "blocks.\($0).s2"] })
    }

    private static func norm(_ name: String, _ width: Int) -> [TensorDescription] {
        [
            TensorDescription(name + ".weight", [width], .ones), TensorDescription(name + ".bias", [width], .zeros),
        ]
    }

    /// The name of a block's convolution `index`.
    static func convolution(_ index: Int, _ config: ModelConfig) -> String {
        config.stack == nil ? "cov3" : "tcn.\(index)"
    }
}
