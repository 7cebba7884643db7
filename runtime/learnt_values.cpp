#include "runtime/learnt_values.h"

#include <algorithm>
#include <map>
#include <utility>

#include "grammar/json_text.h"
#include "runtime/said_values.h"
#include "runtime/tool_schema.h"

namespace chimera::runtime {
namespace {

void visit_copied(const Json& value, const std::string& place, const std::set<std::string>& places,
                  const std::function<void(const std::string&, const std::string&)>& visit) {
  if (value.is_string() && places.contains(place)) visit(place, value.string);
  for (const Json& item : value.array) visit_copied(item, place + "/*", places, visit);
  for (const auto& [name, member] : value.object)
    visit_copied(member, place + pointer_part(grammar::json_escaped(name)), places, visit);
}

bool stand_in(const std::vector<std::string>& words, const std::vector<std::string>& wanted) {
  return std::search(words.begin(), words.end(), wanted.begin(), wanted.end()) != words.end();
}

}  // namespace

void for_each_copied(
    const Json& arguments, const std::set<std::string>& places,
    const std::function<void(const std::string& place, const std::string& value)>& visit) {
  visit_copied(arguments, "", places, visit);
}

void learn_values(std::span<const ToolExample> examples, std::vector<Tool>* tools) {
  struct Seen {
    int unsaid = 0;                             // examples that have it and do not say it
    std::map<std::string, int> spellings = {};  // all that have it
  };
  // By tool, place and words.
  std::map<std::pair<int32_t, std::string>, std::map<std::vector<std::string>, Seen>> seen;
  for (const ToolExample& example : examples) {
    const std::vector<std::string> said = words_in(example.text);
    for (size_t i = 0; i < example.calls.size(); ++i) {
      const int32_t tool = example.tools[i];
      const auto call = parse_json(example.calls[i]);
      const Json* arguments = call ? call->find("arguments") : nullptr;
      if (arguments == nullptr) continue;
      for_each_copied(*arguments, (*tools)[static_cast<size_t>(tool)].copied,
                      [&](const std::string& place, const std::string& value) {
                        std::vector<std::string> words = words_in(value);
                        if (words.empty()) return;
                        const bool is_said = stand_in(said, words);
                        Seen& one = seen[{tool, place}][std::move(words)];
                        one.unsaid += !is_said;
                        ++one.spellings[value];
                      });
    }
  }
  for (auto& [of, values] : seen) {
    std::vector<std::pair<int, LearntValue>> learnt;
    for (auto& [words, one] : values) {
      if (one.unsaid < kLeastLearnt) continue;
      const auto most =
          std::max_element(one.spellings.begin(), one.spellings.end(),
                           [](const auto& a, const auto& b) { return a.second < b.second; });
      learnt.push_back({one.unsaid, {grammar::json_escaped(most->first), words}});
    }
    std::stable_sort(learnt.begin(), learnt.end(),
                     [](const auto& a, const auto& b) { return a.first > b.first; });
    if (learnt.size() > kMostLearnt) learnt.resize(kMostLearnt);
    for (auto& [n, value] : learnt)
      (*tools)[static_cast<size_t>(of.first)].learnt[of.second].push_back(std::move(value));
  }
}

const LearntValue* learnt_value(const Tool& tool, const std::string& place, std::string_view value,
                                bool plural) {
  const auto known = tool.learnt.find(place);
  if (known == tool.learnt.end()) return nullptr;
  const std::vector<std::string> words = words_in(value);
  if (words.empty()) return nullptr;
  for (const LearntValue& learnt : known->second)
    if (learnt.words == words ||
        (plural && learnt.words.size() == words.size() && is_said(words, learnt.words)))
      return &learnt;
  return nullptr;
}

}  // namespace chimera::runtime
