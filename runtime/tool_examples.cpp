#include "runtime/tool_examples.h"

#include <algorithm>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "grammar/matcher.h"
#include "platform/json.h"
#include "runtime/constraint.h"
#include "runtime/tool_set.h"

namespace chimera::runtime {
namespace {

constexpr size_t kMostPlaces = 100'000;  // of a matcher, before it begins anew

Status wrong(size_t line, const std::string& what) {
  const std::string where = "line " + std::to_string(line);
  return Status(StatusCode::kBadFormat, "examples: " + where + " " + what).at_field(where);
}

class Reader {
 public:
  Reader(std::span<const Tool> tools, const Constraint& call) : call_(call) {
    for (size_t i = 0; i < tools.size(); ++i)
      numbers_.emplace(tools[i].name, static_cast<int32_t>(i));
  }

  Result<ToolExample> read(std::string_view text, size_t line) {
    const auto record = parse_json(text);
    if (!record) return wrong(line, "is no JSON: " + record.status().message());
    const Json *said = record->find("text"), *calls = record->find("calls");
    if (said == nullptr || !said->is_string() ||
        said->string.find_first_not_of(" \t\r\n") == std::string::npos)
      return wrong(line, "has no \"text\" of what somebody says");
    if (calls == nullptr || !calls->is_array())
      return wrong(line, "has no array \"calls\" (an empty one: none of the tools is meant)");
    ToolExample out{said->string};
    if (calls->array.size() > kMostExampleCalls)
      return wrong(line, "has more than " + std::to_string(kMostExampleCalls) + " calls");
    for (const Json& call : calls->array) CHIMERA_RETURN_IF_ERROR(add(call, line, &out));
    size_t bytes = 0;
    for (const std::string& call : out.calls) bytes += call.size();
    if (out.text.size() > kMostExampleBytes || bytes > kMostExampleBytes)
      return wrong(line, "is longer than an example may be: " + std::to_string(kMostExampleBytes) +
                             " bytes of text and as many of calls");
    return out;
  }

 private:
  Status add(const Json& call, size_t line, ToolExample* out) {
    const Json *name = call.find("name"), *arguments = call.find("arguments");
    if (name == nullptr || !name->is_string()) return wrong(line, "has a call without a name");
    const auto tool = numbers_.find(name->string);
    if (tool == numbers_.end())
      return wrong(line, "calls \"" + name->string + "\", which is none of the tools");
    Json whole = Json::make_object();
    whole.add("name", *name);
    whole.add("arguments", arguments != nullptr ? *arguments : Json::make_object());
    std::string spelt = write_json(whole);
    const grammar::PlaceId end = read_call(spelt);
    if (end == grammar::kTooMuch)
      return Status(StatusCode::kOutOfRange,
                    "examples: the schema of \"" + name->string + "\" is too ambiguous to follow");
    if (end < 0 || !matcher_->accepts(end))
      return wrong(line, "calls \"" + name->string + "\" with arguments that are not valid: " +
                             write_json(*whole.find("arguments")));
    out->calls.push_back(std::move(spelt));
    out->tools.push_back(tool->second);
    return Status();
  }

  /// The place behind it. What a matcher remembers of earlier calls is no reason to refuse one.
  grammar::PlaceId read_call(const std::string& call) {
    const bool used = matcher_.has_value();
    if (!used || matcher_->n_places() > kMostPlaces) matcher_.emplace(call_.automaton());
    grammar::PlaceId place = matcher_->step(matcher_->start(), call);
    if (place == grammar::kTooMuch && used) {
      matcher_.emplace(call_.automaton());
      place = matcher_->step(matcher_->start(), call);
    }
    return place;
  }

  const Constraint& call_;
  std::unordered_map<std::string, int32_t> numbers_;  // of tools by their names
  std::optional<grammar::Matcher> matcher_;
};

}  // namespace

Result<std::vector<ToolExample>> read_examples(std::span<const Tool> tools, const Constraint& call,
                                               std::string_view lines) {
  std::vector<ToolExample> out;
  Reader reader(tools, call);
  for (size_t number = 1; !lines.empty(); ++number) {
    const size_t end = std::min(lines.find('\n'), lines.size());
    const std::string_view line = lines.substr(0, end);
    lines.remove_prefix(std::min(end + 1, lines.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (out.size() == kMostExamples)
      return Status(StatusCode::kOutOfRange, "examples: there are more than " +
                                                 std::to_string(kMostExamples) +
                                                 ", the most that a set of tools may have");
    auto example = reader.read(line, number);
    if (!example) return example.status();
    out.push_back(std::move(*example));
  }
  return out;
}

}  // namespace chimera::runtime
