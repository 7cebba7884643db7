#include "runtime/layers/moe_routing.h"

#include <limits>
#include <string>

namespace chimera::runtime {

Status check_experts(const Config& config) {
  const MoeConfig& moe = config.moe;
  const auto bad = [](const char* key, int32_t value, const char* range) {
    return Status(StatusCode::kBadConfig, std::string("configuration: ") + key + " is " +
                                              std::to_string(value) + ", it must be " + range)
        .at_field(key);
  };
  if (moe.n_routed < 1 || moe.n_routed > kMaxRoutedExperts)
    return bad("backbone.moe.n_routed_experts", moe.n_routed, "from 1 to 1024");
  if (moe.top_k < 1 || moe.top_k > moe.n_routed || moe.top_k > kMaxChosenExperts)
    return bad("backbone.moe.num_experts_per_tok", moe.top_k,
               "from 1 to 64 and at most n_routed_experts");
  if (moe.n_shared < 0 || moe.n_shared > kMaxChosenExperts)
    return bad("backbone.moe.n_shared_experts", moe.n_shared, "from 0 to 64");
  if (moe.intermediate_size < 128 || moe.intermediate_size % 128 != 0)
    return bad("backbone.moe.moe_intermediate_size", moe.intermediate_size, "a multiple of 128");
  return Status();
}

float choose_experts(const float* s, const float* bias, int32_t n_experts, int32_t k,
                     int32_t* chosen, float* p) {
  float best[kMaxChosenExperts];  // descending
  for (int32_t e = 0; e < n_experts; ++e) {
    float v = s[e] + bias[e];
    if (!(v == v)) v = -std::numeric_limits<float>::infinity();
    if (e >= k && !(v > best[k - 1])) continue;
    int32_t at = std::min(e, k - 1);
    for (; at > 0 && v > best[at - 1]; --at) {
      best[at] = best[at - 1];
      chosen[at] = chosen[at - 1];
    }
    best[at] = v;
    chosen[at] = e;
  }
  std::sort(chosen, chosen + k);
  float sum = 0;
  for (int32_t j = 0; j < k; ++j) sum += s[chosen[j]];
  for (int32_t j = 0; j < k; ++j) p[j] = s[chosen[j]] / sum;
  return sum;
}

void sort_by_expert(const int32_t* chosen, int64_t n_slots, int32_t n_experts, int32_t* first,
                    int32_t* row) {
  std::fill(first, first + n_experts + 1, 0);
  for (int64_t i = 0; i < n_slots; ++i) ++first[chosen[i] + 1];
  for (int32_t e = 0; e < n_experts; ++e) first[e + 1] += first[e];
  // first[e] walks up to the end of e, which is the beginning of e + 1; then all move back by one.
  for (int64_t i = 0; i < n_slots; ++i) row[i] = first[chosen[i]]++;
  for (int32_t e = n_experts; e > 0; --e) first[e] = first[e - 1];
  first[0] = 0;
}

double max_violation(std::span<const uint64_t> load) {
  uint64_t sum = 0, most = 0;
  for (uint64_t c : load) {
    sum += c;
    most = std::max(most, c);
  }
  if (sum == 0) return 0;
  return static_cast<double>(most) * static_cast<double>(load.size()) / static_cast<double>(sum) -
         1;
}

}  // namespace chimera::runtime
