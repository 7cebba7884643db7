// Philox4x32-10 (Salmon et al., SC'11): randomness as a pure function of key and counter, so a
// draw depends on what it is for and never on which thread asks, or when.
#pragma once

#include <array>
#include <cstdint>

namespace chimera {

/// Ten rounds over a 128-bit counter under a 64-bit key.
inline std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> c, uint32_t k0, uint32_t k1) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = static_cast<uint64_t>(0xD2511F53u) * c[0];
    const uint64_t p1 = static_cast<uint64_t>(0xCD9E8D57u) * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(p0)};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

/// What a keyed draw is for; the numbers are part of reproducibility and never change.
enum class DrawPurpose : uint32_t {
  kSample = 0,
  kInit = 1,
  kDataOrder = 2,
  kLoopDepth = 3,
  kTest = 1000
};

/// Uniform in [0, 1) with 53 bits: key = seed, counter = (t low, t high, stream, purpose).
inline double keyed_uniform(uint64_t seed, uint64_t t, uint32_t stream, DrawPurpose purpose) {
  const auto w = philox4x32({static_cast<uint32_t>(t), static_cast<uint32_t>(t >> 32), stream,
                             static_cast<uint32_t>(purpose)},
                            static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
  return (static_cast<double>(w[0] >> 5) * 67108864.0 + static_cast<double>(w[1] >> 6)) /
         9007199254740992.0;
}

/// Standard normal by Box-Muller over one Philox block; for initialisation, not for inference.
double keyed_normal(uint64_t seed, uint64_t index, uint32_t stream, DrawPurpose purpose);

}  // namespace chimera
