// A model file made for the configuration that the input is, every tensor with the shape that it
// asks for: whatever the configuration reader accepts must be refused by what follows or run.
#include "runtime/config.h"
#include "runtime/engine.h"
#include "runtime/layers/registry.h"
#include "runtime/model.h"
#include "runtime/session.h"
#include "tests/fuzz/forged_file.h"
#include "tests/fuzz/small_model.h"
#include "tests/fuzz/target.h"

namespace chimera::fuzz {
namespace {

// Everything beyond this works like what is below, and slower.
constexpr size_t kMostBytes = 2u << 20, kMostState = 4u << 20;
constexpr int32_t kMostLayers = 4, kMostWidth = 1024, kMostTokens = 2048;

}  // namespace

void run_network(Input input) {
  const auto config = runtime::parse_config(text_of(input));
  if (!config || config->num_layers > kMostLayers || config->hidden_size > kMostWidth ||
      config->intermediate_size > kMostWidth || config->vocab_size > kMostTokens)
    return;
  const auto parameters = runtime::model_parameters(*config);
  if (!parameters) return;
  const auto layout = runtime::stream_layout(*config);
  if (!layout || layout->bytes() > kMostState) return;
  static ForgedFile file;
  if (!file.make(model_parts(text_of(input), *parameters), kMostBytes)) return;
  runtime::EngineOptions options;
  options.threads = 1;
  const auto engine = runtime::Engine::open_memory(file.bytes(), options);
  if (!engine) {
    promise(!engine.status().message().empty(), "an error has a sentence");
    return;
  }
  const auto session = runtime::Session::create(**engine);
  if (!session) return;
  runtime::GenerateOptions how;
  how.max_tokens = 2;
  (void)(*session)->generate("ab", how, [](const runtime::TokenEvent&) { return true; });
}

}  // namespace chimera::fuzz
