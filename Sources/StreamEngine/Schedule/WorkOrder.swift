/// The order of a run's work, as tasks (pass, window).
///
/// One rule says which orders are right: in a causal model, a window of a pass needs the pass before it at that window
/// and all before it, and its own pass at all windows before it. Pass by pass is one such order; several passes a window
/// is another, which the same engine could follow.
struct WorkOrder: Sequence {
    struct Task: Equatable {
        var pass: Int
        var window: Int
    }

    private let tasks: AnySequence<Task>

    /// Every pass is finished before the next begins.
    ///
    /// - Parameter firstWindow: of the first pass: windows before it are done.
    static func passByPass(_ passes: Range<Int>, windows: Int, firstWindow: Int = 0) -> WorkOrder {
        WorkOrder(
            AnySequence(
                passes.lazy.flatMap { pass in
                    ((pass == passes.lowerBound ? firstWindow : 0)..<windows).lazy.map {
                        Task(pass: pass, window: $0)
                    }
                }))
    }

    init(_ tasks: AnySequence<Task>) { self.tasks = tasks }

    func makeIterator() -> AnyIterator<Task> { tasks.makeIterator() }

    /// Whether every task comes after those it needs.
    ///
    /// - Parameter done: windows done already of the first pass; passes before it are whole.
    func isSound(firstPass: Int, done: Int = 0, windows: Int) -> Bool {
        var finished = [firstPass: done]
        for task in self {
            let below = task.pass > firstPass ? finished[task.pass - 1] ?? 0 : windows
            guard task.pass >= firstPass, task.window < windows, task.window == finished[task.pass] ?? 0,
                below > task.window
            else { return false }
            finished[task.pass] = task.window + 1
        }
        return true
    }
}
