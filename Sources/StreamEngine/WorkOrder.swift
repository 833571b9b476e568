/// The order of a run's work, as tasks (layer, window).
///
/// One rule says which orders are right: in a causal model, a window of layer l needs layer l-1 at that window and all
/// before it, and layer l itself at all windows before it. Layer by layer is one such order; several layers a window is
/// another, which the same engine could follow.
struct WorkOrder: Sequence {
    struct Task: Equatable {
        var layer: Int
        var window: Int
    }

    private let tasks: AnySequence<Task>

    /// Every layer is finished before the next begins.
    ///
    /// - Parameter firstWindow: of the first layer: windows before it are done.
    static func layerByLayer(_ layers: ClosedRange<Int>, windows: Int, firstWindow: Int = 0) -> WorkOrder {
        WorkOrder(
            AnySequence(
                layers.lazy.flatMap { layer in
                    ((layer == layers.lowerBound ? firstWindow : 0)..<windows).lazy.map {
                        Task(layer: layer, window: $0)
                    }
                }))
    }

    init(_ tasks: AnySequence<Task>) { self.tasks = tasks }

    func makeIterator() -> AnyIterator<Task> { tasks.makeIterator() }

    /// Whether every task comes after those it needs.
    ///
    /// - Parameter done: windows done already, by layer; layers before the first are whole.
    func isSound(firstLayer: Int, done: Int = 0, windows: Int) -> Bool {
        var finished = [firstLayer: done]
        for task in self {
            let below = task.layer > firstLayer ? finished[task.layer - 1] ?? 0 : windows
            guard task.layer >= firstLayer, task.window < windows, task.window == finished[task.layer] ?? 0,
                below > task.window
            else { return false }
            finished[task.layer] = task.window + 1
        }
        return true
    }
}
