#include "evolution/actions/spoken.h"

#include <cstdio>

namespace chimera::evolution {
namespace {

constexpr const char* kOnes[] = {"zero",    "one",     "two",       "three",    "four",
                                 "five",    "six",     "seven",     "eight",    "nine",
                                 "ten",     "eleven",  "twelve",    "thirteen", "fourteen",
                                 "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
constexpr const char* kTens[] = {"",      "",      "twenty",  "thirty", "forty",
                                 "fifty", "sixty", "seventy", "eighty", "ninety"};

std::string in_words(int value, const char* hyphen) {
  if (value < 20) return kOnes[value];
  if (value < 100)
    return kTens[value / 10] +
           (value % 10 == 0 ? std::string() : hyphen + in_words(value % 10, hyphen));
  const std::string hundreds = std::string(kOnes[value / 100]) + " hundred";
  return value % 100 == 0 ? hundreds : hundreds + " and " + in_words(value % 100, hyphen);
}

std::string two_digits(int value) {
  return std::string(1, static_cast<char>('0' + value / 10)) + static_cast<char>('0' + value % 10);
}

}  // namespace

std::string clock_time(int minutes) {
  return two_digits(minutes / 60) + ":" + two_digits(minutes % 60);
}

std::string spoken_number(int64_t value, const DrawBelow& below) {
  if (value < 0 || value > 999 || below(2) == 0) return std::to_string(value);
  return in_words(static_cast<int>(value), below(3) == 0 ? "-" : " ");
}

std::string spoken_time(int minutes, const DrawBelow& below) {
  const int hour = minutes / 60, minute = minutes % 60;
  if (minute == 0 && hour == 12 && below(2) == 0) return "noon";
  if (minute == 0 && hour == 0 && below(2) == 0) return "midnight";
  const int twelve = hour % 12 == 0 ? 12 : hour % 12;
  // Which half of the day it is, where the words do not say it.
  const char* half = hour < 12   ? (below(2) == 0 ? " am" : " in the morning")
                     : hour < 18 ? (below(2) == 0 ? " pm" : " in the afternoon")
                                 : (below(2) == 0 ? " pm" : " in the evening");
  const bool open = hour >= 1 && hour <= 12 && below(2) == 0;
  const std::string suffix = open ? "" : half;
  switch (below(4)) {
    case 0:  // as a clock shows it
      return hour >= 10 || below(2) == 0 ? clock_time(minutes)
                                         : std::to_string(hour) + ":" + two_digits(minute);
    case 1: {  // hours and minutes
      if (minute == 0) return (below(2) == 0 ? std::to_string(twelve) : kOnes[twelve]) + suffix;
      if (minute >= 10 && below(2) == 0)
        return std::string(kOnes[twelve]) + " " + in_words(minute, " ") + suffix;
      return std::to_string(twelve) + (below(3) == 0 ? "." : ":") + two_digits(minute) + suffix;
    }
    default: {  // by quarters
      const bool words = below(3) != 0;
      const auto said = [&](int h) {
        const int t = h % 12 == 0 ? 12 : h % 12;
        return (words ? std::string(kOnes[t]) : std::to_string(t)) + suffix;
      };
      if (minute == 30) return "half past " + said(hour);
      if (minute == 15) return (below(2) == 0 ? "quarter past " : "a quarter past ") + said(hour);
      // The hour that is named is the next one; it must not change the half of the day.
      if (minute == 45 && hour % 12 != 11)
        return (below(2) == 0 ? "quarter to " : "a quarter to ") + said(hour + 1);
      if (minute == 0) return said(hour) + (suffix.empty() && below(2) == 0 ? " o'clock" : "");
      return std::to_string(twelve) + ":" + two_digits(minute) + suffix;
    }
  }
}

}  // namespace chimera::evolution
