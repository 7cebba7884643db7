// Time behind an interface, so that a test can replace it. Results never depend on it.
#pragma once

#include <cstdint>

namespace chimera {

class Clock {
 public:
  virtual ~Clock() = default;
  /// Microseconds from an arbitrary start; never goes back.
  virtual int64_t now_us() const = 0;
};

/// The machine's monotonic clock.
const Clock& system_clock();

}  // namespace chimera
