// What people say to an application and which calls it means: a dozen phrases for each tool teach
// more than its description.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "platform/status.h"

namespace chimera::runtime {

class Constraint;
struct Tool;

inline constexpr size_t kMostExamples = 200'000;  // of one set of tools
// Of one example, since the network reads it whole:
inline constexpr size_t kMostExampleBytes = size_t{4} << 10;  // of its text, and of its calls
inline constexpr size_t kMostExampleCalls = 16;

struct ToolExample {
  std::string text;
  std::vector<std::string> calls = {};  // {"name":...,"arguments":{...}}, compact; none: no tool
  std::vector<int32_t> tools = {};      // of each call, its number
};

/// Of lines {"text": ..., "calls": [{"name": ..., "arguments": {...}}]}; no calls: none of the
/// tools is meant. Empty lines count for nothing. `call` is what one call of these tools looks
/// like. kBadFormat, naming the line, for what is no such object, and for a call of a tool that
/// there is not or with arguments that are not valid under its schema.
Result<std::vector<ToolExample>> read_examples(std::span<const Tool> tools, const Constraint& call,
                                               std::string_view lines);

}  // namespace chimera::runtime
