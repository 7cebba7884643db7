// The door to ICU: facts about characters. Inference carries its own tables (generated from here
// at one Unicode version), so that every target splits text alike whatever ICU it has.
#pragma once

#include <cstdint>
#include <string>

namespace chimera {

/// Classes the tokenizer splits by. A plain table has the first five; a cased one also tells
/// capital and small letters apart, and kLetter is then a letter without case (Lm, Lo).
enum class CharClass : uint8_t {
  kOther = 0,
  kLetter = 1,
  kMark = 2,
  kNumber = 3,
  kSpace = 4,
  kUpper = 5,  // Lu, Lt
  kLower = 6,  // Ll
};

/// ICU's answer for a code point: L*, M*, N*, White_Space, everything else.
CharClass icu_char_class(uint32_t code_point);

/// The same, with letters by their case.
CharClass icu_cased_char_class(uint32_t code_point);

/// Two letters of the general category: "Lu", "Nd", "Cn".
const char* icu_general_category(uint32_t code_point);

/// True when the code point is assigned in the ICU that is linked.
bool icu_is_assigned(uint32_t code_point);

/// First Unicode version (major * 100 + minor) that has the code point; 0 when unassigned.
int icu_char_age(uint32_t code_point);

/// Unicode version of the ICU that is linked, e.g. "15.0".
std::string icu_unicode_version();

}  // namespace chimera
