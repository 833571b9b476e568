"""How much is taken, and the seed of every choice."""

SEED = 536

KINDS = ("text", "code", "man", "nucleotides", "tables", "sensor", "other")

# A document longer than this is cut into several; one shorter than that is dropped.
LONGEST, LEAST = 1 << 20, 300

# The most that one file may give.
CAP = {"text": 8 << 20, "code": 300_000, "man": 300_000, "nucleotides": 4 << 20, "tables": 1_500_000,
       "sensor": 1_500_000, "other": 500_000}

# The most that is kept of a kind, so that all together stay below 58 MiB compressed.
MOST = {"text": 70_000_000, "code": 80_000_000, "man": 18_000_000, "nucleotides": 34_000_000, "tables": 27_000_000,
        "sensor": 14_500_000, "other": 28_000_000}
