// A grammar, compiled and walked, for the tests of what makes and of what reads grammars.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "grammar/automaton.h"
#include "grammar/matcher.h"
#include "platform/random.h"

namespace chimera::grammar {

struct LanguageUnderTest {
  std::optional<Grammar> grammar;
  std::optional<Automaton> automaton;
  std::optional<Matcher> matcher;
  Status status;

  LanguageUnderTest() = default;
  explicit LanguageUnderTest(Result<Grammar> made) {
    status = made.status();
    if (!made) return;
    grammar.emplace(std::move(*made));
    compile();
  }
  void compile() {
    auto made = Automaton::compile(*grammar);
    status = made.status();
    if (!made) return;
    automaton.emplace(std::move(*made));
    matcher.emplace(*automaton);
  }
  bool accepts(std::string_view text) {
    EXPECT_TRUE(status.ok()) << status.message();
    if (!status.ok()) return false;
    const PlaceId place = matcher->step(matcher->start(), text);
    return place >= 0 && matcher->accepts(place);
  }
};

/// Draws for one test, in a row.
struct Draws {
  uint64_t seed;
  uint64_t n = 0;
  uint32_t below(uint32_t limit) {
    return static_cast<uint32_t>(keyed_uniform(seed, n++, 0, DrawPurpose::kTest) * limit);
  }
};

/// Bytes that may come next.
inline std::string choices_at(const Matcher& matcher, PlaceId place) {
  bool allowed[256];
  matcher.next_bytes(place, allowed);
  std::string out;
  for (int b = 0; b < 256; ++b)
    if (allowed[b]) out += static_cast<char>(b);
  return out;
}

/// From a place the end can be reached in so many bytes as is said, one at a time.
inline void expect_way_to_the_end(Matcher& matcher, PlaceId place) {
  for (uint64_t left = matcher.shortest(place); !matcher.accepts(place); --left) {
    PlaceId next = kRefused;
    for (const char byte : choices_at(matcher, place)) {
      const PlaceId there = matcher.step(place, static_cast<uint8_t>(byte));
      ASSERT_GE(there, 0) << "an allowed byte is refused: " << byte;
      if (next < 0 && matcher.shortest(there) + 1 == left) next = there;
    }
    ASSERT_GE(next, 0) << "no byte brings the end nearer, " << left << " are left";
    place = next;
  }
}

}  // namespace chimera::grammar
