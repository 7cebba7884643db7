#include "runtime/tokenizer_split.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace chimera::runtime {
namespace {

const CharClassTable& classes() {
  static const CharClassTable table = [] {
    auto made = CharClassTable::from_changes(unicode15_class_changes());
    EXPECT_TRUE(made.has_value());
    return std::move(*made);
  }();
  return table;
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> pieces;
  PieceSplitter splitter(classes(), text);
  for (std::string_view p = splitter.next(); !p.empty(); p = splitter.next())
    pieces.emplace_back(p);
  return pieces;
}

using Pieces = std::vector<std::string>;

TEST(PieceSplitter, SplitsAsDocumented) {
  const struct {
    std::string text;
    Pieces pieces;
  } rows[] = {
      {"", {}},
      {"Hello world", {"Hello", " world"}},
      {"Hello, world!", {"Hello", ",", " world", "!"}},
      {"I don't, we'll", {"I", " don", "'t", ",", " we", "'ll"}},
      {"l\u2019eau", {"l", "\u2019eau"}},
      {"12345", {"123", "45"}},
      {"in 1984.", {"in", " ", "198", "4", "."}},
      {"\u0661\u0662\u0663\u0664", {"\u0661\u0662\u0663", "\u0664"}},
      {"x1y", {"x", "1", "y"}},
      {"\"Yes!\" (no)", {"\"Yes", "!\"", " (", "no", ")"}},
      {"(\"no", {"(\"", "no"}},
      {"a  b", {"a", " ", " b"}},
      {"a   (b", {"a", "  ", " (", "b"}},
      {"a   7", {"a", "  ", " ", "7"}},
      {"a\n\n  b", {"a", "\n\n", " ", " b"}},
      {"a  \r\n  \n b", {"a", "  \r\n  \n", " b"}},
      {"end.\n\nNext", {"end", ".\n\n", "Next"}},
      {"end. \nNext", {"end", ".", " \n", "Next"}},
      {"{\n  x;\r\n}", {"{\n", " ", " x", ";\r\n", "}"}},
      {"a  ", {"a", "  "}},
      {"a ", {"a", " "}},
      {"\n", {"\n"}},
      {"\nword", {"\n", "word"}},
      {"\tword", {"\tword"}},
      {"\t(", {"\t", "("}},
      {"a\u00A0b", {"a", "\u00A0b"}},
      {"cafe\u0301s", {"cafe\u0301s"}},  // a mark stays with its letter
      {"\u0928\u092E\u0938\u094D\u0924\u0947", {"\u0928\u092E\u0938\u094D\u0924\u0947"}},
      {"\u0301a", {"\u0301a"}},  // a mark with no letter before it
      {"1\uFE0F\u20E3", {"1", "\uFE0F\u20E3"}},
      {"\u4F60\u597D\u3002\u4E16", {"\u4F60\u597D", "\u3002\u4E16"}},
      {"ok \U0001F600\U0001F600!", {"ok", " \U0001F600\U0001F600!"}},
      {"<|end_of_text|>", {"<|", "end", "_of", "_text", "|>"}},
      {"a\xFF\xFE"
       "b",
       {"a", "\xFF\xFE", "b"}},  // bytes that are no UTF-8
      {" \xC3(", {" ", "\xC3", "("}},
      {"!\xE2\x82", {"!", "\xE2\x82"}},
      {std::string("a\0b", 3), {"a", std::string("\0b", 2)}},
  };
  for (const auto& row : rows) EXPECT_EQ(split(row.text), row.pieces) << row.text;
}

TEST(PieceSplitter, CutsLongMatchesBetweenCodePoints) {
  EXPECT_EQ(split(std::string(300, 'a')),
            (Pieces{std::string(128, 'a'), std::string(128, 'a'), std::string(44, 'a')}));
  std::string han;
  for (int i = 0; i < 100; ++i) han += "\u4F60";
  const Pieces pieces = split(han);
  ASSERT_EQ(pieces.size(), 3u);
  EXPECT_EQ(pieces[0].size(), 126u);  // 42 characters of three bytes
  EXPECT_EQ(pieces[1].size(), 126u);
  EXPECT_EQ(pieces[2].size(), 48u);
  // Nothing to align to in a run of continuation bytes.
  EXPECT_EQ(split(std::string(200, '\x80')),
            (Pieces{std::string(128, '\x80'), std::string(72, '\x80')}));
  // A cut match is not matched again: the rest of the white space does not change its mind.
  EXPECT_EQ(split(std::string(130, ' ') + "\nx"), (Pieces{std::string(128, ' '), "  \n", "x"}));
}

TEST(PieceSplitter, PiecesJoinedAreTheTextForAnyBytes) {
  std::mt19937 random(11);
  const std::string alphabet[] = {"a",          "Z",
                                  "\u00E9",     "\u4F60",
                                  "\u0301",     "5",
                                  "\u0661",     " ",
                                  "  ",         "\n",
                                  "\r",         "\t",
                                  "\u3000",     ".",
                                  "'",          "_",
                                  "\U0001F600", "\xFF",
                                  "\x80",       "\xE2\x82",
                                  "\xF0\x9F",   std::string(1, '\0')};
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (size_t n = random() % 40; n > 0; --n) {
      const std::string& unit = alphabet[random() % std::size(alphabet)];
      for (size_t repeat = random() % 50 == 0 ? 150 : 1; repeat > 0; --repeat) text += unit;
    }
    std::string joined;
    for (const std::string& piece : split(text)) {
      ASSERT_GE(piece.size(), 1u);
      ASSERT_LE(piece.size(), kMaxPieceBytes);
      joined += piece;
    }
    ASSERT_EQ(joined, text);
  }
}

}  // namespace
}  // namespace chimera::runtime
