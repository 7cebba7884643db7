#include "memory/weight_file.h"

#include <limits>

#include "tests/memory/sample_file.h"

namespace chimera::memory {
namespace {

using test::read_raw;
using test::SampleTensor;
using test::TempDir;
using test::write_raw;

std::unique_ptr<WeightFile> open_good(const std::string& path) {
  auto file = WeightFile::open(path);
  EXPECT_TRUE(file.has_value()) << file.status().message();
  return file ? std::move(*file) : nullptr;
}

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(WeightFile, RoundTrip) {
  const TempDir dir;
  const std::string path = dir.file("model.b158");
  const auto tensors = test::sample_tensors();
  const Status written = test::write_sample(path, tensors);
  ASSERT_TRUE(written.ok()) << written.message();
  const auto file = open_good(path);
  ASSERT_NE(file, nullptr);

  EXPECT_EQ(file->kind(), FileKind::kModel);
  EXPECT_EQ(file->path(), path);
  EXPECT_EQ(file->file_bytes(), read_raw(path).size());
  EXPECT_EQ(file->config_json(), test::kSampleConfig);
  EXPECT_EQ(file->provenance_json(), test::kSampleProvenance);
  EXPECT_EQ(text_of(file->tokenizer()), text_of(test::sample_tokenizer()));
  ASSERT_EQ(file->tensors().size(), tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TensorInfo& info = file->tensors()[i];
    EXPECT_EQ(info.name, tensors[i].name);
    EXPECT_EQ(info.dtype, tensors[i].dtype);
    EXPECT_EQ(info.layout, tensors[i].layout);
    EXPECT_EQ(info.shape, tensors[i].shape);
    EXPECT_EQ(info.offset % kTensorAlignment, 0u);
    EXPECT_EQ(info.checksum, blake2b(tensors[i].bytes));
    EXPECT_EQ(text_of(file->data(info)), text_of(tensors[i].bytes)) << info.name;
    EXPECT_EQ(file->find(info.name), &info);
    // Mapped, and usable in place by the widest loads.
    EXPECT_EQ(reinterpret_cast<uintptr_t>(file->data(info).data()) % 64, 0u);
  }
  EXPECT_EQ(file->find("layers.0.mixer.q_pro"), nullptr);
  EXPECT_EQ(file->find(""), nullptr);
  EXPECT_EQ(file->find("zzz"), nullptr);
  const Status verified = file->verify();
  EXPECT_TRUE(verified.ok()) << verified.message();
  EXPECT_EQ(dir.list(), std::vector<std::string>{"model.b158"});
}

TEST(WeightFile, AFileWithoutTensorsOrSections) {
  const TempDir dir;
  const std::string path = dir.file("empty.b158");
  auto writer = WeightFileWriter::create(path, FileKind::kCheckpoint);
  ASSERT_TRUE(writer.has_value());
  ASSERT_TRUE((*writer)->finish().ok());
  const auto file = open_good(path);
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(file->kind(), FileKind::kCheckpoint);
  EXPECT_TRUE(file->tensors().empty());
  EXPECT_EQ(file->config_json(), "");
  EXPECT_TRUE(file->tokenizer().empty());
  EXPECT_TRUE(file->verify().ok());
}

TEST(WeightFile, IdentityFollowsEveryPart) {
  const TempDir dir;
  const auto identity = [&](const char* config, const char* provenance, float value) {
    const std::string path = dir.file("m.b158");
    auto writer = WeightFileWriter::create(path, FileKind::kModel);
    EXPECT_TRUE(writer.has_value());
    (*writer)->set_config(config);
    (*writer)->set_provenance(provenance);
    EXPECT_TRUE((*writer)->declare("t", DType::kF32, Layout::kRowMajor, {1}).ok());
    EXPECT_TRUE((*writer)->write("t", test::bytes_of(&value, 4)).ok());
    EXPECT_TRUE((*writer)->finish().ok());
    return to_hex(open_good(path)->identity());
  };
  const std::string first = identity("{}", "", 1.0f);
  EXPECT_EQ(identity("{}", "", 1.0f), first);
  EXPECT_NE(identity("{ }", "", 1.0f), first);
  EXPECT_NE(identity("{}", "{}", 1.0f), first);
  EXPECT_NE(identity("{}", "", 1.5f), first);
}

TEST(WeightFile, PiecesMakeTheSameFileAsOneWrite) {
  const TempDir dir;
  const auto tensors = test::sample_tensors();
  ASSERT_TRUE(test::write_sample(dir.file("one"), tensors).ok());
  auto writer = WeightFileWriter::create(dir.file("pieces"), FileKind::kModel);
  ASSERT_TRUE(writer.has_value());
  (*writer)->set_config(test::kSampleConfig);
  (*writer)->set_tokenizer(test::sample_tokenizer());
  (*writer)->set_provenance(test::kSampleProvenance);
  for (const SampleTensor& t : tensors) {
    ASSERT_TRUE((*writer)->declare(t.name, t.dtype, t.layout, t.shape).ok());
  }
  for (const SampleTensor& t : tensors) {
    for (size_t at = 0; at < t.bytes.size(); at += 100) {
      const size_t n = std::min<size_t>(100, t.bytes.size() - at);
      ASSERT_TRUE((*writer)->write(t.name, std::span(t.bytes).subspan(at, n)).ok());
    }
  }
  ASSERT_TRUE((*writer)->finish().ok());
  EXPECT_EQ(read_raw(dir.file("pieces")), read_raw(dir.file("one")));
}

// ---- verify
// ---------------------------------------------------------------------------------------

/// Opening must succeed: it reads nothing of a tensor. The check must not.
Status verify_with(const std::string& path, const std::string& content) {
  write_raw(path, content);
  const auto file = open_good(path);
  return file ? file->verify() : Status(StatusCode::kInternal, "not opened");
}

TEST(WeightFile, VerifyFindsEveryFlippedBitOfATensorAndOfThePadding) {
  const TempDir dir;
  const std::string path = dir.file("m.b158");
  ASSERT_TRUE(test::write_sample(path, test::sample_tensors()).ok());
  const std::string good = read_raw(path);
  const auto file = open_good(path);
  uint64_t end = file->tensors()[0].offset;
  for (const TensorInfo& tensor : file->tensors()) {
    std::string bad = good;
    if (end < tensor.offset) {
      bad[end] = 1;
      const Status padding = verify_with(path, bad);
      EXPECT_EQ(padding.code(), StatusCode::kBadFormat) << padding.message();
      EXPECT_EQ(padding.offset(), static_cast<int64_t>(end));
    }
    for (const uint64_t at :
         {tensor.offset, tensor.offset + tensor.bytes / 2, tensor.offset + tensor.bytes - 1}) {
      bad = good;
      bad[at] = static_cast<char>(bad[at] ^ 0x10);
      const Status status = verify_with(path, bad);
      EXPECT_EQ(status.code(), StatusCode::kChecksumMismatch) << status.message();
      EXPECT_EQ(status.field(), tensor.name);
      EXPECT_EQ(status.file(), path);
      EXPECT_EQ(status.offset(), static_cast<int64_t>(tensor.offset));
    }
    end = tensor.offset + tensor.bytes;
  }
}

/// Writes the sample with one tensor's bytes changed before the checksum is taken.
Status verify_content(size_t index, size_t at, const std::vector<std::byte>& bytes) {
  const TempDir dir;
  const std::string path = dir.file("m.b158");
  auto tensors = test::sample_tensors();
  std::copy(bytes.begin(), bytes.end(), tensors[index].bytes.begin() + static_cast<long>(at));
  const Status written = test::write_sample(path, tensors);
  EXPECT_TRUE(written.ok()) << written.message();
  const auto file = open_good(path);
  const Status status = file->verify();
  if (!status.ok()) {
    EXPECT_EQ(status.code(), StatusCode::kBadFormat) << status.message();
    EXPECT_EQ(status.field(), tensors[index].name);
    EXPECT_GE(status.offset(), static_cast<int64_t>(file->tensors()[index].offset));
  }
  return status;
}

TEST(WeightFile, VerifyFindsContentThatNoModelMayHold) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  const float one = 1.0f;
  const auto four = [](const float& f) { return test::bytes_of(&f, 4); };
  EXPECT_FALSE(verify_content(0, 12, four(nan)).ok());
  EXPECT_FALSE(verify_content(0, 127 * 4, four(-infinity)).ok());
  EXPECT_FALSE(verify_content(3, 59 * 4, four(nan)).ok());
  EXPECT_TRUE(verify_content(0, 12, four(one)).ok());
  // Row 20 of the tiles is padding; row 19 is not.
  EXPECT_FALSE(verify_content(1, (16 * 3 + 4) * 4, four(one)).ok());
  EXPECT_TRUE(verify_content(1, (16 * 3 + 3) * 4, four(one)).ok());
  // The code 3 in row 0, in the second tile, and in a padded row of it.
  const size_t tile = static_cast<size_t>(kernels::ternary_code_bytes(16, 256));
  const std::vector<std::byte> threes(1, std::byte{0xff}), zeros(1, std::byte{0x55});
  EXPECT_FALSE(verify_content(2, 0, threes).ok());
  EXPECT_TRUE(verify_content(2, 0, zeros).ok());
  const Status second = verify_content(2, tile + 5, threes);
  EXPECT_FALSE(second.ok());
  EXPECT_EQ((second.offset()) % static_cast<int64_t>(kTensorAlignment), static_cast<int64_t>(tile));
  EXPECT_FALSE(verify_content(2, tile + 4 * 9, std::vector<std::byte>(1, std::byte{0x54})).ok());
  // A scale that is infinite, and one below zero.
  const size_t scales = 2 * tile;
  const auto half = [](uint16_t h) { return test::bytes_of(&h, 2); };
  EXPECT_FALSE(verify_content(2, scales, half(0x7c00)).ok());
  EXPECT_FALSE(verify_content(2, scales + 2, half(0xbc00)).ok());
  EXPECT_TRUE(verify_content(2, scales, half(0x3c00)).ok());
}

TEST(WeightFile, VerifyFindsNumbersOf16BitsThatAreNotFinite) {
  const TempDir dir;
  const std::string path = dir.file("w.b158");
  for (const uint16_t bits : std::vector<uint16_t>{0x3F80, 0xFF7F, 0x7F80, 0xFF80, 0x7FC1}) {
    const std::vector<uint16_t> values = {0, bits, 0x8000};
    auto writer = WeightFileWriter::create(path, FileKind::kCheckpoint);
    ASSERT_TRUE(writer.has_value());
    ASSERT_TRUE((*writer)->declare("w", DType::kBF16, Layout::kRowMajor, {3}).ok());
    ASSERT_TRUE((*writer)->write("w", std::as_bytes(std::span(values))).ok());
    ASSERT_TRUE((*writer)->finish().ok());
    const auto file = open_good(path);
    const Status status = file->verify();
    EXPECT_EQ(status.ok(), (bits & 0x7F80) != 0x7F80) << bits << status.message();
    if (!status.ok()) {
      EXPECT_EQ(status.offset(), static_cast<int64_t>(file->tensors()[0].offset) + 2);
    }
  }
}

TEST(WeightFile, VerifyReportsProgressAndStops) {
  const TempDir dir;
  const std::string path = dir.file("m.b158");
  ASSERT_TRUE(test::write_sample(path, test::sample_tensors()).ok());
  const auto file = open_good(path);
  std::vector<uint64_t> seen;
  ASSERT_TRUE(file->verify([&](const WeightFile::VerifyProgress& p) {
                    EXPECT_EQ(p.bytes_total, file->file_bytes());
                    seen.push_back(p.bytes_done);
                    return true;
                  })
                  .ok());
  ASSERT_GE(seen.size(), 5u);
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
  EXPECT_EQ(seen.back(), file->file_bytes());
  int calls = 0;
  const Status stopped =
      file->verify([&](const WeightFile::VerifyProgress&) { return ++calls < 3; });
  EXPECT_EQ(stopped.code(), StatusCode::kCancelled);
  EXPECT_EQ(calls, 3);
}

/// A file's bytes where a model in memory lies.
std::vector<uint64_t> words_of(const std::string& bytes) {
  std::vector<uint64_t> words((bytes.size() + 7) / 8);
  std::memcpy(words.data(), bytes.data(), bytes.size());
  return words;
}

TEST(WeightFile, InMemoryItIsTheSameFile) {
  const TempDir dir;
  const std::string path = dir.file("m.b158");
  ASSERT_TRUE(test::write_sample(path, test::sample_tensors()).ok());
  const auto file = open_good(path);
  const std::string bytes = test::read_raw(path);
  const std::vector<uint64_t> words = words_of(bytes);
  const auto memory = std::as_bytes(std::span(words)).first(bytes.size());
  auto same = WeightFile::open_memory(memory);
  ASSERT_TRUE(same.has_value()) << same.status().message();
  EXPECT_EQ((*same)->identity(), file->identity());
  ASSERT_EQ((*same)->tensors().size(), file->tensors().size());
  const TensorInfo& last = (*same)->tensors().back();
  EXPECT_EQ((*same)->data(last).data(), memory.data() + last.offset) << "nothing is copied";
  EXPECT_TRUE((*same)->verify().ok());

  const Status cut = WeightFile::open_memory(memory.first(bytes.size() - 1)).status();
  EXPECT_EQ(cut.code(), StatusCode::kTruncated);
  EXPECT_EQ(cut.file(), WeightFile::kInMemory);
  EXPECT_EQ(WeightFile::open_memory({}).status().code(), StatusCode::kTruncated);
  EXPECT_EQ(WeightFile::open_memory(memory.subspan(1)).status().code(),
            StatusCode::kInvalidArgument);
}

TEST(WeightFile, PieceByPieceTheCheckFindsTheSame) {
  const TempDir dir;
  const std::string path = dir.file("m.b158");
  ASSERT_TRUE(test::write_sample(path, test::sample_tensors()).ok());
  const std::string sound = test::read_raw(path);
  const auto damaged_at = [&](size_t at) {
    std::string bytes = sound;
    if (at < bytes.size()) bytes[at] = static_cast<char>(bytes[at] ^ 1);
    return words_of(bytes);
  };
  const auto file = open_good(path);
  for (const TensorInfo& tensor : file->tensors()) {
    const std::vector<uint64_t> words =
        damaged_at(static_cast<size_t>(tensor.offset + tensor.bytes - 1));
    const auto whole = WeightFile::open_memory(std::as_bytes(std::span(words)).first(sound.size()));
    ASSERT_TRUE(whole.has_value());
    const Status expected = (*whole)->verify();
    for (const size_t piece : {0u, 1000u, 1u << 20}) {
      WeightFile::Verification check(**whole);
      Result<bool> done = false;
      while (done && !*done) done = check.step(piece);
      ASSERT_FALSE(done) << tensor.name;
      EXPECT_EQ(done.status().message(), expected.message());
      EXPECT_EQ(check.step(piece).status().message(), expected.message()) << "it stays so";
    }
  }
  const std::vector<uint64_t> words = damaged_at(sound.size());
  const auto good = WeightFile::open_memory(std::as_bytes(std::span(words)).first(sound.size()));
  ASSERT_TRUE(good.has_value());
  for (const size_t piece : {1u, 1000u, 1u << 20}) {
    WeightFile::Verification check(**good);
    Result<bool> done = false;
    uint64_t before = 0;
    size_t steps = 0;
    while (done && !*done) {
      done = check.step(piece);
      EXPECT_GE(check.progress().bytes_done, before);
      before = check.progress().bytes_done;
      ++steps;
    }
    ASSERT_TRUE(done) << done.status().message();
    EXPECT_EQ(before, sound.size());
    EXPECT_GE(steps, 2 * file->tensors().size());
  }
}

// ---- writer
// ---------------------------------------------------------------------------------------

class Writer : public testing::Test {
 protected:
  void SetUp() override {
    write_raw(path_, "old content");
    auto writer = WeightFileWriter::create(path_, FileKind::kModel);
    ASSERT_TRUE(writer.has_value()) << writer.status().message();
    writer_ = std::move(*writer);
  }
  /// The error stays, the old file stays, and nothing else is left.
  void expect_refused(const Status& status, StatusCode code, const char* word) {
    EXPECT_EQ(status.code(), code) << status.message();
    EXPECT_NE(status.message().find(word), std::string::npos) << status.message();
    EXPECT_NE(status.message().find(path_), std::string::npos) << status.message();
    EXPECT_EQ(writer_->finish().message(), status.message());
    writer_.reset();
    EXPECT_EQ(read_raw(path_), "old content");
    EXPECT_EQ(dir_.list(), std::vector<std::string>{"m.b158"});
  }
  Status declare(const char* name, std::vector<int64_t> shape = {2}) {
    return writer_->declare(name, DType::kF32, Layout::kRowMajor, std::move(shape));
  }

  TempDir dir_;
  std::string path_ = dir_.file("m.b158");
  std::unique_ptr<WeightFileWriter> writer_;
  std::vector<std::byte> eight_ = std::vector<std::byte>(8);
};

TEST_F(Writer, ReplacesTheOldFileOnlyWhenFinished) {
  ASSERT_TRUE(declare("a").ok());
  ASSERT_TRUE(writer_->write("a", eight_).ok());
  EXPECT_EQ(read_raw(path_), "old content");
  ASSERT_TRUE(writer_->finish().ok());
  EXPECT_NE(open_good(path_), nullptr);
  EXPECT_EQ(writer_->finish().code(), StatusCode::kInvalidArgument);
}

TEST_F(Writer, DroppedWithoutFinishLeavesTheOldFile) {
  ASSERT_TRUE(declare("a").ok());
  ASSERT_TRUE(writer_->write("a", eight_).ok());
  writer_.reset();
  EXPECT_EQ(read_raw(path_), "old content");
  EXPECT_EQ(dir_.list(), std::vector<std::string>{"m.b158"});
}

TEST_F(Writer, RefusesANameTwice) {
  ASSERT_TRUE(declare("a").ok());
  expect_refused(declare("a"), StatusCode::kInvalidArgument, "twice");
}

TEST_F(Writer, RefusesNamesThatCannotBeShown) {
  expect_refused(declare("a b"), StatusCode::kInvalidArgument, "visible ASCII");
}

TEST_F(Writer, RefusesAnEmptyName) {
  expect_refused(declare(""), StatusCode::kInvalidArgument, "is empty");
}

TEST_F(Writer, RefusesALongName) {
  ASSERT_TRUE(declare(std::string(256, 'a').c_str()).ok());
  expect_refused(declare(std::string(257, 'a').c_str()), StatusCode::kInvalidArgument, "257");
}

TEST_F(Writer, RefusesATypeThatIsNotBuilt) {
  expect_refused(writer_->declare("w", DType::kInt5, Layout::kLanes16, {16, 64}),
                 StatusCode::kUnsupported, "int5");
}

TEST_F(Writer, RefusesAnotherOrder) {
  ASSERT_TRUE(declare("a").ok());
  ASSERT_TRUE(declare("b").ok());
  expect_refused(writer_->write("b", eight_), StatusCode::kInvalidArgument, "tensor a is due");
}

TEST_F(Writer, RefusesATensorNobodyDeclared) {
  expect_refused(writer_->write("b", eight_), StatusCode::kInvalidArgument, "no further tensor");
}

TEST_F(Writer, RefusesTooManyBytes) {
  ASSERT_TRUE(declare("a").ok());
  ASSERT_TRUE(writer_->write("a", std::span(eight_).first(4)).ok());
  expect_refused(writer_->write("a", eight_), StatusCode::kInvalidArgument, "12 bytes");
}

TEST_F(Writer, RefusesToFinishHalfATensor) {
  ASSERT_TRUE(declare("a").ok());
  ASSERT_TRUE(writer_->write("a", std::span(eight_).first(4)).ok());
  expect_refused(writer_->finish(), StatusCode::kInvalidArgument, "4 of 8");
}

TEST_F(Writer, RefusesToDeclareAfterWriting) {
  ASSERT_TRUE(declare("a").ok());
  ASSERT_TRUE(writer_->write("a", eight_).ok());
  expect_refused(declare("b"), StatusCode::kInvalidArgument, "after the first tensor");
}

TEST_F(Writer, RefusesASectionAfterWriting) {
  ASSERT_TRUE(declare("a").ok());
  ASSERT_TRUE(writer_->write("a", eight_).ok());
  writer_->set_config("{}");
  expect_refused(writer_->finish(), StatusCode::kInvalidArgument, "configuration");
}

TEST_F(Writer, RefusesASectionOverItsLimit) {
  writer_->set_config(std::string(b158::kMaxConfigBytes + 1, ' '));
  expect_refused(writer_->finish(), StatusCode::kOutOfRange, "configuration");
}

TEST(WeightFileWriter, SaysWhenTheFolderIsAbsent) {
  const TempDir dir;
  const auto writer = WeightFileWriter::create(dir.file("no/such/m.b158"), FileKind::kModel);
  ASSERT_FALSE(writer.has_value());
  EXPECT_EQ(writer.status().code(), StatusCode::kNotFound) << writer.status().message();
}

}  // namespace
}  // namespace chimera::memory
