import CDNNL
import Support

/// oneDNN, single-threaded: one engine, one stream and one set of primitives for each worker.
///
/// Rows of a product do not depend on their place in the tile or on the other rows (tested), and primitives keep
/// their scratch in memory of ours, so a worker's set is independent of every other's.
final class DNNL {
    let engine: dnnl_engine_t
    let stream: dnnl_stream_t

    init() throws {
        var engine: dnnl_engine_t?
        var stream: dnnl_stream_t?
        try Self.check(dnnl_engine_create(&engine, dnnl_cpu, 0), "create an engine")
        try Self.check(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags.rawValue), "create a stream")
        guard let engine, let stream else { throw Fault(.inputOutput, "oneDNN made no engine") }
        self.engine = engine
        self.stream = stream
    }

    deinit {
        dnnl_stream_destroy(stream)
        dnnl_engine_destroy(engine)
    }

    /// To be called once in each thread: the thread works alone.
    static func becomeSingleThreaded() { omp_set_num_threads(1) }

    static func check(_ status: dnnl_status_t, _ action: String) throws {
        guard status == dnnl_success else {
            throw Fault(.inputOutput, "oneDNN cannot \(action) (status \(status.rawValue))", advice: status == dnnl_out_of_memory ? "Lower --memory or free memory." : nil)
        }
    }

    func memory(_ descriptor: UnsafePointer<dnnl_memory_desc_t>, _ data: UnsafeMutableRawPointer?) throws -> dnnl_memory_t {
        var memory: dnnl_memory_t?
        try Self.check(dnnl_memory_create(&memory, descriptor, engine, data), "create a memory object")
        guard let memory else { throw Fault(.inputOutput, "oneDNN made no memory object") }
        return memory
    }
}

/// A oneDNN primitive with its arguments bound: run it on other addresses by setting them.
final class DNNLPrimitive {
    private let library: DNNL
    private let primitive: dnnl_primitive_t
    private var arguments: [(index: Int32, memory: dnnl_memory_t)] = []
    private let scratch: Memory<UInt8>
    /// Bytes of scratch that the primitive owns.
    var scratchBytes: Int { scratch.count }

    /// - Parameter description: a primitive description made with user scratch; consumed.
    init(_ library: DNNL, description: dnnl_primitive_desc_t, arguments: [(index: Int32, query: dnnl_query_t, position: Int32)]) throws {
        self.library = library
        defer { dnnl_primitive_desc_destroy(description) }
        var primitive: dnnl_primitive_t?
        try DNNL.check(dnnl_primitive_create(&primitive, description), "create a primitive")
        guard let primitive else { throw Fault(.inputOutput, "oneDNN made no primitive") }
        self.primitive = primitive
        let scratchDescriptor = dnnl_primitive_desc_query_md(description, dnnl_query_scratchpad_md, 0)
        scratch = try Memory(scratchDescriptor.map { dnnl_memory_desc_get_size($0) } ?? 0)
        for argument in arguments {
            guard let descriptor = dnnl_primitive_desc_query_md(description, argument.query, argument.position) else {
                throw Fault(.inputOutput, "oneDNN does not describe argument \(argument.index)")
            }
            self.arguments.append((argument.index, try library.memory(descriptor, nil)))
        }
        if let scratchDescriptor {
            self.arguments.append((DNNL_ARG_SCRATCHPAD, try library.memory(scratchDescriptor, scratch.start)))
        }
    }

    deinit {
        for argument in arguments { dnnl_memory_destroy(argument.memory) }
        dnnl_primitive_destroy(primitive)
    }

    /// Runs on `addresses`, in the order of the arguments it was made with.
    func run(_ addresses: UnsafeMutableRawPointer...) throws {
        for (argument, address) in zip(arguments, addresses) {
            try DNNL.check(dnnl_memory_set_data_handle(argument.memory, address), "bind an argument")
        }
        let list = arguments.map { dnnl_exec_arg_t(arg: $0.index, memory: $0.memory) }
        try DNNL.check(dnnl_primitive_execute(primitive, library.stream, Int32(list.count), list), "run a primitive")
    }

    /// Attributes that leave the scratch to us.
    static func withUserScratch<R>(_ body: (dnnl_primitive_attr_t) throws -> R) throws -> R {
        var attributes: dnnl_primitive_attr_t?
        try DNNL.check(dnnl_primitive_attr_create(&attributes), "create attributes")
        guard let attributes else { throw Fault(.inputOutput, "oneDNN made no attributes") }
        defer { dnnl_primitive_attr_destroy(attributes) }
        try DNNL.check(dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user), "set the scratch mode")
        return try body(attributes)
    }
}

/// y [rows, outputs] = x [rows, inputs] · weightᵀ + bias, weight [outputs, inputs] row-major as checkpoints store it.
final class MatrixProduct {
    private let primitive: DNNLPrimitive
    private let hasBias: Bool
    var scratchBytes: Int { primitive.scratchBytes }

    init(_ library: DNNL, rows: Int, inputs: Int, outputs: Int, bias: Bool) throws {
        func matrix(_ rows: Int, _ columns: Int, _ tag: dnnl_format_tag_t) throws -> dnnl_memory_desc_t {
            var descriptor = dnnl_memory_desc_t()
            let sizes = [Int64(rows), Int64(columns)]
            try DNNL.check(dnnl_memory_desc_init_by_tag(&descriptor, 2, sizes, dnnl_f32, tag), "describe a matrix")
            return descriptor
        }
        var x = try matrix(rows, inputs, dnnl_ab)
        var weight = try matrix(inputs, outputs, dnnl_ba)
        var biasRow = try matrix(1, outputs, dnnl_ab)
        var y = try matrix(rows, outputs, dnnl_ab)
        var operation = dnnl_matmul_desc_t()
        if bias {
            try DNNL.check(dnnl_matmul_desc_init(&operation, &x, &weight, &biasRow, &y), "describe a matrix product")
        } else {
            try DNNL.check(dnnl_matmul_desc_init(&operation, &x, &weight, nil, &y), "describe a matrix product")
        }
        let description = try DNNLPrimitive.withUserScratch { attributes in
            var description: dnnl_primitive_desc_t?
            try DNNL.check(dnnl_primitive_desc_create(&description, &operation, attributes, library.engine, nil), "plan a matrix product of \(rows)x\(inputs)x\(outputs)")
            guard let description else { throw Fault(.inputOutput, "oneDNN made no plan") }
            return description
        }
        var arguments: [(Int32, dnnl_query_t, Int32)] = [
            (DNNL_ARG_SRC, dnnl_query_src_md, 0), (DNNL_ARG_WEIGHTS, dnnl_query_weights_md, 0), (DNNL_ARG_DST, dnnl_query_dst_md, 0),
        ]
        if bias { arguments.append((DNNL_ARG_BIAS, dnnl_query_weights_md, 1)) }
        primitive = try DNNLPrimitive(library, description: description, arguments: arguments)
        hasBias = bias
    }

    func run(_ x: UnsafePointer<Float>, weight: UnsafePointer<Float>, bias: UnsafePointer<Float>? = nil, into y: UnsafeMutablePointer<Float>) throws {
        if let bias, hasBias {
            try primitive.run(UnsafeMutableRawPointer(mutating: x), UnsafeMutableRawPointer(mutating: weight), y, UnsafeMutableRawPointer(mutating: bias))
        } else {
            try primitive.run(UnsafeMutableRawPointer(mutating: x), UnsafeMutableRawPointer(mutating: weight), y)
        }
    }
}

/// c [rows, F] = causal convolution over time of s [K-1 + rows, D]: c[t] = b + Σ_k W[:, :, k]·s[t + k].
///
/// The K-1 rows before the first output come with the input. Weights are re-laid once in the order that oneDNN asks for.
final class CausalConvolution {
    private let primitive: DNNLPrimitive
    private let weightLayout: dnnl_memory_desc_t
    private let library: DNNL
    private let shape: (inputs: Int, outputs: Int, kernel: Int)
    var scratchBytes: Int { primitive.scratchBytes }

    init(_ library: DNNL, rows: Int, inputs: Int, outputs: Int, kernel: Int) throws {
        func tensor(_ sizes: [Int], _ tag: dnnl_format_tag_t) throws -> dnnl_memory_desc_t {
            var descriptor = dnnl_memory_desc_t()
            try DNNL.check(dnnl_memory_desc_init_by_tag(&descriptor, Int32(sizes.count), sizes.map(Int64.init), dnnl_f32, tag), "describe a tensor")
            return descriptor
        }
        var source = try tensor([1, inputs, kernel - 1 + rows], dnnl_nwc)
        var weight = try tensor([outputs, inputs, kernel], dnnl_format_tag_any)
        var bias = try tensor([outputs], dnnl_a)
        var target = try tensor([1, outputs, rows], dnnl_nwc)
        var operation = dnnl_convolution_desc_t()
        let one: [Int64] = [1]
        let none: [Int64] = [0]
        try DNNL.check(
            dnnl_convolution_forward_desc_init(&operation, dnnl_forward_inference, dnnl_convolution_direct, &source, &weight, &bias, &target, one, none, none),
            "describe a convolution")
        let description = try DNNLPrimitive.withUserScratch { attributes in
            var description: dnnl_primitive_desc_t?
            try DNNL.check(dnnl_primitive_desc_create(&description, &operation, attributes, library.engine, nil), "plan a convolution of kernel \(kernel), \(inputs) to \(outputs) channels")
            guard let description else { throw Fault(.inputOutput, "oneDNN made no plan") }
            return description
        }
        guard let layout = dnnl_primitive_desc_query_md(description, dnnl_query_weights_md, 0) else {
            throw Fault(.inputOutput, "oneDNN does not describe its weights")
        }
        weightLayout = layout.pointee
        primitive = try DNNLPrimitive(
            library, description: description,
            arguments: [
                (DNNL_ARG_SRC, dnnl_query_src_md, 0), (DNNL_ARG_WEIGHTS, dnnl_query_weights_md, 0),
                (DNNL_ARG_BIAS, dnnl_query_weights_md, 1), (DNNL_ARG_DST, dnnl_query_dst_md, 0),
            ])
        self.library = library
        shape = (inputs, outputs, kernel)
    }

    /// Bytes of the weights as this convolution lays them.
    var weightBytes: Int { withUnsafePointer(to: weightLayout) { dnnl_memory_desc_get_size($0) } }

    /// Lays `weight` [F, D, K] out for `run`; `prepared` has `weightBytes` bytes.
    func prepare(_ weight: UnsafePointer<Float>, into prepared: UnsafeMutablePointer<UInt8>) throws {
        var plain = dnnl_memory_desc_t()
        try DNNL.check(dnnl_memory_desc_init_by_tag(&plain, 3, [Int64(shape.outputs), Int64(shape.inputs), Int64(shape.kernel)], dnnl_f32, dnnl_oiw), "describe the weights")
        var layout = weightLayout
        let source = try library.memory(&plain, UnsafeMutableRawPointer(mutating: weight))
        defer { dnnl_memory_destroy(source) }
        let target = try library.memory(&layout, prepared)
        defer { dnnl_memory_destroy(target) }
        var description: dnnl_primitive_desc_t?
        try DNNL.check(dnnl_reorder_primitive_desc_create(&description, &plain, library.engine, &layout, library.engine, nil), "plan the weights' layout")
        defer { dnnl_primitive_desc_destroy(description) }
        var reorder: dnnl_primitive_t?
        try DNNL.check(dnnl_primitive_create(&reorder, description), "create the weights' layout")
        defer { dnnl_primitive_destroy(reorder) }
        let list = [dnnl_exec_arg_t(arg: DNNL_ARG_FROM, memory: source), dnnl_exec_arg_t(arg: DNNL_ARG_TO, memory: target)]
        try DNNL.check(dnnl_primitive_execute(reorder, library.stream, 2, list), "lay out the weights")
    }

    func run(_ source: UnsafePointer<Float>, weight: UnsafePointer<UInt8>, bias: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>) throws {
        try primitive.run(UnsafeMutableRawPointer(mutating: source), UnsafeMutableRawPointer(mutating: weight), UnsafeMutableRawPointer(mutating: bias), target)
    }
}
