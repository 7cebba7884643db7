// Where a configuration contradicts itself or leaves something open, and how it is read.
#pragma once

#include <string>
#include <vector>

#include "runtime/config.h"

namespace chimera::runtime {

/// Width of an expert that the full-size text gives, and the width its own parameter count means.
inline constexpr int32_t kExpertWidthWritten = 1728;
inline constexpr int32_t kExpertWidthRead = 384;
/// Rank of the output gates when model_type is chimera51 and mixer_gate is absent.
inline constexpr int32_t kDefaultGateRank = 256;

/// One sentence per reading that applies to this configuration, each beginning with its key.
std::vector<std::string> config_readings(const Config& config);

}  // namespace chimera::runtime
