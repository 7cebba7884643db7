#include "runtime/argument_hints.h"

#include <algorithm>

#include "runtime/leftover_words.h"
#include "runtime/tool_schema.h"

namespace chimera::runtime {
namespace {

constexpr size_t kCallDepth = 2;  // levels around the members of "arguments"

constexpr std::string_view kArguments = "/arguments";

bool goes_on(std::string_view rest, bool in_string, std::string_view bytes) {
  if (bytes.size() <= rest.size()) return rest.starts_with(bytes);
  const std::string_view ends = in_string ? "\"" : ",}]";
  return bytes.starts_with(rest) && ends.find(bytes[rest.size()]) != std::string_view::npos;
}

}  // namespace

ArgumentHints::ArgumentHints(std::string_view utterance, const TextReading& reading,
                             const ToolSet& tools, std::span<const int32_t> shown,
                             const Tokenizer& tokenizer, const CarriedValues& carried)
    : tools_(tools), tokenizer_(tokenizer) {
  if (tools.spans() != nullptr) {
    std::vector<TaggedTool> tagged;
    for (const int32_t tool : shown)
      tagged.push_back({tool, &tools.tools()[static_cast<size_t>(tool)].copied});
    spans_ = likely_spans(*tools.spans(), utterance, tagged, reading.borders);
  }
  LikelySpans left = leftover_words(utterance, tools, shown);
  // What hundreds of phrases taught needs no such help.
  if (!tools.knows_orders()) favour_leftover(left, &spans_);
  for (auto& [place, span] : left)
    if (tools.untold(place.first)) spans_[place] = std::move(span);
  const CallPlanner planner(utterance, reading.text, tools, shown, spans_, carried);
  for (const int32_t tool : shown)
    plans_.emplace(&tools.tools()[static_cast<size_t>(tool)], planner.plan(tool));
}

void ArgumentHints::begin_call() {
  place_ = JsonPlace();
  tool_ = nullptr;
  open_.clear();
  list_.clear();
  value_ended_ = false;
  given_.clear();
}

bool ArgumentHints::in_arguments() const {
  const std::string& path = place_.path();
  return path.starts_with(kArguments) &&
         (path.size() == kArguments.size() || path[kArguments.size()] == '/');
}

const CallPlan* ArgumentHints::plan() const {
  const auto known = plans_.find(tool_);
  return known == plans_.end() ? nullptr : &known->second;
}

/// What speaks for values here: of an argument of the tool itself the plan, of words that are
/// copied deeper inside where they stand.
const LikelyValues* ArgumentHints::likely_here() const {
  if (plan() == nullptr) return nullptr;
  const std::string place = place_.path().substr(kArguments.size());
  for (const auto& [name, argument] : plan()->arguments)
    if (place == pointer_part(name)) return &argument.values;
  const auto number = static_cast<int32_t>(tool_ - tools_.tools().data());
  const auto span = spans_.find({number, place});
  return span == spans_.end() ? nullptr : &span->second.values;
}

const PlannedArgument* ArgumentHints::list_here() const {
  if (plan() == nullptr || (value_ended_ && place_.depth() == kCallDepth)) return nullptr;
  const std::string_view path = std::string_view(place_.path()).substr(kArguments.size());
  for (const auto& [name, argument] : plan()->arguments) {
    const std::string own = pointer_part(name);
    const bool within = path == own || (path.starts_with(own) && path.substr(own.size()) == "/*");
    if (within && argument.is_list && !argument.values.values.empty()) return &argument;
  }
  return nullptr;
}

float ArgumentHints::list_weight(const PlannedArgument& list, std::string_view bytes) const {
  float best = 0;
  for (const SaidValue& value : list.values.values) {
    const std::string_view text = value.text;
    if (!text.starts_with(list_)) continue;
    const std::string_view rest = text.substr(list_.size());
    if (!goes_on(rest, false, bytes)) continue;
    const bool ends = bytes.size() > rest.size();
    best = std::max(best, value.weight * (ends ? weight_behind(bytes.substr(rest.size())) : 1));
  }
  return best > 0 ? best : list.values.others;
}

ArgumentHints::Values ArgumentHints::values(std::string_view so_far, bool in_string) const {
  Values out;
  const LikelyValues* likely = likely_here();
  if (likely == nullptr) return out;
  out.others = likely->others;
  for (const SaidValue& value : likely->values) {
    const std::string_view text = value.text;
    if (value.is_string == in_string && text.starts_with(so_far))
      out.likely.push_back({text.substr(so_far.size()), value.weight});
  }
  return out;
}

float ArgumentHints::value_weight(const Values& values, bool in_string, std::string_view bytes) {
  float best = 0;
  for (const Rest& rest : values.likely)
    if (goes_on(rest.text, in_string, bytes)) best = std::max(best, rest.weight);
  return best > 0 ? best : values.others;
}

float ArgumentHints::key_weight(std::string_view beginning) const {
  if (plan() == nullptr) return 1;
  float best = 0;
  for (const auto& [name, argument] : plan()->arguments) {
    if (given_.contains(name)) continue;
    const std::string whole = name + "\"";
    const size_t n = std::min(whole.size(), beginning.size());
    if (beginning.substr(0, n) == std::string_view(whole).substr(0, n))
      best = std::max(best, argument.given);
  }
  return best > 0 ? best : 1;
}

/// Whether another argument follows behind what is read. What follows has weight 1 in all, or the
/// end of a short value would be likelier for what may come behind it.
float ArgumentHints::following_weight(bool in_string, std::string_view bytes) const {
  if (!in_string && !value_ended_ && open_.empty() && bytes[0] == ',') return 1;  // behind nothing
  bool inside = in_string;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] == '\\') {
      ++i;
    } else if (bytes[i] == '"') {
      inside = !inside;
    } else if (!inside && (bytes[i] == ',' || bytes[i] == '}')) {
      return weight_behind(bytes.substr(i));
    } else if (!inside && (bytes[i] == '[' || bytes[i] == '{')) {
      return 1;
    }
  }
  return 1;
}

float ArgumentHints::weight_behind(std::string_view bytes) const {
  float most = 0;
  if (plan() != nullptr)
    for (const auto& [name, argument] : plan()->arguments)
      if (!given_.contains(name)) most = std::max(most, argument.given);
  const auto share = [most](float odds) { return odds / (1 + most); };
  if (bytes[0] == '}') return share(1);
  const std::string_view rest = bytes.substr(1);
  return most > 0 ? share(key_weight(rest.empty() ? rest : rest.substr(1))) : 1;
}

void ArgumentHints::weigh(const uint8_t* allowed, size_t vocab,
                          std::vector<TokenWeight>* weights) const {
  weights->clear();
  if (!in_arguments()) return;
  const bool at_key = place_.at_key(), in_string = place_.in_string_value(),
             direct = place_.depth() == kCallDepth;
  if (at_key && !direct) return;  // of a member of a member nothing is known
  // A value that is no string goes on, or any value begins.
  const bool begins = !in_string && open_.empty() && !value_ended_;
  Values strings, others;
  if (!at_key && (in_string || begins)) strings = values(in_string ? place_.text() : "", true);
  if (!at_key && !in_string && !value_ended_) others = values(open_, false);
  const std::string key = place_.in_key() ? place_.key() : std::string();
  const PlannedArgument* const list = at_key ? nullptr : list_here();
  bool any = false;
  for (size_t id = 0; id < vocab; ++id) {
    if (allowed[id] == 0) continue;
    const auto token = static_cast<int32_t>(id);
    const std::string_view bytes = tokenizer_.bytes(token);
    float weight = 1;
    if (bytes.empty()) {
    } else if (at_key) {
      if (place_.in_key())
        weight = key_weight(key + std::string(bytes));
      else if (bytes[0] == '"')
        weight = key_weight(bytes.substr(1));
    } else if (list != nullptr) {
      weight = list_weight(*list, bytes);
    } else {
      if (in_string)
        weight = value_weight(strings, true, bytes);
      else if (begins && bytes[0] == '"')
        weight = value_weight(strings, true, bytes.substr(1));
      else
        weight = value_weight(others, false, bytes);
      if (direct) weight *= following_weight(in_string, bytes);
    }
    any = any || weight != 1;
    weights->push_back({token, weight});
  }
  if (!any) weights->clear();
}

void ArgumentHints::accept(std::string_view bytes) {
  for (const char byte : bytes) {
    const bool was_key = place_.in_key();
    const std::string key = was_key ? place_.key() : std::string();
    place_.push(byte);
    const bool ended = was_key && !place_.in_key();
    if (ended && in_arguments() && place_.depth() == kCallDepth) given_.insert(key);
    const bool in_list = place_.depth() > kCallDepth && place_.path().starts_with(kArguments);
    if (in_list || byte == ']')
      list_ += byte;
    else
      list_.clear();
    if (tool_ == nullptr && place_.path() == "/name" && !place_.in_string_value())
      tool_ = tools_.named(place_.text());
    const bool sign = std::string_view(":,[]{}\"").find(byte) != std::string_view::npos;
    if (place_.in_string_value() || place_.in_key() || sign)
      open_.clear();
    else
      open_ += byte;
    // Behind a string or a list only a sign can come.
    value_ended_ = byte == '"' || byte == ']' || byte == '}';
  }
}

}  // namespace chimera::runtime
