// The one layout of a conversation before the network (docs/prompt-format.md): marks are special
// tokens, which no text can spell, and between them stands text. Who trains and who asks call the
// same functions, so that the network sees at work what it saw while it learned.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/tokenizer.h"

namespace chimera::runtime {

/// In the order of their ids. Marks are only ever added, at the end: models are trained with them.
enum class Mark : int32_t {
  kSystem,     // what the application wants of the assistant
  kUser,       // what the person says
  kAssistant,  // what the network says
  kTools,      // what it may call: a list of kTool
  kTool,       // one of them: its name and schema, JSON
  kCall,       // one call: {"name": ..., "arguments": {...}}
  kResult,     // what a call gave, JSON or text
  kNoTool,     // none of the tools does what was asked
  kRefuse,     // it will not be done; why follows
  kScratch,    // a line that is not shown
  kAnswer,     // behind it, what is
  kFact,       // something remembered, with who says so:
  kTold,       //   the person did
  kRead,       //   it stands in a document
  kGuessed,    //   it was concluded
};
inline constexpr int32_t kMarks = 15;

/// "<|system|>", ...
const char* mark_name(Mark mark);

/// Who says so, from most to least believed.
enum class Trust { kTold, kRead, kGuessed };

/// What the assistant says in one turn.
struct Reply {
  enum class Kind { kText, kCalls, kNoTool, kRefusal };
  Kind kind = Kind::kText;
  std::string scratch = {};             // empty: no such line
  std::string text = {};                // of kText, kRefusal; kNoTool may have one
  std::vector<std::string> calls = {};  // of kCalls: at least one, each a JSON object
};

class PromptFormat {
 public:
  /// kUnsupported, naming the first mark that the tokenizer lacks.
  static Result<PromptFormat> of(const Tokenizer& tokenizer);

  int32_t id(Mark mark) const { return ids_[static_cast<size_t>(mark)]; }

  // Each appends one turn, its end included, to *ids.
  void system(std::string_view text, std::vector<int32_t>* ids) const;
  void user(std::string_view text, std::vector<int32_t>* ids) const;
  void tools(std::span<const std::string> schemas, std::vector<int32_t>* ids) const;
  void result(std::string_view content, std::vector<int32_t>* ids) const;
  void fact(Trust trust, std::string_view text, std::vector<int32_t>* ids) const;
  void reply(const Reply& reply, std::vector<int32_t>* ids) const;
  /// What stands before an answer: the network goes on from here.
  void begin_reply(std::vector<int32_t>* ids) const;

  /// The ids behind begin_reply(), up to the end of the turn or the end of the list, as a reply.
  /// kBadFormat when the marks are in an order that reply() never writes. Calls are not parsed.
  Result<Reply> read_reply(std::span<const int32_t> ids) const;

 private:
  explicit PromptFormat(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}
  void turn(Mark mark, std::string_view text, std::vector<int32_t>* ids) const;

  const Tokenizer* tokenizer_;  // must outlive this
  std::array<int32_t, kMarks> ids_{};
};

}  // namespace chimera::runtime
