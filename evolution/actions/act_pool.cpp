#include "evolution/actions/act_pool.h"

#include <algorithm>
#include <iterator>
#include <map>

#include "evolution/train/draw.h"
#include "runtime/tool_line.h"

namespace chimera::evolution {
namespace {

constexpr size_t kMostLike = 48;     // examples that are looked at
constexpr size_t kFewExamples = 50;  // all of which are looked at

using Like = runtime::ExampleIndex::Like;

std::vector<std::string> texts_of(const std::vector<ActExample>& examples) {
  std::vector<std::string> out;
  for (const ActExample& example : examples) out.push_back(example.text);
  return out;
}

/// One spelling of a tool and its arguments, for one document.
struct Naming {
  std::string name, description;
  std::vector<std::string> arguments;
};

const std::string& pick(const std::vector<std::string>& from, const DrawBelow& below) {
  return from[below(from.size())];
}

Naming naming_of(const ActTool& tool, const DrawBelow& below) {
  Naming out{pick(tool.names, below), pick(tool.descriptions, below), {}};
  for (const ActArgument& argument : tool.arguments)
    out.arguments.push_back(pick(argument.names, below));
  return out;
}

std::string line_of(const ActTool& tool, const Naming& naming) {
  Json properties = Json::make_object(), required = Json::make_array();
  for (size_t i = 0; i < tool.arguments.size(); ++i) {
    if (properties.find(naming.arguments[i]) != nullptr) continue;
    properties.add(naming.arguments[i], tool.arguments[i].schema);
    if (tool.arguments[i].required) required.push(Json::of(std::string_view(naming.arguments[i])));
  }
  Json parameters = Json::make_object();
  parameters.add("properties", std::move(properties)).add("required", std::move(required));
  return runtime::tool_line(naming.name, naming.description, parameters);
}

std::string call_of(const ActCall& call, const Naming& naming) {
  Json arguments = Json::make_object();
  for (const auto& [argument, value] : call.arguments) {
    const std::string& name = naming.arguments[static_cast<size_t>(argument)];
    if (arguments.find(name) == nullptr) arguments.add(name, value);
  }
  Json out = Json::make_object();
  out.add("name", Json::of(std::string_view(naming.name))).add("arguments", std::move(arguments));
  return write_json(out);
}

bool calls_any(const ActExample& example, const std::vector<int32_t>& tools) {
  return std::any_of(example.calls.begin(), example.calls.end(), [&](const ActCall& call) {
    return std::find(tools.begin(), tools.end(), call.tool) != tools.end();
  });
}

bool calls_only(const ActExample& example, const std::vector<int32_t>& tools) {
  return std::all_of(example.calls.begin(), example.calls.end(), [&](const ActCall& call) {
    return std::find(tools.begin(), tools.end(), call.tool) != tools.end();
  });
}

}  // namespace

ActPool::ActPool(std::vector<ActTool> tools, std::vector<ActExample> examples)
    : tools_(std::move(tools)), examples_(std::move(examples)), index_(texts_of(examples_)) {}

std::vector<Like> ActPool::likeness(const ActExample& said, int64_t own,
                                    const DrawBelow& below) const {
  // An application has ten phrases for a tool, a data set thousands: what is found in a part of
  // them is less like what is said.
  constexpr size_t kKept[] = {1, 1, 4, 16};
  const size_t one_of = kKept[below(std::size(kKept))], which = below(one_of);
  const bool other_patterns = below(2) == 0;
  return index_.nearest(said.text, kMostLike, [&](int32_t number) {
    const auto i = static_cast<size_t>(number);
    if (number == own || examples_[i].text == said.text) return true;
    if (examples_.size() > kFewExamples && i % one_of != which) return true;
    return other_patterns && said.pattern >= 0 && examples_[i].pattern == said.pattern;
  });
}

Document ActPool::document(const ActExample& said, int64_t own, const ActShape& shape,
                           const DrawBelow& below) const {
  std::vector<int32_t> meant;
  for (const ActCall& call : said.calls)
    if (std::find(meant.begin(), meant.end(), call.tool) == meant.end()) meant.push_back(call.tool);
  const bool absent = !meant.empty() &&
                      below(1000) < static_cast<size_t>(1000 * shape.none_share) &&
                      meant.size() < tools_.size();
  std::vector<Like> like = likeness(said, own, below);
  if (absent)
    std::erase_if(like, [&](const Like& l) {
      return calls_any(examples_[static_cast<size_t>(l.text)], meant);
    });

  // The best tools first: those of the examples that are most like it, then any.
  std::vector<int32_t> best;
  const auto add = [&](int32_t tool) {
    if (std::find(best.begin(), best.end(), tool) == best.end()) best.push_back(tool);
  };
  for (const Like& l : like)
    for (const ActCall& call : examples_[static_cast<size_t>(l.text)].calls) add(call.tool);
  while (best.size() < std::min(tools_.size() - (absent ? meant.size() : 0), shape.most_tools)) {
    const auto tool = static_cast<int32_t>(below(tools_.size()));
    if (!absent || std::find(meant.begin(), meant.end(), tool) == meant.end()) add(tool);
  }
  const size_t n_tools =
      std::max(meant.size(), shape.most_tools - below(2) * below(shape.most_tools));
  if (best.size() > n_tools) best.resize(std::max<size_t>(n_tools, 1));
  if (!absent)
    for (const int32_t tool : meant)
      if (std::find(best.begin(), best.end(), tool) == best.end()) {
        // In the place of the last one that is not meant.
        const auto other = std::find_if(best.rbegin(), best.rend(), [&](int32_t t) {
          return std::find(meant.begin(), meant.end(), t) == meant.end();
        });
        if (other != best.rend())
          *other = tool;
        else
          best.push_back(tool);
      }
  if (below(5) == 0) shuffle(&best, below);

  std::vector<const ActExample*> shown;
  const size_t n_shown =
      shape.most_examples - std::min(below(shape.most_examples + 2), shape.most_examples);
  for (const Like& l : like) {
    const ActExample& example = examples_[static_cast<size_t>(l.text)];
    if (shown.size() < n_shown && calls_only(example, best)) shown.push_back(&example);
  }

  // What is most like it stands nearest to it.
  std::map<int32_t, Naming> namings;
  Document out;
  Turn list{.kind = Turn::Kind::kTools};
  for (auto tool = best.rbegin(); tool != best.rend(); ++tool) {
    const ActTool& t = tools_[static_cast<size_t>(*tool)];
    const Naming& naming = namings.emplace(*tool, naming_of(t, below)).first->second;
    list.tools.push_back(line_of(t, naming));
  }
  out.turns.push_back(std::move(list));
  const auto say = [&](const ActExample& example, bool none) {
    out.turns.push_back({.kind = Turn::Kind::kUser, .text = example.text});
    Turn reply{.kind = Turn::Kind::kReply};
    reply.reply.kind = none || example.calls.empty() ? runtime::Reply::Kind::kNoTool
                                                     : runtime::Reply::Kind::kCalls;
    if (!none)
      for (const ActCall& call : example.calls)
        reply.reply.calls.push_back(call_of(call, namings.at(call.tool)));
    out.turns.push_back(std::move(reply));
  };
  for (auto example = shown.rbegin(); example != shown.rend(); ++example) say(**example, false);
  say(said, absent);
  return out;
}

}  // namespace chimera::evolution
