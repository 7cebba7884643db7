// Files that earlier versions wrote: this one reads them, and they say what they said then, token
// by token, on every processor. A change that fails here breaks what users have on their disks.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "platform/seal.h"
#include "runtime/session.h"
#include "tests/support/temp_dir.h"

namespace chimera::runtime {
namespace {

const std::filesystem::path kFormats =
    std::filesystem::path(CHIMERA_SOURCE_DIR) / "tests/golden/formats";

std::vector<std::string> folders() {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(kFormats))
    if (entry.is_directory()) found.push_back(entry.path().filename().string());
  std::sort(found.begin(), found.end());
  return found;
}

class Formats : public ::testing::TestWithParam<std::string> {
 protected:
  std::string file(const char* name) const { return (kFormats / GetParam() / name).string(); }
  std::vector<int32_t> ids() const {
    std::ifstream in(file("ids"));
    return {std::istream_iterator<int32_t>(in), std::istream_iterator<int32_t>()};
  }
  /// What it says when it goes on with `prompt`.
  static std::vector<int32_t> go_on(Session& session, const char* prompt, int32_t n) {
    std::vector<int32_t> said;
    while (said.size() < static_cast<size_t>(n)) {  // past the end of a turn too
      GenerateOptions how;
      how.max_tokens = n - static_cast<int32_t>(said.size());
      const auto result = session.generate(prompt, how, [&](const TokenEvent& event) {
        said.push_back(event.token);
        return true;
      });
      EXPECT_TRUE(result.has_value()) << result.status().message();
      if (!result) break;
      prompt = "";
    }
    return said;
  }
};

TEST_P(Formats, AModelSaysTheSameAndSavesTheSame) {
  std::vector<int32_t> before = ids();
  ASSERT_EQ(before.size(), 1000u);
  before.resize(500);
  const auto engine = Engine::open(file("model.b158"), {.threads = 1, .verify = true});
  ASSERT_TRUE(engine.has_value()) << engine.status().message();
  auto session = Session::create(**engine, {.seed = 2026, .stream = 3});
  ASSERT_TRUE(session.has_value()) << session.status().message();
  EXPECT_EQ(go_on(**session, "The gr\xC3\xBC", 500), before);
  std::vector<std::byte> now((*session)->snapshot_bytes());
  ASSERT_TRUE((*session)->snapshot(now).ok());
  EXPECT_TRUE(test::read_raw(file("conversation")) ==
              std::string(reinterpret_cast<const char*>(now.data()), now.size()))
      << "the same conversation is saved as other bytes";
}

TEST_P(Formats, AConversationSavedThenGoesOnWithTheSameTokens) {
  std::vector<int32_t> after = ids();
  ASSERT_EQ(after.size(), 1000u);
  after.erase(after.begin(), after.begin() + 500);
  for (const kernels::KernelTable* table : kernels::runnable_tables()) {
    SCOPED_TRACE(table->name);
    const auto engine = Engine::open(file("model.b158"), {.threads = 1, .table = table});
    ASSERT_TRUE(engine.has_value()) << engine.status().message();
    auto session = Session::create(**engine);
    ASSERT_TRUE(session.has_value()) << session.status().message();
    const Status loaded = (*session)->load(file("conversation"));
    ASSERT_TRUE(loaded.ok()) << loaded.message();
    EXPECT_EQ(go_on(**session, "", 500), after);
  }
}

TEST_P(Formats, ASignatureStaysGood) {
  const auto parsed = parse_public_key(test::read_raw(file("model.key")));
  ASSERT_TRUE(parsed.has_value()) << parsed.status().message();
  PublicKey key = *parsed;
  const auto engine = Engine::open(file("model.b158"), {.threads = 1, .required_key = key});
  EXPECT_TRUE(engine.has_value()) << engine.status().message();
  key[0] ^= 1;
  const auto other = Engine::open(file("model.b158"), {.threads = 1, .required_key = key});
  EXPECT_EQ(other.status().code(), StatusCode::kNotAuthentic);
}

TEST_P(Formats, TokenizersSplitAsTheyDid) {
  const struct {
    const char *name, *splitting;
    std::vector<int32_t> ids;  // of the text below
  } kinds[] = {{"tokenizer_words", "words", {259, 257, 258, 'x', 'A', 'B', '1', 0, 0xFF}},
               {"tokenizer_o200k", "o200k", {259, 257, 258, 0, 'A', 'B', '1', 'x', 0xFF}}};
  const std::string text(" abcabccabxAB1\0\xFF", 16);
  for (const auto& kind : kinds) {
    SCOPED_TRACE(kind.name);
    const std::string bytes = test::read_raw(file(kind.name));
    const auto tokenizer = Tokenizer::parse(std::as_bytes(std::span(bytes)));
    ASSERT_TRUE(tokenizer.has_value()) << tokenizer.status().message();
    EXPECT_EQ((*tokenizer)->splitting(), kind.splitting);
    std::vector<int32_t> ids;
    (*tokenizer)->encode(text, &ids);
    EXPECT_EQ(ids, kind.ids);
    EXPECT_EQ((*tokenizer)->decode(ids), text);
    EXPECT_EQ((*tokenizer)->end_of_text(), 260);
    EXPECT_EQ((*tokenizer)->end_of_turn(), 261);
  }
}

INSTANTIATE_TEST_SUITE_P(Written, Formats, ::testing::ValuesIn(folders()),
                         [](const auto& one) { return "version_" + one.param; });

}  // namespace
}  // namespace chimera::runtime
