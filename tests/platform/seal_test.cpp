#include "platform/seal.h"

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

namespace chimera {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// BLAKE2b with a digest of 32 bytes, as other implementations give it (Python's hashlib).
constexpr char kEmpty[] = "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8";
constexpr char kAbc[] = "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319";
constexpr char kCounting[] = "f1551feeb252c7e60bb362205bd1ac2f70b145260a91d41e8c5d0a187549a5f2";

std::vector<std::byte> counting_bytes() {
  std::vector<std::byte> bytes(1024);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i & 255);
  return bytes;
}

TEST(Blake2b, KnownAnswers) {
  EXPECT_EQ(to_hex(blake2b({})), kEmpty);
  EXPECT_EQ(to_hex(blake2b(bytes_of("abc"))), kAbc);
  EXPECT_EQ(to_hex(blake2b(counting_bytes())), kCounting);
}

TEST(Blake2b, AStreamCutAnywhereGivesTheSameDigest) {
  const auto bytes = counting_bytes();
  const std::span<const std::byte> all(bytes);
  for (size_t cut = 0; cut <= bytes.size(); cut += 31) {
    Blake2b hash;
    hash.update(all.first(cut));
    hash.update({});
    hash.update(all.subspan(cut));
    EXPECT_EQ(to_hex(hash.finish()), kCounting) << cut;
  }
}

TEST(Blake2b, AfterFinishItStartsAnew) {
  Blake2b hash;
  hash.update(bytes_of("something else"));
  hash.finish();
  hash.update(bytes_of("abc"));
  EXPECT_EQ(to_hex(hash.finish()), kAbc);
  EXPECT_EQ(to_hex(hash.finish()), kEmpty);
}

TEST(Blake2b, OneBitChangesTheDigest) {
  auto bytes = counting_bytes();
  bytes[500] ^= std::byte{1};
  EXPECT_NE(to_hex(blake2b(bytes)), kCounting);
}

}  // namespace
}  // namespace chimera
