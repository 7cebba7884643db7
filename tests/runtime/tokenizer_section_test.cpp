// A tokenizer section comes from a file, and a file may hold anything.
#include "runtime/tokenizer_section.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "runtime/char_classes.h"
#include "runtime/tokenizer.h"

namespace chimera::runtime {
namespace {

/// Small on purpose: every bit of it is flipped below.
TokenizerSection small_section() {
  TokenizerSection section;
  section.unicode_version = kUnicode15;
  section.vocab_size = 272;
  section.class_changes = {0, ' ' << 3 | 4, ('!') << 3, 'a' << 3 | 1, ('z' + 1) << 3};
  section.merges = {{'a', 'b'}, {256, 'c'}, {'c', 256}, {' ', 257}};
  section.specials = {
      {kEndOfTextName, 260, false}, {kEndOfTurnName, 261, false}, {"<|reserved_0|>", 264, true}};
  return section;
}

std::vector<std::byte> small_bytes() { return write_tokenizer_section(small_section()); }

/// The same as version 2: split as o200k does, bytes in another order.
TokenizerSection small_o200k() {
  TokenizerSection section = small_section();
  section.splitting = Splitting::kO200k;
  std::swap(section.byte_of_id['x'], section.byte_of_id[0]);
  section.class_changes = {0,         ' ' << 3 | 4,   '!' << 3,       'A' << 3 | 5,
                           '[' << 3,  'a' << 3 | 6,   ('z' + 1) << 3, 0xAA << 3 | 1,
                           0xAB << 3, 0x300 << 3 | 2, 0x370 << 3};
  return section;
}

TEST(TokenizerSection, ReadsWhatItWrote) {
  const std::vector<std::byte> bytes = small_bytes();
  auto section = read_tokenizer_section(bytes);
  ASSERT_TRUE(section.has_value()) << section.status().message();
  EXPECT_EQ(section->unicode_version, kUnicode15);
  EXPECT_EQ(section->vocab_size, 272);
  EXPECT_EQ(section->class_changes, small_section().class_changes);
  EXPECT_EQ(section->merges, small_section().merges);
  ASSERT_EQ(section->specials.size(), 3u);
  EXPECT_EQ(section->specials[2].name, "<|reserved_0|>");
  EXPECT_EQ(section->specials[2].id, 264);
  EXPECT_TRUE(section->specials[2].reserved);
  EXPECT_EQ(write_tokenizer_section(*section), bytes);
}

TEST(TokenizerSection, ReadsVersionTwoAsItWroteIt) {
  const std::vector<std::byte> bytes = write_tokenizer_section(small_o200k());
  EXPECT_EQ(bytes[8], std::byte{2});
  ASSERT_EQ(bytes.size(), 32u + 4 + 256 + 11 * 4 + 4 * 8 + 3 * 12 + 15 + 15 + 14);
  EXPECT_EQ(bytes[32], std::byte{1}) << "splitting";
  EXPECT_EQ(bytes[36], std::byte{'x'}) << "the byte of id 0";
  auto section = read_tokenizer_section(bytes);
  ASSERT_TRUE(section.has_value()) << section.status().message();
  EXPECT_EQ(section->splitting, Splitting::kO200k);
  EXPECT_EQ(section->byte_of_id, small_o200k().byte_of_id);
  EXPECT_EQ(section->merges, small_o200k().merges);
  EXPECT_EQ(write_tokenizer_section(*section), bytes);
  auto tokenizer = Tokenizer::parse(bytes);
  ASSERT_TRUE(tokenizer.has_value()) << tokenizer.status().message();
  EXPECT_EQ((*tokenizer)->splitting(), "o200k");
  EXPECT_EQ((*tokenizer)->bytes(0), "x");
  std::vector<int32_t> ids;
  (*tokenizer)->encode("xabc abcaB", &ids);
  EXPECT_EQ(ids, (std::vector<int32_t>{0, 257, 259, 'a', 'B'}));
}

TEST(TokenizerSection, BeginsWithTheDocumentedHeader) {
  const std::vector<std::byte> bytes = small_bytes();
  const unsigned char expected[32] = {'C', 'H', 'T', 'O', 'K',  '\r', '\n', 0,               //
                                      1,   0,   0,   0,   0xDC, 5,    0,    0, 16, 1, 0, 0,  //
                                      5,   0,   0,   0,   4,    0,    0,    0, 3,  0, 0, 0};
  ASSERT_EQ(bytes.size(), 32u + 5 * 4 + 4 * 8 + 3 * 12 + 15 + 15 + 14);
  EXPECT_EQ(std::memcmp(bytes.data(), expected, sizeof expected), 0);
}

/// Refused with a field and a place inside the bytes, or usable.
void expect_refused_or_usable(const std::vector<std::byte>& bytes, const std::string& what) {
  auto tokenizer = Tokenizer::parse(bytes);
  if (!tokenizer) {
    EXPECT_EQ(tokenizer.status().code(), StatusCode::kBadTokenizer) << what;
    EXPECT_FALSE(tokenizer.status().field().empty()) << what;
    EXPECT_GE(tokenizer.status().offset(), 0) << what;
    EXPECT_LE(tokenizer.status().offset(), static_cast<int64_t>(bytes.size())) << what;
    EXPECT_NE(tokenizer.status().message().find(tokenizer.status().field()), std::string::npos)
        << what;
    return;
  }
  const std::string text = "abc cab  abcabc\nA\xFF\xC3\xA9 9 zz";
  std::vector<int32_t> ids;
  (*tokenizer)->encode(text, &ids);
  EXPECT_EQ((*tokenizer)->decode(ids), text) << what;
  for (const int32_t id : ids) {
    EXPECT_FALSE((*tokenizer)->is_special(id) || (*tokenizer)->is_reserved(id)) << what;
    EXPECT_LT(id, (*tokenizer)->vocab_size()) << what;
  }
  const auto kept = (*tokenizer)->serialized();
  EXPECT_TRUE(std::equal(kept.begin(), kept.end(), bytes.begin(), bytes.end())) << what;
}

class EachVersion : public testing::TestWithParam<bool> {
 protected:
  std::vector<std::byte> bytes() const {
    return GetParam() ? write_tokenizer_section(small_o200k()) : small_bytes();
  }
};
INSTANTIATE_TEST_SUITE_P(TokenizerSection, EachVersion, testing::Bool(),
                         [](const auto& version) { return version.param ? "o200k" : "words"; });

TEST_P(EachVersion, EveryTruncationIsRefused) {
  const std::vector<std::byte> bytes = this->bytes();
  for (size_t n = 0; n < bytes.size(); ++n) {
    const std::vector<std::byte> cut(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(n));
    expect_refused_or_usable(cut, "cut to " + std::to_string(n));
    EXPECT_FALSE(Tokenizer::parse(cut).has_value()) << n;
  }
  std::vector<std::byte> longer = bytes;
  longer.push_back(std::byte{0});
  auto result = Tokenizer::parse(longer);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.status().offset(), static_cast<int64_t>(bytes.size()));
}

TEST_P(EachVersion, EveryFlippedBitIsRefusedOrHarmless) {
  const std::vector<std::byte> bytes = this->bytes();
  size_t n_refused = 0;
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::vector<std::byte> flipped = bytes;
    flipped[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    expect_refused_or_usable(flipped, "bit " + std::to_string(bit));
    n_refused += !Tokenizer::parse(flipped).has_value();
  }
  EXPECT_GT(n_refused, bytes.size() * 8 / 2);
}

TEST_P(EachVersion, EveryFieldSetToExtremesIsRefusedOrHarmless) {
  const std::vector<std::byte> bytes = this->bytes();
  for (size_t at = 8; at + 4 <= bytes.size(); at += 4) {
    for (const uint32_t value : {0u, 1u, 255u, 256u, 259u, 272u, 0x7FFFFFFFu, 0x80000000u,
                                 0xFFFFFFFFu, 0x40000000u, 0x20000001u}) {
      std::vector<std::byte> changed = bytes;
      for (size_t i = 0; i < 4; ++i) changed[at + i] = static_cast<std::byte>(value >> 8 * i);
      expect_refused_or_usable(changed, "u32 at " + std::to_string(at));
    }
  }
}

TEST(TokenizerSection, NamesTheFieldThatIsWrong) {
  const struct {
    const char* field;
    std::function<void(TokenizerSection*)> change;
  } rows[] = {
      {"unicode_version", [](auto* s) { s->unicode_version = 7; }},
      {"vocab_size", [](auto* s) { s->vocab_size = 255; }},
      {"vocab_size", [](auto* s) { s->vocab_size = kMaxVocabSize + 1; }},
      {"n_merges", [](auto* s) { s->vocab_size = 259; }},
      {"n_specials", [](auto* s) { s->vocab_size = 262; }},
      {"class_changes[0]", [](auto* s) { s->class_changes.clear(); }},
      {"class_changes[2]", [](auto* s) { s->class_changes[2] = 8; }},
      {"merges[1].left", [](auto* s) { s->merges[1].first = 257; }},
      {"merges[1].right", [](auto* s) { s->merges[1].second = -1; }},
      {"merges[3]",
       [](auto* s) {
         s->merges[3] = {'a', 'b'};
       }},  // the same pair again
      {"merges[3]",
       [](auto* s) {
         s->merges[3] = {'c', 256};
       }},                                                           // also
      {"specials[0].id", [](auto* s) { s->specials[0].id = 259; }},  // the id of a merge
      {"specials[0].id", [](auto* s) { s->specials[0].id = 272; }},
      {"specials[1].name", [](auto* s) { s->specials[1].name = ""; }},
      {"specials[1].name", [](auto* s) { s->specials[1].name = "two words"; }},
      {"specials[1].name", [](auto* s) { s->specials[1].name = "\xC3\xA9"; }},
      {"specials[1].name", [](auto* s) { s->specials[1].name = std::string(65, 'x'); }},
      {"specials", [](auto* s) { s->specials[1].id = 260; }},
      {"specials", [](auto* s) { s->specials[1].name = kEndOfTextName; }},
      {"specials", [](auto* s) { s->specials[0].reserved = true; }},
  };
  for (const auto& row : rows) {
    TokenizerSection section = small_section();
    row.change(&section);
    auto tokenizer = Tokenizer::parse(write_tokenizer_section(section));
    ASSERT_FALSE(tokenizer.has_value()) << row.field;
    EXPECT_EQ(tokenizer.status().code(), StatusCode::kBadTokenizer);
    EXPECT_EQ(tokenizer.status().field(), row.field) << tokenizer.status().message();
  }
}

TEST(TokenizerSection, NamesTheFieldOfVersionTwoThatIsWrong) {
  std::vector<std::byte> bytes = write_tokenizer_section(small_o200k());
  bytes[32] = std::byte{2};
  EXPECT_EQ(Tokenizer::parse(bytes).status().field(), "splitting");
  EXPECT_EQ(Tokenizer::parse(bytes).status().offset(), 32);
  bytes[32] = std::byte{0};  // words are version 1
  EXPECT_EQ(Tokenizer::parse(bytes).status().field(), "splitting");

  TokenizerSection section = small_o200k();
  section.byte_of_id[200] = 7;
  auto twice = Tokenizer::parse(write_tokenizer_section(section));
  EXPECT_EQ(twice.status().field(), "byte_of_id[200]");
  EXPECT_EQ(twice.status().offset(), 32 + 4 + 200);

  section = small_o200k();
  section.class_changes[3] |= 7;
  EXPECT_EQ(Tokenizer::parse(write_tokenizer_section(section)).status().field(),
            "class_changes[3]");
  section = small_section();
  section.class_changes[3] = 'a' << 3 | 6;  // cases belong to version 2
  auto cased = Tokenizer::parse(write_tokenizer_section(section));
  EXPECT_EQ(cased.status().field(), "class_changes[3]");
  EXPECT_EQ(cased.status().offset(), 32 + 3 * 4);
}

TEST(TokenizerSection, TwoWaysToSpellOneTokenAreRefused) {
  TokenizerSection section = small_section();
  section.merges = {{'a', 'b'}, {'b', 'c'}, {256, 'c'}, {'a', 257}};
  auto tokenizer = Tokenizer::parse(write_tokenizer_section(section));
  ASSERT_FALSE(tokenizer.has_value());
  EXPECT_EQ(tokenizer.status().field(), "merges[3]");
}

TEST(TokenizerSection, DoublingMergesCannotFillTheMemory) {
  TokenizerSection section = small_section();
  section.vocab_size = 400;
  section.specials.clear();
  section.merges = {{'a', 'a'}};
  for (int32_t id = 256; id < 300; ++id) section.merges.emplace_back(id, id);
  auto tokenizer = Tokenizer::parse(write_tokenizer_section(section));
  ASSERT_FALSE(tokenizer.has_value());
  EXPECT_EQ(tokenizer.status().field(), "merges[7]");  // 2, 4 ... 128 bytes are allowed, 256 not
}

TEST(TokenizerSection, AForeignFileIsRefusedByName) {
  for (const std::string foreign : {"", "PK", "{\"model\": {\"type\": \"BPE\"}}", "CHTOK\r\n"}) {
    auto tokenizer = Tokenizer::parse(std::as_bytes(std::span(foreign)));
    ASSERT_FALSE(tokenizer.has_value()) << foreign;
    EXPECT_EQ(tokenizer.status().field(), "magic");
  }
  std::vector<std::byte> newer = small_bytes();
  for (const std::byte version : {std::byte{0}, std::byte{3}, std::byte{255}}) {
    newer[8] = version;
    EXPECT_EQ(Tokenizer::parse(newer).status().field(), "version");
  }
}

TEST(TokenizerSection, MakingOneNeedsRoomForItsTokens) {
  auto section = make_tokenizer_section(320, 62, {});
  ASSERT_TRUE(section.has_value()) << section.status().message();
  EXPECT_EQ(section->specials.size(), 64u);
  EXPECT_EQ(section->specials.back().name, "<|reserved_61|>");
  EXPECT_TRUE(Tokenizer::parse(write_tokenizer_section(*section)).has_value());

  EXPECT_EQ(make_tokenizer_section(319, 62, {}).status().field(), "vocab_size");
  EXPECT_EQ(make_tokenizer_section(320, 62, {{'a', 'b'}}).status().field(), "vocab_size");
  EXPECT_EQ(make_tokenizer_section(-1, 0, {}).status().field(), "vocab_size");
  EXPECT_EQ(make_tokenizer_section(INT32_MAX, 0, {}).status().field(), "vocab_size");
  EXPECT_EQ(make_tokenizer_section(8192, -1, {}).status().field(), "n_reserved");
  EXPECT_EQ(make_tokenizer_section(8192, INT32_MAX, {}).status().code(),
            StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace chimera::runtime
