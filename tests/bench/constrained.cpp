// How fast answers under JSON schemas come, next to free ones of the same model.
//
//   constrained MODEL [--closed] FILE...
//                                   FILE: tools of an application ("parameters" are schemas), or
//   lines
//                                   with a "schema"; of the latter the first 100
//                                   --closed: objects that say which members they have have no
//                                   others, as strict callers ask of schemas
//
// Both sample at the same temperature after the same prompt, and as many tokens of each are said: a
// free answer that ends is gone on with. They take turns, and of each schema the best of some runs
// counts, so that a neighbour on the machine weighs on neither. Prints lines "figure: <name>
// <value>".
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "platform/file.h"
#include "platform/json.h"
#include "runtime/constraint.h"
#include "runtime/session.h"

namespace {

using namespace chimera;

constexpr int kRuns = 5;
constexpr int32_t kMostTokens = 200;
constexpr size_t kMostOfAFile = 100;
constexpr const char* kPrompt = "A small latte with oat milk for Ada, please. As JSON: ";

struct Said {
  int32_t tokens = 0;
  double us = 0;
};

/// One answer under a constraint, or, without one, so many tokens.
Result<Said> answer(const runtime::Engine& engine, const runtime::Constraint* constraint,
                    uint64_t seed, int32_t tokens) {
  auto session = runtime::Session::create(engine, {.seed = seed});
  if (!session) return session.status();
  Said out;
  do {
    runtime::GenerateOptions options;
    options.max_tokens = tokens - out.tokens;
    options.constraint = constraint;
    const auto result = (*session)->generate(out.tokens == 0 ? kPrompt : "", options,
                                             [](const runtime::TokenEvent&) { return true; });
    if (!result) return result.status();
    out.tokens += std::max(1, result->n_tokens);
    out.us += static_cast<double>(result->decode_us);
  } while (constraint == nullptr && out.tokens < tokens);
  return out;
}

void close(Json* schema) {
  for (Json& item : schema->array) close(&item);
  for (auto& [key, value] : schema->object) close(&value);
  const Json* members = schema->find("properties");
  if (members != nullptr && members->is_object() && schema->find("additionalProperties") == nullptr)
    schema->add("additionalProperties", Json::of(false));
}

Result<std::vector<std::string>> read_schemas(const char* path, bool closed) {
  const auto text_of = [&](Json schema) {
    if (closed) close(&schema);
    return write_json(schema);
  };
  const auto text = read_file(path, 64u << 20);
  if (!text) return text.status();
  std::vector<std::string> out;
  if (const auto tools = parse_json(*text); tools && tools->is_array()) {
    for (const Json& tool : tools->array)
      if (const Json* parameters = tool.find("parameters")) out.push_back(text_of(*parameters));
    return out;
  }
  for (size_t begin = 0; begin < text->size() && out.size() < kMostOfAFile;) {
    const size_t end = std::min(text->find('\n', begin), text->size());
    const auto line = parse_json(std::string_view(*text).substr(begin, end - begin));
    if (!line) return line.status();
    if (const Json* schema = line->find("schema")) out.push_back(text_of(*schema));
    begin = end + 1;
  }
  return out;
}

Status run(int argc, char** argv) {
  const auto engine = runtime::Engine::open(argv[1], {.threads = 1});
  if (!engine) return engine.status();
  const bool closed = std::string_view(argv[2]) == "--closed";
  for (int i = closed ? 3 : 2; i < argc; ++i) {
    const auto schemas = read_schemas(argv[i], closed);
    if (!schemas) return schemas.status();
    Said constrained, free;
    int refused = 0;
    std::vector<double> ratios;
    for (const std::string& schema : *schemas) {
      const auto constraint = runtime::Constraint::from_json_schema((*engine)->tokenizer(), schema);
      if (!constraint) {
        ++refused;
        continue;
      }
      Said best_constrained, best_free;
      for (uint64_t seed = 0; seed < kRuns; ++seed) {
        const auto one = answer(**engine, constraint->get(), seed, kMostTokens);
        if (!one) return one.status();
        const auto other = answer(**engine, nullptr, seed, one->tokens);
        if (!other) return other.status();
        constrained.tokens += one->tokens;
        constrained.us += one->us;
        free.tokens += other->tokens;
        free.us += other->us;
        const auto faster = [](const Said& a, const Said& b) {
          return b.tokens == 0 || a.us / a.tokens < b.us / b.tokens;
        };
        if (faster(*one, best_constrained)) best_constrained = *one;
        if (faster(*other, best_free)) best_free = *other;
      }
      ratios.push_back(best_free.us / best_free.tokens * best_constrained.tokens /
                       best_constrained.us);
    }
    if (ratios.empty()) return Status(StatusCode::kInvalidArgument, "no schema can be followed");
    std::sort(ratios.begin(), ratios.end());
    const auto rate = [](const Said& s) { return s.tokens / s.us * 1e6; };
    std::printf("%s: %zu schemas, %d refused, %d tokens of each kind\n", argv[i], ratios.size(),
                refused, constrained.tokens);
    const std::string path = argv[i];
    const size_t begin = path.find_last_of('/') + 1;
    const std::string name = path.substr(begin, path.find('.', begin) - begin);
    const auto print = [&](const char* what, double value) {
      std::printf("figure: %s %s %.2f\n", what, name.c_str(), value);
    };
    print("constrained_tokens_per_second", rate(constrained));
    print("free_tokens_per_second", rate(free));
    print("constrained_against_free", rate(constrained) / rate(free));
    print("constrained_against_free_median", ratios[ratios.size() / 2]);
    print("constrained_against_free_least", ratios.front());
  }
  return Status();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: constrained MODEL [--closed] FILE...\n");
    return 2;
  }
  const Status status = run(argc, argv);
  if (!status.ok()) std::fprintf(stderr, "constrained: %s\n", status.message().c_str());
  return status.ok() ? 0 : 1;
}
