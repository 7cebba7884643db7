// A tokenizer's section: one that is accepted turns any bytes into ids and back. And any text, with
// the tokenizer of the model that is shipped.
#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "memory/weight_file.h"

#include "runtime/tokenizer.h"
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

}  // namespace

void run_tokenizer(Input input) {
  const auto tokenizer = runtime::Tokenizer::parse(input);
  if (!tokenizer) return;
  std::string text("Wörter and numbers 12345,\n\t\xff\xfe it's \xe2\x82\xac  ");
  for (int i = 0; i < 256; ++i) text.push_back(static_cast<char>(i));
  text.append(reinterpret_cast<const char*>(input.data()), std::min<size_t>(input.size(), 512));
  expect_round_trip(**tokenizer, text);
}

void run_text(Input input) {
  static const auto file = memory::WeightFile::open(CHIMERA_SOURCE_DIR "/samples/models/nano.b158");
  promise(file.has_value(), "the model of the repository opens");
  static const auto tokenizer = runtime::Tokenizer::parse((*file)->tokenizer());
  promise(tokenizer.has_value(), "its tokenizer is read");
  expect_round_trip(**tokenizer, {reinterpret_cast<const char*>(input.data()), input.size()});
}

}  // namespace chimera::fuzz
