/// A tensor that a model has: name, shape, and what it holds before training.
public struct TensorDescription: Sendable, Equatable {
    public var name: String
    /// Of a matrix [outputs, inputs].
    public var shape: [Int]
    public var initial: InitialValues
    /// Whether a model may come without it.
    public var isOptional: Bool

    public init(_ name: String, _ shape: [Int], _ initial: InitialValues, isOptional: Bool = false) {
        self.name = name
        self.shape = shape
        self.initial = initial
        self.isOptional = isOptional
    }

    /// A matrix or convolution [outputs, ...], normal with standard deviation 1/sqrt(fan in).
    init(scaled name: String, _ shape: [Int]) {
        self.init(name, shape, .normal(deviation: 1 / Float(shape.dropFirst().reduce(1, *)).squareRoot()))
    }
}

/// What a tensor holds before training.
public enum InitialValues: Sendable, Equatable {
    case zeros
    case ones
    case normal(deviation: Float)
    /// From -bound to bound.
    case uniform(bound: Float)

    /// Of each value log(1 + e^value) is a step: uniform in its logarithm.
    case steps(ClosedRange<Double>)
    /// log 1 to log `count`, over and over.
    case logarithms(count: Int)

    /// The logarithm of a step, uniform.
    case logarithmsOfSteps(ClosedRange<Double>)
    case constant(Double)
    /// 0 to `count` - 1 times a number, over and over.
    case multiples(of: Double, count: Int)

    /// Uniform with bound gain·sqrt(6 / (inputs + outputs)), after Glorot and Bengio (2010), for a matrix.
    static func xavier(gain: Double, inputs: Int, outputs: Int) -> InitialValues {
        .uniform(bound: Float(gain * (6 / (Double(inputs) + Double(outputs))).squareRoot()))
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
            tensors += mixer.shape.tensors(width: D).map { tensor in
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
