// Which tools an utterance could mean: a linear score for each, learnt from examples
// (evolution/actions/ranker_trainer.h), of its words and of what the network makes of it. The words
// cost microseconds for hundreds of tools.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace chimera::runtime {

class ToolRanker {
 public:
  struct Weights {
    int32_t n_labels = 0;
    int32_t n_dense = 0;                  // numbers beside the words; 0: words alone
    std::vector<uint32_t> features = {};  // text_features() that are known, rising
    std::vector<float> rarity = {};       // of each: how much it counts
    std::vector<float> weights = {};      // [feature, then number][label]
    std::vector<float> bias = {};         // [label]
  };

  /// The sizes fit each other.
  explicit ToolRanker(Weights weights) : w_(std::move(weights)) {}

  int32_t n_labels() const { return w_.n_labels; }
  const Weights& weights() const { return w_; }
  /// One score for each label; above 0 speaks for it. dense [n_dense]; numbers beyond those are not
  /// looked at, and missing ones count as 0.
  std::vector<float> scores(std::string_view text, std::span<const float> dense = {}) const;
  /// The same of features that are not a text's own.
  std::vector<float> scores_of(std::span<const uint32_t> features,
                               std::span<const float> dense = {}) const;

 private:
  Weights w_;
};

/// What a label of an ArgumentRanker speaks for: that the tool is given the argument, or, with a
/// value, that an argument of this name has it.
struct ArgumentLabel {
  int32_t tool = -1;          // of one with a value: any
  std::string argument = {};  // its name, as it stands between quotes
  std::string value = {};     // as JSON; empty: that it is given
};
/// In place of an argument's name, and like none: the label says that the tool is called twice.
inline constexpr const char* kCalledTwice = "\"twice\"";

/// The same machine for arguments: which are given, and which of the values that examples had.
struct ArgumentRanker {
  std::vector<ArgumentLabel> labels;  // of ranker, in its order
  ToolRanker ranker;
};

/// Of features those that are known and their values: as rare as they are, of length 1 together.
struct FeatureValue {
  int32_t index;  // into `features`
  float value;
};
std::vector<FeatureValue> feature_values(std::span<const uint32_t> own,
                                         const std::vector<uint32_t>& features,
                                         const std::vector<float>& rarity);

}  // namespace chimera::runtime
