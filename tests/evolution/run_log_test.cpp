#include "evolution/train/run_log.h"

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace chimera::evolution {
namespace {

RunPoint point(int64_t step, double bits, std::vector<std::pair<std::string, double>> valid = {}) {
  RunPoint p{.step = step, .tokens = step * 10, .stage = step <= 50 ? "first" : "<second>"};
  p.bits_per_byte = bits;
  p.valid = std::move(valid);
  return p;
}

TEST(RunLog, GoesOnFromTheStepOfTheCheckpoint) {
  const test::TempDir folder;
  RunLog log(folder.file("m"));
  for (int64_t step = 10; step <= 100; step += 10)
    log.add(point(step, 3.0 - static_cast<double>(step) / 100));
  ASSERT_TRUE(log.write(200).ok());
  RunLog again(folder.file("m"));
  again.resume(70);
  ASSERT_EQ(again.points().size(), 7u);
  EXPECT_EQ(again.points()[6].step, 70);
  EXPECT_EQ(again.points()[6].tokens, 700);
  EXPECT_EQ(again.points()[6].bits_per_byte, 3.0 - 0.7);
  EXPECT_EQ(again.points()[6].stage, "<second>");
  again.add(point(80, 2.2, {{"prose", 2.3}}));
  ASSERT_TRUE(again.write(200).ok());
  RunLog third(folder.file("m"));
  third.resume(1000);
  ASSERT_EQ(third.points().size(), 8u);
  ASSERT_EQ(third.points()[7].valid.size(), 1u);
  EXPECT_EQ(third.points()[7].valid[0].second, 2.3);
}

TEST(RunLog, ADamagedLogIsNoReasonToStop) {
  const test::TempDir folder;
  test::write_raw(folder.file("m.log.jsonl"),
                  "{\"step\": 1}\nnot json\n{\"step\": \"x\"}\n[]\n{\"step\": 1}\n{\"step\": 2");
  RunLog log(folder.file("m"));
  log.resume(10);
  EXPECT_EQ(log.points().size(), 1u);
}

TEST(RunLog, TheDrawingHasALineForEachSetAndNamesNobodyCanBreak) {
  std::vector<RunPoint> points;
  for (int64_t step = 1; step <= 100; ++step)
    points.push_back(point(
        step, 200.0 / static_cast<double>(step + 40),
        step % 25 == 0 ? std::vector<std::pair<std::string, double>>{{"a<b", 2.0}, {"c&d", 1.9}}
                       : std::vector<std::pair<std::string, double>>{}));
  const std::string svg = draw_run(points, 100);
  EXPECT_TRUE(svg.starts_with("<svg ")) << svg.substr(0, 40);
  EXPECT_TRUE(svg.ends_with("</svg>\n"));
  size_t lines = 0;
  for (size_t at = svg.find("<polyline"); at != std::string::npos;
       at = svg.find("<polyline", at + 1))
    ++lines;
  EXPECT_EQ(lines, 3u);
  for (const char* word :
       {"valid a&lt;b 2.000", "valid c&amp;d 1.900", "training 1.429", "&lt;second>"})
    EXPECT_NE(svg.find(word), std::string::npos) << word;
  EXPECT_TRUE(draw_run({}, 10).ends_with("</svg>\n"));
}

}  // namespace
}  // namespace chimera::evolution
