import Support
import Testing

/// Numbers as people write and read them.
struct ByteCountTests {
    @Test(
        "Sizes are read as they are written",
        arguments: [
            ("256MiB", 256 << 20), ("2GiB", 2 << 30), ("1.5g", 3 << 29), ("512m", 512 << 20), ("1000000", 1_000_000),
            ("1 KiB", 1024), ("1kb", 1000), ("0.5K", 512),
            ("1t", 1 << 40), ("7b", 7),
        ])
    func sizes(text: String, bytes: Int) { #expect(ByteCount.parse(text) == bytes) }

    @Test(
        "What is no size",
        arguments: [
            "", "x", "0", "-1", "1.2.3", "1q", "MiB", "½g", "1e9", "nan", "inf", "9000000tib", "8388608tib",
            "99999999999999999999",
        ])
    func noSizes(text: String) { #expect(ByteCount.parse(text) == nil) }

    @Test(
        "Sizes are shown in units that keep them short",
        arguments: [
            (0, "0 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (1536, "1.50 KiB"), (10 << 20, "10.0 MiB"),
            (100 << 30, "100 GiB"), (Int.max, "8.00 EiB"),
        ])
    func text(bytes: Int, shown: String) { #expect(ByteCount.text(bytes) == shown) }

    @Test(
        "A budget is rounded up to whole MiB",
        arguments: [(1, "1MiB"), (1 << 20, "1MiB"), (1 << 20 + 1, "2MiB"), (Int.max, "8796093022208MiB")])
    func roundedUp(bytes: Int, text: String) { #expect(ByteCount.roundedUp(bytes) == text) }

    @Test(
        "Numbers with so many digits",
        arguments: [
            (1.25, 1, "1.3"), (-1.26, 1, "-1.3"), (0.04, 1, "0.0"), (-0.04, 1, "0.0"), (2.0, 0, "2"),
            (1.005, 4, "1.0050"), (.infinity, 2, "inf"), (.nan, 2, "nan"), (1e300, 2, "1e+300"),
            (9e14, 4, "900000000000000.0"),
        ])
    func digits(value: Double, digits: Int, text: String) { #expect(fixed(value, digits: digits) == text) }

    @Test("Digits in groups", arguments: [("1", "1"), ("123", "123"), ("1234", "1 234"), ("1048576", "1 048 576")])
    func groups(digits: String, text: String) { #expect(groupedDigits(digits) == text) }
}
