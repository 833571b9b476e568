import Geometry

/// What one pass moved, in bytes of pages, and how long its reads took.
package struct PassTraffic: Sendable {
    package var own = 0
    package var hosts = 0
    package var guests = 0
    /// Tokens to be predicted, in the last pass.
    package var tokens = 0
    /// States.
    package var written = 0
    /// Surprisal.
    package var results = 0
    /// Seconds that workers stood in reads, added up over the workers.
    package var readSeconds = 0.0
    package var read: Int { own + hosts + guests + tokens }

    mutating func add(_ bytes: Int, _ role: ColumnRun.Role, seconds: Double) {
        switch role {
        case .own: own += bytes
        case .host: hosts += bytes
        case .guest: guests += bytes
        }
        readSeconds += seconds
    }
}
