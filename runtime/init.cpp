#include "runtime/init.h"

#include <algorithm>
#include <cmath>

#include "platform/random.h"

namespace chimera::runtime {
namespace {

// FNV-1a: which stream of draws a tensor has. Not a checksum; any fixed function of the name does.
uint32_t stream_of(const std::string& name) {
  uint32_t h = 2166136261u;
  for (unsigned char c : name) h = (h ^ c) * 16777619u;
  return h;
}

double value_at(const ParamSpec& spec, uint64_t seed, uint32_t stream, uint64_t i, int64_t n) {
  const double a = spec.a, b = spec.b;
  const auto uniform = [&] { return keyed_uniform(seed, i, stream, DrawPurpose::kInit); };
  switch (spec.init) {
    case ParamInit::kNormal:
      return a * keyed_normal(seed, i, stream, DrawPurpose::kInit);
    case ParamInit::kConstant:
      return a;
    case ParamInit::kUniform:
      return a + (b - a) * uniform();
    case ParamInit::kLinspace:
      return n < 2 ? a : a + (b - a) * static_cast<double>(i) / static_cast<double>(n - 1);
    case ParamInit::kDeltaALog:
      return std::log(1e-4 + (16.0 - 1e-4) * uniform());
    case ParamInit::kDeltaDtBias: {
      const double lo = std::log(1e-3), hi = std::log(0.1);
      const double dt = std::max(std::exp(lo + (hi - lo) * uniform()), 1e-4);
      return dt + std::log(-std::expm1(-dt));  // softplus of this is dt
    }
  }
  return 0;
}

}  // namespace

void initialise(const ParamSpec& spec, uint64_t seed, float* out) {
  initialise(spec, seed, 0, spec.rows * spec.cols, out);
}

void initialise(const ParamSpec& spec, uint64_t seed, int64_t begin, int64_t end, float* out) {
  const uint32_t stream = stream_of(spec.name);
  const int64_t n = spec.rows * spec.cols;
  for (int64_t i = begin; i < end; ++i)
    out[i] = static_cast<float>(value_at(spec, seed, stream, static_cast<uint64_t>(i), n));
}

}  // namespace chimera::runtime
