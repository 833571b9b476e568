/// The sizes of a forward run that memory decides. None of them changes a result.
public struct WorkingSet: Sendable, Equatable {
    /// T: patches a block of states, a multiple of the tile.
    public var patchesPerBlock: Int
    /// W: patches a window, a multiple of T.
    public var windowPatches: Int
    /// S: patches of a block that go from layer to layer together, a multiple of the tile.
    package var stretchPatches: Int
    /// Both generations stay in memory; only results go to disk.
    public var isResident: Bool
    /// The window is the whole sequence, and all answers to local rows are kept until they are mixed.
    package var isVisitedOnce: Bool
    /// Bytes for the generation that is read: the whole of it where it is resident, else the cache of columns; there is
    /// as much again for the one that is made where both are resident.
    package var statesBytes: Int
    /// Columns that the cache keeps at most, of states and, for the first pass, of tokens.
    package var stateSlots: Int
    package var tokenSlots: Int
    /// Windows, blocks and stretches whose arithmetic may be under way at once, and steps whose columns are held.
    package var windowsInFlight: Int
    package var blocksInFlight: Int
    package var stretchesInFlight: Int
    package var stepsInFlight: Int
    /// Appended bytes that make a commit due.
    package var commitBytes: Int
    /// What it takes, by part, in bytes.
    public var parts: [Part]

    /// One use of memory.
    public struct Part: Sendable, Equatable {
        /// What it is for, in a word or two.
        public var name: String
        /// Bytes of it at the most.
        public var bytes: Int
    }

    /// Bytes of all parts; `Int.max` where that is beyond 63 bits.
    public var totalBytes: Int {
        var sum = 0
        for part in parts {
            let (next, overflow) = sum.addingReportingOverflow(part.bytes)
            if overflow { return Int.max }
            sum = next
        }
        return sum
    }
}
