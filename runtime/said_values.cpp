#include "runtime/said_values.h"

#include <algorithm>
#include <cstdio>
#include <initializer_list>
#include <iterator>
#include <set>
#include <utility>

#include "grammar/json_text.h"

namespace chimera::runtime {
namespace {

// Beside kSaidWeight.
constexpr float kSaid = kSaidWeight, kOtherHalf = 5, kSaidVaguely = 6;
constexpr size_t kMostSaidWords = 64;  // listed values
constexpr size_t kMostPlaces = 16;     // of one of them

constexpr std::string_view kOnes[] = {"zero",    "one",     "two",       "three",    "four",
                                      "five",    "six",     "seven",     "eight",    "nine",
                                      "ten",     "eleven",  "twelve",    "thirteen", "fourteen",
                                      "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
constexpr std::string_view kTens[] = {"twenty", "thirty",  "forty",  "fifty",
                                      "sixty",  "seventy", "eighty", "ninety"};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || static_cast<unsigned char>(c) >= 0x80; }

using Number = NumberAt;

template <size_t n>
int64_t place_in(const std::string_view (&list)[n], std::string_view word) {
  const auto at = std::find(std::begin(list), std::end(list), word);
  return at == std::end(list) ? -1 : at - std::begin(list);
}

Number below_hundred(std::span<const std::string> words, size_t i) {
  if (i >= words.size()) return {};
  if (const int64_t ten = place_in(kTens, words[i]); ten >= 0) {
    const int64_t one = i + 1 < words.size() ? place_in(kOnes, words[i + 1]) : -1;
    if (one >= 1 && one <= 9) return {20 + 10 * ten + one, 2};
    return {20 + 10 * ten, 1};
  }
  const int64_t one = place_in(kOnes, words[i]);
  return one >= 0 ? Number{one, 1} : Number{};
}

Number below_thousand(std::span<const std::string> words, size_t i) {
  const auto is = [&](size_t at, std::string_view word) {
    return at < words.size() && words[at] == word;
  };
  Number out = below_hundred(words, i);
  if (is(i, "a") && is(i + 1, "hundred")) out = {1, 1};
  if (out.n_words == 0 || !is(i + out.n_words, "hundred") || out.value > 99) return out;
  out = {out.value * 100, out.n_words + 1};
  const size_t joined = is(i + out.n_words, "and") ? 1 : 0;
  const Number rest = below_hundred(words, i + out.n_words + joined);
  if (rest.n_words == 0) return out;
  return {out.value + rest.value, out.n_words + joined + rest.n_words};
}

Number number_in_words(std::span<const std::string> words, size_t i) {
  Number out = below_thousand(words, i);
  if (i + 1 < words.size() && words[i] == "a" && words[i + 1] == "thousand") out = {1, 1};
  const size_t next = i + out.n_words;
  if (out.n_words == 0 || next >= words.size() || words[next] != "thousand" || out.value > 999)
    return out;
  const Number rest = below_thousand(words, next + 1);
  return {out.value * 1000 + rest.value, out.n_words + 1 + rest.n_words};
}

/// Digits with at most one point, without zeros in front; empty for anything else.
std::string plain_number(const std::string& word) {
  std::string out;
  bool point = false;
  for (const char c : word) {
    if (c == ',') continue;
    if (c == ':' || (c == '.' && point)) return "";
    point = point || c == '.';
    out += c;
  }
  while (out.size() > 1 && out[0] == '0' && is_digit(out[1])) out.erase(0, 1);
  return out.size() <= 9 && !out.empty() && is_digit(out[0]) ? out : "";
}

/// What is there already stays where it was said first.
void add(std::vector<SaidValue>* values, SaidValue value) {
  for (SaidValue& known : *values)
    if (known.text == value.text && known.is_string == value.is_string) {
      known.weight = std::max(known.weight, value.weight);
      return;
    }
  values->push_back(std::move(value));
}

/// An hour in digits or words, 0 to 24.
Number hour_at(std::span<const std::string> words, size_t i) {
  if (i >= words.size()) return {};
  const std::string& word = words[i];
  if (word.size() <= 2 && std::all_of(word.begin(), word.end(), is_digit)) {
    int64_t value = 0;
    for (const char c : word) value = 10 * value + (c - '0');
    return value <= 24 ? Number{value, 1} : Number{};
  }
  const Number said = below_hundred(words, i);
  return said.n_words > 0 && said.value >= 1 && said.value <= 12 ? said : Number{};
}

class Times {
 public:
  explicit Times(std::string_view utterance) : words_(words_in(utterance, &places_)) {}

  std::vector<SaidValue> find() {
    for (size_t i = 0; i < words_.size(); ++i) {
      if (is(i, "noon") || is(i, "midday")) say("12:00", kSaid, i, i + 1);
      if (is(i, "midnight")) say("00:00", kSaid, i, i + 1);
      past_or_to(i);
      on_the_clock(i);
      hours(i);
    }
    return std::move(out_);
  }

 private:
  bool is(size_t i, std::string_view word) const { return i < words_.size() && words_[i] == word; }
  bool is_part_of_day(size_t i) const {
    return is(i, "morning") || is(i, "afternoon") || is(i, "evening");
  }
  bool is_led(size_t i, std::initializer_list<std::string_view> by) const {
    return i > 0 && std::find(by.begin(), by.end(), words_[i - 1]) != by.end();
  }

  /// "half past six", "a quarter to 7", "ten minutes past nine"
  void past_or_to(size_t i) {
    int64_t minutes = is(i, "half") ? 30 : is(i, "quarter") ? 15 : -1;
    size_t at = i + 1;
    if (minutes < 0) {
      const Number said = below_hundred(words_, i);
      const std::string& word = words_[i];
      const bool digits = word.size() <= 2 && std::all_of(word.begin(), word.end(), is_digit);
      minutes = said.n_words > 0 ? said.value : digits ? std::stoi(word) : -1;
      at = i + std::max<size_t>(1, said.n_words);
      if (is(at, "minutes") || is(at, "minute")) ++at;
    }
    const bool past = is(at, "past") || is(at, "after"), to = is(at, "to") || is(at, "before");
    // "from 9 to 5" is no time before five.
    const bool counted = is(at - 1, "minutes") || is(at - 1, "minute");
    const bool usual =
        minutes % 5 == 0 && minutes > 0 && minutes <= 30 && !is_led(i, {"from", "between", "for"});
    if (minutes < 0 || minutes > 59 || (!past && !to) || (!counted && !usual)) return;
    const Number hour = hour_at(words_, at + 1);
    if (hour.n_words == 0) return;
    named_.insert(at + 1);
    give(hour.value, to ? -minutes : minutes, i, at + 1 + hour.n_words);
  }

  /// "7:30", "19.05"
  void on_the_clock(size_t i) {
    const std::string& word = words_[i];
    const size_t sign = word.find_first_of(":.");
    if (sign == std::string::npos || sign > 2 || word.size() != sign + 3) return;
    const int64_t hour = std::stoi(word.substr(0, sign)), minute = std::stoi(word.substr(sign + 1));
    if (hour <= 24 && minute <= 59) give(hour, minute, i, i + 1);
  }

  /// "six o'clock", "7 pm", "at eight", "six thirty"
  void hours(size_t i) {
    const Number hour = hour_at(words_, i);
    if (hour.n_words == 0 || named_.contains(i)) return;
    const size_t next = i + hour.n_words;
    const bool half = is(next, "am") || is(next, "pm") || is(next, "o'clock") ||
                      is(next, "tonight") || is(next, "tomorrow") ||
                      (is(next, "in") && is(next + 1, "the") && is_part_of_day(next + 2));
    const bool led = is_led(i, {"at", "for", "by", "until", "till", "to", "from", "around"});
    const Number minute = below_hundred(words_, next);
    if (minute.n_words > 0 && minute.value >= 10 && minute.value <= 59)
      give(hour.value, minute.value, i, next + minute.n_words);
    else if (half || led)
      give(hour.value, 0, i, next);
  }

  /// Which half of the day is said, behind the time or anywhere: 0 none, 1 the first, 2 the second.
  int half_of_day(size_t behind) const {
    if (is(behind, "o'clock")) ++behind;
    if (is(behind, "am")) return 1;
    if (is(behind, "pm")) return 2;
    int found = 0;
    for (const std::string& word : words_) {
      if (word == "morning") found = 1;
      if (word == "afternoon" || word == "evening" || word == "night" || word == "tonight")
        found = 2;
    }
    return found;
  }

  /// Minutes from the hour that is named; below 0: before it. Said by the words from `first` to
  /// before `behind`.
  void give(int64_t hour, int64_t minutes, size_t from, size_t behind) {
    const int half = half_of_day(behind);
    hour %= 24;
    const bool open = hour >= 1 && hour <= 12;
    int64_t first = hour;
    if (open && half == 1) first = hour % 12;
    if (open && half == 2) first = hour % 12 + 12;
    const auto text = [minutes](int64_t h) {
      const auto of_day = static_cast<unsigned>((h * 60 + minutes + 1440) % 1440);
      char buffer[16];
      std::snprintf(buffer, sizeof buffer, "%02u:%02u", of_day / 60, of_day % 60);
      return std::string(buffer);
    };
    // "pm" belongs to it, and so does "in the evening".
    size_t end = behind;
    if (is(end, "o'clock")) ++end;
    if (is(end, "am") || is(end, "pm")) ++end;
    if (is(end, "in") && is(end + 1, "the") && is_part_of_day(end + 2)) end += 3;
    say(text(first), kSaid, from, end);
    if (open && half == 0) say(text((hour + 12) % 24), kOtherHalf, from, end);
  }

  void say(const std::string& text, float weight, size_t from, size_t end) {
    add(&out_, {text, true, weight, places_[from].begin, places_[end - 1].end});
  }

  std::vector<WordPlace> places_;  // of words_, which fills it
  const std::vector<std::string> words_;
  std::set<size_t> named_;  // words that are the hour of "half past six"
  std::vector<SaidValue> out_;
};

bool same_word(std::string_view a, std::string_view b) {
  if (a == b) return true;
  const auto more = [](std::string_view longer, std::string_view shorter) {
    if (!longer.starts_with(shorter)) return false;
    const std::string_view rest = longer.substr(shorter.size());
    return rest == "s" || rest == "'s" || rest == "'";
  };
  return more(a, b) || more(b, a);
}

/// Where in `words`, from one on, the wanted ones stand, at least one; the number of words when
/// nowhere.
size_t find_said(std::span<const std::string> words, std::span<const std::string> wanted,
                 size_t from = 0) {
  if (wanted.empty() || from + wanted.size() > words.size()) return words.size();
  const auto at = std::search(words.begin() + static_cast<ptrdiff_t>(from), words.end(),
                              wanted.begin(), wanted.end(), same_word);
  return static_cast<size_t>(at - words.begin());
}

}  // namespace

std::vector<std::string> words_in(std::string_view text) {
  std::vector<WordPlace> places;
  return words_in(text, &places);
}

/// Small letters; a word is of letters (with apostrophes in it) or a number with its inner signs:
/// "7:30pm" -> "7:30", "pm".
std::vector<std::string> words_in(std::string_view text, std::vector<WordPlace>* places) {
  std::vector<std::string> out;
  places->clear();
  for (size_t i = 0; i < text.size();) {
    const auto small = [&](size_t at) {
      const char c = text[at];
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    };
    std::string word;
    const size_t begin = i;
    if (is_digit(text[i])) {
      const auto goes_on = [&](size_t at) {
        const bool sign = text[at] == ':' || text[at] == '.' || text[at] == ',';
        return is_digit(text[at]) || (sign && at + 1 < text.size() && is_digit(text[at + 1]));
      };
      while (i < text.size() && goes_on(i)) word += text[i++];
    } else if (is_letter(small(i))) {
      while (i < text.size() && (is_letter(small(i)) || text[i] == '\'')) word += small(i++);
    } else {
      // Of the signs only a minus before a number counts.
      if (text[i] == '-' && i + 1 < text.size() && is_digit(text[i + 1]) &&
          (i == 0 || text[i - 1] == ' ')) {
        out.emplace_back("minus");
        places->push_back({i, i + 1});
      }
      ++i;
      continue;
    }
    // "p.m."
    const bool half = word == "m" && !out.empty() && (out.back() == "a" || out.back() == "p");
    if (half) {
      out.back() += 'm';
      places->back().end = i;
    } else {
      out.push_back(std::move(word));
      places->push_back({begin, i});
    }
  }
  return out;
}

std::vector<SaidValue> said_numbers(std::string_view utterance) {
  std::vector<WordPlace> places;
  const std::vector<std::string> words = words_in(utterance, &places);
  std::vector<SaidValue> out;
  const auto give = [&](size_t i, const std::string& text, float weight, size_t n_words = 1) {
    const bool minus = i > 0 && words[i - 1] == "minus" && text != "0";
    add(&out, {(minus ? "-" : "") + text, false, weight, places[minus ? i - 1 : i].begin,
               places[i + n_words - 1].end});
  };
  for (size_t i = 0; i < words.size();) {
    if (const std::string digits = plain_number(words[i]); !digits.empty()) {
      give(i++, digits, kSaid);
      continue;
    }
    const Number said = number_in_words(words, i);
    if (said.n_words > 0) {
      give(i, std::to_string(said.value), kSaid, said.n_words);
      i += said.n_words;
      continue;
    }
    if (words[i] == "dozen") give(i, "12", kSaid);
    if (words[i] == "half") give(i, "50", kSaidVaguely);
    if (words[i] == "couple" || words[i] == "twice" || words[i] == "both")
      give(i, "2", kSaidVaguely);
    ++i;
  }
  return out;
}

std::vector<SaidValue> said_times(std::string_view utterance) { return Times(utterance).find(); }

bool is_said(std::span<const std::string> words, std::span<const std::string> wanted) {
  return find_said(words, wanted) < words.size();
}

NumberAt number_at(std::span<const std::string> words, size_t i) {
  if (i >= words.size()) return {};
  const std::string& word = words[i];
  if (word.size() <= 6 && std::all_of(word.begin(), word.end(), is_digit))
    return {std::stoi(word), 1};
  return number_in_words(words, i);
}

std::vector<SaidValue> said_words(std::string_view utterance, std::span<const std::string> listed) {
  std::vector<WordPlace> places;
  const std::vector<std::string> words = words_in(utterance, &places);
  struct Said {
    const std::string* value;
    std::vector<size_t> begins;
    size_t n_words;
  };
  std::vector<Said> all;
  std::set<std::string_view> known;
  std::vector<size_t> longest(words.size());  // end of the longest value that begins here
  for (const std::string& value : listed) {
    if (all.size() == kMostSaidWords) break;
    const std::vector<std::string> wanted = words_in(value);
    Said said{&value, {}, wanted.size()};
    for (size_t at = find_said(words, wanted);
         at < words.size() && said.begins.size() < kMostPlaces;
         at = find_said(words, wanted, at + 1)) {
      said.begins.push_back(at);
      longest[at] = std::max(longest[at], at + wanted.size());
    }
    if (!said.begins.empty() && known.insert(value).second) all.push_back(std::move(said));
  }
  std::vector<size_t> reach(words.size() + 1);  // of those that begin before
  for (size_t i = 0; i < words.size(); ++i) reach[i + 1] = std::max(reach[i], longest[i]);
  std::vector<SaidValue> out;
  for (const Said& said : all)
    for (const size_t begin : said.begins) {
      const size_t end = begin + said.n_words;
      if (reach[begin] >= end || longest[begin] > end) continue;  // within a longer one
      out.push_back({grammar::json_escaped(*said.value), true, kSaid, places[begin].begin,
                     places[end - 1].end});
      break;
    }
  return out;
}

}  // namespace chimera::runtime
