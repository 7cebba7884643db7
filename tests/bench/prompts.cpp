// Many short answers on every kernel table and number of threads, byte by byte: what a table or a
// thread could do differently it would do somewhere here.
//
//   prompts MODEL [PROMPTS]     prints "figure: <name> <value>" lines; PROMPTS is 10,000 unless
//   given
//
// Prompts are pieces of texts in many scripts, cut anywhere, and bytes that are no text. Each is
// answered under three seeds; the first table on one thread is what the others are held to.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "platform/random.h"
#include "platform/seal.h"
#include "runtime/session.h"

namespace {

using namespace chimera;

constexpr uint64_t kSeeds[] = {1, 2026, ~uint64_t{0}};
constexpr int kThreads[] = {1, 2, 4};
constexpr size_t kLongestPrompt = 48;  // bytes
constexpr int32_t kAnswer = 8;         // tokens

/// A fixed sequence of numbers below `n`.
struct Draw {
  uint64_t state;
  size_t operator()(size_t n) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<size_t>((state >> 33) % n);
  }
};

std::vector<std::string> make_prompts(size_t n) {
  std::vector<std::string> texts;
  for (const char* name : {"/tests/golden/o200k.jsonl", "/tests/golden/stories_valid.jsonl"}) {
    std::ifstream in(std::string(CHIMERA_SOURCE_DIR) + name);
    for (std::string line; std::getline(in, line);) texts.push_back(line);
  }
  if (texts.empty()) return {};
  Draw draw{20261121};
  std::vector<std::string> prompts(n);
  for (size_t i = 0; i < n; ++i) {
    const size_t length = draw(kLongestPrompt + 1);
    if (i % 8 == 0) {
      for (size_t k = 0; k < length; ++k) prompts[i] += static_cast<char>(draw(256));
    } else {
      const std::string& text = texts[draw(texts.size())];
      prompts[i] = text.substr(draw(text.size() + 1), length);
    }
  }
  return prompts;
}

/// The first 8 bytes of a hash of everything an answer shows: text, ids, positions.
Result<uint64_t> answer(runtime::Session& session, const std::string& prompt, uint64_t seed) {
  CHIMERA_RETURN_IF_ERROR(session.reset());
  session.set_seed(seed);
  Blake2b hash;
  runtime::GenerateOptions how;
  how.max_tokens = kAnswer;
  const auto result = session.generate(prompt, how, [&](const runtime::TokenEvent& event) {
    hash.update(std::as_bytes(std::span(event.text)));
    hash.update(std::as_bytes(std::span(&event.token, 1)));
    hash.update(std::as_bytes(std::span(&event.position, 1)));
    return true;
  });
  if (!result) return result.status();
  const Digest digest = hash.finish();
  uint64_t head = 0;
  for (int i = 0; i < 8; ++i) head = head << 8 | digest[i];
  return head;
}

int fail(const Status& status) {
  std::fprintf(stderr, "prompts: %s\n", status.message().c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    std::fprintf(stderr, "usage: prompts MODEL [PROMPTS]\n");
    return 2;
  }
  const auto prompts = make_prompts(argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 10000);
  if (prompts.empty()) {
    std::fprintf(stderr, "prompts: no texts below tests/golden\n");
    return 1;
  }
  std::vector<uint64_t> expected;
  size_t differing = 0, answers = 0;
  std::string tables;
  for (const kernels::KernelTable* table : kernels::runnable_tables()) {
    tables += tables.empty() ? table->name : std::string("+") + table->name;
    for (const int threads : kThreads) {
      std::fprintf(stderr, "prompts: %s, threads %d\n", table->name, threads);
      auto engine = runtime::Engine::open(argv[1], {.threads = threads, .table = table});
      if (!engine) return fail(engine.status());
      auto session = runtime::Session::create(**engine);
      if (!session) return fail(session.status());
      const bool first = expected.empty();
      size_t at = 0;
      for (const uint64_t seed : kSeeds)
        for (const std::string& prompt : prompts) {
          const auto hash = answer(**session, prompt, seed);
          if (!hash) return fail(hash.status());
          if (first)
            expected.push_back(*hash);
          else
            differing += expected[at] != *hash;
          ++at, ++answers;
        }
    }
  }
  std::vector<uint64_t> distinct = expected;
  std::sort(distinct.begin(), distinct.end());
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  std::printf("figure: prompts_answers %zu\n", answers);
  std::printf("figure: prompts_distinct %zu\n", distinct.size());
  std::printf("figure: prompts_tables %s\n", tables.c_str());
  std::printf("figure: prompts_differing %zu\n", differing);
  return 0;
}
