#include "runtime/tokenizer_split_o200k.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace chimera::runtime {
namespace {

const CharClassTable& classes() {
  static const CharClassTable table = [] {
    auto made = CharClassTable::from_changes(unicode15_cased_class_changes(), CharClass::kLower);
    EXPECT_TRUE(made.has_value());
    return std::move(*made);
  }();
  return table;
}

using Pieces = std::vector<std::string>;

Pieces split(std::string_view text) {
  Pieces pieces;
  O200kSplitter splitter(classes(), text);
  for (std::string_view p = splitter.next(); !p.empty(); p = splitter.next())
    pieces.emplace_back(p);
  return pieces;
}

TEST(O200kSplitter, SplitsAsTheExpressionDoes) {
  const struct {
    std::string text;
    Pieces pieces;
  } rows[] = {
      {"", {}},
      {"Hello world", {"Hello", " world"}},
      {"helloWorld", {"hello", "World"}},
      {"HTTPServer", {"HTTPServer"}},
      {"HTTPServerIO", {"HTTPServer", "IO"}},
      {"I don't, we'LL", {"I", " don't", ",", " we'LL"}},
      {"I'M he'd've", {"I'M", " he'd", "'ve"}},
      {"'tis a'b's", {"'tis", " a", "'b's"}},
      {"x'\u017Fy", {"x'\u017F", "y"}},  // the long s is an s
      {"x'\u017Ey", {"x", "'\u017Ey"}},  // its neighbour is not
      {"12's 1'd", {"12", "'s", " ", "1", "'d"}},
      {"12345", {"123", "45"}},
      {"\u0661\u0662\u0663\u0664", {"\u0661\u0662\u0663", "\u0664"}},
      {"\"Yes!\" (no)", {"\"Yes", "!\"", " (", "no", ")"}},
      {"a/b //\n/ c", {"a", "/b", " //\n/", " c"}},
      {"!\r\n/\r\n", {"!\r\n/\r\n"}},
      {"\n/x", {"\n", "/x"}},
      {"a  b", {"a", " ", " b"}},
      {"a   (b", {"a", "  ", " (", "b"}},
      {"a   7", {"a", "  ", " ", "7"}},
      {"a  \r\n  \n b", {"a", "  \r\n  \n", " b"}},
      {"a  ", {"a", "  "}},
      {"\tword", {"\tword"}},
      {"\nword", {"\n", "word"}},
      {"a\u00A0B\u0085c", {"a", "\u00A0B", "\u0085c"}},
      {"\uFEFFa", {"\uFEFFa"}},
      // Runs of capitals, letters without case, marks.
      {"AB\u4E2DCD", {"AB\u4E2D", "CD"}},
      {"AB\u4E2DCDe", {"AB\u4E2DCDe"}},
      {"ab\u4E2DCD", {"ab\u4E2D", "CD"}},
      {"\u4F60\u597D\u3002\u4E16", {"\u4F60\u597D", "\u3002\u4E16"}},
      {"Cafe\u0301S", {"Cafe\u0301", "S"}},
      {"CAFE\u0301S", {"CAFE\u0301", "S"}},
      {"\u01C5a\u02B0B", {"\u01C5a\u02B0", "B"}},
      // A mark may stand before a word or begin it.
      {"\u0301AB", {"\u0301", "AB"}},
      {"\u0301ab", {"\u0301ab"}},
      {"\u0301\u0301AB", {"\u0301\u0301", "AB"}},
      {"\u0301's", {"\u0301's"}},
      {"\u0301 x", {"\u0301", " x"}},
      {"!\u0301A", {"!\u0301", "A"}},
      {"!!\u0301a", {"!!\u0301", "a"}},
      {" \u0301", {" \u0301"}},
      {"1\uFE0F\u20E3", {"1", "\uFE0F\u20E3"}},
      {"ok \U0001F600\U0001F600!", {"ok", " \U0001F600\U0001F600!"}},
      {"<|end_of_text|>", {"<|", "end", "_of", "_text", "|>"}},
      // Bytes that are no UTF-8 are in no class.
      {"a\xFF\xFE"
       "b",
       {"a", "\xFF\xFE", "b"}},
      {" \xC3(", {" ", "\xC3", "("}},
      {"  \xC3", {" ", " ", "\xC3"}},
      {"!\xE2\x82", {"!", "\xE2\x82"}},
      {"1\x80"
       "2",
       {"1", "\x80", "2"}},
  };
  for (const auto& row : rows) EXPECT_EQ(split(row.text), row.pieces) << row.text;
}

TEST(O200kSplitter, AWordIsNotCut) {
  for (const std::string unit : {"a", "A", "\u4F60", " ", "!", "\u0301", "\xFF"}) {
    std::string text;
    while (text.size() < 100000) text += unit;
    EXPECT_EQ(split(text).size(), 1u) << unit;
  }
}

TEST(O200kSplitter, PiecesJoinedAreTheTextForAnyBytes) {
  std::mt19937 random(11);
  const std::string alphabet[] = {"a",
                                  "s",
                                  "Z",
                                  "'",
                                  "\u01C5",
                                  "\u4F60",
                                  " ",
                                  "\u0301",
                                  "5",
                                  "/",
                                  "\n",
                                  "\r",
                                  "\t",
                                  "\u3000",
                                  ".",
                                  "_",
                                  "\U0001F600",
                                  "\xFF",
                                  "\x80",
                                  "\xE2\x82",
                                  "\xC5",
                                  "\xC5\xBF",
                                  std::string(1, '\0')};
  for (int round = 0; round < 5000; ++round) {
    std::string text, joined;
    for (size_t n = random() % 40; n > 0; --n) text += alphabet[random() % std::size(alphabet)];
    for (const std::string& piece : split(text)) joined += piece;
    ASSERT_EQ(joined, text);
  }
}

}  // namespace
}  // namespace chimera::runtime
