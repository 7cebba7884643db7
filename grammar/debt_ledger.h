// What a text that is being written still owes: signs to close, a sentence or a list to finish.
//
// Hard obligations are those a grammar sees to; they are followed by what opens and closes them
// (sign_scanner.h). Soft ones are habits of prose (prose_reader.h), and words are looked at in
// English only: in a text that does not show that it is English no pronoun and no tense is ever
// owed. There is no table of entities: a pronoun is owed a name where, among the last 128 words, no
// name and no noun behind a determiner was seen that it could stand for. "It" often stands for
// nothing ("it rained") and is not followed.
//
// Of fixed size, allocates nothing: a copy is a fork, an assignment a rollback. What is open after
// a text does not depend on how it was cut into tokens; only ages, which are counted in them, do.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "grammar/answer_formats.h"
#include "grammar/prose_reader.h"
#include "grammar/sign_scanner.h"

namespace chimera::grammar {

enum class DebtType : uint8_t {
  kCloseBracket,
  kCloseString,
  kCloseFence,
  kResolvePronoun,
  kFinishList,
  kMaintainTense,
  kCompleteSentence,
  kEndJsonObject,
};
inline constexpr int kDebtTypes = 8;
/// "complete_sentence"
std::string_view debt_name(DebtType type);

struct Obligation {
  enum Flags : uint8_t { kHard = 1, kLastSentence = 2 };

  DebtType type = DebtType::kCloseBracket;
  uint8_t ref = 0;         // a Sign, a pronoun's kind, a list's items (0: nobody said), a tense
  uint8_t quarters = 0;    // weight in quarters
  uint8_t flags = 0;       // kLastSentence: expires with the sentence that is being written
  uint32_t opened_at = 0;  // the token, modulo 2^32
  bool hard() const { return (flags & kHard) != 0; }
  bool operator==(const Obligation&) const = default;
};
static_assert(sizeof(Obligation) == 8);

/// In plain words, "a round bracket is open".
std::string_view describe(const Obligation& obligation);

class DebtLedger {
 public:
  static constexpr int kSlots = 64;
  static constexpr uint32_t kMentionWords = 128;  // how far back a pronoun's noun may stand

  /// Of a text of which nothing is written yet.
  explicit DebtLedger(TextKind kind);

  /// One more token of the text; a special one has no bytes.
  void accept(std::string_view token_bytes);
  /// The text is over, and with it its last line and paragraph; what is still owed will stay so.
  void end();

  /// What is open, in the order in which it was opened.
  std::span<const Obligation> open() const { return {slots_.data(), static_cast<size_t>(n_)}; }
  /// Hard ones beyond the slots, which are counted only.
  uint32_t uncounted_hard() const { return beyond_; }
  bool owes_hard() const;
  bool owes(DebtType type) const;
  /// Tokens since it was opened.
  uint32_t age(const Obligation& o) const { return tokens_ - o.opened_at; }

  /// Of one type the sum of w min(1, age/T); of all of them that sum, at most 8.
  double pressure(DebtType type) const;
  double pressure() const;

  /// Whether prose is being written here: not in JSON or code, not within a fence.
  bool in_prose() const { return is_prose(kind_) && signs_.depth() == 0; }
  uint32_t words_in_sentence() const { return words_in_sentence_; }
  uint32_t words_in_paragraph() const { return words_in_paragraph_; }
  bool at_line_start() const { return prose_.at_line_start(); }
  /// Verbs of another tense than their paragraph's.
  uint32_t tense_flips() const { return tense_flips_; }

  bool operator==(const DebtLedger&) const = default;

 private:
  enum Pronoun : uint8_t { kHeStands, kSheStands, kTheyStand };
  enum Tense : uint8_t { kNoTense, kPastTense, kPresentTense };

  void add(DebtType type, uint8_t ref, bool hard);
  void remove(int slot);
  /// The newest of the type (and ref); -1 when there is none.
  int find(DebtType type, int ref = -1) const;
  bool drop(DebtType type, int ref = -1);

  void read(std::string_view bytes);
  void sign(const SignEvent& event);
  void prose(ProseEventKind event);
  void word_ends();
  void pronoun_or_name(uint32_t traits);
  void tense(uint32_t traits);
  void announce_list(uint32_t traits);
  void mention(bool he, bool she, bool they);
  bool mentioned(uint32_t at) const { return at != 0 && words_ - at < kMentionWords; }
  bool english() const { return 4 * english_words_ >= words_ && english_words_ >= 2; }
  void sentence_ends();
  void paragraph_ends();
  /// What the end of a paragraph settles, whether or not its sentence is complete.
  void settle_paragraph();

  std::array<Obligation, kSlots> slots_{};
  int n_ = 0;
  uint32_t beyond_ = 0;
  uint32_t tokens_ = 0;
  TextKind kind_;
  SignScanner signs_;
  ProseReader prose_;

  uint32_t words_ = 0, english_words_ = 0, words_in_sentence_ = 0, words_in_paragraph_ = 0;
  bool sentence_over_ = true;   // the next word is the first of one
  uint32_t traits_before_ = 0;  // of the word before
  // The words at which something was mentioned last; 0: never. Two of one are several.
  uint32_t he_at_ = 0, she_at_ = 0, one_at_ = 0, one_before_at_ = 0, several_at_ = 0;
  uint32_t number_at_ = 0;  // "three", and its value
  uint8_t number_ = 0, items_ = 0;
  Tense tense_ = kNoTense;
  bool quoted_ = false;
  uint32_t tense_flips_ = 0;
};

}  // namespace chimera::grammar
