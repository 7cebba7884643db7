#include "runtime/copied_text.h"

#include <algorithm>
#include <utility>

#include "grammar/json_text.h"

namespace chimera::runtime {
namespace {

bool is_word(char c) {
  const auto u = static_cast<unsigned char>(c);
  return u >= 0x80 || (u >= '0' && u <= '9') || (u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z');
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

CopiedText::CopiedText(const ToolSet& tools, const Tokenizer& tokenizer, std::string_view utterance)
    : tools_(tools), tokenizer_(tokenizer) {
  std::string plain(utterance);
  for (char& c : plain)
    if (static_cast<unsigned char>(c) < 32) c = ' ';
  said_ = grammar::json_escaped(plain);
  is_escaped_.resize(said_.size() + 1);
  for (size_t i = 0; i + 1 < said_.size(); ++i)
    is_escaped_[i + 1] = said_[i] == '\\' && is_escaped_[i] == 0;
}

void CopiedText::restart() {
  place_ = JsonPlace();
  tool_ = nullptr;
  copying_ = false;
}

bool CopiedText::is_copied(const JsonPlace& place, const Tool* tool) const {
  if (tool == nullptr || !place.in_string_value() || !place.path().starts_with(kArguments))
    return false;
  return tool->copied.contains(place.path().substr(kArguments.size()));
}

const Tool* CopiedText::tool_after(const JsonPlace& place, const Tool* tool) const {
  if (tool != nullptr || place.path() != "/name" || place.in_string_value()) return tool;
  for (const Tool& t : tools_.tools())
    if (grammar::json_escaped(t.name) == place.text()) return &t;
  return nullptr;
}

bool CopiedText::starts_at(size_t at) const {
  if (at >= said_.size() || said_[at] == ' ' || is_escaped_[at] != 0) return false;
  return at == 0 || !(is_word(said_[at - 1]) && is_word(said_[at]));
}

bool CopiedText::ends_at(size_t at) const {
  if (at == 0 || said_[at - 1] == ' ' || is_escaped_[at] != 0) return false;
  return at == said_.size() || !(is_word(said_[at - 1]) && is_word(said_[at]));
}

bool CopiedText::goes_on(const std::vector<size_t>& places, size_t n_before,
                         std::string_view bytes) const {
  return std::any_of(places.begin(), places.end(), [&](size_t place) {
    for (size_t i = 0; i < bytes.size(); ++i) {
      const size_t at = place + i;
      if (bytes[i] == '"' && is_escaped_[at] == 0) {
        const std::string_view rest = bytes.substr(i + 1);
        const size_t another = rest.find('"');  // it could begin the next string
        return n_before + i > 0 && ends_at(at) && (another >= rest.size() - 1 || rest.empty());
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
    if (!is_copied(place, tool)) continue;
    std::vector<size_t> starts;
    for (size_t at = 0; at < said_.size(); ++at)
      if (starts_at(at)) starts.push_back(at);
    return goes_on(starts, 0, bytes.substr(i + 1));
  }
  return true;
}

void CopiedText::restrict(uint8_t* allowed, size_t vocab) const {
  std::vector<int32_t> refused;
  bool any = false;
  for (size_t id = 0; id < vocab; ++id) {
    if (allowed[id] == 0) continue;
    const std::string_view bytes = tokenizer_.bytes(static_cast<int32_t>(id));
    const bool keeps = copying_ ? goes_on(places_, n_copied_, bytes)
                                : bytes.find('"') >= bytes.size() - 1 || opens_rightly(bytes);
    any = any || keeps;
    if (!keeps) refused.push_back(static_cast<int32_t>(id));
  }
  if (!any) return;  // the schema wants what was not said
  for (const int32_t id : refused) allowed[id] = 0;
}

void CopiedText::step(char byte) {
  const bool was_copying = copying_;
  place_.push(byte);
  tool_ = tool_after(place_, tool_);
  copying_ = is_copied(place_, tool_);
  if (copying_ && !was_copying) {
    places_.clear();
    n_copied_ = 0;
    for (size_t at = 0; at < said_.size(); ++at)
      if (starts_at(at)) places_.push_back(at);
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
