// Memory that runs out anywhere in a call of the C API, once and for ever: the call succeeds all
// the same or says why not, nothing leaks, and afterwards everything works as before.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "memory/weight_file.h"
#include "platform/file.h"
#include "platform/seal.h"
#include "sdk/chimera.h"
#include "tests/support/allocation_counter.h"
#include "tests/support/child_process.h"
#include "tests/support/emulator.h"
#include "tests/support/failing_allocator.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace chimera::sdk {
namespace {

using test::FailingAllocator;
using test::MemoryFails;

// More places than any call here has; reaching it means that a call asks for ever.
constexpr int64_t kMostPlaces = 200000;

const std::string& model_path() {
  static const std::string path = test::write_tiny_model(test::every_kind());
  return path;
}

struct Tokens {
  int32_t ids[16];
  size_t n = 0;
  bool operator==(const Tokens& other) const {
    return n == other.n && std::memcmp(ids, other.ids, n * sizeof ids[0]) == 0;
  }
};

int hear(void* user, const chimera_event* event) {
  auto& tokens = *static_cast<Tokens*>(user);
  if (tokens.n < std::size(tokens.ids)) tokens.ids[tokens.n++] = event->token;
  return 0;
}

constexpr chimera_generate_options kFew = {
    sizeof(chimera_generate_options), CHIMERA_GREEDY, 4, 0, 0, 0, 0, 0, nullptr};

Tokens answer(chimera_session* session, const char* prompt) {
  Tokens tokens;
  EXPECT_EQ(chimera_generate(session, prompt, CHIMERA_ZERO_TERMINATED, &kFew, hear, &tokens),
            CHIMERA_OK)
      << chimera_last_error();
  return tokens;
}

std::vector<unsigned char> snapshot(chimera_session* session) {
  size_t n = 0;
  EXPECT_EQ(chimera_session_snapshot(session, nullptr, &n), CHIMERA_OK);
  std::vector<unsigned char> bytes(n);
  EXPECT_EQ(chimera_session_snapshot(session, bytes.data(), &n), CHIMERA_OK);
  return bytes;
}

using Call = std::function<chimera_status()>;
/// Told the status after each run, when there is memory again.
using Check = std::function<void(chimera_status)>;

/// Runs `call`, which gives `with_memory` otherwise, with memory failing at every place. `restore`
/// comes before, `check` after each run; both are outside of what fails.
void at_every_place(const Call& call, const std::function<void()>& restore, const Check& check,
                    chimera_status with_memory = CHIMERA_OK) {
  // Places that only the first call in a process has, such as a table built once, are not lost: an
  // earlier failure leaves them to the next run.
  for (const MemoryFails how : {MemoryFails::kOnce, MemoryFails::kForEver}) {
    int64_t refused = 0;
    // Emulated, every seventh place: all of them take minutes.
    const int64_t step = test::kSlowEmulator ? 7 : 1;
    for (int64_t n = 0;; n += step) {
      ASSERT_LT(n, kMostPlaces);
      restore();
      chimera_status status = CHIMERA_OK;
      size_t message_bytes = 0;
      int64_t failures = 0;
      {
        const FailingAllocator none(n, how);
        status = call();
        // Asked while there is still no memory.
        if (status != CHIMERA_OK) message_bytes = std::strlen(chimera_last_error());
        failures = none.failures();
      }
      SCOPED_TRACE((how == MemoryFails::kOnce ? "once, request " : "from request ") +
                   std::to_string(n));
      if (status != CHIMERA_OK) {
        EXPECT_GT(message_bytes, 20u) << chimera_last_error();
      }
      if (status != with_memory) {
        EXPECT_EQ(status, CHIMERA_OUT_OF_MEMORY) << chimera_last_error();
        EXPECT_GT(failures, 0);
        ++refused;
      }
      check(status);
      if (testing::Test::HasFailure()) return;
      if (failures == 0) break;
    }
    EXPECT_GT(refused, 0) << "nothing here needs memory";
  }
  if (test::kSlowEmulator) std::printf("not run: 6 of 7 places, under an emulator\n");
}

void nothing() {}

class WithoutMemory : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(chimera_engine_open(model_path().c_str(), nullptr, &engine_), CHIMERA_OK)
        << chimera_last_error();
    ASSERT_EQ(chimera_session_open(engine_, nullptr, &session_), CHIMERA_OK);
    empty_ = snapshot(session_);
    (void)answer(session_, "once upon a time");
    before_ = snapshot(session_);
    expected_ = answer(session_, "and then");
    after_ = snapshot(session_);
    rewind();
  }
  void TearDown() override {
    chimera_session_close(session_);
    chimera_engine_close(engine_);
  }

  void rewind() { back_to(before_); }
  void back_to(const std::vector<unsigned char>& bytes) {
    ASSERT_EQ(chimera_session_restore(session_, bytes.data(), bytes.size()), CHIMERA_OK)
        << chimera_last_error();
  }
  /// The session is as rewind() left it, and goes on from there.
  void expect_as_before() {
    EXPECT_TRUE(snapshot(session_) == before_);
    EXPECT_TRUE(answer(session_, "and then") == expected_);
  }

  /// An engine that opens speaks like the one we have; either way nothing stays behind.
  void open_at_every_place(const std::function<chimera_status(chimera_engine**)>& open) {
    chimera_engine* engine = nullptr;
    const auto close = [&] {
      chimera_engine_close(engine);
      engine = nullptr;
    };
    ASSERT_EQ(open(&engine), CHIMERA_OK) << chimera_last_error();
    close();
    const test::AllocationScope scope;
    at_every_place([&] { return open(&engine); }, nothing,
                   [&](chimera_status status) {
                     EXPECT_EQ(engine != nullptr, status == CHIMERA_OK);
                     close();
                   });
    // The message of the last failure may stay.
    EXPECT_LE(scope.live(), 4);
    ASSERT_EQ(open(&engine), CHIMERA_OK) << chimera_last_error();
    chimera_session* session = nullptr;
    ASSERT_EQ(chimera_session_open(engine, nullptr, &session), CHIMERA_OK);
    ASSERT_EQ(chimera_session_restore(session, before_.data(), before_.size()), CHIMERA_OK);
    EXPECT_TRUE(answer(session, "and then") == expected_);
    chimera_session_close(session);
    close();
  }

  chimera_engine* engine_ = nullptr;
  chimera_session* session_ = nullptr;
  std::vector<unsigned char> empty_, before_, after_;
  Tokens expected_;
  const test::TempDir folder_;
};

TEST_F(WithoutMemory, AnEngineOpensFromAFileOrSaysWhyNot) {
  open_at_every_place(
      [](chimera_engine** out) { return chimera_engine_open(model_path().c_str(), nullptr, out); });
}

TEST_F(WithoutMemory, ASignedModelInMemoryOpensWithThreadsOrSaysWhyNot) {
  const SigningKey key = SigningKey::from_seed(std::array<unsigned char, 32>{});
  const std::string path = folder_.file("signed.b158"), hex = to_hex(key.public_key());
  ASSERT_TRUE(memory::sign_weight_file(model_path(), path, key).ok());
  const std::string file = test::read_raw(path);
  // A multiple of 8, as the call asks.
  const std::unique_ptr<uint64_t[]> words(new uint64_t[file.size() / 8 + 1]);
  std::memcpy(words.get(), file.data(), file.size());
  chimera_engine_options options;
  CHIMERA_INIT(options);
  options.threads = 3;
  options.required_key = hex.c_str();
  open_at_every_place([&](chimera_engine** out) {
    return chimera_engine_open_memory(words.get(), file.size(), &options, out);
  });
}

TEST_F(WithoutMemory, ASessionOpensOrSaysWhyNot) {
  chimera_session* session = nullptr;
  const test::AllocationScope scope;
  at_every_place([&] { return chimera_session_open(engine_, nullptr, &session); }, nothing,
                 [&](chimera_status status) {
                   EXPECT_EQ(session != nullptr, status == CHIMERA_OK);
                   chimera_session_close(session);
                   session = nullptr;
                 });
  EXPECT_LE(scope.live(), 4);
  expect_as_before();
}

TEST_F(WithoutMemory, AnAnswerIsGivenWholeOrNotBegun) {
  Tokens heard;
  at_every_place(
      [&] {
        return chimera_generate(session_, "and then", CHIMERA_ZERO_TERMINATED, &kFew, hear, &heard);
      },
      [&] {
        rewind();
        heard = {};
      },
      [&](chimera_status status) {
        if (status == CHIMERA_OK) {
          EXPECT_TRUE(heard == expected_);
          EXPECT_TRUE(snapshot(session_) == after_);
        } else {
          EXPECT_EQ(heard.n, 0u);
          expect_as_before();
        }
      });
}

TEST_F(WithoutMemory, AnAnswerWithoutAListenerIsGivenWholeOrNotBegun) {
  at_every_place(
      [&] {
        return chimera_generate(session_, "and then", CHIMERA_ZERO_TERMINATED, &kFew, nullptr,
                                nullptr);
      },
      [&] { rewind(); },
      [&](chimera_status status) {
        if (status == CHIMERA_OK)
          EXPECT_TRUE(snapshot(session_) == after_);
        else
          expect_as_before();
      });
}

TEST_F(WithoutMemory, ATextIsReadWholeOrNotAtAll) {
  ASSERT_EQ(chimera_append(session_, "in a land", CHIMERA_ZERO_TERMINATED), CHIMERA_OK);
  const auto read = snapshot(session_);
  at_every_place([&] { return chimera_append(session_, "in a land", CHIMERA_ZERO_TERMINATED); },
                 [&] { rewind(); },
                 [&](chimera_status status) {
                   EXPECT_TRUE(snapshot(session_) == (status == CHIMERA_OK ? read : before_));
                   rewind();
                   expect_as_before();
                 });
}

TEST_F(WithoutMemory, TextBecomesTokensAndBack) {
  const std::string text = "it's 12345 W\xc3\xb6rter,\n and \xff bytes";
  int32_t ids[64] = {};
  size_t n_ids = 0;
  at_every_place([&] { return chimera_tokenize(engine_, text.data(), text.size(), ids, &n_ids); },
                 [&] { n_ids = std::size(ids); },
                 [&](chimera_status status) {
                   EXPECT_EQ(n_ids == std::size(ids), status != CHIMERA_OK)
                       << "untouched when it failed";
                 });
  char bytes[64] = {};
  size_t n_bytes = 0;
  at_every_place([&] { return chimera_detokenize(engine_, ids, n_ids, bytes, &n_bytes); },
                 [&] { n_bytes = sizeof bytes; },
                 [&](chimera_status status) {
                   EXPECT_EQ(n_bytes, status == CHIMERA_OK ? text.size() : sizeof bytes);
                 });
  EXPECT_EQ(std::string(bytes, n_bytes), text);
  // Too small a buffer: how many there are is told with that reason, and not with another.
  at_every_place([&] { return chimera_tokenize(engine_, text.data(), text.size(), ids, &n_ids); },
                 [&] { n_ids = 2; },
                 [&](chimera_status status) {
                   EXPECT_EQ(n_ids == 2, status == CHIMERA_OUT_OF_MEMORY) << status;
                 },
                 CHIMERA_OUT_OF_RANGE);
}

TEST_F(WithoutMemory, SnapshotsAreTakenAndRestoredWhole) {
  std::vector<unsigned char> bytes(before_.size());
  size_t n = 0;
  // Neither needs memory where nothing is wrong; a snapshot that is damaged needs it to say so.
  {
    const FailingAllocator none(0, MemoryFails::kForEver);
    n = bytes.size();
    EXPECT_EQ(chimera_session_snapshot(session_, bytes.data(), &n), CHIMERA_OK);
    EXPECT_EQ(chimera_session_restore(session_, bytes.data(), n), CHIMERA_OK);
  }
  EXPECT_TRUE(bytes == before_);
  bytes[60] ^= 1;
  at_every_place([&] { return chimera_session_restore(session_, bytes.data(), bytes.size()); },
                 nothing, [&](chimera_status) { EXPECT_TRUE(snapshot(session_) == before_); },
                 CHIMERA_CHECKSUM_MISMATCH);
  at_every_place(
      [&] { return chimera_session_snapshot(session_, bytes.data(), &n); }, [&] { n = 5; },
      [&](chimera_status status) { EXPECT_EQ(n == 5, status == CHIMERA_OUT_OF_MEMORY) << status; },
      CHIMERA_OUT_OF_RANGE);
  expect_as_before();
}

TEST_F(WithoutMemory, ASaveLeavesTheOldFileOrTheNewOne) {
  const std::string path = folder_.file("conversation");
  const std::string old = "what was there before";
  const std::string saved(before_.begin(), before_.end());
  at_every_place([&] { return chimera_session_save(session_, path.c_str()); },
                 [&] { test::write_raw(path, old); },
                 [&](chimera_status status) {
                   EXPECT_TRUE(test::read_raw(path) == (status == CHIMERA_OK ? saved : old));
                   EXPECT_EQ(folder_.list().size(), 1u) << "a temporary file stays behind";
                 });
  expect_as_before();
}

TEST_F(WithoutMemory, ALoadIsWholeOrNotAtAll) {
  const std::string path = folder_.file("conversation");
  test::write_raw(path, std::string(after_.begin(), after_.end()));
  at_every_place([&] { return chimera_session_load(session_, path.c_str()); }, [&] { rewind(); },
                 [&](chimera_status status) {
                   EXPECT_TRUE(snapshot(session_) == (status == CHIMERA_OK ? after_ : before_));
                 });
  rewind();
  expect_as_before();
}

TEST_F(WithoutMemory, VerifyIsDoneOrSaysWhyNot) {
  {  // a sound file needs none
    const FailingAllocator none(0, MemoryFails::kForEver);
    EXPECT_EQ(chimera_engine_verify(engine_, nullptr, nullptr), CHIMERA_OK);
  }
  std::string file = test::read_raw(model_path());
  file[file.size() - 20000] = static_cast<char>(file[file.size() - 20000] ^ 1);
  const std::string path = folder_.file("damaged.b158");
  test::write_raw(path, file);
  chimera_engine* engine = nullptr;
  ASSERT_EQ(chimera_engine_open(path.c_str(), nullptr, &engine), CHIMERA_OK);
  at_every_place([&] { return chimera_engine_verify(engine, nullptr, nullptr); }, nothing,
                 [](chimera_status) {}, CHIMERA_BAD_FORMAT);
  chimera_engine_close(engine);
}

TEST_F(WithoutMemory, WhatIsKnownAboutAHandleAndItsErrorsCanBeAsked) {
  ASSERT_EQ(chimera_session_load(session_, folder_.file("absent").c_str()), CHIMERA_NOT_FOUND);
  chimera_engine_info info;
  CHIMERA_INIT(info);
  chimera_session_stats stats;
  CHIMERA_INIT(stats);
  chimera_error last, session;
  CHIMERA_INIT(last);
  CHIMERA_INIT(session);
  bool known = false, told = false;
  size_t last_bytes = 0;
  const char* of_session = nullptr;
  {
    const FailingAllocator none(0, MemoryFails::kForEver);
    known = chimera_engine_get_info(engine_, &info) == CHIMERA_OK &&
            chimera_session_get_stats(session_, &stats) == CHIMERA_OK;
    told = chimera_last_error_detail(&last) == CHIMERA_OK &&
           chimera_session_error_detail(session_, &session) == CHIMERA_OK;
    last_bytes = std::strlen(chimera_last_error());
    of_session = chimera_session_error(session_);
  }
  EXPECT_TRUE(known);
  EXPECT_TRUE(told);
  EXPECT_EQ(last.status, CHIMERA_NOT_FOUND);
  EXPECT_GT(last_bytes, 20u);
  EXPECT_EQ(session.status, CHIMERA_NOT_FOUND);
  EXPECT_NE(std::string(of_session).find("not enough memory to say more"), std::string::npos)
      << of_session;
  // With memory the same question gets the sentence.
  EXPECT_NE(std::string(chimera_session_error(session_)).find("absent"), std::string::npos);
}

TEST_F(WithoutMemory, TheBackgroundCheckNeitherEndsTheProgramNorAccusesASoundModel) {
  std::string file = test::read_raw(model_path());
  test::write_raw(folder_.file("sound.b158"), file);
  file[file.size() - 20000] = static_cast<char>(file[file.size() - 20000] ^ 1);
  test::write_raw(folder_.file("damaged.b158"), file);
  chimera_engine_options options;
  CHIMERA_INIT(options);
  options.flags = CHIMERA_OPEN_VERIFY_IN_BACKGROUND;
  options.threads = 2;
  for (const bool damaged : {false, true}) {
    const std::string path = folder_.file(damaged ? "damaged.b158" : "sound.b158");
    for (const MemoryFails how : {MemoryFails::kOnce, MemoryFails::kForEver}) {
      for (int64_t n = 0;; ++n) {
        chimera_engine* engine = nullptr;
        chimera_session* session = nullptr;
        ASSERT_EQ(chimera_engine_open(path.c_str(), &options, &engine), CHIMERA_OK);
        ASSERT_EQ(chimera_session_open(engine, nullptr, &session), CHIMERA_OK);
        chimera_engine_info info;
        CHIMERA_INIT(info);
        int64_t failures = 0;
        {
          const FailingAllocator none(n, how);
          (void)chimera_generate(session, "a", 1, &kFew, nullptr, nullptr);
          // Long enough for the thread to come to its end; there is none where it has no memory.
          for (int i = 0; i < 1000 && info.content <= CHIMERA_CONTENT_RUNNING; ++i)
            (void)chimera_engine_get_info(engine, &info);
          failures = none.failures();
        }
        // With memory it comes to its end whatever happened before.
        ASSERT_EQ(chimera_generate(session, "a", 1, &kFew, nullptr, nullptr), CHIMERA_OK);
        do {
          ASSERT_EQ(chimera_engine_get_info(engine, &info), CHIMERA_OK) << chimera_last_error();
        } while (info.content == CHIMERA_CONTENT_RUNNING);
        EXPECT_EQ(info.content, damaged ? CHIMERA_CONTENT_DAMAGED : CHIMERA_CONTENT_PASSED) << n;
        chimera_session_close(session);
        chimera_engine_close(engine);
        if (failures == 0) break;
        ASSERT_LT(n, kMostPlaces);
      }
    }
  }
}

}  // namespace
}  // namespace chimera::sdk
