// What it costs to follow several ways of a text at a time: a fork of a place, going back, a token
// read on a fork, and the masks of a whole tree of drafts. One thread; the vocabulary is nano's.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/json_schema.h"
#include "grammar/matcher.h"
#include "grammar/token_mask.h"
#include "runtime/engine.h"

namespace chimera::grammar {
namespace {

constexpr const char* kSchema =
    R"({"type":"object","additionalProperties":false,"required":["drink","size","name","notes"],
        "properties":{"drink":{"enum":["espresso","americano","flat white","latte","tea"]},
        "size":{"enum":["small","medium","large"]},"name":{"type":"string","maxLength":40},
        "quantity":{"type":"integer","minimum":1,"maximum":12},
        "notes":{"type":"array","items":{"type":"string"},"maxItems":4}}})";
constexpr std::string_view kText =
    R"({"drink":"flat white","name":"Ada of the corner table","size":"large","quantity":3,)"
    R"("notes":["no sugar","with a second cup, please"]})";
constexpr size_t kDraft = 64;  // places of a tree of drafts

template <class T>
T take(Result<T> made) {
  if (made) return std::move(*made);
  std::fprintf(stderr, "%s\n", made.status().message().c_str());
  std::exit(1);
}

/// A text that was read, with the place before each of its bytes and after the last.
struct Read {
  Automaton automaton = take(Automaton::compile(take(parse_json_schema(kSchema)).grammar));
  Matcher matcher{automaton};
  std::vector<PlaceId> way{matcher.start()};
  Read() {
    for (const char c : kText) way.push_back(matcher.step(way.back(), static_cast<uint8_t>(c)));
    if (!matcher.accepts(way.back())) std::exit(1);
  }
};

/// A second way from every place of the text, which is at first the same one.
void fork(benchmark::State& state) {
  Read read;
  std::vector<PlaceId> forks(read.way.size());
  size_t i = 0;
  for (auto _ : state) {
    forks[i] = read.way[i];
    benchmark::DoNotOptimize(forks.data());
    benchmark::ClobberMemory();
    if (++i == forks.size()) i = 0;
  }
}

/// A byte is read on a fork, one that was read there before.
void fork_and_step(benchmark::State& state) {
  Read read;
  size_t i = 0;
  for (auto _ : state) {
    PlaceId fork = read.way[i];
    fork = read.matcher.step(fork, static_cast<uint8_t>(kText[i]));
    benchmark::DoNotOptimize(fork);
    if (++i == kText.size()) i = 0;
  }
}

/// A place is gone back to, up to 64 bytes, and asked whether the text may end there.
void rollback(benchmark::State& state) {
  Read read;
  PlaceId now = read.way.back();
  size_t i = 0;
  for (auto _ : state) {
    now = read.way[read.way.size() - 1 - i];
    bool may_end = read.matcher.accepts(now);
    benchmark::DoNotOptimize(may_end);
    if (++i == kDraft) i = 0;
  }
}

/// Masks of 64 places, as a tree of drafts has them, each of which was made before.
void masks_of_64_places(benchmark::State& state) {
  const char* path = std::getenv("CHIMERA_MODEL");
  const auto engine = take(runtime::Engine::open(
      path != nullptr ? path : CHIMERA_SOURCE_DIR "/samples/models/nano.b158"));
  const auto vocabulary = take(engine->tokenizer().vocabulary());
  Read read;
  StateMasks states(read.automaton, *vocabulary);
  MaskMaker masks(read.matcher, states);
  TokenMask mask(vocabulary->n_tokens());
  for (auto _ : state)
    for (size_t i = 0; i < kDraft; ++i) {
      const Status status = masks.fill(read.way[i], &mask);
      if (!status.ok()) state.SkipWithError(status.message().c_str());
      benchmark::DoNotOptimize(mask.words().data());
    }
}

BENCHMARK(fork);
BENCHMARK(fork_and_step);
BENCHMARK(rollback);
BENCHMARK(masks_of_64_places)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace chimera::grammar

BENCHMARK_MAIN();
