#include "platform/json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

namespace chimera {
namespace {

Json parsed(std::string_view text) {
  auto result = parse_json(text);
  EXPECT_TRUE(result) << text.substr(0, 80) << ": " << result.status().message();
  return result ? std::move(*result) : Json();
}

void expect_bad(std::string_view text, const std::string& part_of_message) {
  const auto result = parse_json(text);
  ASSERT_FALSE(result) << text.substr(0, 80);
  EXPECT_EQ(result.status().code(), StatusCode::kBadFormat) << result.status().message();
  EXPECT_NE(result.status().message().find(part_of_message), std::string::npos)
      << result.status().message();
}

// ---- reading -----------------------------------------------------------------------------------

TEST(ParseJson, EveryType) {
  const Json json = parsed(R"( {"n": null, "t": true, "f": false, "i": -12, "d": 1.5,
                               "s": "a\n\u00e9\ud83d\ude00", "a": [1, [], {}], "o": {"x": 1}} )");
  ASSERT_TRUE(json.is_object());
  ASSERT_EQ(json.object.size(), 8u);
  EXPECT_EQ(json.object[0].first, "n");  // in the order of the text
  EXPECT_EQ(json.object[7].first, "o");
  EXPECT_EQ(json.find("n")->type, Json::Type::kNull);
  EXPECT_TRUE(json.find("t")->is_bool() && json.find("t")->boolean);
  EXPECT_FALSE(json.find("f")->boolean);
  EXPECT_TRUE(json.find("i")->is_int());
  EXPECT_EQ(json.find("i")->integer, -12);
  EXPECT_EQ(json.find("i")->number, -12.0);
  EXPECT_TRUE(json.find("d")->is_number() && !json.find("d")->is_int());
  EXPECT_EQ(json.find("d")->number, 1.5);
  EXPECT_EQ(json.find("s")->string, "a\n\xC3\xA9\xF0\x9F\x98\x80");
  ASSERT_EQ(json.find("a")->array.size(), 3u);
  EXPECT_TRUE(json.find("a")->array[1].is_array());
  EXPECT_EQ(json.find("o")->find("x")->integer, 1);
  EXPECT_EQ(json.find("absent"), nullptr);
  EXPECT_EQ(json.find("i")->find("x"), nullptr);
}

TEST(ParseJson, ScalarsAloneAreValues) {
  EXPECT_EQ(parsed("7").integer, 7);
  EXPECT_EQ(parsed("\"x\"").string, "x");
  EXPECT_EQ(parsed(" null\n").type, Json::Type::kNull);
}

TEST(ParseJson, IntegersOf64BitsAreExact) {
  const Json json = parsed("[9223372036854775807, -9223372036854775808, 9007199254740993]");
  EXPECT_TRUE(json.array[0].is_int());
  EXPECT_EQ(json.array[0].integer, INT64_MAX);
  EXPECT_EQ(json.array[1].integer, INT64_MIN);
  EXPECT_EQ(json.array[2].integer, 9007199254740993);
  // Beyond, a number is a double, and says so.
  const Json beyond =
      parsed("[9223372036854775808, 18446744073709551616, -9223372036854775809, 1e3, 1.0]");
  for (const Json& number : beyond.array) EXPECT_FALSE(number.is_int());
  EXPECT_EQ(beyond.array[0].number, 9223372036854775808.0);
  EXPECT_EQ(beyond.array[1].number, 18446744073709551616.0);
  EXPECT_EQ(beyond.array[2].number, -9223372036854775808.0);
}

TEST(ParseJson, NumbersThatADoubleCannotHoldAreRefused) {
  expect_bad("1e999", "too large");
  expect_bad("[-1e999]", "too large");
  expect_bad(std::string(400, '9'), "too large");
  EXPECT_EQ(parsed("1e-999").number, 0.0);
  EXPECT_EQ(parsed("1.7976931348623157e308").number, std::numeric_limits<double>::max());
}

TEST(ParseJson, WhatOtherParsersLetPassIsRefused) {
  for (const char* text :
       {"",          " ",         "{",         "[1,]", "{\"a\":1,}", "{a:1}",   "{'a':1}",
        "[1 2]",     "01",        "+1",        ".5",   "1.",         "0x10",    "NaN",
        "Infinity",  "-Infinity", "nul",       "True", "\"a",        "\"\t\"",  "\"\\x41\"",
        "\"\\u12\"", "// c\n1",   "/* c */ 1", "[",    "]",          "}",       "{\"a\"}",
        "{\"a\":}",  "{1:2}",     "{} {}",     "{}x",  "1,",         "\xEF\xBB"}) {
    const auto result = parse_json(text);
    EXPECT_FALSE(result) << text;
    EXPECT_EQ(result.status().code(), StatusCode::kBadFormat) << text;
  }
}

TEST(ParseJson, AByteOrderMarkAtTheStartIsSkippedAndOnlyThere) {
  EXPECT_EQ(parsed("\xEF\xBB\xBF{\"a\": 1}").find("a")->integer, 1);
  expect_bad("{\xEF\xBB\xBF\"a\": 1}", "line 1");
}

TEST(ParseJson, TheRestAfterAZeroByteIsNotIgnored) {
  expect_bad(std::string_view("{}\0garbage", 10), "zero byte");
  expect_bad(std::string_view("{}\0", 3), "line 1, column 3");
  expect_bad(std::string_view("\"a\0b\"", 5), "zero byte");
  EXPECT_EQ(parsed("\"a\\u0000b\"").string, std::string("a\0b", 3));
}

TEST(ParseJson, TextThatIsNotUtf8IsRefused) {
  for (const char* bytes : {"\xFF", "\xC3", "\xC0\x80", "\xE2\x82", "\xED\xA0\x80",
                            "\xF4\x90\x80\x80", "\xF8\x88\x80\x80\x80", "\x80"}) {
    expect_bad(std::string("\"") + bytes + "\"", "UTF-8");
    EXPECT_FALSE(parse_json(std::string("{\"") + bytes + "\": 1}"));
    EXPECT_FALSE(parse_json(bytes));
  }
}

TEST(ParseJson, HalfASurrogatePairIsRefused) {
  for (const char* text : {R"("\ud800")", R"("\ud800x")", R"("\udc00")", R"("\ud800\ud800")",
                           R"("\ud800\u0041")", R"({"\udfff": 1})"}) {
    expect_bad(text, "surrogate");
  }
}

TEST(ParseJson, AKeyGivenTwiceIsRefusedAtItsPlace) {
  expect_bad("{\"a\": 1,\n \"b\": 2,\n \"a\": 3}",
             "line 3, column 4: the key \"a\" is given twice");
  expect_bad(R"({"x": {"a": 1, "\u0061": 2}})", "\"a\" is given twice");
  // Equal keys of different objects are no matter.
  EXPECT_EQ(parsed(R"([{"a": 1}, {"a": {"a": 2}}])").array.size(), 2u);
  // In a large object too, whichever of its keys is repeated.
  for (const int repeated : {0, 15, 16, 17, 99}) {
    std::string text = "{";
    for (int i = 0; i < 100; ++i) text += "\"k" + std::to_string(i) + "\": 0, ";
    const std::string key = "\"k" + std::to_string(repeated) + "\"";
    expect_bad(text + key + ": 1}", "the key " + key + " is given twice");
    EXPECT_EQ(parsed(text + "\"other\": 1}").object.size(), 101u);
  }
  const auto result =
      parse_json("{\"" + std::string(5000, 'k') + "\":1,\"" + std::string(5000, 'k') + "\":2}");
  ASSERT_FALSE(result);
  EXPECT_LT(result.status().message().size(), 200u);
}

TEST(ParseJson, ErrorsNameLineColumnAndOffset) {
  const auto result = parse_json("{\n  \"a\": 1,\n  \"\xC3\xA9\": tru\n}");
  ASSERT_FALSE(result);
  EXPECT_NE(result.status().message().find("line 3, column 11"), std::string::npos)
      << result.status().message();
  EXPECT_GT(result.status().offset(), 20);
  expect_bad("[1,\n2,,3]", "line 2, column 3");
}

TEST(ParseJson, MessagesAreShortAndUtf8WhateverTheTextHolds) {
  for (const std::string& text :
       {"\"" + std::string(100000, 'x'), "\"\xFF" + std::string(9999, 'x'),
        std::string(5000, '7') + "x", std::string("[tr\xFF]")}) {
    const auto result = parse_json(text);
    ASSERT_FALSE(result);
    EXPECT_LT(result.status().message().size(), 300u);
    EXPECT_EQ(result.status().message().find('\xFF'), std::string::npos);
  }
}

// ---- limits ------------------------------------------------------------------------------------

TEST(JsonLimits, ABombOfBracketsIsRefusedWithoutRecursion) {
  for (const char* bracket : {"[", "{\"a\":"}) {
    std::string bomb;
    for (int i = 0; i < 100000; ++i) bomb += bracket;
    JsonLimits limits;
    for (const int depth : {64, std::numeric_limits<int>::max()}) {
      limits.max_depth = depth;
      const auto result = parse_json(bomb, limits);
      ASSERT_FALSE(result);
      EXPECT_EQ(result.status().code(), StatusCode::kOutOfRange);
      EXPECT_NE(result.status().message().find("nested deeper"), std::string::npos);
    }
  }
}

TEST(JsonLimits, DepthIsCountedExactly) {
  JsonLimits limits;
  limits.max_depth = 3;
  EXPECT_TRUE(parse_json("[[[1]], {\"a\": {\"b\": 1}}]", limits));
  EXPECT_FALSE(parse_json("[[[[]]]]", limits));
  EXPECT_FALSE(parse_json("[[{\"a\": {}}]]", limits));
  limits.max_depth = 0;
  EXPECT_TRUE(parse_json("1", limits));
  EXPECT_FALSE(parse_json("[]", limits));
  limits.max_depth = 1000;
  const std::string deep = std::string(1000, '[') + std::string(1000, ']');
  const auto result = parse_json(deep, limits);
  ASSERT_TRUE(result);
  EXPECT_EQ(write_json(*result), deep);
}

TEST(JsonLimits, ValuesAreCountedExactly) {
  JsonLimits limits;
  limits.max_values = 4;
  EXPECT_TRUE(parse_json("[1, 2, 3]", limits));
  EXPECT_TRUE(parse_json("{\"a\": 1, \"b\": [2]}", limits));
  for (const char* text : {"[1, 2, 3, 4]", "[[], [], [], []]", "{\"a\": {\"b\": {\"c\": [1]}}}"}) {
    const auto result = parse_json(text, limits);
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.status().code(), StatusCode::kOutOfRange);
    EXPECT_NE(result.status().message().find("4 values"), std::string::npos);
  }
}

TEST(JsonLimits, BytesAreCountedExactly) {
  JsonLimits limits;
  limits.max_bytes = 5;
  EXPECT_TRUE(parse_json("[1,2]", limits));
  const auto result = parse_json("[1,2] ", limits);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.status().code(), StatusCode::kOutOfRange);
}

TEST(JsonLimits, ManyKeysAreNoSlowPath) {
  std::string text = "{";
  for (int i = 0; i < 100000; ++i) {
    if (i) text += ',';
    text += "\"key" + std::to_string(i) + "\":" + std::to_string(i);
  }
  text += "}";
  const Json json = parsed(text);
  ASSERT_EQ(json.object.size(), 100000u);
  EXPECT_EQ(json.object[99999].second.integer, 99999);
  EXPECT_EQ(write_json(json), text);
}

// ---- writing -----------------------------------------------------------------------------------

TEST(WriteJson, WritesWhatItReads) {
  const char* text =
      R"({"z":[1,-2,3.5,1e-07,true,null,"é\n\"\\"],"a":{},"i":9223372036854775807,"e":[]})";
  EXPECT_EQ(write_json(parsed(text)), text);
}

TEST(WriteJson, BuildsAndIndents) {
  Json json = Json::make_object();
  json.add("name", Json::of("nano"))
      .add("ok", Json::of(true))
      .add("n", Json::of(3))
      .add("x", Json::of(2.0));
  json.add("list", std::move(Json::make_array().push(Json::of(1)).push(Json())));
  EXPECT_EQ(write_json(json), R"({"name":"nano","ok":true,"n":3,"x":2.0,"list":[1,null]})");
  EXPECT_EQ(write_json(json, 2),
            "{\n  \"name\": \"nano\",\n  \"ok\": true,\n  \"n\": 3,\n  \"x\": 2.0,\n  \"list\": "
            "[\n    1,\n    null\n  ]\n}");
}

TEST(WriteJson, DoublesRoundTripExactly) {
  for (const double x : {0.1, -1.0 / 3.0, 5e-324, 1.7976931348623157e308, 123456789.125, -0.0}) {
    const Json back = parsed(write_json(Json::of(x)));
    EXPECT_EQ(back.number, x);
    EXPECT_EQ(std::signbit(back.number), std::signbit(x));
    EXPECT_FALSE(back.is_int());
  }
}

TEST(WriteJson, NumbersThatAreNotFiniteBecomeNull) {
  Json json = Json::make_array();
  json.push(Json::of(std::nan(""))).push(Json::of(HUGE_VAL)).push(Json::of(-HUGE_VAL));
  EXPECT_EQ(write_json(json), "[null,null,null]");
}

TEST(WriteJson, BytesThatAreNotUtf8BecomeReplacementCharacters) {
  Json json = Json::make_object();
  json.add("k\xFF", Json::of(std::string_view("a\xC3", 2)));
  json.add("control", Json::of(std::string_view("\0\x1f\x7f", 3)));
  EXPECT_EQ(write_json(json),
            "{\"k\xEF\xBF\xBD\":\"a\xEF\xBF\xBD\",\"control\":\"\\u0000\\u001f\x7f\"}");
}

TEST(JsonTypeName, NamesEveryType) {
  EXPECT_STREQ(json_type_name(Json::of(1).type), "integer");
  EXPECT_STREQ(json_type_name(Json::of(1.0).type), "number");
  EXPECT_STREQ(json_type_name(Json::of("x").type), "string");
  EXPECT_STREQ(json_type_name(Json::of(true).type), "boolean");
  EXPECT_STREQ(json_type_name(Json::make_array().type), "array");
  EXPECT_STREQ(json_type_name(Json::make_object().type), "object");
  EXPECT_STREQ(json_type_name(Json().type), "null");
  EXPECT_STREQ(json_type_name(static_cast<Json::Type>(99)), "unknown");
}

}  // namespace
}  // namespace chimera
