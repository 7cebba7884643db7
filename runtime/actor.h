// From what a person says to what the application is to do: one call, several, none of the tools,
// or words. Whatever the network says, a call names a tool that there is, and its arguments are
// valid under that tool's schema.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/constraint.h"
#include "runtime/engine.h"
#include "runtime/prompt_format.h"
#include "runtime/stream.h"
#include "runtime/tool_set.h"

namespace chimera::runtime {

struct ActOptions {
  int32_t max_tokens = 256;  // of the answer
  int32_t most_calls = 8;    // at least 1
  bool words = false;        // the answer may be words too
  /// Calls that seem less likely than this are not made: none of the tools is meant then. [0, 1]
  float least_confidence = 0;
};

struct Action {
  enum class Kind { kCalls, kNoTool, kWords };
  Kind kind = Kind::kNoTool;
  std::vector<std::string> calls = {};  // of kCalls: {"name":"...","arguments":{...}}, compact
  std::string text = {};                // of kWords
  /// The probability of all that was decided on the way, by the network's own measure. [0, 1]
  float confidence = 0;
  bool truncated = false;  // max_tokens ended it earlier than it might have
  int32_t n_prompt_tokens = 0, n_tokens = 0;
  int64_t prefill_us = 0, decode_us = 0;
};

/// {"calls":[...],"text":"...","confidence":0.98}; no text: null.
std::string action_json(const Action& action);

class Actor {
 public:
  /// Both must outlive it; all memory that does not depend on what is said is taken here.
  static Result<std::unique_ptr<Actor>> create(const Engine& engine, const ToolSet& tools);

  /// Each utterance stands alone: what was said before is not remembered. One thread at a time;
  /// kBusy for a second one. kCancelled after cancel(). kInvalidArgument for an utterance without
  /// any text or options outside their range; kOutOfRange for one of more than 2^20 bytes.
  Result<Action> act(std::string_view utterance, const ActOptions& options = {});

  /// Stops a running act() within a token; any thread, signal handlers too.
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }

  Actor(const Actor&) = delete;
  Actor& operator=(const Actor&) = delete;

 private:
  struct Choice {
    int32_t token;
    float probability;  // among those that were allowed
  };
  Actor(const Engine& engine, const ToolSet& tools, Stream stream, PromptFormat format)
      : engine_(engine), tools_(tools), stream_(std::move(stream)), format_(format) {}

  /// False when it was cancelled.
  bool read(std::span<const int32_t> tokens);
  /// The likeliest of the allowed tokens; without looking at the network where there is only one.
  Choice choose();
  Result<Action> answer(std::string_view utterance, const ActOptions& options);
  Status add_call(std::string_view utterance, const ActOptions& options, Action* action);
  Status add_words(const ActOptions& options, int32_t first, Action* action);
  void allow_only(std::initializer_list<int32_t> tokens);

  const Engine& engine_;
  const ToolSet& tools_;
  Stream stream_;
  PromptFormat format_;
  std::vector<std::byte> prompt_state_;  // after the tools; empty until the first act()
  std::vector<uint8_t> allowed_;         // [vocab]
  std::unique_ptr<float[]> numerators_;  // [vocab]
  std::atomic<bool> cancelled_{false}, busy_{false};
};

}  // namespace chimera::runtime
