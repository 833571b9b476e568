import PageStore
import ProtonModel
import Support

/// What `forward` is asked to do.
public struct ForwardOptions: Sendable {
    /// Which generations stay in the store when the run is done.
    public enum Keep: String, Sendable, CaseIterable {
        /// The states after the last layer.
        case last
        /// The states after every layer.
        case all
        /// No states: surprisal only.
        case none
    }

    /// The store's folder.
    public var store: String
    /// The model's folder.
    public var model: String
    /// Bound on anonymous memory in bytes; nil for half of what the machine can give.
    public var memory: Int?
    /// Worker threads; nil for one a core.
    public var threads: Int?
    /// Number format of states; nil for bf16, or what the run began with.
    public var state: Element?
    /// What matrix products are computed in; nil for f32, or what the run began with.
    public var compute: Compute?
    /// How convolutions are computed; nil for what suits the model and the sequence, or what the run began with.
    public var convolution: ConvolutionWay?
    /// nil for `last`, or what the run began with.
    public var keep: Keep?
    /// Where to write surprisal as a NumPy array.
    public var nll: String?
    /// Forget an earlier run's states and begin anew.
    public var isRestart = false
    /// State the plan and stop.
    public var isDryRun = false
    /// Before a run, a sample is taken of sequences longer than so many samples.
    var leastSamples = 16
    /// Go on where the disk seems too small.
    public var isForced = false

    /// A run of the model in the folder `model` over the store `store`, all else as it is by default.
    public init(store: String, model: String) {
        self.store = store
        self.model = model
    }
}
