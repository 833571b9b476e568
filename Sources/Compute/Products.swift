import CKernels

/// Products that prepare weights, on the host.
package enum Products {
    /// out [rows, columns] = a [rows, inner] · b [inner, columns], summed in double precision.
    package static func exact(
        _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, rows: Int, inner: Int, columns: Int,
        into out: UnsafeMutablePointer<Float>
    ) {
        bbp_product_f64(a, b, Int64(rows), Int64(inner), Int64(columns), out)
    }
}
