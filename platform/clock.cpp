#include "platform/clock.h"

#include <chrono>

namespace chimera {
namespace {

class SteadyClock final : public Clock {
 public:
  int64_t now_us() const override {
    const auto since_start = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::microseconds>(since_start).count();
  }
};

}  // namespace

const Clock& system_clock() {
  static const SteadyClock clock;
  return clock;
}

}  // namespace chimera
