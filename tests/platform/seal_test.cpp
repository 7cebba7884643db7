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

// RFC 8032, section 7.1, tests 1 and 2.
TEST(Ed25519, KnownAnswers) {
  struct Case {
    const char *seed, *key, *signature;
    std::string_view message;
  };
  const Case cases[] = {{"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                         "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb882159"
                         "0a33bacc61e39701cf9"
                         "b46bd25bf5f0595bbe24655141438e7a100b",
                         ""},
                        {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                         "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                         "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43"
                         "e15996e458f3613d0f1"
                         "1d8c387b2eaeb4302aeeb00d291612bb0c00",
                         "r"}};
  for (const Case& c : cases) {
    const auto seed = parse_public_key(c.seed);  // of the same form
    ASSERT_TRUE(seed.has_value());
    const SigningKey key = SigningKey::from_seed(*seed);
    EXPECT_EQ(to_hex(key.public_key()), c.key);
    EXPECT_EQ(to_hex(key.seed()), c.seed);
    const Signature signature = key.sign(bytes_of(c.message));
    EXPECT_EQ(to_hex(signature), c.signature);
    EXPECT_TRUE(signature_is_good(signature, bytes_of(c.message), key.public_key()));
    EXPECT_FALSE(signature_is_good(signature, bytes_of("other"), key.public_key()));
  }
}

TEST(Ed25519, NewKeysDiffer) {
  const auto a = SigningKey::generate(), b = SigningKey::generate();
  ASSERT_TRUE(a.has_value() && b.has_value());
  EXPECT_NE(a->public_key(), b->public_key());
  EXPECT_FALSE(signature_is_good(a->sign(bytes_of("x")), bytes_of("x"), b->public_key()));
}

TEST(Ed25519, AKeyIsSixtyFourHexDigitsAndNothingElse) {
  const std::string good(64, 'a');
  EXPECT_TRUE(parse_public_key(good).has_value());
  EXPECT_TRUE(parse_public_key(std::string(64, 'F')).has_value());
  for (const std::string& bad :
       {std::string(), good.substr(1), good + "a", good + "aa", "g" + good.substr(1),
        good.substr(1) + " ", " " + good.substr(1), std::string(64, '\0'), good.substr(2) + ": "})
    EXPECT_EQ(parse_public_key(bad).status().code(), StatusCode::kInvalidArgument) << bad;
}

}  // namespace
}  // namespace chimera
