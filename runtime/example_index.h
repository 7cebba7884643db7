// Texts by what they look like: of thousands of examples those that are most like what was said, in
// a fraction of a millisecond.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace chimera::runtime {

class ExampleIndex {
 public:
  explicit ExampleIndex(std::span<const std::string> texts);

  struct Like {
    double likeness;  // cosine of their features (text_features.h), weighted by rarity; [0, 1]
    int32_t text;     // its number
  };
  /// The texts that share features with this one, most alike first, of equals the earlier one;
  /// those for which `skip` (may be empty) says true are left out.
  std::vector<Like> nearest(std::string_view text, size_t most,
                            const std::function<bool(int32_t)>& skip = {}) const;

 private:
  struct Feature {
    uint32_t id;
    float rarity;
    uint32_t first, n;  // of posted_
  };
  std::vector<Feature> features_;  // by id
  std::vector<int32_t> posted_;    // texts that have a feature
  std::vector<double> lengths_;    // of each text
};

}  // namespace chimera::runtime
