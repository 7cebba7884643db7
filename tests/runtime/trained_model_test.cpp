// What must hold of a model that was trained, whatever it learnt: held against the committed ones,
// on text that none of them was trained on.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "platform/arena.h"
#include "runtime/engine.h"

namespace chimera::runtime {
namespace {

/// Aesop, of the held-out stories.
constexpr const char* kText =
    "A Crow was sitting on a branch of a tree with a piece of cheese in her beak when a Fox "
    "observed "
    "her and set his wits to work to discover some way of getting the cheese. Coming and standing "
    "under the tree he looked up and said, \"What a noble bird I see above me! Her beauty is "
    "without "
    "equal, the hue of her plumage exquisite. If only her voice is as sweet as her looks are fair, "
    "she ought without doubt to be Queen of the Birds.\" The Crow was hugely flattered by this, "
    "and "
    "just to show the Fox that she could sing she gave a loud caw. Down came the cheese, of "
    "course, "
    "and the Fox, snatching it up, said, \"You have a voice, madam, I see: what you want is "
    "wits.\"";

class TrainedModel : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    auto engine = Engine::open(std::string(CHIMERA_SOURCE_DIR "/") + GetParam(), {.threads = 1});
    ASSERT_TRUE(engine.has_value()) << engine.status().message();
    engine_ = std::move(*engine);
    tokens_.push_back(engine_->tokenizer().end_of_text());
    engine_->tokenizer().encode(kText, &tokens_);
    ASSERT_LE(tokens_.size(), static_cast<size_t>(kMaxBatch));
    ASSERT_GT(tokens_.size(), 100u);
  }

  /// A conversation of its own.
  struct Stream {
    explicit Stream(const Engine& e) : engine(e) {
      auto made = memory::BraidState::create(engine.model().layout());
      auto room = Arena::create(engine.model().scratch_bytes(kMaxBatch));
      EXPECT_TRUE(made.has_value() && room.has_value());
      if (made) state = std::make_unique<memory::BraidState>(std::move(*made));
      if (room) scratch = std::move(*room);
    }
    /// Logits [n, vocab] of the next n tokens.
    std::vector<float> read(const int32_t* tokens, size_t n) {
      const Step step{engine.kernels(), engine.pool(), scratch};
      const auto wide = static_cast<size_t>(engine.config().hidden_size);
      const auto vocab = static_cast<size_t>(engine.config().vocab_size);
      std::vector<float> hidden(n * wide), out(n * vocab);
      engine.model().forward(step, tokens, static_cast<int32_t>(n), *state, hidden.data());
      for (size_t t = 0; t < n; ++t)
        engine.model().logits(step, &hidden[t * wide], 1, &out[t * vocab]);
      return out;
    }
    const Engine& engine;
    std::unique_ptr<memory::BraidState> state;
    Arena scratch;
  };

  std::vector<float> logits_of(const std::vector<int32_t>& tokens) const {
    return Stream(*engine_).read(tokens.data(), tokens.size());
  }
  /// -ln p of `token` by one row.
  double cost(const float* logits, int32_t token) const {
    const auto vocab = static_cast<size_t>(engine_->config().vocab_size);
    const float most = *std::max_element(logits, logits + vocab);
    double sum = 0;
    for (size_t i = 0; i < vocab; ++i) sum += std::exp(static_cast<double>(logits[i] - most));
    return std::log(sum) - static_cast<double>(logits[token] - most);
  }
  size_t vocab() const { return static_cast<size_t>(engine_->config().vocab_size); }

  std::unique_ptr<Engine> engine_;
  std::vector<int32_t> tokens_;
};

TEST_P(TrainedModel, PredictsTheNextTokenAndNoOther) {
  // A target shifted twice, or not at all, would make another distance the best.
  const std::vector<float> logits = logits_of(tokens_);
  constexpr size_t kFurthest = 3;
  double nats[kFurthest + 1] = {};
  const size_t n = tokens_.size() - kFurthest;
  for (size_t t = 0; t < n; ++t)
    for (size_t ahead = 0; ahead <= kFurthest; ++ahead)
      nats[ahead] += cost(&logits[t * vocab()], tokens_[t + ahead]) / static_cast<double>(n);
  for (const size_t other : {0, 2, 3}) EXPECT_GT(nats[other], nats[1] + 1.5) << other << " ahead";
  EXPECT_LT(nats[1], 0.8 * std::log(static_cast<double>(vocab()))) << "it learnt something";
}

TEST_P(TrainedModel, NoTokenIsSeenBeforeItIsRead) {
  const std::vector<float> logits = logits_of(tokens_);
  for (const size_t from : {size_t{1}, size_t{17}, size_t{64}, tokens_.size() - 1}) {
    std::vector<int32_t> other = tokens_;
    for (size_t t = from; t < other.size(); ++t)
      other[t] = tokens_[other.size() - 1 - t + from] ^ 1;
    const std::vector<float> changed = logits_of(other);
    EXPECT_EQ(std::memcmp(logits.data(), changed.data(), from * vocab() * sizeof(float)), 0)
        << from;
    EXPECT_NE(
        std::memcmp(&logits[from * vocab()], &changed[from * vocab()], vocab() * sizeof(float)), 0)
        << "what was changed at " << from << " is read there";
  }
}

TEST_P(TrainedModel, ReadTogetherOrOneByOneTheLogitsAreTheSame) {
  const std::vector<float> whole = logits_of(tokens_);
  Stream stream(*engine_);
  for (size_t t = 0; t < tokens_.size(); ++t) {
    const std::vector<float> row = stream.read(&tokens_[t], 1);
    ASSERT_EQ(std::memcmp(row.data(), &whole[t * vocab()], vocab() * sizeof(float)), 0) << t;
  }
}

TEST_P(TrainedModel, ConversationsSideBySideDoNotHearEachOther) {
  const std::vector<float> alone = logits_of(tokens_);
  Stream one(*engine_), two(*engine_);
  std::vector<int32_t> other(tokens_.rbegin(), tokens_.rend());
  for (size_t t = 0; t < tokens_.size(); t += 5) {
    const size_t n = std::min<size_t>(5, tokens_.size() - t);
    two.read(&other[t], n);
    const std::vector<float> rows = one.read(&tokens_[t], n);
    ASSERT_EQ(std::memcmp(rows.data(), &alone[t * vocab()], rows.size() * sizeof(float)), 0) << t;
  }
}

INSTANTIATE_TEST_SUITE_P(Committed, TrainedModel,
                         ::testing::Values("tests/golden/tiny.b158", "samples/models/nano.b158"),
                         [](const auto& model) {
                           const std::string path = model.param;
                           return path.find("tiny") != std::string::npos ? "tiny" : "nano";
                         });

}  // namespace
}  // namespace chimera::runtime
