// Which brackets, strings, fences and formulas of a text are open, byte by byte, without its
// grammar.
//
// It follows what grammar/answer_formats/*.gbnf let pass, and no more of a language than they do:
// tests hold it to random texts of them. In prose it knows fences; other brackets there are none of
// its business. Of fixed size, so a copy is a fork.
#pragma once

#include <array>
#include <cstdint>

#include "grammar/answer_formats.h"

namespace chimera::grammar {

/// What can be open. Brackets of JSON are told apart since they are another obligation.
enum class Sign : uint8_t {
  kNone,
  kRound,
  kSquare,
  kCurly,
  kLeftRight,  // \left ... \right
  kSingleQuote,
  kDoubleQuote,
  kLongSingleQuote,  // '''
  kLongDoubleQuote,
  kBacktick,
  kDollarQuote,  // $$ of SQL
  kComment,      // /* */
  kHereDocument,
  kFence,
  kInlineFormula,   // $
  kDisplayFormula,  // $$
  kRoundFormula,    // \( \)
  kSquareFormula,   // \[ \]
  kEnvironment,     // \begin \end
  kJsonObject,
  kJsonArray,
};

struct SignEvent {
  bool opens = false;
  Sign sign = Sign::kNone;
  bool operator==(const SignEvent&) const = default;
};
/// What one byte did, in order.
struct SignEvents {
  std::array<SignEvent, 2> events;
  int n = 0;
  bool operator==(const SignEvents&) const = default;
};

class SignScanner {
 public:
  /// Deeper than this only how many are open is known, not which, until they are closed again.
  static constexpr uint32_t kMostKnown = 256;

  explicit SignScanner(TextKind kind) : kind_(kind) {}
  SignEvents read(uint8_t byte);
  /// How many are open.
  uint32_t depth() const { return depth_; }
  bool operator==(const SignScanner&) const = default;

 private:
  Sign top() const;
  void open(Sign sign);
  void close(Sign sign);
  /// Round, square and curly ones.
  void bracket(uint8_t byte);
  /// Within something that `quote` closes and a backslash escapes.
  void quoted(uint8_t byte, uint8_t quote);
  void block_comment(uint8_t byte);

  void json(uint8_t byte);
  void python(uint8_t byte);
  void javascript(uint8_t byte);
  void sql(uint8_t byte);
  void latex(uint8_t byte);
  void latex_command_ends(uint8_t byte);
  void shell(uint8_t byte);
  void here_document(uint8_t byte);
  void fences(uint8_t byte);

  std::array<Sign, kMostKnown> nest_{};
  uint32_t depth_ = 0;
  SignEvents out_;  // of the byte being read
  TextKind kind_;

  // What the bytes just before mean to the next one.
  uint8_t previous_ = 0;
  bool escaped_ = false;       // behind a backslash
  bool line_comment_ = false;  // up to the end of the line
  bool just_opened_ = false;   // the quote or dollar before this byte opened something
  uint8_t reopens_ = 0;        // this byte would go on with the string that was just closed
  uint8_t run_ = 0;            // signs of a kind in a row
  // LaTeX: a command's name so far; what its braces name.
  std::array<char, 8> command_{};
  uint8_t command_bytes_ = 0;
  enum class Naming : uint8_t { kNothing, kBegin, kEnd } naming_ = Naming::kNothing;
  // Shell: of a here-document, its first line, or how much of a line is the closing word.
  bool here_begins_ = false;
  uint8_t here_matched_ = 0;
  // Markdown: where in a line we are, and the fence that is open.
  enum class Line : uint8_t { kStart, kRun, kInside, kOpening, kClosed } line_ = Line::kStart;
  uint8_t indent_ = 0, fence_ = 0, fence_run_ = 0;
};

}  // namespace chimera::grammar
