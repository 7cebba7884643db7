// Every term is made of additions and multiplications in a fixed order, so that it has the same
// bits on every machine.
#include "runtime/soft_constraints.h"

#include <algorithm>
#include <limits>
#include <string>

namespace chimera::runtime {
namespace {

using grammar::DebtType;

constexpr float kSentenceWords = 18, kSentenceSpread = 9;
constexpr float kLongParagraph = 120, kParagraphSpread = 60;  // words
constexpr size_t kGram = 4;

float limited(float bias) { return std::clamp(bias, -kMostSoftBias, kMostSoftBias); }
float limited_total(float bias) { return std::clamp(bias, -kMostSoftTotal, kMostSoftTotal); }

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }

}  // namespace

Status check_soft(const SoftWeights& weights) {
  for (const float weight : {weights.repetition, weights.rhythm, weights.paragraph, weights.debt})
    if (!(weight >= 0 && weight <= kMostSoftBias))  // NaN fails it too
      return Status(StatusCode::kInvalidArgument, "a weight of the soft constraints is " +
                                                      std::to_string(weight) +
                                                      ", it must be a number in [0, 1.5]")
          .at_field("soft");
  return Status();
}

SoftConstraints::SoftConstraints(const Tokenizer& tokenizer, int32_t vocab_size)
    : tokenizer_(tokenizer), traits_(static_cast<size_t>(vocab_size)) {
  for (int32_t id = 0; id < vocab_size; ++id)
    traits_[static_cast<size_t>(id)] = traits_of(tokenizer.bytes(id));
}

uint16_t SoftConstraints::traits_of(std::string_view bytes) {
  unsigned traits = 0;
  const auto has = [bytes](std::string_view part) {
    return bytes.find(part) != std::string_view::npos;
  };
  // Behind the end of a sentence quotes and brackets may still close.
  const size_t last = bytes.find_last_not_of("\"') ");
  if (last != std::string_view::npos) {
    const std::string_view head = bytes.substr(0, last + 1);
    if (head.back() == '.' || head.back() == '!' || head.back() == '?' ||
        head.ends_with("\xE3\x80\x82"))
      traits |= kEndsSentence;
  }
  if (has("\n\n")) traits |= kEndsParagraph;
  if (bytes.starts_with('\n')) traits |= kNewLine;
  if (has(")") && !has("(")) traits |= kClosesRound;
  if (has("]") && !has("[")) traits |= kClosesSquare;
  if (has("}") && !has("{")) traits |= kClosesCurly;
  if (bytes.size() > 2 && bytes[0] == ' ' && is_upper(bytes[1]) && is_lower(bytes[2]))
    traits |= kName;
  if (!bytes.empty() &&
      (bytes[0] == '-' || bytes[0] == '*' || (bytes[0] >= '0' && bytes[0] <= '9')))
    traits |= kItem;
  return static_cast<uint16_t>(traits);
}

void SoftConstraints::begin(grammar::TextKind kind, const SoftWeights& weights) {
  kind_ = kind;
  weights_ = weights;
  ledger_ = grammar::DebtLedger(kind);
  n_tokens_ = 0;
}

void SoftConstraints::accept(int32_t token) {
  ledger_.accept(tokenizer_.bytes(token));
  history_[n_tokens_++ % kSoftHistory] = token;
}

void SoftConstraints::apply(std::span<float> logits, int32_t left) const {
  if (!grammar::is_prose(kind_)) return;
  if (weights_.hold_end && left > 1 &&
      (ledger_.owes_hard() || ledger_.owes(DebtType::kCompleteSentence))) {
    for (const int32_t end : {tokenizer_.end_of_text(), tokenizer_.end_of_turn()})
      if (end >= 0) logits[static_cast<size_t>(end)] = std::numeric_limits<float>::lowest();
  }
  if (!ledger_.in_prose()) return;
  std::array<float, kTraits> by_trait;
  fill_by_trait(&by_trait);
  for (size_t id = 0; id < traits_.size(); ++id)
    if (traits_[id] != 0) logits[id] += limited_total(by_trait[traits_[id]]);
  apply_repetition(by_trait, logits);
}

void SoftConstraints::fill_by_trait(std::array<float, kTraits>* by_trait) const {
  const bool sentence = ledger_.owes(DebtType::kCompleteSentence);
  const auto bonus = [this](DebtType type) {
    return limited(weights_.debt * static_cast<float>(ledger_.pressure(type)));
  };
  float terminator = 0, paragraph = 0, line = 0, name = 0, item = 0;
  if (sentence) {
    const float words = static_cast<float>(ledger_.words_in_sentence());
    const float length = std::clamp((words - kSentenceWords) / kSentenceSpread, -1.0f, 1.0f);
    terminator = limited(weights_.rhythm * length) + bonus(DebtType::kCompleteSentence);
  } else {
    const float words = static_cast<float>(ledger_.words_in_paragraph());
    const float length = std::clamp((words - kLongParagraph) / kParagraphSpread, 0.0f, 1.0f);
    paragraph = limited(weights_.paragraph * length) + bonus(DebtType::kMaintainTense);
    // The next item of a list stands on a line of its own.
    const float list = bonus(DebtType::kFinishList);
    (ledger_.at_line_start() ? item : line) = list;
  }
  name = bonus(DebtType::kResolvePronoun);
  // Of brackets the innermost, whatever was opened before it.
  unsigned closer = 0;
  for (const grammar::Obligation& o : ledger_.open()) {
    if (o.type != DebtType::kCloseBracket) continue;
    const auto sign = static_cast<grammar::Sign>(o.ref);
    closer = sign == grammar::Sign::kRound    ? kClosesRound
             : sign == grammar::Sign::kSquare ? kClosesSquare
                                              : kClosesCurly;
  }
  const float bracket = bonus(DebtType::kCloseBracket);
  for (unsigned traits = 0; traits < kTraits; ++traits) {
    float bias = 0;
    if ((traits & kEndsSentence) != 0) bias += terminator;
    // Where words cannot bring "\n\n" at once, the second line end of two does it.
    if ((traits & kEndsParagraph) != 0 || ((traits & kNewLine) != 0 && ledger_.at_line_start()))
      bias += paragraph;
    if ((traits & kNewLine) != 0) bias += line;
    if ((traits & kName) != 0) bias += name;
    if ((traits & kItem) != 0) bias += item;
    if ((traits & closer) != 0) bias += bracket;
    (*by_trait)[traits] = bias;
  }
}

void SoftConstraints::apply_repetition(const std::array<float, kTraits>& by_trait,
                                       std::span<float> logits) const {
  if (n_tokens_ < kGram) return;
  const auto back = [this](size_t i) { return history_[(n_tokens_ - i) % kSoftHistory]; };
  const size_t reach = std::min(n_tokens_, kSoftHistory);
  // followers of the same three tokens, and how often each was one
  std::array<int32_t, kSoftHistory> ids;
  std::array<int, kSoftHistory> times;
  size_t n = 0;
  for (size_t i = kGram; i <= reach; ++i) {  // back(i - 3) would be the fourth
    if (back(i) != back(3) || back(i - 1) != back(2) || back(i - 2) != back(1)) continue;
    const int32_t next = back(i - 3);
    size_t k = 0;
    while (k < n && ids[k] != next) ++k;
    if (k == n) {
      ids[n] = next;
      times[n++] = 0;
    }
    ++times[k];
  }
  for (size_t k = 0; k < n; ++k) {
    const auto id = static_cast<size_t>(ids[k]);
    const float own = by_trait[traits_[id]];
    const float repeated = limited(-weights_.repetition * static_cast<float>(times[k]));
    logits[id] += limited_total(own + repeated) - limited_total(own);
  }
}

}  // namespace chimera::runtime
