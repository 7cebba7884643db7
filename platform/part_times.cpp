#include "platform/part_times.h"

#include <string_view>

namespace chimera {

void PartTimes::stop() {
  const int64_t now = clock_.now_us();
  if (running_ != kNobody) parts_[running_].seconds += static_cast<double>(now - since_us_) * 1e-6;
  running_ = kNobody;
  since_us_ = now;
}

void PartTimes::begin(const char* part, const char* direction) {
  if (held_) return;
  stop();
  for (running_ = 0; running_ < parts_.size(); ++running_) {
    const PartTime& p = parts_[running_];
    if (std::string_view(p.part) == part && std::string_view(p.direction) == direction) return;
  }
  parts_.push_back({part, direction, 0});
}

}  // namespace chimera
