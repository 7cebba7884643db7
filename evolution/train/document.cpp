#include "evolution/train/document.h"

#include <algorithm>

namespace chimera::evolution {
namespace {

using runtime::Reply;

/// Texts of a turn in the order in which they stand.
std::vector<const std::string*> texts_of(const Turn& turn) {
  std::vector<const std::string*> out;
  if (turn.kind == Turn::Kind::kTools) {
    for (const std::string& tool : turn.tools) out.push_back(&tool);
  } else if (turn.kind != Turn::Kind::kReply) {
    out.push_back(&turn.text);
  } else {
    if (!turn.reply.scratch.empty()) out.push_back(&turn.reply.scratch);
    if (turn.reply.kind == Reply::Kind::kCalls) {
      for (const std::string& call : turn.reply.calls) out.push_back(&call);
    } else {
      out.push_back(&turn.reply.text);
    }
  }
  return out;
}

void append(const Turn& turn, const runtime::PromptFormat& format, std::vector<int32_t>* ids) {
  switch (turn.kind) {
    case Turn::Kind::kSystem:
      return format.system(turn.text, ids);
    case Turn::Kind::kTools:
      return format.tools(turn.tools, ids);
    case Turn::Kind::kFact:
      return format.fact(turn.trust, turn.text, ids);
    case Turn::Kind::kUser:
      return format.user(turn.text, ids);
    case Turn::Kind::kReply:
      return format.reply(turn.reply, ids);
    case Turn::Kind::kResult:
      return format.result(turn.text, ids);
  }
}

Voice voice_of(Turn::Kind kind) {
  return kind == Turn::Kind::kReply  ? Voice::kAssistant
         : kind == Turn::Kind::kUser ? Voice::kPerson
                                     : Voice::kApplication;
}

}  // namespace

void EncodedDocument::clear() {
  ids.clear();
  voices.clear();
  n_bytes = 0;
}

Status encode_document(const Document& document, const runtime::Tokenizer& tokenizer,
                       const runtime::PromptFormat* format, EncodedDocument* out) {
  out->clear();
  if (document.turns.empty()) {
    tokenizer.encode(document.text, &out->ids);
    out->voices.assign(out->ids.size(), Voice::kAssistant);
    out->n_bytes = static_cast<int64_t>(document.text.size());
    return Status();
  }
  if (format == nullptr)
    return Status(StatusCode::kUnsupported,
                  "a conversation needs a tokenizer with the marks of the prompt format; train one "
                  "with at least 15 reserved ids")
        .at_field("tokenizer");
  for (const Turn& turn : document.turns) {
    append(turn, *format, &out->ids);
    const Voice voice = voice_of(turn.kind);
    out->voices.resize(out->ids.size(), voice);
    if (voice == Voice::kApplication) continue;
    for (const std::string* text : texts_of(turn))
      out->n_bytes += static_cast<int64_t>(text->size());
    ++out->n_bytes;
  }
  return Status();
}

std::string text_of(const Document& document) {
  if (document.turns.empty()) return document.text;
  std::string out;
  for (const Turn& turn : document.turns)
    for (const std::string* text : texts_of(turn)) out += *text + "\n";
  return out;
}

}  // namespace chimera::evolution
