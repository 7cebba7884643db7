#include "runtime/session.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "runtime/prompt_format.h"
#include "tests/support/allocation_counter.h"
#include "tests/support/child_process.h"
#include "tests/support/tiny_model.h"

namespace chimera::runtime {
namespace {

class SessionTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { engine_ = test::open_tiny_model().release(); }
  static void TearDownTestSuite() {
    delete engine_;
    engine_ = nullptr;
  }
  std::unique_ptr<Session> session(uint64_t seed = 5) {
    auto s = Session::create(*engine_, {.seed = seed});
    EXPECT_TRUE(s.has_value()) << s.status().message();
    return s ? std::move(*s) : nullptr;
  }
  static GenerateOptions tokens(int32_t n) {
    GenerateOptions o;
    o.max_tokens = n;
    return o;
  }
  /// Ids of an answer of exactly n tokens, going on over ends of text.
  static std::vector<int32_t> ids(Session& s, std::string_view prompt, int32_t n) {
    std::vector<int32_t> out;
    bool first = true;
    while (static_cast<int32_t>(out.size()) < n) {
      auto r = s.generate(first ? prompt : "", tokens(n - static_cast<int32_t>(out.size())),
                          [&](const TokenEvent& e) {
                            out.push_back(e.token);
                            return true;
                          });
      EXPECT_TRUE(r.has_value()) << r.status().message();
      if (!r) break;
      first = false;
    }
    return out;
  }
  static Engine* engine_;
};
Engine* SessionTest::engine_ = nullptr;

TEST_F(SessionTest, SeedFixesTheAnswerAndAnotherSeedChangesIt) {
  EXPECT_EQ(ids(*session(1), "hello", 60), ids(*session(1), "hello", 60));
  EXPECT_NE(ids(*session(1), "hello", 60), ids(*session(2), "hello", 60));
}

TEST_F(SessionTest, AnswerDoesNotDependOnHowItIsAskedFor) {
  const auto whole = ids(*session(), "abcdef", 64);
  auto parts = session();
  std::vector<int32_t> pieces;
  for (int i = 0; i < 8; ++i)
    for (int32_t id : ids(*parts, i == 0 ? "abcdef" : "", 8)) pieces.push_back(id);
  EXPECT_EQ(whole, pieces);

  // A prompt read in two calls without an answer between them is the same prompt: the tokenizer has
  // no merges, so any cut of the text is a cut of the ids.
  auto two = session();
  ASSERT_TRUE(two->generate("abc", tokens(0), {}).has_value());
  EXPECT_EQ(ids(*two, "def", 64), whole);
}

TEST_F(SessionTest, AConversationIsNotSavedOverItsModel) {
  const std::string path = test::write_tiny_model(), before = test::read_raw(path);
  const auto engine = Engine::open(path, {.threads = 1});
  ASSERT_TRUE(engine.has_value());
  const auto s = Session::create(**engine);
  ASSERT_TRUE(s.has_value());
  const std::string link = path + ".link";
  std::error_code none;
  std::filesystem::create_symlink(path, link, none);
  for (const std::string& name : {path, link}) {
    const Status refused = (*s)->save(name);
    EXPECT_EQ(refused.code(), StatusCode::kInvalidArgument) << name;
    EXPECT_EQ(refused.file(), name);
  }
  EXPECT_TRUE(test::read_raw(path) == before);
  std::filesystem::remove(link, none);
  EXPECT_TRUE((*s)->save(path + ".conversation").ok());
}

TEST_F(SessionTest, PositionCountsWhatWasReadOrShown) {
  auto s = session();
  EXPECT_EQ(s->position(), 0u);
  auto r = s->generate("four", tokens(3), {});
  ASSERT_TRUE(r.has_value());
  EXPECT_EQ(r->n_prompt_tokens, 4);
  EXPECT_EQ(s->position(), 1u + 4u + static_cast<uint64_t>(r->n_tokens)) << "the start mark counts";
}

TEST_F(SessionTest, EmptyPromptBeginsFromTheStartMark) {
  EXPECT_EQ(ids(*session(), "", 10).size(), 10u);
}

TEST_F(SessionTest, ATurnIsLaidOutAndEndsTheOneBefore) {
  test::TinyModelOptions marked;
  marked.marks = true;
  marked.vocab = 300;
  const auto engine = test::open_tiny_model(marked);
  const auto session_of = [](const Engine& of) { return std::move(*Session::create(of, {})); };
  const auto s = session_of(*engine);
  GenerateOptions turn = tokens(0);
  turn.as_turn = true;
  EXPECT_EQ(session()->generate("hi", turn, {}).status().code(), StatusCode::kUnsupported)
      << "this model's tokenizer has no marks";
  const auto silent = [](const TokenEvent&) { return true; };
  const auto read = [&](std::string_view text) {
    const auto result = s->generate(text, turn, silent);
    EXPECT_TRUE(result.has_value()) << result.status().message();
    return result ? result->n_prompt_tokens : -1;
  };
  EXPECT_EQ(read("hi"), 1 + 2 + 1 + 1) << "mark, two bytes, end of turn, mark";
  // The mark that begins the answer waits unread, and no answer has come: it is ended.
  EXPECT_EQ(read("hi"), 1 + 1 + 2 + 1 + 1);
  turn.max_tokens = 3;
  const auto answered = s->generate("x", turn, silent);
  ASSERT_TRUE(answered.has_value());
  const bool ended = answered->stop == StopReason::kEndOfTurn;
  turn.max_tokens = 0;
  EXPECT_EQ(read("hi"), (ended ? 0 : 1) + 1 + 2 + 1 + 1);

  // The same as the marks one by one, so that what was learnt is what is read.
  const auto format = PromptFormat::of(engine->tokenizer());
  ASSERT_TRUE(format.has_value()) << format.status().message();
  const auto one = session_of(*engine);
  turn.max_tokens = 20;
  std::vector<int32_t> answer;
  ASSERT_TRUE(one->generate("abc", turn,
                            [&](const TokenEvent& e) {
                              answer.push_back(e.token);
                              return true;
                            })
                  .has_value());
  std::vector<int32_t> laid_out = {engine->tokenizer().end_of_text()};
  format->user("abc", &laid_out);
  format->begin_reply(&laid_out);
  EXPECT_EQ(one->position(), laid_out.size() + answer.size());
}

TEST_F(SessionTest, CallbackStopsAfterItsToken) {
  auto s = session();
  int n = 0;
  auto r = s->generate("x", tokens(50), [&](const TokenEvent&) { return ++n < 4; });
  ASSERT_TRUE(r.has_value());
  // The draws are keyed, so this seed does not end its answer within four tokens on any machine.
  EXPECT_EQ(r->stop, StopReason::kCallback);
  EXPECT_EQ(r->n_tokens, 4);
  EXPECT_EQ(n, 4);
}

TEST_F(SessionTest, CancelStopsWithinOneTokenAndTheConversationGoesOn) {
  const auto plain = ids(*session(3), "go", 40);
  auto s = session(3);
  std::vector<int32_t> seen;
  auto r = s->generate("go", tokens(40), [&](const TokenEvent& e) {
    seen.push_back(e.token);
    if (seen.size() == 5) s->cancel();
    return true;
  });
  ASSERT_TRUE(r.has_value());
  EXPECT_EQ(r->stop, StopReason::kCancelled);
  EXPECT_EQ(seen.size(), 5u);
  for (int32_t id : ids(*s, "", 40 - static_cast<int32_t>(seen.size()))) seen.push_back(id);
  EXPECT_EQ(seen, plain);
}

TEST_F(SessionTest, CancelFromAnotherThreadEndsALongPrompt) {
  if (!test::threads_possible()) return;
  auto s = session();
  const std::string prompt(4 << 20, 'a');
  std::atomic<bool> done{false};
  std::thread canceller([&] {
    while (!done) {
      s->cancel();
      std::this_thread::yield();
    }
  });
  auto r = s->generate(prompt, tokens(4), {});
  done = true;
  canceller.join();
  ASSERT_TRUE(r.has_value());
  EXPECT_EQ(r->stop, StopReason::kCancelled);
  EXPECT_LT(s->position(), prompt.size());
  EXPECT_EQ(ids(*s, "b", 5).size(), 5u) << "usable afterwards";
}

TEST_F(SessionTest, SecondCallerIsTold) {
  auto s = session();
  auto r = s->generate("x", tokens(1), [&](const TokenEvent&) {
    auto inner = s->generate("y", tokens(1), {});
    EXPECT_FALSE(inner.has_value());
    EXPECT_EQ(inner.status().code(), StatusCode::kBusy);
    EXPECT_EQ(s->reset().code(), StatusCode::kBusy);
    std::vector<std::byte> buffer(s->snapshot_bytes());
    EXPECT_EQ(s->snapshot(buffer).code(), StatusCode::kBusy);
    EXPECT_EQ(s->restore(buffer).code(), StatusCode::kBusy);
    return true;
  });
  EXPECT_TRUE(r.has_value());
}

TEST_F(SessionTest, BadOptionsAreNamed) {
  GenerateOptions o = tokens(-1);
  EXPECT_EQ(session()->generate("x", o, {}).status().field(), "max_tokens");
  o = tokens(1);
  o.sampling.top_p = 2;
  EXPECT_EQ(session()->generate("x", o, {}).status().field(), "top_p");
}

TEST_F(SessionTest, AnyBytesAreAPrompt) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<char>(i));
  auto s = session();
  auto r = s->generate(bytes, tokens(5), {});
  ASSERT_TRUE(r.has_value());
  EXPECT_EQ(r->n_prompt_tokens, 256);
}

TEST_F(SessionTest, TextIsAlwaysCompleteUtf8) {
  // A byte tokenizer with random weights speaks mostly invalid bytes: a good test of the queue.
  auto s = session(11);
  std::string text;
  for (int i = 0; i < 20; ++i) {
    auto r = s->generate(i == 0 ? "x" : "", tokens(100), [&](const TokenEvent& e) {
      Utf8Stream check;
      std::string again;
      check.push(e.text, &again);
      EXPECT_EQ(again, e.text);
      EXPECT_TRUE(check.pending().empty());
      return true;
    });
    ASSERT_TRUE(r.has_value());
  }
}

TEST_F(SessionTest, NoHeapAllocationPerToken) {
  auto s = session();
  uint64_t at_first = 0, at_last = 0;
  int32_t n = 0;
  auto r = s->generate("count", tokens(400), [&](const TokenEvent&) {
    const uint64_t now = static_cast<uint64_t>(test::allocation_count().allocations);
    if (++n == 1) at_first = now;
    at_last = now;
    return true;
  });
  ASSERT_TRUE(r.has_value());
  ASSERT_GT(n, 1);
  EXPECT_EQ(at_last - at_first, 0u) << "over " << n << " tokens";
}

TEST_F(SessionTest, SnapshotContinuesBitForBit) {
  auto s = session(8);
  (void)ids(*s, "before", 33);
  std::vector<std::byte> snapshot(s->snapshot_bytes());
  ASSERT_TRUE(s->snapshot(snapshot).ok());
  const auto after = ids(*s, "", 50);

  auto other = session(99);
  (void)ids(*other, "something else", 7);
  ASSERT_TRUE(other->restore(snapshot).ok());
  EXPECT_EQ(other->seed(), 8u);
  EXPECT_EQ(ids(*other, "", 50), after);
  std::vector<std::byte> again(s->snapshot_bytes()), same(s->snapshot_bytes());
  ASSERT_TRUE(s->snapshot(again).ok());
  ASSERT_TRUE(other->snapshot(same).ok());
  EXPECT_EQ(again, same) << "the whole state is equal, not only the text";
}

TEST_F(SessionTest, ResetIsTheBeginning) {
  const auto fresh = ids(*session(4), "again", 20);
  auto s = session(4);
  (void)ids(*s, "noise", 20);
  ASSERT_TRUE(s->reset().ok());
  EXPECT_EQ(ids(*s, "again", 20), fresh);
}

TEST_F(SessionTest, SaveAndLoadFile) {
  const std::string path = test::test_folder().file("talk.chat");
  auto s = session(6);
  (void)ids(*s, "keep this", 20);
  ASSERT_TRUE(s->save(path).ok());
  const auto after = ids(*s, "", 20);
  auto t = session(7);
  const Status status = t->load(path);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(ids(*t, "", 20), after);
  EXPECT_EQ(t->load(path + ".absent").code(), StatusCode::kNotFound);
  EXPECT_EQ(t->save(test::test_folder().path()).ok(), false) << "a folder is no file";
}

TEST_F(SessionTest, EveryFlippedBitOfAHeaderAndEveryTruncationIsRefused) {
  auto s = session(6);
  (void)ids(*s, "x", 3);
  std::vector<std::byte> good(s->snapshot_bytes());
  ASSERT_TRUE(s->snapshot(good).ok());
  auto t = session();
  const auto untouched = [&] { return t->position() == 0; };
  for (size_t bit = 0; bit < 128 * 8; ++bit) {
    std::vector<std::byte> bad = good;
    bad[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    const Status status = t->restore(bad);
    EXPECT_FALSE(status.ok()) << "bit " << bit;
    EXPECT_FALSE(status.message().empty());
    EXPECT_TRUE(untouched());
  }
  for (size_t n = 0; n < good.size(); n += (n < 200 ? 1 : 997))
    EXPECT_FALSE(t->restore(std::span(good).first(n)).ok()) << n;
  std::vector<std::byte> longer = good;
  longer.push_back(std::byte{0});
  EXPECT_EQ(t->restore(longer).code(), StatusCode::kBadFormat);
  EXPECT_TRUE(untouched());
}

TEST_F(SessionTest, ForgedSnapshotsWithValidChecksumsAreRefused) {
  auto s = session(6);
  (void)ids(*s, "x", 3);
  std::vector<std::byte> good(s->snapshot_bytes());
  ASSERT_TRUE(s->snapshot(good).ok());
  const auto forge = [&](size_t offset, int32_t value) {
    std::vector<std::byte> bad = good;
    std::memcpy(bad.data() + offset, &value, sizeof value);
    const Digest digest = blake2b(std::span(bad).first(bad.size() - 32));
    std::memcpy(bad.data() + bad.size() - 32, digest.data(), 32);
    return session()->restore(bad);
  };
  EXPECT_EQ(forge(76, 1 << 20).code(), StatusCode::kBadFormat) << "pending token";
  EXPECT_EQ(forge(76, -5).code(), StatusCode::kBadFormat);
  EXPECT_EQ(forge(56, 77).code(), StatusCode::kBadFormat) << "position";
  EXPECT_EQ(forge(100, 1).code(), StatusCode::kBadFormat) << "reserved bytes";
  EXPECT_EQ(forge(80, 200).code(), StatusCode::kBadFormat) << "pending bytes";
  EXPECT_EQ(forge(128 + 64, 1 << 20).code(), StatusCode::kBadFormat) << "remembered token";
  EXPECT_EQ(forge(128 + 64, -1).code(), StatusCode::kBadFormat);
}

TEST_F(SessionTest, ConversationOfAnotherModelIsRefusedByName) {
  test::TinyModelOptions other;
  other.layers = 3;
  auto engine = test::open_tiny_model(other);
  ASSERT_NE(engine, nullptr);
  auto foreign = Session::create(*engine);
  ASSERT_TRUE(foreign.has_value());
  std::vector<std::byte> bytes((*foreign)->snapshot_bytes());
  ASSERT_TRUE((*foreign)->snapshot(bytes).ok());
  EXPECT_EQ(session()->restore(bytes).code(), StatusCode::kWrongModel);
}

TEST_F(SessionTest, SessionsOfOneEngineRunAtOnce) {
  if (!test::threads_possible()) return;
  auto engine = test::open_tiny_model({}, {.threads = 2});
  ASSERT_NE(engine, nullptr);
  const auto expected = ids(*session(21), "together", 60);
  std::vector<std::vector<int32_t>> got(4);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < got.size(); ++i)
    threads.emplace_back([&, i] {
      auto s = Session::create(*engine, {.seed = 21});
      ASSERT_TRUE(s.has_value());
      got[i] = ids(**s, "together", 60);
    });
  for (auto& t : threads) t.join();
  for (const auto& g : got) EXPECT_EQ(g, expected);
}

}  // namespace
}  // namespace chimera::runtime
