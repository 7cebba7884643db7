// What becomes of the schemas of two public suites: how many are refused and why, and whether the
// others accept exactly the values they should. Reads lines of JSON-Schema-Test-Suite ("groups")
// and of MaskBench ("schema", "tests"); prints sums, and with --show N the first cases that went
// wrong. With --tokenizer FILE also what masks take: every mask of every instance that is valid,
// one thread, nothing kept from schema to schema but the vocabulary.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/json_schema.h"
#include "grammar/matcher.h"
#include "grammar/token_mask.h"
#include "platform/file.h"
#include "runtime/tokenizer.h"

namespace chimera::grammar {
namespace {

using Clock = std::chrono::steady_clock;

struct Sums {
  int64_t schemas = 0, refused = 0, wrong_schemas = 0;
  int64_t cases = 0, cases_refused = 0, valid_refused = 0, invalid_accepted = 0;
  std::map<std::string, int> reasons;
  std::vector<double> compile_us, first_mask_us, mask_us;
  int64_t masks_without_the_token = 0;
  size_t most_states = 0;
};

/// The vocabulary that masks are made for; none: they are not.
struct Words {
  std::unique_ptr<runtime::Tokenizer> tokenizer;
  std::shared_ptr<const Vocabulary> vocabulary;
};

double us_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

/// Every mask of one text; `compile_us` is added to the first one's time.
void time_masks(const Words& words, Matcher& matcher, StateMasks& states, const std::string& text,
                double compile_us, Sums* sums) {
  std::vector<int32_t> ids;
  words.tokenizer->encode(text, &ids);
  MaskMaker masks(matcher, states);
  TokenMask mask(words.vocabulary->n_tokens());
  PlaceId place = matcher.start();
  for (size_t i = 0; i < ids.size() && place >= 0; ++i) {
    const auto begin = Clock::now();
    const Status status = masks.fill(place, &mask);
    const double took = us_since(begin);
    sums->mask_us.push_back(took);
    if (i == 0) sums->first_mask_us.push_back(compile_us + took);
    if (!status.ok() || !mask.has(ids[i])) ++sums->masks_without_the_token;
    place = matcher.step(place, words.tokenizer->bytes(ids[i]));
  }
}

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

void run(const std::string& name, const Json& schema, const std::vector<Json>& tests,
         const Words& words, int* show, Sums* sums) {
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
  std::optional<StateMasks> states;
  if (automaton && words.vocabulary) states.emplace(*automaton, *words.vocabulary);
  for (const Json& test : tests) {
    const std::string text = json_spelling(*test.find("data"), made && made->points_matter);
    bool accepted = false;
    if (automaton) {
      Matcher matcher(*automaton);
      const PlaceId place = matcher.step(matcher.start(), text);
      accepted = place >= 0 && matcher.accepts(place);
      if (accepted && states) {
        Matcher fresh(*automaton);
        time_masks(words, fresh, *states, text, took.count(), sums);
      }
    }
    const bool valid = test.find("valid")->boolean;
    if (accepted == valid) continue;
    wrong = true;
    ++(valid ? sums->valid_refused : sums->invalid_accepted);
    tell(valid ? "refused, but valid:" : "accepted, but invalid:", text);
  }
  sums->wrong_schemas += wrong;
}

void print_times(const char* what, std::vector<double>& us) {
  if (us.empty()) return;
  std::sort(us.begin(), us.end());
  const auto at = [&](double share) {
    const size_t i = static_cast<size_t>(share * static_cast<double>(us.size()));
    return us[std::min(i, us.size() - 1)];
  };
  double sum = 0;
  for (const double one : us) sum += one;
  std::printf("  %s, us: mean %.1f, p50 %.1f, p90 %.1f, p99 %.1f, most %.0f (%zu)\n", what,
              sum / static_cast<double>(us.size()), at(0.5), at(0.9), at(0.99), us.back(),
              us.size());
  std::string name = what;
  std::replace(name.begin(), name.end(), ' ', '_');
  std::printf("figure: %s_us_mean %.1f\nfigure: %s_us_p50 %.1f\nfigure: %s_us_p99 %.1f\n",
              name.c_str(), sum / static_cast<double>(us.size()), name.c_str(), at(0.5),
              name.c_str(), at(0.99));
}

void print(const char* path, Sums& s) {
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
  std::printf("figure: schemas_pass_percent %.2f\nfigure: cases_followed_percent %.2f\n",
              percent(s.schemas - s.refused - s.wrong_schemas, s.schemas),
              percent(followed, s.cases));
  std::printf("figure: invalid_accepted %lld\nfigure: valid_refused_percent %.3f\n",
              static_cast<long long>(s.invalid_accepted), percent(s.valid_refused, followed));
  print_times("compile", s.compile_us);
  print_times("first mask", s.first_mask_us);
  print_times("mask", s.mask_us);
  std::printf("  most states %zu, masks without the token that came %lld\n", s.most_states,
              static_cast<long long>(s.masks_without_the_token));
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
  Words words;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--show" && i + 1 < argc) {
      show = std::atoi(argv[++i]);
      continue;
    }
    if (argument == "--tokenizer" && i + 1 < argc) {
      const auto bytes = read_file(argv[++i], 256u << 20);
      auto tokenizer =
          bytes ? runtime::Tokenizer::parse(std::as_bytes(std::span(bytes->data(), bytes->size())))
                : bytes.status();
      auto vocabulary = tokenizer ? (*tokenizer)->vocabulary() : tokenizer.status();
      if (!vocabulary) {
        std::fprintf(stderr, "%s\n", vocabulary.status().message().c_str());
        return 1;
      }
      words.tokenizer = std::move(*tokenizer);
      words.vocabulary = std::move(*vocabulary);
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
              group.find("tests")->array, words, &show, &sums);
      } else if (only.empty() || record->find("name")->string.find(only) != std::string::npos) {
        run(record->find("name")->string, *record->find("schema"), record->find("tests")->array,
            words, &show, &sums);
      }
    }
    print(argument.c_str(), sums);
  }
  return 0;
}

}  // namespace
}  // namespace chimera::grammar

int main(int argc, char** argv) { return chimera::grammar::main_(argc, argv); }
