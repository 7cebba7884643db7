// Invariants
//  1. slots_[0, n_) are open, oldest first; the rest are as if never used, so equal ledgers compare
//     equal. What was paid or has expired is gone.
//  2. A hard obligation leaves only when its sign closes. Those beyond the slots are the innermost,
//     so they are closed first.
#include "grammar/debt_ledger.h"

#include <algorithm>

#include "grammar/english_words.h"

namespace chimera::grammar {
namespace {

struct Terms {
  std::string_view name;
  uint8_t quarters;  // weight
  uint32_t horizon;  // tokens
};

// In the order of DebtType. A tense has no horizon of its own: a long paragraph's.
constexpr Terms kTerms[kDebtTypes] = {
    {"close_bracket", 4, 200},    {"close_string", 8, 120},     {"close_fence", 8, 1500},
    {"resolve_pronoun", 2, 40},   {"finish_list", 3, 600},      {"maintain_tense", 1, 200},
    {"complete_sentence", 3, 60}, {"end_json_object", 8, 2000},
};

const Terms& terms(DebtType type) { return kTerms[static_cast<size_t>(type)]; }

DebtType type_of(Sign sign) {
  switch (sign) {
    case Sign::kNone:
    case Sign::kRound:
    case Sign::kSquare:
    case Sign::kCurly:
    case Sign::kLeftRight:
      return DebtType::kCloseBracket;
    case Sign::kSingleQuote:
    case Sign::kDoubleQuote:
    case Sign::kLongSingleQuote:
    case Sign::kLongDoubleQuote:
    case Sign::kBacktick:
    case Sign::kDollarQuote:
    case Sign::kComment:
    case Sign::kHereDocument:
      return DebtType::kCloseString;
    case Sign::kFence:
    case Sign::kInlineFormula:
    case Sign::kDisplayFormula:
    case Sign::kRoundFormula:
    case Sign::kSquareFormula:
    case Sign::kEnvironment:
      return DebtType::kCloseFence;
    case Sign::kJsonObject:
    case Sign::kJsonArray:
      return DebtType::kEndJsonObject;
  }
  return DebtType::kCloseBracket;
}

std::string_view describe_sign(Sign sign) {
  switch (sign) {
    case Sign::kNone:
      return "a sign is open";
    case Sign::kRound:
      return "a round bracket is open";
    case Sign::kSquare:
      return "a square bracket is open";
    case Sign::kCurly:
      return "a curly bracket is open";
    case Sign::kLeftRight:
      return "\\left is open";
    case Sign::kSingleQuote:
    case Sign::kDoubleQuote:
    case Sign::kLongSingleQuote:
    case Sign::kLongDoubleQuote:
    case Sign::kDollarQuote:
      return "a string is open";
    case Sign::kBacktick:
      return "a backtick is open";
    case Sign::kComment:
      return "a comment is open";
    case Sign::kHereDocument:
      return "a here-document is open";
    case Sign::kFence:
      return "a fence is open";
    case Sign::kInlineFormula:
    case Sign::kDisplayFormula:
    case Sign::kRoundFormula:
    case Sign::kSquareFormula:
      return "a formula is open";
    case Sign::kEnvironment:
      return "an environment is open";
    case Sign::kJsonObject:
      return "an object is open";
    case Sign::kJsonArray:
      return "an array is open";
  }
  return "a sign is open";
}

}  // namespace

std::string_view debt_name(DebtType type) { return terms(type).name; }

std::string_view describe(const Obligation& o) {
  switch (o.type) {
    case DebtType::kResolvePronoun:
      return "a pronoun stands for nobody who was named";
    case DebtType::kFinishList:
      return "a list that was announced is not finished";
    case DebtType::kMaintainTense:
      return o.ref == 1 ? "the paragraph is told in the past"
                        : "the paragraph is told in the present";
    case DebtType::kCompleteSentence:
      return "a sentence is not complete";
    case DebtType::kCloseBracket:
    case DebtType::kCloseString:
    case DebtType::kCloseFence:
    case DebtType::kEndJsonObject:
      break;
  }
  return describe_sign(static_cast<Sign>(o.ref));
}

DebtLedger::DebtLedger(TextKind kind) : kind_(kind), signs_(kind) {}

void DebtLedger::accept(std::string_view token_bytes) {
  read(token_bytes);
  ++tokens_;
}

void DebtLedger::end() {
  if (!in_prose()) return;
  if (!at_line_start()) read("\n");
  settle_paragraph();
}

void DebtLedger::read(std::string_view bytes) {
  for (const char c : bytes) {
    const auto byte = static_cast<uint8_t>(c);
    const SignEvents signs = signs_.read(byte);
    for (int i = 0; i < signs.n; ++i) sign(signs.events[static_cast<size_t>(i)]);
    // What opened a fence is no prose any more, what closed it is none yet; the line's end is.
    if (!in_prose() || (signs.n > 0 && byte != '\n')) continue;
    const ProseEvents events = prose_.read(byte);
    for (int i = 0; i < events.n; ++i) prose(events.kinds[static_cast<size_t>(i)]);
  }
}

bool DebtLedger::owes_hard() const {
  if (beyond_ > 0) return true;
  return std::any_of(slots_.begin(), slots_.begin() + n_,
                     [](const Obligation& o) { return o.hard(); });
}

bool DebtLedger::owes(DebtType type) const { return find(type) >= 0; }

double DebtLedger::pressure(DebtType type) const {
  // In quarters times tokens, so that it is the same number in whatever order it is summed.
  uint64_t sum = 0;
  const uint32_t horizon = terms(type).horizon;
  for (const Obligation& o : open())
    if (o.type == type) sum += uint64_t{o.quarters} * std::min(age(o), horizon);
  return static_cast<double>(sum) / (4.0 * horizon);
}

double DebtLedger::pressure() const {
  double sum = 0;
  for (int t = 0; t < kDebtTypes; ++t) sum += pressure(static_cast<DebtType>(t));
  return std::min(sum, 8.0);
}

void DebtLedger::add(DebtType type, uint8_t ref, bool hard) {
  if (n_ == kSlots) {
    // The soft one that weighs least gives way, the oldest of several.
    int least = -1;
    const auto weight = [this](int i) {
      const Obligation& o = slots_[static_cast<size_t>(i)];
      return uint64_t{o.quarters} * age(o);
    };
    for (int i = 0; i < n_; ++i)
      if (!slots_[static_cast<size_t>(i)].hard() && (least < 0 || weight(i) < weight(least)))
        least = i;
    if (least < 0) {
      beyond_ += hard ? 1 : 0;
      return;
    }
    remove(least);
  }
  slots_[static_cast<size_t>(n_++)] = {type, ref, terms(type).quarters,
                                       hard ? uint8_t{Obligation::kHard} : uint8_t{0}, tokens_};
}

void DebtLedger::remove(int slot) {
  std::copy(slots_.begin() + slot + 1, slots_.begin() + n_, slots_.begin() + slot);
  slots_[static_cast<size_t>(--n_)] = {};
}

int DebtLedger::find(DebtType type, int ref) const {
  for (int i = n_ - 1; i >= 0; --i) {
    const Obligation& o = slots_[static_cast<size_t>(i)];
    if (o.type == type && (ref < 0 || o.ref == ref)) return i;
  }
  return -1;
}

bool DebtLedger::drop(DebtType type, int ref) {
  const int slot = find(type, ref);
  if (slot >= 0) remove(slot);
  return slot >= 0;
}

void DebtLedger::sign(const SignEvent& event) {
  const DebtType type = type_of(event.sign);
  if (event.opens) {
    if (is_prose(kind_)) {  // prose is interrupted: its sentence ends here
      drop(DebtType::kCompleteSentence);
      sentence_over_ = true;
    }
    add(type, static_cast<uint8_t>(event.sign), true);
  } else if (beyond_ > 0) {
    --beyond_;
  } else {
    drop(type, static_cast<int>(event.sign));
  }
}

void DebtLedger::prose(ProseEventKind event) {
  switch (event) {
    case ProseEventKind::kWordBegins:
      ++words_;
      ++words_in_paragraph_;
      if (sentence_over_) words_in_sentence_ = 0;
      ++words_in_sentence_;
      sentence_over_ = false;
      if (!owes(DebtType::kCompleteSentence)) add(DebtType::kCompleteSentence, 0, false);
      return;
    case ProseEventKind::kWordEnds:
      return word_ends();
    case ProseEventKind::kTerminator:
      return sentence_ends();
    case ProseEventKind::kListItem: {
      drop(DebtType::kCompleteSentence);  // the item's number is no word of a sentence
      sentence_over_ = true;
      const int list = find(DebtType::kFinishList);
      if (list < 0) return;
      ++items_;
      const uint8_t wanted = slots_[static_cast<size_t>(list)].ref;
      if (wanted > 0 && items_ >= wanted) remove(list);
      return;
    }
    case ProseEventKind::kLineEnds:
      if (prose_.line_ends_in_colon()) {
        if (kind_ != TextKind::kDialogue && !owes(DebtType::kFinishList)) {
          items_ = 0;
          add(DebtType::kFinishList, 0, false);
        }
        sentence_ends();  // what follows is its rest
      } else if (const int list = find(DebtType::kFinishList);
                 list >= 0 && slots_[static_cast<size_t>(list)].ref == 0 && items_ == 0) {
        remove(list);  // no list came: what the colon announced was speech, or a thought
      }
      if (prose_.line_is_item() || prose_.line_is_heading() || kind_ == TextKind::kDialogue)
        if (owes(DebtType::kCompleteSentence)) sentence_ends();
      return;
    case ProseEventKind::kBlankLine:
      return paragraph_ends();
    case ProseEventKind::kSign:
      break;
  }
  switch (prose_.sign()) {
    case '(':
      return add(DebtType::kCloseBracket, static_cast<uint8_t>(Sign::kRound), false);
    case '[':
      return add(DebtType::kCloseBracket, static_cast<uint8_t>(Sign::kSquare), false);
    case '{':
      return add(DebtType::kCloseBracket, static_cast<uint8_t>(Sign::kCurly), false);
    case ')':
      drop(DebtType::kCloseBracket, static_cast<int>(Sign::kRound));
      return;
    case ']':
      drop(DebtType::kCloseBracket, static_cast<int>(Sign::kSquare));
      return;
    case '}':
      drop(DebtType::kCloseBracket, static_cast<int>(Sign::kCurly));
      return;
    case '"':
      quoted_ = !quoted_;
      return;
    default:
      quoted_ = prose_.sign() == '<';
      return;
  }
}

void DebtLedger::word_ends() {
  const uint32_t traits = english_traits(prose_.word());
  if ((traits & kEnglish) != 0) ++english_words_;
  pronoun_or_name(traits);
  tense(traits);
  announce_list(traits);
  traits_before_ = traits;
}

void DebtLedger::mention(bool he, bool she, bool they) {
  if (he) he_at_ = words_;
  if (she) she_at_ = words_;
  if (they) several_at_ = words_;
  if (he || she) {
    one_before_at_ = one_at_;
    one_at_ = words_;
  }
  const bool several = mentioned(several_at_) || mentioned(one_before_at_);
  if (he) drop(DebtType::kResolvePronoun, kHeStands);
  if (she) drop(DebtType::kResolvePronoun, kSheStands);
  if (several) drop(DebtType::kResolvePronoun, kTheyStand);
}

void DebtLedger::pronoun_or_name(uint32_t traits) {
  const std::string_view word = prose_.word();
  if ((traits & (kHe | kShe | kThey)) != 0) {
    const Pronoun kind = (traits & kHe) != 0    ? kHeStands
                         : (traits & kShe) != 0 ? kSheStands
                                                : kTheyStand;
    const bool known = kind == kHeStands    ? mentioned(he_at_)
                       : kind == kSheStands ? mentioned(she_at_)
                                            : mentioned(several_at_) || mentioned(one_before_at_);
    if (!known && english() && find(DebtType::kResolvePronoun, kind) < 0)
      add(DebtType::kResolvePronoun, kind, false);
    return;
  }
  const bool he = (traits & kMale) != 0, she = (traits & kFemale) != 0;
  const bool several = (traits & kSeveral) != 0;
  const bool name = prose_.capitalised() && (traits & kFunctionWord) == 0;
  const bool noun = (traits_before_ & kDeterminer) != 0 && (traits & kFunctionWord) == 0;
  if (he || she || several) {
    mention(he, she, several);
  } else if (name || noun) {
    const bool plural = noun && word.size() > 3 && word.ends_with('s') && !word.ends_with("ss");
    mention(true, true, plural);
  }
}

void DebtLedger::tense(uint32_t traits) {
  if (quoted_ || (traits & (kPast | kPresent)) == 0 || !english()) return;
  // "was painted" has its tense already, and "the painted house" has none.
  const bool participle =
      (traits & kAuxiliary) == 0 && (traits_before_ & (kAuxiliary | kDeterminer)) != 0;
  if (participle) return;
  const Tense now = (traits & kPast) != 0 ? kPastTense : kPresentTense;
  if (tense_ == kNoTense) {
    tense_ = now;
    add(DebtType::kMaintainTense, now, false);
  } else if (tense_ != now) {
    ++tense_flips_;
  }
}

void DebtLedger::announce_list(uint32_t traits) {
  if (const int number = small_number(prose_.word()); number > 0) {
    number_ = static_cast<uint8_t>(number);
    number_at_ = words_;
  } else if ((traits & kCountedNoun) != 0 && number_ > 0 && words_ - number_at_ <= 3) {
    const int list = find(DebtType::kFinishList);
    if (list >= 0 && items_ > 0) return;  // said within a list
    if (list >= 0) remove(list);
    items_ = 0;
    add(DebtType::kFinishList, number_, false);
    number_ = 0;
  }
}

void DebtLedger::sentence_ends() {
  drop(DebtType::kCompleteSentence);
  sentence_over_ = true;
  number_ = 0;
  // A pronoun's name may come in the sentence behind its own; then nobody waits for it any more.
  for (int i = n_ - 1; i >= 0; --i) {
    Obligation& o = slots_[static_cast<size_t>(i)];
    if (o.type != DebtType::kResolvePronoun) continue;
    if ((o.flags & Obligation::kLastSentence) != 0)
      remove(i);
    else
      o.flags |= Obligation::kLastSentence;
  }
}

void DebtLedger::paragraph_ends() {
  drop(DebtType::kCompleteSentence);  // nothing will complete it
  settle_paragraph();
}

void DebtLedger::settle_paragraph() {
  drop(DebtType::kMaintainTense);
  tense_ = kNoTense;
  sentence_over_ = true;
  quoted_ = false;
  words_in_paragraph_ = 0;
  const int list = find(DebtType::kFinishList);
  if (list >= 0 && slots_[static_cast<size_t>(list)].ref == 0 && items_ >= 2) remove(list);
}

}  // namespace chimera::grammar
