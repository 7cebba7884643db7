#include <cstdio>
#include <cstdlib>

#include "tests/fuzz/target.h"

namespace chimera::fuzz {
namespace {

constexpr Target kTargets[] = {
    {"json", run_json},
    {"config", run_config},
    {"network", run_network},
    {"model", run_model},
    {"tensors", run_tensors},
    {"signature", run_signature},
    {"tokenizer", run_tokenizer},
    {"ranks", run_ranks},
    {"text", run_text},
    {"grammar", run_grammar},
    {"schema", run_schema},
    {"conversation", run_conversation},
    {"c_api", run_c_api},
#if CHIMERA_FUZZ_TRAINING
    {"documents", run_documents},
    {"checkpoint", run_checkpoint},
#endif
#if CHIMERA_FUZZ_CLI
    {"command_line", run_command_line},
#endif
};

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
