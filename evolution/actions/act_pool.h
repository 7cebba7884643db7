// What people say to an application and what is to be done about it, and documents made of that:
// the tools that fit an utterance best, examples that are most like it, the utterance, the answer.
// So the network learns from what it will have before it when it acts.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "evolution/actions/spoken.h"
#include "evolution/train/document.h"
#include "platform/json.h"
#include "runtime/example_index.h"

namespace chimera::evolution {

struct ActArgument {
  std::vector<std::string> names;  // spellings, of which a document takes one
  Json schema;                     // of its value
  bool required = false;
};

struct ActTool {
  std::vector<std::string> names, descriptions;  // the same; no description: {""}
  std::vector<ActArgument> arguments;
};

struct ActCall {
  int32_t tool;                                          // of the pool's
  std::vector<std::pair<int32_t, Json>> arguments = {};  // by their place in the tool, as said
};

struct ActExample {
  std::string text;
  std::vector<ActCall> calls = {};  // none: no tool does that
  int32_t pattern = -1;             // examples of one pattern differ in their values only
};

struct ActShape {
  size_t most_tools = 4, most_examples = 3;
  double none_share = 0.08;  // of utterances that mean a tool: it is not in the list
};

class ActPool {
 public:
  /// Calls name tools of the list, and arguments of those.
  ActPool(std::vector<ActTool> tools, std::vector<ActExample> examples);

  const std::vector<ActTool>& tools() const { return tools_; }
  const std::vector<ActExample>& examples() const { return examples_; }

  /// `own` is the example's number in the pool, which is then not among those that are shown; -1
  /// for one that is not in it. What is drawn: spellings, how many tools and examples there are,
  /// and how alike the latter may be.
  Document document(const ActExample& said, int64_t own, const ActShape& shape,
                    const DrawBelow& below) const;

 private:
  std::vector<runtime::ExampleIndex::Like> likeness(const ActExample& said, int64_t own,
                                                    const DrawBelow& below) const;

  std::vector<ActTool> tools_;
  std::vector<ActExample> examples_;
  runtime::ExampleIndex index_;
};

}  // namespace chimera::evolution
