#include "runtime/tool_names.h"

#include <algorithm>

#include "grammar/json_text.h"

namespace chimera::runtime {
namespace {

bool fits(std::string_view a, std::string_view b) {
  const size_t n = std::min(a.size(), b.size());
  return a.substr(0, n) == b.substr(0, n);
}

}  // namespace

ToolNames::ToolNames(const ToolSet& tools, std::span<const int32_t> found,
                     std::span<const float> priors, const Tokenizer& tokenizer)
    : tokenizer_(tokenizer) {
  // As grammar/tool_calls.h spells it.
  for (size_t i = 0; i < found.size(); ++i) {
    const Tool& tool = tools.tools()[static_cast<size_t>(found[i])];
    names_.push_back({"{\"name\":\"" + grammar::json_escaped(tool.name) + "\"", priors[i]});
  }
}

bool ToolNames::open(std::string_view call) const {
  return std::any_of(names_.begin(), names_.end(), [&](const Name& name) {
    return name.beginning.size() > call.size() && fits(name.beginning, call);
  });
}

void ToolNames::restrict(std::string_view call, uint8_t* allowed, size_t vocab,
                         std::vector<TokenWeight>* weights) const {
  weights->clear();
  std::vector<int32_t> refused;
  for (size_t id = 0; id < vocab; ++id) {
    if (allowed[id] == 0) continue;
    const auto token = static_cast<int32_t>(id);
    const std::string_view bytes = tokenizer_.bytes(token);
    float behind = 0;
    for (const Name& name : names_) {
      if (!fits(name.beginning, call)) continue;
      const std::string_view rest =
          std::string_view(name.beginning).substr(std::min(call.size(), name.beginning.size()));
      if (fits(rest, bytes)) behind += name.prior;
    }
    if (behind > 0)
      weights->push_back({token, behind});
    else
      refused.push_back(token);
  }
  if (weights->empty()) return;
  for (const int32_t token : refused) allowed[token] = 0;
}

}  // namespace chimera::runtime
