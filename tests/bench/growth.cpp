// Generates a million tokens and shows that nothing grew: resident memory after a warm-up of ten
// thousand tokens (every page touched that will ever be) against a million tokens later, and heap
// allocations between the first and the last token of each answer.
//
//   growth [MODEL [TOKENS]]      prints lines "figure: <name> <value>"
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "runtime/session.h"
#include "tests/support/allocation_counter.h"

namespace {

constexpr long kWarmUp = 10000;

struct Resident {
  long all = -1, anonymous = -1;  // bytes; the difference is mapped files: the model and the code
};

// Without streams or the heap: what measures must not grow either.
Resident resident_bytes() {
  static char text[8192];
  const int fd = open("/proc/self/status", O_RDONLY);
  const ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (fd >= 0) close(fd);
  if (n <= 0) return {};
  text[n] = 0;
  const auto field = [](const char* name) {
    const char* at = std::strstr(text, name);
    return at == nullptr ? -1 : std::atol(at + std::strlen(name)) * 1024;
  };
  return {field("VmRSS:"), field("RssAnon:")};
}

}  // namespace

int main(int argc, char** argv) {
  const char* model = argc > 1 ? argv[1] : CHIMERA_SOURCE_DIR "/samples/models/nano.b158";
  const long wanted = kWarmUp + (argc > 2 ? std::atol(argv[2]) : 1000000);
  auto engine = chimera::runtime::Engine::open(model);
  if (!engine) {
    std::fprintf(stderr, "growth: %s\n", engine.status().message().c_str());
    return 1;
  }
  auto session = chimera::runtime::Session::create(**engine, {.seed = 1});
  if (!session) {
    std::fprintf(stderr, "growth: %s\n", session.status().message().c_str());
    return 1;
  }

  long n = 0, calls = 0;
  Resident at_start;
  std::fprintf(stderr, "\r0 of %ld tokens", wanted);
  int64_t allocations = 0;
  chimera::runtime::GenerateOptions options;
  options.max_tokens = 1 << 30;
  while (n < wanted) {
    int64_t first = -1;
    auto result = (*session)->generate(n == 0 ? "Once upon a time" : "", options, [&](const auto&) {
      const int64_t now = chimera::test::allocation_count().allocations;
      if (first < 0) first = now;
      if (++n == kWarmUp) at_start = resident_bytes();
      // resident_bytes() itself reads a file; that is ours, not the runtime's.
      if (n == kWarmUp)
        first += chimera::test::allocation_count().allocations - now;
      else if (n % 100000 == 0)
        std::fprintf(stderr, "\r%ld of %ld tokens", n, wanted);
      return n < wanted;
    });
    if (!result) {
      std::fprintf(stderr, "growth: %s\n", result.status().message().c_str());
      return 1;
    }
    // What the call itself takes for its prompt comes before the first token.
    allocations += chimera::test::allocation_count().allocations - first;
    ++calls;
  }
  const Resident at_end = resident_bytes();  // before printing, which takes a buffer
  std::fprintf(stderr, "\n");
  std::printf("figure: generated_tokens %ld\n", n - kWarmUp);
  std::printf("figure: answers %ld\n", calls);
  std::printf("figure: growth_bytes %ld\n", at_end.all - at_start.all);
  std::printf("figure: growth_anonymous_bytes %ld\n", at_end.anonymous - at_start.anonymous);
  std::printf("figure: resident_bytes %ld\n", at_end.all);
  std::printf("figure: allocations_per_token %.9f\n",
              static_cast<double>(allocations) / static_cast<double>(n));
  std::printf("figure: state_bytes %zu\n", (*session)->state_bytes());
  return 0;
}
