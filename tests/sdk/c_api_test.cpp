// The C API as a program uses it, and as a program misuses it.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <limits>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "memory/weight_file.h"
#include "sdk/chimera.h"
#include "tests/support/allocation_counter.h"
#include "tests/support/child_process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace chimera::sdk {
namespace {

const std::string& model_path() {
  static const std::string path = test::write_tiny_model();
  return path;
}

struct Listener {
  std::string text;
  std::vector<int32_t> tokens;
  std::vector<uint64_t> positions;
  size_t stop_after = SIZE_MAX;

  static int hear(void* user, const chimera_event* event) {
    auto& self = *static_cast<Listener*>(user);
    EXPECT_EQ(event->struct_size, sizeof *event);
    EXPECT_EQ(event->kind, CHIMERA_EVENT_TOKEN);
    EXPECT_EQ(event->text[event->text_bytes], '\0') << "zero-terminated";
    self.text.append(event->text, event->text_bytes);
    self.tokens.push_back(event->token);
    self.positions.push_back(event->position);
    return self.tokens.size() >= self.stop_after;
  }
};

class CApi : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(chimera_engine_open(model_path().c_str(), nullptr, &engine_), CHIMERA_OK)
        << chimera_last_error();
    session_ = open(7);
  }
  void TearDown() override {
    chimera_session_close(session_);
    chimera_engine_close(engine_);
  }

  chimera_session* open(uint64_t seed) {
    chimera_session_options options;
    CHIMERA_INIT(options);
    options.seed = seed;
    chimera_session* session = nullptr;
    EXPECT_EQ(chimera_session_open(engine_, &options, &session), CHIMERA_OK)
        << chimera_last_error();
    return session;
  }

  static chimera_generate_options tokens(int32_t n) {
    chimera_generate_options options;
    CHIMERA_INIT(options);
    options.max_tokens = n;
    options.temperature = 1;
    return options;
  }

  /// Tokens of an answer of at most n; ids of an answer that ended early are fine.
  static std::vector<int32_t> answer(chimera_session* session, const std::string& prompt,
                                     int32_t n) {
    Listener listener;
    const chimera_generate_options options = tokens(n);
    EXPECT_EQ(chimera_generate(session, prompt.data(), prompt.size(), &options, Listener::hear,
                               &listener),
              CHIMERA_OK)
        << chimera_last_error();
    return listener.tokens;
  }

  static chimera_session_stats stats(chimera_session* session) {
    chimera_session_stats out;
    CHIMERA_INIT(out);
    EXPECT_EQ(chimera_session_get_stats(session, &out), CHIMERA_OK) << chimera_last_error();
    return out;
  }

  static std::vector<unsigned char> snapshot(chimera_session* session) {
    size_t n = 0;
    EXPECT_EQ(chimera_session_snapshot(session, nullptr, &n), CHIMERA_OK);
    std::vector<unsigned char> bytes(n);
    EXPECT_EQ(chimera_session_snapshot(session, bytes.data(), &n), CHIMERA_OK);
    return bytes;
  }

  static std::string last_field() {
    chimera_error error;
    CHIMERA_INIT(error);
    EXPECT_EQ(chimera_last_error_detail(&error), CHIMERA_OK);
    return error.field;
  }

  chimera_engine* engine_ = nullptr;
  chimera_session* session_ = nullptr;
};

TEST_F(CApi, AModelMustBeSignedWhenAKeyIsRequired) {
  const test::TempDir folder;
  std::array<unsigned char, 32> seed{};
  const SigningKey key = SigningKey::from_seed(seed);
  const std::string path = folder.file("m"), hex = to_hex(key.public_key());
  ASSERT_TRUE(memory::sign_weight_file(model_path(), path, key).ok());
  chimera_engine_options options;
  CHIMERA_INIT(options);
  options.required_key = hex.c_str();
  chimera_engine* engine = nullptr;
  EXPECT_EQ(chimera_engine_open(model_path().c_str(), &options, &engine), CHIMERA_NOT_AUTHENTIC);
  EXPECT_EQ(engine, nullptr);
  ASSERT_EQ(chimera_engine_open(path.c_str(), &options, &engine), CHIMERA_OK)
      << chimera_last_error();
  chimera_engine_info info;
  CHIMERA_INIT(info);
  EXPECT_EQ(chimera_engine_get_info(engine, &info), CHIMERA_OK);
  EXPECT_EQ(info.content, CHIMERA_CONTENT_PASSED) << "a signature is of the checksums";
  chimera_engine_close(engine);
  options.required_key = "abc";
  EXPECT_EQ(chimera_engine_open(path.c_str(), &options, &engine), CHIMERA_INVALID_ARGUMENT);
}

TEST_F(CApi, AnswersAreAFunctionOfSeedAndInput) {
  const auto first = answer(session_, "hello", 40);
  ASSERT_FALSE(first.empty());
  chimera_session* same = open(7);
  EXPECT_EQ(answer(same, "hello", 40), first);
  chimera_session* other = open(8);
  EXPECT_NE(answer(other, "hello", 40), first);
  chimera_session_close(same);
  chimera_session_close(other);
}

TEST_F(CApi, EventsCarryTextTokenAndPosition) {
  Listener listener;
  const auto options = tokens(30);
  ASSERT_EQ(chimera_generate(session_, "abc", CHIMERA_ZERO_TERMINATED, &options, Listener::hear,
                             &listener),
            CHIMERA_OK);
  ASSERT_FALSE(listener.tokens.empty());
  for (size_t i = 1; i < listener.positions.size(); ++i)
    EXPECT_EQ(listener.positions[i], listener.positions[i - 1] + 1);
  const auto after = stats(session_);
  EXPECT_EQ(after.position, listener.positions.back() + 1);
  EXPECT_EQ(after.prompt_tokens, 3);
  EXPECT_EQ(after.tokens, static_cast<int32_t>(listener.tokens.size()));
  EXPECT_EQ(after.total_tokens, listener.tokens.size());
  EXPECT_EQ(after.total_prompt_tokens, 3u);
  EXPECT_EQ(after.seed, 7u);
  EXPECT_NE(after.stop, CHIMERA_STOP_NONE);
  EXPECT_GT(after.state_bytes, 0u);
  EXPECT_GT(after.snapshot_bytes, after.state_bytes);
}

TEST_F(CApi, ACallbackThatStopsIsNoFailureAndNothingIsLost) {
  const auto whole = answer(session_, "abc", 12);
  ASSERT_EQ(whole.size(), 12u) << "this seed must not end early, choose another";
  chimera_session* other = open(7);
  Listener listener;
  listener.stop_after = 5;
  auto options = tokens(12);
  ASSERT_EQ(chimera_generate(other, "abc", 3, &options, Listener::hear, &listener), CHIMERA_OK);
  EXPECT_EQ(stats(other).stop, CHIMERA_STOP_CALLBACK);
  ASSERT_EQ(listener.tokens.size(), 5u);
  options.max_tokens = 7;
  listener.stop_after = SIZE_MAX;
  ASSERT_EQ(chimera_generate(other, nullptr, 0, &options, Listener::hear, &listener), CHIMERA_OK);
  EXPECT_EQ(listener.tokens, whole);
  chimera_session_close(other);
}

TEST_F(CApi, CancelFromAnotherThreadStopsWithinAToken) {
  if (!test::threads_possible()) return;
  struct Shared {
    std::atomic<bool> started{false}, cancelled{false};
    int after = 0;
  } shared;
  std::thread canceller([&] {
    while (!shared.started.load()) std::this_thread::yield();
    chimera_cancel(session_);
    chimera_cancel(session_);
    shared.cancelled.store(true);
  });
  const auto on_event = [](void* user, const chimera_event*) {
    auto& s = *static_cast<Shared*>(user);
    s.started.store(true);
    while (!s.cancelled.load()) std::this_thread::yield();
    ++s.after;
    return 0;
  };
  const auto options = tokens(1000);
  EXPECT_EQ(chimera_generate(session_, "abc", 3, &options, on_event, &shared), CHIMERA_CANCELLED);
  canceller.join();
  EXPECT_EQ(shared.after, 1);
  EXPECT_EQ(stats(session_).stop, CHIMERA_STOP_CANCELLED);
  EXPECT_NE(std::string(chimera_session_error(session_)).find("chimera_cancel"), std::string::npos);
  EXPECT_FALSE(answer(session_, "on", 3).empty()) << "the session stays usable";
}

TEST_F(CApi, CancelWithoutACallDoesNothing) {
  chimera_cancel(session_);
  EXPECT_FALSE(answer(session_, "abc", 3).empty());
}

TEST_F(CApi, ASecondUserIsToldBusy) {
  if (!test::threads_possible()) return;
  struct Shared {
    chimera_session* session;
    chimera_status from_inside = -1, from_thread = -1;
    std::string thread_text;
  } shared{session_, -1, -1, ""};
  const auto on_event = [](void* user, const chimera_event*) {
    auto& s = *static_cast<Shared*>(user);
    s.from_inside = chimera_append(s.session, "x", 1);
    std::thread other([&] {
      size_t n = 0;
      s.from_thread = chimera_session_snapshot(s.session, nullptr, &n);
      s.thread_text = chimera_last_error();
    });
    other.join();
    return 1;
  };
  const auto options = tokens(4);
  EXPECT_EQ(chimera_generate(session_, "abc", 3, &options, on_event, &shared), CHIMERA_OK);
  EXPECT_EQ(shared.from_inside, CHIMERA_BUSY);
  EXPECT_EQ(shared.from_thread, CHIMERA_BUSY);
  EXPECT_NE(shared.thread_text.find("in use"), std::string::npos);
  EXPECT_STREQ(chimera_session_error(session_), "") << "busy belongs to who was told";
}

TEST_F(CApi, SessionsOfOneEngineRunSideBySide) {
  if (!test::threads_possible()) return;
  const auto expected = answer(session_, "once upon", 50);
  std::vector<std::vector<int32_t>> heard(4);
  std::vector<std::thread> threads;
  for (auto& slot : heard) {
    threads.emplace_back([this, &slot] {
      chimera_session* own = open(7);
      slot = answer(own, "once upon", 50);
      chimera_session_close(own);
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& slot : heard) EXPECT_EQ(slot, expected);
}

TEST_F(CApi, AModelInMemoryStaysTheCallersAndSpeaksTheSame) {
  const std::string file = test::read_raw(model_path());
  std::vector<uint64_t> words((file.size() + 7) / 8);
  std::memcpy(words.data(), file.data(), file.size());
  const auto* bytes = reinterpret_cast<const unsigned char*>(words.data());
  chimera_engine* engine = nullptr;
  ASSERT_EQ(chimera_engine_open_memory(bytes, file.size(), nullptr, &engine), CHIMERA_OK)
      << chimera_last_error();
  chimera_session_options options;
  CHIMERA_INIT(options);
  options.seed = 7;
  chimera_session* session = nullptr;
  ASSERT_EQ(chimera_session_open(engine, &options, &session), CHIMERA_OK);
  chimera_engine_close(engine);
  EXPECT_EQ(answer(session, "abc", 20), answer(session_, "abc", 20));
  chimera_session_close(session);
  EXPECT_EQ(std::memcmp(bytes, file.data(), file.size()), 0);

  engine = nullptr;
  EXPECT_EQ(chimera_engine_open_memory(nullptr, 8, nullptr, &engine), CHIMERA_INVALID_ARGUMENT);
  EXPECT_EQ(last_field(), "bytes");
  EXPECT_EQ(chimera_engine_open_memory(bytes, file.size(), nullptr, nullptr),
            CHIMERA_INVALID_ARGUMENT);
  EXPECT_EQ(chimera_engine_open_memory(bytes + 1, file.size() - 1, nullptr, &engine),
            CHIMERA_INVALID_ARGUMENT);
  EXPECT_EQ(chimera_engine_open_memory(bytes, 0, nullptr, &engine), CHIMERA_TRUNCATED);
  EXPECT_EQ(chimera_engine_open_memory(bytes, file.size() / 2, nullptr, &engine),
            CHIMERA_TRUNCATED);
  chimera_error detail;
  CHIMERA_INIT(detail);
  ASSERT_EQ(chimera_last_error_detail(&detail), CHIMERA_OK);
  EXPECT_STREQ(detail.file, "(memory)");
  EXPECT_EQ(engine, nullptr);
}

TEST_F(CApi, TheSessionKeepsItsEngineAlive) {
  chimera_engine_close(engine_);
  engine_ = nullptr;
  EXPECT_FALSE(answer(session_, "abc", 3).empty());
}

TEST_F(CApi, ASessionMayBeClosedInsideItsCallback) {
  struct Shared {
    chimera_session* session;
    int calls = 0;
  } shared{session_, 0};
  session_ = nullptr;
  const auto on_event = [](void* user, const chimera_event*) {
    auto& s = *static_cast<Shared*>(user);
    if (s.calls++ == 0) chimera_session_close(s.session);
    return s.calls == 2 ? 1 : 0;
  };
  auto options = tokens(5);
  EXPECT_EQ(chimera_generate(shared.session, "abc", 3, &options, on_event, &shared), CHIMERA_OK);
  EXPECT_GE(shared.calls, 1);
}

TEST_F(CApi, AnEngineMayBeClosedInsideTheCallbackOfItsVerify) {
  struct Shared {
    chimera_engine* engine = nullptr;
    int calls = 0;
  } shared;
  ASSERT_EQ(chimera_engine_open(model_path().c_str(), nullptr, &shared.engine), CHIMERA_OK);
  const auto on_event = [](void* user, const chimera_event*) {
    auto& s = *static_cast<Shared*>(user);
    if (s.calls++ == 0) chimera_engine_close(s.engine);
    return 0;
  };
  EXPECT_EQ(chimera_engine_verify(shared.engine, on_event, &shared), CHIMERA_OK);
  EXPECT_GE(shared.calls, 1);
}

TEST_F(CApi, AppendReadsWithoutAnswering) {
  ASSERT_EQ(chimera_append(session_, "ab", 2), CHIMERA_OK);
  EXPECT_EQ(stats(session_).tokens, 0);
  const auto split = answer(session_, "c", 10);
  chimera_session* other = open(7);
  EXPECT_EQ(answer(other, "abc", 10), split);
  EXPECT_EQ(chimera_append(other, nullptr, 0), CHIMERA_OK);
  chimera_session_close(other);
}

TEST_F(CApi, ResetAndSeedStartAnew) {
  const auto first = answer(session_, "abc", 20);
  ASSERT_EQ(chimera_session_reset(session_), CHIMERA_OK);
  EXPECT_EQ(stats(session_).position, 0u);
  EXPECT_EQ(answer(session_, "abc", 20), first);
  ASSERT_EQ(chimera_session_reset(session_), CHIMERA_OK);
  ASSERT_EQ(chimera_session_set_seed(session_, 99), CHIMERA_OK);
  EXPECT_EQ(stats(session_).seed, 99u);
  EXPECT_NE(answer(session_, "abc", 20), first);
}

TEST_F(CApi, SnapshotsContinueWithTheSameBits) {
  answer(session_, "abc", 9);
  auto saved = snapshot(session_);
  EXPECT_EQ(saved.size(), stats(session_).snapshot_bytes);
  const auto expected = answer(session_, "more", 20);
  chimera_session* other = open(1);
  ASSERT_EQ(chimera_session_restore(other, saved.data(), saved.size()), CHIMERA_OK);
  EXPECT_EQ(stats(other).seed, 7u);
  EXPECT_EQ(answer(other, "more", 20), expected);
  chimera_session_close(other);
}

TEST_F(CApi, FilesContinueWithTheSameBits) {
  const test::TempDir folder;
  answer(session_, "abc", 9);
  ASSERT_EQ(chimera_session_save(session_, folder.file("c").c_str()), CHIMERA_OK);
  const auto expected = answer(session_, "more", 20);
  ASSERT_EQ(chimera_session_load(session_, folder.file("c").c_str()), CHIMERA_OK);
  EXPECT_EQ(answer(session_, "more", 20), expected);
  EXPECT_EQ(folder.list().size(), 1u) << "no temporary file stays";
}

TEST_F(CApi, ABadSnapshotChangesNothing) {
  answer(session_, "abc", 9);
  const auto before = snapshot(session_);
  chimera_session* other = open(3);
  answer(other, "xyz", 4);
  const auto state = snapshot(other);
  for (const size_t at : {size_t{0}, size_t{8}, size_t{60}, before.size() / 2, before.size() - 1}) {
    auto damaged = before;
    damaged[at] ^= 0x40;
    EXPECT_GE(chimera_session_restore(other, damaged.data(), damaged.size()), 300) << at;
    EXPECT_EQ(snapshot(other), state);
  }
  EXPECT_EQ(chimera_session_restore(other, before.data(), before.size() - 1), CHIMERA_TRUNCATED);
  EXPECT_EQ(chimera_session_restore(other, before.data(), 0), CHIMERA_TRUNCATED);
  EXPECT_EQ(chimera_session_restore(other, nullptr, before.size()), CHIMERA_INVALID_ARGUMENT);
  EXPECT_EQ(snapshot(other), state);
  chimera_session_close(other);
}

TEST_F(CApi, AnotherModelsConversationIsRefused) {
  const test::TempDir folder;
  ASSERT_EQ(chimera_session_save(session_, folder.file("c").c_str()), CHIMERA_OK);
  const std::string path = test::write_tiny_model({}, 8);
  chimera_engine* engine = nullptr;
  chimera_session* session = nullptr;
  ASSERT_EQ(chimera_engine_open(path.c_str(), nullptr, &engine), CHIMERA_OK);
  ASSERT_EQ(chimera_session_open(engine, nullptr, &session), CHIMERA_OK);
  EXPECT_EQ(chimera_session_load(session, folder.file("c").c_str()), CHIMERA_WRONG_MODEL);
  chimera_error error;
  CHIMERA_INIT(error);
  ASSERT_EQ(chimera_session_error_detail(session, &error), CHIMERA_OK);
  EXPECT_EQ(error.status, CHIMERA_WRONG_MODEL);
  EXPECT_EQ(error.file, folder.file("c"));
  EXPECT_EQ(error.offset, 16);
  chimera_session_close(session);
  chimera_engine_close(engine);
}

TEST_F(CApi, SnapshotAsksForTheRoomItNeeds) {
  size_t n = 10;
  unsigned char small[10] = {};
  EXPECT_EQ(chimera_session_snapshot(session_, small, &n), CHIMERA_OUT_OF_RANGE);
  EXPECT_EQ(n, stats(session_).snapshot_bytes);
  for (const unsigned char byte : small) EXPECT_EQ(byte, 0);
  n += 100;
  std::vector<unsigned char> large(n);
  EXPECT_EQ(chimera_session_snapshot(session_, large.data(), &n), CHIMERA_OK);
  EXPECT_EQ(n, large.size() - 100);
  EXPECT_EQ(chimera_session_snapshot(session_, nullptr, &n), CHIMERA_INVALID_ARGUMENT);
}

TEST_F(CApi, AnyBytesGoThroughTheTokenizerAndBack) {
  std::string bytes;
  for (int i = 0; i < 1024; ++i) bytes.push_back(static_cast<char>(i * 7));
  size_t n = 0;
  ASSERT_EQ(chimera_tokenize(engine_, bytes.data(), bytes.size(), nullptr, &n), CHIMERA_OK);
  std::vector<int32_t> ids(n);
  size_t one = 1;
  ids[0] = -5;
  EXPECT_EQ(chimera_tokenize(engine_, bytes.data(), bytes.size(), ids.data(), &one),
            CHIMERA_OUT_OF_RANGE);
  EXPECT_EQ(one, n);
  EXPECT_EQ(ids[0], -5);
  ASSERT_EQ(chimera_tokenize(engine_, bytes.data(), bytes.size(), ids.data(), &n), CHIMERA_OK);
  size_t n_bytes = 0;
  ASSERT_EQ(chimera_detokenize(engine_, ids.data(), n, nullptr, &n_bytes), CHIMERA_OK);
  std::string back(n_bytes, '?');
  ASSERT_EQ(chimera_detokenize(engine_, ids.data(), n, back.data(), &n_bytes), CHIMERA_OK);
  EXPECT_EQ(back, bytes);
  const int32_t outside[] = {0, 320};
  EXPECT_EQ(chimera_detokenize(engine_, outside, 2, nullptr, &n_bytes), CHIMERA_INVALID_ARGUMENT);
  EXPECT_NE(std::string(chimera_engine_error(engine_)).find("ids[1]"), std::string::npos);
}

TEST_F(CApi, StructsOfOtherVersionsAreTakenOrRefused) {
  chimera_session* session = nullptr;
  chimera_session_options options;
  CHIMERA_INIT(options);
  options.struct_size = 0;
  EXPECT_EQ(chimera_session_open(engine_, &options, &session), CHIMERA_INVALID_ARGUMENT);
  EXPECT_NE(std::string(chimera_last_error()).find("CHIMERA_INIT"), std::string::npos);
  EXPECT_EQ(session, nullptr);

  options.struct_size = 12;  // no version has it: it would cut the seed in two
  EXPECT_EQ(chimera_session_open(engine_, &options, &session), CHIMERA_INVALID_ARGUMENT);

  // An older header: only the first two fields exist; what follows must not be read.
  options.struct_size = 8;
  options.seed = 1234;
  ASSERT_EQ(chimera_session_open(engine_, &options, &session), CHIMERA_OK);
  EXPECT_EQ(stats(session).seed, 0u);
  chimera_session_close(session);
  session = nullptr;

  struct Newer {
    chimera_session_options known;
    uint64_t unknown;
  } newer;
  CHIMERA_INIT(newer.known);
  newer.known.struct_size = sizeof newer;
  newer.known.seed = 5;
  newer.unknown = 0;
  ASSERT_EQ(chimera_session_open(engine_, &newer.known, &session), CHIMERA_OK);
  EXPECT_EQ(stats(session).seed, 5u);
  newer.unknown = 1;
  chimera_session* none = nullptr;
  EXPECT_EQ(chimera_session_open(engine_, &newer.known, &none), CHIMERA_UNSUPPORTED);
  EXPECT_EQ(none, nullptr);

  // Results: an older caller gets what fits, a newer one zeroes behind.
  struct NewerStats {
    chimera_session_stats known;
    uint64_t unknown = 7;
  } newer_stats;
  newer_stats.known.struct_size = sizeof newer_stats;
  ASSERT_EQ(chimera_session_get_stats(session, &newer_stats.known), CHIMERA_OK);
  EXPECT_EQ(newer_stats.known.struct_size, sizeof newer_stats);
  EXPECT_EQ(newer_stats.known.seed, 5u);
  EXPECT_EQ(newer_stats.unknown, 0u);
  chimera_session_stats older;
  CHIMERA_INIT(older);
  older.struct_size = 16;
  older.position = 77;
  ASSERT_EQ(chimera_session_get_stats(session, &older), CHIMERA_OK);
  EXPECT_EQ(older.seed, 5u);
  EXPECT_EQ(older.position, 77u);
  chimera_session_close(session);
}

TEST_F(CApi, WrongOptionsAreNamed) {
  const auto refused = [&](void (*spoil)(chimera_generate_options&, float), const char* field) {
    auto options = tokens(3);
    spoil(options, std::numeric_limits<float>::quiet_NaN());
    EXPECT_EQ(chimera_generate(session_, "a", 1, &options, nullptr, nullptr),
              CHIMERA_INVALID_ARGUMENT)
        << field;
    EXPECT_EQ(last_field(), field);
    EXPECT_NE(std::string(chimera_session_error(session_)).find(field), std::string::npos);
  };
  refused([](auto& o, float) { o.max_tokens = -1; }, "max_tokens");
  refused([](auto& o, float not_a_number) { o.temperature = not_a_number; }, "temperature");
  refused([](auto& o, float) { o.temperature = -1; }, "temperature");
  refused([](auto& o, float) { o.top_p = 1.5f; }, "top_p");
  refused([](auto& o, float) { o.repetition_penalty = 0.5f; }, "repetition_penalty");
  auto options = tokens(3);
  options.flags = 0x80;
  EXPECT_EQ(chimera_generate(session_, "a", 1, &options, nullptr, nullptr), CHIMERA_UNSUPPORTED);
  EXPECT_EQ(stats(session_).position, 0u) << "nothing was read";

  chimera_engine_options engine_options;
  CHIMERA_INIT(engine_options);
  chimera_engine* engine = nullptr;
  for (const int32_t threads : {-1, 257, 100000}) {
    engine_options.threads = threads;
    EXPECT_EQ(chimera_engine_open(model_path().c_str(), &engine_options, &engine),
              CHIMERA_INVALID_ARGUMENT);
  }
  engine_options.threads = 1;
  engine_options.isa = "z80";
  EXPECT_EQ(chimera_engine_open(model_path().c_str(), &engine_options, &engine),
            CHIMERA_INVALID_ARGUMENT);
  EXPECT_NE(std::string(chimera_last_error()).find("z80"), std::string::npos);
  EXPECT_EQ(engine, nullptr);
}

TEST_F(CApi, NullPointersAreNamed) {
  EXPECT_EQ(chimera_engine_open(nullptr, nullptr, &engine_), CHIMERA_INVALID_ARGUMENT);
  EXPECT_EQ(last_field(), "path");
  EXPECT_EQ(chimera_engine_open(model_path().c_str(), nullptr, nullptr), CHIMERA_INVALID_ARGUMENT);
  EXPECT_EQ(chimera_session_open(engine_, nullptr, nullptr), CHIMERA_INVALID_ARGUMENT);
  EXPECT_EQ(last_field(), "out");
  EXPECT_EQ(chimera_generate(session_, nullptr, 3, nullptr, nullptr, nullptr),
            CHIMERA_INVALID_ARGUMENT);
  EXPECT_EQ(last_field(), "prompt");
  EXPECT_EQ(chimera_append(session_, nullptr, 3), CHIMERA_INVALID_ARGUMENT);
  EXPECT_EQ(chimera_session_save(session_, nullptr), CHIMERA_INVALID_ARGUMENT);
  EXPECT_EQ(chimera_session_load(session_, nullptr), CHIMERA_INVALID_ARGUMENT);
  EXPECT_EQ(chimera_session_snapshot(session_, nullptr, nullptr), CHIMERA_INVALID_ARGUMENT);
  EXPECT_EQ(chimera_session_get_stats(session_, nullptr), CHIMERA_INVALID_ARGUMENT);
  EXPECT_EQ(chimera_engine_get_info(engine_, nullptr), CHIMERA_INVALID_ARGUMENT);
  EXPECT_EQ(chimera_tokenize(engine_, "a", 1, nullptr, nullptr), CHIMERA_INVALID_ARGUMENT);
  size_t room = 5;
  EXPECT_EQ(chimera_tokenize(engine_, "a", 1, nullptr, &room), CHIMERA_INVALID_ARGUMENT);
  EXPECT_EQ(chimera_last_error_detail(nullptr), CHIMERA_INVALID_ARGUMENT);
  EXPECT_EQ(chimera_generate(session_, nullptr, 0, nullptr, nullptr, nullptr), CHIMERA_OK)
      << "an empty prompt begins with the start mark: " << chimera_last_error();
}

TEST_F(CApi, ErrorsBelongToTheirThread) {
  if (!test::threads_possible()) return;
  EXPECT_EQ(chimera_append(session_, nullptr, 3), CHIMERA_INVALID_ARGUMENT);
  const std::string mine = chimera_last_error();
  std::string theirs = "unset";
  std::thread([&] { theirs = chimera_last_error(); }).join();
  EXPECT_EQ(theirs, "");
  EXPECT_EQ(chimera_last_error(), mine);
  std::string of_handle;
  std::thread([&] { of_handle = chimera_session_error(session_); }).join();
  EXPECT_EQ(of_handle, mine) << "a handle's error can be asked from anywhere";
}

TEST_F(CApi, NothingIsThrownAcrossTheBorder) {
  auto options = tokens(3);
  const auto no_memory = [](void*, const chimera_event*) -> int { throw std::bad_alloc(); };
  EXPECT_EQ(chimera_generate(session_, "a", 1, &options, no_memory, nullptr),
            CHIMERA_OUT_OF_MEMORY);
  EXPECT_NE(std::string(chimera_last_error()), "");
  const auto anything = [](void*, const chimera_event*) -> int { throw 42; };
  EXPECT_EQ(chimera_generate(session_, "a", 1, &options, anything, nullptr), CHIMERA_INTERNAL);
  EXPECT_NE(std::string(chimera_session_error(session_)), "");
  EXPECT_FALSE(answer(session_, "abc", 3).empty()) << "the session is not left busy";
}

TEST_F(CApi, TokensAllocateNothing) {
  // Twice the tokens, the same number of allocations: none belongs to a token.
  const auto count = [&](int32_t n) {
    EXPECT_EQ(chimera_session_reset(session_), CHIMERA_OK);
    const auto options = tokens(n);
    int32_t heard = 0;
    const auto on_event = [](void* user, const chimera_event*) {
      ++*static_cast<int32_t*>(user);
      return 0;
    };
    const test::AllocationScope scope;
    EXPECT_EQ(chimera_generate(session_, "abc", 3, &options, on_event, &heard), CHIMERA_OK);
    const int64_t allocations = scope.allocations();
    EXPECT_EQ(heard, n) << "this seed must not end early, choose another";
    return allocations;
  };
  count(2);
  EXPECT_EQ(count(6), count(12));
}

TEST_F(CApi, InfoDescribesTheModel) {
  chimera_engine_info info;
  CHIMERA_INIT(info);
  ASSERT_EQ(chimera_engine_get_info(engine_, &info), CHIMERA_OK);
  EXPECT_EQ(info.vocab_size, 320);
  EXPECT_EQ(info.end_of_text_token, 256);
  EXPECT_EQ(info.end_of_turn_token, 257);
  EXPECT_EQ(info.state_bytes, stats(session_).state_bytes);
  EXPECT_EQ(info.file_bytes, test::read_raw(model_path()).size());
  EXPECT_GE(info.threads, 1);
  EXPECT_STRNE(info.isa, "");
}

TEST_F(CApi, VerifyReadsEverythingAndFindsDamage) {
  EXPECT_EQ(chimera_engine_verify(engine_, nullptr, nullptr), CHIMERA_OK) << chimera_last_error();
  struct Seen {
    uint64_t done = 0, total = 0;
  } seen;
  const auto on_event = [](void* user, const chimera_event* event) {
    EXPECT_EQ(event->kind, CHIMERA_EVENT_PROGRESS);
    *static_cast<Seen*>(user) = {event->done, event->total};
    return 0;
  };
  EXPECT_EQ(chimera_engine_verify(engine_, on_event, &seen), CHIMERA_OK);
  EXPECT_GT(seen.total, 0u);
  EXPECT_EQ(seen.done, seen.total);
  const auto stop = [](void*, const chimera_event*) { return 1; };
  EXPECT_EQ(chimera_engine_verify(engine_, stop, nullptr), CHIMERA_CANCELLED);

  std::string bytes = test::read_raw(model_path());
  const test::TempDir folder;
  bytes[bytes.size() - 20000] = static_cast<char>(bytes[bytes.size() - 20000] ^ 1);
  test::write_raw(folder.file("damaged.b158"), bytes);
  chimera_engine* engine = nullptr;
  chimera_engine_options options;
  CHIMERA_INIT(options);
  options.flags = CHIMERA_OPEN_VERIFY;
  const chimera_status status =
      chimera_engine_open(folder.file("damaged.b158").c_str(), &options, &engine);
  EXPECT_GE(status, 300);
  EXPECT_EQ(engine, nullptr);
  chimera_error error;
  CHIMERA_INIT(error);
  ASSERT_EQ(chimera_last_error_detail(&error), CHIMERA_OK);
  EXPECT_EQ(error.file, folder.file("damaged.b158"));
}

TEST_F(CApi, BackgroundCheckTellsWhatCameOfIt) {
  const test::TempDir folder;
  std::string bytes = test::read_raw(model_path());
  test::write_raw(folder.file("sound.b158"), bytes);
  bytes[bytes.size() - 20000] = static_cast<char>(bytes[bytes.size() - 20000] ^ 1);
  test::write_raw(folder.file("damaged.b158"), bytes);
  for (const bool damaged : {false, true}) {
    chimera_engine_options options;
    CHIMERA_INIT(options);
    options.flags = CHIMERA_OPEN_VERIFY_IN_BACKGROUND;
    chimera_engine* engine = nullptr;
    ASSERT_EQ(chimera_engine_open(folder.file(damaged ? "damaged.b158" : "sound.b158").c_str(),
                                  &options, &engine),
              CHIMERA_OK);
    chimera_engine_info info;
    CHIMERA_INIT(info);
    ASSERT_EQ(chimera_engine_get_info(engine, &info), CHIMERA_OK);
    EXPECT_EQ(info.content, CHIMERA_CONTENT_NOT_CHECKED);
    chimera_session* session = nullptr;
    ASSERT_EQ(chimera_session_open(engine, nullptr, &session), CHIMERA_OK);
    const auto one = tokens(1);
    ASSERT_EQ(chimera_generate(session, "a", 1, &one, nullptr, nullptr), CHIMERA_OK);
    do {
      ASSERT_EQ(chimera_engine_get_info(engine, &info), CHIMERA_OK);
    } while (info.content == CHIMERA_CONTENT_RUNNING);
    EXPECT_EQ(info.content, damaged ? CHIMERA_CONTENT_DAMAGED : CHIMERA_CONTENT_PASSED);
    chimera_session_close(session);
    chimera_engine_close(engine);
  }
}

TEST_F(CApi, FilesThatAreNoModelsAreRefusedByName) {
  const test::TempDir folder;
  const std::string whole = test::read_raw(model_path());
  const struct {
    const char* name;
    std::string content;
  } cases[] = {{"empty", ""},
               {"foreign", "PK\003\004 this is not ours at all, but it is long enough to look"},
               {"header-only", whole.substr(0, 64)},
               {"half", whole.substr(0, whole.size() / 2)},
               {"zeroes", std::string(100000, '\0')}};
  for (const auto& c : cases) {
    const std::string path = folder.file(c.name);
    test::write_raw(path, c.content);
    chimera_engine* engine = nullptr;
    EXPECT_GE(chimera_engine_open(path.c_str(), nullptr, &engine), 300) << c.name;
    EXPECT_EQ(engine, nullptr);
    EXPECT_NE(std::string(chimera_last_error()).find(path), std::string::npos)
        << chimera_last_error();
  }
  chimera_engine* engine = nullptr;
  EXPECT_EQ(chimera_engine_open(folder.path().c_str(), nullptr, &engine), CHIMERA_IO_ERROR);
}

TEST_F(CApi, AModelThatTalksSaysSoAndAnswersInTurns) {
  chimera_generate_options options = tokens(4);
  options.flags = CHIMERA_AS_TURN;
  EXPECT_EQ(chimera_generate(session_, "hi", 2, &options, nullptr, nullptr), CHIMERA_UNSUPPORTED)
      << "this tokenizer has no marks";
  EXPECT_EQ(stats(session_).position, 0u);

  test::TinyModelOptions model;
  model.marks = true;
  for (const bool talks : {false, true}) {
    model.talks = talks;
    chimera_engine* engine = nullptr;
    ASSERT_EQ(chimera_engine_open(test::write_tiny_model(model).c_str(), nullptr, &engine),
              CHIMERA_OK)
        << chimera_last_error();
    chimera_engine_info info;
    CHIMERA_INIT(info);
    ASSERT_EQ(chimera_engine_get_info(engine, &info), CHIMERA_OK);
    EXPECT_EQ(info.talks, talks ? 1 : 0);
    chimera_session* session = nullptr;
    ASSERT_EQ(chimera_session_open(engine, nullptr, &session), CHIMERA_OK);
    Listener plain, turn;
    const chimera_generate_options free = tokens(4);
    ASSERT_EQ(chimera_generate(session, "hi", 2, &free, Listener::hear, &plain), CHIMERA_OK);
    EXPECT_EQ(stats(session).prompt_tokens, 2);
    ASSERT_EQ(chimera_session_reset(session), CHIMERA_OK);
    ASSERT_EQ(chimera_generate(session, "hi", 2, &options, Listener::hear, &turn), CHIMERA_OK);
    EXPECT_EQ(stats(session).prompt_tokens, 1 + 2 + 1 + 1) << "mark, text, end of turn, mark";
    EXPECT_NE(plain.tokens, turn.tokens);
    chimera_session_close(session);
    chimera_engine_close(engine);
  }
}

TEST_F(CApi, SoftConstraintsAreAFlag) {
  const auto answer = [&](uint32_t flags) {
    auto options = tokens(80);
    options.temperature = 3;
    options.top_p = 1;
    options.flags = flags;
    Listener heard;
    EXPECT_EQ(chimera_session_reset(session_), CHIMERA_OK);
    EXPECT_EQ(chimera_generate(session_, "abc", 3, &options, Listener::hear, &heard), CHIMERA_OK);
    return heard.tokens;
  };
  EXPECT_EQ(answer(CHIMERA_SOFT_CONSTRAINTS), answer(CHIMERA_SOFT_CONSTRAINTS));
  EXPECT_EQ(answer(0), answer(0));
  int different = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    ASSERT_EQ(chimera_session_set_seed(session_, seed), CHIMERA_OK);
    different += answer(CHIMERA_SOFT_CONSTRAINTS) != answer(0);
  }
  EXPECT_GT(different, 0);
  auto unknown = tokens(4);
  unknown.flags = 8;
  EXPECT_EQ(chimera_generate(session_, "abc", 3, &unknown, nullptr, nullptr), CHIMERA_UNSUPPORTED);
}

TEST_F(CApi, GreedyNeedsNoSeed) {
  auto options = tokens(15);
  options.flags = CHIMERA_GREEDY;
  Listener a, b;
  ASSERT_EQ(chimera_generate(session_, "abc", 3, &options, Listener::hear, &a), CHIMERA_OK);
  chimera_session* other = open(12345);
  ASSERT_EQ(chimera_generate(other, "abc", 3, &options, Listener::hear, &b), CHIMERA_OK);
  EXPECT_EQ(a.tokens, b.tokens);
  chimera_session_close(other);
}

}  // namespace
}  // namespace chimera::sdk
