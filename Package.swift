// swift-tools-version: 6.2
import PackageDescription

let swift: [SwiftSetting] = [.treatAllWarnings(as: .error)]
let c: [CSetting] = [.treatAllWarnings(as: .error)]

let package = Package(
    name: "bbp-stream",
    products: [
        .library(
            name: "StreamEngine",
            targets: ["StreamEngine", "ProtonModel", "Compute", "PageStore", "Geometry", "Support"]),
        .executable(name: "bbp-stream", targets: ["bbp-stream"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.1.0"),
    ],
    targets: [
        // Native libraries: module map and shim, nothing else.
        .systemLibrary(name: "CLMDB", pkgConfig: "lmdb", providers: [.apt(["liblmdb-dev"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .systemLibrary(name: "CXXHash", pkgConfig: "libxxhash", providers: [.apt(["libxxhash-dev"])]),
        .systemLibrary(name: "CMalloc"),
        .target(name: "CKernels", cSettings: c, linkerSettings: [.linkedLibrary("m")]),

        // Arrows run downward only.
        .target(name: "Support", dependencies: ["CKernels"], swiftSettings: swift),
        .target(name: "Geometry", swiftSettings: swift),
        .target(name: "Cluster", dependencies: ["Support", "Geometry"], swiftSettings: swift),
        .target(
            name: "PageStore",
            dependencies: ["Support", "Geometry", "CKernels", "CLMDB", "CZstd", "CXXHash"],
            swiftSettings: swift),
        .target(name: "Compute", dependencies: ["Support", "CKernels"], swiftSettings: swift),
        .target(
            name: "ProtonModel",
            dependencies: ["Support", "Geometry", "Compute", "CKernels", "CXXHash"],
            swiftSettings: swift),
        .target(
            name: "StreamEngine",
            dependencies: [
                "CKernels", "CMalloc", "CXXHash", "Support", "Geometry", "Cluster", "Compute", "PageStore",
                "ProtonModel",
                .product(name: "HeapModule", package: "swift-collections"),
            ],
            swiftSettings: swift),
        .executableTarget(
            name: "bbp-stream",
            dependencies: [
                "StreamEngine", "ProtonModel", "Compute", "PageStore", "Geometry", "Support",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: swift),

        // Kernels and codec by themselves, for tools/bench.
        .executableTarget(
            name: "microbench", dependencies: ["Support", "PageStore", "Compute", "CKernels"],
            path: "tools/microbench", swiftSettings: swift),

        // Hostile stores and models for the readers above, for tools/fuzz.
        .executableTarget(
            name: "fuzzer",
            dependencies: [
                "StreamEngine", "ProtonModel", "Compute", "PageStore", "Geometry", "Support", "CZstd",
            ],
            path: "tools/fuzzer",
            swiftSettings: swift),

        // Tests: a target for each module, and one for the program as its users run it.
        .target(
            name: "TestSupport", dependencies: ["Cluster", "Support"], path: "Tests/TestSupport", swiftSettings: swift),
        .testTarget(name: "SupportTests", dependencies: ["Support", "TestSupport"], swiftSettings: swift),
        .testTarget(name: "CKernelsTests", dependencies: ["CKernels", "TestSupport"], swiftSettings: swift),
        .testTarget(
            name: "ClusterTests", dependencies: ["Cluster", "Support", "Geometry", "TestSupport"], swiftSettings: swift),
        .testTarget(name: "GeometryTests", dependencies: ["Geometry"], swiftSettings: swift),
        .testTarget(
            name: "PageStoreTests", dependencies: ["PageStore", "Geometry", "Support", "TestSupport"],
            swiftSettings: swift),
        .testTarget(
            name: "ComputeTests", dependencies: ["Compute", "CKernels", "Support", "TestSupport"], swiftSettings: swift),
        .testTarget(
            name: "ProtonModelTests", dependencies: ["ProtonModel", "Compute", "Geometry", "Support", "TestSupport"],
            swiftSettings: swift),
        .testTarget(
            name: "StreamEngineTests",
            dependencies: [
                "StreamEngine", "ProtonModel", "Compute", "CKernels", "Cluster", "PageStore", "Support", "Geometry",
                "TestSupport",
            ],
            swiftSettings: swift),
        .testTarget(
            name: "CommandLineTests", dependencies: ["bbp-stream", "StreamEngine", "PageStore", "TestSupport"],
            swiftSettings: swift),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .c17
)
