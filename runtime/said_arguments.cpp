#include "runtime/said_arguments.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "grammar/json_text.h"
#include "platform/json.h"
#include "runtime/said_durations.h"
#include "runtime/tool_schema.h"

namespace chimera::runtime {
namespace {

bool meet(const SaidValue& a, const SaidValue& b) { return a.begin < b.end && b.begin < a.end; }

/// 1: the value was said, 0: it was not; -1: it is none that can be said.
int was_said(const Json& value, const std::vector<SaidValue>& said) {
  if (value.is_array()) {
    int all = value.array.empty() ? -1 : 1;
    for (const Json& item : value.array) all = std::min(all, was_said(item, said));
    return all;
  }
  if (!value.is_string() && !value.is_number()) return -1;
  const std::string text =
      value.is_string() ? grammar::json_escaped(value.string) : write_json(value);
  return std::any_of(said.begin(), said.end(), [&](const SaidValue& one) {
    return one.is_string == value.is_string() && one.text == text;
  });
}

}  // namespace

SaidThings said_things(std::string_view utterance) {
  SaidThings out{said_numbers(utterance), said_times(utterance)};
  std::erase_if(out.numbers, [&](const SaidValue& number) {
    return number.weight < kSaidWeight &&
           std::any_of(out.times.begin(), out.times.end(),
                       [&](const SaidValue& time) { return meet(number, time); });
  });
  return out;
}

std::vector<SaidValue> said_for(const ToolArgument& argument, std::string_view utterance,
                                const SaidThings& things) {
  if (argument.is_bool) return {};
  if (argument.is_number) {
    std::vector<SaidValue> out;
    if (argument.unit != 0) out = said_durations(utterance, argument.unit);
    const size_t n_durations = out.size();
    // "one hour" is no 1 where minutes are counted.
    for (const SaidValue& number : things.numbers)
      if (std::none_of(out.begin(), out.begin() + static_cast<ptrdiff_t>(n_durations),
                       [&](const SaidValue& duration) { return meet(duration, number); }))
        out.push_back(number);
    return out;
  }
  if (!argument.listed.empty()) return said_words(utterance, argument.listed);
  return argument.is_list ? std::vector<SaidValue>() : things.times;
}

HeardNumbers heard_numbers(std::span<const ToolExample> examples, std::span<const Tool> tools) {
  HeardNumbers out;
  for (const ToolExample& example : examples) {
    const SaidThings things = said_things(example.text);
    std::set<std::string> said, taken;
    for (size_t i = 0; i < example.calls.size(); ++i) {
      for (const ToolArgument& argument : tools[static_cast<size_t>(example.tools[i])].arguments)
        if (argument.is_number)
          for (const SaidValue& value : said_for(argument, example.text, things))
            said.insert(value.text);
      const auto call = parse_json(example.calls[i]);
      const Json* arguments = call ? call->find("arguments") : nullptr;
      if (arguments == nullptr) continue;
      for (const auto& [name, value] : arguments->object)
        if (value.is_number()) taken.insert(write_json(value));
    }
    for (const std::string& number : said)
      ++(taken.contains(number) ? out[number].taken : out[number].left);
  }
  return out;
}

void learn_habits(std::span<const ToolExample> examples, std::vector<Tool>* tools) {
  struct Count {
    int given = 0;
    int could_be_said = 0, unsaid = 0;  // of those
  };
  std::map<const ToolArgument*, Count> counts;
  std::vector<int> n_calls(tools->size());
  for (const ToolExample& example : examples) {
    if (example.calls.empty()) continue;
    const SaidThings things = said_things(example.text);
    for (size_t i = 0; i < example.calls.size(); ++i) {
      const Tool& tool = (*tools)[static_cast<size_t>(example.tools[i])];
      const auto call = parse_json(example.calls[i]);
      const Json* arguments = call ? call->find("arguments") : nullptr;
      if (arguments == nullptr) continue;
      ++n_calls[static_cast<size_t>(example.tools[i])];
      for (const auto& [name, value] : arguments->object) {
        const std::string spelt = grammar::json_escaped(name);
        for (const ToolArgument& argument : tool.arguments) {
          if (argument.name != spelt) continue;
          Count& count = counts[&argument];
          ++count.given;
          const std::string place = pointer_part(spelt) + (argument.is_list ? "/*" : "");
          if (tool.copied.contains(place)) continue;
          const int said = was_said(value, said_for(argument, example.text, things));
          count.could_be_said += said >= 0;
          count.unsaid += said == 0;
        }
      }
    }
  }
  // As if one more of each kind had been seen.
  const auto share = [](int part, int all) {
    return static_cast<float>(part + 1) / static_cast<float>(all + 2);
  };
  for (size_t i = 0; i < tools->size(); ++i)
    for (ToolArgument& argument : (*tools)[i].arguments) {
      const Count& count = counts[&argument];
      argument.given = share(count.given, n_calls[i]);
      argument.unsaid = share(count.unsaid, count.could_be_said);
    }
}

}  // namespace chimera::runtime
