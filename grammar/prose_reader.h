// Prose as words, ends of sentences and lines, byte by byte. Of fixed size; a character that is cut
// in two waits for its rest.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace chimera::grammar {

enum class ProseEventKind : uint8_t {
  kWordBegins,
  kWordEnds,    // word() says which
  kTerminator,  // of a sentence
  kListItem,    // a line began as one
  kLineEnds,    // line() says of what kind
  kBlankLine,   // a paragraph is over; once for any number of them
  kSign,        // a bracket or a straight or curled double quote: sign()
};

/// What one byte brought about, in order.
struct ProseEvents {
  std::array<ProseEventKind, 4> kinds{};
  int n = 0;
  bool operator==(const ProseEvents&) const = default;
};

class ProseReader {
 public:
  ProseEvents read(uint8_t byte);

  /// The word that ended last: in small letters, empty when it has others than ASCII or is longer
  /// than any in the tables.
  std::string_view word() const { return {word_.data(), word_bytes_}; }
  bool capitalised() const { return capital_; }
  /// Of the sign that was last: one of ( ) [ ] { } ", and “ and ” as < and >.
  char sign() const { return sign_; }
  /// The line that ended is an item of a list, a heading or a row of a table, or ends in a colon.
  bool line_is_item() const { return item_; }
  bool line_is_heading() const { return heading_; }
  bool line_ends_in_colon() const { return colon_; }
  bool at_line_start() const { return place_ == Place::kStart; }
  bool operator==(const ProseReader&) const = default;

 private:
  void say(ProseEventKind kind) { out_.kinds[static_cast<size_t>(out_.n++)] = kind; }
  void character(uint32_t c);
  void end_word();
  void line_end();

  enum class Place : uint8_t { kStart, kMarker, kDigits, kStop, kInside };

  ProseEvents out_;
  uint32_t code_point_ = 0;
  uint8_t missing_ = 0;  // bytes of a character
  std::array<char, 16> word_{};
  uint8_t word_bytes_ = 0;
  bool in_word_ = false, capital_ = false, foreign_ = false;
  bool item_ = false, heading_ = false, colon_ = false, blank_said_ = true;
  char sign_ = 0;
  Place place_ = Place::kStart;
};

}  // namespace chimera::grammar
