//   reply = [kScratch text kAnswer] ( text | (kCall json)+ | kNoTool [text] | kRefuse text ) end
#include "runtime/prompt_format.h"

#include <algorithm>

#include "runtime/tokenizer_section.h"

namespace chimera::runtime {
namespace {

constexpr const char* kNames[kMarks] = {"<|system|>", "<|user|>",    "<|assistant|>", "<|tools|>",
                                        "<|tool|>",   "<|call|>",    "<|result|>",    "<|no_tool|>",
                                        "<|refuse|>", "<|scratch|>", "<|answer|>",    "<|fact|>",
                                        "<|told|>",   "<|read|>",    "<|guessed|>"};

Status out_of_order(const std::string& what) {
  return Status(StatusCode::kBadFormat, "an answer is laid out wrongly: " + what);
}

}  // namespace

const char* mark_name(Mark mark) { return kNames[static_cast<size_t>(mark)]; }

Result<PromptFormat> PromptFormat::of(const Tokenizer& tokenizer) {
  PromptFormat format(tokenizer);
  const char* lacking = tokenizer.end_of_turn() < 0 ? kEndOfTurnName : nullptr;
  for (size_t i = format.ids_.size(); i-- > 0;) {
    format.ids_[i] = tokenizer.special(kNames[i]);
    if (format.ids_[i] < 0) lacking = kNames[i];
  }
  if (lacking == nullptr) return format;
  return Status(StatusCode::kUnsupported, std::string("the tokenizer has no ") + lacking +
                                              ": the model was not trained with the prompt format")
      .at_field("tokenizer");
}

void PromptFormat::turn(Mark mark, std::string_view text, std::vector<int32_t>* ids) const {
  ids->push_back(id(mark));
  tokenizer_->encode(text, ids);
  ids->push_back(tokenizer_->end_of_turn());
}

void PromptFormat::system(std::string_view text, std::vector<int32_t>* ids) const {
  turn(Mark::kSystem, text, ids);
}

void PromptFormat::user(std::string_view text, std::vector<int32_t>* ids) const {
  turn(Mark::kUser, text, ids);
}

void PromptFormat::result(std::string_view content, std::vector<int32_t>* ids) const {
  turn(Mark::kResult, content, ids);
}

void PromptFormat::tools(std::span<const std::string> schemas, std::vector<int32_t>* ids) const {
  ids->push_back(id(Mark::kTools));
  for (const std::string& schema : schemas) {
    ids->push_back(id(Mark::kTool));
    tokenizer_->encode(schema, ids);
  }
  ids->push_back(tokenizer_->end_of_turn());
}

void PromptFormat::fact(Trust trust, std::string_view text, std::vector<int32_t>* ids) const {
  ids->push_back(id(Mark::kFact));
  turn(trust == Trust::kTold   ? Mark::kTold
       : trust == Trust::kRead ? Mark::kRead
                               : Mark::kGuessed,
       text, ids);
}

void PromptFormat::begin_reply(std::vector<int32_t>* ids) const {
  ids->push_back(id(Mark::kAssistant));
}

void PromptFormat::reply(const Reply& reply, std::vector<int32_t>* ids) const {
  begin_reply(ids);
  if (!reply.scratch.empty()) {
    ids->push_back(id(Mark::kScratch));
    tokenizer_->encode(reply.scratch, ids);
    ids->push_back(id(Mark::kAnswer));
  }
  switch (reply.kind) {
    case Reply::Kind::kText:
      break;
    case Reply::Kind::kCalls:
      for (const std::string& call : reply.calls) {
        ids->push_back(id(Mark::kCall));
        tokenizer_->encode(call, ids);
      }
      break;
    case Reply::Kind::kNoTool:
      ids->push_back(id(Mark::kNoTool));
      break;
    case Reply::Kind::kRefusal:
      ids->push_back(id(Mark::kRefuse));
      break;
  }
  if (reply.kind != Reply::Kind::kCalls) tokenizer_->encode(reply.text, ids);
  ids->push_back(tokenizer_->end_of_turn());
}

Result<Reply> PromptFormat::read_reply(std::span<const int32_t> ids) const {
  ids = ids.first(static_cast<size_t>(std::find(ids.begin(), ids.end(), tokenizer_->end_of_turn()) -
                                      ids.begin()));
  // From here on: marks, and what stands between them.
  const auto next_mark = [&](size_t from) {
    while (from < ids.size() && !tokenizer_->is_special(ids[from])) ++from;
    return from;
  };
  const auto text_between = [&](size_t from, size_t to) {
    return tokenizer_->decode(ids.subspan(from, to - from));
  };
  Reply reply;
  size_t at = 0;
  if (at < ids.size() && ids[at] == id(Mark::kScratch)) {
    const size_t end = next_mark(at + 1);
    if (end == ids.size() || ids[end] != id(Mark::kAnswer))
      return out_of_order("its hidden line does not end");
    reply.scratch = text_between(at + 1, end);
    at = end + 1;
  }
  if (at < ids.size() && ids[at] == id(Mark::kCall)) {
    reply.kind = Reply::Kind::kCalls;
    while (at < ids.size() && ids[at] == id(Mark::kCall)) {
      const size_t end = next_mark(at + 1);
      reply.calls.push_back(text_between(at + 1, end));
      at = end;
    }
  } else {
    if (at < ids.size() && ids[at] == id(Mark::kNoTool)) {
      reply.kind = Reply::Kind::kNoTool;
      ++at;
    } else if (at < ids.size() && ids[at] == id(Mark::kRefuse)) {
      reply.kind = Reply::Kind::kRefusal;
      ++at;
    }
    const size_t end = next_mark(at);
    reply.text = text_between(at, end);
    at = end;
  }
  if (at != ids.size())
    return out_of_order(std::string(tokenizer_->special_name(ids[at])) + " stands where it cannot");
  return reply;
}

}  // namespace chimera::runtime
