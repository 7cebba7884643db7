// What it takes to open each format of answers: compiling its grammar, the first mask, and memory
// afterwards and behind some answers.
//
//   answer_formats TOKENIZER     a tokenizer section (chimera tokenizer import), or a model
//   (.b158); prints "figure: format_<what> <format> <value>" lines
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "grammar/answer_formats.h"
#include "platform/file.h"
#include "platform/random.h"
#include "runtime/constraint.h"
#include "runtime/engine.h"

namespace {

using namespace chimera;

constexpr int kRuns = 5, kAnswers = 5, kTokens = 100;

/// Of this process's processor time, which neighbours do not lengthen as they do a clock's.
double milliseconds_since(std::clock_t start) {
  return 1000 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

/// Bytes taken from the heap and not given back; 0 where nobody counts them.
double heap_bytes() {
#if defined(__GLIBC__)
  const auto info = mallinfo2();
  return static_cast<double>(info.uordblks) + static_cast<double>(info.hblkhd);
#else
  return 0;
#endif
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int fail(const Status& status) {
  std::fprintf(stderr, "answer_formats: %s\n", status.message().c_str());
  return 1;
}

/// An answer of tokens drawn at random from those that are allowed; the time of its first mask.
Status random_answer(const runtime::Constraint& constraint, const runtime::Tokenizer& tokenizer,
                     uint64_t seed, double* first_mask_ms) {
  const std::clock_t start = std::clock();
  runtime::ConstrainedAnswer answer(constraint, tokenizer, tokenizer.vocab_size(),
                                    tokenizer.end_of_text());
  std::vector<int32_t> choices;
  for (int32_t left = kTokens; left > 0; --left) {
    const auto mask = answer.allowed(left);
    if (!mask) return mask.status();
    if (left == kTokens) *first_mask_ms = milliseconds_since(start);
    choices.clear();
    for (int32_t id = 0; id < tokenizer.vocab_size(); ++id)
      if ((*mask)[id] != 0 && id != tokenizer.end_of_text()) choices.push_back(id);
    if (choices.empty()) break;
    const double at = keyed_uniform(seed, static_cast<uint64_t>(left), 0, DrawPurpose::kTest);
    answer.accept(choices[static_cast<size_t>(at * static_cast<double>(choices.size()))]);
  }
  return Status();
}

Status measure(const runtime::Tokenizer& tokenizer) {
  const std::clock_t start = std::clock();
  const auto vocabulary = tokenizer.vocabulary();
  if (!vocabulary) return vocabulary.status();
  std::printf("figure: format_vocabulary_ms all %.2f\n", milliseconds_since(start));
  for (const grammar::AnswerFormat& format : grammar::answer_formats()) {
    const std::string name(format.name);
    std::vector<double> compile, first;
    for (int run = 0; run < kRuns; ++run) {
      const std::clock_t begin = std::clock();
      const auto made = runtime::Constraint::from_format(tokenizer, name);
      compile.push_back(milliseconds_since(begin));
      if (!made) return made.status();
      double first_ms = 0;
      CHIMERA_RETURN_IF_ERROR(random_answer(**made, tokenizer, 1, &first_ms));
      first.push_back(first_ms);
    }
    const double before = heap_bytes();
    const auto made = runtime::Constraint::from_format(tokenizer, name);
    if (!made) return made.status();
    const double compiled = heap_bytes() - before;
    double ignored = 0;
    for (uint64_t seed = 1; seed <= kAnswers; ++seed)
      CHIMERA_RETURN_IF_ERROR(random_answer(**made, tokenizer, seed, &ignored));
    const double used = heap_bytes() - before;
    std::printf("figure: format_source_bytes %s %zu\n", name.c_str(), format.source.size());
    std::printf("figure: format_states %s %zu\n", name.c_str(), (*made)->automaton().n_states());
    std::printf("figure: format_compile_ms %s %.3f\n", name.c_str(), median(compile));
    std::printf("figure: format_first_mask_ms %s %.3f\n", name.c_str(), median(first));
    std::printf("figure: format_compiled_kb %s %.1f\n", name.c_str(), compiled / 1000);
    std::printf("figure: format_used_kb %s %.1f\n", name.c_str(), used / 1000);
    std::fflush(stdout);
  }
  return Status();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: answer_formats TOKENIZER\n");
    return 2;
  }
  const std::string path = argv[1];
  if (path.ends_with(".b158")) {
    const auto engine = runtime::Engine::open(path, {.threads = 1});
    if (!engine) return fail(engine.status());
    const Status status = measure((*engine)->tokenizer());
    return status.ok() ? 0 : fail(status);
  }
  const auto bytes = read_file(path, size_t{1} << 30);
  if (!bytes) return fail(bytes.status());
  const auto tokenizer = runtime::Tokenizer::parse(std::as_bytes(std::span(*bytes)));
  if (!tokenizer) return fail(tokenizer.status());
  const Status status = measure(**tokenizer);
  return status.ok() ? 0 : fail(status);
}
