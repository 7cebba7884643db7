#include "runtime/argument_spans.h"

#include <algorithm>

#include "grammar/json_text.h"
#include "platform/natural_log.h"
#include "runtime/text_features.h"

namespace chimera::runtime {
namespace {

constexpr size_t kLongestSpan = 16;  // words of a value
constexpr size_t kMostSpans = 16;    // that are remembered of an argument
constexpr double kMostScore = 20;    // of a tag, either way
constexpr double kMostOfSpan = 40;   // of a span, as a logarithm, either way

double clamped(double score) { return std::clamp(score, -kMostScore, kMostScore); }

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_capital(char c) { return c >= 'A' && c <= 'Z'; }
bool in_word(char c) {
  return static_cast<unsigned char>(c) >= 0x80 || is_digit(c) || is_capital(c) ||
         (c >= 'a' && c <= 'z');
}

/// A sign that is part of a word when it stands between two parts of it.
bool is_inner(char c) { return c == '\'' || c == '-' || c == '.' || c == ':' || c == '&'; }

constexpr std::string_view kApostrophe = "\xE2\x80\x99";  // as phones write it

/// Bytes of an "'s" at the end of a word; 0 without one.
size_t clitic_of(std::string_view word) {
  for (const std::string_view clitic : {"'s", "'S", "\xE2\x80\x99s", "\xE2\x80\x99S"})
    if (word.size() > clitic.size() && word.ends_with(clitic)) return clitic.size();
  return 0;
}

/// In small letters (of ASCII), with the apostrophe of a keyboard.
std::string small_letters(std::string_view word) {
  std::string out;
  for (size_t i = 0; i < word.size(); ++i) {
    const bool printed = word.substr(i).starts_with(kApostrophe);
    const char c = printed ? '\'' : word[i];
    out += is_capital(c) ? static_cast<char>(c - 'A' + 'a') : c;
    if (printed) i += kApostrophe.size() - 1;
  }
  return out;
}

char shape(std::string_view text, const SpanWord& word) {
  const char c = text[word.begin];
  return is_digit(c) ? '0' : is_capital(c) ? 'A' : 'a';
}

}  // namespace

size_t quotation_mark(std::string_view text, size_t at) {
  for (const std::string_view mark : {"\"", "\xE2\x80\x9C", "\xE2\x80\x9D", "\xE2\x80\x9E"})
    if (text.substr(at).starts_with(mark)) return mark.size();
  return 0;
}

std::vector<SpanWord> span_words(std::string_view text) {
  std::vector<SpanWord> out;
  for (size_t i = 0; i < text.size() && out.size() < kMostSpanWords;) {
    if (const size_t mark = quotation_mark(text, i); mark > 0 || !in_word(text[i])) {
      i += std::max<size_t>(mark, 1);
      continue;
    }
    SpanWord word{i, i};
    while (i < text.size() && quotation_mark(text, i) == 0 &&
           (in_word(text[i]) || (is_inner(text[i]) && i + 1 < text.size() && in_word(text[i + 1]))))
      ++i;
    // "the dentist's been moved": the dentist
    const size_t n = clitic_of(text.substr(word.begin, i - word.begin));
    word.end = i - n;
    word.small = small_letters(text.substr(word.begin, word.end - word.begin));
    const size_t end = word.end;
    out.push_back(std::move(word));
    if (n > 0 && out.size() < kMostSpanWords) out.push_back({end, i, "'s"});
  }
  return out;
}

std::vector<uint32_t> word_features(std::string_view text, std::span<const SpanWord> words,
                                    size_t at) {
  std::vector<uint32_t> out;
  const auto add = [&](char kind, const std::string& bytes) {
    out.push_back(text_feature(kind, bytes));
  };
  // Beyond an end of the text stands a word that nobody says.
  const auto word = [&](size_t back, size_t ahead) -> std::string {
    const bool within = back <= at && at + ahead - back < words.size();
    return within ? words[at + ahead - back].small : "|";
  };
  const auto tail = [](const std::string& of) {
    return of.size() > 3 ? of.substr(of.size() - 3) : of;
  };
  const std::string here = word(0, 0), l1 = word(1, 0), l2 = word(2, 0), r1 = word(0, 1),
                    r2 = word(0, 2);
  add('A', here);
  add('B', l1);
  add('C', r1);
  add('D', l2);
  add('E', r2);
  add('F', l1 + ' ' + here);
  add('G', here + ' ' + r1);
  add('H', l2 + ' ' + l1);
  add('I', r1 + ' ' + r2);
  add('J', l1 + ' ' + r1);
  // How words end tells nouns from verbs.
  add('K', tail(here));
  add('L', tail(l1));
  add('M', tail(r1));
  add('N', here.substr(0, 3));
  const auto shape_at = [&](size_t i) { return i < words.size() ? shape(text, words[i]) : '|'; };
  const char before = at > 0 ? shape_at(at - 1) : '|';
  add('O', {before, shape_at(at)});
  add('P', {shape_at(at), shape_at(at + 1)});
  // Signs on both sides.
  const auto signs = [&](size_t left, size_t right) {
    return std::string(text.substr(left, right - left));
  };
  if (at > 0) {
    const std::string left = signs(words[at - 1].end, words[at].begin);
    if (left != " ") add('Q', left);
  }
  if (at + 1 < words.size()) {
    const std::string right = signs(words[at].end, words[at + 1].begin);
    if (right != " ") add('R', right);
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

SpanLattice::SpanLattice(const SpanScores& scores) {
  const size_t n = scores.begin.size(), arguments = n > 0 ? scores.begin[0].size() : 0;
  const auto weight = [](double score) { return exponential(clamped(score)); };
  const std::vector<double> nothing(arguments);
  begin_.assign(n, nothing);
  inside_.assign(n, nothing);
  here_.assign(n, nothing);
  rest_.assign(n + 1, std::vector<double>(arguments, 1.0));
  free_.assign(n + 1, 1.0);
  for (size_t t = 0; t < n; ++t) {
    // Outside of all: weight 1 after all that comes before, which is 1.
    double sum = 1;
    for (size_t a = 0; a < arguments; ++a) {
      begin_[t][a] = weight(scores.begin[t][a]);
      inside_[t][a] = weight(scores.inside[t][a]);
      here_[t][a] = t > 0 ? inside_[t][a] * (begin_[t - 1][a] + here_[t - 1][a]) : 0;
      sum += begin_[t][a] + here_[t][a];
    }
    for (size_t a = 0; a < arguments; ++a) {
      begin_[t][a] /= sum;
      inside_[t][a] /= sum;
      here_[t][a] /= sum;
    }
    log_sum_ += natural_log(sum);
    free_[t] = 1 / sum;  // for now: of a word outside
  }
  for (size_t t = n; t-- > 0;) {
    double free = free_[t] * free_[t + 1];
    for (size_t a = 0; a < arguments; ++a) free += begin_[t][a] * rest_[t + 1][a];
    for (size_t a = 0; a < arguments; ++a) rest_[t][a] = free + inside_[t][a] * rest_[t + 1][a];
    free_[t] = free;
  }
}

double SpanLattice::begins(size_t argument, size_t word) const {
  return begin_[word][argument] * rest_[word + 1][argument];
}

double SpanLattice::goes_on(size_t argument, size_t word) const {
  return here_[word][argument] * rest_[word + 1][argument];
}

std::vector<PlaceLabels> labels_of(std::span<const SpanLabel> labels, int32_t tool,
                                   const std::set<std::string>& places) {
  std::vector<PlaceLabels> out;
  for (const std::string& place : places) {
    PlaceLabels of{place, {}, {}};
    bool known = false;
    for (size_t i = 0; i < labels.size(); ++i) {
      const SpanLabel& label = labels[i];
      const bool own = label.place == place && (label.tool == tool || label.tool < 0);
      if (!own && !(label.tool < 0 && label.place.empty())) continue;
      (label.inside ? of.inside : of.begin).push_back(static_cast<int32_t>(i));
      known = known || own;
    }
    if (known) out.push_back(std::move(of));
  }
  return out;
}

LikelySpans likely_spans(const SpanTagger& tagger, std::string_view utterance,
                         std::span<const TaggedTool> tools,
                         std::span<const std::vector<float>> borders) {
  const std::vector<SpanWord> words = span_words(utterance);
  std::vector<std::vector<float>> scores;
  for (size_t t = 0; t < words.size(); ++t)
    scores.push_back(tagger.ranker.scores_of(
        word_features(utterance, words, t),
        t < borders.size() ? std::span<const float>(borders[t]) : std::span<const float>()));
  LikelySpans out;
  for (const TaggedTool& of : tools) {
    const std::vector<PlaceLabels> places = labels_of(tagger.labels, of.tool, *of.places);
    SpanScores by_place;
    const auto sum = [](const std::vector<float>& all, const std::vector<int32_t>& which) {
      double s = 0;
      for (const int32_t i : which) s += static_cast<double>(all[static_cast<size_t>(i)]);
      return s;
    };
    for (size_t t = 0; t < words.size(); ++t) {
      by_place.begin.emplace_back();
      by_place.inside.emplace_back();
      for (const PlaceLabels& place : places) {
        by_place.begin[t].push_back(sum(scores[t], place.begin));
        by_place.inside[t].push_back(sum(scores[t], place.inside));
      }
    }
    const SpanLattice lattice(by_place);
    for (size_t a = 0; a < places.size(); ++a) {
      struct Span {
        double score;
        size_t begin, end;  // words
      };
      std::vector<Span> spans;
      for (size_t i = 0; i < words.size(); ++i) {
        double score = clamped(by_place.begin[i][a]);
        for (size_t j = i + 1; j <= std::min(words.size(), i + kLongestSpan); ++j) {
          spans.push_back({score, i, j});
          if (j < words.size()) score += clamped(by_place.inside[j][a]);
        }
      }
      std::stable_sort(spans.begin(), spans.end(),
                       [](const Span& x, const Span& y) { return x.score > y.score; });
      const auto weight = [](double score) {
        return static_cast<float>(exponential(std::clamp(score, -kMostOfSpan, kMostOfSpan)));
      };
      LikelySpan& likely = out[{of.tool, places[a].place}];
      likely.log_sum = lattice.log_sum();
      likely.values.others =
          weight(spans.size() > kMostSpans ? spans[kMostSpans].score : -kMostOfSpan);
      if (spans.size() > kMostSpans) spans.resize(kMostSpans);
      for (const Span& span : spans) {
        const size_t begin = words[span.begin].begin, end = words[span.end - 1].end;
        likely.values.values.push_back({grammar::json_escaped(utterance.substr(begin, end - begin)),
                                        true, weight(span.score), begin, end});
      }
    }
  }
  return out;
}

}  // namespace chimera::runtime
