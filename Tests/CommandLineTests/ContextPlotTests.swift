import StreamEngine
import Testing

@testable import bbp_stream

@Suite("Context plot") struct ContextPlotTests {
    @Test("A plot escapes its title and has every depth")
    func plot() {
        var plot = ContextPlot(title: "P < 4 & more", formula: EffectiveContext.afterLayers(5, patchSize: 4))
        plot.tokens = 1000
        #expect(plot.svg.contains("P &lt; 4 &amp; more"))
        #expect(plot.svg.contains("n = 1 000"))
        for depth in 1...5 { #expect(plot.svg.contains(">\(depth)</text>")) }
    }
}
