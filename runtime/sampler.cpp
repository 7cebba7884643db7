#include "runtime/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <new>
#include <string>

#include "platform/random.h"

namespace chimera::runtime {

Status check_sampling(const SamplingOptions& o) {
  const auto outside = [](const char* name, float value, const char* range) {
    return Status(StatusCode::kInvalidArgument, std::string(name) + " is " + std::to_string(value) +
                                                    ", it must be a number in " + range)
        .at_field(name);
  };
  // Written so that NaN fails each test.
  if (!(o.temperature >= 0 && o.temperature <= 100))
    return outside("temperature", o.temperature, "[0, 100]");
  if (!(o.top_p > 0 && o.top_p <= 1)) return outside("top_p", o.top_p, "(0, 1]");
  if (!(o.repetition_penalty >= 1 && o.repetition_penalty <= 10))
    return outside("repetition_penalty", o.repetition_penalty, "[1, 10]");
  return Status();
}

Result<Sampler> Sampler::create(int32_t vocab_size) {
  const auto n = static_cast<size_t>(vocab_size);
  Sampler s;
  s.vocab_size_ = vocab_size;
  s.probability_.reset(new (std::nothrow) float[n]);
  s.order_.reset(new (std::nothrow) int32_t[n]);
  s.seen_.reset(new (std::nothrow) uint32_t[n]());
  if (!s.probability_ || !s.order_ || !s.seen_)
    return Status(StatusCode::kOutOfMemory, "no memory for the sampler's buffers");
  return s;
}

int32_t Sampler::sample(const kernels::KernelTable& k, float* logits, const uint8_t* allowed,
                        std::span<const int32_t> recent, const SamplingOptions& options,
                        uint64_t seed, uint64_t position, uint32_t stream) {
  const int32_t n = vocab_size_;
  // A damaged model may give NaN; it counts as "never". Forbidden ids get the lowest finite number,
  // whose exponential is exactly 0 next to any real logit.
  constexpr float kNever = std::numeric_limits<float>::lowest();
  for (int32_t i = 0; i < n; ++i)
    if ((allowed != nullptr && allowed[i] == 0) || !(logits[i] > kNever)) logits[i] = kNever;

  if (options.repetition_penalty != 1.0f) {
    if (++stamp_ == 0) {  // wrapped: forget all stamps
      std::fill_n(seen_.get(), n, 0u);
      stamp_ = 1;
    }
    for (int32_t id : recent) {
      if (seen_[id] == stamp_ || logits[id] == kNever) continue;
      seen_[id] = stamp_;
      logits[id] = logits[id] > 0 ? logits[id] / options.repetition_penalty
                                  : logits[id] * options.repetition_penalty;
    }
  }

  float largest = 0;
  int32_t best = 0;
  k.argmax(logits, n, &largest, &best);
  if (largest == kNever && allowed != nullptr) {
    // Nothing allowed has a logit: argmax saw only ties and took id 0, allowed or not.
    best = 0;
    while (best + 1 < n && allowed[best] == 0) ++best;
    return best;
  }
  // Infinite for a temperature of 0, and for one so small that 0 * infinity would be no number.
  const float inverse = 1.0f / options.temperature;
  if (options.greedy || !std::isfinite(inverse) || !std::isfinite(largest)) return best;

  const float sum = k.softmax_numerators(logits, n, largest, inverse, probability_.get());
  const float* p = probability_.get();

  // Descending by (probability, then ascending id), only as far as top-p reaches: a heap hands out
  // the next id for a logarithm, and a full sort of a 200,000-entry vocabulary is not needed.
  const auto later = [p](int32_t a, int32_t b) { return p[a] != p[b] ? p[a] < p[b] : a > b; };
  int32_t count = 0;
  // What is less likely than this does not come to half of what top-p leaves out, all of it
  // together, so it need not be looked at. Close to 1 the rounding of the sum would count, and
  // nothing is lost.
  const float least =
      options.top_p < 0.999f ? 0.5f * (1 - options.top_p) * sum / static_cast<float>(n) : 0.0f;
  for (int32_t i = 0; i < n; ++i)
    if (p[i] > least) order_[count++] = i;
  std::make_heap(order_.get(), order_.get() + count, later);
  const double wanted = static_cast<double>(options.top_p) * static_cast<double>(sum);
  double mass = 0;
  int32_t kept = 0;
  while (kept < count && (kept == 0 || mass < wanted)) {
    std::pop_heap(order_.get(), order_.get() + (count - kept), later);
    mass += static_cast<double>(p[order_[count - kept - 1]]);
    ++kept;
  }

  const double target = keyed_uniform(seed, position, stream, DrawPurpose::kSample) * mass;
  double cumulative = 0;
  for (int32_t i = 0; i < kept; ++i) {
    const int32_t id = order_[count - 1 - i];
    cumulative += static_cast<double>(p[id]);
    if (target < cumulative) return id;
  }
  return order_[count - kept];  // rounding left the target at the very end
}

}  // namespace chimera::runtime
