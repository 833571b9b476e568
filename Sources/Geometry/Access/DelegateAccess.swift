/// What Monte Carlo Attention reads: a window's own rows; its **hosts**, the patches that its delegates visit; its
/// **guests**, the delegates that visit it (Schedule.md).
package struct DelegateAccess: Access {
    /// Whether rows see nothing that comes after them.
    package let isCausal: Bool

    package init(isCausal: Bool) { self.isCausal = isCausal }

    /// The patches whose rows some row of `patches` may see: in a causal model, none that comes after them.
    package func seen(by patches: Range<Int>, in geometry: SequenceGeometry) -> Range<Int> {
        0..<(isCausal ? patches.upperBound : geometry.patches)
    }

    /// The patches some row of which may see rows of `patches`.
    private func seeing(_ patches: Range<Int>, in geometry: SequenceGeometry) -> Range<Int> {
        (isCausal ? patches.lowerBound : 0)..<geometry.patches
    }

    // MARK: Parts

    /// Runs of hosts, that is columns of delegates, in one part.
    private func runs(of plan: WindowPlan) -> Int {
        (plan.geometry.patchSize + max(1, plan.parts) - 1) / max(1, plan.parts)
    }

    /// The columns whose delegates a part is of; none in parts that even shares leave empty.
    package func columns(ofPart part: Int, of plan: WindowPlan) -> Range<Int> {
        let (P, runs) = (plan.geometry.patchSize, runs(of: plan))
        return min(P, part * runs)..<min(P, (part + 1) * runs)
    }

    package func parts(_ shape: WindowShape, slots: Int) -> Int {
        let P = shape.geometry.patchSize
        let runs = runsPerPart(shape, slots: slots)
        return (P + runs - 1) / runs
    }

    /// The most runs of hosts a step can take with `slots` columns, beside a block's.
    private func runsPerPart(_ shape: WindowShape, slots: Int) -> Int {
        let (P, block) = (shape.geometry.patchSize, block(shape))
        if hosts(shape, runs: P) <= max(slots - 2 * block, 0) || slots >= shape.allColumns { return P }
        let fewest = fewestRuns(shape.geometry)
        var runs = P
        while runs > fewest && hosts(shape, runs: runs) > max(slots - block, 0) { runs = max(fewest, (runs + 1) / 2) }
        return runs
    }

    // MARK: What a step reads

    package func reads(_ step: WindowPlan.Step, of plan: WindowPlan) -> [ColumnRun] {
        let (geometry, source) = (plan.geometry, plan.source)
        let (P, G) = (geometry.patchSize, geometry.patches)
        var runs: [ColumnRun] = []
        func add(_ patches: Range<Int>, _ columns: Range<Int>, _ role: ColumnRun.Role) {
            for block in source.blocks(of: patches) {
                runs.append(ColumnRun(block: block, columns: columns, role: role))
            }
        }
        switch step {
        case .gather(let index, let part):
            let window = plan.patches(ofWindow: index)
            let columns = columns(ofPart: part, of: plan)
            let seen = seen(by: window, in: geometry)
            if window.isEmpty || columns.isEmpty { return [] }
            if G < 2 * P {
                // A patch's slots hold columns from end to end, and neighbouring columns meet in it.
                let hosts = geometry.hosts(
                    ofSlots: columns.lowerBound * G + window.lowerBound..<(columns.upperBound - 1) * G
                        + window.upperBound)
                add(hosts.clamped(to: seen), 0..<P, .own)
                add(seen, hosts.lowerBound * P / G..<(hosts.upperBound * P - 1) / G + 1, .host)
                return runs
            }
            for column in columns {
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
            let patches = plan.target.patches(ofBlock: block)
            add(patches, 0..<P, .own)
            for run in geometry.guests(of: patches) {
                add(
                    run.sources.clamped(to: seen(by: patches, in: geometry)), run.column..<run.column + 1, .guest)
            }
        }
        return runs
    }

    // MARK: When a column is read next

    /// Stray delegates, which share a patch with two runs, are left out.
    package func nextUse(ofColumn column: Int, block: Int, after time: Int, in plan: WindowPlan) -> Int? {
        let (geometry, target) = (plan.geometry, plan.target)
        let (P, G, W) = (geometry.patchSize, geometry.patches, plan.windowPatches)
        let (perWindow, runs) = (plan.stepsPerWindow, runs(of: plan))
        let patches = plan.source.patches(ofBlock: block)
        let last = plan.shard.isEmpty ? -1 : plan.time(of: .block(plan.shard.upperBound - 1))
        var next = Int.max
        func use(_ step: WindowPlan.Step) {
            let candidate = plan.time(of: step)
            if candidate > time && candidate < next && candidate <= last { next = candidate }
        }
        /// The first of the gathering steps of `part`, one in each of the windows, that comes after `time`.
        func useHosts(windows: ClosedRange<Int>, part: Int) {
            let first = max(windows.lowerBound, time / perWindow)
            for window in first...max(first, min(windows.upperBound, first + 1)) where windows.contains(window) {
                use(.gather(window: window, part: part))
            }
        }
        func useBlocks(_ blocks: Range<Int>) {
            if blocks.isEmpty { return }
            // Times ascend with the blocks: the first one after `time` is near the block at `time`.
            let now = min(
                max(
                    time / perWindow * plan.blocksPerWindow + max(0, time % perWindow - plan.parts),
                    blocks.lowerBound),
                blocks.upperBound - 1)
            for block in now..<min(blocks.upperBound, now + 2) { use(.block(block)) }
        }
        // Own: it asks in its hosts, and is company there for the delegates of the next window, where their slots begin
        // inside a patch.
        useHosts(windows: patches.lowerBound / W...(patches.upperBound - 1) / W, part: column / runs)
        let following = max((patches.upperBound - 1) / W + 1, time / perWindow)
        for window in following...following + 1 {
            let first = window * W
            if first < G && first - (column * G + first) % P < patches.upperBound {
                use(.gather(window: window, part: column / runs))
            }
        }
        useBlocks(target.blocks(of: patches))
        // Host: slots patches·P, visited by the window whose delegates they hold.
        let slots = patches.lowerBound * P..<patches.upperBound * P
        for index in slots.lowerBound / G...(slots.upperBound - 1) / G {
            let sources = (max(0, slots.lowerBound - index * G)..<min(G, slots.upperBound - index * G)).clamped(
                to: seeing(patches, in: geometry))
            if sources.isEmpty { continue }
            useHosts(windows: sources.lowerBound / W...(sources.upperBound - 1) / W, part: index / runs)
        }
        // Guest: slots column·G + patches.
        let visited = ((column * G + patches.lowerBound) / P..<(column * G + patches.upperBound - 1) / P + 1).clamped(
            to: seeing(patches, in: geometry))
        useBlocks(target.blocks(of: visited))
        return next == Int.max ? nil : next
    }

    // MARK: How many columns

    /// Columns that the step for `runs` runs of hosts reads at most: the hosts, the window's delegates and their
    /// company, and strays where two runs meet.
    func hosts(_ shape: WindowShape, runs: Int) -> Int {
        let geometry = shape.geometry
        let P = geometry.patchSize
        if geometry.patches < 2 * P {
            // Then a patch's slots hold columns from end to end: all slots of the runs count, and the columns that they
            // are in.
            let hosts = min(geometry.patches, (runs * geometry.patches + P - 2) / P + 1)
            return min(
                shape.allColumns,
                P * shape.sourceBlocks(hosts) + (hosts * P / geometry.patches + 2) * shape.source.blocks)
        }
        return min(
            shape.allColumns,
            runs
                * (P * shape.sourceBlocks(shape.windowPatches / P + 2) + shape.sourceBlocks(shape.windowPatches + 2 * P)
                    + 2 * shape.sourceBlocks(P)))
    }

    /// Columns that a block's step reads at most.
    func block(_ shape: WindowShape) -> Int {
        let slots = shape.target.patchesPerBlock * shape.geometry.patchSize
        let guestRuns = slots / shape.geometry.patches + 2
        return min(
            shape.allColumns,
            shape.geometry.patchSize * shape.sourceBlocks(shape.target.patchesPerBlock)
                + slots / shape.source.patchesPerBlock + 2 * guestRuns)
    }

    /// The fewest runs of hosts in a step: those of one patch, which is then not visited for each of them.
    private func fewestRuns(_ geometry: SequenceGeometry) -> Int { max(1, geometry.patchSize / geometry.patches) }

    /// Comfortable is what lets no window read a block of hosts again that an earlier one read: the window, the block
    /// that every run of hosts stands on and half of the next ones, and two blocks with their guests.
    package func demand(_ shape: WindowShape) -> (least: Int, comfortable: Int) {
        let P = shape.geometry.patchSize
        let least = max(hosts(shape, runs: fewestRuns(shape.geometry)), block(shape))
        let comfortable =
            P * shape.sourceBlocks(shape.windowPatches + 2 * P) + P * P + P * P / 2 + 2 * block(shape)
        return (least, min(shape.allColumns, max(least, comfortable)))
    }
}
