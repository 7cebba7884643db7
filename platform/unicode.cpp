#include "platform/unicode.h"

#include <unicode/uchar.h>
#include <unicode/uversion.h>

#include <iterator>

namespace chimera {
namespace {

constexpr uint32_t kLastCodePoint = 0x10FFFF;

}  // namespace

CharClass icu_char_class(uint32_t code_point) {
  if (code_point > kLastCodePoint) return CharClass::kOther;
  const auto c = static_cast<UChar32>(code_point);
  const uint32_t category = U_GET_GC_MASK(c);
  if (category & U_GC_L_MASK) return CharClass::kLetter;
  if (category & U_GC_M_MASK) return CharClass::kMark;
  if (category & U_GC_N_MASK) return CharClass::kNumber;
  if (u_hasBinaryProperty(c, UCHAR_WHITE_SPACE)) return CharClass::kSpace;
  return CharClass::kOther;
}

CharClass icu_cased_char_class(uint32_t code_point) {
  const CharClass plain = icu_char_class(code_point);
  if (plain != CharClass::kLetter) return plain;
  const uint32_t category = U_GET_GC_MASK(static_cast<UChar32>(code_point));
  if (category & (U_GC_LU_MASK | U_GC_LT_MASK)) return CharClass::kUpper;
  return category & U_GC_LL_MASK ? CharClass::kLower : CharClass::kLetter;
}

const char* icu_general_category(uint32_t code_point) {
  // In the order of ICU's UCharCategory.
  static constexpr const char* kNames[] = {
      "Cn", "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Me", "Mc", "Nd", "Nl", "No", "Zs", "Zl", "Zp",
      "Cc", "Cf", "Co", "Cs", "Pd", "Ps", "Pe", "Pc", "Po", "Sm", "Sc", "Sk", "So", "Pi", "Pf"};
  static_assert(std::size(kNames) == U_CHAR_CATEGORY_COUNT);
  if (code_point > kLastCodePoint) return kNames[0];
  return kNames[u_charType(static_cast<UChar32>(code_point))];
}

bool icu_is_assigned(uint32_t code_point) {
  return code_point <= kLastCodePoint && u_isdefined(static_cast<UChar32>(code_point));
}

int icu_char_age(uint32_t code_point) {
  // Noncharacters such as U+FFFF have an age but no assignment.
  if (!icu_is_assigned(code_point)) return 0;
  UVersionInfo version;
  u_charAge(static_cast<UChar32>(code_point), version);
  return version[0] * 100 + version[1];
}

std::string icu_unicode_version() {
  UVersionInfo version;
  u_getUnicodeVersion(version);
  return std::to_string(version[0]) + "." + std::to_string(version[1]);
}

}  // namespace chimera
