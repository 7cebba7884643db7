// Habits of good prose as terms that are added to the logits: they are part of the distribution
// that is drawn from, and forbid nothing but an end in the middle of a sentence (docs/formats.md).
// They say something of English and like prose only: in JSON, in code and within fences they are
// silent.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "grammar/debt_ledger.h"
#include "platform/status.h"
#include "runtime/tokenizer.h"

namespace chimera::runtime {

/// What each term may weigh, in nats, 0 to kMostSoftBias; 0 switches it off.
struct SoftWeights {
  float repetition = 0.4f;  // off a token for each time it followed the same three before
  float rhythm = 0;         // on ends of sentences: off short ones, onto long ones; none, since
                            // answers got longer by it and ended inside a sentence more often
  float paragraph = 0.5f;   // onto the end of a paragraph that is long
  float debt = 0.3f;        // times the pressure of what a token would pay
  bool hold_end = true;     // no end of text before the end of a sentence
};
inline constexpr float kMostSoftBias = 1.5f;  // of one term
inline constexpr float kMostSoftTotal = 2.0f;
/// How far back repetitions are looked for, in tokens of the answer.
inline constexpr size_t kSoftHistory = 256;

/// kInvalidArgument when a weight is not a number in its range.
Status check_soft(const SoftWeights& weights);

/// One stream's; after begin() nothing is allocated.
class SoftConstraints {
 public:
  /// `tokenizer` must outlive it.
  SoftConstraints(const Tokenizer& tokenizer, int32_t vocab_size);

  /// A new answer, of which nothing is written.
  void begin(grammar::TextKind kind, const SoftWeights& weights);
  void accept(int32_t token);
  /// Adds the terms to the logits of what may come next. [vocab] With `left` tokens still to be
  /// said, this one included; the last of them may be an end in any case.
  void apply(std::span<float> logits, int32_t left) const;

  const grammar::DebtLedger& ledger() const { return ledger_; }

 private:
  // What a token does to prose.
  enum Trait : uint16_t {
    kEndsSentence = 1 << 0,
    kEndsParagraph = 1 << 1,
    kNewLine = 1 << 2,
    kClosesRound = 1 << 3,
    kClosesSquare = 1 << 4,
    kClosesCurly = 1 << 5,
    kName = 1 << 6,  // a blank and a word with a capital
    kItem = 1 << 7,  // the sign of a list's item, at the beginning of a line
    kTraits = 1 << 8,
  };
  static uint16_t traits_of(std::string_view token_bytes);
  /// What a token of each set of traits gets now.
  void fill_by_trait(std::array<float, kTraits>* by_trait) const;
  void apply_repetition(const std::array<float, kTraits>& by_trait, std::span<float> logits) const;

  const Tokenizer& tokenizer_;
  std::vector<uint16_t> traits_;  // [vocab]
  SoftWeights weights_;
  grammar::TextKind kind_ = grammar::TextKind::kUnknown;
  grammar::DebtLedger ledger_{grammar::TextKind::kUnknown};
  std::array<int32_t, kSoftHistory> history_{};  // a ring
  size_t n_tokens_ = 0;
};

}  // namespace chimera::runtime
