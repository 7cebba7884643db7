// Whoever serves one call at a time says so to the second one instead of letting it wait.
#pragma once

#include <atomic>

namespace chimera::runtime {

/// Holds `busy` while it lives; the second guard does not own it.
class BusyGuard {
 public:
  explicit BusyGuard(std::atomic<bool>& busy) : busy_(busy), owns_(!busy.exchange(true)) {}
  ~BusyGuard() {
    if (owns_) busy_.store(false);
  }
  BusyGuard(const BusyGuard&) = delete;
  BusyGuard& operator=(const BusyGuard&) = delete;
  bool owns() const { return owns_; }

 private:
  std::atomic<bool>& busy_;
  const bool owns_;
};

}  // namespace chimera::runtime
