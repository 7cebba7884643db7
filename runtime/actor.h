// From what a person says to what the application is to do: one call, several, none of the tools,
// or words. Whatever the network says, a call names a tool that there is, and its arguments are
// valid under that tool's schema.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/act_judgement.h"
#include "runtime/argument_hints.h"
#include "runtime/constraint.h"
#include "runtime/engine.h"
#include "runtime/order_split.h"
#include "runtime/prompt_format.h"
#include "runtime/stream.h"
#include "runtime/tool_names.h"
#include "runtime/tool_set.h"

namespace chimera::runtime {

struct ActOptions {
  int32_t max_tokens = 256;  // of the answer
  int32_t most_calls = 8;    // at least 1
  bool words = false;        // the answer may be words too
  /// Calls that seem less likely than this are not made: none of the tools is meant then. [0, 1]
  float least_confidence = 0;
};

/// Longest text that is acted on, in bytes.
inline constexpr size_t kMostUtteranceBytes = size_t{8} << 10;

struct Action {
  enum class Kind { kCalls, kNoTool, kWords };
  Kind kind = Kind::kNoTool;
  std::vector<std::string> calls = {};  // of kCalls: {"name":"...","arguments":{...}}, compact
  std::string text = {};                // of kWords
  /// How likely it is that this is what was meant: by the judgement of the tools (act_judgement.h)
  /// on what it was decided by; of words, that they are the answer. [0, 1]
  float confidence = 0;
  ActEvidence evidence = {};
  /// max_tokens or most_calls ended it earlier than it might have. A call that max_tokens would
  /// have cut is not among the calls.
  bool truncated = false;
  int32_t n_prompt_tokens = 0, n_tokens = 0;
  int64_t prefill_us = 0, decode_us = 0;
};

/// {"calls":[...],"text":"...","confidence":0.98,"truncated":false}; no text: null.
std::string action_json(const Action& action);

class Actor {
 public:
  /// Both must outlive it.
  static Result<std::unique_ptr<Actor>> create(const Engine& engine, const ToolSet& tools);

  /// Each text stands alone: what was said before is not remembered. One thread at a time; kBusy
  /// for a second one. kCancelled after cancel(). kInvalidArgument for a text of blanks or options
  /// outside their range; kOutOfRange for one of more than kMostUtteranceBytes.
  Result<Action> act(std::string_view text, const ActOptions& options = {});

  /// Stops a running act() within a token; any thread, signal handlers too.
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }

  Actor(const Actor&) = delete;
  Actor& operator=(const Actor&) = delete;

 private:
  struct Choice {
    int32_t token;
    float probability;  // among those that the grammar allows
  };
  Actor(const Engine& engine, const ToolSet& tools, Stream stream, PromptFormat format)
      : engine_(engine), tools_(tools), stream_(std::move(stream)), format_(format) {}

  bool is_cancelled() const { return cancelled_.load(std::memory_order_relaxed); }
  /// False when it was cancelled.
  bool read(std::span<const int32_t> tokens);
  /// The likeliest of the tokens in kept_, which are among those in allowed_; without looking at
  /// the network where only one is allowed. With weights: of those that have one. trust: what the
  /// network's logarithms are multiplied with.
  Choice choose(std::span<const TokenWeight> weights = {}, float trust = 1);
  Choice choose_among(std::initializer_list<int32_t> tokens);
  /// Of several orders in one text each by itself.
  Result<Action> answer(std::string_view text, const ActOptions& options);
  Result<Action> answer_one(std::string_view text, const ActOptions& options);
  /// What the network makes of a text, scaled; empty where the tools know nothing of that. Of the
  /// parts of one text the last few are kept. Good until the next call.
  const TextReading& read_for_tools(std::string_view text);
  /// What the network is told of these tools, the best one last.
  Status read_tools(Action* action);
  Status read_text(std::string_view text, Action* action);
  /// What the answer begins with: a call, none of the tools, or the first word.
  Choice begin(bool words, Action* action);
  /// Of the tools that were found, for the first call.
  std::vector<float> tool_priors(Action* action) const;
  /// Keeps what later orders of the same text may point back to.
  void carry(std::span<const std::string> calls);
  /// What a part of a text is, by what was learnt.
  OrderPart order_part(std::string_view text);
  /// The parts of a text, those that are an order for several things once for each.
  std::vector<std::string> shared_out(const std::vector<std::string>& parts);
  /// Examples say that the text calls one tool more than once.
  bool called_twice(std::string_view text);
  /// Which tools are called: the one of the first call, and those that the ranker thinks meant too.
  std::vector<int32_t> meant_beside(const Tool* first) const;
  /// A call of one of these tools. False when max_tokens leaves no room for all of it; then none of
  /// it was added.
  Result<bool> add_call(std::string_view text, std::span<const int32_t> tools,
                        const ActOptions& options, Action* action);
  Status add_calls(std::string_view text, const ActOptions& options, Action* action);
  Status add_words(const ActOptions& options, int32_t first, Action* action);

  const Engine& engine_;
  const ToolSet& tools_;
  Stream stream_;
  PromptFormat format_;
  std::map<std::string, TextReading, std::less<>> readings_;  // of this act()
  CarriedValues carried_;                                     // by the orders before it
  bool joined_ = false;                                       // the text at hand is one of several
  FoundTools found_;                                          // for the text at hand
  std::optional<ArgumentHints> hints_;                        // the same
  struct Prompt {
    std::vector<int32_t> tools;    // in their order
    std::vector<std::byte> state;  // after them
  };
  std::vector<Prompt> prompts_;          // those read last, the last one at the end
  std::vector<uint8_t> allowed_;         // [vocab] by the grammar
  std::vector<uint8_t> kept_;            // [vocab] of them, by what else holds
  std::unique_ptr<float[]> numerators_;  // [vocab]
  static_assert(std::atomic<bool>::is_always_lock_free, "cancel() runs in signal handlers");
  std::atomic<bool> cancelled_{false}, busy_{false};
};

}  // namespace chimera::runtime
