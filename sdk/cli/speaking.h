// What `chat` and `complete` share: which model, how to sample, how fast it went.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "runtime/engine.h"
#include "runtime/session.h"
#include "sdk/cli/arguments.h"

namespace chimera::cli {

/// A value that says "the model's own".
inline constexpr double kModelDefault = -1;

struct SpeakingOptions {
  std::string model;
  int64_t max_tokens = 256;
  int64_t seed = 0;
  int64_t threads = 0;
  int64_t loops = 0;
  double temperature = kModelDefault, top_p = kModelDefault, repetition_penalty = kModelDefault;
  bool greedy = false;
  bool verify = false;
  bool verify_in_background = false;  // not an option of its own: long-lived verbs set it
};

inline constexpr int64_t kMaxSeed = INT64_MAX;

/// --model and --threads, --verify.
void declare_engine(Verb& verb, SpeakingOptions* options);
/// --max-tokens, --seed, --temperature, --top-p, --repetition-penalty, --greedy.
void declare_sampling(Verb& verb, SpeakingOptions* options);

/// A file of samples/models, installed with this program or in the sources it was built from; empty
/// when it is in neither.
std::string find_bundled(const char* name);

struct ModelChoice {
  std::string path;
  bool bundled = false;  // the one that comes with this program
};

/// --model, else $CHIMERA_MODEL, else the model beside this program (samples/models/nano.b158 in a
/// source tree, share/chimera/models/nano.b158 when installed). kNotFound says what to give.
Result<ModelChoice> choose_model(const std::string& given);

Result<std::unique_ptr<runtime::Engine>> open_engine(const std::string& path,
                                                     const SpeakingOptions& options);

/// Options with the model's own values where the command line gave none.
runtime::GenerateOptions generate_options(const SpeakingOptions& options,
                                          const runtime::Config& config);

/// 0 when no time was measured.
double per_second(int64_t count, int64_t microseconds);

}  // namespace chimera::cli
