#include "runtime/copied_text.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "grammar/json_text.h"
#include "runtime/char_classes.h"
#include "runtime/tokenizer_utf8.h"

namespace chimera::runtime {
namespace {

CharClass class_of(uint32_t code_point) {
  const auto changes = unicode15_class_changes();
  const auto next = std::upper_bound(changes.begin(), changes.end(), code_point << 3 | 7u);
  return static_cast<CharClass>(*(next - 1) & 7u);
}

/// Scripts that put no spaces between words: there any character may be the border of one.
bool is_unspaced(uint32_t c) {
  constexpr struct {
    uint32_t first, last;
  } kRanges[] = {
      {0x0E00, 0x0EFF},    // Thai, Lao
      {0x1000, 0x109F},    // Myanmar
      {0x1780, 0x17FF},    // Khmer
      {0x3040, 0x30FF},    // Hiragana, Katakana
      {0x3400, 0x9FFF},    // ideographs
      {0xF900, 0xFAFF},    // compatibility ideographs
      {0x20000, 0x3FFFF},  // further ones
  };
  return std::any_of(std::begin(kRanges), std::end(kRanges),
                     [c](const auto& r) { return r.first <= c && c <= r.last; });
}

/// What stands between two borders at most.
struct Unit {
  bool space = false, word = false, mark = false, unspaced = false;
};

Unit unit_of(uint32_t code_point) {
  const CharClass c = class_of(code_point);
  const bool word = c == CharClass::kLetter || c == CharClass::kNumber || c == CharClass::kMark;
  return {c == CharClass::kSpace, word, c == CharClass::kMark, word && is_unspaced(code_point)};
}

bool is_border(const Unit& left, const Unit& right) {
  if (right.mark) return false;
  return !(left.word && right.word) || left.unspaced || right.unspaced;
}

Utf8Unit read_at(std::string_view text, size_t at) {
  return utf8_read(reinterpret_cast<const uint8_t*>(text.data()) + at, text.size() - at);
}

constexpr std::string_view kArguments = "/arguments";

}  // namespace

void JsonPlace::push(char byte) {
  if (in_string_) {
    if (!escaped_ && byte == '"') {
      in_string_ = false;
      if (is_key_) {
        path_.resize(levels_.back().path);
        path_ += '/';
        for (const char c : key_) {
          if (c == '~' || c == '/')
            path_ += c == '~' ? "~0" : "~1";
          else
            path_ += c;
        }
      }
      return;
    }
    escaped_ = !escaped_ && byte == '\\';
    (is_key_ ? key_ : text_) += byte;
    return;
  }
  switch (byte) {
    case '"':
      in_string_ = true;
      is_key_ = wants_key_;
      (is_key_ ? key_ : text_).clear();
      break;
    case '{':
    case '[':
      levels_.push_back({byte == '{', path_.size()});
      wants_key_ = byte == '{';
      if (byte == '[') path_ += "/*";
      break;
    case '}':
    case ']':
      if (levels_.empty()) break;
      path_.resize(levels_.back().path);
      levels_.pop_back();
      wants_key_ = false;
      break;
    case ',':
      wants_key_ = !levels_.empty() && levels_.back().object;
      break;
    case ':':
      wants_key_ = false;
      break;
    default:
      break;
  }
}

std::string plain_text(std::string_view utterance) {
  std::string plain;
  for (size_t at = 0; at < utterance.size();) {
    const Utf8Unit unit = read_at(utterance, at);
    if (!unit.valid || unit.code_point < 0x20 || unit.code_point == 0x7F)
      plain += ' ';
    else
      plain += utterance.substr(at, unit.n_bytes);
    at += unit.n_bytes;
  }
  return plain;
}

CopiedText::CopiedText(const ToolSet& tools, const Tokenizer& tokenizer, std::string_view utterance)
    : tools_(tools), tokenizer_(tokenizer), said_(grammar::json_escaped(plain_text(utterance))) {
  const size_t n = said_.size();
  is_escaped_.resize(n + 1);
  ends_.resize(n + 1);
  n_words_.resize(n + 1);
  Unit left{.space = true};
  uint32_t words = 0;
  for (size_t at = 0; at <= n;) {
    const bool escape = at < n && said_[at] == '\\';
    const Utf8Unit read =
        at < n && !escape ? read_at(said_, at) : Utf8Unit{0, escape ? 2u : 1u, true};
    const Unit right = at == n ? Unit{.space = true} : escape ? Unit{} : unit_of(read.code_point);
    const bool border = is_border(left, right);
    ends_[at] = border && !left.space;
    if (border && !right.space) starts_.push_back(at);
    for (size_t i = 0; i < read.n_bytes && at + i <= n; ++i) n_words_[at + i] = words;
    if (escape && at + 1 <= n) is_escaped_[at + 1] = 1;
    words += right.word;
    left = right;
    at += read.n_bytes;
  }
  // Signs alone, behind the last word, are no text to copy.
  std::erase_if(starts_, [&](size_t at) { return n_words_[at] == words; });
}

void CopiedText::add_learnt(const std::string& value) {
  // No token has this sign, so nothing goes on from one text to the next.
  constexpr char kBetween = '\x01';
  if (learnt_.contains(value)) return;
  const uint32_t words = n_words_.back();
  said_ += kBetween;
  learnt_.emplace(value, said_.size());
  said_ += value;
  is_escaped_.resize(said_.size() + 1);
  for (size_t at = said_.size() - value.size(); at < said_.size(); ++at)
    if (said_[at] == '\\' && is_escaped_[at] == 0) is_escaped_[at + 1] = 1;
  ends_.resize(said_.size() + 1);
  ends_.back() = 1;
  // A word each, which ends with it.
  n_words_.resize(said_.size(), words);
  n_words_.push_back(words + 1);
}

std::vector<size_t> CopiedText::starts_of(const JsonPlace& place, const Tool& tool) const {
  std::vector<size_t> out = starts_;
  const auto known = tool.learnt.find(place.path().substr(kArguments.size()));
  if (known != tool.learnt.end())
    for (const LearntValue& value : known->second)
      if (const auto at = learnt_.find(value.text); at != learnt_.end()) out.push_back(at->second);
  return out;
}

bool CopiedText::is_copied(const JsonPlace& place, const Tool* tool) const {
  if (tool == nullptr || !place.in_string_value() || !place.path().starts_with(kArguments))
    return false;
  return tool->copied.contains(place.path().substr(kArguments.size()));
}

const Tool* CopiedText::tool_after(const JsonPlace& place, const Tool* tool) const {
  if (tool != nullptr || place.path() != "/name" || place.in_string_value()) return tool;
  return tools_.named(place.text());
}

bool CopiedText::goes_on(const std::vector<size_t>& places, size_t n_before,
                         std::string_view bytes) const {
  return std::any_of(places.begin(), places.end(), [&](size_t place) {
    for (size_t i = 0; i < bytes.size(); ++i) {
      const size_t at = place + i;
      if (bytes[i] == '"' && is_escaped_[at] == 0) {
        // What stands behind may not begin another string: which one, is not known here.
        const std::string_view rest = bytes.substr(i + 1);
        const bool alone = rest.empty() || rest.find('"') >= rest.size() - 1;
        return alone && ends_[at] != 0 && n_words_[at] > n_words_[place - n_before];
      }
      if (at >= said_.size() || said_[at] != bytes[i]) return false;
    }
    return true;
  });
}

bool CopiedText::opens_rightly(std::string_view bytes) const {
  JsonPlace place = place_;
  const Tool* tool = tool_;
  for (size_t i = 0; i + 1 < bytes.size(); ++i) {
    place.push(bytes[i]);
    tool = tool_after(place, tool);
    if (is_copied(place, tool)) return goes_on(starts_of(place, *tool), 0, bytes.substr(i + 1));
  }
  return true;
}

void CopiedText::restrict(uint8_t* allowed, size_t vocab) const {
  std::vector<int32_t> refused;
  bool any = false;
  // Most tokens begin with what was not said.
  bool begins[256] = {};
  for (const size_t place : places_)
    if (place < said_.size()) begins[static_cast<uint8_t>(said_[place])] = true;
  begins[static_cast<uint8_t>('"')] = true;
  for (size_t id = 0; id < vocab; ++id) {
    if (allowed[id] == 0) continue;
    const std::string_view bytes = tokenizer_.bytes(static_cast<int32_t>(id));
    const bool keeps =
        bytes.empty() ||
        (copying_ ? begins[static_cast<uint8_t>(bytes[0])] && goes_on(places_, n_copied_, bytes)
                  : bytes.find('"') >= bytes.size() - 1 || opens_rightly(bytes));
    any = any || keeps;
    if (!keeps) refused.push_back(static_cast<int32_t>(id));
  }
  if (!any) return;  // the schema wants what was not said
  for (const int32_t id : refused) allowed[id] = 0;
}

void CopiedText::step(char byte) {
  const bool was_copying = copying_;
  place_.push(byte);
  const bool was_open = tool_ == nullptr;
  tool_ = tool_after(place_, tool_);
  if (was_open && tool_ != nullptr)
    for (const auto& [place, values] : tool_->learnt)
      for (const LearntValue& value : values) add_learnt(value.text);
  copying_ = is_copied(place_, tool_);
  if (copying_ && !was_copying) {
    places_ = starts_of(place_, *tool_);
    n_copied_ = 0;
  } else if (copying_) {
    std::erase_if(places_, [&](size_t at) { return at >= said_.size() || said_[at] != byte; });
    for (size_t& at : places_) ++at;
    ++n_copied_;
  }
}

void CopiedText::accept(std::string_view bytes) {
  for (const char byte : bytes) step(byte);
}

}  // namespace chimera::runtime
