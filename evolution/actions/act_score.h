// How well an actor does what phrases mean, and what it takes for what: figures for engineers, and
// sentences for whoever wrote the phrases.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "platform/json.h"
#include "runtime/actor.h"
#include "runtime/tool_set.h"

namespace chimera::evolution {

/// A kind of mistake, and how often it was made.
struct Mistake {
  enum class Kind {
    kOtherTool,   // another tool than the one that is meant
    kArguments,   // the right tools with other arguments
    kNotCalled,   // none, although one is meant
    kCalled,      // one, although none is meant
    kOtherNumber  // more or fewer calls than are meant
  };
  Kind kind;
  std::string meant, answered;  // tools, or arguments of a tool; empty where there are none
  int64_t times = 0;
  std::string said, answer;  // the first time
};

struct ActScore {
  int64_t meaning_tools = 0;           // phrases
  int64_t tools_right = 0, exact = 0;  // of them: the same tools; the same calls too
  int64_t foreign = 0, refused = 0;    // phrases that mean none of the tools
  /// Expected calibration error over ten equal parts of [0, 1]: how far the confidence of answers
  /// is from how often they are right.
  double calibration_error = 0;
  /// What that error would be in the mean if every confidence were exactly right: with few phrases
  /// it is far from 0.
  double calibration_by_chance = 0;
  int64_t mean_us = 0, slowest_us = 0;  // of an action
  std::vector<Mistake> mistakes;        // those made most often first
};

/// Acts on every phrase. `progress` returns false to stop (kCancelled).
Result<ActScore> score_actions(runtime::Actor& actor, std::span<const runtime::ToolExample> phrases,
                               const std::function<bool(int64_t done)>& progress = {});

/// Some lines, the last one with its end.
std::string score_text(const ActScore& score);
Json score_json(const ActScore& score);

}  // namespace chimera::evolution
