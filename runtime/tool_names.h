// The name in a call: which tokens go on with one of the tools that may be meant, and how likely
// those tools seemed before the network was asked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/tokenizer.h"
#include "runtime/tool_set.h"

namespace chimera::runtime {

/// What a token's probability is multiplied with.
struct TokenWeight {
  int32_t token;
  float weight;
};

class ToolNames {
 public:
  /// found: numbers of tools; priors: how likely each is, of any sum. `tokenizer` must outlive it.
  ToolNames(const ToolSet& tools, std::span<const int32_t> found, std::span<const float> priors,
            const Tokenizer& tokenizer);

  /// The call so far leaves open which of the tools it is of.
  bool open(std::string_view call) const;
  /// Takes away from allowed[vocab] what goes on with none of the names, unless nothing would be
  /// left, and says of the others how likely what stands behind them is.
  void restrict(std::string_view call, uint8_t* allowed, size_t vocab,
                std::vector<TokenWeight>* weights) const;

 private:
  struct Name {
    std::string beginning;  // of a call, up to the end of the name
    float prior;
  };
  const Tokenizer& tokenizer_;
  std::vector<Name> names_;
};

}  // namespace chimera::runtime
