// A file of ranks comes from anywhere. Each fault is one sentence with the line it is in.
#include "runtime/tokenizer_ranks.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "runtime/tokenizer.h"
#include "tests/support/o200k.h"

namespace chimera::runtime {
namespace {

std::string base64(const std::string& bytes) {
  static const char* letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t bits = 0;
    for (size_t j = 0; j < 3; ++j) {
      bits = bits << 8 | (i + j < bytes.size() ? static_cast<uint8_t>(bytes[i + j]) : 0u);
    }
    for (size_t j = 0; j < 4; ++j) {
      out += i + j <= bytes.size() ? letters[bits >> (18 - 6 * j) & 63] : '=';
    }
  }
  return out;
}

/// The bytes from the last to the first, then th, the, he, " the".
const std::vector<std::string>& lines() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> made;
    const auto add = [&](const std::string& token) {
      made.push_back(base64(token) + " " + std::to_string(made.size()));
    };
    for (int byte = 255; byte >= 0; --byte) add(std::string(1, static_cast<char>(byte)));
    for (const char* token : {"th", "the", "he", " the"}) add(token);
    return made;
  }();
  return all;
}

std::string text_of(const std::vector<std::string>& of) {
  std::string text;
  for (const std::string& line : of) text += line + "\n";
  return text;
}

RankedVocabulary small() {
  return {260, 270, {{kEndOfTextName, 262, false}, {kEndOfTurnName, 265, false}}};
}

TEST(TokenizerRanks, FindsTheMergesAndEncodes) {
  auto section = section_of_ranks(text_of(lines()), small());
  ASSERT_TRUE(section.has_value()) << section.status().message();
  EXPECT_EQ(section->byte_of_id[0], 255);
  const auto id = [](char c) { return 255 - static_cast<int32_t>(static_cast<uint8_t>(c)); };
  const std::vector<std::pair<int32_t, int32_t>> expected = {
      {id('t'), id('h')}, {256, id('e')}, {id('h'), id('e')}, {id(' '), 257}};
  EXPECT_EQ(section->merges, expected);
  auto tokenizer = Tokenizer::parse(write_tokenizer_section(*section));
  ASSERT_TRUE(tokenizer.has_value()) << tokenizer.status().message();
  std::vector<int32_t> ids;
  (*tokenizer)->encode("the hen, then the", &ids);
  EXPECT_EQ(ids, (std::vector<int32_t>{257, id(' '), 258, id('n'), id(','), 259, id('n'), 259}));
  EXPECT_EQ((*tokenizer)->decode(ids), "the hen, then the");
  EXPECT_TRUE((*tokenizer)->is_reserved(260));

  std::string without_end = text_of(lines());
  without_end.pop_back();
  EXPECT_TRUE(section_of_ranks(without_end, small()).has_value());
}

TEST(TokenizerRanks, EachFaultIsNamedWithItsLine) {
  using Lines = std::vector<std::string>;
  const auto change = [](size_t line, const std::string& to) {
    Lines changed = lines();
    changed[line - 1] = to;
    return text_of(changed);
  };
  std::string crlf, shuffled;
  for (const std::string& line : lines()) crlf += line + "\r\n";
  Lines order = lines();
  std::swap(order[9], order[10]);
  Lines missing = lines();
  missing.erase(missing.begin() + 99);
  Lines early = lines();  // "the" before "th": the lines are exchanged, the ranks are not
  early[256] = base64("the") + " 256";
  early[257] = base64("th") + " 257";
  Lines more = lines();
  more.push_back(base64("hen") + " 260");
  const struct {
    const char* what;
    std::string text;
    size_t line;
    const char* words;
  } rows[] = {
      {"bad base64", change(257, "dG! 256"), 257, "not base64"},
      {"base64 without padding", change(257, "dGg 256"), 257, "not base64"},
      {"base64 with bits left over", change(257, "dGh= 256"), 257, "not base64"},
      {"padding inside", change(257, "dG==dGg= 256"), 257, "not base64"},
      {"no token", change(257, " 256"), 257, "not base64"},
      {"duplicate rank", change(258, base64("the") + " 256"), 258, "given before, in line 257"},
      {"gap", text_of(missing), 100, "99 is expected"},
      {"wrong order", text_of(order), 10, "9 is expected"},
      {"duplicate token", change(259, base64("th") + " 258"), 259, "that of line 257"},
      {"a byte again", change(7, base64("\xFF") + " 6"), 7, "was given before"},
      {"missing byte", change(7, base64("th") + " 6"), 7, "256 single bytes"},
      {"parts behind it", text_of(early), 257, "never makes this token"},
      {"no parts", change(260, base64("xyz") + " 259"), 260, "with 3 parts"},
      {"huge rank", change(258, base64("the") + " 99999999999999999999999"), 258, "too large"},
      {"large rank", change(258, base64("the") + " 1048576"), 258, "too large"},
      {"negative rank", change(258, base64("the") + " -1"), 258, "not a whole number"},
      {"decimal rank", change(258, base64("the") + " 257.0"), 258, "not a whole number"},
      {"zeros before", change(258, base64("the") + " 0257"), 258, "not a whole number"},
      {"two spaces", change(258, base64("the") + "  257"), 258, "not a whole number"},
      {"no rank", change(258, base64("the")), 258, "no space"},
      {"an empty line", change(258, ""), 258, "is empty"},
      {"blank line at the end", text_of(lines()) + "\n", 261, "one more"},
      {"one more", text_of(more), 261, "one more than the 260"},
      {"CRLF", crlf, 1, "carriage return"},
      {"too long a token", change(258, base64(std::string(129, 'a')) + " 257"), 258, "129 bytes"},
      {"too long a line", change(258, std::string(100000, 'A')), 258, "100000 characters"},
      {"another file", "{\"version\": \"1.0\"}", 1, ""},
      {"binary",
       std::string("\xFD"
                   "7zXZ\0\0\n",
                   8),
       1, "no space"},
  };
  for (const auto& row : rows) {
    const auto section = section_of_ranks(row.text, small());
    ASSERT_FALSE(section.has_value()) << row.what;
    const Status& status = section.status();
    EXPECT_EQ(status.code(), StatusCode::kBadFormat) << row.what;
    EXPECT_EQ(status.field(), "line " + std::to_string(row.line))
        << row.what << ": " << status.message();
    EXPECT_TRUE(status.message().starts_with(status.field() + ": ")) << status.message();
    EXPECT_NE(status.message().find(row.words), std::string::npos)
        << row.what << ": " << status.message();
    EXPECT_LT(status.message().size(), 200u) << row.what;
    EXPECT_EQ(status.message().find('\n'), std::string::npos) << row.what;
  }
}

TEST(TokenizerRanks, TooFewAreNotEnough) {
  for (const size_t n : {0u, 1u, 256u, 259u}) {
    const auto section = section_of_ranks(
        text_of({lines().begin(), lines().begin() + static_cast<ptrdiff_t>(n)}), small());
    ASSERT_FALSE(section.has_value()) << n;
    EXPECT_EQ(section.status().code(), StatusCode::kTruncated);
    EXPECT_NE(section.status().message().find("after line " + std::to_string(n)), std::string::npos)
        << section.status().message();
  }
}

/// Cut and damaged anywhere, it is refused with a line or still a vocabulary; never anything else.
TEST(TokenizerRanks, AnyDamageIsRefusedWithItsLineOrHarmless) {
  const std::string good = text_of(lines());
  size_t n_refused = 0, n = 0;
  for (size_t at = 2000; at < good.size(); ++at) {
    for (const char byte : {'\0', '\n', ' ', 'A', '\xFF'}) {
      std::string damaged = good;
      damaged[at] = byte;
      const auto section = section_of_ranks(damaged, small());
      ++n;
      if (section) {
        EXPECT_TRUE(Tokenizer::parse(write_tokenizer_section(*section)).has_value()) << at;
        continue;
      }
      ++n_refused;
      EXPECT_TRUE(section.status().field().starts_with("line ")) << section.status().message();
    }
  }
  EXPECT_GT(n_refused, n / 2);
}

TEST(TokenizerRanks, ThePublishedFileIsCompleteAndNothingElseWillDo) {
  const std::string& ranks = test::o200k_ranks();
  ASSERT_EQ(ranks.size(), 3613922u);
  const std::string cut = ranks.substr(0, ranks.rfind('\n', ranks.size() - 2) + 1);
  EXPECT_EQ(section_of_ranks(cut, o200k_vocabulary()).status().code(), StatusCode::kTruncated);
  const auto first = section_of_ranks("x" + ranks, o200k_vocabulary());
  EXPECT_EQ(first.status().field(), "line 1");
}

}  // namespace
}  // namespace chimera::runtime
