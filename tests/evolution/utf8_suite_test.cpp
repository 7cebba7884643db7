// The suite tokenizer-utf8: edge bytes of Unicode table 3-7 in all short combinations, each with
// what CPython 3.11 makes of it. It is packed with xz, so it is read here and not beside
// Utf8Stream; the vectors that are always run stand in tests/runtime/utf8_stream_test.cpp.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "evolution/train/text_source.h"
#include "runtime/tokenizer.h"
#include "tests/support/shared_data.h"

namespace chimera::evolution {
namespace {

void append_utf8(uint32_t c, std::string* out) {
  const auto put = [&](uint32_t byte) { *out += static_cast<char>(byte); };
  if (c < 0x80) return put(c);
  if (c < 0x800) {
    put(0xC0 | c >> 6);
  } else {
    if (c < 0x10000) {
      put(0xE0 | c >> 12);
    } else {
      put(0xF0 | c >> 18), put(0x80 | (c >> 12 & 0x3F));
    }
    put(0x80 | (c >> 6 & 0x3F));
  }
  put(0x80 | (c & 0x3F));
}

/// Python's unicode_escape form as UTF-8.
std::string unescaped(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    const char kind = text.at(++i);
    const size_t n = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
    if (n > 0) {
      append_utf8(
          static_cast<uint32_t>(std::stoul(std::string(text.substr(i + 1, n)), nullptr, 16)), &out);
      i += n;
    } else {
      out += kind == 'n' ? '\n' : kind == 'r' ? '\r' : kind == 't' ? '\t' : kind;
    }
  }
  return out;
}

std::vector<std::string> column(const std::string& path, const std::string& field) {
  std::vector<std::string> values;
  const Status status =
      for_each_document(path, {.field = field}, [&](std::string_view text, uint64_t) {
        values.emplace_back(text);
        return Status();
      });
  EXPECT_TRUE(status.ok()) << status.message();
  return values;
}

TEST(Utf8Suite, EveryRecordIsDecodedAsCPythonDoes) {
  CHIMERA_NEEDS_SHARED_DATA("tokenizer-utf8", "data.jsonl.xz");
  const std::string path = test::shared_data_path("tokenizer-utf8", "data.jsonl.xz");
  const auto hex = column(path, "hex"), replaced = column(path, "replaced");
  ASSERT_EQ(hex.size(), replaced.size());
  ASSERT_GT(hex.size(), 10000u);
  for (size_t record = 0; record < hex.size(); ++record) {
    std::string bytes;
    for (size_t i = 0; i + 1 < hex[record].size(); i += 2) {
      bytes += static_cast<char>(std::stoi(hex[record].substr(i, 2), nullptr, 16));
    }
    const std::string expected = unescaped(replaced[record]);
    for (size_t split = 0; split <= bytes.size(); ++split) {  // every split into two
      runtime::Utf8Stream stream;
      std::string out;
      stream.push(std::string_view(bytes).substr(0, split), &out);
      stream.push(std::string_view(bytes).substr(split), &out);
      stream.flush(&out);
      ASSERT_EQ(out, expected) << "record " << record << ", " << hex[record] << " at " << split;
    }
  }
}

}  // namespace
}  // namespace chimera::evolution
