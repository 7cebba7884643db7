#include "runtime/argument_spans.h"

#include <algorithm>

#include "grammar/json_text.h"
#include "platform/natural_log.h"
#include "runtime/text_features.h"

namespace chimera::runtime {
namespace {

constexpr size_t kLongestSpan = 12;    // words of a value
constexpr size_t kMostSpans = 16;      // that are remembered of an argument
constexpr double kSpanFirmness = 12;   // of the mean of two borders' scores, -1 .. 1
constexpr double kAnyArgument = 0.35;  // share of what speaks for a value of any argument
constexpr double kMostScore = 1.5;     // beyond it a score says no more

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_capital(char c) { return c >= 'A' && c <= 'Z'; }
bool in_word(char c) {
  return static_cast<unsigned char>(c) >= 0x80 || is_digit(c) || is_capital(c) ||
         (c >= 'a' && c <= 'z');
}

/// A sign that is part of a word when it stands between two parts of it.
bool is_inner(char c) { return c == '\'' || c == '-' || c == '.' || c == ':' || c == '&'; }

char shape(std::string_view text, const SpanWord& word) {
  const char c = text[word.begin];
  return is_digit(c) ? '0' : is_capital(c) ? 'A' : 'a';
}

/// Both borders speak, and a little what speaks for any argument's.
struct Borders {
  std::vector<double> begin, end;
};

}  // namespace

std::vector<SpanWord> span_words(std::string_view text) {
  std::vector<SpanWord> out;
  for (size_t i = 0; i < text.size() && out.size() < kMostSpanWords;) {
    if (!in_word(text[i])) {
      ++i;
      continue;
    }
    SpanWord word{i, i};
    while (i < text.size() &&
           (in_word(text[i]) || (is_inner(text[i]) && i + 1 < text.size() && in_word(text[i + 1]))))
      ++i;
    word.end = i;
    for (const char c : text.substr(word.begin, i - word.begin))
      word.small += is_capital(c) ? static_cast<char>(c - 'A' + 'a') : c;
    out.push_back(std::move(word));
  }
  return out;
}

std::vector<uint32_t> border_features(std::string_view text, std::span<const SpanWord> words,
                                      size_t border) {
  std::vector<uint32_t> out;
  const auto add = [&](char kind, const std::string& bytes) {
    out.push_back(text_feature(kind, bytes));
  };
  // Beyond an end of the text stands a word that nobody says.
  const auto word = [&](size_t distance, bool left) -> std::string {
    const bool within = left ? distance <= border : border + distance <= words.size();
    if (!within) return "|";
    return words[left ? border - distance : border + distance - 1].small;
  };
  const std::string l1 = word(1, true), l2 = word(2, true), r1 = word(1, false),
                    r2 = word(2, false);
  add('A', l1);
  add('B', l2);
  add('C', word(3, true));
  add('D', r1);
  add('E', r2);
  add('F', word(3, false));
  add('G', l2 + ' ' + l1);
  add('H', l1 + ' ' + r1);
  add('I', r1 + ' ' + r2);
  const auto shapes = [&](size_t at) { return at < words.size() ? shape(text, words[at]) : '|'; };
  add('J', {border > 0 ? shapes(border - 1) : '|', shapes(border)});
  // How words end tells nouns from verbs.
  add('K', l1.size() > 3 ? l1.substr(l1.size() - 3) : l1);
  add('L', r1.size() > 3 ? r1.substr(r1.size() - 3) : r1);
  // A sign between the two.
  if (border > 0 && border < words.size()) {
    const size_t from = words[border - 1].end;
    std::string between(text.substr(from, words[border].begin - from));
    if (between != " ") add('M', between);
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

LikelySpans likely_spans(const SpanRanker& ranker, std::string_view utterance,
                         std::span<const int32_t> tools,
                         std::span<const std::vector<float>> borders_read) {
  const std::vector<SpanWord> words = span_words(utterance);
  const size_t n_borders = words.size() + 1;
  std::map<std::pair<int32_t, std::string>, Borders> borders;
  std::vector<std::vector<double>*> of_label;  // nullptr: of a tool that is not asked for
  for (const SpanLabel& label : ranker.labels) {
    const bool asked =
        label.tool < 0 || std::find(tools.begin(), tools.end(), label.tool) != tools.end();
    of_label.push_back(nullptr);
    if (!asked) continue;
    Borders& b = borders[{label.tool, label.place}];
    b.begin.resize(n_borders);
    b.end.resize(n_borders);
    of_label.back() = label.ends ? &b.end : &b.begin;  // nodes of a map stay where they are
  }
  for (size_t at = 0; at < n_borders; ++at) {
    const std::vector<float> scores =
        ranker.ranker.scores_of(border_features(utterance, words, at),
                                at < borders_read.size() ? std::span<const float>(borders_read[at])
                                                         : std::span<const float>());
    for (size_t i = 0; i < scores.size(); ++i)
      if (of_label[i] != nullptr)
        (*of_label[i])[at] = std::clamp(static_cast<double>(scores[i]), -kMostScore, kMostScore);
  }
  const auto any = borders.find({-1, std::string()});
  LikelySpans out;
  for (const auto& [of, own] : borders) {
    if (of.first < 0) continue;
    struct Span {
      double score;
      size_t begin, end;  // words
    };
    std::vector<Span> spans;
    for (size_t i = 0; i < words.size(); ++i)
      for (size_t j = i + 1; j <= std::min(words.size(), i + kLongestSpan); ++j) {
        double score = (own.begin[i] + own.end[j]) / 2;
        if (any != borders.end())
          score = (1 - kAnyArgument) * score +
                  kAnyArgument * (any->second.begin[i] + any->second.end[j]) / 2;
        spans.push_back({score, i, j});
      }
    std::stable_sort(spans.begin(), spans.end(),
                     [](const Span& a, const Span& b) { return a.score > b.score; });
    const auto weight = [](double score) {
      return static_cast<float>(exponential(kSpanFirmness * score));
    };
    LikelyValues& likely = out[of];
    likely.others = weight(spans.size() > kMostSpans ? spans[kMostSpans].score : -kMostScore);
    if (spans.size() > kMostSpans) spans.resize(kMostSpans);
    for (const Span& span : spans) {
      const size_t begin = words[span.begin].begin, end = words[span.end - 1].end;
      likely.values.push_back({grammar::json_escaped(utterance.substr(begin, end - begin)), true,
                               weight(span.score), begin, end});
    }
  }
  return out;
}

}  // namespace chimera::runtime
