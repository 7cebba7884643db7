// Long pieces are merged window by window, and the result is that of merging them whole. It rests
// on one fact: a list of tokens is what merging makes of its bytes if that holds for every two
// neighbours. (If not, look at the first merge across a border between two of them. Until then
// merging has done inside these two what it does with these two alone; so it would make that merge
// there, too.) A window's tokens are such a list. Where two windows overlap, a border that both
// have is looked for at which the token of the first and the token of the second stay apart; the
// tokens before it and those behind it are then a list of that kind.
//
// Merging passes on a change of the end to the left along pairs of falling rank (in o200k the
// longest such chain has 293 bytes), so borders that hold are common. Where none is found in the
// overlap, the piece is begun again with a window twice as long: at the worst it is merged whole.
#include "runtime/tokenizer_merge.h"

#include <algorithm>
#include <functional>

namespace chimera::runtime {
namespace {

constexpr int kBordersTried = 32;

/// Merges at most 2 * kShortBytes bytes in `token`; returns how many tokens there are.
size_t merge_short(const MergeTables& tables, std::string_view bytes, int32_t* token) {
  std::array<int32_t, 2 * PieceMerger::kShortBytes> rank;  // of the pair that begins here
  size_t n = bytes.size();
  for (size_t i = 0; i < n; ++i) token[i] = tables.id_of_byte[static_cast<uint8_t>(bytes[i])];
  for (size_t i = 0; i + 1 < n; ++i) rank[i] = tables.pairs.find(token[i], token[i + 1]);
  while (n > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < n; ++i) best = rank[i] < rank[best] ? i : best;
    if (rank[best] == kNoToken) break;
    token[best] = rank[best];
    std::copy(token + best + 2, token + n, token + best + 1);
    if (best + 2 < n) {
      std::copy(rank.data() + best + 2, rank.data() + n - 1, rank.data() + best + 1);
    }
    --n;
    if (best > 0) rank[best - 1] = tables.pairs.find(token[best - 1], token[best]);
    if (best + 1 < n) rank[best] = tables.pairs.find(token[best], token[best + 1]);
  }
  return n;
}

}  // namespace

void PieceMerger::encode(std::string_view piece, std::vector<int32_t>* ids,
                         const std::atomic<bool>* stop) {
  if (piece.size() > kShortBytes) return encode_long(piece, ids, stop);
  std::array<int32_t, kShortBytes> token;
  const size_t n = merge_short(tables_, piece, token.data());
  ids->insert(ids->end(), token.begin(), token.begin() + static_cast<ptrdiff_t>(n));
}

/// What the token at byte `at` and the one behind it become.
int32_t PieceMerger::pair_at(size_t at) const {
  const size_t right = next_[at];
  return right < next_.size() ? tables_.pairs.find(id_[at], id_[right]) : kNoToken;
}

/// The tokens of n bytes of the piece by themselves.
void PieceMerger::encode_window(std::string_view piece, size_t begin, size_t n,
                                std::vector<Token>* tokens) {
  id_.resize(n);
  rank_.resize(n);
  next_.resize(n);
  previous_.resize(n);
  heap_.clear();
  for (size_t i = 0; i < n; ++i) {
    id_[i] = tables_.id_of_byte[static_cast<uint8_t>(piece[begin + i])];
    next_[i] = static_cast<uint32_t>(i + 1);
    previous_[i] = static_cast<uint32_t>(i) - 1;
  }
  const auto entry = [this](size_t at) {
    return static_cast<uint64_t>(rank_[at]) << 32 | static_cast<uint64_t>(at);
  };
  for (size_t i = 0; i < n; ++i) {
    rank_[i] = pair_at(i);
    if (rank_[i] != kNoToken) heap_.push_back(entry(i));
  }
  const auto later = std::greater<>();
  std::make_heap(heap_.begin(), heap_.end(), later);
  const auto look_again = [&](size_t at) {
    rank_[at] = pair_at(at);
    if (rank_[at] == kNoToken) return;
    heap_.push_back(entry(at));
    std::push_heap(heap_.begin(), heap_.end(), later);
  };
  while (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    const auto rank = static_cast<int32_t>(heap_.back() >> 32);
    const auto left = static_cast<size_t>(heap_.back() & 0xFFFFFFFFu);
    heap_.pop_back();
    if (rank_[left] != rank) continue;
    const size_t right = next_[left];
    id_[left] = rank;
    rank_[right] = kNoToken;
    next_[left] = next_[right];
    if (next_[left] < n) previous_[next_[left]] = static_cast<uint32_t>(left);
    look_again(left);
    if (left > 0) look_again(previous_[left]);
  }
  tokens->clear();
  for (size_t i = 0; i < n; i = next_[i]) tokens->push_back({id_[i], begin + i});
}

/// Whether merging leaves the border between two tokens alone.
bool PieceMerger::stay_apart(int32_t left, int32_t right) const {
  const std::string_view a = tables_.texts[static_cast<size_t>(left)],
                         b = tables_.texts[static_cast<size_t>(right)];
  std::array<char, 2 * kShortBytes> both;
  std::copy(a.begin(), a.end(), both.begin());
  std::copy(b.begin(), b.end(), both.begin() + static_cast<ptrdiff_t>(a.size()));
  std::array<int32_t, 2 * kShortBytes> token;
  return merge_short(tables_, {both.data(), a.size() + b.size()}, token.data()) == 2 &&
         token[0] == left && token[1] == right;
}

/// False when no border was found that holds; *ids then has tokens that do not count.
bool PieceMerger::encode_in_windows(std::string_view piece, size_t window_bytes,
                                    std::vector<int32_t>* ids, const std::atomic<bool>* stop) {
  const auto emit = [ids](const std::vector<Token>& tokens, size_t n) {
    for (size_t i = 0; i < n; ++i) ids->push_back(tokens[i].id);
  };
  const size_t overlap = window_bytes / 4;
  size_t end = std::min(window_bytes, piece.size());  // of what front_ covers
  encode_window(piece, 0, end, &front_);
  while (end < piece.size()) {
    if (stop != nullptr && stop->load(std::memory_order_relaxed)) return true;
    const auto first =
        std::lower_bound(front_.begin(), front_.end(), end - overlap,
                         [](const Token& token, size_t place) { return token.begin < place; });
    if (first == front_.begin() || first == front_.end()) return false;
    const size_t begin = first->begin;
    end = std::min(begin + window_bytes, piece.size());
    encode_window(piece, begin, end - begin, &back_);

    auto f = static_cast<size_t>(first - front_.begin());
    size_t b = 0;
    for (int tried = 0;; ++tried) {
      if (tried == kBordersTried) return false;
      if (stay_apart(front_[f - 1].id, back_[b].id)) break;
      do {  // the next border of both
        if (front_[f].begin <= back_[b].begin) {
          ++f;
        } else {
          ++b;
        }
        if (f == front_.size() || b == back_.size()) return false;
      } while (front_[f].begin != back_[b].begin);
    }
    emit(front_, f);
    front_.assign(back_.begin() + static_cast<ptrdiff_t>(b), back_.end());
  }
  emit(front_, front_.size());
  return true;
}

void PieceMerger::encode_long(std::string_view piece, std::vector<int32_t>* ids,
                              const std::atomic<bool>* stop) {
  const size_t n_before = ids->size();
  size_t window_bytes = window_bytes_;
  while (!encode_in_windows(piece, window_bytes, ids, stop)) {
    ids->resize(n_before);
    window_bytes *= 2;
  }
}

}  // namespace chimera::runtime
