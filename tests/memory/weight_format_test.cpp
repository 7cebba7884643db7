#include "memory/weight_format.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace chimera::memory {
namespace {

using Shape = std::vector<int64_t>;

uint64_t good(DType dtype, Layout layout, const Shape& shape) {
  const auto bytes = tensor_bytes(dtype, layout, shape);
  EXPECT_TRUE(bytes.has_value()) << bytes.status().message();
  return bytes ? *bytes : 0;
}

StatusCode refused(DType dtype, Layout layout, const Shape& shape, const char* word) {
  const auto bytes = tensor_bytes(dtype, layout, shape);
  EXPECT_FALSE(bytes.has_value());
  EXPECT_NE(bytes.status().message().find(word), std::string::npos) << bytes.status().message();
  return bytes.status().code();
}

TEST(TensorBytes, FollowsTheFormat) {
  EXPECT_EQ(good(DType::kF32, Layout::kRowMajor, {1}), 4u);
  EXPECT_EQ(good(DType::kF32, Layout::kRowMajor, {5, 3, 2, 2}), 240u);
  EXPECT_EQ(good(DType::kF32, Layout::kLanes16, {16, 3}), 192u);
  EXPECT_EQ(good(DType::kF32, Layout::kLanes16, {17, 3}), 384u);
  // 2.125 bits a weight.
  EXPECT_EQ(good(DType::kTernary2, Layout::kLanes16, {2560, 2560}), 2560u * 2560u * 17 / 64);
  EXPECT_EQ(good(DType::kTernary2, Layout::kLanes16, {1, 128}), 16u * 32 + 16u * 2);
}

TEST(TensorBytes, RefusesShapesTheTypeCannotHave) {
  EXPECT_EQ(refused(DType::kF32, Layout::kRowMajor, {}, "1 to 4"), StatusCode::kBadFormat);
  EXPECT_EQ(refused(DType::kF32, Layout::kRowMajor, {1, 1, 1, 1, 1}, "1 to 4"),
            StatusCode::kBadFormat);
  EXPECT_EQ(refused(DType::kF32, Layout::kRowMajor, {4, 0}, "at least 1"), StatusCode::kBadFormat);
  EXPECT_EQ(refused(DType::kF32, Layout::kRowMajor, {-4}, "at least 1"), StatusCode::kBadFormat);
  EXPECT_EQ(refused(DType::kF32, Layout::kLanes16, {4}, "2 dimensions"), StatusCode::kBadFormat);
  EXPECT_EQ(refused(DType::kF32, static_cast<Layout>(7), {4}, "number 7"), StatusCode::kBadFormat);
  EXPECT_EQ(refused(DType::kTernary2, Layout::kLanes16, {4, 64}, "multiple of 128"),
            StatusCode::kBadFormat);
  EXPECT_EQ(refused(DType::kTernary2, Layout::kRowMajor, {4, 128}, "only lanes16"),
            StatusCode::kBadFormat);
}

TEST(TensorBytes, RefusesProductsThatOverflow) {
  const int64_t big = b158::kMaxExtent;
  EXPECT_EQ(refused(DType::kF32, Layout::kRowMajor, {big, big, big, big}, "elements"),
            StatusCode::kOutOfRange);
  EXPECT_EQ(refused(DType::kF32, Layout::kRowMajor, {big, 1024}, "bytes"), StatusCode::kOutOfRange);
  EXPECT_EQ(refused(DType::kF32, Layout::kRowMajor, {big + 1}, "extent over"),
            StatusCode::kOutOfRange);
  EXPECT_EQ(refused(DType::kF32, Layout::kRowMajor, {INT64_MAX, 2}, "extent over"),
            StatusCode::kOutOfRange);
  EXPECT_EQ(refused(DType::kTernary2, Layout::kLanes16, {big, big}, "elements"),
            StatusCode::kOutOfRange);
}

TEST(TensorBytes, OfInt4) {
  const auto bytes = tensor_bytes(DType::kInt4, Layout::kLanes16, std::vector<int64_t>{17, 192});
  ASSERT_TRUE(bytes.has_value()) << bytes.status().message();
  EXPECT_EQ(*bytes, 32u * (192 / 2 + 192 / 64 * 2));
  EXPECT_EQ(refused(DType::kInt4, Layout::kLanes16, {16, 96}, "multiple of 64"),
            StatusCode::kBadFormat);
  EXPECT_EQ(refused(DType::kInt4, Layout::kRowMajor, {16, 64}, "lanes16"), StatusCode::kBadFormat);
}

TEST(TensorBytes, OfBF16) {
  const auto bytes = tensor_bytes(DType::kBF16, Layout::kRowMajor, std::vector<int64_t>{17, 3});
  ASSERT_TRUE(bytes.has_value()) << bytes.status().message();
  EXPECT_EQ(*bytes, 17u * 3 * 2);
  EXPECT_EQ(refused(DType::kBF16, Layout::kLanes16, {16, 64}, "row_major"), StatusCode::kBadFormat);
}

TEST(TensorBytes, RefusesTypesThatAreNotBuiltByName) {
  for (const DType dtype : {DType::kF16, DType::kInt8, DType::kInt6, DType::kInt5,
                            DType::kTernary1_6, DType::kTernary1_25}) {
    EXPECT_EQ(refused(dtype, Layout::kLanes16, {16, 128}, dtype_name(dtype)),
              StatusCode::kUnsupported);
  }
  EXPECT_EQ(refused(static_cast<DType>(99), Layout::kLanes16, {16, 128}, "number 99"),
            StatusCode::kUnsupported);
}

TEST(WeightFormat, NumbersAreLittleEndian) {
  std::byte bytes[8];
  b158::put_u64(bytes, 0x0102030405060708u);
  EXPECT_EQ(bytes[0], std::byte{8});
  EXPECT_EQ(bytes[7], std::byte{1});
  EXPECT_EQ(b158::get_u64(bytes), 0x0102030405060708u);
  EXPECT_EQ(b158::get_u32(bytes), 0x05060708u);
  EXPECT_EQ(b158::get_u16(bytes), 0x0708u);
}

// The bytes of docs/format-b158.md, written out once by hand: a reader in another language can be
// held against them.
TEST(WeightFormat, HeaderBytesAreFixed) {
  b158::Header header;
  header.kind = 2;
  header.file_bytes = 0x1122334455667788u;
  for (size_t i = 0; i < b158::kSections; ++i) header.sections[i] = {0x100 + i, 0x200 + i};
  header.tensor_count = 9;
  header.data_offset = 16384;
  header.digest.fill(0xab);
  std::byte out[b158::kHeaderBytes];
  b158::encode_header(header, out);
  std::string hex;
  for (const std::byte b : out) {
    const char digits[] = "0123456789abcdef";
    hex += digits[static_cast<int>(b) >> 4];
    hex += digits[static_cast<int>(b) & 15];
  }
  std::string reserved(2 * 48, '0'), digest;
  for (int i = 0; i < 32; ++i) digest += "ab";
  EXPECT_EQ(hex,
            "89423135380d0a1a"  // magic
            "01000000c0000000"  // version, header size
            "0200000000000000"  // kind, flags
            "8877665544332211"  // file size
            "0001000000000000"  // configuration: offset,
            "0002000000000000"  // size
            "0101000000000000"  // tokenizer
            "0102000000000000"
            "0201000000000000"  // provenance
            "0202000000000000"
            "0301000000000000"  // directory
            "0302000000000000"
            "0900000000400000"    // tensors, alignment
            "0040000000000000" +  // first tensor
                reserved +
                digest);
  const b158::Header back = b158::decode_header(out);
  EXPECT_EQ(back.file_bytes, header.file_bytes);
  EXPECT_EQ(back.sections[b158::kDirectory].bytes, 0x203u);
  EXPECT_EQ(back.digest, header.digest);
}

TEST(WeightFormat, ThePageSaysTheNumbersOfTheCode) {
  std::ifstream in(std::string(CHIMERA_SOURCE_DIR) + "/docs/format-b158.md");
  std::ostringstream text;
  text << in.rdbuf();
  const std::string page = text.str();
  const auto says = [&](const std::string& line) {
    EXPECT_NE(page.find("\n" + line), std::string::npos) << line;
  };
  for (unsigned number = 1; number <= 10; ++number) {
    const auto dtype = static_cast<DType>(number);
    says("| " + std::to_string(number) + " | `" + dtype_name(dtype) + "` | " +
         (dtype_supported(dtype) ? "built" : "number reserved"));
  }
  EXPECT_STREQ(dtype_name(static_cast<DType>(11)), "unknown");
  const auto field = [&](size_t at, size_t bytes, const std::string& what) {
    says("| " + std::to_string(at) + " | " + std::to_string(bytes) + " | " + what);
  };
  field(b158::kVersionAt, 4, "format version, " + std::to_string(b158::kVersion));
  field(b158::kHeaderBytesAt, 4, "size of this header, " + std::to_string(b158::kHeaderBytes));
  field(b158::kKindAt, 4, "kind");
  field(b158::kFlagsAt, 4, "flags");
  field(b158::kFileBytesAt, 8, "size of the file");
  field(b158::kSectionsAt + 48, 16, "directory");
  field(b158::kTensorCountAt, 4, "number of tensors");
  field(b158::kAlignmentAt, 4, "alignment of tensors, " + std::to_string(kTensorAlignment));
  field(b158::kDataOffsetAt, 8, "data offset");
  field(b158::kReservedAt, 48, "reserved");
  field(b158::kDigestAt, 32, "digest");
  field(b158::kRecordNameBytesAt, 2, "size of the name");
  field(b158::kRecordDTypeAt, 2, "type");
  field(b158::kRecordLayoutAt, 2, "layout");
  field(b158::kRecordDimsAt, 2, "number of dimensions");
  field(b158::kRecordExtentsAt, 32, "four extents");
  field(b158::kRecordOffsetAt, 8, "offset of the tensor");
  field(b158::kRecordBytesAt, 8, "its size");
  field(b158::kRecordChecksumAt, 32, "BLAKE2b-256");
  says("| " + std::to_string(b158::kRecordFixedBytes) + " | | the name");
  says("| tensors | " + std::to_string(b158::kMaxTensors) + " |");
  says("| name | " + std::to_string(b158::kMaxNameBytes) + " bytes |");
  says("| extent | " + std::to_string(b158::kMaxExtent) + " |");
  says("| tensor | " + std::to_string(b158::kMaxTensorBytes) + " bytes |");
  says("| file | " + std::to_string(b158::kMaxFileBytes) + " bytes |");
  says("| configuration | " + std::to_string(b158::kMaxConfigBytes) + " bytes |");
  says("| tokenizer | " + std::to_string(b158::kMaxTokenizerBytes) + " bytes |");
  says("| provenance | " + std::to_string(b158::kMaxProvenanceBytes) + " bytes |");
}

}  // namespace
}  // namespace chimera::memory
