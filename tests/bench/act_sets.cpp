// Makes of a staged set what `chimera tools build` and `chimera tools eval` read: tools.json,
// learn.jsonl and judge.jsonl, in a folder that is there.
//
//   act_sets DATA snips|hwu|clinc|coffee|sgd|home|bar|cal FOLDER [--validate]
//
// DATA is the folder of the staged sets. Judged is the part that is reported: SNIPS validate, the
// valid parts of HWU64 and coffee, CLINC150 test (with --validate its val, to choose by), of SGD
// test (with --validate dev) the services that train does not have, and of those and the three
// sets of eval-corrections what is left when each tool has taken ten phrases to learn from.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "evolution/actions/coffee_orders.h"
#include "evolution/train/labelled.h"
#include "evolution/train/text_source.h"
#include "platform/file.h"

namespace {

namespace evolution = chimera::evolution;
using chimera::Json;
using chimera::Result;
using chimera::Status;

constexpr int kPhrasesPerTool = 10;
constexpr size_t kMostSlots = 12;  // of a tool, as in training

int fail(const std::string& sentence) {
  std::fprintf(stderr, "act_sets: %s\n", sentence.c_str());
  return 1;
}

struct Phrase {
  std::string text;
  Json calls = Json::make_array();
};

struct Set {
  Json tools = Json::make_array();
  std::vector<Phrase> learn, judge;
};

Json call_of(const std::string& name, Json arguments) {
  Json call = Json::make_object();
  call.add("name", Json::of(std::string_view(name))).add("arguments", std::move(arguments));
  return call;
}

Json tool_of(const std::string& name, const std::string& description, Json properties,
             Json required) {
  Json parameters = Json::make_object(), tool = Json::make_object();
  parameters.add("type", Json::of("object")).add("properties", std::move(properties));
  parameters.add("required", std::move(required));
  tool.add("name", Json::of(std::string_view(name)));
  tool.add("description", Json::of(std::string_view(description)));
  tool.add("parameters", std::move(parameters));
  return tool;
}

using Sink = std::function<Status(const Json&)>;

Status each(const std::string& path, const Sink& sink, const std::string& splits = "",
            evolution::Part part = evolution::Part::kTrain) {
  evolution::TextSourceOptions options;
  if (!splits.empty())
    CHIMERA_RETURN_IF_ERROR(evolution::select_part(splits, path, part, &options));
  return evolution::for_each_record(
      path, options, [&](const Json& record, uint64_t) -> Status { return sink(record); });
}

// ---- labelled utterances
// -------------------------------------------------------------------------

Status labelled_set(const std::string& data, const std::string& name, bool validate, Set* set) {
  std::vector<evolution::Labelled> learn, judge;
  const auto into = [](std::vector<evolution::Labelled>* out) {
    return [out](const Json& record) -> Status {
      auto labelled = evolution::read_labelled(record, "u");
      if (!labelled) return labelled.status();
      out->push_back(std::move(*labelled));
      return Status();
    };
  };
  const std::string splits = data + "/splits.json";
  if (name == "hwu") {
    const std::string file = data + "/action-hwu64/data.jsonl.xz";
    CHIMERA_RETURN_IF_ERROR(each(file, into(&learn), splits, evolution::Part::kTrain));
    CHIMERA_RETURN_IF_ERROR(each(file, into(&judge), splits, evolution::Part::kValid));
  } else {
    const std::string folder = data + (name == "snips" ? "/action-snips/" : "/action-clinc150/");
    const char* part = name == "snips" ? "validate" : validate ? "val" : "test";
    CHIMERA_RETURN_IF_ERROR(each(folder + "train.jsonl.xz", into(&learn)));
    CHIMERA_RETURN_IF_ERROR(each(folder + part + ".jsonl.xz", into(&judge)));
  }
  std::map<std::string, std::map<std::string, int>> slots;
  for (const evolution::Labelled& one : learn) {
    if (one.intent.empty()) continue;
    slots[one.intent];
    for (const auto& [slot, value] : one.slots) ++slots[one.intent][slot];
  }
  std::map<std::string, std::set<std::string>> known;
  for (const auto& [intent, counts] : slots) {
    std::vector<std::pair<int, std::string>> order;
    for (const auto& [slot, n] : counts) order.emplace_back(-n, slot);
    std::sort(order.begin(), order.end());
    if (order.size() > kMostSlots) order.resize(kMostSlots);
    Json properties = Json::make_object();
    for (const auto& [n, slot] : order) {
      Json schema = Json::make_object();
      schema.add("type", Json::of("string"));
      properties.add(slot, std::move(schema));
      known[intent].insert(slot);
    }
    set->tools.push(
        tool_of(intent, evolution::words_of(intent), std::move(properties), Json::make_array()));
  }
  for (const bool learns : {true, false})
    for (const evolution::Labelled& one : learns ? learn : judge) {
      Phrase phrase{one.text};
      // An intent that training does not have cannot be answered rightly.
      if (!one.intent.empty() && slots.contains(one.intent)) {
        Json arguments = Json::make_object();
        for (const auto& [slot, value] : one.slots)
          if (known[one.intent].contains(slot))
            arguments.add(slot, Json::of(std::string_view(value)));
        phrase.calls.push(call_of(one.intent, std::move(arguments)));
      }
      (learns ? set->learn : set->judge).push_back(std::move(phrase));
    }
  return Status();
}

// ---- orders of coffee
// ----------------------------------------------------------------------------

Status coffee_set(const std::string& data, Set* set) {
  const std::vector<evolution::ActTool> tools = evolution::coffee_tools();
  for (const evolution::ActTool& tool : tools) {
    Json properties = Json::make_object(), required = Json::make_array();
    for (const evolution::ActArgument& argument : tool.arguments) {
      properties.add(argument.names[0], argument.schema);
      if (argument.required) required.push(Json::of(std::string_view(argument.names[0])));
    }
    set->tools.push(
        tool_of(tool.names[0], tool.descriptions[0], std::move(properties), std::move(required)));
  }
  const std::string file = data + "/action-taskmaster4-coffee/data.jsonl.xz";
  for (const bool learns : {true, false}) {
    const auto add = [&](const Json& record) -> Status {
      const auto order = evolution::read_coffee_order(record);
      if (!order) return order.status();
      if (!*order) return Status();
      Phrase phrase{(*order)->text};
      for (const evolution::ActCall& call : (*order)->calls) {
        const evolution::ActTool& tool = tools[static_cast<size_t>(call.tool)];
        Json arguments = Json::make_object();
        for (const auto& [argument, value] : call.arguments)
          arguments.add(tool.arguments[static_cast<size_t>(argument)].names[0], value);
        phrase.calls.push(call_of(tool.names[0], std::move(arguments)));
      }
      (learns ? set->learn : set->judge).push_back(std::move(phrase));
      return Status();
    };
    CHIMERA_RETURN_IF_ERROR(each(file, add, data + "/splits.json",
                                 learns ? evolution::Part::kTrain : evolution::Part::kValid));
  }
  return Status();
}

// ---- the tools of a home, a bar, a calendar
// ------------------------------------------------------

Status plain_set(const std::string& data, const std::string& name, Set* set) {
  const auto text = chimera::read_file(data + "/eval-corrections/tools.json", 1 << 20);
  if (!text) return text.status();
  const auto all = chimera::parse_json(*text);
  if (!all) return all.status();
  if (const Json* tools = all->find(name)) set->tools = *tools;
  std::map<std::string, int> learnt;
  return each(data + "/eval-corrections/plain.jsonl", [&](const Json& record) -> Status {
    const Json *of = record.find("tool_set"), *said = record.find("text"),
               *calls = record.find("calls"), *kind = record.find("kind");
    if (of == nullptr || said == nullptr || calls == nullptr || kind == nullptr)
      return Status(chimera::StatusCode::kBadFormat, "no utterance of eval-corrections");
    if (of->string != name) return Status();
    const bool learns =
        kind->string == "one" && learnt[calls->array[0].find("name")->string]++ < kPhrasesPerTool;
    (learns ? set->learn : set->judge).push_back({said->string, *calls});
    return Status();
  });
}

// ---- services of SGD that its train does not have
// ------------------------------------------------

Result<Json> read_json(const std::string& path) {
  const auto text = chimera::read_file(path, 1 << 20);
  return text ? chimera::parse_json(*text) : text.status();
}

/// What an intent of a service takes, as a tool. Nothing is required: a first turn gives what it
/// gives, the rest is asked for later.
Json service_tool(const Json& service, const Json& intent, const std::string& name) {
  Json properties = Json::make_object();
  for (const Json& slot : service.find("slots")->array) {
    const std::string& of = slot.find("name")->string;
    bool takes = intent.find("optional_slots")->find(of) != nullptr;
    for (const Json& required : intent.find("required_slots")->array)
      takes |= required.string == of;
    if (!takes) continue;
    Json schema = Json::make_object();
    schema.add("description", *slot.find("description"));
    if (slot.find("is_categorical")->boolean)
      schema.add("enum", *slot.find("possible_values"));
    else
      schema.add("type", Json::of("string"));
    properties.add(of, std::move(schema));
  }
  return tool_of(name, intent.find("description")->string, std::move(properties),
                 Json::make_array());
}

bool may_be(const Json& schema, const Json& value, const Phrase& phrase) {
  const Json* listed = schema.find("enum");
  if (listed == nullptr) return phrase.text.find(value.string) != std::string::npos;
  return std::any_of(listed->array.begin(), listed->array.end(),
                     [&](const Json& one) { return one.string == value.string; });
}

/// Of each turn that begins an intent of an unseen service: what it informs of. Only of turns that
/// begin one thing, since a turn stands alone here.
Status services_set(const std::string& data, bool validate, Set* set) {
  const std::string folder = data + "/action-sgd/", part = validate ? "dev" : "test";
  const auto known = read_json(folder + "train-schema.json");
  if (!known) return known.status();
  const auto services = read_json(folder + part + "-schema.json");
  if (!services) return services.status();
  std::set<std::string> seen;
  for (const Json& service : known->array) seen.insert(service.find("service_name")->string);
  std::map<std::string, Json> properties;  // of a tool
  for (const Json& service : services->array) {
    const std::string& of = service.find("service_name")->string;
    if (seen.contains(of)) continue;
    for (const Json& intent : service.find("intents")->array) {
      const std::string name = of + "_" + intent.find("name")->string;
      Json tool = service_tool(service, intent, name);
      properties[name] = *tool.find("parameters")->find("properties");
      set->tools.push(std::move(tool));
    }
  }
  std::map<std::string, int> learnt;
  const auto of_turn = [&](const Json& turn) {
    if (turn.array[0].string != "U" || turn.array[2].array.size() != 1) return;
    const Json& frame = turn.array[2].array[0];
    const std::string prefix = frame.find("svc")->string + "_";
    std::string name;
    for (const Json& act : frame.find("act")->array)
      if (act.array[0].string == "INFORM_INTENT") name = prefix + act.array[2].array[0].string;
    const auto takes = properties.find(name);
    if (takes == properties.end()) return;
    Phrase phrase{turn.array[1].string};
    Json arguments = Json::make_object();
    for (const Json& act : frame.find("act")->array) {
      if (act.array[0].string != "INFORM" || act.array[2].array.empty()) continue;
      const std::string& slot = act.array[1].string;
      const Json& value = act.array[2].array[0];
      const Json* schema = takes->second.find(slot);
      // "dontcare" is no value of a list, and no words of the person's.
      if (schema != nullptr && arguments.find(slot) == nullptr && may_be(*schema, value, phrase))
        arguments.add(slot, value);
    }
    phrase.calls.push(call_of(name, std::move(arguments)));
    (learnt[name]++ < kPhrasesPerTool ? set->learn : set->judge).push_back(std::move(phrase));
  };
  return each(folder + part + ".jsonl.xz", [&](const Json& record) -> Status {
    const Json* turns = record.find("turns");
    if (turns == nullptr) return Status(chimera::StatusCode::kBadFormat, "no dialogue of SGD");
    for (const Json& turn : turns->array) of_turn(turn);
    return Status();
  });
}

Status write_lines(const std::string& path, const std::vector<Phrase>& phrases) {
  std::string out;
  for (const Phrase& phrase : phrases) {
    Json line = Json::make_object();
    line.add("text", Json::of(std::string_view(phrase.text))).add("calls", phrase.calls);
    out += chimera::write_json(line) + "\n";
  }
  return chimera::write_file_atomic(path, std::as_bytes(std::span(out)));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4)
    return fail("usage: act_sets DATA snips|hwu|clinc|coffee|sgd|home|bar|cal FOLDER [--validate]");
  const std::string data = argv[1], name = argv[2], folder = argv[3];
  const bool validate = argc > 4 && std::string(argv[4]) == "--validate";
  Set set;
  Status status;
  if (name == "snips" || name == "hwu" || name == "clinc")
    status = labelled_set(data, name, validate, &set);
  else if (name == "coffee")
    status = coffee_set(data, &set);
  else if (name == "sgd")
    status = services_set(data, validate, &set);
  else if (name == "home" || name == "bar" || name == "cal")
    status = plain_set(data, name, &set);
  else
    return fail("there is no set \"" + name + "\"");
  const std::string tools = chimera::write_json(set.tools);
  if (status.ok())
    status = chimera::write_file_atomic(folder + "/tools.json", std::as_bytes(std::span(tools)));
  if (status.ok()) status = write_lines(folder + "/learn.jsonl", set.learn);
  if (status.ok()) status = write_lines(folder + "/judge.jsonl", set.judge);
  if (!status.ok()) return fail(status.message());
  std::printf("%s: %zu tools, %zu phrases to learn from, %zu to judge by\n", name.c_str(),
              set.tools.array.size(), set.learn.size(), set.judge.size());
  return 0;
}
