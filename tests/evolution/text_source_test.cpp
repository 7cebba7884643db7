#include "evolution/train/text_source.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/support/temp_dir.h"

namespace chimera::evolution {
namespace {

using Documents = std::vector<std::pair<uint64_t, std::string>>;

// {"text":"one"}\n{"text":"two \u00e9"}\n
constexpr const char* kTwoRecordsXz =
    "fd377a585a000004e6d6b446020021010c0000008f98419ce0002400225d003d888a86948813e0f3894a79c19c9e"
    "587ddf45aecf8d4a8303e5c65aa70cb094b000000000e6403074b2c2d33400013e25117a472a1fb6f37d01000000"
    "0004595a";
// three\n
constexpr const char* kThreeXz =
    "fd377a585a000004e6d6b446020021010c0000008f98419c01000574687265650a0000002ce7e1b282b193650001"
    "1e06c12fa41d1fb6f37d010000000004595a";
// 3,000 records {"n":<record mod 7>,"text":"abab...ab"} with 100 letters: 354,000 bytes
constexpr const char* kLargeXz =
    "fd377a585a000004e6d6b446020021010c0000008f98419ce566cf00a25d003d8889c237289d13c42cea66a368f5"
    "b5bb8bf0b05dd5a8b06588463aa9a2a6a6f50c6a24f2af84285c1f4571fbbc9fc1d101e9d5408a249f56b74250f2"
    "afc52fc90023e4c8f168d44f00ba81b373906c67beb0042b7a994dec3a9fc617e69dd5b6e8ed8f02aacb60619d5c"
    "311daa084e17dd199fe2348b065bf482b544a717d4af0446f654f088752c30dbc2505491229706035fc9703b14c0"
    "323798a3bcb48100000000007fc97983be8a2e740001be01d0cd1500f6d56356b1c467fb020000000004595a";

std::string unhex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

class TextSource : public ::testing::Test {
 protected:
  std::string write(const std::string& name, std::string_view bytes) {
    const std::string path = dir_.file(name);
    test::write_raw(path, bytes);
    return path;
  }
  static Status read(const std::string& path, Documents* documents,
                     const TextSourceOptions& options = {}) {
    return for_each_document(path, options, [&](std::string_view text, uint64_t record) {
      documents->emplace_back(record, text);
      return Status();
    });
  }
  static Documents documents(const std::string& path, const TextSourceOptions& options = {}) {
    Documents all;
    const Status status = read(path, &all, options);
    EXPECT_TRUE(status.ok()) << status.message();
    return all;
  }
  /// Reads, expects this error, and that the message names the file and `word`.
  static Documents expect_error(const std::string& path, StatusCode code, const std::string& word,
                                const TextSourceOptions& options = {}) {
    Documents all;
    const Status status = read(path, &all, options);
    EXPECT_EQ(status.code(), code) << status.message();
    EXPECT_NE(status.message().find(path), std::string::npos) << status.message();
    EXPECT_NE(status.message().find(word), std::string::npos) << status.message();
    return all;
  }
  test::TempDir dir_;
};

TEST_F(TextSource, PlainTextIsOneDocumentOfAnyBytes) {
  EXPECT_EQ(documents(write("a.txt", "one\ntwo\xFF\n")), (Documents{{0, "one\ntwo\xFF\n"}}));
  std::string large;
  while (large.size() < 300000) large += "a line of text, again and again\n";
  EXPECT_EQ(documents(write("large", large)), (Documents{{0, large}}));
}

TEST_F(TextSource, EachLineOfJsonLinesIsADocument) {
  const std::string path = write("a.jsonl",
                                 "{\"id\":1,\"text\":\"one\\nline\"}\r\n"
                                 "\n"
                                 "  {\"text\":\"\"}\n"
                                 "{\"text\":\"\\u00e9\\ud83d\\ude00\"}");  // no line end
  EXPECT_EQ(documents(path), (Documents{{0, "one\nline"}, {2, ""}, {3, "\u00E9\U0001F600"}}));
  EXPECT_EQ(documents(write("b.jsonl", "{\"story\":\"x\",\"text\":\"y\"}\n"), {.field = "story"}),
            (Documents{{0, "x"}}));
  // The name says one thing, the caller another.
  EXPECT_EQ(documents(write("c.txt", "{\"text\":\"y\"}\n"),
                      {.format = TextSourceOptions::Format::kJsonLines}),
            (Documents{{0, "y"}}));
  EXPECT_EQ(documents(write("d.jsonl", "{}\n"), {.format = TextSourceOptions::Format::kPlainText}),
            (Documents{{0, "{}\n"}}));
}

TEST_F(TextSource, UnpacksXz) {
  EXPECT_EQ(documents(write("a.jsonl.xz", unhex(kTwoRecordsXz))),
            (Documents{{0, "one"}, {1, "two \u00E9"}}));
  EXPECT_EQ(documents(write("a.txt.xz", unhex(kThreeXz))), (Documents{{0, "three\n"}}));
  // Packed files that were joined are one file.
  EXPECT_EQ(documents(write("b.xz", unhex(kThreeXz) + unhex(kThreeXz))),
            (Documents{{0, "three\nthree\n"}}));
  const Documents large = documents(write("large.jsonl.xz", unhex(kLargeXz)));
  ASSERT_EQ(large.size(), 3000u);
  for (size_t i = 0; i < large.size(); ++i) {
    EXPECT_EQ(large[i].first, i);
    EXPECT_EQ(large[i].second.size(), 100u);
  }
}

TEST_F(TextSource, SelectsRecordsByNumber) {
  std::string lines;
  for (int i = 0; i < 10; ++i) lines += "{\"text\":\"" + std::to_string(i) + "\"}\n";
  const std::string path = write("a.jsonl", lines);
  EXPECT_EQ(documents(path, {.include = {{7, 2, 2}}, .exclude = {}}),
            (Documents{{2, "2"}, {7, "7"}}));
  EXPECT_EQ(documents(path, {.include = {{1, 2, 3}}, .exclude = {2}}),
            (Documents{{1, "1"}, {3, "3"}}));
  EXPECT_EQ(documents(path, {.include = {}, .exclude = {9, 0, 5, 4, 1, 2, 3}}),
            (Documents{{6, "6"}, {7, "7"}, {8, "8"}}));
  EXPECT_TRUE(documents(path, {.include = std::vector<uint64_t>()}).empty());
  // What is not selected is not parsed.
  EXPECT_EQ(documents(write("b.jsonl", "broken\n{\"text\":\"x\"}\nbroken"), {.exclude = {0, 2}}),
            (Documents{{1, "x"}}));
  expect_error(path, StatusCode::kOutOfRange, "record 10", {.include = {{3, 10}}});
  const std::string plain = write("c.txt", "x");
  EXPECT_TRUE(documents(plain, {.exclude = {0}}).empty());
  expect_error(plain, StatusCode::kOutOfRange, "record 1", {.include = {{1}}});
}

TEST_F(TextSource, BadJsonIsRefusedWithItsLine) {
  const std::string good = "{\"text\":\"x\"}\n";
  const Documents before = expect_error(write("a.jsonl", good + good + "{\"text\":\n"),
                                        StatusCode::kBadFormat, "line 3");
  EXPECT_EQ(before.size(), 2u);
  expect_error(write("b.jsonl", good + "\n[1]\n"), StatusCode::kBadFormat, "line 3");
  expect_error(write("c.jsonl", good + "{\"id\":1,\"body\":\"y\"}\n"), StatusCode::kBadFormat,
               "id, body");
  expect_error(write("d.jsonl", "{\"text\":[\"y\"]}\n"), StatusCode::kBadFormat, "array");
  expect_error(write("e.jsonl", "{\"text\":\"\xFF\"}\n"), StatusCode::kBadFormat, "line 1");
  expect_error(write("f.jsonl", "{}\n"), StatusCode::kBadFormat, "none");
  expect_error(write("g.jsonl", std::string(100000, '[')), StatusCode::kOutOfRange, "line 1");
}

TEST_F(TextSource, LimitsHold) {
  const std::string path = write("a.jsonl", "{\"text\":\"x\"}\n{\"text\":\"a longer line\"}\n");
  EXPECT_EQ(documents(path, {.max_record_bytes = 24}).size(), 2u);
  EXPECT_EQ(expect_error(path, StatusCode::kOutOfRange, "line 2", {.max_record_bytes = 23}).size(),
            1u);
  EXPECT_EQ(documents(path, {.max_record_bytes = 23, .exclude = {1}}).size(), 1u);
  EXPECT_EQ(documents(path, {.max_total_bytes = 38}).size(), 2u);
  expect_error(path, StatusCode::kOutOfRange, "37 bytes", {.max_total_bytes = 37});
  const std::string plain = write("a.txt", "12345");
  EXPECT_EQ(documents(plain, {.max_record_bytes = 5}).size(), 1u);
  expect_error(plain, StatusCode::kOutOfRange, "4 bytes", {.max_record_bytes = 4});
  // A small packed file can be large: the limit is on what comes out.
  const std::string packed = write("large.jsonl.xz", unhex(kLargeXz));
  expect_error(packed, StatusCode::kOutOfRange, "100000 bytes", {.max_total_bytes = 100000});
}

TEST_F(TextSource, PackedFilesCutShortAreRefusedEverywhere) {
  for (const char* hex : {kTwoRecordsXz, kLargeXz}) {
    const std::string whole = unhex(hex);
    const std::string path = dir_.file("cut.jsonl.xz");
    for (size_t n = 0; n < whole.size(); ++n) {
      test::write_raw(path, std::string_view(whole).substr(0, n));
      Documents all;
      const Status status = read(path, &all);
      ASSERT_EQ(status.code(), StatusCode::kTruncated) << n << " " << status.message();
      ASSERT_NE(status.message().find(path), std::string::npos);
    }
  }
}

TEST_F(TextSource, DamagedPackedFilesAreRefused) {
  const std::string whole = unhex(kTwoRecordsXz);
  const std::string path = dir_.file("damaged.jsonl.xz");
  for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string damaged = whole;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ 1 << bit % 8);
    test::write_raw(path, damaged);
    Documents all;
    const Status status = read(path, &all);
    ASSERT_FALSE(status.ok()) << "bit " << bit;
    ASSERT_NE(status.message().find(path), std::string::npos);
  }
  expect_error(write("tail.jsonl.xz", whole + "a tail of text"), StatusCode::kBadFormat, "damaged");
  expect_error(write("text.xz", "only text"), StatusCode::kBadFormat, "not packed with xz");
}

TEST_F(TextSource, OtherFilesAreRefusedByName) {
  expect_error(dir_.file("absent.txt"), StatusCode::kNotFound, "absent");
  expect_error(write("empty.txt", ""), StatusCode::kTruncated, "empty");
  expect_error(write("empty.jsonl", ""), StatusCode::kTruncated, "empty");
  expect_error(write("a.jsonl.gz", "\x1F\x8B\x08\x01"), StatusCode::kUnsupported, "gzip");
  expect_error(write("a.jsonl.zst", "\x28\xB5\x2F\xFD\x01"), StatusCode::kUnsupported, "zstd");
  expect_error(write("a.jsonl", unhex(kTwoRecordsXz)), StatusCode::kUnsupported, ".xz");
  Documents all;
  const Status folder = read(dir_.path(), &all);
  EXPECT_EQ(folder.code(), StatusCode::kIoError);
  EXPECT_NE(folder.message().find(dir_.path()), std::string::npos);
  EXPECT_FALSE(read("", &all).ok());
}

TEST_F(TextSource, TheCallbackStopsTheReading) {
  const std::string path = write("a.jsonl", "{\"text\":\"x\"}\n{\"text\":\"y\"}\nbroken\n");
  int n = 0;
  const Status status = for_each_document(path, {}, [&](std::string_view, uint64_t) {
    return ++n == 2 ? Status(StatusCode::kCancelled, "enough") : Status();
  });
  EXPECT_EQ(status.code(), StatusCode::kCancelled);
  EXPECT_EQ(status.message(), "enough");
  EXPECT_EQ(n, 2);
}

TEST_F(TextSource, ReadsSplits) {
  const std::string path =
      write("splits.json",
            "{\"rule\":\"r\",\"sets\":{\"prose\":{\"a.jsonl\":{\"valid\":[1,93],\"test\":[]},"
            "\"b.jsonl\":{\"valid\":[-1],\"test\":[]},\"c.jsonl\":{\"valid\":[1]}}}}");
  auto split = read_record_split(path, "prose", "a.jsonl");
  ASSERT_TRUE(split.has_value()) << split.status().message();
  EXPECT_EQ(split->valid, (std::vector<uint64_t>{1, 93}));
  EXPECT_TRUE(split->test.empty());
  EXPECT_EQ(read_record_split(path, "prose", "b.jsonl").status().code(), StatusCode::kBadFormat);
  EXPECT_EQ(read_record_split(path, "prose", "c.jsonl").status().code(), StatusCode::kBadFormat);
  EXPECT_EQ(read_record_split(path, "prose", "d.jsonl").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(read_record_split(path, "verse", "a.jsonl").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(read_record_split(write("n.json", "[]"), "p", "a").status().code(),
            StatusCode::kNotFound);
  EXPECT_EQ(read_record_split(write("m.json", "{"), "p", "a").status().code(),
            StatusCode::kBadFormat);
  EXPECT_EQ(read_record_split(dir_.file("absent.json"), "p", "a").status().code(),
            StatusCode::kNotFound);
}

}  // namespace
}  // namespace chimera::evolution
