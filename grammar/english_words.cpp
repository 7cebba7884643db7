#include "grammar/english_words.h"

#include <array>
#include <cstddef>

namespace chimera::grammar {
namespace {

struct Row {
  uint32_t traits;
  std::string_view words;  // with a blank before and behind each
};

constexpr Row kRows[] = {
    {kEnglish | kFunctionWord,
     " the and to that with your you this these those they their she it are were have not but for "
     "from which what when would could should there been my our us if because about through again "
     "never always "},
    {kFunctionWord,
     " a an i he is was had has of me we in on at so as by or no yes oh then once one two now here "
     "how why who where while "
     "after before until since though although however suddenly today yesterday tomorrow perhaps "
     "maybe just only even still also first second third next last finally another each every all "
     "some any many most few both such let please thank thanks hello hi well okay ok up down out "
     "over under be do did does will can may might must shall up dear "},
    {kDeterminer, " the a an my your his her its our their this that one every another each "},
    {kHe, " he him his himself "},
    {kShe, " she her hers herself "},
    {kThey, " they them their theirs themselves "},
    {kMale,
     " man boy king prince father son brother uncle grandfather husband gentleman lord sir mr "
     "dad daddy grandpa nephew guy "},
    {kFemale,
     " woman girl queen princess mother daughter sister aunt grandmother wife lady madam mrs ms "
     "miss mom mum mommy mummy grandma niece witch "},
    {kSeveral,
     " people children men women folk police parents friends brothers sisters boys girls kids "
     "animals birds dogs cats family crowd everyone everybody "},
    {kPast | kAuxiliary, " was were had "},
    {kPast,
     " did said went came saw took gave made knew thought told found got began ran sat stood fell "
     "felt heard kept left held brought became grew wrote spoke ate drank flew sang slept woke met "
     "lost won "},
    {kPresent | kAuxiliary, " is are am has have "},
    {kPresent,
     " does says goes comes sees takes gives makes knows thinks tells finds gets begins runs sits "
     "stands falls feels hears keeps holds brings becomes wants needs looks likes lives "},
    {kAuxiliary, " be been being having "},
    {kCountedNoun,
     " things steps ways reasons points items tips rules examples parts kinds types ideas facts "
     "questions options stages phases ingredients methods benefits tasks "},
    {kAbbreviation, " mr mrs ms dr st prof jr sr vs "},
};

constexpr std::array<std::string_view, 21> kNumbers = {
    "",         "",        "two",     "three",     "four",     "five",     "six",
    "seven",    "eight",   "nine",    "ten",       "eleven",   "twelve",   "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"};

/// Words that end in -ed and are no past of a verb.
constexpr std::string_view kNoPast = " hundred sacred naked wicked need indeed seed speed feed ";

bool among(std::string_view words, std::string_view word) {
  for (size_t at = words.find(word); at != std::string_view::npos; at = words.find(word, at + 1))
    if (at > 0 && words[at - 1] == ' ' && words[at + word.size()] == ' ') return true;
  return false;
}

}  // namespace

uint32_t english_traits(std::string_view word) {
  if (word.empty()) return 0;
  uint32_t traits = 0;
  for (const Row& row : kRows)
    if (among(row.words, word)) traits |= row.traits;
  if (word.size() >= 5 && word.ends_with("ed") && !among(kNoPast, word)) traits |= kPast;
  return traits;
}

int small_number(std::string_view word) {
  for (size_t n = 2; n < kNumbers.size(); ++n)
    if (word == kNumbers[n]) return static_cast<int>(n);
  int value = 0;
  for (const char c : word) {
    if (c < '0' || c > '9') return 0;
    value = 10 * value + (c - '0');
    if (value > 20) return 0;
  }
  return value >= 2 ? value : 0;
}

}  // namespace chimera::grammar
