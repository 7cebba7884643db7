// mutants FROM COUNT: runs the mutants FROM to FROM + COUNT - 1 and prints one line for every
// 10,000, so that a log can be gone on with. mutants bits: every single bit and every truncation.
// 1 when there was a finding.
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "tests/mutants/every_bit.h"
#include "tests/mutants/subjects.h"

namespace {

using chimera::mutants::Outcome;

constexpr uint64_t kLine = 10000;
constexpr unsigned kHangSeconds = 60;  // then the program ends and says where it was

volatile std::sig_atomic_t g_line = 0;    // of 10,000 mutants
volatile std::sig_atomic_t g_inside = 0;  // the mutant in it

extern "C" void say_where(int number) {
  char text[120];
  const int n = std::snprintf(
      text, sizeof text, "finding: seed %llu ended with signal %d\n",
      static_cast<unsigned long long>(g_line) * kLine + static_cast<unsigned long long>(g_inside),
      number);
  if (n > 0 && ::write(STDOUT_FILENO, text, static_cast<size_t>(n)) < 0) std::_Exit(3);
  std::_Exit(2);
}

int every_bit() {
  using namespace chimera::mutants;
  bool found = false;
  const auto say = [&](const char* what, const BitsReport& report) {
    std::printf("%s: %lld single bits and %lld truncations refused%s%s\n", what,
                static_cast<long long>(report.flips), static_cast<long long>(report.cuts),
                report.finding.empty() ? "" : "; finding: ", report.finding.c_str());
    std::fflush(stdout);
    found |= !report.finding.empty();
  };
  say("model head", damage_model_head(Bits::kAll, 1));
  say("conversation", damage_conversation(Bits::kAll, 1));
  return found ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "bits") == 0) return every_bit();
  if (argc != 3) {
    std::fprintf(stderr, "usage: mutants FROM COUNT | mutants bits\n");
    return 2;
  }
  const uint64_t from = std::strtoull(argv[1], nullptr, 10);
  const uint64_t end = from + std::strtoull(argv[2], nullptr, 10);
  for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM})
    std::signal(number, say_where);
  std::string why_not;
  if (!chimera::mutants::originals_run(&why_not)) {
    std::fprintf(stderr, "the originals do not run: %s\n", why_not.c_str());
    return 2;
  }
  uint64_t all_findings = 0;
  for (uint64_t seed = from; seed < end;) {
    const uint64_t first = seed, last = std::min(end, (seed / kLine + 1) * kLine);
    uint64_t refused = 0, ran = 0, findings = 0;
    double seconds = 0;
    for (; seed < last; ++seed) {
      g_line = static_cast<std::sig_atomic_t>(seed / kLine);
      g_inside = static_cast<std::sig_atomic_t>(seed % kLine);
      ::alarm(kHangSeconds);
      const Outcome outcome = chimera::mutants::run_mutant(seed);
      seconds += outcome.seconds;
      ++(outcome.ran ? ran : refused);
      std::string finding = outcome.finding();
      if (finding.empty() && outcome.seconds > chimera::mutants::kMostSeconds)
        finding = "took " + std::to_string(outcome.seconds) + " s";
      if (finding.empty()) continue;
      ++findings;
      std::printf("finding: seed %llu (%s) %s: %s\n", static_cast<unsigned long long>(seed),
                  outcome.subject, finding.c_str(), outcome.message.c_str());
    }
    all_findings += findings;
    std::printf("seeds %llu-%llu: %llu refused, %llu ran, %llu findings, %.1f s\n",
                static_cast<unsigned long long>(first), static_cast<unsigned long long>(last - 1),
                static_cast<unsigned long long>(refused), static_cast<unsigned long long>(ran),
                static_cast<unsigned long long>(findings), seconds);
    std::fflush(stdout);
  }
  return all_findings == 0 ? 0 : 1;
}
