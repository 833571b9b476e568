import Cluster
import Glibc
import Support

/// What peers of any kind keep, as programs that every rank runs: they throw where something is not kept.
///
/// A program knows nothing but its peers, so that ranks may be threads, processes or machines. Whoever runs them makes
/// new peers for each, with its credit and patience, and ends a program that throws with `fail`. Programs tell earlier
/// from later by the machine's monotonic clock.
struct Conformance: Sendable, CustomStringConvertible {
    let name: String
    /// The fewest ranks that show it.
    var leastRanks = 1
    var credit = Credit(bytes: 1 << 16, messages: 8)
    /// Seconds.
    var patience = 30.0
    let program: @Sendable (any Peers) throws -> Void

    var description: String { name }

    struct Violation: Error, CustomStringConvertible { let description: String }

    static let all = messages + credits + carries + agreements + failures + silences

    // MARK: Messages

    static let messages = [
        Conformance(name: "a rank knows its place, and that there are no others than there are") { peers in
            try demand((0..<peers.count).contains(peers.rank), "rank \(peers.rank) of \(peers.count)")
            for other in [peers.rank, -1, peers.count, Int.max, Int.min] {
                for call in [{ try push([], to: other, page(0), peers) }, { _ = try take(page(0), other, peers) }] {
                    try demand(fault(call)?.kind == .usage, "rank \(other) is no peer of rank \(peers.rank)")
                }
            }
            // That stops nobody.
            try peers.agree(on: "the end")
        },
        Conformance(name: "messages of one tag come in the order that they went in") { peers in
            for round in 0..<200 {
                for other in others(peers) {
                    try push([1, UInt8(round)], to: other, page(1), peers)
                    try push([2, UInt8(round)], to: other, .page(generation: 2, block: 1), peers)
                }
                for other in others(peers) {
                    try demand(take(page(1), other, peers) == [1, UInt8(round)], "message \(round) of page 1")
                }
                // Of the other one, two at a time.
                for other in others(peers) where round % 2 == 1 {
                    for earlier in [round - 1, round] {
                        let message = try take(.page(generation: 2, block: 1), other, peers)
                        try demand(message == [2, UInt8(earlier)], "message \(earlier) of the other page 1")
                    }
                }
            }
            try peers.agree(on: "the end")
        },
        Conformance(name: "tags are told apart, and may be taken in another order") { peers in
            let largest = Int.max
            let tags: [Tag] = [
                .page(generation: 1, block: 2), .column(generation: 1, block: 2, column: 0),
                .page(generation: 2, block: 1),
                .column(generation: 1, block: 2, column: 3), .page(generation: largest, block: largest),
                .column(generation: largest, block: largest, column: largest), .page(generation: 0, block: 0),
            ]
            for (number, tag) in tags.enumerated() {
                for other in others(peers) { try push([UInt8(number), UInt8(peers.rank)], to: other, tag, peers) }
            }
            for (number, tag) in tags.enumerated().reversed() {
                for other in others(peers).reversed() {
                    try demand(take(tag, other, peers) == [UInt8(number), UInt8(other)], "\(tag) of rank \(other)")
                }
            }
        },
        Conformance(
            name: "messages of any length come as they went", credit: Credit(bytes: 2 << 20, messages: 2)
        ) { peers in
            for length in [0, 1, 7, 4096, 65_537, 2 << 20] {
                for other in others(peers) {
                    var bytes = pattern(length, from: peers.rank, to: other)
                    try push(bytes, to: other, page(length), peers)
                    // They are free to be overwritten.
                    for index in bytes.indices { bytes[index] = 0xee }
                }
                for other in others(peers) {
                    try demand(
                        take(page(length), other, peers) == pattern(length, from: other, to: peers.rank),
                        "\(length) bytes of rank \(other)")
                }
            }
        },
    ]

    // MARK: Credit

    static let credits = [
        Conformance(
            name: "no more messages are under way than the credit has", leastRanks: 2,
            credit: Credit(bytes: 1 << 16, messages: 3)
        ) { try bounded($0, within: [0, 1, 2], beyond: 0) },
        Conformance(
            name: "no more bytes are under way than the credit has", leastRanks: 2,
            credit: Credit(bytes: 1000, messages: 100)
        ) { try bounded($0, within: [600, 0, 400], beyond: 1) },
        Conformance(
            name: "a message longer than the credit is refused, and stops nobody",
            credit: Credit(bytes: 1000, messages: 100)
        ) { peers in
            for other in others(peers) {
                let fault = fault { try push(pattern(1001, from: 0, to: 0), to: other, page(3), peers) }
                try demand(fault?.kind == .usage, "1001 bytes went")
                for words in ["1001", "1000", "block 3", "rank \(other)"] {
                    try demand(
                        fault?.problem.contains(words) == true, "\(words) is missing in: \(fault?.problem ?? "")")
                }
            }
            try peers.agree(on: "the end")
        },
        Conformance(
            name: "what is taken gives credit back, also where its taker throws",
            credit: Credit(bytes: 10, messages: 1)
        ) { peers in
            for _ in 0..<3 {
                for other in others(peers) { try push(pattern(10, from: 0, to: 0), to: other, page(0), peers) }
                for other in others(peers) {
                    do {
                        try peers.take(page(0), from: other) { _ in throw Violation(description: "on purpose") }
                        throw Violation(description: "nothing was thrown")
                    } catch let violation as Violation where violation.description == "on purpose" {}
                }
            }
        },
        Conformance(
            name: "the memory that is stated is that of the credit", credit: Credit(bytes: 1000, messages: 1)
        ) { try demand($0.footprint == 2000 * ($0.count - 1), "\($0.footprint) bytes for \($0.count) ranks") },
    ]

    /// Rank 0 pushes what the credit allows while nobody takes, and one message more, which has to wait for a taker.
    private static func bounded(_ peers: any Peers, within: [Int], beyond: Int) throws {
        if peers.rank == 0 {
            for length in within { try push(pattern(length, from: 0, to: 1), to: 1, page(length), peers) }
        }
        try peers.agree(on: "all credit used up")
        if peers.rank == 0 {
            try push(pattern(beyond, from: 0, to: 1), to: 1, page(beyond), peers)
            let pushed = now()
            try demand(pushed > time(take(page(0), 1, peers)), "a push beyond the credit did not wait")
        } else if peers.rank == 1 {
            usleep(100_000)
            try push(bytes(now()), to: 0, page(0), peers)
            for length in within + [beyond] { try demand(take(page(length), 0, peers).count == length, "the length") }
        }
        try peers.agree(on: "the end")
    }

    // MARK: Carries

    static let carries = [
        Conformance(name: "a carry goes from rank to rank, from the first to the last") { peers in
            for layer in 0..<20 {
                let before = try peers.takeCarry(layer: layer) { Array($0) }
                try demand((before == nil) == (peers.rank == 0), "rank \(peers.rank) has \(before ?? [])")
                let expected = (0..<peers.rank).map { UInt8($0 + layer) }
                try demand(before ?? [] == expected, "\(before ?? []) and not \(expected)")
                let after = expected + [UInt8(peers.rank + layer)]
                try after.withUnsafeBytes { try peers.handOn($0, layer: layer) }
            }
            try peers.agree(on: "the end")
        },
        Conformance(
            name: "a carry is not held up by columns", leastRanks: 2, credit: Credit(bytes: 10, messages: 1)
        ) { peers in
            if peers.rank == 0 {
                try push(pattern(10, from: 0, to: 1), to: 1, page(0), peers)
                try pattern(10, from: 0, to: 1).withUnsafeBytes { try peers.handOn($0, layer: 5) }
            }
            // Before anything is taken.
            try peers.agree(on: "all credit used up")
            if peers.rank == 1 {
                let carry = try peers.takeCarry(layer: 5) { Array($0) }
                try demand(carry == pattern(10, from: 0, to: 1), "the carry")
                try demand(take(page(0), 0, peers).count == 10, "the page")
            }
        },
    ]

    // MARK: Agreement

    static let agreements = [
        Conformance(name: "nobody goes on before all have come") { peers in
            for round in 0..<8 {
                // Another rank is the last one each time.
                if round % peers.count == peers.rank { usleep(20_000) }
                for other in others(peers) { try push(bytes(now()), to: other, page(round), peers) }
                try peers.agree(on: "round \(round)")
                let after = now()
                for other in others(peers) {
                    try demand(time(take(page(round), other, peers)) <= after, "rank \(other) was still to come")
                }
            }
        },
        Conformance(name: "ranks at different points are told which", leastRanks: 2) { peers in
            let point = peers.rank == 1 ? "generation 4" : "generation 3"
            let fault = fault { try peers.agree(on: point) }
            for words in ["rank 1 to 'generation 4'", "to 'generation 3'"] {
                try demand(fault?.problem.contains(words) == true, "\(words) is missing in: \(fault?.problem ?? "")")
            }
        },
    ]

    // MARK: Failure

    static let failures = [
        Conformance(
            name: "a rank that fails stops all others, whatever they wait for", leastRanks: 2,
            credit: Credit(bytes: 10, messages: 1)
        ) { peers in
            let last = peers.count - 1
            if peers.rank < last {
                let fault = fault {
                    switch peers.rank % 3 {
                    case 0: _ = try take(page(0), last, peers)
                    case 1: for _ in 0..<2 { try push([1], to: last, page(0), peers) }
                    default: try peers.agree(on: "the end")
                    }
                }
                try isDiskFull(fault, of: last)
            } else {
                usleep(100_000)
                peers.fail(diskFull)
            }
            // And whatever they call after that, the one that failed too.
            let other = (peers.rank + 1) % peers.count
            for call in [
                { try push([], to: other, page(1), peers) }, { _ = try take(page(1), other, peers) },
                { try peers.agree(on: "the end") },
            ] { try isDiskFull(fault(call), of: last) }
        },
        Conformance(name: "the first fault is the one that counts", leastRanks: 2) { peers in
            if peers.rank == 1 { peers.fail(diskFull) }
            try isDiskFull(fault { try peers.agree(on: "the end") }, of: 1)
            peers.fail(Fault(.usage, "another"))
            try isDiskFull(fault { try peers.agree(on: "the end") }, of: 1)
        },
        Conformance(name: "nobody agrees with a rank that failed") { peers in
            if peers.rank == peers.count - 1 { peers.fail(diskFull) }
            let fault = fault { try peers.agree(on: "the end") }
            try demand(fault?.problem.contains("the disk is full") == true, "\(fault?.problem ?? "all agreed")")
        },
    ]

    private static let diskFull = Fault(
        .inputOutput, "the disk is full", at: Place(file: "store", generation: 3), advice: "Make room.")

    private static func isDiskFull(_ fault: Fault?, of rank: Int) throws {
        let expected = Fault(
            diskFull.kind, "rank \(rank): \(diskFull.problem)", at: diskFull.place, advice: diskFull.advice)
        try demand(fault == expected, fault?.description ?? "no fault")
    }

    // MARK: Silence

    static let silences = [
        Conformance(name: "a mute rank is an error that names it", leastRanks: 2, patience: 1) { peers in
            let began = now()
            try peers.agree(on: "the beginning")
            // It does nothing for longer than the others wait.
            if peers.rank == peers.count - 1 { usleep(4_000_000) }
            let fault = fault {
                for other in 0..<peers.count - 1 where peers.rank == peers.count - 1 {
                    try push([], to: other, page(0), peers)
                }
                _ = try take(page(0), peers.count - 1, peers)
            }
            try demand(peers.rank == peers.count - 1 || now() - began >= 1, "too early")
            try isInterrupted(fault, "nothing came from rank \(peers.count - 1) for 1.0 s")
        },
        Conformance(
            name: "the mute rank is named, not one that waits for it", leastRanks: 3, patience: 1
        ) { peers in
            try peers.agree(on: "the beginning")
            if peers.rank == 2 { usleep(4_000_000) }
            let fault = fault { _ = try take(page(0), peers.rank == 2 ? 1 : peers.rank % 2 + 1, peers) }
            try isInterrupted(fault, "nothing came from rank 2 for 1.0 s")
        },
        Conformance(name: "ranks that wait for each other stop", leastRanks: 2, patience: 1) { peers in
            try peers.agree(on: "the beginning")
            let fault = fault { _ = try take(page(0), (peers.rank + 1) % peers.count, peers) }
            try isInterrupted(fault, "wait for each other")
        },
        Conformance(name: "a mute rank fails an agreement", leastRanks: 2, patience: 1) { peers in
            try peers.agree(on: "the beginning")
            if peers.rank == 1 { usleep(4_000_000) }
            try isInterrupted(fault { try peers.agree(on: "the end") }, "nothing came from rank 1 for 1.0 s")
        },
        Conformance(
            name: "who waits for a rank that calls now and then is patient", leastRanks: 3,
            credit: Credit(bytes: 1000, messages: 100), patience: 3
        ) { peers in
            try peers.agree(on: "the beginning")
            // Rank 0 hears nothing of rank 1 for longer, which itself hears nothing of rank 2.
            if peers.rank == 0 { try demand(take(page(0), 1, peers) == [1], "of rank 1") }
            if peers.rank == 1 { try demand(take(page(0), 2, peers) == [2], "of rank 2") }
            if peers.rank == 2 {
                for block in 1...18 {
                    try push([], to: 1, page(block), peers)
                    usleep(250_000)
                }
                try push([2], to: 1, page(0), peers)
            }
            if peers.rank == 1 { try push([1], to: 0, page(0), peers) }
            try peers.agree(on: "the end")
        },
    ]

    private static func isInterrupted(_ fault: Fault?, _ words: String) throws {
        try demand(
            fault?.kind == .interrupted && fault?.problem.contains(words) == true, fault?.description ?? "no fault")
    }

    // MARK: Words of the programs

    static func demand(_ isKept: Bool, _ text: @autoclosure () -> String) throws {
        if !isKept { throw Violation(description: text()) }
    }

    private static func others(_ peers: any Peers) -> [Int] { (0..<peers.count).filter { $0 != peers.rank } }

    private static func page(_ block: Int) -> Tag { .page(generation: 1, block: block) }

    private static func push(_ bytes: [UInt8], to rank: Int, _ tag: Tag, _ peers: any Peers) throws {
        try bytes.withUnsafeBytes { try peers.push($0, to: rank, tag: tag) }
    }

    private static func take(_ tag: Tag, _ rank: Int, _ peers: any Peers) throws -> [UInt8] {
        try peers.take(tag, from: rank) { Array($0) }
    }

    private static func fault(_ call: () throws -> Void) -> Fault? {
        do { try call() } catch { return error as? Fault }
        return nil
    }

    private static func pattern(_ length: Int, from: Int, to: Int) -> [UInt8] {
        (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8 &+ 7 &* from &+ 101 &* to) }
    }

    /// Seconds of a clock that all processes of a machine share.
    private static func now() -> Double {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        return Double(now.tv_sec) + Double(now.tv_nsec) * 1e-9
    }

    private static func bytes(_ time: Double) -> [UInt8] { withUnsafeBytes(of: time.bitPattern) { Array($0) } }

    private static func time(_ bytes: [UInt8]) -> Double {
        Double(bitPattern: bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) })
    }
}
