import CKernels
import PageStore

/// Finds values that are not numbers any more, which must never pass for results.
enum Finite {
    /// The first of `values` that is not finite, or would not be once stored as `element`.
    static func firstOverflow(_ values: UnsafePointer<Float>, count: Int, storedAs element: Element = .f32) -> Int? {
        let limit = element == .bf16 ? BBP_LARGEST_F32_AS_BF16 : BBP_LARGEST_F32
        return found(bbp_first_above_f32(values, Int64(count), UInt32(limit)))
    }

    /// The first of stored values that is not finite.
    static func firstOverflow(_ bytes: UnsafeRawBufferPointer, of element: Element) -> Int? {
        switch element {
        case .token:
            return nil
        case .bf16:
            let values = bytes.bindMemory(to: UInt16.self)
            return values.baseAddress.flatMap {
                found(bbp_first_above_bf16($0, Int64(values.count), UInt16(BBP_LARGEST_BF16)))
            }
        case .f32:
            let values = bytes.bindMemory(to: Float.self)
            return values.baseAddress.flatMap { firstOverflow($0, count: values.count) }
        }
    }

    private static func found(_ index: Int64) -> Int? { index < 0 ? nil : Int(index) }
}
