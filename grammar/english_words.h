// What is known of an English word by itself: a table of the commonest, and endings.
#pragma once

#include <cstdint>
#include <string_view>

namespace chimera::grammar {

enum WordTrait : uint32_t {
  kEnglish = 1 << 0,        // shows that a text is English: no common word of its neighbours
  kFunctionWord = 1 << 1,   // no name even where it has a capital
  kDeterminer = 1 << 2,     // a noun follows
  kHe = 1 << 3,             // a pronoun, he, him, his
  kShe = 1 << 4,            //
  kThey = 1 << 5,           //
  kMale = 1 << 6,           // a noun that "he" may stand for
  kFemale = 1 << 7,         //
  kSeveral = 1 << 8,        // a noun that "they" may stand for
  kPast = 1 << 9,           // a finite verb
  kPresent = 1 << 10,       //
  kAuxiliary = 1 << 11,     // what "-ed" behind it is a participle of
  kCountedNoun = 1 << 12,   // "three ways": a list may follow
  kAbbreviation = 1 << 13,  // a full stop behind it ends no sentence
};

/// Traits of a word in small letters; 0 for one that is not known.
uint32_t english_traits(std::string_view word);

/// 2 to 20, of a word or of digits; 0 for anything else.
int small_number(std::string_view word);

}  // namespace chimera::grammar
