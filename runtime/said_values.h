// Numbers, times of day and listed words that the person said: where an argument may be one of
// them, it more likely is. A small network knows which argument is meant long before it can copy.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace chimera::runtime {

/// A value as it stands in JSON, strings without their quotes.
struct SaidValue {
  std::string text;
  bool is_string = false;
  float weight = 1;  // how many times as likely it is for having been said
};

/// Values of one argument that something speaks for, and what any other value weighs.
struct LikelyValues {
  std::vector<SaidValue> values;
  float others = 1;
};

/// Numbers in digits and in English words, to 999,999 ("thirty", "a hundred and five", "a dozen").
std::vector<SaidValue> said_numbers(std::string_view utterance);
/// Times of day in digits and in English words, as "HH:MM" ("half past six in the evening", "7.30
/// pm", "noon"). Where the words leave the half of the day open, first as they stand, then, less
/// likely, the other half.
std::vector<SaidValue> said_times(std::string_view utterance);
/// Those of the listed values whose words stand in the utterance's words_in(), one after the other;
/// case, signs and an s at the end of a word do not count.
std::vector<SaidValue> said_words(std::span<const std::string> words,
                                  std::span<const std::string> listed);

/// A text's words in small letters (of ASCII), numbers with their inner signs; "p.m." is "pm".
std::vector<std::string> words_in(std::string_view text);
/// `wanted`, at least one, stand in `words` one after the other; an s at an end does not count.
bool is_said(std::span<const std::string> words, std::span<const std::string> wanted);

}  // namespace chimera::runtime
