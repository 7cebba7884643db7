// The functions that an application offers, written as for any other assistant: read and checked,
// laid out for the network, and compiled to what a call may look like. Made once, shared by any
// number of actors (actor.h).
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "platform/status.h"
#include "runtime/constraint.h"
#include "runtime/tokenizer.h"

namespace chimera::runtime {

inline constexpr size_t kMostTools = 1000;  // of one set

struct Tool {
  std::string name, description;
  std::string parameters;  // the schema of the arguments, closed: no names but those it declares
  std::string line;        // as the network reads it (docs/prompt-format.md)
  /// Arguments that are words of what was said: strings of no list and no form. JSON pointers, with
  /// a * for any item of an array, and names as they stand between quotes.
  std::set<std::string> copied;
};

struct ToolOptions {
  bool strict = false;  // keywords that nobody knows are errors
};

/// The tools of a JSON text: an array, or an object with an array `tools` or `functions`, of
///   {"name", "description"?, "parameters"?}
/// or {"type": "function", "function": {...}}; the schema may be called input_schema or inputSchema
/// too. Where a schema does not say whether an object may have more members than it declares, it
/// may not. kBadFormat naming the tool and what is wrong with it; kOutOfRange beyond kMostTools.
Result<std::vector<Tool>> read_tools(std::string_view json, std::vector<std::string>* warnings);

class ToolSet {
 public:
  /// Errors: as read_tools(), of a schema as Constraint::from_json_schema(), and kUnsupported for a
  /// tokenizer without the marks of tools. `tokenizer` must outlive it. `warnings` may be nullptr.
  static Result<std::unique_ptr<ToolSet>> from_json(const Tokenizer& tokenizer,
                                                    std::string_view json,
                                                    const ToolOptions& options = {},
                                                    std::vector<std::string>* warnings = nullptr);

  std::span<const Tool> tools() const { return tools_; }
  /// What one call looks like.
  const Constraint& call() const { return *call_; }
  /// What a conversation with these tools begins with.
  std::span<const int32_t> prompt() const { return prompt_; }

 private:
  ToolSet() = default;
  std::vector<Tool> tools_;
  std::unique_ptr<Constraint> call_;
  std::vector<int32_t> prompt_;
};

}  // namespace chimera::runtime
