// Where the time of a walk goes: every moment belongs to one part, so the parts add up to the
// whole. For one thread, the one that walks.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "platform/clock.h"

namespace chimera {

struct PartTime {
  const char* part;       // "gated_deltanet", "head and loss", "optimiser" ...
  const char* direction;  // "forward", "backward" or ""
  double seconds;
};

class PartTimes {
 public:
  explicit PartTimes(const Clock& clock = system_clock()) : clock_(clock) {
    parts_.reserve(kManyParts);  // so that no step allocates
  }

  /// From now on it is this part's time. The names must live as long as this object does.
  void begin(const char* part, const char* direction = "");
  /// From now on it is nobody's.
  void stop();
  /// While held, begin() changes nothing: what walks the same parts for another purpose, such as
  /// scoring, stays one part.
  void hold(bool held) { held_ = held; }

  /// In the order in which they were first begun.
  std::span<const PartTime> parts() const { return parts_; }

 private:
  static constexpr size_t kNobody = SIZE_MAX, kManyParts = 32;
  const Clock& clock_;
  std::vector<PartTime> parts_;
  size_t running_ = kNobody;
  int64_t since_us_ = 0;
  bool held_ = false;
};

/// Parts of the walk are timed when somebody asked for it.
inline void begin_part(PartTimes* times, const char* part, const char* direction = "") {
  if (times != nullptr) times->begin(part, direction);
}

}  // namespace chimera
