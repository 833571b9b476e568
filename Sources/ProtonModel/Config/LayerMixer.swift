import Support

/// The mixer of a layer, of whichever kind.
public struct LayerMixer: Sendable, Equatable {
    package let shape: any MixerShape

    package init(_ shape: any MixerShape) { self.shape = shape }

    /// Every kind that there is.
    package static let kinds: [any MixerShape.Type] = [
        MonteCarloShape.self, SlidingWindowShape.self, RetentionShape.self, LinearAttentionShape.self,
        TransNormerShape.self, MambaShape.self, Mamba2Shape.self, S4DShape.self, RWKV6Shape.self, RWKV7Shape.self,
        TransformerXLShape.self,
    ]

    package static let monteCarlo = LayerMixer(MonteCarloShape())

    /// Whether it is Monte Carlo Attention, the published mixer, which gathers from all over the sequence.
    public var isMonteCarlo: Bool { shape is MonteCarloShape }

    /// The kind, as config.json calls it: "monte-carlo", "retention".
    public var kind: String { type(of: shape).kind }

    /// Kind and options in one line, for people.
    public var summary: String { shape.summary }

    /// Whether both compute the same: kind and every option.
    public static func == (one: LayerMixer, other: LayerMixer) -> Bool { one.shape.json == other.shape.json }

    /// Names the first field that cannot work in a model of hidden size `width`, causal or not; nil when all do.
    func impossibleField(isCausal: Bool, width: Int) -> (field: String, problem: String)? {
        guard isCausal || shape.hasBidirectionalForm else {
            return ("kind", "is '\(kind)', which works in causal models only; \"causal\" is false")
        }
        guard !isCausal || !shape.isLookingAhead else {
            return ("causal", "is false, and the model's is true; its rows see no later ones")
        }
        return shape.impossibleField(width: width)
    }
}

extension LayerMixer {
    /// Reads and checks a mixer's object.
    ///
    /// - Parameter name: of the object, for errors.
    /// - Throws: `Fault` naming the field.
    package init(_ value: JSONValue, named name: String, file: String, in model: MixerSurroundings) throws {
        guard case .object(let object) = value else {
            throw Fault(.badData, "must be an object with a field 'kind'", at: Place(file: file, field: name))
        }
        var fields = JSONFields(object, file: file, prefix: "\(name).")
        let kind = try fields.string("kind", among: Self.kinds.map { $0.kind })
        guard let type = Self.kinds.first(where: { $0.kind == kind }) else {
            throw fields.fault("kind", "there is no mixer of this kind")
        }
        self.init(try type.init(&fields, in: model))
        try fields.finish()
        if let found = impossibleField(isCausal: model.isCausal, width: model.hiddenSize) {
            throw fields.fault(found.field, found.problem)
        }
    }

    /// Reads and checks a list of mixers, one a layer.
    private static func list(_ value: JSONValue, file: String, in model: MixerSurroundings) throws -> [LayerMixer] {
        guard case .array(let entries) = value, !entries.isEmpty else {
            throw Fault(
                .badData, "must be a list of objects, one a layer", at: Place(file: file, field: "mixers"))
        }
        return try entries.enumerated().map {
            try LayerMixer($1, named: "mixers.\($0)", file: file, in: model.at($0, of: entries.count))
        }
    }

    /// Takes the fields `mixers`, an object a layer, however many, and `mixer`, one for all `layers`; nil where there
    /// is neither.
    static func take(_ fields: inout JSONFields, file: String, layers: Int, in model: MixerSurroundings) throws
        -> [LayerMixer]?
    {
        switch (fields.take("mixer"), fields.take("mixers")) {
        case (nil, nil): return nil
        case (let one?, nil):
            return try (0..<layers).map {
                try LayerMixer(one, named: "mixer", file: file, in: model.at($0, of: layers))
            }
        case (nil, let list?): return try self.list(list, file: file, in: model)
        default: throw fields.fault("mixer", "stands beside 'mixers'; only one of them can be there")
        }
    }

    /// Reads and checks the mixers of a JSON file: a list of them, or an object that has them as config.json does,
    /// whose other fields are not looked at. As many as the list has, or `layers` where there is one for all.
    package static func list(file: String, layers: Int, in model: MixerSurroundings) throws -> [LayerMixer] {
        guard File.exists(file) else { throw Fault(.noInput, "there is no such file", at: Place(file: file)) }
        let document = try JSONValue.document(try ModelConfig.contents(file), file: file)
        guard case .object(let object) = document else {
            return try list(document, file: file, in: model)
        }
        var fields = JSONFields(object, file: file)
        guard let mixers = try take(&fields, file: file, layers: layers, in: model) else {
            throw fields.fault("mixers", "the field is missing, and so is 'mixer'")
        }
        return mixers
    }
}
