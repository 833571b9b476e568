import Glibc
import PageStore
import StreamEngine
import Support
import Synchronization

// The driver of tools/fuzz: cases by number, each in a copy of a small store and its model.
//
//     fuzzer prepare BASE                    makes the stores that cases are copies of
//     fuzzer run BASE KIND FROM TO WORK      runs cases FROM..<TO in the folder WORK
//     fuzzer show BASE KIND CASE WORK        runs one and tells all of it
//
// It says `begin CASE` before each case and `end CASE STATUSES MILLISECONDS` after it, with `fail CASE WHAT` between
// them. A case that takes too long or too much memory ends the process, as a crash does; whoever started it goes on
// with the next.

enum Kind: String, CaseIterable {
    case manifest, config, safetensors, page, lmdb, progress, files, input
}

/// Ends the process where a case passes its limits.
final class Watchdog: Sendable {
    /// Of the processor, for other work may hold the machine; of the clock, so many times as many.
    static let seconds = 10
    static let patience = 12
    static let bytes = 1 << 30

    /// Tenths of a second that the case under way has taken; negative between cases.
    private let tenths = Atomic<Int>(-1)
    /// Of the process when the case began.
    private let processorSeconds = Atomic<Int>(0)
    private let memory = Atomic<Int>(0)

    func start() {
        let watchdog = Unmanaged.passRetained(self)
        var thread = pthread_t()
        pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let watchdog = Unmanaged<Watchdog>.fromOpaque(argument).takeUnretainedValue()
                while true {
                    usleep(100_000)
                    watchdog.look()
                }
            }, watchdog.toOpaque())
    }

    private func look() {
        guard tenths.load(ordering: .relaxed) >= 0 else { return }
        let taken = tenths.wrappingAdd(1, ordering: .relaxed).newValue / 10
        let worked = Self.processorSeconds() - processorSeconds.load(ordering: .relaxed)
        let grown = MemoryUse.anonymousBytes() - memory.load(ordering: .relaxed)
        if worked > Self.seconds || taken > Self.seconds * Self.patience {
            Console.line("limit \(worked > Self.seconds ? Self.seconds : taken) seconds")
            _exit(98)
        }
        if grown > Self.bytes {
            Console.line("limit \(ByteCount.text(Self.bytes)) of memory")
            _exit(97)
        }
    }

    private static func processorSeconds() -> Int {
        var now = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now)
        return now.tv_sec
    }

    func begin() {
        processorSeconds.store(Self.processorSeconds(), ordering: .relaxed)
        memory.store(MemoryUse.anonymousBytes(), ordering: .relaxed)
        tenths.store(0, ordering: .relaxed)
    }

    func end() { tenths.store(-1, ordering: .relaxed) }
}

@main struct Fuzzer {
    static func main() {
        let words = CommandLine.arguments
        do {
            switch (words.dropFirst().first, words.count) {
            case ("prepare", 3): try Preparation.run(words[2])
            case ("run", 7):
                guard let kind = Kind(rawValue: words[3]), let from = Int(words[4]), let to = Int(words[5]) else {
                    usage()
                }
                _ = try run(words[2], kind, from..<max(from, to), work: words[6], isVerbose: false)
            case ("show", 6):
                guard let kind = Kind(rawValue: words[3]), let number = Int(words[4]) else { usage() }
                if try run(words[2], kind, number..<number + 1, work: words[5], isVerbose: true) > 0 { exit(1) }
            default: usage()
            }
        } catch {
            Console.line("fuzzer: \(error)")
            exit(1)
        }
    }

    static func usage() -> Never {
        Console.line(
            "fuzzer: prepare BASE | run BASE KIND FROM TO WORK | show BASE KIND CASE WORK; "
                + "kinds: \(Kind.allCases.map(\.rawValue))"
        )
        exit(64)
    }

    /// - Returns: how many cases failed.
    static func run(_ base: String, _ kind: Kind, _ cases: Range<Int>, work: String, isVerbose: Bool) throws -> Int {
        signal(SIGPIPE, SIG_IGN)
        let scenes = try Scene.names.map { try Scene($0, in: base) }
        let watchdog = Watchdog()
        watchdog.start()
        var failed = 0
        for number in cases {
            Console.line("begin \(number)")
            watchdog.begin()
            let watch = Stopwatch()
            let found = try run(kind, number, scenes, work: work, isVerbose: isVerbose)
            watchdog.end()
            if !found.failures.isEmpty { failed += 1 }
            for failure in found.failures {
                Console.line(
                    "fail \(number) \(failure) [\(found.scene.name): \(found.story.joined(separator: "; "))]")
            }
            let statuses = Set(found.statuses).sorted().map(String.init).joined(separator: ",")
            Console.line("end \(number) \(statuses) \(Int(watch.seconds * 1000))")
        }
        return failed
    }

    static func run(_ kind: Kind, _ number: Int, _ scenes: [Scene], work: String, isVerbose: Bool) throws -> Case {
        var numbers = Numbers(kind: kind.rawValue, number: number)
        let scene = kind == .progress ? scenes.first { $0.name == "begun" } ?? scenes[0] : numbers.pick(scenes)
        let others = scenes.filter { $0.name != scene.name }
        let found = try Case(
            scene, kind: kind.rawValue, number: number, numbers: numbers, work: work, isVerbose: isVerbose)
        if isVerbose { Console.line("scene \(scene.name)") }
        switch kind {
        case .manifest: try found.changeManifest(others)
        case .config: try found.changeConfig(others)
        case .safetensors: try found.changeHeader(others)
        case .page: try found.changePages()
        case .lmdb: try found.changeEnvironment()
        case .progress: try found.changeProgress()
        case .files: try found.changeFiles()
        case .input: try found.changeInput()
        }
        return found
    }
}
