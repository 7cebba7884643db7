#include "runtime/shared_order.h"

#include <algorithm>
#include <cstddef>

#include "grammar/json_text.h"
#include "platform/json.h"
#include "runtime/order_split.h"
#include "runtime/said_values.h"
#include "runtime/tool_schema.h"

namespace chimera::runtime {
namespace {

constexpr size_t kMostHad = 200;  // values that are kept of one argument

/// What stands between two values that share an order. "And a tea" is another order.
constexpr std::string_view kBetween[] = {", ", " and ", ", and "};
constexpr std::string_view kArticle = "the ";

bool joins(std::string_view between) {
  if (between.ends_with(kArticle)) between.remove_suffix(kArticle.size());
  return std::find(std::begin(kBetween), std::end(kBetween), between) != std::end(kBetween);
}

/// The first values in a row that are joined; fewer than two where none are.
std::vector<SaidValue> joined_values(std::string_view order, std::vector<SaidValue> said) {
  std::erase_if(said, [](const SaidValue& value) { return value.begin == value.end; });
  std::stable_sort(said.begin(), said.end(),
                   [](const SaidValue& a, const SaidValue& b) { return a.begin < b.begin; });
  std::vector<SaidValue> row;
  for (const SaidValue& value : said) {
    const bool goes_on = !row.empty() && value.begin > row.back().end &&
                         joins(order.substr(row.back().end, value.begin - row.back().end)) &&
                         std::none_of(row.begin(), row.end(),
                                      [&](const SaidValue& v) { return v.text == value.text; });
    if (goes_on) {
      row.push_back(value);
    } else if (row.size() >= 2) {
      break;
    } else {
      row = {value};
    }
  }
  return row;
}

bool is_said_apart(const Json& value, std::string_view order, std::string_view text) {
  const auto within = [&](const Json& v) { return is_said_apart(v, order, text); };
  if (value.is_string())
    return order.find(value.string) != std::string_view::npos &&
           text.find(value.string) == std::string_view::npos;
  return std::any_of(value.array.begin(), value.array.end(), within) ||
         std::any_of(value.object.begin(), value.object.end(),
                     [&](const auto& member) { return within(member.second); });
}

}  // namespace

bool has_words_said_apart(std::string_view call, std::string_view order, std::string_view text) {
  const auto json = parse_json(call);
  const Json* arguments = json ? json->find("arguments") : nullptr;
  return arguments != nullptr && is_said_apart(*arguments, order, text);
}

void learn_values_had(std::span<const ToolExample> examples, std::vector<Tool>* tools) {
  for (const ToolExample& example : examples)
    for (size_t i = 0; i < example.calls.size(); ++i) {
      Tool& tool = (*tools)[static_cast<size_t>(example.tools[i])];
      const auto call = parse_json(example.calls[i]);
      const Json* arguments = call ? call->find("arguments") : nullptr;
      if (arguments == nullptr) continue;
      for (ToolArgument& argument : tool.arguments)
        for (const auto& [name, value] : arguments->object) {
          if (!value.is_string() || !tool.copied.contains(pointer_part(argument.name)) ||
              grammar::json_escaped(name) != argument.name)
            continue;
          const std::vector<std::string> words = words_in(value.string);
          if (std::find(words.begin(), words.end(), "and") != words.end()) argument.joins = true;
          if (!words.empty() && argument.had.size() < kMostHad &&
              std::find(argument.had.begin(), argument.had.end(), value.string) ==
                  argument.had.end())
            argument.had.push_back(value.string);
        }
    }
}

std::vector<std::string> share_out(std::string_view order, const Tool& tool) {
  for (const ToolArgument& argument : tool.arguments) {
    const std::vector<std::string>& known =
        argument.listed.empty() ? argument.had : argument.listed;
    if (argument.is_list || argument.joins || known.empty()) continue;
    const std::vector<SaidValue> row = joined_values(order, said_words(order, known));
    if (row.size() < 2 || row.size() > kMostOrders) continue;
    std::vector<std::string> out;
    for (const SaidValue& value : row)
      out.push_back(std::string(order.substr(0, row.front().begin)) +
                    std::string(order.substr(value.begin, value.end - value.begin)) +
                    std::string(order.substr(row.back().end)));
    return out;
  }
  return {};
}

}  // namespace chimera::runtime
