import Support
import Testing

@Suite("Fault") struct FaultTests {
    private let fault = Fault(
        .usage, "is wrong", at: Place(file: "a\nb", block: 3, option: "state"), advice: "It was right.",
        remedies: [.freeSpace, .otherStore, .restart])

    @Test("It says where, what, and what may help, in the library's words or those of a program")
    func texts() {
        #expect(
            "\(fault)" == #"option 'state', a\nb, block 3: is wrong"#
                + "\n  It was right. Free space, name another store or begin the run anew.")
        let words = fault.text(option: { "--\($0)" }) { $0 == .restart ? "use --restart" : $0.description }
        #expect(words.hasPrefix("--state, ") && words.hasSuffix("Free space, name another store or use --restart."))
    }

    @Test("It says no more than there is to say")
    func short() {
        #expect("\(Fault(.usage, "is wrong"))" == "is wrong")
        #expect("\(Fault(.usage, "is wrong", remedies: [.freeSpace]))" == "is wrong\n  Free space.")
        #expect(
            "\(Fault(.usage, "is wrong", remedies: [.freeSpace, .lessDisk]))" == "is wrong\n  Free space or store less."
        )
    }
}
