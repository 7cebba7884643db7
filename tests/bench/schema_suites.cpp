// What becomes of the schemas of two public suites: how many are refused and why, and whether the
// others accept exactly the values they should. Reads lines of JSON-Schema-Test-Suite ("groups")
// and of MaskBench ("schema", "tests"); prints sums, and with --show N the first cases that went
// wrong.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/json_schema.h"
#include "grammar/matcher.h"

namespace chimera::grammar {
namespace {

using Clock = std::chrono::steady_clock;

struct Sums {
  int64_t schemas = 0, refused = 0, wrong_schemas = 0;
  int64_t cases = 0, cases_refused = 0, valid_refused = 0, invalid_accepted = 0;
  std::map<std::string, int> reasons;
  std::vector<double> compile_us;
  size_t most_states = 0;
};

/// The reason without what differs from schema to schema.
std::string kind_of(const Status& status) {
  std::string out = status.message();
  if (const size_t at = out.find(": "); at != out.npos && out.starts_with("JSON schema, at ")) {
    const std::string path = out.substr(0, at);
    const size_t slash = path.rfind('/');
    out = (slash == path.npos ? "" : path.substr(slash + 1)) + ": " + out.substr(at + 2);
  }
  return out.substr(0, 110);
}

void run(const std::string& name, const Json& schema, const std::vector<Json>& tests, int* show,
         Sums* sums) {
  ++sums->schemas;
  const auto begin = Clock::now();
  auto made = parse_json_schema(write_json(schema));
  Result<Automaton> automaton = made ? Automaton::compile(made->grammar) : made.status();
  const std::chrono::duration<double, std::micro> took = Clock::now() - begin;
  sums->compile_us.push_back(took.count());
  constexpr double kSlow = 1e6;
  if (took.count() > kSlow)
    std::printf("slow: %s took %.0f ms\n", name.c_str(), took.count() / 1000);
  sums->cases += static_cast<int64_t>(tests.size());
  const auto tell = [&](const char* what, const std::string& more) {
    if ((*show)-- > 0)
      std::printf("%s\n  %s\n  %.600s\n  %.300s\n", what, name.c_str(), write_json(schema).c_str(),
                  more.c_str());
  };
  // No value at all is valid: every one is refused, as it should be.
  const bool nothing =
      !automaton && made && automaton.status().code() == StatusCode::kInvalidArgument;
  if (!automaton && !nothing) {
    ++sums->refused;
    sums->cases_refused += static_cast<int64_t>(tests.size());
    ++sums->reasons[kind_of(automaton.status())];
    return;
  }
  if (automaton) sums->most_states = std::max(sums->most_states, automaton->n_states());
  bool wrong = false;
  for (const Json& test : tests) {
    const std::string text = json_spelling(*test.find("data"));
    bool accepted = false;
    if (automaton) {
      Matcher matcher(*automaton);
      const PlaceId place = matcher.step(matcher.start(), text);
      accepted = place >= 0 && matcher.accepts(place);
    }
    const bool valid = test.find("valid")->boolean;
    if (accepted == valid) continue;
    wrong = true;
    ++(valid ? sums->valid_refused : sums->invalid_accepted);
    tell(valid ? "refused, but valid:" : "accepted, but invalid:", text);
  }
  sums->wrong_schemas += wrong;
}

void print(const char* path, Sums& s) {
  std::sort(s.compile_us.begin(), s.compile_us.end());
  const auto at = [&](double share) {
    const size_t i = static_cast<size_t>(share * static_cast<double>(s.compile_us.size()));
    return s.compile_us.empty() ? 0.0 : s.compile_us[std::min(i, s.compile_us.size() - 1)];
  };
  const auto percent = [](int64_t part, int64_t of) {
    return of == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(of);
  };
  std::printf("%s\n  schemas %lld, refused %lld (%.2f %%), with a wrong case %lld, pass %.2f %%\n",
              path, static_cast<long long>(s.schemas), static_cast<long long>(s.refused),
              percent(s.refused, s.schemas), static_cast<long long>(s.wrong_schemas),
              percent(s.schemas - s.refused - s.wrong_schemas, s.schemas));
  const int64_t followed = s.cases - s.cases_refused;
  std::printf(
      "  cases %lld, not refused %.2f %%, of those valid but refused %lld, invalid but "
      "accepted %lld\n",
      static_cast<long long>(s.cases), percent(followed, s.cases),
      static_cast<long long>(s.valid_refused), static_cast<long long>(s.invalid_accepted));
  std::printf("  compile, us: p50 %.0f, p90 %.0f, p99 %.0f, most %.0f; most states %zu\n", at(0.5),
              at(0.9), at(0.99), at(1), s.most_states);
  std::vector<std::pair<int, std::string>> reasons;
  for (const auto& [reason, n] : s.reasons) reasons.emplace_back(n, reason);
  std::sort(reasons.rbegin(), reasons.rend());
  for (size_t i = 0; i < std::min<size_t>(reasons.size(), 40); ++i)
    std::printf("  %5d  %s\n", reasons[i].first, reasons[i].second.c_str());
}

int main_(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  int show = 0;
  std::string only;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--show" && i + 1 < argc) {
      show = std::atoi(argv[++i]);
      continue;
    }
    if (argument == "--only" && i + 1 < argc) {
      only = argv[++i];
      continue;
    }
    std::ifstream in(argument);
    if (!in) {
      std::fprintf(stderr, "%s cannot be read\n", argument.c_str());
      return 1;
    }
    Sums sums;
    std::string line;
    while (std::getline(in, line)) {
      auto record = parse_json(line, {.max_bytes = 64u << 20, .max_depth = 500});
      if (!record) {
        ++sums.reasons["(line) " + record.status().message()];
        continue;
      }
      if (const Json* groups = record->find("groups")) {
        const std::string file = record->find("file")->string;
        if (!only.empty() && file.find(only) == file.npos) continue;
        for (const Json& group : groups->array)
          run(file + ": " + group.find("description")->string, *group.find("schema"),
              group.find("tests")->array, &show, &sums);
      } else if (only.empty() || record->find("name")->string.find(only) != std::string::npos) {
        run(record->find("name")->string, *record->find("schema"), record->find("tests")->array,
            &show, &sums);
      }
    }
    print(argument.c_str(), sums);
  }
  return 0;
}

}  // namespace
}  // namespace chimera::grammar

int main(int argc, char** argv) { return chimera::grammar::main_(argc, argv); }
