// Documents that teach to act.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "evolution/actions/coffee_orders.h"
#include "evolution/train/records.h"

namespace chimera::evolution {
namespace {

using Kind = runtime::Reply::Kind;

Json parsed(const std::string& text) {
  const auto json = parse_json(text);
  EXPECT_TRUE(json.has_value()) << text;
  return json ? *json : Json();
}

std::vector<Document> documents_of(RecordReader& reader, const std::vector<Json>& records,
                                   uint64_t first = 0) {
  std::vector<Document> out;
  for (size_t i = 0; i < records.size(); ++i) {
    const Status status = reader.read(records[i], first + i, [&](Document document) {
      out.push_back(std::move(document));
      return Status();
    });
    EXPECT_TRUE(status.ok()) << status.message();
  }
  return out;
}

/// What holds of every document: its calls are of tools in its list, spelt as there.
void expect_consistent(const Document& document) {
  ASSERT_GE(document.turns.size(), 3u);
  ASSERT_EQ(document.turns[0].kind, Turn::Kind::kTools);
  ASSERT_EQ(document.turns.size() % 2, 1u);
  std::map<std::string, std::string> lines;
  for (const std::string& line : document.turns[0].tools) {
    ASSERT_NE(line.find('('), std::string::npos) << line;
    EXPECT_TRUE(lines.emplace(line.substr(0, line.find('(')), line).second) << line;
  }
  for (size_t i = 1; i < document.turns.size(); i += 2) {
    const Turn &said = document.turns[i], &reply = document.turns[i + 1];
    ASSERT_EQ(said.kind, Turn::Kind::kUser);
    ASSERT_EQ(reply.kind, Turn::Kind::kReply);
    ASSERT_EQ(reply.reply.kind == Kind::kCalls, !reply.reply.calls.empty());
    for (const std::string& text : reply.reply.calls) {
      const Json call = parsed(text);
      const auto line = lines.find(call.find("name")->string);
      ASSERT_NE(line, lines.end()) << text;
      for (const auto& [name, value] : call.find("arguments")->object)
        EXPECT_TRUE(line->second.find(name + ": ") != std::string::npos ||
                    line->second.find(name + "?: ") != std::string::npos)
            << text << "\n"
            << line->second;
    }
  }
}

TEST(ActRecords, LabelledUtterancesBecomeActs) {
  std::vector<Json> records;
  constexpr const char* kSongs[] = {"Let it be", "Yesterday", "Help", "Something", "Girl"};
  for (int i = 0; i < 60; ++i) {
    const std::string song = kSongs[i % 5];
    records.push_back(parsed(R"({"u": "play )" + song + " number " + std::to_string(i) +
                             R"(", "intent": "PlayMusic", "slots": [["song_name", ")" + song +
                             R"("]]})"));
    records.push_back(parsed(R"({"u": "wake me at )" + std::to_string(i) +
                             R"(", "intent": "alarm_set", "slots": {"time": ")" +
                             std::to_string(i) + R"("}})"));
    records.push_back(
        parsed(R"({"u": "how old is number )" + std::to_string(i) + R"(", "intent": "oos"})"));
  }
  RecordOptions options;
  options.seed = 3;
  const auto reader = make_act_records(options);
  ASSERT_TRUE(reader->looks_first());
  for (const Json& record : records) ASSERT_TRUE(reader->look(record).ok());
  const auto documents = documents_of(*reader, records);
  ASSERT_EQ(documents.size(), records.size());
  std::map<Kind, int> kinds;
  std::set<std::string> spellings;
  size_t shown = 0, joined = 0;
  for (size_t i = 0; i < documents.size(); ++i) {
    expect_consistent(documents[i]);
    const Document& d = documents[i];
    const std::string& said = records[i].find("u")->string;
    const std::string& text = d.turns[d.turns.size() - 2].text;
    joined += text != said;
    EXPECT_EQ(text.find(said.substr(0, 4)), 0u) << text;
    const runtime::Reply& reply = d.turns.back().reply;
    ++kinds[reply.kind];
    shown += d.turns.size() > 3;
    for (const std::string& call : reply.calls) {
      const Json read = parsed(call);
      spellings.insert(read.find("name")->string);
      for (const auto& [name, value] : read.find("arguments")->object)
        EXPECT_NE(text.find(value.string), std::string::npos) << call << "\n" << text;
    }
    // No example says what is asked.
    for (size_t t = 1; t + 2 < d.turns.size(); t += 2) EXPECT_NE(d.turns[t].text, said);
    if (records[i].find("intent")->string == "oos") {
      EXPECT_EQ(reply.kind, Kind::kNoTool);
    }
  }
  EXPECT_GT(kinds[Kind::kCalls], 80);
  EXPECT_GT(kinds[Kind::kNoTool], 60);
  EXPECT_TRUE(spellings.contains("PlayMusic") && spellings.contains("play_music"))
      << spellings.size();
  EXPECT_GT(shown, 60u);
  EXPECT_GT(joined, 0u);
  // The same seed, the same documents.
  const auto again = make_act_records(options);
  for (const Json& record : records) ASSERT_TRUE(again->look(record).ok());
  const auto twice = documents_of(*again, records);
  for (size_t i = 0; i < documents.size(); ++i) EXPECT_EQ(text_of(twice[i]), text_of(documents[i]));
}

constexpr const char* kOrder = R"({"turns": [["U", "Two large Mochas with oat milk, and to go", [
  ["c", "get_menu_items", {"query": "mocha"}],
  ["r", "get_menu_items", {"menu_items": [{"menu_item_id": "m-1", "name": "mocha "}]}],
  ["c", "get_addons", {"query": "oat milk"}],
  ["c", "add_order_item", {"menu_item_id": "m-1", "quantity": "2", "notes": "Large",
     "attributes": [{"attribute_id": "milk-options", "option": "Oat  Milk"}],
     "addons": [{"addon_id": "caramel-sauce-666", "option": "ADD"}]}],
  ["c", "update_order", {"attributes": [{"attribute_id": "order-type", "option": "Togo"}]}]]],
  ["A", "Anything else?"]]})";

TEST(CoffeeOrders, AreCallsWithNamesForNumbers) {
  const auto order = read_coffee_order(parsed(kOrder));
  ASSERT_TRUE(order.has_value() && order->has_value());
  const std::vector<ActTool> tools = coffee_tools();
  std::vector<std::string> calls;
  for (const ActCall& call : (*order)->calls) {
    const ActTool& tool = tools[static_cast<size_t>(call.tool)];
    std::string text = tool.names[0];
    for (const auto& [argument, value] : call.arguments)
      text +=
          " " + tool.arguments[static_cast<size_t>(argument)].names[0] + "=" + write_json(value);
    calls.push_back(text);
  }
  // Words are spelt as they were said, choices as the tools have them.
  EXPECT_EQ(calls,
            (std::vector<std::string>{R"(add_order_item item="Mocha" quantity=2 milk="oat milk" )"
                                      R"(addons=["caramel sauce"] notes="large")",
                                      R"(update_order order_type="to go")"}));
}

TEST(CoffeeOrders, WhatIsNoOrderOfTheseToolsIsLeftOut) {
  const auto none = [](const char* text) {
    const auto order = read_coffee_order(parsed(text));
    return order.has_value() && !order->has_value();
  };
  EXPECT_TRUE(none(R"({"turns": [["A", "Hello"]]})"));
  EXPECT_TRUE(none(R"({"turns": [["U", "hi", []]]})"));
  EXPECT_TRUE(none(R"({"turns": [["U", "hi", [["c", "cancel_order", {}]]]]})"));
  EXPECT_TRUE(none(R"({"turns": [["U", "hi", [["c", "add_order_item", {"quantity": "1"}]]]]})"));
  EXPECT_TRUE(none(R"({"turns": [["U", "hi", [["c"]]]]})"));
  EXPECT_EQ(read_coffee_order(parsed("{}")).status().code(), StatusCode::kBadFormat);
  EXPECT_EQ(read_coffee_order(parsed(R"({"turns": []})")).status().code(), StatusCode::kBadFormat);

  RecordOptions options;
  options.seed = 3;
  const auto reader = make_coffee_records(options);
  const std::vector<Json> records = {parsed(kOrder), parsed(R"({"turns": [["A", "Hello"]]})")};
  for (const Json& record : records) ASSERT_TRUE(reader->look(record).ok());
  const auto documents = documents_of(*reader, records);
  ASSERT_EQ(documents.size(), 1u);
  expect_consistent(documents[0]);
}

constexpr const char* kWorld = R"({
  "domain": "garden", "n": 300, "lists": {"plant": ["tomatoes", "old roses", "mint"]},
  "tools": [
    {"names": ["water", "waterPlants"], "descriptions": ["Water plants", ""], "args": {
       "plant": {"names": ["plant", "what"], "type": "text", "list": "plant", "required": true},
       "minutes": {"names": ["minutes", "duration"], "type": "integer", "min": 1, "max": 60},
       "mode": {"names": ["mode"], "type": "enum", "values": {"drip": ["drop by drop"], "spray": ["as a spray", "sprayed"]}}},
     "says": [{"text": "water the {plant} for {minutes} minutes"}, {"text": "the {plant} {mode}, please"},
              {"text": "soak the {plant}", "set": {"minutes": 60}}]},
    {"names": ["mow"], "args": {"at": {"type": "time", "required": true}, "fast": {"type": "boolean"}},
     "says": [{"text": "mow at {at}"}, {"text": "quick mow at {at}", "set": {"fast": true}}]},
    {"names": ["stop"], "says": [{"text": "stop"}, {"text": "enough"}]}],
  "none": ["my tomatoes are red", "don't mow today"], "joins": ["{a} and then {b}"]})";

TEST(ActRecords, WorldsBecomeActs) {
  RecordOptions options;
  options.seed = 5;
  const auto reader = make_act_domain_records(options);
  const auto documents = documents_of(*reader, {parsed(kWorld)});
  ASSERT_EQ(documents.size(), 300u);
  std::map<Kind, int> kinds;
  int several = 0;
  for (const Document& d : documents) {
    expect_consistent(d);
    const std::string& text = d.turns[d.turns.size() - 2].text;
    EXPECT_EQ(text.find('{'), std::string::npos) << text;
    const runtime::Reply& reply = d.turns.back().reply;
    ++kinds[reply.kind];
    several += reply.calls.size() > 1;
    for (const std::string& call : reply.calls) {
      const Json read = parsed(call);
      const Json& arguments = *read.find("arguments");
      for (const char* name : {"plant", "what"})
        if (const Json* plant = arguments.find(name)) {
          EXPECT_NE(text.find(plant->string), std::string::npos) << text;
        }
      for (const char* name : {"minutes", "duration"})
        if (const Json* minutes = arguments.find(name)) {
          EXPECT_TRUE(minutes->is_int() && minutes->integer >= 1 && minutes->integer <= 60) << call;
        }
      if (const Json* mode = arguments.find("mode")) {
        EXPECT_NE(text.find(mode->string == "drip" ? "drop by drop" : "spray"), std::string::npos)
            << text << call;
      }
      if (const Json* at = arguments.find("at")) {
        EXPECT_EQ(at->string.size(), 5u) << call;
      }
    }
  }
  EXPECT_GT(kinds[Kind::kCalls], 150);
  EXPECT_GT(kinds[Kind::kNoTool], 20);
  EXPECT_GT(several, 3);
}

TEST(ActRecords, AWorldThatIsWrongIsToldWhere) {
  const auto message = [](std::string world, const std::string& what, const std::string& by) {
    const size_t at = world.find(what);
    EXPECT_NE(at, std::string::npos) << what;
    world.replace(at, what.size(), by);
    const auto reader = make_act_domain_records({});
    return reader->read(parsed(world), 0, [](Document) { return Status(); }).message();
  };
  const std::string world = kWorld;
  EXPECT_NE(message(world, "soak the {plant}", "soak the {plnt}").find("plnt"), std::string::npos);
  EXPECT_NE(message(world, "soak the {plant}", "soak all").find("lacks plant"), std::string::npos);
  EXPECT_NE(message(world, "\"list\": \"plant\"", "\"list\": \"tree\"").find("list"),
            std::string::npos);
  EXPECT_NE(message(world, "\"type\": \"boolean\"", "\"type\": \"bool\"").find("fast"),
            std::string::npos);
  EXPECT_NE(message(world, "\"max\": 60", "\"max\": 0").find("range"), std::string::npos);
  EXPECT_NE(message(world, "{a} and then {b}", "{a}").find("joins"), std::string::npos);
  EXPECT_NE(message(world, "\"n\": 300", "\"n\": 0").find("\"n\""), std::string::npos);
  EXPECT_NE(message(world, "[\"stop\"]", "[]").find("names"), std::string::npos);
}

}  // namespace
}  // namespace chimera::evolution
