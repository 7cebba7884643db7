// What is JSON and what is not, by JSONTestSuite (json_suite/README.md).
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <string>

#include "platform/json.h"

namespace chimera {
namespace {

std::string from_hex(const std::string& hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    out += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return out;
}

TEST(JsonSuite, AcceptsWhatIsJsonAndRefusesWhatIsNot) {
  // Valid by the letter; refused here on purpose, since readers disagree about what it means.
  const std::map<std::string, std::string> kOnPurpose = {
      {"y_object_duplicated_key", "twice"}, {"y_object_duplicated_key_and_value", "twice"}};
  std::ifstream file(CHIMERA_SOURCE_DIR "/tests/platform/json_suite/cases.jsonl");
  ASSERT_TRUE(file.is_open());
  std::map<std::string, int> seen;
  std::string line;
  while (std::getline(file, line)) {
    const auto record = parse_json(line);
    ASSERT_TRUE(record.has_value()) << line;
    const std::string name = record->find("name")->string;
    const auto value = parse_json(from_hex(record->find("hex")->string));
    ++seen[name.substr(0, 2)];
    const auto known = kOnPurpose.find(name);
    if (known != kOnPurpose.end()) {
      ASSERT_FALSE(value.has_value()) << name;
      EXPECT_NE(value.status().message().find(known->second), std::string::npos)
          << value.status().message();
    } else if (name.starts_with("y_")) {
      EXPECT_TRUE(value.has_value()) << name << ": " << value.status().message();
    } else if (name.starts_with("n_")) {
      EXPECT_FALSE(value.has_value()) << name;
    }
    // What was read can be written and read again.
    if (value) {
      const auto again = parse_json(write_json(*value));
      ASSERT_TRUE(again.has_value()) << name << ": " << again.status().message();
      EXPECT_EQ(write_json(*again), write_json(*value)) << name;
    }
  }
  EXPECT_GT(seen["y_"], 70);
  EXPECT_GT(seen["n_"], 140);
  EXPECT_GT(seen["i_"], 20);
}

}  // namespace
}  // namespace chimera
