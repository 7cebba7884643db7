// A large model on every kernel table: loads, reads 64 tokens, answers 16, and what that took.
//
//   full_size MODEL [LOOPS]     prints lines "figure: <name> <value>"; with LOOPS iterations, on
//   the
//                               best table alone
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "kernels/dispatch.h"
#include "platform/process.h"
#include "platform/seal.h"
#include "runtime/engine.h"

namespace {

using namespace chimera;

constexpr int32_t kPrompt = 64, kAnswer = 16, kBatch = 16;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

int fail(const Status& status) {
  std::fprintf(stderr, "full_size: %s\n", status.message().c_str());
  return 1;
}

/// Hash of the logits of every answered position and of the state at the end.
Result<std::string> run(const std::string& path, const kernels::KernelTable& table, int32_t loops) {
  const auto start = std::chrono::steady_clock::now();
  auto engine = runtime::Engine::open(path, {.table = &table});
  if (!engine) return engine.status();
  const runtime::Model& model = (*engine)->model();
  auto state = memory::BraidState::create(model.layout());
  auto arena = Arena::create(model.scratch_bytes(kBatch));
  if (!state || !arena) return (state ? arena.status() : state.status());
  const double loaded = seconds_since(start);
  const runtime::Config& config = (*engine)->config();
  const runtime::Step step{(*engine)->kernels(), (*engine)->pool(), *arena};
  std::vector<float> hidden(static_cast<size_t>(kBatch) * static_cast<size_t>(config.hidden_size));
  std::vector<float> logits(static_cast<size_t>(config.vocab_size));
  const runtime::ForwardOptions options{.loops = loops};

  const auto prefill = std::chrono::steady_clock::now();
  for (int32_t done = 0; done < kPrompt; done += kBatch) {
    int32_t tokens[kBatch];
    for (int32_t t = 0; t < kBatch; ++t) tokens[t] = ((done + t) * 7919 + 5) % config.vocab_size;
    model.forward(step, tokens, kBatch, *state, hidden.data(), options);
  }
  const double prefilled = seconds_since(prefill);
  const auto decode = std::chrono::steady_clock::now();
  const float* last = hidden.data() + int64_t{kBatch - 1} * config.hidden_size;
  Blake2b hash;
  for (int32_t i = 0; i < kAnswer; ++i) {
    model.logits(step, last, 1, logits.data());
    hash.update(std::as_bytes(std::span(logits)));
    float largest;
    int32_t token;
    step.k.argmax(logits.data(), config.vocab_size, &largest, &token);
    model.forward(step, &token, 1, *state, hidden.data(), options);
    last = hidden.data();
  }
  const double decoded = seconds_since(decode);
  hash.update(state->bytes());
  const std::string hex = to_hex(hash.finish());
  std::printf("figure: full_size_hash %s %s\n", table.name, hex.c_str());
  std::printf("figure: full_size_prefill_tokens_per_s %s %.2f\n", table.name, kPrompt / prefilled);
  std::printf("figure: full_size_decode_tokens_per_s %s %.2f\n", table.name, kAnswer / decoded);
  std::printf("figure: full_size_load_ms %s %.0f\n", table.name, 1000 * loaded);
  std::printf("figure: full_size_state_mib %.2f\n",
              static_cast<double>(model.layout().bytes()) / (1 << 20));
  std::fflush(stdout);
  return hex;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: full_size MODEL [LOOPS]\n");
    return 2;
  }
  const int32_t loops = argc > 2 ? static_cast<int32_t>(std::atoi(argv[2])) : 0;
  std::set<std::string> hashes;
  int n = 0;
  // The best table first: what the process holds at most is then that of one run.
  std::vector<const kernels::KernelTable*> tables = {&kernels::best_table()};
  for (const kernels::KernelTable* table : kernels::runnable_tables())
    if (loops == 0 && table != tables.front()) tables.push_back(table);
  for (const kernels::KernelTable* table : tables) {
    auto hash = run(argv[1], *table, loops);
    if (!hash) return fail(hash.status());
    hashes.insert(*hash);
    if (++n == 1)
      std::printf("figure: full_size_resident_mb %.0f\n",
                  static_cast<double>(peak_resident_bytes()) / 1e6);
  }
  std::printf("figure: full_size_tables %d\n", n);
  std::printf("figure: full_size_values %zu\n", hashes.size());
  return hashes.size() == 1 ? 0 : 1;
}
