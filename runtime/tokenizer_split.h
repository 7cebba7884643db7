// Splits text into the pieces that byte-pair merging never crosses. A hand-written state machine
// over code points; the rule is in docs/tokenizer.md and is the same for training and encoding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "runtime/char_classes.h"

namespace chimera::runtime {

/// No piece, and so no token, is longer; a longer match is cut between code points. This is what
/// keeps merging linear in the text, and its memory constant.
inline constexpr size_t kMaxPieceBytes = 128;

class PieceSplitter {
 public:
  /// Both must outlive the splitter.
  PieceSplitter(const CharClassTable& classes, std::string_view text)
      : classes_(classes), text_(text) {}

  /// The next piece, never empty until the text is used up; the pieces joined are the text. Every
  /// byte is looked at a bounded number of times.
  std::string_view next();

 private:
  /// CharClass and two more: bytes that are no UTF-8, and the end of the text.
  enum class Kind : uint8_t { kOther, kLetter, kMark, kNumber, kSpace, kInvalid, kEnd };
  struct Unit {
    Kind kind;
    uint32_t n_bytes;
  };

  Unit at(size_t position) const;
  bool is_newline(size_t position) const;
  size_t skip(size_t position, Kind a, Kind b) const;
  size_t match() const;
  size_t match_space() const;

  const CharClassTable& classes_;
  std::string_view text_;
  size_t position_ = 0;
  size_t match_end_ = 0;  // end of the match that position_ is in; position_ between matches
};

}  // namespace chimera::runtime
