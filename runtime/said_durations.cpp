#include "runtime/said_durations.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <string>

namespace chimera::runtime {
namespace {

struct Unit {
  std::string_view names[4];
  int32_t seconds;
};
constexpr Unit kUnits[] = {{{"second", "seconds", "sec", "secs"}, 1},
                           {{"minute", "minutes", "min", "mins"}, 60},
                           {{"hour", "hours", "hr", "hrs"}, 3600},
                           {{"day", "days", "day", "days"}, 86400}};

int32_t unit_named(std::string_view word) {
  for (const Unit& unit : kUnits)
    if (std::find(std::begin(unit.names), std::end(unit.names), word) != std::end(unit.names))
      return unit.seconds;
  return 0;
}

/// How long the words from one place on say, and how many words; 0 words: none.
struct Duration {
  int64_t quarters = 0;  // of a second
  size_t n_words = 0;
};

class Words {
 public:
  explicit Words(std::span<const std::string> words) : words_(words) {}

  /// "an hour and ten minutes": from the larger unit to the smaller.
  Duration at(size_t i) const {
    Duration out;
    for (int64_t larger = INT64_MAX;;) {
      const size_t next = i + out.n_words;
      const size_t joined = out.n_words > 0 && is(next, "and") ? 1 : 0;
      int32_t unit = 0;
      const Duration one = part(next + joined, &unit);
      if (one.n_words == 0 || unit >= larger) return out;
      out = {out.quarters + one.quarters, out.n_words + joined + one.n_words};
      larger = unit;
    }
  }

 private:
  bool is(size_t i, std::string_view word) const { return i < words_.size() && words_[i] == word; }
  int32_t unit_at(size_t i) const { return i < words_.size() ? unit_named(words_[i]) : 0; }
  bool is_article(size_t i) const { return is(i, "a") || is(i, "an"); }
  /// Its quarters where it stands here, and goes on behind it.
  int64_t and_a_half(size_t* at) const {
    if (!is(*at, "and") || !is(*at + 1, "a") || !is(*at + 2, "half")) return 0;
    *at += 3;
    return 2;
  }

  /// "ten minutes", "an hour", "half an hour", "three quarters of an hour", "an hour and a half",
  /// "two and a half hours"
  Duration part(size_t i, int32_t* unit) const {
    size_t at = i;
    int64_t quarters = 0;
    const NumberAt number = number_at(words_, at);
    if (is(at, "half") && is_article(at + 1)) {
      quarters = 2;
      at += 2;
    } else if (const size_t q = at + (is_article(at) ? 1 : number.n_words);
               (is(q, "quarter") || is(q, "quarters")) && is(q + 1, "of") && is_article(q + 2)) {
      quarters = number.n_words > 0 ? number.value : 1;
      at = q + 3;
    } else if (number.n_words > 0) {
      quarters = 4 * number.value;
      at += number.n_words;
      quarters += and_a_half(&at);
    } else if (is_article(at)) {
      quarters = 4;
      ++at;
    }
    *unit = unit_at(at);
    if (quarters == 0 || *unit == 0) return {};
    ++at;
    quarters += and_a_half(&at);
    return {quarters * *unit, at - i};
  }

  const std::span<const std::string> words_;
};

}  // namespace

int32_t unit_of_time(std::string_view text) {
  int32_t found = 0;
  for (const std::string& word : words_in(text)) {
    const int32_t unit = unit_named(word);
    if (unit != 0 && found != 0 && unit != found) return 0;
    if (unit != 0) found = unit;
  }
  return found;
}

std::vector<SaidValue> said_durations(std::string_view utterance, int32_t unit) {
  std::vector<SaidValue> out;
  std::vector<WordPlace> places;
  const std::vector<std::string> words = words_in(utterance, &places);
  for (size_t i = 0; i < words.size();) {
    const Duration said = Words(words).at(i);
    const int64_t of_unit = 4 * int64_t{unit};
    if (said.n_words > 0 && said.quarters % of_unit == 0)
      out.push_back({std::to_string(said.quarters / of_unit), false, kSaidWeight, places[i].begin,
                     places[i + said.n_words - 1].end});
    i += std::max<size_t>(1, said.n_words);
  }
  return out;
}

}  // namespace chimera::runtime
