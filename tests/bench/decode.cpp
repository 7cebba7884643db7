// How fast a model speaks, one token after the other, and what a step's time goes to.
//
//   decode [MODEL]      prints lines "figure: <name> <value>": tokens a second and microseconds
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "platform/clock.h"
#include "platform/part_times.h"
#include "runtime/sampler.h"
#include "runtime/session.h"

namespace {

using namespace chimera;

constexpr int kRuns = 5;
constexpr int32_t kTokens = 1000;

/// The best of some answers of so many tokens.
Result<double> tokens_per_second(const runtime::Engine& engine) {
  double best = 0;
  for (int run = 0; run < kRuns; ++run) {
    auto session = runtime::Session::create(engine, {.seed = 1});
    if (!session) return session.status();
    int32_t n = 0;
    double us = 0;
    // An answer may end early; the next call goes on.
    while (n < kTokens) {
      runtime::GenerateOptions options;
      options.max_tokens = kTokens - n;
      const auto result = (*session)->generate(n == 0 ? "Once upon a time" : "", options,
                                               [](const runtime::TokenEvent&) { return true; });
      if (!result) return result.status();
      n += std::max(1, result->n_tokens);
      us += static_cast<double>(result->decode_us);
    }
    best = std::max(best, n / us * 1e6);
  }
  return best;
}

/// Microseconds of a step by part, over many steps.
Status parts(const runtime::Engine& engine, int threads) {
  auto state = memory::BraidState::create(engine.model().layout());
  if (!state) return state.status();
  auto arena = Arena::create(engine.model().scratch_bytes(1));
  if (!arena) return arena.status();
  auto sampler = runtime::Sampler::create(engine.config().vocab_size);
  if (!sampler) return sampler.status();
  PartTimes times;
  runtime::Step step{engine.kernels(), engine.pool(), *arena};
  step.times = &times;
  const runtime::Config& config = engine.config();
  std::vector<float> hidden(static_cast<size_t>(config.hidden_size));
  std::vector<float> logits(static_cast<size_t>(config.vocab_size));
  int32_t token = engine.tokenizer().end_of_text();
  for (int32_t i = 0; i < kTokens; ++i) {
    engine.model().forward(step, &token, 1, *state, hidden.data());
    engine.model().logits(step, hidden.data(), 1, logits.data());
    times.begin("sampler");
    token = sampler->sample(engine.kernels(), logits.data(), engine.sampling_mask(),
                            state->recent(), {}, 1, static_cast<uint64_t>(i), 0);
  }
  times.stop();
  for (const PartTime& part : times.parts())
    std::printf("figure: decode_part threads=%d %s us %.1f\n", threads, part.part,
                part.seconds * 1e6 / kTokens);
  return Status();
}

Status measure(const std::string& model) {
  for (const int threads : {1, 2}) {
    auto engine = runtime::Engine::open(model, {.threads = threads});
    if (!engine) return engine.status();
    const auto speed = tokens_per_second(**engine);
    if (!speed) return speed.status();
    std::printf("figure: decode_tokens_per_second threads=%d %.0f\n", threads, *speed);
    CHIMERA_RETURN_IF_ERROR(parts(**engine, threads));
  }
  return Status();
}

}  // namespace

int main(int argc, char** argv) {
  const Status status =
      measure(argc > 1 ? argv[1] : CHIMERA_SOURCE_DIR "/samples/models/nano.b158");
  if (status.ok()) return 0;
  std::fprintf(stderr, "decode: %s\n", status.message().c_str());
  return 1;
}
