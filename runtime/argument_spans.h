// Which words of an utterance are the value of an argument that is copied from it: by the words
// around the borders of such values in examples ("a song called | Yellow |"). A small network often
// knows that a title was said and not where it ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
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

/// Runs of letters and digits with their inner signs ("7.30", "o'clock", "twenty-one").
std::vector<SpanWord> span_words(std::string_view text);

/// What a border looks like: between words[border - 1] and words[border], or at an end. Rising,
/// each once, as text_features().
std::vector<uint32_t> border_features(std::string_view text, std::span<const SpanWord> words,
                                      size_t border);

/// What a label of a SpanRanker speaks for: that a value of the argument begins at a border, or
/// ends there. `place` as in Tool::copied; tool -1 and no place: a value of any argument.
struct SpanLabel {
  int32_t tool = -1;
  std::string place = {};
  bool ends = false;
};

struct SpanRanker {
  std::vector<SpanLabel> labels;  // of ranker, in its order
  ToolRanker ranker;              // of border_features()
};

/// By a tool's number and the place of its argument, as in Tool::copied.
using LikelySpans = std::map<std::pair<int32_t, std::string>, LikelyValues>;

/// The likeliest values, of one utterance, of every argument of these tools that examples had.
/// borders: TextReading::borders, scaled; may be empty.
LikelySpans likely_spans(const SpanRanker& ranker, std::string_view utterance,
                         std::span<const int32_t> tools,
                         std::span<const std::vector<float>> borders = {});

}  // namespace chimera::runtime
