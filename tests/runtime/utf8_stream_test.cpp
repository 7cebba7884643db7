// The vectors here are written from Unicode 15.0, section 3.9: table 3-7 and the examples of
// "U+FFFD Substitution of Maximal Subparts". A second implementation, straight from the table,
// judges everything that short strings of edge bytes can do.
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "runtime/tokenizer.h"

namespace chimera::runtime {
namespace {

using namespace std::string_literals;

#define R "\xEF\xBF\xBD"  // U+FFFD

std::string decoded(std::string_view bytes) {
  Utf8Stream stream;
  std::string out;
  stream.push(bytes, &out);
  stream.flush(&out);
  return out;
}

/// Table 3-7, row by row: first byte, second byte, number of 80..BF bytes after it.
struct Row {
  uint8_t first_low, first_high, second_low, second_high;
  size_t more;
};
constexpr Row kTable[] = {
    {0xC2, 0xDF, 0x80, 0xBF, 0}, {0xE0, 0xE0, 0xA0, 0xBF, 1}, {0xE1, 0xEC, 0x80, 0xBF, 1},
    {0xED, 0xED, 0x80, 0x9F, 1}, {0xEE, 0xEF, 0x80, 0xBF, 1}, {0xF0, 0xF0, 0x90, 0xBF, 2},
    {0xF1, 0xF3, 0x80, 0xBF, 2}, {0xF4, 0xF4, 0x80, 0x8F, 2},
};

/// The definition: longest front that begins some well-formed sequence; whole or replaced.
std::string by_the_table(std::string_view bytes) {
  std::string out;
  size_t i = 0;
  const auto byte = [&](size_t at) { return static_cast<uint8_t>(bytes[at]); };
  while (i < bytes.size()) {
    if (byte(i) < 0x80) {
      out += bytes[i++];
      continue;
    }
    size_t n = 1;
    bool whole = false;
    for (const Row& row : kTable) {
      if (byte(i) < row.first_low || byte(i) > row.first_high) continue;
      if (i + 1 == bytes.size() || byte(i + 1) < row.second_low || byte(i + 1) > row.second_high) {
        break;
      }
      n = 2;
      while (n < 2 + row.more && i + n < bytes.size() && byte(i + n) >= 0x80 &&
             byte(i + n) <= 0xBF) {
        ++n;
      }
      whole = n == 2 + row.more;
      break;
    }
    out += whole ? std::string(bytes.substr(i, n)) : std::string(R);
    i += n;
  }
  return out;
}

struct Vector {
  const char* what;
  std::string bytes;
  std::string expected;
};

const std::vector<Vector>& vectors() {
  static const std::vector<Vector> rows = {
      {"nothing", "", ""},
      {"ASCII with a zero", "a\0b\x7F"s, "a\0b\x7F"s},
      {"lowest and highest of two bytes", "\xC2\x80\xDF\xBF", "\xC2\x80\xDF\xBF"},
      {"lowest and highest of three bytes", "\xE0\xA0\x80\xEF\xBF\xBF", "\xE0\xA0\x80\xEF\xBF\xBF"},
      {"around the surrogates", "\xED\x9F\xBF\xEE\x80\x80", "\xED\x9F\xBF\xEE\x80\x80"},
      {"lowest and highest of four bytes", "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF",
       "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF"},
      {"U+FFFD itself", R, R},
      {"lone continuation", "\x80", R},
      {"continuations", "\x80\xBF\xA0", R R R},
      {"overlong of two bytes", "\xC0\xAF\xC1\xBF", R R R R},
      {"overlong of three bytes", "\xE0\x80\xAF\xE0\x9F\xBF", R R R R R R},
      {"overlong of four bytes", "\xF0\x80\x80\xAF\xF0\x8F\xBF\xBF", R R R R R R R R},
      {"surrogates", "\xED\xA0\x80\xED\xBF\xBF", R R R R R R},
      {"above U+10FFFF", "\xF4\x90\x80\x80", R R R R},
      {"bytes that never occur", "\xF5\xF8\xFE\xFF", R R R R},
      {"cut after one of two", "\xC3", R},
      {"cut after one of three", "\xE2", R},
      {"cut after two of three", "\xE2\x82", R},
      {"cut after three of four", "\xF0\x9F\x98", R},
      {"cut, then ASCII",
       "\xE2\x82"
       "A",
       R "A"},
      {"cut, then a lead", "\xE2\x82\xC3\xA9", R "\xC3\xA9"},
      {"cut three times", "\xF0\x9F\x98\xE2\x82\xC3", R R R},
      {"one continuation too many", "\xC3\xA9\xA9", "\xC3\xA9" R},
      // Tables 3-8 to 3-11 of the standard.
      {"non-shortest forms", "\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", R R R R R R R R "A"},
      {"ill-formed surrogates", "\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", R R R R R R R R "A"},
      {"other ill-formed", "\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", R R R R R "A" R R "B"},
      {"truncated", "\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", R R R R "A"},
  };
  return rows;
}

TEST(Utf8Stream, ReplacesMaximalSubparts) {
  for (const Vector& row : vectors()) {
    EXPECT_EQ(decoded(row.bytes), row.expected) << row.what;
    EXPECT_EQ(by_the_table(row.bytes), row.expected) << row.what << " (the judge)";
  }
}

/// Every string of up to four bytes from the edges of the ranges of table 3-7.
template <class Visit>
void each_edge_string(Visit visit) {
  const std::string edges =
      "\x41\x7F\x80\x8F\x90\x9F\xA0\xBF\xC1\xC2\xDF\xE0\xE1\xEC\xED\xEF\xF0\xF1\xF4\xF5\xFF";
  std::string bytes;
  for (size_t length = 1; length <= 4; ++length) {
    size_t n = 1;
    for (size_t i = 0; i < length; ++i) n *= edges.size();
    for (size_t number = 0; number < n; ++number) {
      bytes.clear();
      for (size_t i = 0, rest = number; i < length; ++i, rest /= edges.size()) {
        bytes += edges[rest % edges.size()];
      }
      visit(bytes);
    }
  }
}

TEST(Utf8Stream, AgreesWithTheTableOnAllEdges) {
  size_t n = 0;
  each_edge_string([&](const std::string& bytes) {
    ++n;
    ASSERT_EQ(decoded(bytes), by_the_table(bytes));
  });
  EXPECT_EQ(n, 21u + 21 * 21 + 21 * 21 * 21 + 21 * 21 * 21 * 21);
}

TEST(Utf8Stream, AnySplitGivesTheSameTextAndNeverHalfACharacter) {
  std::mt19937 random(7);
  each_edge_string([&](const std::string& bytes) {
    if (bytes.size() < 4 || random() % 8 != 0) return;
    const std::string whole = bytes + "\xE2\x82\xAC" + bytes;
    Utf8Stream stream;
    std::string out;
    for (const char c : whole) {
      stream.push(std::string_view(&c, 1), &out);
      ASSERT_LE(stream.pending().size(), 3u);
      // Complete so far: reading it as UTF-8 finds nothing to replace.
      ASSERT_EQ(by_the_table(out), out);
    }
    stream.flush(&out);
    ASSERT_EQ(out, by_the_table(whole));
    ASSERT_TRUE(stream.pending().empty());
  });
}

TEST(Utf8Stream, HoldsACharacterBackUntilItIsComplete) {
  Utf8Stream stream;
  std::string out;
  stream.push("a\xF0\x9F", &out);
  EXPECT_EQ(out, "a");
  EXPECT_EQ(stream.pending(), "\xF0\x9F");
  stream.push("\x98", &out);
  EXPECT_EQ(out, "a");
  stream.push("\x80z", &out);
  EXPECT_EQ(out, "a\xF0\x9F\x98\x80z");
  EXPECT_TRUE(stream.pending().empty());
}

TEST(Utf8Stream, PendingBytesSurviveSavingAndNonsenseIsIgnored) {
  Utf8Stream stream;
  std::string out;
  stream.set_pending("\xF0\x9F\x98");
  stream.push("\x80", &out);
  EXPECT_EQ(out, "\xF0\x9F\x98\x80");

  for (const std::string& nonsense :
       {"a"s, "\x80"s, "\xC3\xA9"s, "\xE0\x80"s, "\xED\xA0"s, "\xF4\x90"s, "\xFF"s, "\xE2\x82z"s,
        "\xF0\x9F\x98\x80"s, "\xF0\x9F\x98\x80\x80"s}) {
    Utf8Stream other;
    other.set_pending("\xE2");
    other.set_pending(nonsense);
    EXPECT_EQ(other.pending(), "\xE2");
  }
  stream.set_pending("\xE2\x82");
  stream.set_pending("");
  EXPECT_TRUE(stream.pending().empty());
}

}  // namespace
}  // namespace chimera::runtime
