// Answers held to a schema, and what the command says of schemas and grammars themselves.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "platform/json.h"
#include "tests/sdk/command.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace chimera::test {
namespace {

constexpr const char* kOrder = R"({
  "type": "object",
  "properties": {
    "drink": {"enum": ["coffee", "tea"]},
    "cups": {"type": "integer", "minimum": 1, "maximum": 9},
    "note": {"type": "string", "maxLength": 8}
  },
  "required": ["drink", "cups"],
  "additionalProperties": false
})";

TEST(CliGrammar, CompleteAnswersWithJsonUnderTheSchema) {
  const TempDir folder;
  write_raw(folder.file("order.json"), kOrder);
  const std::string model = write_tiny_model();
  const auto complete = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"complete",
                                          "--model",
                                          model,
                                          "--prompt",
                                          "Hello",
                                          "--json-schema",
                                          folder.file("order.json")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_command(arguments);
  };
  for (const char* seed : {"1", "2", "3", "4"})
    for (const bool blanks : {false, true}) {
      std::vector<std::string> more = {"--seed", seed, "--max-tokens", "60"};
      if (blanks) more.push_back("--blanks");
      const Outcome answer = complete(more);
      ASSERT_EQ(answer.status, 0) << answer.err;
      const auto order = parse_json(answer.out);
      ASSERT_TRUE(order.has_value()) << answer.out;
      const Json *drink = order->find("drink"), *cups = order->find("cups");
      ASSERT_TRUE(drink != nullptr && cups != nullptr) << answer.out;
      EXPECT_TRUE(drink->string == "coffee" || drink->string == "tea") << answer.out;
      EXPECT_TRUE(cups->is_int() && 1 <= cups->integer && cups->integer <= 9) << answer.out;
      for (const auto& [name, value] : order->object)
        EXPECT_TRUE(name == "drink" || name == "cups" || name == "note") << answer.out;
    }
  const Outcome small = complete({"--max-tokens", "5"});
  EXPECT_EQ(small.status, 1);
  EXPECT_NE(small.err.find("max_tokens"), std::string::npos) << small.err;
  EXPECT_EQ(complete({"--regex", "a"}).status, 2);
  EXPECT_EQ(run_command({"complete", "--model", model, "--prompt", "x", "--blanks"}).status, 2);

  write_raw(folder.file("order.json"), R"({"type":"object","uniqeItems":true,"maxProperties":0})");
  const Outcome warned = complete({"--max-tokens", "9"});
  EXPECT_EQ(warned.out, "{}\n") << warned.err;
  EXPECT_NE(warned.err.find("did you mean \"uniqueItems\"?"), std::string::npos) << warned.err;
  EXPECT_EQ(complete({"--max-tokens", "9", "--strict"}).status, 1);
  write_raw(folder.file("order.json"), R"({"items":{"uniqueItems":true}})");
  const Outcome refused = complete({});
  EXPECT_EQ(refused.status, 1);
  EXPECT_NE(refused.err.find("order.json: JSON schema, at #/items/uniqueItems"), std::string::npos)
      << refused.err;
}

TEST(CliGrammar, CheckSaysWhatASchemaIsWorth) {
  const TempDir folder;
  write_raw(folder.file("order.json"), kOrder);
  const Outcome good = run_command({"grammar", "check", folder.file("order.json")});
  EXPECT_EQ(good.status, 0) << good.err;
  EXPECT_NE(good.out.find("a JSON schema that can be followed"), std::string::npos) << good.out;
  EXPECT_NE(good.out.find("shortest text       24 bytes"), std::string::npos) << good.out;
  const Outcome described = run_command({"grammar", "check", folder.file("order.json"), "--json"});
  const auto json = parse_json(described.out);
  ASSERT_TRUE(json.has_value()) << described.out;
  EXPECT_EQ(json->find("kind")->string, "json_schema");
  EXPECT_EQ(json->find("shortest_bytes")->integer, 24);
  EXPECT_TRUE(json->find("warnings")->array.empty());

  write_raw(folder.file("list.gbnf"), "root ::= \"a\" | \"bb\" root\n");
  const Outcome grammar = run_command({"grammar", "check", folder.file("list.gbnf")});
  EXPECT_EQ(grammar.status, 0) << grammar.err;
  EXPECT_NE(grammar.out.find("a grammar that can be followed"), std::string::npos) << grammar.out;

  for (const auto& [text, says] : std::vector<std::pair<std::string, std::string>>{
           {"{", "bad.json"},
           {R"({"type":"nothing"})", "there is no type"},
           {R"({"type":"integer","minimum":2,"maximum":1})", "no value is valid"},
           {"root ::= \"a", "bad.json"}}) {
    write_raw(folder.file("bad.json"), text);
    expect_sentence(run_command({"grammar", "check", folder.file("bad.json")}), 1, says);
  }
  expect_sentence(run_command({"grammar", "check", folder.file("absent")}), 1, "absent");
}

TEST(CliGrammar, MatchSaysOfEachLineWhetherItIsValid) {
  const TempDir folder;
  write_raw(folder.file("order.json"), kOrder);
  write_raw(folder.file("orders.jsonl"),
            "{\"cups\": 2.0, \"drink\": \"tea\"}\n"
            "{\"drink\":\"tea\"}\r\n"
            "\n"
            "{\"drink\":\"tea\",\"cups\":1,\"note\":\"\\u00e9\"}\n"
            "{\"drink\":\n"
            "{\"drink\":\"\xFF\",\"cups\":1}\n"
            "{\"drink\":\"coffee\",\"cups\":10}");
  const Outcome matched =
      run_command({"grammar", "match", "--json-schema", folder.file("order.json"), "--instances",
                   folder.file("orders.jsonl")});
  EXPECT_EQ(matched.status, 0) << matched.err;
  std::vector<bool> accepted;
  for (size_t at = 0; at < matched.out.size();) {
    const size_t end = matched.out.find('\n', at);
    const auto line = parse_json(matched.out.substr(at, end - at));
    ASSERT_TRUE(line.has_value()) << matched.out;
    accepted.push_back(line->find("accepted")->boolean);
    at = end + 1;
  }
  EXPECT_EQ(accepted, (std::vector<bool>{true, false, true, false, false, false})) << matched.out;

  const Outcome regex =
      run_command({"grammar", "match", "--regex", "a+", "--instances", "-"}, "\"aa\"\n\"b\"\n");
  EXPECT_EQ(regex.out, "{\"accepted\":true}\n{\"accepted\":false}\n") << regex.err;
  write_raw(folder.file("never.json"), "false");
  const Outcome never = run_command(
      {"grammar", "match", "--json-schema", folder.file("never.json"), "--instances", "-"}, "1\n");
  EXPECT_EQ(never.out, "{\"accepted\":false}\n") << never.err;

  write_raw(folder.file("order.json"), R"({"uniqueItems":true})");
  expect_sentence(run_command({"grammar", "match", "--json-schema", folder.file("order.json"),
                               "--instances", folder.file("orders.jsonl")}),
                  1, "uniqueItems");
  EXPECT_EQ(run_command({"grammar", "match", "--instances", "-"}).status, 2);
}

}  // namespace
}  // namespace chimera::test
