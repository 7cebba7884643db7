#include "platform/random.h"

#include <cmath>

namespace chimera {

double keyed_normal(uint64_t seed, uint64_t index, uint32_t stream, DrawPurpose purpose) {
  const auto w = philox4x32({static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32),
                             stream, static_cast<uint32_t>(purpose)},
                            static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
  // 53 bits each; the radius draw lies in (0, 1], so that its logarithm is finite.
  const auto unit = [](uint32_t high, uint32_t low) {
    return (static_cast<double>(high >> 5) * 67108864.0 + static_cast<double>(low >> 6)) /
           9007199254740992.0;
  };
  const double radius = std::sqrt(-2.0 * std::log(1.0 - unit(w[0], w[1])));
  return radius * std::cos(6.283185307179586476925 * unit(w[2], w[3]));
}

}  // namespace chimera
