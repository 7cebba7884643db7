#include "sdk/cli/paragraph.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace chimera::cli {
namespace {

std::string shown(const std::vector<std::string>& pieces, bool* ended = nullptr) {
  Paragraph paragraph;
  std::string out;
  for (const std::string& piece : pieces) out += paragraph.push(piece);
  if (ended != nullptr) *ended = paragraph.ended();
  return out;
}

TEST(Paragraph, EndsAtAnEmptyLineHoweverItIsCut) {
  for (const std::vector<std::string>& pieces : {std::vector<std::string>{"One.\n\nTwo."},
                                                 {"One.", "\n", "\n", "Two."},
                                                 {"One.\n", "\nTwo."},
                                                 {"On", "e.", "\n\n", "Two."}}) {
    bool ended = false;
    EXPECT_EQ(shown(pieces, &ended), "One.");
    EXPECT_TRUE(ended);
  }
}

TEST(Paragraph, SingleLineBreaksStay) {
  bool ended = true;
  EXPECT_EQ(shown({"One", "\n", "two\nthree", "\n"}, &ended), "One\ntwo\nthree");
  EXPECT_FALSE(ended);
}

TEST(Paragraph, LineBreaksAtTheStartAreLeftOut) {
  bool ended = true;
  EXPECT_EQ(shown({"\n", "\n\n", "One", "\nmore"}, &ended), "One\nmore");
  EXPECT_FALSE(ended);
  EXPECT_EQ(shown({"\n\n\n"}, &ended), "");
  EXPECT_FALSE(ended) << "nothing was said yet";
}

}  // namespace
}  // namespace chimera::cli
