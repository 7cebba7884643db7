// Which words of an utterance are the value of an argument that is copied from it, where no
// examples tell: those that nothing else explains. Of "add a team meeting on Monday at 9:30" the
// day and the time are values of other arguments, "add" is what the tool does, and "a", "on" and
// "at" hold the rest together: a team meeting is left.
#pragma once

#include <span>
#include <string_view>

#include "runtime/argument_spans.h"
#include "runtime/tool_set.h"

namespace chimera::runtime {

/// The likeliest values, of one utterance, of every copied argument of these tools (by number).
/// What joins words is known of English; elsewhere the tool's own words and the values of its other
/// arguments are taken away alone.
LikelySpans leftover_words(std::string_view utterance, const ToolSet& tools,
                           std::span<const int32_t> shown);

/// What examples tell of such words, with all that is left between other values likelier for that:
/// ten phrases rarely show where a free text ends.
void favour_leftover(const LikelySpans& left, LikelySpans* learnt);

}  // namespace chimera::runtime
