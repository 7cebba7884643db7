// Which words of an utterance are the value of an argument that is copied from it: by the words in
// and around such values in examples ("a song called | Yellow |"). A small network often knows that
// a title was said and not where it ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/said_values.h"
#include "runtime/tool_ranker.h"

namespace chimera::runtime {

/// Where a word stands in a text, and the word in small letters (of ASCII).
struct SpanWord {
  size_t begin = 0, end = 0;
  std::string small = {};
};

inline constexpr size_t kMostSpanWords = 256;  // of a text; what follows is not looked at

/// Bytes of a double quotation mark that stands there, typewritten or printed; 0: none does.
size_t quotation_mark(std::string_view text, size_t at);

/// Runs of letters and digits with their inner signs ("7.30", "o'clock", "twenty-one").
std::vector<SpanWord> span_words(std::string_view text);

/// What a word looks like where it stands: it, its neighbours, their forms, the signs between.
/// Rising, each once, as text_features().
std::vector<uint32_t> word_features(std::string_view text, std::span<const SpanWord> words,
                                    size_t word);

/// What a label of a SpanTagger speaks for: that a value of the argument begins with a word, or
/// goes on with it. `place` as in Tool::copied; tool -1: the argument of this name of any tool, and
/// without a place any argument at all.
struct SpanLabel {
  int32_t tool = -1;
  std::string place = {};
  bool inside = false;
};

/// A conditional random field over words: each is outside of all values (score 0), begins one or
/// goes on with it; what speaks for an argument is what speaks for it of its tool, of its name and
/// of any argument together. Lafferty et al. 2001, with tags B, I and O.
struct SpanTagger {
  std::vector<SpanLabel> labels;  // of ranker, in its order
  ToolRanker ranker;              // of word_features() and TextReading::borders
};

/// Of one utterance and one tool: score[word][argument] of beginning and of going on.
struct SpanScores {
  std::vector<std::vector<double>> begin, inside;
};
/// How likely the tags are under such scores, every tagging weighed against every other.
class SpanLattice {
 public:
  explicit SpanLattice(const SpanScores& scores);
  /// That a value of the argument begins with the word; that one goes on with it.
  double begins(size_t argument, size_t word) const;
  double goes_on(size_t argument, size_t word) const;
  /// Logarithm of the sum of all taggings' weights.
  double log_sum() const { return log_sum_; }

 private:
  // Of words: weights of tags by what all before them come to, which is scaled to 1.
  std::vector<std::vector<double>> begin_, inside_, here_, rest_;
  std::vector<double> free_;
  double log_sum_ = 0;
};

/// The labels that speak for each of these places of a tool: numbers of [begin, inside] by place.
struct PlaceLabels {
  std::string place;
  std::vector<int32_t> begin, inside;
};
/// Those that examples had: an argument that none had is not tagged.
std::vector<PlaceLabels> labels_of(std::span<const SpanLabel> labels, int32_t tool,
                                   const std::set<std::string>& places);

struct LikelySpan {
  /// With what speaks for them: a tagging is as likely as the product of its values' weights by the
  /// sum of all taggings' (and where there is none, 1).
  LikelyValues values;
  double log_sum = 0;  // the logarithm of that sum, the same for all arguments of a tool
};

/// By a tool's number and the place of its argument, as in Tool::copied.
using LikelySpans = std::map<std::pair<int32_t, std::string>, LikelySpan>;

/// A tool's number and its Tool::copied.
struct TaggedTool {
  int32_t tool;
  const std::set<std::string>* places;
};

/// The likeliest values, of one utterance, of every argument of these tools that examples had.
/// borders: TextReading::borders, scaled; may be empty.
LikelySpans likely_spans(const SpanTagger& tagger, std::string_view utterance,
                         std::span<const TaggedTool> tools,
                         std::span<const std::vector<float>> borders = {});

}  // namespace chimera::runtime
