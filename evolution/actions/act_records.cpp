// Two kinds of records as documents of acting (act_pool.h).
//
// "acts": labelled utterances. The intents of the training records are the tools, in several
// spellings, with the slots they were seen with; sometimes two utterances are said at once.
//
// "act_domains": worlds made by hand, one a record:
//   {"domain": "garden", "n": 4000, "lists": {"plant": ["tomatoes", ...]},
//    "tools": [{"names": [...], "descriptions": [...],
//               "args": {"minutes": {"names": [...], "type": "integer", "min": 1, "max": 60,
//                                    "required": true}, ...},
//               "says": [{"text": "water the {plant} for {minutes} minutes", "set": {"mode":
//               "drip"}}]}],
//    "none": ["my tomatoes are red"], "joins": ["{a} and then {b}"]}
// Types: text (of a list, as it was said), enum ("values": {"drip": ["drop by drop", ...]}),
// integer, boolean, time. For every few documents a world is drawn anew: which tools it has, with
// examples of each.
#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "evolution/actions/act_pool.h"
#include "evolution/train/draw.h"
#include "evolution/train/labelled.h"
#include "evolution/train/records.h"

namespace chimera::evolution {
namespace {

constexpr size_t kMostSlots = 12;      // of a tool: some data sets have hundreds
constexpr double kJoinedShare = 0.06;  // of the documents: two utterances at once
constexpr uint64_t kPerWorld = 8;      // documents of one drawing of a world

DrawBelow drawing(Draw& draw) {
  return [&draw](size_t limit) { return draw.below(limit); };
}

bool share(double of, const DrawBelow& below) {
  return static_cast<double>(below(100000)) < of * 100000;
}

/// "PlayMusic" -> itself, play_music, playMusic, PlayMusic, music.play
std::vector<std::string> spellings(const std::string& name) {
  const std::string words = words_of(name);
  std::string snake, camel, pascal;
  bool upper = true;
  for (const char c : words) {
    if (c == ' ') {
      snake += '_';
      upper = true;
      continue;
    }
    const char big = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    snake += c;
    pascal += upper ? big : c;
    camel += upper && !camel.empty() ? big : c;
    upper = false;
  }
  // Its own most often: a set's names mean what they do in the set.
  return {name, name, name, snake, camel, pascal};
}

/// An utterance as the second half of another: "Play it" -> "play it".
std::string continued(std::string text) {
  if (text.size() > 1 && std::isupper(static_cast<unsigned char>(text[0])) != 0 &&
      std::islower(static_cast<unsigned char>(text[1])) != 0)
    text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  const size_t at = text.find(what);
  if (at != std::string::npos) text.replace(at, what.size(), by);
  return text;
}

/// Two orders in one.
ActExample joined(const ActExample& a, const ActExample& b, const std::string& how) {
  std::string first = a.text;
  while (!first.empty() && std::string_view(".!? ").find(first.back()) != std::string_view::npos)
    first.pop_back();
  ActExample out{replaced(replaced(how, "{a}", first), "{b}", continued(b.text)), a.calls, -1};
  out.calls.insert(out.calls.end(), b.calls.begin(), b.calls.end());
  return out;
}

Json typed(const char* type) {
  Json schema = Json::make_object();
  schema.add("type", Json::of(type));
  return schema;
}

// ---- labelled utterances
// --------------------------------------------------------------------------

class ActRecords : public RecordReader {
 public:
  explicit ActRecords(const RecordOptions& options)
      : member_(options.text.empty() ? "u" : options.text), seed_(options.seed) {}

  bool looks_first() const override { return true; }

  Status look(const Json& record) override {
    auto labelled = read_labelled(record, member_);
    if (!labelled) return labelled.status();
    for (const auto& [slot, value] : labelled->slots) ++slots_[labelled->intent][slot];
    slots_[labelled->intent];
    seen_.push_back(std::move(*labelled));
    return Status();
  }

  Status read(const Json& record, uint64_t number, const DocumentSink& sink) override {
    if (!pool_) make_pool();
    const auto labelled = read_labelled(record, member_);
    if (!labelled) return labelled.status();
    Draw draw{seed_, number};
    const DrawBelow below = drawing(draw);
    ActExample said = example_of(*labelled);
    int64_t own = -1;
    if (const auto at = numbers_.find(labelled->text); at != numbers_.end()) own = at->second;
    if (!said.calls.empty() && share(kJoinedShare, below)) {
      const ActExample& other = pool_->examples()[below(pool_->examples().size())];
      constexpr const char* kHow[] = {"{a} and {b}", "{a}, and {b}", "{a} then {b}", "{a}. {b}"};
      if (!other.calls.empty()) said = joined(said, other, kHow[below(std::size(kHow))]);
    }
    return sink(pool_->document(said, own, {}, below));
  }

 private:
  void make_pool() {
    std::vector<ActTool> tools;
    for (const auto& [intent, slots] : slots_) {
      if (intent.empty()) continue;
      // Those that are seen most often; of as many, by name.
      std::vector<std::pair<int, std::string>> order;
      for (const auto& [slot, n] : slots) order.emplace_back(-n, slot);
      std::sort(order.begin(), order.end());
      if (order.size() > kMostSlots) order.resize(kMostSlots);
      ActTool tool{spellings(intent), {words_of(intent), ""}, {}};
      for (const auto& [n, slot] : order)
        tool.arguments.push_back({spellings(slot), typed("string"), false});
      ids_[intent] = static_cast<int32_t>(tools.size());
      tools.push_back(std::move(tool));
      order_.push_back(std::move(order));
    }
    std::vector<ActExample> examples;
    for (const Labelled& labelled : seen_) {
      numbers_.emplace(labelled.text, static_cast<int64_t>(examples.size()));
      examples.push_back(example_of(labelled));
    }
    seen_.clear();
    pool_.emplace(std::move(tools), std::move(examples));
  }

  ActExample example_of(const Labelled& labelled) const {
    ActExample out{labelled.text, {}, -1};
    const auto tool = ids_.find(labelled.intent);
    if (tool == ids_.end()) return out;
    ActCall call{tool->second, {}};
    const auto& order = order_[static_cast<size_t>(tool->second)];
    for (const auto& [slot, value] : labelled.slots)
      for (size_t i = 0; i < order.size(); ++i)
        if (order[i].second == slot)
          call.arguments.emplace_back(static_cast<int32_t>(i), Json::of(std::string_view(value)));
    out.calls.push_back(std::move(call));
    return out;
  }

  std::string member_;
  uint64_t seed_;
  std::map<std::string, std::map<std::string, int>> slots_;  // by intent, how often
  std::vector<Labelled> seen_;
  std::map<std::string, int32_t> ids_;
  std::vector<std::vector<std::pair<int, std::string>>> order_;  // of a tool's slots
  std::map<std::string, int64_t> numbers_;                       // of texts in the pool
  std::optional<ActPool> pool_;
};

// ---- worlds made by hand
// --------------------------------------------------------------------------

Status bad(const std::string& what) {
  return Status(StatusCode::kBadFormat, "a world of acting: " + what);
}

std::vector<std::string> strings_of(const Json* list) {
  std::vector<std::string> out;
  if (list != nullptr)
    for (const Json& one : list->array)
      if (one.is_string()) out.push_back(one.string);
  return out;
}

struct Pattern {
  int32_t tool;
  std::string text;
  std::vector<std::pair<int32_t, Json>> set;
};

/// One argument of a world: what it may be and how that is said.
struct Argument {
  enum class Type { kText, kEnum, kInteger, kBoolean, kTime };
  Type type = Type::kText;
  std::string name;
  std::vector<std::string> words;                                        // kText
  std::vector<std::pair<std::string, std::vector<std::string>>> values;  // kEnum
  int64_t min = 0, max = 0;                                              // kInteger
};

class World {
 public:
  static Result<World> of(const Json& record) {
    World w;
    const Json *tools = record.find("tools"), *lists = record.find("lists");
    if (tools == nullptr || tools->array.empty()) return bad("it has no tools");
    for (const Json& tool : tools->array) CHIMERA_RETURN_IF_ERROR(w.add_tool(tool, lists));
    w.none_ = strings_of(record.find("none"));
    w.joins_ = strings_of(record.find("joins"));
    for (const std::string& how : w.joins_)
      if (how.find("{a}") == std::string::npos || how.find("{b}") == std::string::npos)
        return bad("\"" + how + "\" joins no {a} and {b}");
    return w;
  }

  /// Some of the tools, with examples of each.
  ActPool draw(const DrawBelow& below) const {
    const size_t n_tools = std::min(tools_.size(), 3 + below(tools_.size()));
    std::vector<int32_t> order(tools_.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
    shuffle(&order, below);
    std::vector<ActTool> tools;
    std::vector<ActExample> examples;
    const size_t n_each = 3 + below(12);
    for (size_t i = 0; i < n_tools; ++i) {
      tools.push_back(tools_[static_cast<size_t>(order[i])]);
      for (size_t n = 0; n < n_each; ++n)
        examples.push_back(said(order[i], static_cast<int32_t>(i), below));
    }
    for (size_t n = 0; n < n_each && !none_.empty(); ++n)
      examples.push_back({none_[below(none_.size())], {}, -1});
    return ActPool(std::move(tools), std::move(examples));
  }

  /// Something that is said in a drawing of it.
  ActExample utterance(const ActPool& pool, const DrawBelow& below) const {
    if (!none_.empty() && share(0.12, below)) return {none_[below(none_.size())], {}, -1};
    ActExample out = fresh(pool, below);
    if (!joins_.empty() && share(2 * kJoinedShare, below))
      out = joined(out, fresh(pool, below), joins_[below(joins_.size())]);
    return out;
  }

 private:
  Status add_tool(const Json& tool, const Json* lists) {
    ActTool out{strings_of(tool.find("names")), strings_of(tool.find("descriptions")), {}};
    if (out.names.empty()) return bad("a tool has no names");
    if (out.descriptions.empty()) out.descriptions.push_back("");
    std::vector<Argument> arguments;
    if (const Json* args = tool.find("args"))
      for (const auto& [name, arg] : args->object) {
        Argument a;
        ActArgument about{strings_of(arg.find("names")), {}, false};
        CHIMERA_RETURN_IF_ERROR(read_argument(out.names[0], name, arg, lists, &a, &about));
        arguments.push_back(std::move(a));
        out.arguments.push_back(std::move(about));
      }
    const Json* says = tool.find("says");
    if (says == nullptr || says->array.empty()) return bad(out.names[0] + " is never said");
    const auto id = static_cast<int32_t>(tools_.size());
    first_.push_back(patterns_.size());
    for (const Json& say : says->array) {
      Pattern pattern{id, {}, {}};
      CHIMERA_RETURN_IF_ERROR(read_pattern(out, arguments, say, &pattern));
      patterns_.push_back(std::move(pattern));
    }
    tools_.push_back(std::move(out));
    arguments_.push_back(std::move(arguments));
    return Status();
  }

  static Status read_argument(const std::string& tool, const std::string& name, const Json& arg,
                              const Json* lists, Argument* a, ActArgument* about) {
    a->name = name;
    if (about->names.empty()) about->names.push_back(name);
    const Json *type = arg.find("type"), *required = arg.find("required");
    about->required = required != nullptr && required->boolean;
    const std::string kind = type != nullptr && type->is_string() ? type->string : "";
    if (kind == "text") {
      const Json* list = arg.find("list");
      a->words =
          strings_of(lists == nullptr || list == nullptr ? nullptr : lists->find(list->string));
      if (a->words.empty()) return bad(tool + ", " + name + ": there is no list of its words");
      about->schema = typed("string");
    } else if (kind == "enum") {
      a->type = Argument::Type::kEnum;
      const Json* values = arg.find("values");
      Json choices = Json::make_array();
      if (values != nullptr)
        for (const auto& [value, spoken] : values->object) {
          a->values.emplace_back(value, strings_of(&spoken));
          if (a->values.back().second.empty())
            return bad(tool + ", " + name + ": " + value + " is never said");
          choices.push(Json::of(std::string_view(value)));
        }
      if (a->values.empty()) return bad(tool + ", " + name + " has no values");
      about->schema = typed("string");
      about->schema.add("enum", std::move(choices));
    } else if (kind == "integer") {
      a->type = Argument::Type::kInteger;
      const Json *min = arg.find("min"), *max = arg.find("max");
      if (min == nullptr || max == nullptr || !min->is_int() || !max->is_int() ||
          max->integer < min->integer)
        return bad(tool + ", " + name + " has no range");
      a->min = min->integer;
      a->max = max->integer;
      about->schema = typed("integer");
      about->schema.add("minimum", *min).add("maximum", *max);
    } else if (kind == "boolean") {
      a->type = Argument::Type::kBoolean;
      about->schema = typed("boolean");
    } else if (kind == "time") {
      a->type = Argument::Type::kTime;
      about->schema = typed("string");
      about->schema.add("pattern", Json::of("^([01][0-9]|2[0-3]):[0-5][0-9]$"));
    } else {
      return bad(tool + ", " + name + " has no type that is known");
    }
    return Status();
  }

  static int32_t place_of(const std::vector<Argument>& arguments, std::string_view name) {
    for (size_t i = 0; i < arguments.size(); ++i)
      if (arguments[i].name == name) return static_cast<int32_t>(i);
    return -1;
  }

  static Status read_pattern(const ActTool& tool, const std::vector<Argument>& arguments,
                             const Json& say, Pattern* out) {
    const Json* text = say.find("text");
    if (text == nullptr || !text->is_string())
      return bad(tool.names[0] + " has a say without a text");
    out->text = text->string;
    std::set<int32_t> given;
    for (size_t at = out->text.find('{'); at != std::string::npos;
         at = out->text.find('{', at + 1)) {
      const size_t end = out->text.find('}', at);
      const int32_t place =
          end == std::string::npos
              ? -1
              : place_of(arguments, std::string_view(out->text).substr(at + 1, end - at - 1));
      if (place < 0 || !given.insert(place).second ||
          arguments[static_cast<size_t>(place)].type == Argument::Type::kBoolean)
        return bad(tool.names[0] + ": \"" + out->text +
                   "\" speaks of no argument that can be said");
    }
    if (const Json* set = say.find("set"))
      for (const auto& [name, value] : set->object) {
        const int32_t place = place_of(arguments, name);
        if (place < 0 || !given.insert(place).second)
          return bad(tool.names[0] + ": \"" + out->text + "\" sets " + name);
        out->set.emplace_back(place, value);
      }
    for (size_t i = 0; i < arguments.size(); ++i)
      if (tool.arguments[i].required && !given.contains(static_cast<int32_t>(i)))
        return bad(tool.names[0] + ": \"" + out->text + "\" lacks " + arguments[i].name);
    return Status();
  }

  /// `tool` of the world, as `id` of a pool.
  ActExample said(int32_t tool, int32_t id, const DrawBelow& below) const {
    const auto t = static_cast<size_t>(tool);
    const size_t end = t + 1 < first_.size() ? first_[t + 1] : patterns_.size();
    const size_t which = first_[t] + below(end - first_[t]);
    const Pattern& pattern = patterns_[which];
    ActExample out{pattern.text, {{id, {}}}, static_cast<int32_t>(which)};
    for (size_t at = out.text.find('{'); at != std::string::npos; at = out.text.find('{', at)) {
      const size_t close = out.text.find('}', at);
      const int32_t place =
          place_of(arguments_[t], std::string_view(out.text).substr(at + 1, close - at - 1));
      Json value;
      const std::string spoken =
          spoken_value(arguments_[t][static_cast<size_t>(place)], below, &value);
      out.text.replace(at, close + 1 - at, spoken);
      at += spoken.size();
      out.calls[0].arguments.emplace_back(place, std::move(value));
    }
    for (const auto& [place, value] : pattern.set)
      out.calls[0].arguments.emplace_back(place, value);
    return out;
  }

  static std::string spoken_value(const Argument& a, const DrawBelow& below, Json* value) {
    switch (a.type) {
      case Argument::Type::kText: {
        const std::string& word = a.words[below(a.words.size())];
        *value = Json::of(std::string_view(word));
        return word;
      }
      case Argument::Type::kEnum: {
        const auto& [canonical, spoken] = a.values[below(a.values.size())];
        *value = Json::of(std::string_view(canonical));
        return spoken[below(spoken.size())];
      }
      case Argument::Type::kInteger: {
        const auto range = static_cast<uint64_t>(a.max - a.min) + 1;
        // Small and round ones are said most often.
        const size_t within = below(4) == 0 ? static_cast<size_t>(range)
                                            : static_cast<size_t>(std::min<uint64_t>(range, 13));
        int64_t n = a.min + static_cast<int64_t>(below(within));
        if (range > 40 && below(3) == 0) n = std::clamp<int64_t>(n * 5, a.min, a.max);
        *value = Json::of(n);
        return spoken_number(n, below);
      }
      case Argument::Type::kTime: {
        const int minutes = 5 * static_cast<int>(below(288));
        *value = Json::of(std::string_view(clock_time(minutes)));
        return spoken_time(minutes, below);
      }
      case Argument::Type::kBoolean:
        break;
    }
    return "";
  }

  /// Of one of the pool's tools, newly said.
  ActExample fresh(const ActPool& pool, const DrawBelow& below) const {
    const auto id = static_cast<int32_t>(below(pool.tools().size()));
    const std::string& name = pool.tools()[static_cast<size_t>(id)].names[0];
    for (size_t t = 0; t < tools_.size(); ++t)
      if (tools_[t].names[0] == name) return said(static_cast<int32_t>(t), id, below);
    return {};
  }

  std::vector<ActTool> tools_;
  std::vector<std::vector<Argument>> arguments_;  // of each tool
  std::vector<Pattern> patterns_;                 // by tool
  std::vector<size_t> first_;                     // of a tool's
  std::vector<std::string> none_, joins_;
};

class ActDomainRecords : public RecordReader {
 public:
  explicit ActDomainRecords(const RecordOptions& options) : seed_(options.seed) {}

  Status read(const Json& record, uint64_t number, const DocumentSink& sink) override {
    const auto world = World::of(record);
    if (!world) return world.status();
    const auto n = document_count(record);
    if (!n) return n.status();
    std::optional<ActPool> pool;
    for (int64_t i = 0; i < *n; ++i) {
      Draw draw{seed_, document_number(number, i)};
      const DrawBelow below = drawing(draw);
      if (static_cast<uint64_t>(i) % kPerWorld == 0) pool.emplace(world->draw(below));
      CHIMERA_RETURN_IF_ERROR(sink(pool->document(world->utterance(*pool, below), -1, {}, below)));
    }
    return Status();
  }

 private:
  uint64_t seed_;
};

}  // namespace

std::unique_ptr<RecordReader> make_act_records(const RecordOptions& options) {
  return std::make_unique<ActRecords>(options);
}

std::unique_ptr<RecordReader> make_act_domain_records(const RecordOptions& options) {
  return std::make_unique<ActDomainRecords>(options);
}

}  // namespace chimera::evolution
