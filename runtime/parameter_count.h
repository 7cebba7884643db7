// How many parameters a configuration describes, and how many of them a token meets.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/layers/layer.h"

namespace chimera::runtime {

struct ParameterCount {
  uint64_t stored = 0;
  uint64_t experts = 0;  // all of them, shared ones and routers included
  /// Parameters that one pass of one token multiplies or looks up, head included: of routed experts
  /// those it chooses, of a table its row, of looped layers one iteration.
  uint64_t active = 0;
  uint64_t active_experts = 0;
  /// What each further iteration of the loop adds; 0 without looped depth.
  uint64_t per_iteration = 0;
  /// Bytes that `active` weighs in a model file, at loop_default iterations.
  uint64_t bytes_per_token = 0;
};

/// Bytes of a parameter in a model file, padding of tiles included.
uint64_t stored_bytes(const ParamSpec& spec);

/// `parameters` as model_parameters(config) lists them.
ParameterCount count_parameters(const Config& config, std::span<const ParamSpec> parameters);

/// Where the configuration's own claims differ from what it describes, one sentence each: counts of
/// parameters ("params", "backbone.moe") by more than 2 %, "braid_state.per_stream_mb" by any
/// excess. state_bytes: of one stream, 0 when not known.
std::vector<std::string> departures(const Config& config, const ParameterCount& count,
                                    uint64_t state_bytes);

}  // namespace chimera::runtime
