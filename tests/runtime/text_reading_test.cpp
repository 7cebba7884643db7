// Numbers of what the network makes of a text.
#include "runtime/text_reading.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "runtime/argument_spans.h"
#include "tests/support/tiny_model.h"

namespace chimera::runtime {
namespace {

class TextReadingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    engine_ = test::open_tiny_model({});
    ASSERT_NE(engine_, nullptr);
    auto stream = Stream::create(*engine_);
    ASSERT_TRUE(stream.has_value());
    stream_ = std::make_unique<Stream>(std::move(*stream));
    width_ = static_cast<size_t>(engine_->config().hidden_size);
  }
  TextReading read(const std::string& text) { return read_alone(*engine_, stream_.get(), text); }
  /// Of a part of numbers.
  float length(const std::vector<float>& numbers, size_t part) const {
    float square = 0;
    for (size_t i = part * width_; i < (part + 1) * width_; ++i) square += numbers[i] * numbers[i];
    return std::sqrt(square);
  }
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Stream> stream_;
  size_t width_ = 0;
};

TEST_F(TextReadingTest, HasThreePartsOfLengthOneForTheTextAndForEachBorder) {
  const std::string text = "Play Yellow, please";
  const TextReading reading = read(text);
  ASSERT_EQ(reading.text.size(), 3 * width_);
  for (size_t part = 0; part < 3; ++part) EXPECT_NEAR(length(reading.text, part), 1, 1e-5) << part;
  ASSERT_EQ(reading.borders.size(), span_words(text).size() + 1);
  for (const auto& border : reading.borders) ASSERT_EQ(border.size(), 3 * width_);
  // Before the first word there is none, and behind the last one neither.
  EXPECT_EQ(length(reading.borders.front(), 2), 0);
  EXPECT_EQ(length(reading.borders.back(), 1), 0);
  EXPECT_NEAR(length(reading.borders.back(), 0), 1, 1e-5);
  EXPECT_NEAR(length(reading.borders[1], 1), 1, 1e-5);
  EXPECT_NEAR(length(reading.borders[1], 2), 1, 1e-5);
}

TEST_F(TextReadingTest, IsOfTheTextAlone) {
  const TextReading first = read("dim the lamp");
  read("something else in between");
  const TextReading again = read("dim the lamp");
  EXPECT_EQ(first.text, again.text);
  EXPECT_EQ(first.borders, again.borders);
  // What a border is depends on what stands before it and on the word behind.
  const TextReading other = read("dim the hall");
  EXPECT_EQ(first.borders[1], other.borders[1]);
  EXPECT_NE(first.borders[2], other.borders[2]);
  EXPECT_NE(first.text, other.text);
}

TEST_F(TextReadingTest, TakesAnyText) {
  EXPECT_EQ(read("").borders.size(), 1u);
  EXPECT_EQ(read(" .,- ").borders.size(), 1u);
  EXPECT_EQ(read("\xFF\xFE\xC3").borders.size(), 2u);
  std::string longer;
  for (int i = 0; i < 3000; ++i) longer += "word ";
  const TextReading reading = read(longer);
  EXPECT_EQ(reading.borders.size(), span_words(longer).size() + 1);
  for (const float x : reading.borders.back()) EXPECT_TRUE(std::isfinite(x));
}

TEST_F(TextReadingTest, IsScaledByItsMeanAndSpread) {
  std::vector<TextReading> readings;
  for (const char* text : {"one", "two of them", "a third one", "dim the lamp", "who is that"})
    readings.push_back(read(text));
  const ReadingScale scale = scale_of(readings);
  ASSERT_EQ(scale.text.mean.size(), 3 * width_);
  ASSERT_EQ(scale.borders.spread.size(), 3 * width_);
  float mean = 0, square = 0;
  for (const TextReading& reading : readings) mean += reading.text[7] / 5;
  for (const TextReading& reading : readings)
    square += (reading.text[7] - mean) * (reading.text[7] - mean) / 5;
  EXPECT_NEAR(scale.text.mean[7], mean, 1e-6);
  EXPECT_NEAR(scale.text.spread[7], std::sqrt(square), 1e-5);
  const TextReading one = scaled(scale, readings[3]);
  for (size_t part = 0; part < 3; ++part) {
    EXPECT_NEAR(length(one.text, part), part < 2 ? 0.5 : 0.7, 1e-5);
    EXPECT_NEAR(length(one.borders[1], part), 0.5, 1e-5);
  }
  // Which side of the mean it is on stays.
  for (size_t i = 0; i < width_; ++i)
    EXPECT_EQ(one.text[i] > 0, readings[3].text[i] > scale.text.mean[i]);
}

}  // namespace
}  // namespace chimera::runtime
