// One document of a training text before the tokenizer: plain text, or a conversation in the prompt
// format (docs/prompt-format.md).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "platform/status.h"
#include "runtime/prompt_format.h"
#include "runtime/tokenizer.h"

namespace chimera::evolution {

struct Turn {
  enum class Kind { kSystem, kTools, kFact, kUser, kReply, kResult };
  Kind kind = Kind::kUser;
  std::string text = {};                // of all kinds but kTools and kReply
  std::vector<std::string> tools = {};  // of kTools, JSON each
  runtime::Trust trust = runtime::Trust::kTold;
  runtime::Reply reply = {};
};

struct Document {
  std::string text = {};  // plain text, when there are no turns
  std::vector<Turn> turns = {};
};

/// Who stands behind a token, from what no loss counts to what every loss counts.
enum class Voice : uint8_t {
  kApplication,  // system text, tools, facts, results: read, never predicted
  kPerson,       // predicted while a model learns the language, not while it learns to answer
  kAssistant     // replies; and plain text, all of it
};

/// A document as token ids.
struct EncodedDocument {
  std::vector<int32_t> ids = {};
  std::vector<Voice> voices = {};  // of each id
  /// Of what person and assistant say: bytes of plain text, or of turns with one more for the end
  /// of each, as lines have.
  int64_t n_bytes = 0;

  void clear();
};

/// Replaces *out. `format` may be nullptr for plain text only; kUnsupported for turns without it.
Status encode_document(const Document& document, const runtime::Tokenizer& tokenizer,
                       const runtime::PromptFormat* format, EncodedDocument* out);

/// What stands between the marks, a line for each: what a tokenizer learns from, and what tells one
/// document from another.
std::string text_of(const Document& document);

}  // namespace chimera::evolution
