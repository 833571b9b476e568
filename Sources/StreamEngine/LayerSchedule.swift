import Geometry

/// The order in which a layer's windows are worked off, what each step reads, and when a column is read next.
///
/// All of it is index arithmetic: the whole order is known before the first byte is read. That is what makes it
/// possible to read ahead, and to keep of the columns in memory those that are needed again soonest (Schedule.md).
struct LayerSchedule {
    /// A step of a window, in this order: its delegates ask in the patches that host them, some runs of hosts at a
    /// time; then its blocks, one by one.
    enum Step: Equatable {
        case hosts(window: Int, group: Int)
        case block(Int)
    }

    /// Why a column is read.
    enum Role { case own, host, guest }

    /// Columns of one block that a step reads.
    struct Need: Equatable {
        var block: Int
        var columns: Range<Int>
        var role: Role
    }

    let geometry: SequenceGeometry
    /// Blocks of the generation that is read, and of the one that is written.
    let source: BlockGrid
    let target: BlockGrid
    /// Whether rows see nothing that comes after them.
    var isCausal = true
    /// W, a multiple of the target's T.
    let windowPatches: Int
    /// Runs of hosts, that is columns of delegates, in one step.
    let runsPerStep: Int
    /// The first block to write: those before it are there from an earlier run.
    let firstBlock: Int

    private var P: Int { geometry.patchSize }
    private var G: Int { geometry.patches }

    // MARK: Order

    /// The windows with something to do.
    var windows: Range<Int> {
        let count = (G + windowPatches - 1) / windowPatches
        return firstBlock < target.blocks ? window(ofBlock: firstBlock)..<count : count..<count
    }
    var groups: Int { (P + runsPerStep - 1) / runsPerStep }
    private var blocksPerWindow: Int { windowPatches / target.patchesPerBlock }
    func window(ofBlock block: Int) -> Int { block / blocksPerWindow }

    /// The patches of a window; of the first, those that are still to do.
    func patches(ofWindow window: Int) -> Range<Int> {
        let end = min(G, (window + 1) * windowPatches)
        return min(end, max(firstBlock * target.patchesPerBlock, window * windowPatches))..<end
    }

    func steps(ofWindow window: Int) -> [Step] {
        (0..<groups).map { .hosts(window: window, group: $0) }
            + target.blocks(of: patches(ofWindow: window)).map { .block($0) }
    }

    /// The columns whose delegates a group of runs is of.
    func columns(ofGroup group: Int) -> Range<Int> { group * runsPerStep..<min(P, (group + 1) * runsPerStep) }

    /// Steps in order have ascending times.
    func time(of step: Step) -> Int {
        let perWindow = groups + blocksPerWindow
        switch step {
        case .hosts(let window, let group): return window * perWindow + group
        case .block(let block): return window(ofBlock: block) * perWindow + groups + block % blocksPerWindow
        }
    }

    // MARK: What a step reads

    func needs(of step: Step) -> [Need] {
        var needs: [Need] = []
        func add(_ patches: Range<Int>, _ columns: Range<Int>, _ role: Role) {
            for block in source.blocks(of: patches) { needs.append(Need(block: block, columns: columns, role: role)) }
        }
        switch step {
        case .hosts(let window, let group):
            let window = patches(ofWindow: window)
            let seen = seen(by: window)
            if G < 2 * P {
                // A patch's slots hold columns from end to end, and neighbouring columns meet in it.
                let columns = columns(ofGroup: group)
                let hosts = geometry.hosts(
                    ofSlots: columns.lowerBound * G + window.lowerBound..<(columns.upperBound - 1) * G
                        + window.upperBound)
                add(hosts.clamped(to: seen), 0..<P, .own)
                add(seen, hosts.lowerBound * P / G..<(hosts.upperBound * P - 1) / G + 1, .host)
                return needs
            }
            for column in columns(ofGroup: group) {
                // The delegates that ask, and with them whatever else is in the slots of the patches they visit.
                let hosts = geometry.hosts(of: window, column: column)
                for run in geometry.guests(of: hosts) {
                    let isOwn = run.column == column
                    add(run.sources.clamped(to: seen), run.column..<run.column + 1, isOwn ? .own : .host)
                }
                add(hosts.clamped(to: 0..<window.lowerBound), 0..<P, .host)
                add(hosts.clamped(to: window), 0..<P, .own)
                if !isCausal { add(hosts.clamped(to: window.upperBound..<G), 0..<P, .host) }
            }
        case .block(let block):
            let patches = target.patches(ofBlock: block)
            add(patches, 0..<P, .own)
            for run in geometry.guests(of: patches) {
                add(run.sources.clamped(to: seen(by: patches)), run.column..<run.column + 1, .guest)
            }
        }
        return needs
    }

    /// The patches whose rows some row of `patches` may see: in a causal model, none that comes after them.
    func seen(by patches: Range<Int>) -> Range<Int> { 0..<(isCausal ? patches.upperBound : G) }

    /// The patches some row of which may see rows of `patches`.
    private func seeing(_ patches: Range<Int>) -> Range<Int> { (isCausal ? patches.lowerBound : 0)..<G }

    // MARK: When a column is read next

    /// The time of the first step after `time` that reads column `column` of `block`; nil when none does.
    ///
    /// Stray delegates, which share a patch with two runs, are left out: so it may come too late, never too early,
    /// for a handful of columns.
    func nextUse(ofColumn column: Int, block: Int, after time: Int) -> Int? {
        let patches = source.patches(ofBlock: block)
        let perWindow = groups + blocksPerWindow
        var next = Int.max
        func use(_ step: Step) {
            let candidate = self.time(of: step)
            if candidate > time && candidate < next { next = candidate }
        }
        /// The first of `steps`, one in each of the windows, that comes after `time`.
        func useHosts(windows: ClosedRange<Int>, group: Int) {
            let first = max(windows.lowerBound, time / perWindow)
            for window in first...max(first, min(windows.upperBound, first + 1)) where windows.contains(window) {
                use(.hosts(window: window, group: group))
            }
        }
        func useBlocks(_ blocks: Range<Int>) {
            if blocks.isEmpty { return }
            // Times ascend with the blocks: the first one after `time` is near the block at `time`.
            let now = min(
                max(time / perWindow * blocksPerWindow + max(0, time % perWindow - groups), blocks.lowerBound),
                blocks.upperBound - 1)
            for block in now..<min(blocks.upperBound, now + 2) { use(.block(block)) }
        }
        // Own: it asks in its hosts, and is company there for the delegates of the next window, where their slots begin
        // inside a patch.
        useHosts(
            windows: patches.lowerBound / windowPatches...(patches.upperBound - 1) / windowPatches,
            group: column / runsPerStep)
        let following = max((patches.upperBound - 1) / windowPatches + 1, time / perWindow)
        for window in following...following + 1 {
            let first = window * windowPatches
            if first < G && first - (column * G + first) % P < patches.upperBound {
                use(.hosts(window: window, group: column / runsPerStep))
            }
        }
        useBlocks(target.blocks(of: patches))
        // Host: slots patches·P, visited by the window whose delegates they hold.
        let slots = patches.lowerBound * P..<patches.upperBound * P
        for index in slots.lowerBound / G...(slots.upperBound - 1) / G {
            let sources = (max(0, slots.lowerBound - index * G)..<min(G, slots.upperBound - index * G)).clamped(
                to: seeing(patches))
            if sources.isEmpty { continue }
            useHosts(
                windows: sources.lowerBound / windowPatches...(sources.upperBound - 1) / windowPatches,
                group: index / runsPerStep)
        }
        // Guest: slots column·G + patches.
        let visited = ((column * G + patches.lowerBound) / P..<(column * G + patches.upperBound - 1) / P + 1).clamped(
            to: seeing(patches))
        useBlocks(target.blocks(of: visited))
        return next == Int.max ? nil : next
    }
}
