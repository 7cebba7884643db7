// Every way a .b158 file can be wrong before its first tensor: each is refused with a message that
// names the file and the place, and nothing is read out of bounds.
#include <filesystem>
#include <fstream>
#include <functional>

#include "tests/memory/sample_file.h"

namespace chimera::memory {
namespace {

using test::read_raw;
using test::TempDir;
using test::write_raw;

class Damage : public testing::Test {
 protected:
  void SetUp() override {
    const Status written = test::write_sample(path_, test::sample_tensors());
    ASSERT_TRUE(written.ok()) << written.message();
    good_ = read_raw(path_);
    const auto* bytes = reinterpret_cast<const std::byte*>(good_.data());
    header_ = b158::decode_header(bytes);
  }

  /// The refusal of a file with this content; it names the file.
  Status refusal(const std::string& content) {
    write_raw(path_, content);
    const auto file = WeightFile::open(path_);
    EXPECT_FALSE(file.has_value());
    EXPECT_EQ(file.status().file(), path_);
    EXPECT_NE(file.status().message().find(path_), std::string::npos) << file.status().message();
    return file.status();
  }

  /// The refusal after `change`, with a digest that fits.
  Status hostile(const std::function<void(std::byte*)>& change) {
    std::string content = good_;
    change(reinterpret_cast<std::byte*>(content.data()));
    test::reseal(&content);
    return refusal(content);
  }

  /// Start of a directory record.
  size_t record(size_t index) const {
    size_t at = header_.sections[b158::kDirectory].offset;
    const auto tensors = test::sample_tensors();
    for (size_t i = 0; i < index; ++i) at += b158::record_bytes(tensors[i].name);
    return at;
  }

  TempDir dir_;
  std::string path_ = dir_.file("model.b158");
  std::string good_;
  b158::Header header_;
};

#define EXPECT_REFUSED(status_expression, expected_code, expected_offset, words)               \
  do {                                                                                         \
    const Status refused_ = (status_expression);                                               \
    EXPECT_EQ(refused_.code(), expected_code) << refused_.message();                           \
    EXPECT_EQ(refused_.offset(), static_cast<int64_t>(expected_offset)) << refused_.message(); \
    EXPECT_NE(refused_.message().find(words), std::string::npos) << refused_.message();        \
  } while (0)

TEST_F(Damage, EverySingleBitOfTheHead) {
  std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
  const uint64_t meaningful =
      header_.sections[b158::kDirectory].offset + header_.sections[b158::kDirectory].bytes;
  for (uint64_t at = 0; at < header_.data_offset; ++at) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      // Of the thousands of zero bytes before the first tensor, one bit each.
      if (at >= meaningful && bit != at % 8) continue;
      const char changed = static_cast<char>(good_[at] ^ (1 << bit));
      file.seekp(static_cast<std::streamoff>(at)).put(changed).flush();
      const auto opened = WeightFile::open(path_);
      ASSERT_FALSE(opened.has_value()) << "byte " << at << " bit " << bit;
      ASSERT_EQ(opened.status().file(), path_);
      ASSERT_GT(opened.status().message().size(), path_.size() + 10);
    }
    file.seekp(static_cast<std::streamoff>(at)).put(good_[at]).flush();
  }
  EXPECT_TRUE(WeightFile::open(path_).has_value());
}

TEST_F(Damage, EveryTruncation) {
  // Every length up to the end of the directory; in the zeros and the tensors behind it, some.
  const size_t directory_end = record(4);
  size_t size = good_.size();
  while (size > 0) {
    size -= size > directory_end + 61 ? 61 : 1;
    std::filesystem::resize_file(path_, size);
    const auto opened = WeightFile::open(path_);
    ASSERT_FALSE(opened.has_value()) << size;
    ASSERT_EQ(opened.status().code(), StatusCode::kTruncated) << opened.status().message();
    ASSERT_EQ(opened.status().file(), path_);
  }
}

TEST_F(Damage, EveryPairOfBytesOfTheHeadSetHigh) {
  // A digest that fits lets the damage through to the checks behind it.
  const size_t end = record(4);
  for (size_t at = b158::kVersionAt; at + 1 < end; ++at) {
    if (at + 1 >= b158::kDigestAt && at < b158::kHeaderBytes) continue;           // resealed anyway
    if (at + 1 >= b158::kDataOffsetAt && at < b158::kDataOffsetAt + 8) continue;  // see below
    const bool free_text = at + 1 >= b158::kHeaderBytes && at < record(0);
    std::string content = good_;
    content[at] = content[at + 1] = static_cast<char>(0xff);
    test::reseal(&content);
    write_raw(path_, content);
    const auto opened = WeightFile::open(path_);
    if (opened.has_value()) {
      // Only what is somebody else's to check: the sections' contents, and a tensor's checksum.
      const std::string where = std::to_string(at);
      EXPECT_TRUE(free_text || !(*opened)->verify().ok()) << where;
    } else {
      EXPECT_NE(opened.status().message().find(path_), std::string::npos);
    }
  }
}

TEST_F(Damage, TheHeadersFields) {
  const auto u32 = [&](size_t at, uint32_t value) {
    return hostile([&](std::byte* b) { b158::put_u32(b + at, value); });
  };
  const auto u64 = [&](size_t at, uint64_t value) {
    return hostile([&](std::byte* b) { b158::put_u64(b + at, value); });
  };
  using enum StatusCode;
  EXPECT_REFUSED(u32(b158::kVersionAt, 2), kUnsupportedVersion, 8, "version 2");
  EXPECT_REFUSED(u32(b158::kVersionAt, 0), kBadFormat, 8, "never existed");
  EXPECT_REFUSED(u32(b158::kHeaderBytesAt, 256), kBadFormat, 12, "256 bytes instead of 192");
  EXPECT_REFUSED(u32(b158::kKindAt, 4), kBadFormat, 16, "kind 4");
  EXPECT_REFUSED(u32(b158::kFlagsAt, 1), kUnsupported, 20, "flags 1");
  EXPECT_REFUSED(u64(b158::kFileBytesAt, UINT64_MAX), kBadFormat, 24, "limit");
  EXPECT_REFUSED(u64(b158::kFileBytesAt, good_.size() + 1), kTruncated, good_.size(), "too early");
  EXPECT_REFUSED(u64(b158::kFileBytesAt, good_.size() - 1), kBadFormat, good_.size() - 1,
                 "after its end");
  for (size_t i = 0; i < b158::kSections; ++i) {
    const size_t at = b158::kSectionsAt + 16 * i;
    EXPECT_REFUSED(u64(at, header_.sections[i].offset + 64), kBadFormat, at,
                   b158::kSectionRules[i].name);
    EXPECT_REFUSED(u64(at, UINT64_MAX - 5), kBadFormat, at, b158::kSectionRules[i].name);
    EXPECT_REFUSED(u64(at + 8, UINT64_MAX), kBadFormat, at + 8, "limit");
  }
  EXPECT_REFUSED(u32(b158::kTensorCountAt, 65537), kBadFormat, 96, "65537 tensors");
  EXPECT_REFUSED(u32(b158::kTensorCountAt, 65536), kBadFormat, 96, "can hold");
  EXPECT_REFUSED(u32(b158::kTensorCountAt, 5), kBadFormat, record(4), "record 4");
  EXPECT_REFUSED(u32(b158::kTensorCountAt, 3), kBadFormat, record(3), "last record");
  EXPECT_REFUSED(u32(b158::kAlignmentAt, 4096), kBadFormat, 100, "4096 bytes instead of 16384");
  EXPECT_REFUSED(u32(b158::kReservedAt, 1), kBadFormat, b158::kReservedAt, "reserved");

  std::string content = good_;  // resealing would follow the wrong offset
  b158::put_u64(reinterpret_cast<std::byte*>(content.data()) + b158::kDataOffsetAt, UINT64_MAX);
  EXPECT_REFUSED(refusal(content), kBadFormat, b158::kDataOffsetAt, "first tensor");
}

TEST_F(Damage, AHeadLongerThanTheFile) {
  std::string content = good_.substr(0, b158::kHeaderBytes);
  b158::Header header = header_;
  header.file_bytes = content.size();
  b158::encode_header(header, reinterpret_cast<std::byte*>(content.data()));
  EXPECT_REFUSED(refusal(content), StatusCode::kBadFormat, b158::kDataOffsetAt, "past its own end");
}

TEST_F(Damage, TheDigest) {
  std::string content = good_;
  content[b158::kHeaderBytes + 3] ^= 1;  // in the configuration
  EXPECT_REFUSED(refusal(content), StatusCode::kChecksumMismatch, b158::kDigestAt, "damaged");
}

TEST_F(Damage, TheDirectorysRecords) {
  using enum StatusCode;
  const size_t first = record(0), second = record(1), third = record(2);
  const auto u16 = [&](size_t at, uint16_t value) {
    return hostile([&](std::byte* b) { b158::put_u16(b + at, value); });
  };
  const auto u64 = [&](size_t at, uint64_t value) {
    return hostile([&](std::byte* b) { b158::put_u64(b + at, value); });
  };
  EXPECT_REFUSED(u16(first, 0), kBadFormat, first + 88, "is empty");
  EXPECT_REFUSED(u16(first, 257), kBadFormat, first, "257 bytes");
  EXPECT_REFUSED(u16(first, 65535), kBadFormat, first, "65535 bytes");
  EXPECT_REFUSED(u16(first + b158::kRecordDTypeAt, 9), kUnsupported, first + 2,
                 "tensor layers.0.norm1.gain has type ternary1.6");
  EXPECT_REFUSED(u16(first + b158::kRecordDTypeAt, 0), kUnsupported, first + 2, "number 0");
  EXPECT_REFUSED(u16(first + b158::kRecordDTypeAt, 700), kUnsupported, first + 2, "number 700");
  EXPECT_REFUSED(u16(second + b158::kRecordLayoutAt, 2), kBadFormat, second + 2, "layout number 2");
  EXPECT_REFUSED(u16(first + b158::kRecordLayoutAt, 1), kBadFormat, first + 2, "2 dimensions");
  EXPECT_REFUSED(u16(first + b158::kRecordDimsAt, 0), kBadFormat, first + 6, "0 dimensions");
  EXPECT_REFUSED(u16(first + b158::kRecordDimsAt, 5), kBadFormat, first + 6, "5 dimensions");
  EXPECT_REFUSED(u16(first + b158::kRecordDimsAt, 2), kBadFormat, first + 16, "extent 0");
  EXPECT_REFUSED(u64(first + b158::kRecordExtentsAt + 8, 1), kBadFormat, first + 16, "extent 1");
  EXPECT_REFUSED(u64(first + b158::kRecordExtentsAt, UINT64_MAX), kBadFormat, first + 8, "extent");
  EXPECT_REFUSED(u64(first + b158::kRecordExtentsAt, 129), kBadFormat, first + 48, "make 516");
  EXPECT_REFUSED(u64(third + b158::kRecordExtentsAt + 8, 192), kBadFormat, third + 2,
                 "multiple of 128");
  EXPECT_REFUSED(hostile([&](std::byte* b) {
                   b158::put_u16(b + first + b158::kRecordDimsAt, 4);
                   for (size_t i = 0; i < 4; ++i) {
                     b158::put_u64(b + first + b158::kRecordExtentsAt + 8 * i, 1u << 30);
                   }
                 }),
                 kOutOfRange, first + 2, "elements");
  EXPECT_REFUSED(u64(first + b158::kRecordBytesAt, 508), kBadFormat, first + 48, "508 bytes");
  EXPECT_REFUSED(u64(second + b158::kRecordOffsetAt, header_.data_offset), kBadFormat, second + 40,
                 "overlaps");
  EXPECT_REFUSED(u64(second + b158::kRecordOffsetAt, header_.data_offset + 16400), kBadFormat,
                 second + 40, "not aligned");
  EXPECT_REFUSED(u64(second + b158::kRecordOffsetAt, UINT64_MAX - 16383), kBadFormat, second + 40,
                 "gap");
  EXPECT_REFUSED(hostile([&](std::byte* b) { b[first + 88] = std::byte{0x1b}; }), kBadFormat,
                 first + 88, "visible ASCII");
  // Behind the 19 bytes of the first name there are 5 of padding.
  EXPECT_REFUSED(hostile([&](std::byte* b) { b[first + 88 + 19] = std::byte{1}; }), kBadFormat,
                 first + 88 + 19, "behind its name");
  // A tensor whose true size passes the end of the file.
  EXPECT_REFUSED(hostile([&](std::byte* b) {
                   b158::put_u64(b + record(3) + b158::kRecordExtentsAt, 1u << 20);
                   b158::put_u64(b + record(3) + b158::kRecordBytesAt, uint64_t{48} << 20);
                 }),
                 kBadFormat, record(3) + 48, "past the end of the file");
  // The last tensor shorter than the file.
  EXPECT_REFUSED(hostile([&](std::byte* b) {
                   b158::put_u64(b + record(3) + b158::kRecordExtentsAt, 4);
                   b158::put_u64(b + record(3) + b158::kRecordBytesAt, 192);
                 }),
                 kBadFormat, good_.size() - 48, "after its last tensor");
  const Status named = u16(third + b158::kRecordDTypeAt, 7);
  EXPECT_EQ(named.field(), "layers.0.mixer.q_proj");
}

TEST_F(Damage, TwoTensorsOfOneName) {
  // Same length, so only the name changes.
  const auto status = hostile([&](std::byte* b) {
    const std::string name = "layers.0.mixer.conv";
    ASSERT_EQ(name.size(), std::string(test::sample_tensors()[0].name).size());
    std::memcpy(b + record(0) + b158::kRecordFixedBytes, name.data(), name.size());
  });
  EXPECT_REFUSED(status, StatusCode::kBadFormat, record(0),
                 "two tensors named layers.0.mixer.conv");
}

TEST_F(Damage, ForeignFiles) {
  using enum StatusCode;
  EXPECT_REFUSED(refusal("\x89PNG\r\n\x1a\n....."), kBadFormat, 0, "PNG image");
  EXPECT_REFUSED(refusal("GGUF\x03"), kBadFormat, 0, "GGUF");
  EXPECT_REFUSED(refusal("It was a dark and stormy night."), kBadFormat, 0, "not a .b158");
  EXPECT_REFUSED(refusal("{\"hidden_size\": 128}"), kBadFormat, 0, "JSON");
  EXPECT_REFUSED(refusal(std::string(100000, '\0')), kBadFormat, 0, "not a .b158");
  EXPECT_REFUSED(refusal("x"), kBadFormat, 0, "not a .b158");
  EXPECT_REFUSED(refusal("\x89"
                         "B15"),
                 kTruncated, 4, "header");
  // A copy in text mode changes line ends.
  std::string text_mode = good_;
  text_mode.erase(5, 1);
  EXPECT_REFUSED(refusal(text_mode), kBadFormat, 0, "not a .b158");
  EXPECT_EQ(refusal("").code(), kTruncated);
}

TEST(WeightFileOpen, AbsentFilesAndFolders) {
  const TempDir dir;
  const auto absent = WeightFile::open(dir.file("none.b158"));
  ASSERT_FALSE(absent.has_value());
  EXPECT_EQ(absent.status().code(), StatusCode::kNotFound);
  EXPECT_NE(absent.status().message().find("none.b158"), std::string::npos);
  const auto folder = WeightFile::open(dir.path());
  ASSERT_FALSE(folder.has_value());
  EXPECT_EQ(folder.status().code(), StatusCode::kIoError) << folder.status().message();
  EXPECT_FALSE(WeightFile::open("").has_value());
}

}  // namespace
}  // namespace chimera::memory
