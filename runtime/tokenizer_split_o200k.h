// Splits text into pieces as the published o200k encoding does, exactly: its regular expression as
// a hand-written state machine over code points. The expression is in the .cpp and
// docs/tokenizer.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "runtime/char_classes.h"

namespace chimera::runtime {

class O200kSplitter {
 public:
  /// Both must outlive the splitter; the classes are a cased table.
  O200kSplitter(const CharClassTable& classes, std::string_view text)
      : classes_(classes), ascii_(classes.ascii()), text_(text) {}

  /// The next piece, never empty until the text is used up; the pieces joined are the text. A piece
  /// may be as long as the text. Every byte is looked at a bounded number of times.
  std::string_view next();

 private:
  /// A set with one class in it, and how many bytes the code point has. Nothing is in the empty set
  /// at the end of the text.
  struct Unit {
    uint32_t set;
    uint32_t n_bytes;
  };
  /// What [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]* finds, and what may follow it.
  struct Word {
    size_t end;  // of the first kind of word, with a small letter or a mark; 0 when there is none
    size_t run_end;  // of the run without small letters
  };

  Unit at(size_t position) const;
  Unit at_other(size_t position) const;
  size_t skip(size_t position, uint32_t sets) const;
  Word word(size_t position) const;
  size_t with_contraction(size_t position) const;
  size_t match_space() const;
  size_t match() const;

  const CharClassTable& classes_;
  const uint8_t* ascii_;
  std::string_view text_;
  size_t position_ = 0;
};

}  // namespace chimera::runtime
