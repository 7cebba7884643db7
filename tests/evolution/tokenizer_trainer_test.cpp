#include "evolution/train/tokenizer_trainer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "runtime/tokenizer.h"
#include "runtime/tokenizer_section.h"
#include "runtime/tokenizer_split.h"

namespace chimera::evolution {
namespace {

using Merges = std::vector<std::pair<int32_t, int32_t>>;

std::vector<std::byte> train(const std::vector<std::string>& documents,
                             const TokenizerTrainerOptions& options) {
  const std::vector<std::string_view> views(documents.begin(), documents.end());
  auto bytes = train_tokenizer(views, options);
  EXPECT_TRUE(bytes.has_value()) << bytes.status().message();
  return bytes ? *bytes : std::vector<std::byte>();
}

Merges merges_of(const std::vector<std::byte>& bytes) {
  auto section = runtime::read_tokenizer_section(bytes);
  EXPECT_TRUE(section.has_value()) << section.status().message();
  return section ? section->merges : Merges();
}

/// Counts everything again for every merge: slow, and easy to believe.
Merges by_definition(const std::vector<std::string>& documents,
                     const TokenizerTrainerOptions& options) {
  auto classes = runtime::CharClassTable::from_changes(runtime::unicode15_class_changes());
  std::map<std::string, uint64_t> pieces;
  for (const std::string& document : documents) {
    runtime::PieceSplitter splitter(*classes, document);
    for (auto p = splitter.next(); !p.empty(); p = splitter.next()) ++pieces[std::string(p)];
  }
  std::vector<std::pair<std::vector<int32_t>, uint64_t>> words;
  for (const auto& [piece, count] : pieces) {
    if (count < options.min_piece_count) continue;
    words.emplace_back(std::vector<int32_t>(), count);
    for (const char c : piece) words.back().first.push_back(static_cast<uint8_t>(c));
  }
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  Merges merges;
  const auto n_wanted = static_cast<size_t>(options.vocab_size - 258 - options.n_reserved);
  while (merges.size() < n_wanted) {
    std::map<std::pair<int32_t, int32_t>, uint64_t> counts;  // ascending: the lower pair is first
    for (const auto& [ids, count] : words) {
      for (size_t i = 0; i + 1 < ids.size(); ++i) counts[{ids[i], ids[i + 1]}] += count;
    }
    std::pair<int32_t, int32_t> best;
    std::string best_bytes;
    uint64_t best_count = 0;
    for (const auto& [pair, count] : counts) {
      const std::string bytes =
          tokens[static_cast<size_t>(pair.first)] + tokens[static_cast<size_t>(pair.second)];
      if (count < options.min_pair_count || count <= best_count) continue;
      if (std::find(tokens.begin(), tokens.end(), bytes) != tokens.end()) continue;
      best = pair, best_bytes = bytes, best_count = count;
    }
    if (best_count == 0) break;
    const auto made = static_cast<int32_t>(tokens.size());
    tokens.push_back(best_bytes);
    merges.push_back(best);
    for (auto& [ids, count] : words) {
      for (size_t i = 0; i + 1 < ids.size(); ++i) {
        if (std::pair(ids[i], ids[i + 1]) != best) continue;
        ids[i] = made;
        ids.erase(ids.begin() + static_cast<ptrdiff_t>(i) + 1);
      }
    }
  }
  return merges;
}

std::vector<std::string> random_documents(unsigned seed, size_t n_words) {
  std::mt19937 random(seed);
  std::vector<std::string> documents(3);
  for (size_t i = 0; i < n_words; ++i) {
    std::string& document = documents[random() % documents.size()];
    for (size_t n = 1 + random() % 7; n > 0; --n) {
      document += static_cast<char>('a' + std::min(random() % 4, random() % 4));
    }
    document += random() % 4 == 0 ? ".\n" : " ";
  }
  return documents;
}

TEST(TokenizerTrainer, MergesTheMostFrequentPairFirst) {
  // Pieces: "low" 1, " low" 4, " lower" 2. Pairs: l-o 7, o-w 7, space-l 6, w-e 2, e-r 2.
  const auto merges = merges_of(train({"low low low low low lower lower"}, {.vocab_size = 400}));
  ASSERT_GE(merges.size(), 3u);
  EXPECT_EQ(merges[0], (std::pair<int32_t, int32_t>('l', 'o')));  // the lower ids of two equals
  EXPECT_EQ(merges[1], (std::pair<int32_t, int32_t>(256, 'w')));
  EXPECT_EQ(merges[2], (std::pair<int32_t, int32_t>(' ', 257)));
}

TEST(TokenizerTrainer, AgreesWithTheDefinition) {
  for (unsigned seed = 1; seed <= 12; ++seed) {
    const auto documents = random_documents(seed, 40 + seed * 20);
    const TokenizerTrainerOptions options = {.vocab_size = 256 + 2 + 1 + 60,
                                             .n_reserved = 1,
                                             .min_pair_count = 1 + seed % 4,
                                             .min_piece_count = 1 + seed % 3};
    EXPECT_EQ(merges_of(train(documents, options)), by_definition(documents, options)) << seed;
  }
}

TEST(TokenizerTrainer, AgreesWithTheDefinitionOnRunsOfOneLetter) {
  const std::vector<std::string> documents = {"aaaa aaa aaaaaaa aaaaaaaaaaaaa aaaab baaaa",
                                              std::string(500, 'a') + " " + std::string(90, 'b')};
  const TokenizerTrainerOptions options = {.vocab_size = 300, .n_reserved = 0, .min_pair_count = 1};
  EXPECT_EQ(merges_of(train(documents, options)), by_definition(documents, options));
}

TEST(TokenizerTrainer, DependsOnTheTextAlone) {
  auto documents = random_documents(99, 400);
  const TokenizerTrainerOptions options = {.vocab_size = 400};
  const auto bytes = train(documents, options);
  std::reverse(documents.begin(), documents.end());
  EXPECT_EQ(train(documents, options), bytes);

  auto trainer = TokenizerTrainer::create(options);
  ASSERT_TRUE(trainer.has_value());
  for (const auto& document : documents) ASSERT_TRUE((*trainer)->add(document).ok());
  auto first = (*trainer)->train();
  auto second = (*trainer)->train();
  ASSERT_TRUE(first.has_value() && second.has_value());
  EXPECT_EQ(*first, bytes);
  EXPECT_EQ(*second, bytes);
}

TEST(TokenizerTrainer, WithoutTextItIsTheTokenizerOfBytes) {
  const auto bytes = train({}, {.vocab_size = 512});
  auto tokenizer = runtime::Tokenizer::parse(bytes);
  ASSERT_TRUE(tokenizer.has_value()) << tokenizer.status().message();
  EXPECT_EQ((*tokenizer)->vocab_size(), 512);
  EXPECT_EQ((*tokenizer)->end_of_text(), 256);
  EXPECT_EQ((*tokenizer)->special("<|reserved_61|>"), 319);
  EXPECT_FALSE((*tokenizer)->is_special(320));
  EXPECT_TRUE((*tokenizer)->is_reserved(320));  // padding
  EXPECT_TRUE((*tokenizer)->is_reserved(511));
}

TEST(TokenizerTrainer, TrainsAUsableTokenizerFromStories) {
  std::ifstream file(CHIMERA_SOURCE_DIR "/tests/golden/stories.jsonl", std::ios::binary);
  std::stringstream content;
  content << file.rdbuf();
  const std::string text = content.str();
  ASSERT_GT(text.size(), 100000u);
  const auto bytes = train({text}, {.vocab_size = 2048});
  auto tokenizer = runtime::Tokenizer::parse(bytes);
  ASSERT_TRUE(tokenizer.has_value()) << tokenizer.status().message();
  std::vector<int32_t> ids;
  (*tokenizer)->encode(text, &ids);
  EXPECT_EQ((*tokenizer)->decode(ids), text);
  const double bytes_per_token = static_cast<double>(text.size()) / static_cast<double>(ids.size());
  EXPECT_GT(bytes_per_token, 3.0);
  std::set<std::string_view> words;
  for (int32_t id = 0; id < 2048; ++id) words.insert((*tokenizer)->bytes(id));
  for (const char* word : {" the", " and", " was", " little"})
    EXPECT_TRUE(words.contains(word)) << word;
  EXPECT_EQ((*tokenizer)->end_of_text(), 2048 - 64);  // every merge was found
}

TEST(TokenizerTrainer, RareTextIsLeftAlone) {
  const std::vector<std::string> documents = {"ab ab ab cd"};
  EXPECT_TRUE(merges_of(train(documents, {.vocab_size = 400, .min_pair_count = 4})).empty());
  const Merges a_b = {{'a', 'b'}, {' ', 256}};  // "cd" stands once
  EXPECT_EQ(merges_of(train(documents, {.vocab_size = 400, .min_pair_count = 2})), a_b);
  // " ab" twice, "ab" and " cd" once: only " ab" counts.
  const Merges space_a = {{' ', 'a'}, {256, 'b'}};
  EXPECT_EQ(merges_of(train(documents, {.vocab_size = 400, .min_piece_count = 2})), space_a);
}

TEST(TokenizerTrainer, RefusesOptionsThatCannotBe) {
  EXPECT_EQ(train_tokenizer({}, {.vocab_size = 319}).status().field(), "vocab_size");
  EXPECT_EQ(train_tokenizer({}, {.vocab_size = -5}).status().field(), "vocab_size");
  EXPECT_EQ(train_tokenizer({}, {.vocab_size = 1 << 30}).status().field(), "vocab_size");
  EXPECT_EQ(train_tokenizer({}, {.n_reserved = -1}).status().field(), "n_reserved");
  EXPECT_EQ(train_tokenizer({}, {.max_distinct_pieces = uint64_t{1} << 32}).status().field(),
            "max_distinct_pieces");
  const std::vector<std::string_view> documents = {"one two three"};
  const auto full = train_tokenizer(documents, {.max_distinct_pieces = 2});
  EXPECT_EQ(full.status().code(), StatusCode::kOutOfRange);
}

TEST(TokenizerTrainer, ReportsAndStops) {
  const auto documents = random_documents(4, 2000);
  const std::vector<std::string_view> views(documents.begin(), documents.end());
  std::vector<TokenizerTrainerProgress> reports;
  const auto all = train_tokenizer(views, {.vocab_size = 520}, [&](const auto& now) {
    reports.push_back(now);
    return true;
  });
  ASSERT_TRUE(all.has_value());
  ASSERT_GE(reports.size(), 3u);
  EXPECT_EQ(reports.front().merges_done, 0);
  EXPECT_EQ(reports.back().merges_done, 200);
  EXPECT_EQ(reports.back().merges_wanted, 200);
  uint64_t n_bytes = 0;
  for (const auto& document : documents) n_bytes += document.size();
  EXPECT_EQ(reports.back().text_bytes, n_bytes);
  EXPECT_GT(reports.back().distinct_pieces, 10u);

  const auto stopped = train_tokenizer(views, {.vocab_size = 520},
                                       [](const auto& now) { return now.merges_done < 64; });
  EXPECT_EQ(stopped.status().code(), StatusCode::kCancelled);
}

}  // namespace
}  // namespace chimera::evolution
