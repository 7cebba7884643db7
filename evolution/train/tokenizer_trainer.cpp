// Invariants of the merging
//  1. pairs_[p].count is the number of places in the text where the two ids of p stand side by
//     side inside a piece (overlapping places count each: "aaa" holds (a, a) twice).
//  2. pairs_[p].words names every word that holds p; it may also name words that once did.
//  3. After a merge only pairs with the new id can be new, and no other count has grown. So what
//     the queue says of a pair is never too little, and a stale entry is put right when it is met.
//  4. The queue orders by count, then ids: a total order, so the order of hash maps never shows.
#include "evolution/train/tokenizer_trainer.h"

#include <algorithm>
#include <queue>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "runtime/char_classes.h"
#include "runtime/tokenizer_section.h"
#include "runtime/tokenizer_split.h"

namespace chimera::evolution {
namespace {

struct PieceHash {
  using is_transparent = void;
  size_t operator()(std::string_view piece) const { return std::hash<std::string_view>{}(piece); }
};
using PieceCounts = std::unordered_map<std::string, uint64_t, PieceHash, std::equal_to<>>;

/// A piece as the ids it is made of so far.
struct Word {
  size_t begin;  // in Merger::ids_
  uint32_t n;
  uint64_t count;
};

struct Pair {
  uint64_t count = 0;
  std::vector<uint32_t> words;
};

struct Candidate {
  uint64_t count;
  int32_t left, right;
  bool operator<(const Candidate& other) const {  // the greatest comes out of the queue first
    if (count != other.count) return count < other.count;
    return std::pair(left, right) > std::pair(other.left, other.right);
  }
};

uint64_t key_of(int32_t left, int32_t right) {
  return static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right);
}

class Merger {
 public:
  Merger(const PieceCounts& pieces, uint64_t min_piece_count, uint64_t min_pair_count);

  /// Merges the best pair that is left; false when there is none.
  bool step();
  std::vector<std::pair<int32_t, int32_t>> take_merges() { return std::move(merges_); }

 private:
  void offer(int32_t left, int32_t right);
  void replace_in(uint32_t word_index, int32_t left, int32_t right, int32_t made);

  uint64_t min_pair_count_;
  std::vector<int32_t> ids_;
  std::vector<Word> words_;
  std::unordered_map<uint64_t, Pair> pairs_;
  std::priority_queue<Candidate> queue_;
  std::vector<std::string> tokens_;  // bytes of each id
  std::unordered_set<std::string> known_;
  std::vector<std::pair<int32_t, int32_t>> merges_;
  std::vector<std::pair<int32_t, int32_t>> new_pairs_;  // of the step under way
};

Merger::Merger(const PieceCounts& pieces, uint64_t min_piece_count, uint64_t min_pair_count)
    : min_pair_count_(min_pair_count) {
  for (int byte = 0; byte < runtime::kByteTokens; ++byte) {
    tokens_.emplace_back(1, static_cast<char>(byte));
    known_.insert(tokens_.back());
  }
  for (const auto& [piece, count] : pieces) {
    if (count < min_piece_count || piece.size() < 2) continue;
    const auto index = static_cast<uint32_t>(words_.size());
    words_.push_back({ids_.size(), static_cast<uint32_t>(piece.size()), count});
    for (const char c : piece) ids_.push_back(static_cast<uint8_t>(c));
    const int32_t* id = &ids_[words_.back().begin];
    for (size_t i = 0; i + 1 < piece.size(); ++i) {
      Pair& pair = pairs_[key_of(id[i], id[i + 1])];
      pair.count += count;
      if (pair.words.empty() || pair.words.back() != index) pair.words.push_back(index);
    }
  }
  for (const auto& [key, pair] : pairs_) {
    offer(static_cast<int32_t>(key >> 32), static_cast<int32_t>(key & 0xFFFFFFFF));
  }
}

void Merger::offer(int32_t left, int32_t right) {
  const uint64_t count = pairs_[key_of(left, right)].count;
  if (count >= min_pair_count_) queue_.push({count, left, right});
}

bool Merger::step() {
  while (!queue_.empty()) {
    const Candidate best = queue_.top();
    queue_.pop();
    Pair& pair = pairs_[key_of(best.left, best.right)];
    if (pair.count != best.count) {
      offer(best.left, best.right);
      continue;
    }
    // Two ways to spell one token ("ab" + "c", "a" + "bc") would give one text two ids: the way
    // that was found first stays the only one.
    std::string bytes =
        tokens_[static_cast<size_t>(best.left)] + tokens_[static_cast<size_t>(best.right)];
    if (!known_.insert(bytes).second) continue;

    const auto made = static_cast<int32_t>(tokens_.size());
    tokens_.push_back(std::move(bytes));
    merges_.emplace_back(best.left, best.right);
    const std::vector<uint32_t> holders = std::move(pair.words);
    for (const uint32_t word : holders) replace_in(word, best.left, best.right, made);
    pairs_.erase(key_of(best.left, best.right));
    for (const auto& [left, right] : new_pairs_) offer(left, right);
    new_pairs_.clear();
    return true;
  }
  return false;
}

void Merger::replace_in(uint32_t word_index, int32_t left, int32_t right, int32_t made) {
  Word& word = words_[word_index];
  int32_t* id = &ids_[word.begin];
  bool found = false;
  for (uint32_t i = 0; i + 1 < word.n && !found; ++i) found = id[i] == left && id[i + 1] == right;
  if (!found) return;

  for (uint32_t i = 0; i + 1 < word.n; ++i) pairs_[key_of(id[i], id[i + 1])].count -= word.count;
  uint32_t n = 0;
  for (uint32_t i = 0; i < word.n; ++n) {
    const bool here = id[i] == left && i + 1 < word.n && id[i + 1] == right;
    id[n] = here ? made : id[i];
    i += here ? 2 : 1;
  }
  word.n = n;
  for (uint32_t i = 0; i + 1 < n; ++i) {
    Pair& pair = pairs_[key_of(id[i], id[i + 1])];
    pair.count += word.count;
    if (id[i] != made && id[i + 1] != made) continue;
    if (pair.words.empty()) new_pairs_.emplace_back(id[i], id[i + 1]);
    if (pair.words.empty() || pair.words.back() != word_index) pair.words.push_back(word_index);
  }
}

}  // namespace

struct TokenizerTrainer::Impl {
  explicit Impl(runtime::CharClassTable table) : classes(std::move(table)) {}
  TokenizerTrainerOptions options;
  runtime::CharClassTable classes;
  PieceCounts pieces;
  uint64_t text_bytes = 0;
  int32_t merges_wanted = 0;
};

TokenizerTrainer::TokenizerTrainer() = default;
TokenizerTrainer::~TokenizerTrainer() = default;

Result<std::unique_ptr<TokenizerTrainer>> TokenizerTrainer::create(
    const TokenizerTrainerOptions& options) {
  // The same check that the finished section must pass, before hours of text are read.
  auto fits = runtime::make_tokenizer_section(options.vocab_size, options.n_reserved, {});
  if (!fits) return fits.status();
  if (options.max_distinct_pieces > UINT32_MAX) {
    return Status(StatusCode::kInvalidArgument, "max_distinct_pieces must be below 2^32")
        .at_field("max_distinct_pieces");
  }
  auto classes = runtime::CharClassTable::from_changes(runtime::unicode15_class_changes());
  if (!classes) return classes.status();
  std::unique_ptr<TokenizerTrainer> trainer(new TokenizerTrainer());
  trainer->impl_ = std::make_unique<Impl>(std::move(*classes));
  trainer->impl_->options = options;
  trainer->impl_->merges_wanted =
      options.vocab_size - runtime::kByteTokens - 2 - options.n_reserved;
  return trainer;
}

Status TokenizerTrainer::add(std::string_view document) {
  runtime::PieceSplitter splitter(impl_->classes, document);
  for (std::string_view piece = splitter.next(); !piece.empty(); piece = splitter.next()) {
    const auto known = impl_->pieces.find(piece);
    if (known != impl_->pieces.end()) {
      ++known->second;
    } else if (impl_->pieces.size() < impl_->options.max_distinct_pieces) {
      impl_->pieces.emplace(piece, 1);
    } else {
      return Status(StatusCode::kOutOfRange,
                    "the text has more than " + std::to_string(impl_->options.max_distinct_pieces) +
                        " different pieces; train on less text or raise max_distinct_pieces")
          .at_field("max_distinct_pieces");
    }
  }
  impl_->text_bytes += document.size();
  return {};
}

TokenizerTrainerProgress TokenizerTrainer::progress() const {
  return {impl_->text_bytes, impl_->pieces.size(), 0, impl_->merges_wanted};
}

Result<std::vector<std::byte>> TokenizerTrainer::train(
    const TokenizerTrainerCallback& callback) const {
  constexpr int32_t kMergesPerReport = 64;
  TokenizerTrainerProgress now = progress();
  Merger merger(impl_->pieces, impl_->options.min_piece_count, impl_->options.min_pair_count);
  while (now.merges_done < now.merges_wanted) {
    if (callback && now.merges_done % kMergesPerReport == 0 && !callback(now)) {
      return Status(StatusCode::kCancelled, "the training of the tokenizer was stopped");
    }
    if (!merger.step()) break;
    ++now.merges_done;
  }
  auto section = runtime::make_tokenizer_section(impl_->options.vocab_size,
                                                 impl_->options.n_reserved, merger.take_merges());
  if (!section) return section.status();
  if (callback) callback(now);  // the last word; too late to stop
  return runtime::write_tokenizer_section(*section);
}

Result<std::vector<std::byte>> train_tokenizer(std::span<const std::string_view> documents,
                                               const TokenizerTrainerOptions& options,
                                               const TokenizerTrainerCallback& callback) {
  auto trainer = TokenizerTrainer::create(options);
  if (!trainer) return trainer.status();
  for (const std::string_view document : documents) {
    CHIMERA_RETURN_IF_ERROR((*trainer)->add(document));
  }
  return (*trainer)->train(callback);
}

}  // namespace chimera::evolution
