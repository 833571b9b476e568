import Support

/// Bytes that this process has moved from and to the disk, as the system counts them; reads that the page cache serves
/// are not among them.
struct DiskTraffic {
    var read = 0
    var written = 0

    static func now() -> DiskTraffic {
        var traffic = DiskTraffic()
        guard let bytes = try? File.read("/proc/self/io") else { return traffic }
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            let parts = line.split(separator: " ")
            guard parts.count == 2, let value = Int(parts[1]) else { continue }
            if parts[0] == "read_bytes:" { traffic.read = value }
            if parts[0] == "write_bytes:" { traffic.written = value }
        }
        return traffic
    }

    func until(_ later: DiskTraffic) -> DiskTraffic {
        DiskTraffic(read: later.read - read, written: later.written - written)
    }
}
