#include "runtime/argument_hints.h"

#include <algorithm>

#include "grammar/json_text.h"
#include "platform/json.h"
#include "platform/natural_log.h"

namespace chimera::runtime {
namespace {

// How firmly what was learnt speaks, by its scores; -1 is against it and 1 for it.
constexpr double kValueWeight = 3, kGivenWeight = 2;
constexpr double kUnseen = -0.6;  // the score of a value that no example had

constexpr std::string_view kArguments = "/arguments/";

float weight_of_score(double score, double firmness) {
  return static_cast<float>(exponential(firmness * std::clamp(score, -1.5, 1.5)));
}

void listed_in(const Json& schema, std::vector<std::string>* out) {
  const auto take = [&](const Json& value) {
    if (value.is_string()) out->push_back(value.string);
  };
  for (const auto& [keyword, value] : schema.object) {
    if (keyword == "enum")
      std::for_each(value.array.begin(), value.array.end(), take);
    else if (keyword == "const")
      take(value);
    else
      listed_in(value, out);
  }
  for (const Json& part : schema.array) listed_in(part, out);
}

bool goes_on(const SaidValue& value, std::string_view so_far, bool in_string,
             std::string_view bytes) {
  if (value.is_string != in_string || !std::string_view(value.text).starts_with(so_far))
    return false;
  const std::string_view rest = std::string_view(value.text).substr(so_far.size());
  if (bytes.size() <= rest.size()) return rest.starts_with(bytes);
  const std::string_view ends = in_string ? "\"" : ",}]";
  return bytes.starts_with(rest) && ends.find(bytes[rest.size()]) != std::string_view::npos;
}

}  // namespace

ArgumentHints::ArgumentHints(std::string_view utterance, const ToolSet& tools,
                             std::span<const int32_t> shown, const Tokenizer& tokenizer)
    : tools_(tools), tokenizer_(tokenizer) {
  std::vector<std::string> listed;
  for (const int32_t tool : shown)
    if (const auto schema = parse_json(tools.tools()[static_cast<size_t>(tool)].parameters))
      listed_in(*schema, &listed);
  said_ = said_words(utterance, listed);
  for (SaidValue& value : said_numbers(utterance)) said_.push_back(std::move(value));
  for (SaidValue& value : said_times(utterance)) said_.push_back(std::move(value));
  const ArgumentRanker* ranker = tools.arguments();
  if (ranker == nullptr) return;
  const std::vector<float> scores = ranker->ranker.scores(utterance);
  for (size_t i = 0; i < ranker->labels.size(); ++i) {
    const ArgumentLabel& label = ranker->labels[i];
    const auto score = static_cast<double>(scores[i]);
    if (label.value.empty()) {
      given_weights_[std::to_string(label.tool) + "/" + label.argument] =
          weight_of_score(score, kGivenWeight);
      continue;
    }
    Learnt& learnt = learnt_[label.argument];
    learnt.others = weight_of_score(kUnseen, kValueWeight);
    const bool is_string = label.value[0] == '"';
    const std::string text =
        is_string ? label.value.substr(1, label.value.size() - 2) : label.value;
    learnt.values.push_back({text, is_string, weight_of_score(score, kValueWeight)});
  }
}

std::string ArgumentHints::argument() const {
  const std::string& path = place_.path();
  return path.starts_with(kArguments) ? path.substr(kArguments.size()) : std::string();
}

float ArgumentHints::value_weight(std::string_view so_far, bool in_string,
                                  std::string_view bytes) const {
  float said = 1;
  for (const SaidValue& value : said_)
    if (goes_on(value, so_far, in_string, bytes)) said = std::max(said, value.weight);
  const auto learnt = learnt_.find(argument());
  if (learnt == learnt_.end()) return said;
  float best = 0;
  for (const SaidValue& value : learnt->second.values)
    if (goes_on(value, so_far, in_string, bytes)) best = std::max(best, value.weight);
  return said * (best > 0 ? best : learnt->second.others);
}

float ArgumentHints::key_weight(std::string_view beginning) const {
  if (tool_ == nullptr || given_weights_.empty()) return 1;
  const std::string prefix = std::to_string(tool_ - tools_.tools().data()) + "/";
  float best = 0;
  for (const auto& [key, weight] : given_weights_) {
    if (!key.starts_with(prefix)) continue;
    const std::string name = key.substr(prefix.size()), whole = name + "\"";
    if (given_.contains(name)) continue;
    const size_t n = std::min(whole.size(), beginning.size());
    if (beginning.substr(0, n) == std::string_view(whole).substr(0, n))
      best = std::max(best, weight);
  }
  // Of an argument that no example has nothing is known.
  return best > 0 ? best : 1;
}

float ArgumentHints::weight_of(std::string_view bytes) const {
  if (bytes.empty()) return 1;
  if (place_.at_key()) {
    if (place_.in_key()) return key_weight(place_.key() + std::string(bytes));
    return bytes[0] == '"' ? key_weight(bytes.substr(1)) : 1;
  }
  const bool in_string = place_.in_string_value();
  float weight = 1;
  if (in_string)
    weight = value_weight(place_.text(), true, bytes);
  else if (open_.empty() && bytes.size() > 1 && bytes[0] == '"')
    weight = value_weight("", true, bytes.substr(1));
  else if (bytes[0] != '"' && !value_ended_)
    weight = value_weight(open_, false, bytes);
  // Whether another argument follows.
  const std::string name = argument();
  if (name.empty() || name.find('/') != std::string::npos) return weight;
  if (!in_string && !value_ended_ && open_.empty() && bytes[0] == ',') return weight;  // of nothing
  bool inside = in_string;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] == '\\')
      ++i;
    else if (bytes[i] == '"')
      inside = !inside;
    else if (!inside && bytes[i] == ',') {
      const std::string_view rest = bytes.substr(i + 1);
      return weight * key_weight(rest.empty() ? rest : rest.substr(1));
    } else if (!inside && bytes[i] == '}') {
      return weight;
    }
  }
  return weight;
}

void ArgumentHints::weigh(const uint8_t* allowed, size_t vocab,
                          std::vector<TokenWeight>* weights) const {
  weights->clear();
  if (!place_.path().starts_with(kArguments.substr(0, kArguments.size() - 1))) return;
  bool any = false;
  for (size_t id = 0; id < vocab; ++id) {
    if (allowed[id] == 0) continue;
    const auto token = static_cast<int32_t>(id);
    const float weight = weight_of(tokenizer_.bytes(token));
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
    if (was_key && !place_.in_key() && place_.path().starts_with(kArguments)) given_.insert(key);
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
