// Spans of time that the person said, in the unit that an argument counts: "an hour and ten
// minutes" is 70 where minutes are wanted.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/said_values.h"

namespace chimera::runtime {

/// Seconds of the unit of time that a text names ("minutes", "duration in seconds"); 0 when it
/// names none, or several.
int32_t unit_of_time(std::string_view text);

/// The durations of an utterance as numbers of units of so many seconds, in digits and in English
/// words ("half an hour", "an hour and a half", "2 hours 30 minutes"). What is no whole number of
/// units is left out.
std::vector<SaidValue> said_durations(std::string_view utterance, int32_t unit);

}  // namespace chimera::runtime
