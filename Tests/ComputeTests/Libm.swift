import Foundation

// Named apart, so that a test reads which functions are the system's.
func _sin(_ x: Double) -> Double { sin(x) }
func _cos(_ x: Double) -> Double { cos(x) }
func _exp(_ x: Double) -> Double { exp(x) }
func _log(_ x: Double) -> Double { log(x) }
func _erfc(_ x: Double) -> Double { erfc(x) }
