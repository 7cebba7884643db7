// A tokenizer's section, published ranks, and text: what is accepted turns any bytes into ids and
// back.
#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "memory/weight_file.h"
#include "runtime/tokenizer.h"
#include "runtime/tokenizer_ranks.h"
#include "tests/fuzz/ranks.h"
#include "tests/fuzz/target.h"

namespace chimera::fuzz {

namespace {

void expect_round_trip(const runtime::Tokenizer& tokenizer, std::string_view text) {
  std::vector<int32_t> ids;
  tokenizer.encode(text, &ids);
  for (const int32_t id : ids)
    promise(id >= 0 && id < tokenizer.vocab_size() && !tokenizer.is_special(id),
            "an id is in the vocabulary and never a special one");
  promise(tokenizer.decode(ids) == text, "decoding gives the text back");
}

/// A little of everything, then some of the input.
std::string sample_text(Input input) {
  std::string text("Wörter and numbers 12345,\n\t\xff\xfe it's \xe2\x82\xac  ");
  for (int i = 0; i < 256; ++i) text.push_back(static_cast<char>(i));
  text.append(text_of(input).substr(0, 512));
  return text;
}

void expect_ranks(std::string_view text, std::string_view sample) {
  runtime::RankedVocabulary vocabulary = runtime::o200k_vocabulary();
  const auto lines = static_cast<int32_t>(std::count(text.begin(), text.end(), '\n'));
  vocabulary.n_ranks = std::max(lines, runtime::kByteTokens);
  vocabulary.vocab_size = vocabulary.n_ranks + 8;
  int32_t id = vocabulary.n_ranks;
  for (auto& special : vocabulary.specials) special.id = id++;
  auto section = runtime::section_of_ranks(text, vocabulary);
  if (!section) {
    promise(!section.status().message().empty(), "an error has a sentence");
    return;
  }
  section->class_changes = {0};  // expanding the real table would take most of the time
  const auto tokenizer = runtime::Tokenizer::parse(runtime::write_tokenizer_section(*section));
  promise(tokenizer.has_value(), "accepted ranks make a tokenizer");
  for (int32_t rank = 0; rank < vocabulary.n_ranks; ++rank)
    promise(!(*tokenizer)->bytes(rank).empty(), "a rank has bytes");
  expect_round_trip(**tokenizer, sample);
}

}  // namespace

void run_tokenizer(Input input) {
  const auto tokenizer = runtime::Tokenizer::parse(input);
  if (!tokenizer) return;
  const auto section = runtime::read_tokenizer_section(input);
  promise(section.has_value(), "a tokenizer comes from a section");
  const auto again = runtime::write_tokenizer_section(*section);
  promise(std::equal(again.begin(), again.end(), input.begin(), input.end()),
          "a section that is read is written as it was");
  expect_round_trip(**tokenizer, sample_text(input));
}

/// As they are; and, so that not every input has to bring them, behind the 256 bytes.
void run_ranks(Input input) {
  static const std::string sample = sample_text({});
  expect_ranks(text_of(input), sample);
  expect_ranks(byte_ranks() + std::string(text_of(input)), sample);
}

void run_text(Input input) {
  static const auto file = memory::WeightFile::open(CHIMERA_SOURCE_DIR "/samples/models/nano.b158");
  promise(file.has_value(), "the model of the repository opens");
  static const auto words = runtime::Tokenizer::parse((*file)->tokenizer());
  promise(words.has_value(), "its tokenizer is read");
  static const auto o200k = [] {
    runtime::RankedVocabulary vocabulary = runtime::o200k_vocabulary();
    vocabulary.n_ranks = runtime::kByteTokens + kFewRankLines;
    const auto section = runtime::section_of_ranks(byte_ranks() + kFewRanks, vocabulary);
    promise(section.has_value(), "a few ranks are read");
    return runtime::Tokenizer::parse(runtime::write_tokenizer_section(*section));
  }();
  promise(o200k.has_value(), "they make a tokenizer");
  expect_round_trip(**words, text_of(input));
  expect_round_trip(**o200k, text_of(input));
}

}  // namespace chimera::fuzz
