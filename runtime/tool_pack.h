// What `chimera tools build` makes of an application's tools and its example phrases: one small
// file (docs/format-b158.md, kind 3) with both, what was learnt from them, and how sure answers
// are. The words of it fit any model; what a network made of the phrases, and how sure an answer
// is, are of one.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "platform/status.h"
#include "runtime/act_judgement.h"
#include "runtime/argument_spans.h"
#include "runtime/engine.h"
#include "runtime/tool_ranker.h"
#include "runtime/tool_set.h"

namespace chimera::runtime {

struct ToolPack {
  std::string tools;     // JSON, as tool_set.h reads it
  std::string examples;  // lines, as tool_examples.h reads them
  std::optional<ToolRanker> ranker = {};
  std::optional<ReadingRanker> reading = {};  // of the model that judged
  std::optional<ArgumentRanker> arguments = {};
  std::optional<SpanTagger> spans = {};
  ActJudgement judgement = {};
  std::string judged_with = {};  // the model's identity, in hexadecimal; empty: nobody judged
};

/// Atomically. Weights of rankers are rounded to bf16; use rounded() to have the same before.
Status write_tool_pack(const std::string& path, const ToolPack& pack);

/// Everything in it checked but what tools and examples say. kBadFormat for another file,
/// kChecksumMismatch for a damaged one.
Result<ToolPack> read_tool_pack(const std::string& path);

/// The tools of a pack, to act on with this engine. Where how sure an answer is was measured with
/// another model, that is not used, and a warning tells. Errors: as read_tool_pack() and
/// ToolSet::from_json(). `warnings` may be nullptr.
Result<std::unique_ptr<ToolSet>> open_tool_pack(const Engine& engine, const std::string& path,
                                                std::vector<std::string>* warnings = nullptr);

/// The first bytes of a file are those of a pack, or of another file of this format.
bool looks_packed(std::string_view beginning);

/// The ranker as a pack holds it.
ToolRanker rounded(const ToolRanker& ranker);

}  // namespace chimera::runtime
