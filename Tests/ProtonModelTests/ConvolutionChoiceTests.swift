import Compute
import Testing

@testable import ProtonModel

@Suite("Ways to convolve") struct ConvolutionChoiceTests {
    @Test("short kernels are convolved directly, long ones through a transform")
    func choice() {
        func size(_ D: Int, _ K: Int) -> Int {
            Convolution.cheapestSize(ConvolutionShape(kernelSize: K, channels: 2 * D), inputs: D, tileRows: 768)
        }
        func way(_ D: Int, _ K: Int, tokens: Int) -> ConvolutionWay {
            .preferred(
                ModelConfig(hiddenSize: D, intermediateSize: 2 * D, layers: 6, heads: 1, patchSize: 32, kernelSize: K),
                tokens: tokens)
        }
        // Where it takes a second or so, to the last bit causal.
        #expect(
            [
                way(64, 33, tokens: 80_000), way(64, 33, tokens: 90_000), way(64, 5, tokens: 1 << 40),
                way(256, 33, tokens: 5000), way(256, 33, tokens: 6000),
            ] == [.direct, .fourier, .direct, .direct, .fourier])
        #expect([size(64, 1), size(64, 5), size(256, 5), size(16, 9)] == [0, 0, 0, 0])
        #expect([size(64, 33), size(256, 33), size(1024, 33)] == [128, 128, 128])
        #expect(size(64, 500) >= 1024)
    }
}
