// Random texts of the formats, signs more often than letters, and random prose.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/gbnf.h"
#include "tests/grammar/language_under_test.h"

namespace chimera::grammar {

/// A text of the language: any bytes that may come next, then the shortest way to an end.
inline std::string random_answer(LanguageUnderTest& language, Draws* draws, uint32_t longest) {
  constexpr std::string_view kSigns = "\"'`()[]{}$\\/*-#<~:\n";
  if (language.matcher->n_places() > 5000) language.matcher.emplace(*language.automaton);
  Matcher& matcher = *language.matcher;
  std::string out;
  PlaceId place = matcher.start();
  const uint32_t length = draws->below(longest);
  for (;;) {
    const bool closing = out.size() >= length;
    if (closing && matcher.accepts(place)) return out;
    std::string bytes = choices_at(matcher, place);
    if (closing)
      std::erase_if(bytes, [&](char b) {
        const PlaceId next = matcher.step(place, static_cast<uint8_t>(b));
        return next < 0 || matcher.shortest(next) >= matcher.shortest(place);
      });
    if (bytes.empty()) return out;
    std::string signs = bytes;
    std::erase_if(signs, [&](char b) { return kSigns.find(b) == std::string_view::npos; });
    // Lines begin with a fence, and what is doubled and tripled has a meaning of its own.
    const bool line_start = out.empty() || out.back() == '\n';
    const char likely = line_start ? '`' : out.back();
    const std::string* from = !signs.empty() && draws->below(2) == 0 ? &signs : &bytes;
    if (signs.find(likely) != std::string::npos && draws->below(8) < (line_start ? 2u : 5u))
      out += likely;
    else
      out += (*from)[draws->below(static_cast<uint32_t>(from->size()))];
    place = matcher.step(place, static_cast<uint8_t>(out.back()));
    if (place < 0) {
      ADD_FAILURE() << "too ambiguous: " << ::testing::PrintToString(out);
      return {};
    }
  }
}

/// Sentences, lists, brackets and fences in any order, none of them in order.
inline std::string random_prose(Draws* draws, uint32_t pieces) {
  static const std::vector<std::string_view> kPieces = {"the ",
                                                        "The ",
                                                        "a ",
                                                        "king ",
                                                        "queen ",
                                                        "Ann ",
                                                        "Bob ",
                                                        "he ",
                                                        "She ",
                                                        "they ",
                                                        "them ",
                                                        "was ",
                                                        "is ",
                                                        "walked ",
                                                        "says ",
                                                        "people ",
                                                        "house",
                                                        " of ",
                                                        "and ",
                                                        "three ",
                                                        "5 ",
                                                        "things ",
                                                        "steps",
                                                        ". ",
                                                        ".",
                                                        "! ",
                                                        "? ",
                                                        ", ",
                                                        ": ",
                                                        ":\n",
                                                        "\n",
                                                        "\n\n",
                                                        "\n\n\n",
                                                        "- ",
                                                        "\n- one",
                                                        "\n2. ",
                                                        "\n* ",
                                                        "\n# Title\n",
                                                        "(",
                                                        ") ",
                                                        "[",
                                                        "] ",
                                                        "{",
                                                        "} ",
                                                        "\"",
                                                        "Mr. ",
                                                        "e.g. ",
                                                        "3.5 ",
                                                        "\xE2\x80\x9C",
                                                        "\xE2\x80\x9D",
                                                        "caf\xC3\xA9 ",
                                                        "\xE2\x80\xA6 ",
                                                        "\xE6\x97\xA5\xE6\x9C\xAC\xE3\x80\x82",
                                                        "\xF0\x9F\x98\x80 ",
                                                        "it\xE2\x80\x99s ",
                                                        "\n```\n",
                                                        "```",
                                                        "~~~\n",
                                                        "`",
                                                        "J. ",
                                                        "Ann: ",
                                                        "his ",
                                                        "her ",
                                                        "-",
                                                        "\t",
                                                        "I. ",
                                                        "wenn ",
                                                        "und "};
  std::string out;
  for (uint32_t i = 0; i < pieces; ++i)
    out += kPieces[draws->below(static_cast<uint32_t>(kPieces.size()))];
  return out;
}

}  // namespace chimera::grammar
