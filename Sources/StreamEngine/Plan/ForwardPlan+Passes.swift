import Geometry
import ProtonModel

/// What a run's passes read and write.
extension ForwardPlan {
    /// One pass, as it is planned.
    public struct PlannedPass: Sendable, Equatable, Encodable {
        /// Its first layer, from 1; repeats of a block count.
        public var firstLayer: Int
        /// Its last layer.
        public var lastLayer: Int
        /// The generation that it reads; 0 is the tokens.
        public var readsGeneration: Int
        /// The generation that it stores; nil where its states are not stored, or stay in memory.
        public var writesGeneration: Int?
        /// Whether it stores surprisal: the last one.
        public var hasSurprisal: Bool
        /// States from the disk, about, in N: one N is one pass over the states as stored.
        public var reads: Double
        /// States to the disk, about, in N.
        public var writes: Double

        private enum CodingKeys: String, CodingKey {
            case firstLayer, lastLayer, readsGeneration, writesGeneration, reads, writes
            case hasSurprisal = "writesSurprisal"
        }

        /// All its layers.
        public var layers: ClosedRange<Int> { firstLayer...lastLayer }
    }

    /// All passes of the model, those too that an earlier run has made.
    public var plannedPasses: [PlannedPass] {
        passes.passes.map { layers in
            let (source, layer) = (layers.lowerBound - 1, layers.upperBound)
            let isLast = layer == config.depth
            let isStored = isLast ? keep != .none : !set.isResident || keep == .all
            return PlannedPass(
                firstLayer: layers.lowerBound, lastLayer: layer, readsGeneration: source,
                writesGeneration: isStored ? layer : nil, hasSurprisal: isLast,
                reads: source == 0 || set.isResident ? 0 : reads(ofPassFrom: layers.lowerBound),
                writes: isStored ? 1 : 0)
        }
    }

    /// Own rows are read once. Hosts and guests come to half of that each, to all of it where later ones count, to less
    /// where many columns stay in memory, and to nothing where all do (Schedule.md).
    private func reads(ofPassFrom layer: Int) -> Double {
        let grid = BlockGrid(patches: geometry.patches, patchesPerBlock: set.patchesPerBlock)
        let columns = grid.blocks.multipliedReportingOverflow(by: geometry.patchSize)
        let areAllKept = !columns.overflow && set.stateSlots >= columns.partialValue
        guard config.isDelegating(layer), !areAllKept else { return 1 }
        return config.isCausal ? 2 : 3
    }
}
