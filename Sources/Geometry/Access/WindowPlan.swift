/// The order in which a pass works off its windows: whole blocks of the generation that it writes, one after another.
///
/// Of a window first what its rows gather from elsewhere, in so many parts; then its blocks, one by one. All of it is
/// index arithmetic: the whole order is known before the first byte is read. That is what makes it possible to read
/// ahead, and to keep of the columns in memory those that are needed again soonest (Schedule.md).
package struct WindowPlan: Sendable, Equatable {
    /// A step of a window, in this order.
    package enum Step: Sendable, Equatable {
        case gather(window: Int, part: Int)
        case block(Int)
    }

    package let shape: WindowShape
    /// Gathering steps of a window; 0 where the mixer gathers nothing.
    package let parts: Int
    /// The blocks to write: those before them are there, from an earlier run or on an earlier rank; those after them
    /// are a later rank's.
    package let shard: Range<Int>

    /// - Parameter shard: blocks of the target; nil for all of them.
    package init(_ shape: WindowShape, parts: Int, shard: Range<Int>? = nil) {
        self.shape = shape
        self.parts = parts
        self.shard = (shard ?? 0..<shape.target.blocks).clamped(to: 0..<shape.target.blocks)
    }

    package var geometry: SequenceGeometry { shape.geometry }
    /// Blocks of the generation that is read, and of the one that is written.
    package var source: BlockGrid { shape.source }
    package var target: BlockGrid { shape.target }
    package var windowPatches: Int { shape.windowPatches }

    // MARK: Order

    /// Blocks of a window.
    var blocksPerWindow: Int { max(1, windowPatches / target.patchesPerBlock) }

    /// The windows with something to do.
    package var windows: Range<Int> {
        let count = (target.blocks + blocksPerWindow - 1) / blocksPerWindow
        if shard.isEmpty { return count..<count }
        return window(ofBlock: shard.lowerBound)..<window(ofBlock: shard.upperBound - 1) + 1
    }

    package func window(ofBlock block: Int) -> Int { block / blocksPerWindow }

    /// The blocks of a window that are to be written.
    package func blocks(ofWindow window: Int) -> Range<Int> {
        (window * blocksPerWindow..<(window + 1) * blocksPerWindow).clamped(to: shard)
    }

    /// The patches of these blocks.
    package func patches(ofWindow window: Int) -> Range<Int> {
        let blocks = blocks(ofWindow: window)
        if blocks.isEmpty { return 0..<0 }
        return target.patches(ofBlock: blocks.lowerBound)
            .lowerBound..<target.patches(ofBlock: blocks.upperBound - 1).upperBound
    }

    package func steps(ofWindow window: Int) -> [Step] {
        (0..<parts).map { .gather(window: window, part: $0) } + blocks(ofWindow: window).map { .block($0) }
    }

    /// Steps in order have ascending times, without gaps from window to window.
    package func time(of step: Step) -> Int {
        switch step {
        case .gather(let window, let part): return window * stepsPerWindow + part
        case .block(let block):
            return window(ofBlock: block) * stepsPerWindow + parts + block % blocksPerWindow
        }
    }

    /// Steps of a window that is whole.
    var stepsPerWindow: Int { parts + blocksPerWindow }
}

/// What an access needs to know of a pass to say what its steps read.
package struct WindowShape: Sendable, Equatable {
    package let geometry: SequenceGeometry
    /// Blocks of the generation that is read, and of the one that is written.
    package let source: BlockGrid
    package let target: BlockGrid
    /// W, a multiple of the target's T.
    package let windowPatches: Int

    package init(geometry: SequenceGeometry, source: BlockGrid, target: BlockGrid, windowPatches: Int) {
        self.geometry = geometry
        self.source = source
        self.target = target
        self.windowPatches = windowPatches
    }

    /// Every column of the source; the largest Int where there are more.
    package var allColumns: Int {
        let (all, overflow) = source.blocks.multipliedReportingOverflow(by: geometry.patchSize)
        return overflow ? Int.max : all
    }

    /// Blocks of the source that `patches` consecutive patches touch at most.
    func sourceBlocks(_ patches: Int) -> Int {
        min(source.blocks, (patches + source.patchesPerBlock - 2) / source.patchesPerBlock + 1)
    }
}
