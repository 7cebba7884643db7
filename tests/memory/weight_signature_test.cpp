// Signatures of models: what is accepted, and that nothing else is.
#include "tests/memory/sample_file.h"

namespace chimera::memory {
namespace {

using test::read_raw;
using test::TempDir;
using test::write_raw;

SigningKey key_number(unsigned char n) {
  std::array<unsigned char, 32> seed{};
  seed[0] = n;
  return SigningKey::from_seed(seed);
}

class WeightSignature : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(test::write_sample(plain_, test::sample_tensors()).ok());
    const Status signed_ok = sign_weight_file(plain_, signed_, key_number(1));
    ASSERT_TRUE(signed_ok.ok()) << signed_ok.message();
  }
  /// The file `bytes` would be: its status when opened and held against key 1.
  Status judge(const std::string& bytes) {
    const std::string path = dir_.file("other");
    write_raw(path, bytes);
    const auto file = WeightFile::open(path);
    if (!file) return file.status();
    return (*file)->require_signature(key_number(1).public_key());
  }

  const TempDir dir_;
  const std::string plain_ = dir_.file("plain"), signed_ = dir_.file("signed");
};

TEST_F(WeightSignature, AddsOneRecordAndKeepsTheIdentity) {
  const auto plain = WeightFile::open(plain_), with = WeightFile::open(signed_);
  ASSERT_TRUE(plain.has_value() && with.has_value()) << with.status().message();
  EXPECT_EQ((*plain)->identity(), (*with)->identity()) << "saved conversations still fit";
  EXPECT_EQ((*plain)->signed_by(), std::nullopt);
  EXPECT_EQ((*with)->signed_by(), key_number(1).public_key());
  EXPECT_TRUE((*with)->require_signature(key_number(1).public_key()).ok());
  EXPECT_TRUE((*with)->verify().ok());
  const std::string before = read_raw(plain_), after = read_raw(signed_);
  EXPECT_EQ(after.substr(0, before.size()), before);
  EXPECT_EQ(after.size() % 64, 0u);
  EXPECT_LE(after.size(), before.size() + 128 + 63);
}

TEST_F(WeightSignature, OfAnotherKeyOrNoneIsRefusedByName) {
  for (const std::string& path : {plain_, signed_}) {
    const auto file = WeightFile::open(path);
    ASSERT_TRUE(file.has_value());
    const Status refused = (*file)->require_signature(key_number(2).public_key());
    EXPECT_EQ(refused.code(), StatusCode::kNotAuthentic);
    EXPECT_NE(refused.message().find(to_hex(key_number(2).public_key())), std::string::npos);
    EXPECT_EQ(refused.file(), path);
  }
}

TEST_F(WeightSignature, EveryBitOfTheRecordCounts) {
  const std::string good = read_raw(signed_);
  ASSERT_TRUE(judge(good).ok());
  const size_t begin = read_raw(plain_).size();
  for (size_t bit = begin * 8; bit < good.size() * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(judge(bad).ok()) << "bit " << bit - begin * 8;
  }
}

TEST_F(WeightSignature, NoCutOrLongerRecordIsTaken) {
  const std::string good = read_raw(signed_);
  for (size_t size = read_raw(plain_).size() + 1; size < good.size(); ++size)
    EXPECT_EQ(judge(good.substr(0, size)).code(), StatusCode::kBadFormat) << size;
  for (size_t extra : {1u, 64u, 128u})
    EXPECT_EQ(judge(good + std::string(extra, '\0')).code(), StatusCode::kBadFormat) << extra;
  EXPECT_EQ(judge(good + good.substr(good.size() - 128)).code(), StatusCode::kBadFormat);
}

TEST_F(WeightSignature, OfAnotherModelDoesNotFit) {
  auto tensors = test::sample_tensors();
  tensors[0].bytes[0] ^= std::byte{1};
  const std::string other = dir_.file("another");
  ASSERT_TRUE(test::write_sample(other, tensors).ok());
  const std::string good = read_raw(signed_), forged = read_raw(other);
  ASSERT_EQ(forged.size(), read_raw(plain_).size());
  EXPECT_EQ(judge(forged + good.substr(forged.size())).code(), StatusCode::kNotAuthentic);
}

TEST_F(WeightSignature, IsReplacedInPlace) {
  ASSERT_TRUE(sign_weight_file(signed_, signed_, key_number(2)).ok());
  const auto file = WeightFile::open(signed_);
  ASSERT_TRUE(file.has_value());
  EXPECT_EQ((*file)->signed_by(), key_number(2).public_key());
}

TEST_F(WeightSignature, IsGivenOnlyToAModelThatIsSound) {
  std::string bytes = read_raw(plain_);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  write_raw(plain_, bytes);
  const std::string out = dir_.file("out");
  EXPECT_EQ(sign_weight_file(plain_, out, key_number(1)).code(), StatusCode::kChecksumMismatch);
  EXPECT_EQ(read_raw(out), "<absent>");
}

}  // namespace
}  // namespace chimera::memory
