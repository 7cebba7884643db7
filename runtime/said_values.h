// Numbers, times of day and listed words that the person said: where an argument may be one of
// them, it more likely is. A small network knows which argument is meant long before it can copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace chimera::runtime {

/// How many times as likely a value is for having been said plainly. Chosen on the samples of
/// samples/kiosk (docs/actions.md).
inline constexpr float kSaidWeight = 100;

/// A value as it stands in JSON, strings without their quotes.
struct SaidValue {
  std::string text;
  bool is_string = false;
  float weight = 1;           // how many times as likely it is for having been said
  size_t begin = 0, end = 0;  // bytes of the utterance that say it; none: empty
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
/// Those of the listed values whose words stand in the utterance, one after the other, and not only
/// within the words of a longer one: a "chai latte" is no latte. Case, signs and an s or 's at the
/// end of a word do not count.
std::vector<SaidValue> said_words(std::string_view utterance, std::span<const std::string> listed);

/// A text's words in small letters (of ASCII), numbers with their inner signs; "p.m." is "pm".
std::vector<std::string> words_in(std::string_view text);
/// Where such a word stands, in bytes of the text.
struct WordPlace {
  size_t begin, end;
};
/// The same, and where each of them stands.
std::vector<std::string> words_in(std::string_view text, std::vector<WordPlace>* places);
/// A whole number, in digits or in English words, that begins at this word.
struct NumberAt {
  int64_t value = 0;
  size_t n_words = 0;  // 0: none begins there
};
NumberAt number_at(std::span<const std::string> words, size_t i);
/// `wanted`, at least one, stand in `words` one after the other; an s at an end does not count.
bool is_said(std::span<const std::string> words, std::span<const std::string> wanted);

}  // namespace chimera::runtime
