/// What is to be removed should the process be stopped before its owner removes it: temporary folders, half-made
/// outputs.
package enum Cleanup {
    /// One thing to remove.
    package struct Entry: Sendable {
        fileprivate let number: Int
    }

    private struct Entries {
        var next = 0
        var bodies: [Int: @Sendable () -> Void] = [:]
    }

    private static let entries = Locked(Entries())

    /// Has `body` called when the process is stopped, on another thread, while others may still work.
    package static func add(_ body: @escaping @Sendable () -> Void) -> Entry {
        entries.withLock {
            $0.next += 1
            $0.bodies[$0.next] = body
            return Entry(number: $0.next)
        }
    }

    /// The owner has removed it, or it is to stay.
    package static func cancel(_ entry: Entry) {
        entries.withLock { $0.bodies[entry.number] = nil }
    }

    /// Removes everything, the newest first. The process ends after that.
    package static func run() {
        let bodies = entries.withLock { entries in
            defer { entries.bodies = [:] }
            return entries.bodies.sorted { $0.key > $1.key }.map(\.value)
        }
        for body in bodies { body() }
    }
}
