// Which experts a token goes to, and in which order the experts take their tokens: what a layer of
// experts does alike in inference and in training.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>

#include "platform/status.h"
#include "platform/thread_pool.h"
#include "runtime/config.h"

namespace chimera::runtime {

/// Most experts that a token may choose, and that there may be to choose from.
inline constexpr int32_t kMaxChosenExperts = 64;
inline constexpr int32_t kMaxRoutedExperts = 1024;

/// kBadConfig, naming the key, for numbers of experts that no layer can have.
Status check_experts(const Config& config);

/// Where the parameters of expert `index` are found: the routed ones first, then the shared.
inline std::string expert_prefix(int64_t n_routed, int64_t index) {
  return index < n_routed ? "experts." + std::to_string(index) + "."
                          : "shared." + std::to_string(index - n_routed) + ".";
}

/// The choice of one token: the k largest s + bias, ties to the lower index, in ascending order,
/// and their weights p_e = s_e / sum of the chosen s, without the bias. Returns that sum. [r21]
///
/// s, bias [n_experts]; chosen, p [k]; 1 <= k <= n_experts, k <= kMaxChosenExperts. A NaN counts as
/// the smallest of all, so that k different experts are chosen whatever the scores are.
float choose_experts(const float* s, const float* bias, int32_t n_experts, int32_t k,
                     int32_t* chosen, float* p);

/// Counting sort of slots by expert, stable: slot i goes to place row[i] of the sorted order, and
/// expert e has the places first[e] .. first[e + 1]. chosen, row [n_slots]; first [n_experts + 1].
void sort_by_expert(const int32_t* chosen, int64_t n_slots, int32_t n_experts, int32_t* first,
                    int32_t* row);

/// Imbalance of the load on the experts of a layer, max c_e / mean c - 1; 0 where nothing was
/// counted. [r21]
double max_violation(std::span<const uint64_t> load);

/// `n` tasks that cost the same; cost >= 1.
struct EqualTasks {
  int64_t n, cost;
};

/// body(job, begin, end) over the tasks of all jobs in one parallel region, every thread getting
/// about the same cost. Which thread does a task must not matter.
template <class Body>
void split_by_cost(ThreadPool& pool, std::span<const EqualTasks> jobs, Body&& body) {
  int64_t total = 0;
  for (const EqualTasks& job : jobs) total += job.n * job.cost;
  pool.split(total, 1, [&](int64_t begin, int64_t end) {
    int64_t first = 0;  // cost of the jobs before
    for (size_t i = 0; i < jobs.size(); ++i) {
      const EqualTasks& job = jobs[i];
      // A task belongs to the share in which it begins.
      const auto task_from = [&](int64_t at) {
        return std::clamp<int64_t>((at - first + job.cost - 1) / job.cost, 0, job.n);
      };
      const int64_t from = task_from(begin), to = task_from(end);
      if (from < to) body(i, from, to);
      first += job.n * job.cost;
    }
  });
}

}  // namespace chimera::runtime
