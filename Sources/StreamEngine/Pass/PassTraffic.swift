import Geometry

/// What one pass moved, in bytes of pages, and how long its reads took.
public struct PassTraffic: Sendable {
    public var own = 0
    public var hosts = 0
    public var guests = 0
    /// Tokens to be predicted, in the last pass.
    public var tokens = 0
    /// States.
    public var written = 0
    /// Surprisal.
    public var results = 0
    /// Seconds that workers stood in reads, added up over the workers.
    public var readSeconds = 0.0
    public var read: Int { own + hosts + guests + tokens }

    mutating func add(_ bytes: Int, _ role: ColumnRun.Role, seconds: Double) {
        switch role {
        case .own: own += bytes
        case .host: hosts += bytes
        case .guest: guests += bytes
        }
        readSeconds += seconds
    }
}
