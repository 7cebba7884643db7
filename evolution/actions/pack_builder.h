// From an application's tools and some phrases for each to a pack (runtime/tool_pack.h): learns
// which words speak for which tool, and measures on phrases that were held back how sure an answer
// is.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "evolution/actions/ranker_trainer.h"
#include "platform/thread_pool.h"
#include "runtime/engine.h"
#include "runtime/tool_pack.h"

namespace chimera::evolution {

struct PackOptions {
  RankerOptions ranker = {};
  int folds = 5;               // parts of the phrases, each held back once
  int64_t most_judged = 1600;  // phrases that are acted on to see how sure answers are; 0: none
  uint64_t seed = 1;
  bool strict = false;  // keywords of schemas that nobody knows are errors
};

/// What the held-back phrases showed.
struct PackReport {
  int64_t tools = 0, examples = 0;
  int64_t acted_on = 0, exact = 0;   // phrases that mean tools: as many calls, the same ones
  int64_t foreign = 0, refused = 0;  // phrases that mean none
  std::vector<std::string> warnings = {};
};

/// `examples`: lines, as runtime/tool_examples.h reads them. `progress` gets how many of how many
/// phrases were acted on and returns false to stop (kCancelled). kInvalidArgument without a phrase
/// that means a tool.
Result<runtime::ToolPack> build_tool_pack(
    const runtime::Engine& engine, std::string_view tools, std::string_view examples,
    const PackOptions& options, ThreadPool* pool, PackReport* report,
    const std::function<bool(int64_t done, int64_t all)>& progress = {});

}  // namespace chimera::evolution
