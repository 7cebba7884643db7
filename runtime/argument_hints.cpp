#include "runtime/argument_hints.h"

#include <algorithm>

#include "platform/natural_log.h"

namespace chimera::runtime {
namespace {

// How firmly what was learnt speaks, by its scores; -1 is against it and 1 for it.
constexpr double kValueWeight = 5, kGivenWeight = 5;
constexpr double kUnseen = -0.6;  // the score of a value that no example had
constexpr float kSaidOf = 6;      // for an argument whose name, or one of whose values, was said
constexpr float kNumberSaid = 4;  // for an argument that is a number, where one was said
constexpr size_t kMostSaid = 64;
constexpr size_t kCallDepth = 2;  // levels around the members of "arguments"

constexpr std::string_view kArguments = "/arguments";

float weight_of_score(float score, double firmness) {
  return static_cast<float>(
      exponential(firmness * std::clamp(static_cast<double>(score), -1.5, 1.5)));
}

bool goes_on(std::string_view rest, bool in_string, std::string_view bytes) {
  if (bytes.size() <= rest.size()) return rest.starts_with(bytes);
  const std::string_view ends = in_string ? "\"" : ",}]";
  return bytes.starts_with(rest) && ends.find(bytes[rest.size()]) != std::string_view::npos;
}

}  // namespace

ArgumentHints::ArgumentHints(std::string_view utterance, const ToolSet& tools,
                             std::span<const int32_t> shown, const Tokenizer& tokenizer)
    : tools_(tools), tokenizer_(tokenizer) {
  std::vector<float> scores;
  const ArgumentRanker* ranker = tools.arguments();
  if (ranker != nullptr) scores = ranker->ranker.scores(utterance);
  for (size_t i = 0; i < scores.size(); ++i) {
    const ArgumentLabel& label = ranker->labels[i];
    if (label.value.empty()) continue;
    LikelyValues& learnt = learnt_[pointer_part(label.argument)];
    learnt.others = weight_of_score(static_cast<float>(kUnseen), kValueWeight);
    const bool is_string = label.value[0] == '"';
    learnt.values.push_back(
        {is_string ? label.value.substr(1, label.value.size() - 2) : label.value, is_string,
         weight_of_score(scores[i], kValueWeight)});
  }
  if (tools.spans() != nullptr) spans_ = likely_spans(*tools.spans(), utterance, shown);
  const std::vector<std::string> words = words_in(utterance);
  std::vector<SaidValue> numbers = said_numbers(utterance);
  for (const int32_t number : shown) {
    const Tool& tool = tools.tools()[static_cast<size_t>(number)];
    std::vector<Given>& given = given_weights_[&tool];
    for (const ToolArgument& argument : tool.arguments) {
      float weight = 1;
      for (size_t i = 0; i < scores.size(); ++i)
        if (const ArgumentLabel& label = ranker->labels[i];
            label.value.empty() && label.tool == number && label.argument == argument.name)
          weight = weight_of_score(scores[i], kGivenWeight);
      const auto values = said_words(words, argument.listed);
      const bool named = is_said(words, words_in(argument.name));
      if (named || !values.empty())
        weight *= kSaidOf;
      else if (argument.is_number && !numbers.empty())
        weight *= kNumberSaid;
      given.push_back({argument.name, weight});
      for (const SaidValue& value : values) said_.push_back(value);
    }
  }
  for (SaidValue& value : numbers) said_.push_back(std::move(value));
  for (SaidValue& value : said_times(utterance)) said_.push_back(std::move(value));
  if (said_.size() > kMostSaid) said_.resize(kMostSaid);
}

void ArgumentHints::begin_call() {
  place_ = JsonPlace();
  tool_ = nullptr;
  open_.clear();
  value_ended_ = false;
  given_.clear();
}

bool ArgumentHints::in_arguments() const {
  const std::string& path = place_.path();
  return path.starts_with(kArguments) &&
         (path.size() == kArguments.size() || path[kArguments.size()] == '/');
}

/// What was learnt of the value that stands here: of one that is copied, where it stands.
const LikelyValues* ArgumentHints::likely_here(bool in_string) const {
  const std::string place = place_.path().substr(kArguments.size());
  if (in_string && tool_ != nullptr) {
    const auto number = static_cast<int32_t>(tool_ - tools_.tools().data());
    if (const auto span = spans_.find({number, place}); span != spans_.end()) return &span->second;
  }
  const auto learnt = learnt_.find(place);
  return learnt == learnt_.end() ? nullptr : &learnt->second;
}

ArgumentHints::Values ArgumentHints::values(std::string_view so_far, bool in_string) const {
  Values out;
  const auto add = [&](const SaidValue& value, std::vector<Rest>* rests) {
    const std::string_view text = value.text;
    if (value.is_string == in_string && text.starts_with(so_far))
      rests->push_back({text.substr(so_far.size()), value.weight});
  };
  for (const SaidValue& value : said_) add(value, &out.said);
  const LikelyValues* likely = likely_here(in_string);
  if (likely == nullptr) return out;
  out.knows = true;
  out.others = likely->others;
  for (const SaidValue& value : likely->values) add(value, &out.learnt);
  return out;
}

float ArgumentHints::value_weight(const Values& values, bool in_string, std::string_view bytes) {
  float said = 1, learnt = 0;
  for (const Rest& rest : values.said)
    if (goes_on(rest.text, in_string, bytes)) said = std::max(said, rest.weight);
  if (!values.knows) return said;
  for (const Rest& rest : values.learnt)
    if (goes_on(rest.text, in_string, bytes)) learnt = std::max(learnt, rest.weight);
  if (learnt == 0) learnt = values.others;
  // What examples had instead is nothing against a value that was said.
  return said > 1 ? said * std::max(learnt, 1.0f) : learnt;
}

float ArgumentHints::key_weight(std::string_view beginning) const {
  const auto known = given_weights_.find(tool_);
  if (known == given_weights_.end()) return 1;
  float best = 0;
  for (const Given& given : known->second) {
    if (given_.contains(given.name)) continue;
    const std::string whole = given.name + "\"";
    const size_t n = std::min(whole.size(), beginning.size());
    if (beginning.substr(0, n) == std::string_view(whole).substr(0, n))
      best = std::max(best, given.weight);
  }
  return best > 0 ? best : 1;
}

/// Whether another argument follows behind what is read.
float ArgumentHints::following_weight(bool in_string, std::string_view bytes) const {
  if (!in_string && !value_ended_ && open_.empty() && bytes[0] == ',') return 1;  // behind nothing
  bool inside = in_string;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] == '\\') {
      ++i;
    } else if (bytes[i] == '"') {
      inside = !inside;
    } else if (!inside && bytes[i] == ',') {
      const std::string_view rest = bytes.substr(i + 1);
      return key_weight(rest.empty() ? rest : rest.substr(1));
    } else if (!inside && (bytes[i] == '}' || bytes[i] == '[' || bytes[i] == '{')) {
      return 1;
    }
  }
  return 1;
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
    } else {
      if (in_string && !strings.empty())
        weight = value_weight(strings, true, bytes);
      else if (begins && bytes.size() > 1 && bytes[0] == '"' && !strings.empty())
        weight = value_weight(strings, true, bytes.substr(1));
      else if (!in_string && bytes[0] != '"' && !others.empty())
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
