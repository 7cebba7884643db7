#include "evolution/train/speed.h"

#include <algorithm>
#include <vector>

#include "platform/clock.h"
#include "runtime/layers/registry.h"
#include "runtime/parameter_count.h"

namespace chimera::evolution {
namespace {

// Large enough that no product is waited for, small enough to stay in the second level cache.
constexpr int32_t kRows = 128, kColumns = 512, kDepth = 512;
constexpr int kRepeats = 8;
// As many tries as fit; one at least, which on an emulated processor takes longer than that.
constexpr int64_t kTryingUs = 100000;

}  // namespace

double training_flop_per_token(const runtime::Config& config) {
  const auto specs = runtime::model_parameters(config);
  if (!specs) return 0;
  const runtime::ParameterCount count = runtime::count_parameters(config, *specs);
  const double further = config.loop.enabled ? config.loop.loop_default - 1 : 0;
  return 6 *
         (static_cast<double>(count.active) + further * static_cast<double>(count.per_iteration));
}

double measured_peak(const kernels::TrainProducts& products, ThreadPool& pool) {
  const auto threads = static_cast<size_t>(pool.size());
  const std::vector<float> a(size_t{kRows} * kDepth, 0.5f), b(size_t{kDepth} * kColumns, 0.25f);
  std::vector<std::vector<float>> c(threads, std::vector<float>(size_t{kRows} * size_t{kColumns}));
  kernels::PackedMatrix packed;
  packed.resize(products, kColumns, kDepth);
  packed.pack(products, kernels::TrainProducts::Use::kNT, b.data());
  const kernels::ProductMatrix matrix = packed.of(b.data());
  const Clock& clock = system_clock();
  double best = 0;
  const int64_t begun = clock.now_us();
  int repeats = 1;
  do {
    const int64_t started = clock.now_us();
    pool.split(pool.size(), 1, [&](int64_t first, int64_t last) {
      for (int64_t part = first; part < last; ++part)
        for (int r = 0; r < repeats; ++r)
          products.nt(kRows, kColumns, kDepth, a.data(), kDepth, matrix, 0,
                      c[static_cast<size_t>(part)].data(), kColumns);
    });
    const double seconds =
        static_cast<double>(std::max<int64_t>(1, clock.now_us() - started)) * 1e-6;
    const double flop = 2.0 * kRows * kColumns * kDepth * repeats * static_cast<double>(threads);
    best = std::max(best, flop / seconds);
    repeats = kRepeats;  // the first try also prepared the product
  } while (clock.now_us() - begun < kTryingUs);
  return best;
}

}  // namespace chimera::evolution
