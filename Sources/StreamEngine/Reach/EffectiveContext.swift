import Glibc
import ProtonModel
import Support

/// The effective context that the article on Monte Carlo Attention states: C(0) = 0, C(L) = P·C(L-1) + P·(P-1), which
/// is P^(L+1) - P tokens.
package enum EffectiveContext {
    /// C(1) ... C(`layers`), exactly.
    ///
    /// - Parameter patchSize: P, one of `SequenceGeometry.patchSizes`.
    package static func afterLayers(_ layers: Int, patchSize: Int) -> [ExactCount] {
        var context = ExactCount(0)
        return (0..<max(0, layers)).map { _ in
            context.passPatches(of: patchSize)
            return context
        }
    }

    /// The same for the layers of any model, repeats of a block included. A window of w rows d apart adds w·d, on both
    /// sides twice that; segments of S rows with M rows before them at most S - 1 + M, as much as the last row of one
    /// sees; a layer that sees all earlier rows makes it nil, for there is no bound. Convolutions add what they reach over, but not in models of
    /// Monte Carlo Attention alone, whose number is the article's.
    package static func afterLayers(of config: ModelConfig) -> [ExactCount?] {
        let tapped = config.hasOtherMixers ? config.reach.before + config.reach.after : 0
        var context: ExactCount? = ExactCount(0)
        return (1...config.depth).map { layer in
            var added = tapped
            switch config.mixers[config.block(ofLayer: layer).index].shape.view {
            case .patches: context?.passPatches(of: config.patchSize)
            case .window(let rows, let steps): added += rows * (steps.max() ?? 1)
            case .around(let rows, let steps): added += 2 * rows * (steps.max() ?? 1)
            case .segments(let rows, let before): added += rows - 1 + before
            case .all: context = nil
            }
            context?.multiply(by: 1, adding: UInt32(added))
            return context
        }
    }
}

/// A whole number of any size, from 0: as much arithmetic as `EffectiveContext` needs.
package struct ExactCount: Sendable, Equatable {
    private static let base: UInt64 = 1_000_000_000
    /// Nine decimal digits each, the lowest first; the last is not 0, unless it is the only one.
    private var limbs: [UInt64]

    /// A negative number counts as 0.
    package init(_ value: some BinaryInteger) {
        limbs = []
        var rest = UInt64(clamping: value)
        repeat {
            limbs.append(rest % Self.base)
            rest /= Self.base
        } while rest > 0
    }

    /// Multiplies by `factor`, then adds `addend`. A limb times 2^32 and a carry stay below 2^63.
    package mutating func multiply(by factor: UInt32, adding addend: UInt32) {
        var carry = UInt64(addend)
        for index in limbs.indices {
            let sum = limbs[index] * UInt64(factor) + carry
            limbs[index] = sum % Self.base
            carry = sum / Self.base
        }
        while carry > 0 {
            limbs.append(carry % Self.base)
            carry /= Self.base
        }
        while limbs.count > 1 && limbs.last == 0 { limbs.removeLast() }
    }

    /// C becomes P·C + P·(P - 1).
    fileprivate mutating func passPatches(of patchSize: Int) {
        let P = UInt32(clamping: patchSize)
        multiply(by: P, adding: P &* (max(P, 1) - 1))
    }

    /// All digits.
    package var digits: String {
        var text = ""
        for limb in limbs.reversed() {
            let part = String(limb)
            text += text.isEmpty ? part : String(repeating: "0", count: 9 - part.count) + part
        }
        return text
    }

    /// "1 048 544"
    package var grouped: String { groupedDigits(digits) }

    /// The number where it fits into 64 bits.
    package var exact: Int? { Int(digits) }

    /// -infinity for 0.
    package var log10: Double {
        // The highest three limbs are all that a Double can tell apart.
        let highest = limbs.suffix(3)
        let value = highest.reversed().reduce(0.0) { $0 * Double(Self.base) + Double($1) }
        return Glibc.log10(value) + 9 * Double(limbs.count - highest.count)
    }

    /// Whether it is more than `number`, which is not negative.
    package func isMore(than number: Int) -> Bool { exact.map { $0 > number } ?? true }
}
