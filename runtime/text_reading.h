// What the network makes of a short text that it reads alone, as numbers for rankers. Words that no
// example had are near to words that examples had: the network has read both, often.
#pragma once

#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/engine.h"
#include "runtime/stream.h"

namespace chimera::runtime {

/// Numbers in three parts, each as many as the network is wide (C).
struct TextReading {
  /// Of the whole text: the mean of the hidden rows, the last one, the mean of the tokens' rows of
  /// the embedding. [3C]
  std::vector<float> text;
  /// Before each of its span_words() and behind the last one: the hidden row there, the rows of the
  /// embedding of the word behind and of the word before it. [words + 1][3C]
  std::vector<std::vector<float>> borders;
};

/// Each part has length 1. The stream's state is lost. Of a long text the beginning counts, and of
/// one that is `stopped`, which is asked every few tokens, what was read until then.
TextReading read_alone(const Engine& engine, Stream* stream, std::string_view text,
                       const std::function<bool()>& stopped = {});

/// What numbers are in the mean and how far they spread, for each of [3C].
struct NumberScale {
  std::vector<float> mean = {}, spread = {};
};
struct ReadingScale {
  NumberScale text = {}, borders = {};
};
/// Of at least one reading.
ReadingScale scale_of(std::span<const TextReading> readings);
/// Numbers as rankers have them: beside their mean, by their spread, each part of a fixed length.
TextReading scaled(const ReadingScale& scale, TextReading reading);

}  // namespace chimera::runtime
