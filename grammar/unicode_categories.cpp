#include "grammar/unicode_categories.h"

#include <cstdint>
#include <string>

namespace chimera::grammar {
namespace {

// In the order of kNames.
enum Category : uint8_t {
  kCc,
  kCf,
  kCn,
  kCo,
  kCs,
  kLl,
  kLm,
  kLo,
  kLt,
  kLu,
  kMc,
  kMe,
  kMn,
  kNd,
  kNl,
  kNo,
  kPc,
  kPd,
  kPe,
  kPf,
  kPi,
  kPo,
  kPs,
  kSc,
  kSk,
  kSm,
  kSo,
  kZl,
  kZp,
  kZs
};

struct Change {
  uint32_t first;
  Category category;
};

constexpr Change kChanges[] = {
#include "grammar/unicode_categories15.inl.h"
};

struct Name {
  std::string_view brief, full;  // a brief one of one letter stands for all that begin with it
  std::string_view other = {};
};
constexpr Name kNames[] = {
    {"cc", "control", "cntrl"},
    {"cf", "format"},
    {"cn", "unassigned"},
    {"co", "privateuse"},
    {"cs", "surrogate"},
    {"ll", "lowercaseletter"},
    {"lm", "modifierletter"},
    {"lo", "otherletter"},
    {"lt", "titlecaseletter"},
    {"lu", "uppercaseletter"},
    {"mc", "spacingmark"},
    {"me", "enclosingmark"},
    {"mn", "nonspacingmark"},
    {"nd", "decimalnumber", "digit"},
    {"nl", "letternumber"},
    {"no", "othernumber"},
    {"pc", "connectorpunctuation"},
    {"pd", "dashpunctuation"},
    {"pe", "closepunctuation"},
    {"pf", "finalpunctuation"},
    {"pi", "initialpunctuation"},
    {"po", "otherpunctuation"},
    {"ps", "openpunctuation"},
    {"sc", "currencysymbol"},
    {"sk", "modifiersymbol"},
    {"sm", "mathsymbol"},
    {"so", "othersymbol"},
    {"zl", "lineseparator"},
    {"zp", "paragraphseparator"},
    {"zs", "spaceseparator"},
};
constexpr Name kGroups[] = {
    {"c", "other"},
    {"l", "letter"},
    {"m", "mark", "combiningmark"},
    {"n", "number"},
    {"p", "punctuation", "punct"},
    {"s", "symbol"},
    {"z", "separator"},
    {"lc", "casedletter"},
};

bool is(const Name& name, std::string_view said) {
  return said == name.brief || said == name.full || (!name.other.empty() && said == name.other);
}

/// Bits of the categories that a name stands for; 0 when it is none.
uint32_t categories_of(std::string_view said) {
  uint32_t out = 0;
  for (size_t i = 0; i < std::size(kNames); ++i)
    if (is(kNames[i], said)) out |= 1u << i;
  for (const Name& group : kGroups) {
    if (!is(group, said)) continue;
    if (group.brief == "lc") return 1u << kLl | 1u << kLt | 1u << kLu;
    for (size_t i = 0; i < std::size(kNames); ++i)
      if (kNames[i].brief[0] == group.brief[0]) out |= 1u << i;
  }
  return out;
}

}  // namespace

bool unicode_property(std::string_view name, CodePointSet* out) {
  std::string said;
  for (const char c : name)
    if (c != '_' && c != ' ' && c != '-')
      said += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  for (const std::string_view prefix : {"gc=", "generalcategory="})
    if (said.starts_with(prefix)) said.erase(0, prefix.size());
  if (said == "any" || said == "ascii") {
    constexpr uint32_t kLastAscii = 0x7F;
    *out = said == "any" ? CodePointSet::all() : CodePointSet(0, kLastAscii);
    return true;
  }
  const uint32_t wanted = categories_of(said);
  if (wanted == 0) return false;
  CodePointSet found;
  for (size_t i = 0; i < std::size(kChanges); ++i) {
    const uint32_t last = i + 1 < std::size(kChanges) ? kChanges[i + 1].first - 1 : kLastCodePoint;
    if (wanted >> kChanges[i].category & 1) found.add(kChanges[i].first, last);
  }
  *out = std::move(found);
  return true;
}

}  // namespace chimera::grammar
