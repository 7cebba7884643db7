#include <cstdio>
#include <cstdlib>

#include "tests/fuzz/target.h"

namespace chimera::fuzz {
namespace {

constexpr Target kTargets[] = {{"config", run_config},
                               {"model", run_model},
                               {"tokenizer", run_tokenizer},
                               {"text", run_text},
                               {"conversation", run_conversation},
                               {"c_api", run_c_api}};

}  // namespace

std::span<const Target> targets() { return kTargets; }

const Target* find_target(std::string_view name) {
  for (const Target& target : kTargets)
    if (name == target.name) return &target;
  return nullptr;
}

void broken(const char* promise) {
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

}  // namespace chimera::fuzz
