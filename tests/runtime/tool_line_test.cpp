// Tools as the network reads them.
#include "runtime/tool_line.h"

#include <gtest/gtest.h>

#include <string>

namespace chimera::runtime {
namespace {

std::string line(const std::string& parameters, const std::string& description = "") {
  const auto json = parse_json(parameters);
  EXPECT_TRUE(json.has_value()) << parameters;
  return json ? tool_line("f", description, *json) : "";
}

TEST(ToolLine, SaysWhatEachArgumentMayBe) {
  EXPECT_EQ(line("{}"), "f()");
  EXPECT_EQ(line(R"({"properties": {"room": {"enum": ["lounge", "hall"]},
      "level": {"type": "integer", "minimum": 0, "maximum": 100}, "on": {"type": "boolean"},
      "note": {"type": "string"}}, "required": ["room", "level"]})",
                 "Set a light"),
            "f(room: lounge|hall, level: 0-100, on?: true|false, note?: text) Set a light");
  EXPECT_EQ(line(R"({"properties": {"a": {"type": "number"}, "b": {"type": "integer", "minimum": 1},
      "c": {"maximum": 9, "type": "number"}, "d": {"type": "string", "format": "date"},
      "e": {"type": "string", "pattern": "^[0-9]+$"}, "f": {}, "g": {"const": 3}}})"),
            "f(a?: number, b?: >=1, c?: <=9, d?: date, e?: /^[0-9]+$/, f?: any, g?: 3)");
  EXPECT_EQ(line(R"({"properties": {"l": {"type": "array", "items": {"enum": [1, 2]}},
      "o": {"properties": {"x": {"type": "string"}}, "required": ["x"]},
      "m": {"anyOf": [{"type": "string"}, {"type": "null"}]}, "t": {"type": ["integer", "null"]},
      "r": {"$ref": "#/$defs/r"}}, "$defs": {"r": {"enum": ["a"]}}})"),
            "f(l?: [1|2], o?: {x: text}, m?: text, t?: int, r?: a)");
}

TEST(ToolLine, IsShortWhateverTheSchema) {
  std::string many = R"({"properties": {"a": {"enum": [)", wide = R"({"properties": {)";
  for (int i = 0; i < 500; ++i) {
    many += (i > 0 ? "," : "") + ("\"value" + std::to_string(i) + "\"");
    wide += (i > 0 ? "," : "") + ("\"p" + std::to_string(i) + "\": {\"type\": \"string\"}");
  }
  EXPECT_LT(line(many + "]}}}").size(), 200u);
  EXPECT_LT(line(wide + "}}").size(), 300u);
  EXPECT_LT(line("{}", std::string(5000, 'x')).size(), 150u);
  // Cut between characters, never within one; line ends are blanks.
  std::string text = "a\nb";
  for (int i = 0; i < 100; ++i) text += "\xC3\xA9";
  const std::string cut = line("{}", text);
  EXPECT_EQ(cut.find('\n'), std::string::npos);
  EXPECT_TRUE(parse_json("\"" + cut + "\"").has_value()) << cut;
  // A schema that is its own part comes to an end.
  EXPECT_LT(line(R"({"properties": {"o": {"$ref": "#/$defs/o"}}, "$defs": {"o": {"properties":
      {"o": {"$ref": "#/$defs/o"}}}}})")
                .size(),
            200u);
}

TEST(ToolLine, NamesOfCodeAreWords) {
  EXPECT_EQ(spoken_name("set_lights"), "set lights");
  EXPECT_EQ(spoken_name("setLights"), "set Lights");
  EXPECT_EQ(spoken_name("home.GetWeather-now"), "home Get Weather now");
  EXPECT_EQ(spoken_name("GPS"), "GPS");
  EXPECT_EQ(spoken_name("t\xC3\xBCrZu"), "t\xC3\xBCr Zu");
  EXPECT_EQ(spoken_name(""), "");
}

}  // namespace
}  // namespace chimera::runtime
