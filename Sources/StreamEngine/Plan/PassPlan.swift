import ProtonModel

/// How a model's layers share passes over the states. A pass reads one generation, takes every window through its
/// layers, and writes one.
///
/// A layer that gathers begins a pass; streaming layers, whose past fits in memory, go along with the pass before them.
/// The division follows from the model and from what is kept, and from nothing else: a run that goes on finds its
/// generations where it looks for them.
package struct PassPlan: Sendable, Equatable {
    /// The layers of each pass, from 1. A pass reads the generation before its first layer and makes that of its last.
    package let passes: [ClosedRange<Int>]

    /// - Parameter isAllKept: every layer's generation is to be written.
    package init(_ config: ModelConfig, isAllKept: Bool) {
        var passes: [ClosedRange<Int>] = []
        for layer in 1...config.depth {
            if let last = passes.last, !isAllKept, !config.isGathering(layer) {
                passes[passes.count - 1] = last.lowerBound...layer
            } else {
                passes.append(layer...layer)
            }
        }
        self.passes = passes
    }

    /// The first pass that is not done, as an index, where the generations up to `generation` are there.
    func next(after generation: Int) -> Int { passes.firstIndex { $0.upperBound > generation } ?? passes.count }

    /// The pass that makes a generation, as an index.
    func pass(making generation: Int) -> Int? { passes.firstIndex { $0.upperBound == generation } }

    /// Whether states are stored by any pass but the last.
    var hasStoredStates: Bool { passes.count > 1 }

    /// What of a pass, by index, is kept: "layers 1 to 3 are kept".
    func kept(_ pass: Int) -> String { "\(name(pass)) \(passes[pass].count == 1 ? "is" : "are") kept" }

    /// A pass by index, for people.
    func name(_ pass: Int) -> String {
        let layers = passes[pass]
        return layers.count == 1
            ? "layer \(layers.lowerBound)" : "layers \(layers.lowerBound) to \(layers.upperBound)"
    }
}
