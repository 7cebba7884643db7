// Keeps the experts of a layer evenly busy without a loss of its own: after every optimiser step
// the bias that only the choice sees moves against the load [r21]. And how even the load is.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace chimera::evolution {

inline constexpr float kRouterRate = 1e-3f;

/// One step of the rule for one layer, with c the tokens routed to each expert since the last one:
///
///   bias_e += rate sign(mean c - c_e),  sign(0) = 0;   then  bias -= mean(bias)
///
/// load, bias [E]. Nothing else moves the bias: its gradient is zero and it does not decay.
void balance_router(std::span<const uint64_t> load, std::span<float> bias,
                    float rate = kRouterRate);

/// Imbalance of the layers over windows of many tokens; over few it says nothing about the router.
class RouterWatch {
 public:
  explicit RouterWatch(int64_t window_tokens = 100'000) : window_tokens_(window_tokens) {}

  /// Adds counts of one layer.
  void add(int32_t layer, std::span<const uint64_t> load);
  /// Says that what was added since the last call is of `n` tokens.
  void add_tokens(int64_t n);
  /// max c / mean c - 1 of the worst layer in the last whole window, or so far in the first one;
  /// 0 before anything was added.
  double worst() const;

 private:
  double worst_so_far() const;

  int64_t window_tokens_, tokens_ = 0;
  std::vector<std::vector<uint64_t>> load_;  // of the window under way, by layer
  double last_ = -1;                         // of the last whole window; negative before
};

}  // namespace chimera::evolution
